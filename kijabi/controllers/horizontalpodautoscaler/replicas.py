"""How many pods a reading of a metric calls for. Pure arithmetic, in thousandths and IEEE doubles as upstream has it.

Pods that tell nothing are given the benefit of the doubt: where the others call for fewer pods, one without a sample
counts as busy, and where they call for more, as idle; so nothing is done in haste. `proposals.py` asks. Source:
k8s.io/kubernetes `pkg/controller/podautoscaler/replica_calculator.go`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.requests import is_sidecar, pod_requests
from kijabi.base.errors import KijabiError
from kijabi.controllers import pods as podlib
from kijabi.controllers.horizontalpodautoscaler.readings import Samples

MAX_REPLICAS = 2**31 - 1
MAX_SUM = 2**63 - 1
_NO_PODS = "no pods returned by selector while calculating replica count"

Values = Mapping[str, int]


class Uncountable(KijabiError):
    """A reading from which no number follows; the message says why."""


class Tolerance(NamedTuple):
    """How far usage may be below and above its target before anything is done about it, as shares of the target."""

    down: float
    up: float

    def holds(self, ratio: float) -> bool:
        """Whether this share of the target is near enough to it."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Asked(NamedTuple):
    """What is counted for: the replicas that are wanted now and those that exist, and their pods.

    starting: seconds after its start in which a pod's use of cpu is judged by its readiness. first_ready: seconds after
    its start within which a pod that is not ready, and last changed then, counts as never having been ready.
    """

    wanted: int
    existing: int
    pods: Sequence[Pod]
    tolerance: Tolerance
    now: datetime
    starting: float
    first_ready: float


class Count(NamedTuple):
    """So many replicas, because of this usage (of one pod, or in all); share: in percent of what the pods request."""

    replicas: int
    usage: int
    share: int | None = None


def by_share(asked: Asked, samples: Samples, resource: str, container: str, percent: int) -> Count:
    """Pods, or one container of each (""  for all), are to use so many percent of what they request."""
    group = _Group(asked, samples, resource)
    values = group.values(samples)
    requests = {pod.metadata.name: _request(pod, container, resource) for pod in asked.pods}

    def share(values: Values) -> tuple[int, int]:
        known = [(value, requests[name]) for name, value in values.items() if name in requests]
        used, requested = sum(value for value, _ in known), sum(request for _, request in known)
        if requested == 0:
            raise Uncountable("no metrics returned matched known pods")
        return min(_quotient(used * 100, requested), MAX_REPLICAS), _quotient(used, len(known))

    now, usage = share(values)
    replicas = _weigh(
        asked,
        group,
        values,
        lambda values: float(share(values)[0]) / float(percent),
        lambda name: requests[name] * max(100, percent) // 100,
    )
    return Count(replicas, usage, now)


def by_average(asked: Asked, samples: Samples, resource: str, target: int) -> Count:
    """Each pod is to use so much, on average; resource: "" for what is none."""
    group = _Group(asked, samples, resource)
    values = group.values(samples)

    def average(values: Values) -> int:
        return _quotient(sum(values.values()), len(values))

    replicas = _weigh(asked, group, values, lambda values: float(average(values)) / float(target), lambda _: target)
    return Count(replicas, average(values))


def by_total(asked: Asked, usage: int, target: int) -> Count:
    """The whole is to be so much, and changes with the number of pods that are ready."""
    ratio = float(usage) / float(target)
    if asked.wanted == 0:
        return Count(_whole(ratio), usage)
    if asked.tolerance.holds(ratio):
        return Count(asked.wanted, usage)
    if not asked.pods:
        raise Uncountable(f"unable to calculate ready pods: {_NO_PODS}")
    ready = sum(pod.status.phase == "Running" and podlib.ready(pod) for pod in asked.pods)
    return Count(_whole(ratio * ready), usage)


def by_total_per_pod(asked: Asked, usage: int, target: int) -> Count:
    """The whole divided by the pods is to be so much."""
    if asked.existing == 0:
        return Count(_whole(float(usage) / float(target)), usage)
    ratio = float(usage) / (float(target) * float(asked.existing))
    near = asked.tolerance.holds(ratio)
    replicas = asked.existing if near else _whole(float(usage) / float(target))
    return Count(replicas, usage if usage == MAX_SUM else math.ceil(float(usage) / float(asked.existing)))


def total(values: Sequence[int]) -> int:
    """The sum, at most what 64 bits hold."""
    return min(sum(values), MAX_SUM)


class _Group:
    """Pods by what their samples are worth; ended and deleted ones are worth nothing."""

    def __init__(self, asked: Asked, samples: Samples, resource: str) -> None:
        if not asked.pods:
            raise Uncountable(_NO_PODS)
        self.ready = 0
        self.unready: set[str] = set()
        self.missing: set[str] = set()
        self.ignored: set[str] = set()
        for pod in asked.pods:
            name = pod.metadata.name
            if pod.metadata.deletionTimestamp is not None or pod.status.phase == "Failed":
                self.ignored.add(name)
            elif pod.status.phase == "Pending":
                self.unready.add(name)
            elif name not in samples:
                self.missing.add(name)
            elif resource == "cpu" and _starting(asked, pod, samples):
                self.unready.add(name)
            else:
                self.ready += 1

    def values(self, samples: Samples) -> Values:
        """The samples that count. Raises Uncountable if none does."""
        left_out = self.unready | self.ignored
        counted = {name: sample.value for name, sample in samples.items() if name not in left_out}
        if not counted:
            raise Uncountable("did not receive metrics for targeted pods (pods might be unready)")
        return counted


def _starting(asked: Asked, pod: Pod, samples: Samples) -> bool:
    """Whether its use of cpu is that of starting up, and says nothing of its work."""
    condition, began = podlib.condition(pod, "Ready"), pod.status.startTime
    if condition is None or not began:
        return True
    start, changed = began.timestamp(), condition.lastTransitionTime.timestamp()
    if start + asked.starting > asked.now.timestamp():
        sample = samples[pod.metadata.name]
        return condition.status == "False" or sample.at < changed + sample.window
    return condition.status == "False" and start + asked.first_ready > changed


def _weigh(
    asked: Asked,
    group: _Group,
    values: Values,
    ratio: Callable[[Values], float],
    busy: Callable[[str], int],
) -> int:
    """The replicas for these samples. ratio: usage to target. busy: what a pod without a sample uses in doubt."""
    first = ratio(values)
    rising = bool(group.unready) and first > 1.0
    if not rising and not group.missing:
        return asked.wanted if asked.tolerance.holds(first) else _whole(first * group.ready)
    filled = dict(values)
    if first < 1.0:
        filled.update({name: busy(name) for name in group.missing})
    elif first > 1.0:
        filled.update(dict.fromkeys(group.missing, 0))
    if rising:
        filled.update(dict.fromkeys(group.unready, 0))
    second = ratio(filled)
    if asked.tolerance.holds(second) or first < 1.0 < second or second < 1.0 < first:
        return asked.wanted
    replicas = _whole(second * len(filled))
    backwards = replicas > asked.wanted if second < 1.0 else replicas < asked.wanted
    return asked.wanted if backwards else replicas


def _request(pod: Pod, container: str, resource: str) -> int:
    """What a pod requests, by its own word (KEP-2837) or by those of its containers; or what one container does."""
    own = pod.spec.resources
    if not container and own is not None and any(map(_of_pod, own.requests)):
        found = pod_requests(pod)
        if resource not in found:
            raise Uncountable(f"missing pod-level request for {resource} in Pod {pod.metadata.name}")
        return _milli(found, resource)
    running = [*pod.spec.containers, *filter(is_sidecar, pod.spec.initContainers)]
    if not container:
        return sum(_request_of(one, pod, resource) for one in running)
    for one in running:
        if one.name == container:
            return _request_of(one, pod, resource)
    raise Uncountable(f"container {container} not found in Pod {pod.metadata.name}")


def _request_of(container: Container, pod: Pod, resource: str) -> int:
    asked = container.resources.requests.get(resource)
    if asked is None:
        where = f"container {container.name} of Pod {pod.metadata.name}"
        raise Uncountable(f"missing request for {resource} in {where}")
    return asked.milli()


def _of_pod(resource: str) -> bool:
    """Whether a pod as a whole can ask for it."""
    return resource in ("cpu", "memory") or resource.startswith("hugepages-")


def _milli(found: Mapping[str, int], resource: str) -> int:
    return found[resource] if resource == "cpu" else found[resource] * 1000


def _quotient(value: int, by: int) -> int:
    """Division as Go's: towards zero."""
    return value // by if value >= 0 else -(-value // by)


def _whole(number: float) -> int:
    """Rounded up to a number of replicas."""
    return MAX_REPLICAS if number > MAX_REPLICAS else math.ceil(number)
