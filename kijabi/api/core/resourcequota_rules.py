"""What a quota must be: amounts of what is counted, and scopes that go with it.

`resourcequota.py` gives these to its Resource. Texts are those of k8s.io/kubernetes `pkg/apis/core/validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from kijabi.api.core.resources_rules import PAGES, validate_amount, validate_name
from kijabi.api.quantity import Quantity
from kijabi.api.resource import FieldError
from kijabi.api.validation import invalid, required

if TYPE_CHECKING:
    from kijabi.api.core.resourcequota import ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement

_COMPUTE = ("cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
_STANDARD = frozenset((
    *_COMPUTE, "ephemeral-storage", "requests.storage", "requests.ephemeral-storage", "limits.ephemeral-storage",
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "persistentvolumeclaims", "configmaps",
    "services.nodeports", "services.loadbalancers",
))  # fmt: skip
_OF_PODS = frozenset(("pods", *_COMPUTE))
_ONLY_EXISTS = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity")
_SCOPES: Mapping[str, frozenset[str]] = {
    "Terminating": _OF_PODS,
    "NotTerminating": _OF_PODS,
    "NotBestEffort": _OF_PODS,
    "PriorityClass": _OF_PODS,
    "CrossNamespacePodAffinity": _OF_PODS,
    "BestEffort": frozenset(("pods",)),
    "VolumeAttributesClass": frozenset(("persistentvolumeclaims", "requests.storage")),
}
_OPPOSITES = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_APPLIED = "unsupported scope applied to resource"


def validate(obj: ResourceQuota) -> Sequence[FieldError]:
    """Everything that is wrong with a quota."""
    spec, path = obj.spec, "spec.scopes"
    errors = _validate_amounts("spec.hard", spec.hard)
    for scope in spec.scopes:
        if scope not in _SCOPES:
            errors.append(invalid(path, spec.scopes, "unsupported scope"))
        errors += [invalid(path, spec.scopes, _APPLIED)] * _unfit(scope, spec)
    errors += [invalid(path, spec.scopes, "conflicting scopes")] * _conflicts(spec.scopes)
    if spec.scopeSelector is not None:
        path, wanted = "spec.scopeSelector.matchExpressions", spec.scopeSelector.matchExpressions
        for each_ in wanted:
            if each_.scopeName not in _SCOPES:
                errors.append(invalid(f"{path}.scopeName", each_.scopeName, "unsupported scope"))
            errors += [invalid(path, spec.scopeSelector, _APPLIED)] * _unfit(each_.scopeName, spec)
            errors += _validate_expression(path, each_)
        found = _conflicts(each_.scopeName for each_ in wanted)
        errors += [invalid(path, spec.scopes or None, "conflicting scopes")] * found
    return errors


def _is_standard(name: str) -> bool:
    return name in _STANDARD or name.startswith((PAGES, f"requests.{PAGES}"))


def _validate_amounts(path: str, amounts: Mapping[str, Quantity]) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, amount in amounts.items():
        here = f"{path}[{name}]"
        errors += validate_name(here, name)
        if "/" not in name and not _is_standard(name):
            errors.append(invalid(here, name, "must be a standard resource for quota"))
        errors += validate_amount(here, name, amount)
    return errors


def _unfit(scope: str, spec: ResourceQuotaSpec) -> int:
    """How many of the amounts the scope does not go with."""
    fit = _SCOPES.get(scope)
    return 0 if fit is None else sum(1 for name in spec.hard if _is_standard(name) and name not in fit)


def _conflicts(scopes: Iterable[str]) -> int:
    found = set(scopes)
    return sum(1 for pair in _OPPOSITES if pair <= found)


def _validate_expression(path: str, wanted: ScopedResourceSelectorRequirement) -> list[FieldError]:
    errors: list[FieldError] = []
    if wanted.scopeName in _ONLY_EXISTS and wanted.operator != "Exists":
        which = "ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
        which += "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
        errors.append(invalid(f"{path}.operator", wanted.operator, f"must be 'Exists' when scope is any of {which}"))
    if wanted.operator in ("In", "NotIn"):
        if not wanted.values:
            detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            errors.append(required(f"{path}.values", detail))
    elif wanted.operator in ("Exists", "DoesNotExist"):
        if wanted.values:
            detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            errors.append(invalid(f"{path}.values", wanted.values, detail))
    else:
        errors.append(invalid(f"{path}.operator", wanted.operator, "not a valid selector operator"))
    return errors


def validate_update(new: ResourceQuota, old: ResourceQuota) -> Sequence[FieldError]:
    """The scopes stay."""
    if set(new.spec.scopes) == set(old.spec.scopes):
        return []
    return [invalid("spec.scopes", new.spec.scopes or None, "field is immutable")]


def validate_status(new: ResourceQuota, _: ResourceQuota) -> Sequence[FieldError]:
    """Amounts that can be."""
    return _validate_amounts("status.hard", new.status.hard) + _validate_amounts("status.used", new.status.used)
