"""What pods may ask of the scheduler: nodes by label, nearness to other pods, even spread, tolerated taints.

`podspec_rules.py` calls these; volumes call those about node selectors. Texts are those of k8s.io/kubernetes
`pkg/apis/core/validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kijabi.api.core.kinds import TAINT_EFFECTS
from kijabi.api.formats import dns_label, dns_subdomain, label_value, qualified_name
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    duplicate,
    each,
    forbidden,
    invalid,
    not_supported,
    one_of,
    required,
    validate_label_selector,
)

if TYPE_CHECKING:
    from kijabi.api.core.affinity import (
        Affinity,
        NodeAffinity,
        PodAffinity,
        PodAffinityTerm,
        PodAntiAffinity,
        Toleration,
        TopologySpreadConstraint,
    )
    from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
    from kijabi.api.meta import LabelSelector

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_BAD_OPERATOR = "not a valid selector operator"


def validate_affinity(path: str, affinity: Affinity | None) -> list[FieldError]:
    """Errors of what a pod asks of its nodes and neighbours."""
    if affinity is None:
        return []
    errors: list[FieldError] = []
    if affinity.nodeAffinity is not None:
        errors += _validate_node_affinity(f"{path}.nodeAffinity", affinity.nodeAffinity)
    if affinity.podAffinity is not None:
        errors += _validate_pod_affinity(f"{path}.podAffinity", affinity.podAffinity)
    if affinity.podAntiAffinity is not None:
        errors += _validate_pod_affinity(f"{path}.podAntiAffinity", affinity.podAntiAffinity)
    return errors


def _weight(path: str, weight: int) -> list[FieldError]:
    return [] if 0 < weight <= 100 else [invalid(f"{path}.weight", weight, "must be in the range 1-100")]


def _validate_node_affinity(path: str, affinity: NodeAffinity) -> list[FieldError]:
    errors: list[FieldError] = []
    if affinity.requiredDuringSchedulingIgnoredDuringExecution is not None:
        wanted = affinity.requiredDuringSchedulingIgnoredDuringExecution
        errors += validate_node_selector(f"{path}.{_REQUIRED}", wanted)
    for index, term in enumerate(affinity.preferredDuringSchedulingIgnoredDuringExecution):
        here = f"{path}.{_PREFERRED}[{index}]"
        errors += _weight(here, term.weight)
        errors += _validate_term(f"{here}.preference", term.preference, any_value=True)
    return errors


def validate_node_selector(path: str, selector: NodeSelector) -> list[FieldError]:
    """Errors of a selector of nodes: any of its terms will do."""
    path = f"{path}.nodeSelectorTerms"
    if not selector.nodeSelectorTerms:
        return [required(path, "must have at least one node selector term")]
    terms = enumerate(selector.nodeSelectorTerms)
    return [error for index, term in terms for error in _validate_term(f"{path}[{index}]", term)]


def _validate_term(path: str, term: NodeSelectorTerm, *, any_value: bool = False) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, wanted in enumerate(term.matchExpressions):
        errors += _validate_expression(f"{path}.matchExpressions[{index}]", wanted, any_value)
    for index, wanted in enumerate(term.matchFields):
        here = f"{path}.matchFields[{index}]"
        if wanted.operator not in ("In", "NotIn"):
            errors.append(invalid(f"{here}.operator", wanted.operator, _BAD_OPERATOR))
        elif len(wanted.values) != 1:
            detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            errors.append(required(f"{here}.values", detail))
        if wanted.key != "metadata.name":
            errors.append(invalid(f"{here}.key", wanted.key, "not a valid field selector key"))
            continue
        for place, value in enumerate(wanted.values):
            errors += each(f"{here}.values[{place}]", value, dns_subdomain(value))
    return errors


def _validate_expression(path: str, wanted: NodeSelectorRequirement, any_value: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    match wanted.operator:
        case "In" | "NotIn":
            if not wanted.values:
                errors.append(required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        case "Exists" | "DoesNotExist":
            if wanted.values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                errors.append(forbidden(f"{path}.values", detail))
        case "Gt" | "Lt":
            if len(wanted.values) != 1:
                detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                errors.append(required(f"{path}.values", detail))
        case _:
            errors.append(invalid(f"{path}.operator", wanted.operator, _BAD_OPERATOR))
    errors += each(f"{path}.key", wanted.key, qualified_name(wanted.key))
    for index, value in enumerate(() if any_value else wanted.values):
        errors += each(f"{path}.values[{index}]", value, label_value(value))
    return errors


def _validate_pod_affinity(path: str, affinity: PodAffinity | PodAntiAffinity) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, term in enumerate(affinity.requiredDuringSchedulingIgnoredDuringExecution):
        errors += _validate_pod_term(f"{path}.{_REQUIRED}[{index}]", term)
    for index, weighted in enumerate(affinity.preferredDuringSchedulingIgnoredDuringExecution):
        here = f"{path}.{_PREFERRED}[{index}]"
        errors += _weight(here, weighted.weight)
        errors += _validate_pod_term(f"{here}.podAffinityTerm", weighted.podAffinityTerm)
    return errors


def _validate_pod_term(path: str, term: PodAffinityTerm) -> list[FieldError]:
    errors = validate_label_selector(term.labelSelector, f"{path}.labelSelector")
    errors += validate_label_selector(term.namespaceSelector, f"{path}.namespaceSelector")
    for name in term.namespaces:
        errors += each(f"{path}.namespace", name, dns_label(name))
    errors += _validate_label_keys(path, term.matchLabelKeys, term.mismatchLabelKeys, term.labelSelector)
    if not term.topologyKey:
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    return errors + each(f"{path}.topologyKey", term.topologyKey, qualified_name(term.topologyKey))


def _validate_label_keys(
    path: str, match: Sequence[str], mismatch: Sequence[str], selector: LabelSelector | None
) -> list[FieldError]:
    """Errors of keys whose values are taken from the pod's own labels (KEP-3633)."""
    errors: list[FieldError] = []
    for name, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if keys and selector is None:
            errors.append(forbidden(f"{path}.{name}", "must not be specified when labelSelector is not set"))
            continue
        for index, key in enumerate(keys):
            errors += each(f"{path}.{name}[{index}]", key, qualified_name(key))
    if selector is not None:
        selected = set(selector.matchLabels)
        for term in selector.matchExpressions:
            if term.key in match and term.key in selected:
                detail = "exists in both matchLabelKeys and labelSelector"
                last = max(place for place, key in enumerate(match) if key == term.key)
                errors.append(invalid(f"{path}[{last}]", term.key, detail))
            selected.add(term.key)
    for index, key in enumerate(match):
        if key in mismatch:
            detail = "exists in both matchLabelKeys and mismatchLabelKeys"
            errors.append(invalid(f"{path}.matchLabelKeys[{index}]", key, detail))
    return errors


def validate_spread(path: str, constraints: Sequence[TopologySpreadConstraint]) -> list[FieldError]:
    """Errors of how evenly pods are to be spread."""
    errors: list[FieldError] = []
    for index, wanted in enumerate(constraints):
        here = f"{path}[{index}]"
        if wanted.maxSkew <= 0:
            errors.append(invalid(f"{here}.maxSkew", wanted.maxSkew, "must be greater than zero"))
        if not wanted.topologyKey:
            errors.append(required(f"{here}.topologyKey", "can not be empty"))
        errors += one_of(f"{here}.whenUnsatisfiable", wanted.whenUnsatisfiable, ("DoNotSchedule", "ScheduleAnyway"))
        pair = (wanted.topologyKey, wanted.whenUnsatisfiable)
        if any((other.topologyKey, other.whenUnsatisfiable) == pair for other in constraints[index + 1 :]):
            errors.append(duplicate(f"{here}.{{topologyKey, whenUnsatisfiable}}", f"{{{pair[0]}, {pair[1]}}}"))
        if wanted.minDomains is not None:
            errors += _validate_min_domains(f"{here}.minDomains", wanted.minDomains, wanted.whenUnsatisfiable)
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            policy = getattr(wanted, name)
            if policy is not None and policy not in ("Honor", "Ignore"):
                errors.append(not_supported(f"{here}.{name}", policy, ("Honor", "Ignore")))
        errors += _validate_label_keys(here, wanted.matchLabelKeys, (), wanted.labelSelector)
        errors += validate_label_selector(wanted.labelSelector, f"{here}.labelSelector")
    return errors


def _validate_min_domains(path: str, least: int, action: str) -> list[FieldError]:
    errors = [invalid(path, least, "must be greater than zero")] if least <= 0 else []
    if action != "DoNotSchedule":
        detail = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        errors.append(invalid(path, least, detail))
    return errors


def validate_tolerations(path: str, tolerations: Sequence[Toleration]) -> list[FieldError]:
    """Errors of the taints that a pod tolerates."""
    errors: list[FieldError] = []
    for index, toleration in enumerate(tolerations):
        here = f"{path}[{index}]"
        if toleration.key:
            errors += each(f"{here}.key", toleration.key, qualified_name(toleration.key))
        elif toleration.operator != "Exists":
            detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            errors.append(invalid(f"{here}.operator", toleration.operator, detail))
        if toleration.tolerationSeconds is not None and toleration.effect != "NoExecute":
            detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(invalid(f"{here}.effect", toleration.effect, detail))
        errors += _validate_toleration_value(f"{here}.operator", toleration)
        if toleration.effect:
            errors += one_of(f"{here}.effect", toleration.effect, TAINT_EFFECTS)
    return errors


def _validate_toleration_value(path: str, toleration: Toleration) -> list[FieldError]:
    match toleration.operator:
        case "" | "Equal":
            wrong = ";".join(label_value(toleration.value))
            return [invalid(path, toleration.value, wrong)] if wrong else []
        case "Exists":
            detail = "value must be empty when `operator` is 'Exists'"
            return [invalid(path, toleration.value, detail)] if toleration.value else []
        case "Lt" | "Gt":
            return [not_supported(path, toleration.operator, ("Equal", "Exists", "Lt", "Gt"))]
        case _:
            return [not_supported(path, toleration.operator, ("Equal", "Exists"))]
