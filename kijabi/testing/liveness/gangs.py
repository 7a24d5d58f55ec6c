"""What must come true of pods that are placed together: a gang that fits runs, and one that does not says why."""

from __future__ import annotations

from collections.abc import Iterator

from kijabi.api.core.pod import Pod
from kijabi.api.scheduling.podgroup import INITIALLY_SCHEDULED, PodGroup
from kijabi.testing.history import Ledger
from kijabi.testing.safety.gangs import cpu_of, least_of, members, room, scheduled


def group(one: PodGroup, ledger: Ledger) -> Iterator[str]:
    """None of its pods waits if as many as it needs fit, also if others must make room; if some wait, it says why.

    That it once was scheduled stays said, whatever became of its pods.
    """
    pods = members(f"{one.metadata.namespace}/{one.metadata.name}", ledger)
    waiting, least = [pod for pod in pods if not pod.spec.nodeName], least_of(one)
    if len(pods) < least:  # nothing is decided of a gang that lacks pods
        return
    if not waiting:
        if not scheduled(one):
            yield f"all {len(pods)} pods have nodes, and it says {_said(one)}"
        return
    stay = [pod for pod in ledger.of(Pod) if (pod.spec.priority or 0) >= (one.spec.priority or 0)]
    fitting = min(len(waiting), room(ledger, max(cpu_of(pod) for pod in waiting), stay))
    if fitting and len(pods) - len(waiting) + fitting >= least:
        yield f"{len(waiting)} pods wait, and {fitting} of them have room, or others lower would make it"
    if not _said(one):
        yield f"{len(waiting)} pods wait, and it does not say why"
    for pod in waiting:
        if not any(c.type == "PodScheduled" and c.status == "False" and c.message for c in pod.status.conditions):
            yield f"pod {pod.metadata.name} waits and does not say why"


def _said(one: PodGroup) -> str:
    """What is said of its scheduling."""
    found = (c for c in one.status.conditions if c.type == INITIALLY_SCHEDULED)
    return next((f"{c.status} {c.reason} {c.message}" for c in found), "")
