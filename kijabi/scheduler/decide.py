"""The pure decision: a pod and the node state in, a node or the reasons out.

`loop` calls `decide` once per pod and acts on the answer. Every node is looked at; among the best one is picked at
random, by the generator given, so that a seed replays it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import numpy as np

from kijabi.scheduler.catalog import FILTERS, SCORES
from kijabi.scheduler.framework import Change, Filter, Mask, Score
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo


class Placed(msgspec.Struct, frozen=True):
    """The pod goes to this node; `feasible` nodes could have taken it."""

    node: str
    feasible: int


class Refused(msgspec.Struct, frozen=True):
    """No node can take the pod. why: by how many nodes for what reason. wakes: what is worth another try.

    helpful: the rows where the eviction of other pods might make room.
    """

    why: str
    wakes: Change
    plugins: tuple[str, ...]
    nodes: int
    helpful: Mask

    def message(self, preempted: str = "") -> str:
        """The words of the FailedScheduling event. preempted: why nobody was evicted, if for a reason of its own."""
        if not self.nodes:
            return self.why
        count, useful = self.nodes, int(self.helpful.sum())
        outcome = {
            "Preemption is not helpful for scheduling": count - useful,
            "No preemption victims found for incoming pod": useful,
        }
        text = ", ".join(sorted(f"{number} {words}" for words, number in outcome.items() if number))
        text = f"preemption: 0/{count} nodes are available: {text}." if not preempted else f"preemption: {preempted}"
        return f"{self.why} {text}"


def decide(
    pod: PodInfo,
    nodes: NodeState,
    rng: random.Random,
    filters: Sequence[Filter] = FILTERS,
    scores: Sequence[tuple[Score, int]] = SCORES,
) -> Placed | Refused:
    """Filter all nodes, score what is left, take the best."""
    feasible = nodes.live.copy()
    reasons: dict[str, int] = {}
    blamed: list[Filter] = []
    final = np.zeros(nodes.capacity, dtype=np.bool_)
    for plugin in filters:
        rejected = np.zeros(nodes.capacity, dtype=np.bool_)
        for rows, reason in plugin.filter(pod, nodes):
            hit = rows & feasible
            count = int(hit.sum())
            if count:
                reasons[reason] = reasons.get(reason, 0) + count
                rejected |= hit
        if rejected.any():
            blamed.append(plugin)
            feasible &= ~rejected
            if plugin.final:
                final |= rejected
        if not feasible.any():
            break
    if feasible.any():
        return Placed(_best(pod, nodes, feasible, rng, scores), int(feasible.sum()))
    return _refusal(len(nodes), reasons, blamed, nodes.live & ~final)


def _best(
    pod: PodInfo, nodes: NodeState, feasible: Mask, rng: random.Random, scores: Sequence[tuple[Score, int]]
) -> str:
    total = np.zeros(nodes.capacity, dtype=np.float64)
    if int(feasible.sum()) > 1:
        for plugin, weight in scores:
            total += weight * plugin.score(pod, nodes, feasible)
    total[~feasible] = -1.0
    ties = np.flatnonzero(total == total.max())
    node = nodes.nodes[int(ties[rng.randrange(len(ties))])]
    assert node is not None, "a feasible row holds a node"
    return node.metadata.name


def _refusal(count: int, reasons: dict[str, int], blamed: Sequence[Filter], helpful: Mask) -> Refused:
    """What the filters said, in the words of upstream's FitError."""
    if count == 0:
        return Refused("no nodes available to schedule pods", Change.NODE_ADDED, (), 0, helpful)
    why = ", ".join(sorted(f"{number} {reason}" for reason, number in reasons.items()))
    wakes = Change.NODE_ADDED
    for plugin in blamed:
        wakes |= plugin.wakes
    names = tuple(plugin.name for plugin in blamed)
    return Refused(f"0/{count} nodes are available: {why}.", wakes, names, count, helpful)
