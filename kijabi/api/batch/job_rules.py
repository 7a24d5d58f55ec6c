"""What a job must be: how many pods, when it has failed or done enough, and what an update may change.

`job.py` gives these to its Resource; `cronjob_rules.py` checks its template with `validate_job_spec`. Texts are those
of k8s.io/kubernetes `pkg/apis/batch/validation`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from kijabi.api.core.affinity import Affinity
from kijabi.api.core.pod_warnings import named_warning, template_warnings
from kijabi.api.core.podspec_rules import validate_template
from kijabi.api.formats import dns_label, qualified_name
from kijabi.api.gotext import quote
from kijabi.api.resource import FieldError
from kijabi.api.selector import from_label_selector
from kijabi.api.validation import (
    domain_prefixed,
    duplicate,
    each,
    immutable,
    invalid,
    non_negative,
    not_supported,
    required,
    too_long,
    too_many,
    validate_label_selector,
)
from kijabi.base.errors import BadRequest

if TYPE_CHECKING:
    from kijabi.api.batch.job import Job, JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule
    from kijabi.api.core.pod import PodSpec
    from kijabi.api.core.podtemplate import PodTemplateSpec

_MOST_INDEXED, _MANY, _FEWER = 100_000, 100_000, 10_000
_MOST_RULES, _MOST_CODES, _LONGEST_MANAGER, _LONGEST_INDEXES = 20, 255, 63, 64 * 1024
_ACTIONS = ("Count", "FailIndex", "FailJob", "Ignore")
_INDEXED = "requires indexed completion mode"
_WITH_LIMIT = f"when completions are above {_MANY} and used with backoff limit per index"
_COUNTS = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)
_PREFIX = "batch.kubernetes.io/"


def validate(obj: Job) -> Sequence[FieldError]:
    """Everything that is wrong with a job."""
    errors = [] if obj.metadata.resourceVersion else _validate_generated(obj)
    spec, name = obj.spec, obj.metadata.name
    errors += validate_job_spec("spec", spec)
    if spec.selector is None:
        errors.append(required("spec.selector"))
    errors += validate_label_selector(spec.selector, "spec.selector")
    labels = spec.template.metadata.labels
    if not _fits(obj, labels):
        detail = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", labels or None, detail))
    if spec.completionMode == "Indexed" and spec.completions:
        host = f"{name}-{spec.completions - 1}"
        if dns_label(host):
            detail = f"will not able to create pod with invalid DNS label: {host}"
            errors.append(invalid("metadata.name", name, detail))
    return errors


def _fits(obj: Job, labels: dict[str, str]) -> bool:
    try:
        return from_label_selector(obj.spec.selector).matches(labels)
    except BadRequest:
        return True  # said elsewhere


def _validate_generated(obj: Job) -> list[FieldError]:
    """Errors of the selector that `prepare` made, which labels given by hand may have spoiled."""
    if obj.spec.manualSelector or obj.spec.selector is None:
        return []
    errors: list[FieldError] = []
    labels = obj.spec.template.metadata.labels
    uid, name = obj.metadata.uid, obj.metadata.name
    wanted = {"controller-uid": uid, "job-name": name, f"{_PREFIX}controller-uid": uid, f"{_PREFIX}job-name": name}
    for key, value in wanted.items():
        path, detail = f"spec.template.metadata.labels[{key}]", f"must be '{value}'"
        if key not in labels:
            errors.append(required(path, detail))
        elif labels[key] != value:
            errors.append(invalid(path, labels, detail))
    if not _fits(obj, wanted):
        errors.append(invalid("spec.selector", obj.spec.selector, "`selector` not auto-generated"))
    return errors


def validate_job_spec(path: str, spec: JobSpec) -> list[FieldError]:
    """Errors of what a job, or a template of one, is to do."""
    errors = [error for name in _COUNTS for error in non_negative(f"{path}.{name}", getattr(spec, name))]
    if spec.managedBy is not None:
        errors += domain_prefixed(f"{path}.managedBy", spec.managedBy)
        if len(spec.managedBy) > _LONGEST_MANAGER:
            errors.append(too_long(f"{path}.managedBy", _LONGEST_MANAGER))
    if spec.completionMode not in (None, "NonIndexed", "Indexed"):
        errors.append(not_supported(f"{path}.completionMode", spec.completionMode, ("NonIndexed", "Indexed")))
    if spec.completionMode == "Indexed":
        errors += _validate_indexed(path, spec)
    elif spec.completionMode in (None, "NonIndexed"):
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if getattr(spec, name) is not None:
                errors.append(invalid(f"{path}.{name}", getattr(spec, name), _INDEXED))
    if spec.podFailurePolicy is not None:
        errors += _validate_failures(f"{path}.podFailurePolicy.rules", spec)
    if spec.successPolicy is not None:
        if spec.completionMode != "Indexed":
            errors.append(invalid(f"{path}.successPolicy", spec.successPolicy, _INDEXED))
        else:
            errors += _validate_success(f"{path}.successPolicy.rules", spec)
    if spec.podReplacementPolicy is not None:
        known = ("Failed", "TerminatingOrFailed") if spec.podFailurePolicy is None else ("Failed",)
        if spec.podReplacementPolicy not in known:
            errors.append(not_supported(f"{path}.podReplacementPolicy", spec.podReplacementPolicy, known))
    errors += validate_template(f"{path}.template", spec.template) + _validate_restarts(path, spec)
    if spec.maxFailedIndexes is not None and spec.backoffLimitPerIndex is None:
        errors.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    return errors


def _validate_restarts(path: str, spec: JobSpec) -> list[FieldError]:
    path, policy = f"{path}.template.spec.restartPolicy", spec.template.spec.restartPolicy
    if policy in ("", "Always"):
        return [required(path, 'valid values: "OnFailure", "Never"')]
    if policy not in ("OnFailure", "Never"):
        return [not_supported(path, policy, ("OnFailure", "Never"))]
    if spec.podFailurePolicy is not None and policy != "Never":
        return [invalid(path, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def _validate_indexed(path: str, spec: JobSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    wanted, at_once, failed = spec.completions, spec.parallelism or 0, spec.maxFailedIndexes
    if wanted is None:
        errors.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if at_once > _MOST_INDEXED:
        detail = f"must be less than or equal to {_MOST_INDEXED} when completion mode is Indexed"
        errors.append(invalid(f"{path}.parallelism", at_once, detail))
    if wanted is not None and failed is not None and failed > wanted:
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, "must be less than or equal to completions"))
    if failed is not None and failed > _MOST_INDEXED:
        errors.append(invalid(f"{path}.maxFailedIndexes", failed, f"must be less than or equal to {_MOST_INDEXED}"))
    if wanted is None or wanted <= _MANY or spec.backoffLimitPerIndex is None:
        return errors
    if failed is None:
        detail = f"must be specified when completions is above {_MANY}"
        errors.append(required(f"{path}.maxFailedIndexes", detail))
    for name, value in (("parallelism", at_once), ("maxFailedIndexes", failed or 0)):
        if value > _FEWER:
            detail = f"must be less than or equal to {_FEWER} {_WITH_LIMIT}"
            errors.append(invalid(f"{path}.{name}", value, detail))
    return errors


def _validate_failures(path: str, spec: JobSpec) -> list[FieldError]:
    rules = spec.podFailurePolicy.rules if spec.podFailurePolicy is not None else ()
    errors = [too_many(path, len(rules), _MOST_RULES)] if len(rules) > _MOST_RULES else []
    pod = spec.template.spec
    names = {container.name for container in (*pod.containers, *pod.initContainers)}
    for index, rule in enumerate(rules):
        here = f"{path}[{index}]"
        if not rule.action:
            errors.append(required(f"{here}.action", f"valid values: [{' '.join(map(quote, _ACTIONS))}]"))
        elif rule.action == "FailIndex" and spec.backoffLimitPerIndex is None:
            errors.append(invalid(f"{here}.action", rule.action, "requires the backoffLimitPerIndex to be set"))
        elif rule.action not in _ACTIONS:
            errors.append(not_supported(f"{here}.action", rule.action, _ACTIONS))
        if rule.onExitCodes is not None:
            errors += _validate_codes(f"{here}.onExitCodes", rule.onExitCodes, names)
        errors += _validate_conditions(f"{here}.onPodConditions", rule)
        given = (rule.onExitCodes is not None, bool(rule.onPodConditions))
        if all(given):
            detail = "specifying both OnExitCodes and OnPodConditions is not supported"
            errors.append(without_value(here, detail))
        elif not any(given):
            detail = "specifying one of OnExitCodes and OnPodConditions is required"
            errors.append(without_value(here, detail))
    return errors


def without_value(path: str, detail: str) -> FieldError:
    """An error that does not repeat what was given."""
    return FieldError(path, "FieldValueInvalid", f"Invalid value: {detail}")


def _validate_conditions(path: str, rule: PodFailurePolicyRule) -> list[FieldError]:
    patterns = rule.onPodConditions
    errors = [too_many(path, len(patterns), _MOST_RULES)] if len(patterns) > _MOST_RULES else []
    for index, pattern in enumerate(patterns):
        errors += each(f"{path}[{index}].type", pattern.type, qualified_name(pattern.type))
        if pattern.status not in ("False", "True", "Unknown"):
            errors.append(not_supported(f"{path}[{index}].status", pattern.status, ("False", "True", "Unknown")))
    return errors


def _validate_codes(
    path: str, wanted: PodFailurePolicyOnExitCodesRequirement, names: Container[str]
) -> list[FieldError]:
    errors: list[FieldError] = []
    if not wanted.operator:
        errors.append(required(f"{path}.operator", 'valid values: ["In" "NotIn"]'))
    elif wanted.operator not in ("In", "NotIn"):
        errors.append(not_supported(f"{path}.operator", wanted.operator, ("In", "NotIn")))
    if wanted.containerName is not None and wanted.containerName not in names:
        detail = "must be one of the container or initContainer names in the pod template"
        errors.append(invalid(f"{path}.containerName", wanted.containerName, detail))
    here, codes = f"{path}.values", wanted.values
    if not codes:
        errors.append(invalid(here, None, "at least one value is required"))
    elif len(codes) > _MOST_CODES:
        errors.append(too_many(here, len(codes), _MOST_CODES))
    for index, code in enumerate(codes):
        if wanted.operator == "In" and not code:
            errors.append(invalid(f"{here}[{index}]", code, "must not be 0 for the In operator"))
        if code in codes[:index]:
            errors.append(duplicate(f"{here}[{index}]", code))
    return errors if list(codes) == sorted(codes) else [*errors, invalid(here, codes, "must be ordered")]


def _validate_success(path: str, spec: JobSpec) -> list[FieldError]:
    rules = spec.successPolicy.rules if spec.successPolicy is not None else ()
    errors: list[FieldError] = []
    if not rules:
        errors.append(required(path, "at least one rules must be specified when the successPolicy is specified"))
    elif len(rules) > _MOST_RULES:
        errors.append(too_many(path, len(rules), _MOST_RULES))
    wanted = spec.completions or 0
    for index, rule in enumerate(rules):
        here, total, limit = f"{path}[{index}]", 0, rule.succeededCount
        if limit is None and rule.succeededIndexes is None:
            detail = "at least one of succeededCount or succeededIndexes must be specified"
            errors.append(required(here, detail))
        if rule.succeededIndexes is not None:
            place, text = f"{here}.succeededIndexes", rule.succeededIndexes
            if len(text) > _LONGEST_INDEXES:
                errors.append(too_long(place, _LONGEST_INDEXES))
            try:
                total = count_indexes(text, wanted)
            except ValueError as error:
                errors.append(invalid(place, text, f"error parsing succeededIndexes: {error}"))
        if limit is None:
            continue
        errors += non_negative(f"{here}.succeededCount", limit)
        what = "must be less than or equal to"
        if limit > wanted:
            detail = f"{what} {wanted} (the number of specified completions)"
            errors.append(invalid(f"{here}.succeededCount", limit, detail))
        if rule.succeededIndexes is not None and limit > total:
            detail = f"{what} {total} (the number of indexes in the specified succeededIndexes field)"
            errors.append(invalid(f"{here}.succeededCount", limit, detail))
    return errors


def count_indexes(text: str, completions: int) -> int:
    """How many indexes `1,3-5,7` names. Raises ValueError, in upstream's words, if it is out of order or bounds."""
    total, last = 0, -1
    for part in text.split(",") if text else ():
        limits = part.split("-")
        if len(limits) > 2:
            rule = "the requirement that an index interval can have at most two parts separated by '-'"
            raise ValueError(f"the fragment {quote(part)} violates {rule}")
        found = [_index(limit, completions) for limit in limits]
        if len(found) == 2 and found[0] >= found[1]:
            raise ValueError(f"non-increasing order, previous: {found[0]}, current: {found[1]}")
        if last >= found[0]:
            raise ValueError(f"non-increasing order, previous: {last}, current: {found[0]}")
        total += found[-1] - found[0] + 1
        last = found[-1]
    return total


def _index(text: str, completions: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"cannot convert string to integer for index: {quote(text)}")
    if int(text) >= completions:
        raise ValueError(f"too large index: {quote(text)}")
    return int(text)


def validate_update(new: Job, old: Job) -> Sequence[FieldError]:
    """What an update changes that is given for good; a suspended job may yet be placed and sized anew."""
    spec, before = new.spec, old.spec
    errors = _validate_completions(spec, before)
    errors += immutable("spec.selector", spec.selector, before.selector)
    errors += _validate_template(spec.template, old)
    for name in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        errors += immutable(f"spec.{name}", getattr(spec, name), getattr(before, name))
    return errors


def _validate_completions(new: JobSpec, old: JobSpec) -> list[FieldError]:
    path = "spec.completions"
    if new.completionMode != "Indexed":
        return immutable(path, new.completions, old.completions)
    if new.completions is None or new.completions == old.completions or new.completions == new.parallelism:
        return []
    return [invalid(path, new.completions, "can only be modified in tandem with spec.parallelism")]


def _validate_template(template: PodTemplateSpec, old: Job) -> list[FieldError]:
    suspended = next((each_.status for each_ in old.status.conditions if each_.type == "Suspended"), "") == "True"
    idle = (old.status.startTime is None or suspended) and not old.status.active
    before = old.spec.template
    if not (old.spec.suspend and idle):
        return immutable("spec.template", template, before)
    kept = _with_resources(_with_places(before.spec, template.spec), template.spec)
    return immutable("spec.template.spec", template.spec, kept)


def _with_places(old: PodSpec, new: PodSpec) -> PodSpec:
    """The old spec with what the new one says of nodes."""
    wanted = new.affinity.nodeAffinity if new.affinity is not None else None
    affinity = structs.replace(old.affinity or Affinity(), nodeAffinity=wanted)
    return structs.replace(
        old,
        affinity=new.affinity if affinity == (new.affinity or Affinity()) else affinity,
        nodeSelector=new.nodeSelector,
        tolerations=new.tolerations,
        schedulingGates=new.schedulingGates,
    )


def _with_resources(old: PodSpec, new: PodSpec) -> PodSpec:
    """The old spec with what the new one says of resources."""
    lists = {}
    for name in ("containers", "initContainers"):
        mine, before = getattr(new, name), getattr(old, name)
        same = [each_.name for each_ in mine] == [each_.name for each_ in before]
        lists[name] = (
            tuple(structs.replace(two, resources=one.resources) for one, two in zip(mine, before, strict=True))
            if same
            else before
        )
    return structs.replace(old, **lists)


def spec_warnings(path: str, spec: JobSpec) -> list[str]:
    """Warnings of what a job, or a template of one, is to do."""
    found = []
    if spec.completionMode == "Indexed" and (spec.completions or 0) > _MANY and (spec.parallelism or 0) > _FEWER:
        text = "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
        text += "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        found.append(f"{path}: {text}")
    return found + template_warnings(f"{path}.template", spec.template)


def warnings(obj: Job) -> Sequence[str]:
    """What a client should be told of a job that is accepted."""
    named = [] if obj.metadata.resourceVersion else named_warning(obj.metadata.name)
    return named + spec_warnings("spec", obj.spec)
