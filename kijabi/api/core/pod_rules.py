"""What a Pod must be beyond its spec: what a write prepares, what updates may change, what status may say.

`pod.py` gives these to its Resource. A pod's spec is nearly all given for good; its status may not bring ended
containers back. Texts are those of k8s.io/kubernetes `pkg/apis/core/validation` and `pkg/registry/core/pod`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from kijabi.api.core.affinity import Affinity
from kijabi.api.core.container_rules import validate_images
from kijabi.api.core.podspec_rules import container_requests, validate_pod_annotations, validate_spec
from kijabi.api.core.podstatus import PodCondition
from kijabi.api.formats import dns_subdomain, in_range, qualified_name
from kijabi.api.gotext import difference
from kijabi.api.meta import LabelSelector, LabelSelectorRequirement, time_now
from kijabi.api.quantity import Quantity
from kijabi.api.resource import FieldError
from kijabi.api.validation import each, forbidden, immutable, internal, invalid, ip_legacy, non_negative, required

if TYPE_CHECKING:
    from kijabi.api.core.container import Container
    from kijabi.api.core.pod import Pod, PodSpec
    from kijabi.api.core.podstatus import ContainerStatus, HostIP, PodIP
    from kijabi.api.core.resources import ResourceRequirements

_MIRROR = "kubernetes.io/config.mirror"
_CHANGEABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)

# Before validation


def prepare(new: Pod, old: Pod | None) -> None:
    """A new pod waits, in the class that its requests give it; an old one keeps what it asks for as a whole."""
    if old is not None:
        if new.spec.resources is None:
            new.spec.resources = old.spec.resources
        return
    new.status.phase = "Pending"
    if new.spec.schedulingGates:
        blocked = PodCondition(
            type="PodScheduled",
            status="False",
            lastTransitionTime=time_now(),
            reason="SchedulingGated",
            message="Scheduling is blocked due to non-empty scheduling gates",
        )
        new.status.conditions = (blocked,)
    _merge_label_keys(new)
    _fill_pod_resources(new.spec)
    new.status.qosClass = qos_class(new.spec)


def qos_class(spec: PodSpec) -> str:
    """Guaranteed, Burstable or BestEffort: who is pushed out first when a node runs short."""
    whole = spec.resources
    if whole is not None and (_computes(whole.requests) or _computes(whole.limits)):
        return _class_of(whole)
    found = {_class_of(container.resources) for container in (*spec.initContainers, *spec.containers)}
    if not found:
        return "BestEffort"
    return found.pop() if len(found) == 1 else "Burstable"


def _computes(amounts: dict[str, Quantity]) -> bool:
    return "cpu" in amounts or "memory" in amounts


def _class_of(resources: ResourceRequirements) -> str:
    found = set()
    for name in ("cpu", "memory"):
        request, limit = (amounts.get(name, Quantity()) for amounts in (resources.requests, resources.limits))
        if request.cmp(limit):
            return "Burstable"
        found.add("BestEffort" if request.is_zero() else "Guaranteed")
    return found.pop() if len(found) == 1 else "Burstable"


def _fill_pod_resources(spec: PodSpec) -> None:
    """What the pod as a whole asks for follows what its containers ask, then its limits (KEP-2837)."""
    whole = spec.resources
    if whole is None or not (whole.requests or whole.limits):
        return
    asked = container_requests(spec)
    for name, amount in asked.items():
        if name in ("cpu", "memory"):
            whole.requests.setdefault(name, amount)
    for name, amount in whole.limits.items():
        whole.requests.setdefault(name, amount)


def _merge_label_keys(pod: Pod) -> None:
    """Selectors that name keys of the pod's own labels get the labels' values (KEP-3633, KEP-3243)."""
    affinity = pod.spec.affinity or Affinity()
    for nearness in (affinity.podAffinity, affinity.podAntiAffinity):
        if nearness is None:
            continue
        preferred = [each_.podAffinityTerm for each_ in nearness.preferredDuringSchedulingIgnoredDuringExecution]
        for term in (*nearness.requiredDuringSchedulingIgnoredDuringExecution, *preferred):
            _merge_keys(pod, term.labelSelector, term.matchLabelKeys, "In")
            _merge_keys(pod, term.labelSelector, term.mismatchLabelKeys, "NotIn")
    for constraint in pod.spec.topologySpreadConstraints:
        _merge_keys(pod, constraint.labelSelector, constraint.matchLabelKeys, "In")


def _merge_keys(pod: Pod, selector: LabelSelector | None, keys: Sequence[str], operator: str) -> None:
    labels = pod.metadata.labels
    if selector is not None:
        new = [LabelSelectorRequirement(key, operator, (labels[key],)) for key in keys if key in labels]
        selector.matchExpressions = (*selector.matchExpressions, *new)


# Validation


def validate(pod: Pod) -> Sequence[FieldError]:
    """Everything that is wrong with a pod."""
    spec = pod.spec
    errors = validate_pod_annotations("metadata.annotations", pod.metadata.annotations, spec)
    errors += validate_spec("spec", spec, pod.metadata.name, is_pod=True)
    for index, volume in enumerate(spec.volumes):
        for place, source in enumerate(volume.projected.sources if volume.projected else ()):
            if source.serviceAccountToken is not None and not spec.serviceAccountName:
                here = f"spec.volumes[{index}].projected.sources[{place}].serviceAccountToken"
                errors.append(forbidden(here, "must not be specified when serviceAccountName is not set"))
    errors += non_negative("spec.terminationGracePeriodSeconds", spec.terminationGracePeriodSeconds)
    errors += validate_images("spec.containers", spec.containers)
    errors += validate_images("spec.initContainers", spec.initContainers)
    if not pod.metadata.resourceVersion:
        errors += _validate_new(spec)
    return errors


def _validate_new(spec: PodSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    if spec.ephemeralContainers:
        errors.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.nodeName and spec.schedulingGates:
        errors.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    return errors


def validate_update(new: Pod, old: Pod) -> Sequence[FieldError]:
    """What an update of the pod itself changes that it may not."""
    errors = _validate_mirror(new, old)
    for name in ("containers", "initContainers"):
        found: tuple[Container, ...] = getattr(new.spec, name)
        if len(found) != len(getattr(old.spec, name)):
            return [*errors, forbidden(f"spec.{name}", "pod updates may not add or remove containers")]
        errors += [required(f"spec.{name}[{i}].image") for i, container in enumerate(found) if not container.image]
    deadline = _validate_deadline(new.spec.activeDeadlineSeconds, old.spec.activeDeadlineSeconds)
    errors += deadline
    if deadline and new.spec.activeDeadlineSeconds is not None:
        return errors
    errors += _validate_tolerations(new.spec, old.spec)
    known = {gate.name for gate in old.spec.schedulingGates}
    for index, gate in enumerate(new.spec.schedulingGates):
        if gate.name not in known:
            detail = f"only deletion is allowed, but found new scheduling gate '{gate.name}'"
            errors.append(forbidden(f"spec.schedulingGates[{index}].name", detail))
    return errors if new.spec == old.spec else errors + _validate_rest(new.spec, old.spec)


def _validate_mirror(new: Pod, old: Pod) -> list[FieldError]:
    path = f"metadata.annotations[{_MIRROR}]"
    value, before = new.metadata.annotations.get(_MIRROR), old.metadata.annotations.get(_MIRROR)
    if value == before:
        return []
    if value is None:
        return [forbidden(path, "may not remove or update mirror pod annotation")]
    verb = "add" if before is None else "remove or update"
    return [forbidden(path, f"may not {verb} mirror pod annotation")]


def _validate_deadline(new: int | None, old: int | None) -> list[FieldError]:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        detail = "must not update from a positive integer to nil value"
        return [] if old is None else [invalid(path, None, detail)]
    problems = in_range(new, 0, 2**31 - 1)
    if not problems and old is not None and old < new:
        problems = ["must be less than or equal to previous value"]
    return each(path, new, problems)


def _validate_tolerations(new: PodSpec, old: PodSpec) -> list[FieldError]:
    kept = [msgspec.structs.replace(toleration, tolerationSeconds=None) for toleration in new.tolerations]
    for toleration in old.tolerations:
        if msgspec.structs.replace(toleration, tolerationSeconds=None) not in kept:
            detail = "existing toleration can not be modified except its tolerationSeconds"
            return [forbidden("spec.tolerations", detail)]
    return []


def _validate_rest(new: PodSpec, old: PodSpec) -> list[FieldError]:
    """An error unless all that changed is what may."""
    errors: list[FieldError] = []
    changed = msgspec.structs.replace(
        new,
        containers=_with_images(new.containers, old.containers),
        initContainers=_with_images(new.initContainers, old.initContainers),
        activeDeadlineSeconds=old.activeDeadlineSeconds,
        schedulingGates=old.schedulingGates,
        tolerations=old.tolerations,
    )
    grace = old.terminationGracePeriodSeconds
    if grace is not None and grace < 0 and changed.terminationGracePeriodSeconds == 1:
        changed.terminationGracePeriodSeconds = grace
    if old.schedulingGates:
        errors += _validate_gated(changed, old)
    if changed != old:
        detail = f"pod updates may not change fields other than {_CHANGEABLE}\n{difference(old, changed)}"
        errors.append(forbidden("spec", detail))
    return errors


def _with_images(new: Iterable[Container], old: Iterable[Container]) -> tuple[Container, ...]:
    pairs = zip(new, old, strict=True)
    return tuple(msgspec.structs.replace(mine, image=other.image) for mine, other in pairs)


def _validate_gated(changed: PodSpec, old: PodSpec) -> list[FieldError]:
    """A pod that is held back may still narrow where it goes (KEP-3838); takes those changes out of `changed`."""
    errors: list[FieldError] = []
    if any(changed.nodeSelector.get(key) != value for key, value in old.nodeSelector.items()):
        detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        errors.append(invalid("spec.nodeSelector", changed.nodeSelector, detail))
    changed.nodeSelector = old.nodeSelector
    before = old.affinity.nodeAffinity if old.affinity else None
    after = changed.affinity.nodeAffinity if changed.affinity else None
    if before == after:
        return errors
    wanted = before.requiredDuringSchedulingIgnoredDuringExecution if before else None
    given = after.requiredDuringSchedulingIgnoredDuringExecution if after else None
    terms, now = wanted.nodeSelectorTerms if wanted else (), given.nodeSelectorTerms if given else ()
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    if terms and len(terms) != len(now):
        detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        errors.append(invalid(path, now, detail))
    for index, (mine, other) in enumerate(zip(now, terms, strict=False)):
        if any(
            getattr(mine, name)[: len(getattr(other, name))] != getattr(other, name)
            for name in ("matchExpressions", "matchFields")
        ):
            detail = "only additions are allowed (no mutations or deletions)"
            errors.append(invalid(f"{path}[{index}]", mine, detail))
    merged = msgspec.structs.replace(changed.affinity or Affinity(), nodeAffinity=before)
    changed.affinity = old.affinity if merged == (old.affinity or Affinity()) else merged
    return errors


# Status


def validate_status(new: Pod, old: Pod) -> Sequence[FieldError]:
    """What a write of the status says that cannot be."""
    status, before = new.status, old.status
    errors = _validate_mirror(new, old)
    for index, condition in enumerate(status.conditions):
        here = f"status.conditions[{index}]"
        if condition.observedGeneration < 0:
            detail = "must be a non-negative integer"
            errors.append(invalid(f"{here}.observedGeneration", condition.observedGeneration, detail))
        if condition.type not in ("PodScheduled", "Ready", "Initialized"):
            errors += each(f"{here}.Type", condition.type, qualified_name(condition.type))
    nominated = status.nominatedNodeName
    if nominated and nominated != before.nominatedNodeName:
        path = "status.nominatedNodeName"
        errors += each(path, nominated, dns_subdomain(nominated))
        if old.spec.nodeName:
            errors.append(forbidden(path, "may not be set on pods that are already bound to a node"))
    if status.observedGeneration < 0:
        detail = "must be a non-negative integer"
        errors.append(invalid("status.observedGeneration", status.observedGeneration, detail))
    errors += immutable("status.qosClass", status.qosClass, before.qosClass)
    for name, containers in (
        ("containerStatuses", old.spec.containers),
        ("initContainerStatuses", old.spec.initContainers),
    ):
        errors += _validate_ended(f"status.{name}", getattr(status, name), getattr(before, name), old.spec, containers)
    errors += _validate_ended(
        "status.ephemeralContainerStatuses",
        status.ephemeralContainerStatuses,
        before.ephemeralContainerStatuses,
        None,
        (),
    )
    errors += _validate_addresses("podIP", status.podIP, status.podIPs)
    return errors + _validate_addresses("hostIP", status.hostIP, status.hostIPs)


def _validate_ended(
    path: str,
    new: Sequence[ContainerStatus],
    old: Sequence[ContainerStatus],
    spec: PodSpec | None,
    containers: Iterable[Container],
) -> list[FieldError]:
    """A container that ended stays so, unless its policy restarts it; without a spec nothing restarts."""
    by_name = {container.name: container for container in containers}
    if spec is not None and _may_restart_all(spec):
        return []
    errors: list[FieldError] = []
    for index, before in enumerate(old):
        ended = before.state.terminated
        after = next((each_ for each_ in new if each_.name == before.name), None)
        if ended is None or after is None or after.state.terminated is not None:
            continue
        container = by_name.get(before.name)
        if spec is None or container is None or not _restarts(container, spec, ended.exitCode):
            errors.append(forbidden(f"{path}[{index}].state", "may not be transitioned to non-terminated state"))
    return errors


def _may_restart_all(spec: PodSpec) -> bool:
    rules = (rule for each_ in (*spec.initContainers, *spec.containers) for rule in each_.restartPolicyRules)
    return any(rule.action == "RestartAllContainers" for rule in rules)


def _restarts(container: Container, spec: PodSpec, code: int) -> bool:
    if container.restartPolicy is not None:
        for rule in container.restartPolicyRules:
            if rule.exitCodes is not None and (code in rule.exitCodes.values) == (rule.exitCodes.operator == "In"):
                return True
    policy = container.restartPolicy or spec.restartPolicy
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def _validate_addresses(name: str, first: str, found: Sequence[PodIP | HostIP]) -> list[FieldError]:
    path, addresses = f"status.{name}s", [each_.ip for each_ in found]
    errors: list[FieldError] = []
    for index, address in enumerate(addresses):
        wrong = ip_legacy(f"{path}[{index}]", address)
        errors += wrong
        if wrong and len(addresses) > 1:
            errors.append(internal(path, f"failed to check for dual stack with error:invalid IP[{index}]: {address}"))
    if len(addresses) > 2 or len({":" in address for address in addresses}) < len(addresses):
        errors.append(invalid(path, found, "may specify no more than one IP for each IP family"))
    if name == "podIP" and bool(first) != bool(addresses):
        errors.append(invalid(path, found, "podIP and podIPs must either both be set or both be unset"))
    elif addresses and first != addresses[0]:
        errors.append(invalid(f"{path}[0].ip", addresses[0], f"must be equal to `{name}`"))
    return errors
