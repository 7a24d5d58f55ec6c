"""Which of a job's active pods are given up when there are too many. Pure.

`plan.py` asks. Not as a ReplicaSet decides it: neither deletion cost nor magnitudes of age count here.
Source: k8s.io/kubernetes `pkg/controller/controller_utils.go` (ActivePods), `pkg/controller/job/indexed_job_utils.go`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from kijabi.api.core.pod import Pod
from kijabi.api.meta import Time
from kijabi.controllers import pods as podlib
from kijabi.controllers.job.indexes import index_of

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def surplus(active: Sequence[Pod], least: int, completions: int | None) -> list[Pod]:
    """Pods to give up, at least so many. completions: of an indexed job, whose pods have one index each below it."""
    extra, left = ([], list(active)) if completions is None else _stray(active, completions)
    if len(extra) < least:
        extra += by_value(left)[: least - len(extra)]
    return extra


def by_value(pods: Iterable[Pod]) -> list[Pod]:
    """The least valuable first: unassigned, pending, not ready, ready lately, often restarted, young."""
    return sorted(pods, key=_value)


def _value(pod: Pod) -> tuple[object, ...]:
    ready = podlib.ready(pod)
    since = podlib.ready_since(pod)
    regular, sidecars = podlib.restarts(pod)
    return (
        bool(pod.spec.nodeName),
        _PHASES.get(pod.status.phase, 0),
        ready,
        _latest_first(since) if ready else 0.0,
        -regular,
        -sidecars,
        _latest_first(_seconds(pod.metadata.creationTimestamp)),
    )


def _seconds(time: Time | None) -> float | None:
    return time.timestamp() if time else None


def _latest_first(seconds: float | None) -> float:
    """What is not known counts as latest."""
    return -math.inf if seconds is None else -seconds


def _stray(active: Sequence[Pod], completions: int) -> tuple[list[Pod], list[Pod]]:
    """(pods without an index of the job, or with one that a more valuable pod has; the others)."""
    extra: list[Pod] = []
    kept: dict[int, Pod] = {}
    for pod in reversed(by_value(active)):
        index = index_of(pod.metadata.annotations)
        if index is None or index >= completions or index in kept:
            extra.append(pod)
        else:
            kept[index] = pod
    return extra, list(kept.values())
