"""When a job's pods ended, and how long to wait before the next after failures. Pure.

`plan.py` asks; the record lives in the controller's memory, as upstream's does (k8s.io/kubernetes
`pkg/controller/job/backoff_utils.go`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import ContainerStatus
from kijabi.controllers import pods as podlib

FIRST, MOST = 10.0, 600.0  # seconds after the first failure, and at most


class Record(NamedTuple):
    """Failures since the last success, and when the latest was (seconds since the epoch)."""

    failures: int = 0
    last: float = 0.0

    def after(self, succeeded: Iterable[Pod], failed: Iterable[Pod], now: float) -> Record:
        """The record with more pods that ended; failures before the last success do not count.

        What failed in the future, by a clock that is ahead, failed now. (Upstream waits until that future has come.)
        """
        times, successes = sorted(map(ended_at, failed)), [ended_at(pod) for pod in succeeded]
        if successes:
            times = [time for time in times if time > max(successes)]
        elif not times:
            return self
        failures = len(times) if successes else self.failures + len(times)
        return Record(failures, min(times[-1], now)) if times else Record()

    def wait(self, now: float) -> float:
        """Seconds until the next pod may be made."""
        return wait(self.failures, self.last, now)


def wait(failures: int, last: float, now: float) -> float:
    """Seconds to wait still after so many failures, the last of them at `last`."""
    if not failures:
        return 0.0
    delay = min(MOST, FIRST * float(2 ** min(failures - 1, 10)))
    return max(0.0, last + delay - now)


def ended_at(pod: Pod) -> float:
    """When a pod ended: by its containers, else by its readiness, else by its deletion (seconds since the epoch)."""
    sidecars = {one.name for one in pod.spec.initContainers if one.restartPolicy == "Always"}
    main = _latest(pod.status.containerStatuses, None)
    found = _latest([one for one in pod.status.initContainerStatuses if one.name in sidecars], main)
    if found is not None:
        return found
    ready = podlib.condition(pod, "Ready")
    if ready is not None and ready.status == "False" and ready.lastTransitionTime:
        return ready.lastTransitionTime.timestamp()
    own = pod.metadata
    if own.deletionTimestamp is not None:
        return own.deletionTimestamp.timestamp() - (own.deletionGracePeriodSeconds or 0)
    return own.creationTimestamp.timestamp() if own.creationTimestamp else 0.0


def _latest(statuses: Iterable[ContainerStatus], before: float | None) -> float | None:
    """When the last of them ended, or of what ended `before`; None unless all have."""
    times = [] if before is None else [before]
    for status in statuses:
        ended = status.state.terminated if status.state is not None else None
        if ended is None or not ended.finishedAt:
            return None
        times.append(ended.finishedAt.timestamp())
    return max(times, default=None)
