"""Rules for evictions from nodes that are lost: how fast, and for what."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.testing.history import Change, Ledger
from kijabi.testing.safety.facts import CONTROLLERS, STALE

LOST = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
ZONE = "topology.kubernetes.io/zone"
PACE = 10.0
"""Seconds between two nodes of a zone (kube-controller-manager `--node-eviction-rate` 0.1)."""
Started = Callable[[], float]
"""When the controllers' process was started, in virtual seconds."""


class EvictionsPaced:
    """In a zone, one node after the other begins to be evicted because it is lost, no faster than at the usual rate,
    be the zone lost in part or as a whole (concepts/architecture/nodes, rate limits on eviction). The pace is kept in
    the memory of the process. `judged` counts nodes that came after others.
    """

    def __init__(self, started: Started = lambda: 0.0) -> None:
        self.judged = 0
        self._started = started
        self._last: dict[str, float] = {}  # by zone

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        old, new = change.old, change.new
        if change.resource.type is not Node or old is None or new is None or change.actor != CONTROLLERS:
            return None
        if _lost(old) or not _lost(new):
            return None
        zone = new.metadata.labels.get(ZONE, "")
        last, self._last[zone] = self._last.get(zone), change.time
        if last is None or last < self._started():
            return None
        self.judged += 1
        waited = change.time - last
        return f"it begins to be evicted {waited:.1f} s after another of zone {zone!r}" if waited < PACE else None


class EvictedForTaints:
    """A pod is evicted by its node's taints only where there are some that it does not bear for ever (core/v1 Taint,
    NoExecute). `judged` counts such evictions.
    """

    def __init__(self) -> None:
        self.judged = 0
        self._tainted: dict[str, float] = {}  # when a node last lost or changed taints that evict

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is Node:
            if change.old is not None and list(_evicting(change.old)):
                self._tainted[change.obj.metadata.name] = change.time
        elif change.resource.type is Pod and change.old is not None and change.actor == CONTROLLERS:
            return self._pod(change, ledger)
        return None

    def _pod(self, change: Change, ledger: Ledger) -> str | None:
        """The condition comes first. Whoever deletes a pod that has it, perhaps much later, may have other reasons."""
        old, new = change.old, change.new
        if new is None or _by_taints(old) or not _by_taints(new):
            return None
        self.judged += 1
        node = ledger.get(Node, old.spec.nodeName)
        if node is not None and any(not _borne(old, taint) for taint in _evicting(node)):
            return None
        if change.time - self._tainted.get(old.spec.nodeName, float("-inf")) < STALE:
            return None
        return f"evicted by the taints of {old.spec.nodeName}, which has none for it"


def _evicting(node: Node) -> Iterable[tuple[str, str]]:
    return ((taint.key, taint.value) for taint in node.spec.taints if taint.effect == "NoExecute")


def _lost(node: Node) -> bool:
    return any(key in LOST for key, _ in _evicting(node))


def _by_taints(pod: Pod) -> bool:
    return any(c.reason == "DeletionByTaintManager" and c.status == "True" for c in pod.status.conditions)


def _borne(pod: Pod, taint: tuple[str, str]) -> bool:
    """Whether the pod tolerates a taint that evicts, for ever."""
    key, value = taint
    for one in pod.spec.tolerations:
        fits = one.effect in ("", "NoExecute") and one.key in ("", key)
        if fits and one.tolerationSeconds is None and (one.operator == "Exists" or one.value == value):
            return True
    return False
