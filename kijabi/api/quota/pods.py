"""What a pod takes of a quota: itself, and what it asks for; and the scopes that pods fall into.

`evaluators.py` has this beside the other kinds. A pod that has ended takes nothing but its place among objects.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from kijabi.api.core.affinity import PodAffinityTerm, WeightedPodAffinityTerm
from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.pod_rules import qos_class
from kijabi.api.core.podstatus import ContainerStatus
from kijabi.api.core.resourcequota import ScopedResourceSelectorRequirement
from kijabi.api.core.resources import ResourceList, ResourceRequirements
from kijabi.api.formats import qualified_name
from kijabi.api.quantity import Quantity
from kijabi.api.quota.amounts import Amounts, add, highest, over_containers

COUNT = "count/pods"
PAGES = "hugepages-"
DEVICE_CLASS = "deviceclass.resource.kubernetes.io/"
ONE = Quantity("1")
NAMES = frozenset((
    COUNT, "pods", "cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory",
    "requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage",
))  # fmt: skip
COMPUTE = ("cpu", "memory", "ephemeral-storage")
DEMANDED = frozenset(("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"))


def is_extended(name: str) -> bool:
    """Whether `requests.…` names a device or another resource that is not Kubernetes' own."""
    if not name.startswith("requests."):
        return False
    native = "/" not in name or "kubernetes.io/" in name
    return not native or name.startswith(f"requests.{DEVICE_CLASS}")


def counts(name: str) -> bool:
    """Whether pods count for this name of a quota."""
    return name in NAMES or name.startswith((PAGES, f"requests.{PAGES}")) or is_extended(name)


# Usage


def ended(pod: Pod, now: datetime) -> bool:
    """It asks for nothing any more: it has ended, or its kubelet should long have said so."""
    if pod.status.phase in ("Failed", "Succeeded"):
        return True
    until = overdue(pod)
    return until is not None and now.timestamp() > until


def overdue(pod: Pod) -> float | None:
    """When a pod that is being deleted stops to count, in seconds since the epoch."""
    own = pod.metadata
    if own.deletionTimestamp is None or own.deletionGracePeriodSeconds is None:
        return None
    return own.deletionTimestamp.timestamp() + own.deletionGracePeriodSeconds


def usage(pod: Pod, now: datetime) -> ResourceList:
    """What the pod takes."""
    result: ResourceList = {COUNT: ONE}
    if not ended(pod, now):
        result.update(_of(_requests(pod), _limits(pod)))
    return result


def _of(requests: Amounts, limits: Amounts) -> ResourceList:
    """Requests and limits under the names of quotas."""
    result: ResourceList = {"pods": ONE}
    for name, amount in requests.items():
        if name in COMPUTE or name.startswith(PAGES):
            result[name] = result[f"requests.{name}"] = amount
        elif _is_device(name):
            result[f"requests.{name}"] = amount
    for name in COMPUTE:
        if name in limits:
            result[f"limits.{name}"] = limits[name]
    return result


def _is_device(name: str) -> bool:
    if name.startswith(DEVICE_CLASS):
        return True
    if "/" not in name or "kubernetes.io/" in name or name.startswith("requests."):
        return False
    return not qualified_name(f"requests.{name}")


def _infeasible(pod: Pod) -> bool:
    pending = next((each for each in pod.status.conditions if each.type == "PodResizePending"), None)
    return pending is not None and pending.reason == "Infeasible"


def _requests(pod: Pod) -> ResourceList:
    """The most that its containers ask for, were given, or hold: a resize counts at once (KEP-1287)."""
    hopeless = _infeasible(pod)
    found = _statuses(pod)

    def wanted(container: Container) -> Amounts:
        return container.resources.requests

    def allocated(container: Container) -> Amounts:
        state = found.get(container.name)
        if state is not None and state.allocatedResources:
            return state.allocatedResources
        return {} if hopeless else container.resources.requests

    def actuated(container: Container) -> Amounts:
        state = found.get(container.name)
        if state is not None and state.resources is not None and state.resources.requests:
            return state.resources.requests
        return allocated(container)

    total = over_containers(pod.spec, wanted)
    if found:
        given = highest(over_containers(pod.spec, actuated), over_containers(pod.spec, allocated))
        total = given if hopeless else highest(total, given)
    if pod.spec.resources is not None:
        total.update(_of_pod(pod.spec.resources.requests))
    add(total, pod.spec.overhead)
    return total


def _limits(pod: Pod) -> ResourceList:
    hopeless = _infeasible(pod)
    found = _statuses(pod)

    def actuated(container: Container) -> Amounts:
        state = found.get(container.name)
        if state is not None and state.resources is not None and state.resources.limits:
            return state.resources.limits
        return {} if hopeless else container.resources.limits

    total = over_containers(pod.spec, lambda container: container.resources.limits)
    if found:
        given = over_containers(pod.spec, actuated)
        total = given if hopeless else highest(total, given)
    if pod.spec.resources is not None:
        total.update(_of_pod(pod.spec.resources.limits))
    for name, amount in pod.spec.overhead.items():
        if name in total and not total[name].is_zero():
            total[name] = total[name].plus(amount)
    return total


def _statuses(pod: Pod) -> dict[str, ContainerStatus]:
    """The states of containers that say what they were given; none in the life of most pods."""
    return {
        each.name: each
        for each in (*pod.status.initContainerStatuses, *pod.status.containerStatuses)
        if each.resources is not None or each.allocatedResources
    }


def _of_pod(amounts: Amounts) -> ResourceList:
    """Of a pod's own resources those that may be stated for it as a whole (KEP-2837)."""
    return {name: amount for name, amount in amounts.items() if name in ("cpu", "memory") or name.startswith(PAGES)}


# Constraints


def missing(pod: Pod, names: Iterable[str]) -> str:
    """What containers must state because a quota counts it: `must specify …`; nothing if they do."""
    whole = pod.spec.resources
    if whole is not None and (_of_pod(whole.requests) or _of_pod(whole.limits)):
        return ""
    demanded = DEMANDED.intersection(names)
    silent: dict[str, set[str]] = {}
    for container in (*pod.spec.containers, *pod.spec.initContainers):
        for name in demanded - _stated(container.resources):
            silent.setdefault(name, set()).add(container.name)
    if not silent:
        return ""
    return "must specify " + "; ".join(f"{name} for: {','.join(sorted(silent[name]))}" for name in sorted(silent))


def _stated(resources: ResourceRequirements) -> frozenset[str]:
    return frozenset(_of(resources.requests, resources.limits))


# Scopes


def in_scope(wanted: ScopedResourceSelectorRequirement, pod: Pod) -> bool:
    """Whether the pod falls into a scope of a quota."""
    match wanted.scopeName:
        case "Terminating":
            return terminating(pod)
        case "NotTerminating":
            return not terminating(pod)
        case "BestEffort":
            return qos_class(pod.spec) == "BestEffort"
        case "NotBestEffort":
            return qos_class(pod.spec) != "BestEffort"
        case "PriorityClass":
            return selects(wanted, (pod.spec.priorityClassName,) if pod.spec.priorityClassName else ())
        case "CrossNamespacePodAffinity":
            return _looks_elsewhere(pod)
    return False


def terminating(pod: Pod) -> bool:
    """Whether it is to end by itself at a time."""
    return pod.spec.activeDeadlineSeconds is not None and pod.spec.activeDeadlineSeconds >= 0


def selects(wanted: ScopedResourceSelectorRequirement, values: Collection[str]) -> bool:
    """Whether one of an object's values of a scope, or its having none, is what a requirement asks for."""
    match wanted.operator:
        case "Exists":
            return bool(values)
        case "DoesNotExist":
            return not values
        case "In":
            return any(value in wanted.values for value in values)
        case "NotIn":
            return not values or any(value not in wanted.values for value in values)
    return False


def _looks_elsewhere(pod: Pod) -> bool:
    affinity = pod.spec.affinity
    if affinity is None:
        return False
    terms: list[PodAffinityTerm] = []
    for each in (affinity.podAffinity, affinity.podAntiAffinity):
        if each is not None:
            terms += each.requiredDuringSchedulingIgnoredDuringExecution
            preferred: Iterable[WeightedPodAffinityTerm] = each.preferredDuringSchedulingIgnoredDuringExecution
            terms += [one.podAffinityTerm for one in preferred]
    return any(term.namespaces or term.namespaceSelector is not None for term in terms)


def resources_changed(new: Pod, old: Pod) -> bool:
    """Whether containers hold other resources than before, so that the pod may take less."""
    before: Mapping[str, ContainerStatus] = _statuses(old)
    return any(
        each.name in before and each.resources != before[each.name].resources for each in _statuses(new).values()
    )
