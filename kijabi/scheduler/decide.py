"""The pure decision: a pod and the node state in, a node or the reasons out.

`loop` calls `decide` once per pod and acts on the answer. Every node is looked at; among the best one is picked at
random, by the generator given, so that a seed replays it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from kijabi.scheduler.catalog import FILTERS, SCORES
from kijabi.scheduler.framework import Change, Filter, Mask, Score
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo

# Pods that are promised a node each, where they must be reckoned with (KEP-268, nominated pods).
Promised = Sequence[tuple[PodInfo, str]]

NOT_HELPFUL = "Preemption is not helpful for scheduling"


class Placed(msgspec.Struct, frozen=True):
    """The pod goes to this node; `feasible` nodes could have taken it."""

    node: str
    feasible: int


class Refused(msgspec.Struct, frozen=True):
    """No node can take the pod. why: by how many nodes for what reason. blamed: the filters that said so.

    helpful: the rows where the eviction of other pods might make room.
    """

    why: str
    wakes: Change
    blamed: tuple[Filter, ...]
    nodes: int
    helpful: Mask

    def message(self, preempted: str = "", stay: Counter[str] | None = None) -> str:
        """The words of the FailedScheduling event.

        preempted: why nobody was evicted, if that was not tried. stay: why evictions would not do, with how many nodes.
        """
        if not self.nodes:
            return self.why
        if preempted:
            return f"{self.why} preemption: {preempted}"
        reasons = Counter(stay or {})
        reasons[NOT_HELPFUL] += self.nodes - int(self.helpful.sum())
        return f"{self.why} preemption: 0/{self.nodes} nodes are available: {tally(reasons)}."


def tally(reasons: Counter[str]) -> str:
    """Reasons with how many nodes gave each, in upstream's order."""
    return ", ".join(sorted(f"{number} {reason}" for reason, number in reasons.items() if number))


class _Look:
    """What the filters say of one pod: the rows left, and who refused the others, why, and whether for good."""

    def __init__(self, pod: PodInfo, nodes: NodeState, filters: Sequence[Filter]) -> None:
        self.pod, self.nodes, self.filters = pod, nodes, filters
        self.feasible = nodes.live.copy()
        self.final = np.zeros(nodes.capacity, dtype=np.bool_)
        self.reasons: Counter[str] = Counter()
        self.blamed: list[Filter] = []

    def begin(self) -> str:
        """Ask what can be said before any node is looked at: why none can take the pod, or empty."""
        narrowing = []
        for plugin in self.filters:
            found = plugin.begin(self.pod, self.nodes)
            if isinstance(found, str):
                self.blamed = [plugin]
                return found
            if found is not None:
                self.feasible &= ~found
                self.final |= found
                narrowing.append(plugin)
        if narrowing:
            self.blamed = narrowing
            names = " ".join(sorted(plugin.name for plugin in narrowing))
            left_out = len(self.nodes) - int(self.feasible.sum())
            self.reasons[f"node(s) didn't satisfy plugin(s) [{names}]"] = left_out
        return ""

    def filter(self) -> None:
        """Ask the filters in turn, each about the rows that are left."""
        for plugin in self.filters:
            refusals = plugin.filter(self.pod, self.nodes)
            if not refusals:
                continue
            rejected: Mask | None = None
            for rows, reason, final in refusals:
                hit = rows & self.feasible
                count = int(np.count_nonzero(hit))
                if count:
                    if reason:
                        self.reasons[reason] += count
                    if final:
                        self.final |= hit
                    rejected = hit if rejected is None else rejected | hit
            if rejected is not None:
                if plugin not in self.blamed:
                    self.blamed.append(plugin)
                self.feasible &= ~rejected
                if not self.feasible.any():
                    return

    def refusal(self, everywhere: str = "") -> Refused:
        """What the filters said, in the words of upstream's FitError. everywhere: what `begin` said."""
        count = len(self.nodes)
        if count == 0:
            return Refused("no nodes available to schedule pods", Change.NODE_ADDED, (), 0, self.final)
        wakes = Change.NODE_ADDED
        for plugin in self.blamed:
            wakes |= plugin.wakes
        helpful = self.nodes.live & ~self.final if not everywhere else np.zeros_like(self.final)
        why = f"0/{count} nodes are available: {everywhere or tally(self.reasons)}."
        return Refused(why, wakes, tuple(self.blamed), count, helpful)


def decide(
    pod: PodInfo,
    nodes: NodeState,
    rng: random.Random,
    filters: Sequence[Filter] = FILTERS,
    scores: Sequence[tuple[Score, int]] = SCORES,
    promised: Promised = (),
    preferred: str = "",
) -> Placed | Refused:
    """Filter all nodes, score what is left, take the best.

    The pod must fit beside the promised pods, and also without them, for they may come to be elsewhere. preferred: the
    node that the pod itself is promised, which is the best if it will do.
    """
    look = _Look(pod, nodes, filters)
    if not len(nodes):
        return look.refusal()
    everywhere = look.begin()
    if everywhere:
        return look.refusal(everywhere)
    if promised:
        with nodes.supposed(promised):
            look.filter()
    if look.feasible.any():
        look.filter()
    if not look.feasible.any():
        return look.refusal()
    row = nodes.rows.get(preferred)
    if row is not None and look.feasible[row]:
        return Placed(preferred, 1)
    return Placed(_best(pod, nodes, look.feasible, rng, scores), int(np.count_nonzero(look.feasible)))


def fits_on(pod: PodInfo, node: str, nodes: NodeState, promised: Promised) -> bool:
    """Whether a node could take the pod, beside the promised pods and without them."""
    look = _Look(pod, nodes, FILTERS)
    if look.begin():
        return False
    if promised:
        with nodes.supposed(promised):
            look.filter()
    look.filter()
    return bool(look.feasible[nodes.rows[node]])


def _best(
    pod: PodInfo, nodes: NodeState, feasible: Mask, rng: random.Random, scores: Sequence[tuple[Score, int]]
) -> str:
    total = np.zeros(nodes.capacity, dtype=np.float64)
    if np.count_nonzero(feasible) > 1:
        for plugin, weight in scores:
            found = plugin.score(pod, nodes, feasible)
            if found is not None:
                total += found if weight == 1 else weight * found
    total[~feasible] = -1.0
    ties = np.flatnonzero(total == total.max())
    node = nodes.nodes[int(ties[rng.randrange(len(ties))])]
    assert node is not None, "a feasible row holds a node"
    return node.metadata.name
