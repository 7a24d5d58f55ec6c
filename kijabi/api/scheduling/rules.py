"""What pod groups and templates of them must be; pure.

`podgroup.py` and `workload.py` give these to their Resources. Texts are those of k8s.io/kubernetes
`pkg/apis/scheduling/validation` and of the rules that k8s.io/api `scheduling/v1beta1` states with the types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kijabi.api.conditions import validate_conditions
from kijabi.api.formats import dns_label, dns_subdomain, path_segment_name
from kijabi.api.resource import FieldError
from kijabi.api.validation import duplicate, each, forbidden, invalid, required, too_many, unchanged

if TYPE_CHECKING:
    from kijabi.api.scheduling.podgroup import DisruptionMode, PodGroup, PodGroupSchedulingPolicy
    from kijabi.api.scheduling.workload import PodGroupTemplate, Workload

MOST_TEMPLATES = 8
HIGHEST_OF_USERS = 1_000_000_000


def validate_group(obj: PodGroup) -> Sequence[FieldError]:
    """Everything that is wrong with a group."""
    spec = obj.spec
    errors = _common("spec", spec)
    if (made := spec.workloadRef) is not None:
        errors += _long_name("spec.workloadRef.workloadName", made.workloadName)
        errors += _short_name("spec.workloadRef.templateName", made.templateName)
    return errors


def validate_group_update(new: PodGroup, old: PodGroup) -> Sequence[FieldError]:
    """All but the size of a gang is given for good."""
    errors = _policy_update("spec.schedulingPolicy", new.spec.schedulingPolicy, old.spec.schedulingPolicy)
    for name in ("workloadRef", "disruptionMode", "priorityClassName", "priority"):
        errors += unchanged(f"spec.{name}", getattr(new.spec, name), getattr(old.spec, name))
    return errors


def validate_group_status(new: PodGroup, old: PodGroup) -> Sequence[FieldError]:
    """Everything that is wrong with what is said about a group."""
    errors = validate_conditions("status.conditions", new.status.conditions)
    names = {claim.name for claim in new.spec.resourceClaims}
    for index, made in enumerate(new.status.resourceClaimStatuses):
        if made.name not in names:
            detail = "must match the name of an entry in `spec.resourceClaims`"
            errors.append(invalid(f"status.resourceClaimStatuses[{index}].name", made.name, detail))
    return errors


def validate_workload(obj: Workload) -> Sequence[FieldError]:
    """Everything that is wrong with a workload."""
    spec, path = obj.spec, "spec.podGroupTemplates"
    errors: list[FieldError] = []
    if (ref := spec.controllerRef) is not None:
        if ref.apiGroup:
            errors += each("spec.controllerRef.apiGroup", ref.apiGroup, dns_subdomain(ref.apiGroup))
        for name, value in (("kind", ref.kind), ("name", ref.name)):
            here = f"spec.controllerRef.{name}"
            errors += each(here, value, path_segment_name(value)) if value else [required(here)]
    if not spec.podGroupTemplates:
        errors.append(invalid("spec", "", "must specify one of: `podGroupTemplates`, `compositePodGroupTemplates`"))
    if len(spec.podGroupTemplates) > MOST_TEMPLATES:
        return [*errors, too_many(path, len(spec.podGroupTemplates), MOST_TEMPLATES)]
    seen: set[str] = set()
    for index, template in enumerate(spec.podGroupTemplates):
        here = f"{path}[{index}]"
        if template.name in seen:
            errors.append(duplicate(here, template.name))
        seen.add(template.name)
        errors += _short_name(f"{here}.name", template.name) + _common(here, template)
    if len({(template.priorityClassName, template.priority) for template in spec.podGroupTemplates}) > 1:
        errors.append(invalid("spec", None, "detected multiple priority configurations"))
    return errors


def validate_workload_update(new: Workload, old: Workload) -> Sequence[FieldError]:
    """Who made it and which templates it has is given for good; of a template, all but the size of a gang."""
    errors = unchanged("spec.controllerRef", new.spec.controllerRef, old.spec.controllerRef)
    path = "spec.podGroupTemplates"
    before = {template.name: template for template in old.spec.podGroupTemplates}
    for index, template in enumerate(new.spec.podGroupTemplates):
        here = f"{path}[{index}]"
        known = before.pop(template.name, None)
        errors += _template_update(here, template, known) if known else [forbidden(here, "item may not be added")]
    return [*errors, *(forbidden(path, "item may not be removed") for _ in before)]


def _template_update(path: str, new: PodGroupTemplate, old: PodGroupTemplate) -> list[FieldError]:
    errors = _policy_update(f"{path}.schedulingPolicy", new.schedulingPolicy, old.schedulingPolicy)
    for name in ("disruptionMode", "priorityClassName", "priority"):
        errors += unchanged(f"{path}.{name}", getattr(new, name), getattr(old, name))
    return errors


def _common(path: str, spec: Any) -> list[FieldError]:
    """What a group and a template of one have in common."""
    errors = _policy(f"{path}.schedulingPolicy", spec.schedulingPolicy)
    errors += _disruption(f"{path}.disruptionMode", spec.disruptionMode) if spec.disruptionMode is not None else []
    if spec.priorityClassName:
        errors += _long_name(f"{path}.priorityClassName", spec.priorityClassName)
    if spec.priority is not None and spec.priority > HIGHEST_OF_USERS:
        detail = f"must be less than or equal to {HIGHEST_OF_USERS}"
        errors.append(invalid(f"{path}.priority", spec.priority, detail))
    return errors


def _policy(path: str, policy: PodGroupSchedulingPolicy) -> list[FieldError]:
    errors = _one_of(path, basic=policy.basic, gang=policy.gang)
    if policy.gang is not None and policy.gang.minCount < 1:
        count = policy.gang.minCount
        detail = "must be greater than or equal to 1"
        here = f"{path}.gang.minCount"
        errors.append(invalid(here, count, detail) if count else required(here))
    return errors


def _policy_update(path: str, new: PodGroupSchedulingPolicy, old: PodGroupSchedulingPolicy) -> list[FieldError]:
    errors = unchanged(f"{path}.basic", new.basic, old.basic)
    if old.gang is None and new.gang is not None:
        errors.append(invalid(f"{path}.gang", None, "field cannot be set once created"))
    if old.gang is not None and new.gang is None:
        errors.append(invalid(f"{path}.gang", None, "field cannot be cleared once set"))
    return errors


def _disruption(path: str, mode: DisruptionMode) -> list[FieldError]:
    return _one_of(path, single=mode.single, all=mode.all)


def _one_of(path: str, **members: Any) -> list[FieldError]:
    """An error unless exactly one is set."""
    known = ", ".join(f"`{name}`" for name in members)
    given = [f"`{name}`" for name, value in members.items() if value is not None]
    if len(given) > 1:
        return [invalid(path, "{" + ", ".join(given) + "}", f"must specify exactly one of: {known}")]
    return [] if given else [invalid(path, "", f"must specify one of: {known}")]


def _long_name(path: str, name: str) -> list[FieldError]:
    return each(path, name, dns_subdomain(name)) if name else [required(path)]


def _short_name(path: str, name: str) -> list[FieldError]:
    return each(path, name, dns_label(name)) if name else [required(path)]
