"""What every workload controller asks about a pod: is it live, ready, available, and which one should go
first.

Pure functions over cached pods; the replica set controller and the endpoint controllers call them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cmp_to_key
from typing import NamedTuple

from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodCondition

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}
_PLAIN_INT = re.compile(r"-[0-9]+|0|[1-9][0-9]*")
_MAX_INT32 = 2**31 - 1


def terminal(pod: Pod) -> bool:
    """Its containers ended for good (phase Succeeded or Failed)."""
    return pod.status.phase in ("Succeeded", "Failed")


def active(pod: Pod) -> bool:
    """It counts as a replica: neither ended nor being deleted."""
    return not terminal(pod) and pod.metadata.deletionTimestamp is None


def terminating(pod: Pod) -> bool:
    """It is being deleted and its containers may still run."""
    return not terminal(pod) and pod.metadata.deletionTimestamp is not None


def condition(pod: Pod, kind: str) -> PodCondition | None:
    """The pod's condition of a type."""
    return next((c for c in pod.status.conditions if c.type == kind), None)


def ready(pod: Pod) -> bool:
    """Its Ready condition is true."""
    found = condition(pod, "Ready")
    return found is not None and found.status == "True"


def ready_since(pod: Pod) -> float | None:
    """When it became ready, in seconds since the epoch; None if it is not ready or the time is not known."""
    found = condition(pod, "Ready")
    if found is None or found.status != "True" or not found.lastTransitionTime:
        return None
    return found.lastTransitionTime.timestamp()


def available_in(pod: Pod, min_ready: int, now: datetime) -> float | None:
    """Seconds until it counts as available (0: it does now); None if it is not ready.

    Available means ready for at least `min_ready` seconds (apps/v1 minReadySeconds).
    """
    if not ready(pod):
        return None
    if min_ready == 0:
        return 0.0
    since = ready_since(pod)
    if since is None:
        return None
    return max(0.0, since + min_ready - now.timestamp())


def available(pod: Pod, min_ready: int, now: datetime) -> bool:
    """It has been ready for at least `min_ready` seconds."""
    return available_in(pod, min_ready, now) == 0.0


def next_available(pods: Iterable[Pod], min_ready: int, now: datetime) -> float | None:
    """Seconds until the next ready pod becomes available; None if none waits for it."""
    waits = [wait for pod in pods if (wait := available_in(pod, min_ready, now))]
    return min(waits, default=None)


class _Rank(NamedTuple):
    """What decides between two pods; see `deletion_order`."""

    coarse: tuple[bool, int, bool, int, int]
    ready: bool
    ready_since: float | None
    restarts: tuple[int, int]
    created: float | None
    uid: str


def deletion_order(pods: Sequence[Pod], colocated: Sequence[Pod], now: datetime) -> list[Pod]:
    """The pods, those that should be deleted first in front (apps/v1 ReplicaSet, scaling down; KEP-2255,
    KEP-2185).

    Before others go: the unassigned; the pending, then the unknown; the not ready; the lower deletion cost;
    the one with more neighbours of `colocated` on its node; ready for a shorter time; restarted more often;
    younger. Times compare on a logarithmic scale, and the uid decides within a step, so that old pods go now
    and then too.
    """
    neighbours: dict[str, int] = {}
    for pod in colocated:
        if active(pod):
            neighbours[pod.spec.nodeName] = neighbours.get(pod.spec.nodeName, 0) + 1

    def rank(pod: Pod) -> _Rank:
        coarse = (
            bool(pod.spec.nodeName),
            _PHASES.get(pod.status.phase, 0),
            ready(pod),
            deletion_cost(pod),
            -neighbours.get(pod.spec.nodeName, 0),
        )
        created = pod.metadata.creationTimestamp
        return _Rank(
            coarse,
            ready(pod),
            ready_since(pod),
            restarts(pod),
            created.timestamp() if created else None,
            pod.metadata.uid,
        )

    at = now.timestamp()

    def compare(a: tuple[_Rank, Pod], b: tuple[_Rank, Pod]) -> int:
        return _compare(a[0], b[0], at)

    return [pod for _, pod in sorted(((rank(pod), pod) for pod in pods), key=cmp_to_key(compare))]


def _compare(a: _Rank, b: _Rank, now: float) -> int:
    if a.coarse != b.coarse:
        return -1 if a.coarse < b.coarse else 1
    if a.ready and b.ready and a.ready_since != b.ready_since:
        return _younger(a.ready_since, b.ready_since, a.uid, b.uid, now)
    if a.restarts != b.restarts:
        return -1 if a.restarts > b.restarts else 1
    if a.created != b.created:
        return _younger(a.created, b.created, a.uid, b.uid, now)
    return 0


def _younger(a: float | None, b: float | None, uid_a: str, uid_b: str, now: float) -> int:
    """Negative if time `a` is the more recent by order of magnitude; an unknown time is the most recent."""
    if a is None or b is None:
        return -1 if a is None else 1
    step = _magnitude(now - a) - _magnitude(now - b)
    if step == 0:
        return -1 if uid_a < uid_b else 1
    return step


def _magnitude(seconds: float) -> int:
    """Log2 of an age in nanoseconds."""
    return int(math.log2(seconds * 1e9)) if seconds > 0 else -1


def restarts(pod: Pod) -> tuple[int, int]:
    """The highest restart count of its containers, then of its sidecars (init containers that always
    restart).
    """
    sidecars = {c.name for c in pod.spec.initContainers if c.restartPolicy == "Always"}
    return (
        max((s.restartCount for s in pod.status.containerStatuses), default=0),
        max((s.restartCount for s in pod.status.initContainerStatuses if s.name in sidecars), default=0),
    )


def deletion_cost(pod: Pod) -> int:
    """The annotation `controller.kubernetes.io/pod-deletion-cost`; 0 if absent or not an int32 in plain
    digits.
    """
    text = pod.metadata.annotations.get(DELETION_COST, "")
    if not _PLAIN_INT.fullmatch(text):
        return 0
    cost = int(text)
    return cost if -_MAX_INT32 - 1 <= cost <= _MAX_INT32 else 0
