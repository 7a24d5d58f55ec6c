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
    """No node can take the pod. message: as in its FailedScheduling event. wakes: what is worth another try."""

    message: str
    wakes: Change
    plugins: tuple[str, ...]


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
    return _refusal(len(nodes), reasons, blamed, int(final.sum()))


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


def _refusal(count: int, reasons: dict[str, int], blamed: Sequence[Filter], final: int) -> Refused:
    """The words of a FailedScheduling event, as upstream's FitError and DefaultPreemption put them.

    No pod is evicted for another yet (the issue on every workload brings preemption), so the second sentence says
    per node whether eviction could not have helped at all or was of no use.
    """
    if count == 0:
        return Refused("no nodes available to schedule pods", Change.NODE_ADDED, ())
    why = ", ".join(sorted(f"{number} {reason}" for reason, number in reasons.items()))
    outcome = {
        "Preemption is not helpful for scheduling": final,
        "No preemption victims found for incoming pod": count - final,
    }
    preemption = ", ".join(sorted(f"{number} {text}" for text, number in outcome.items() if number))
    message = f"0/{count} nodes are available: {why}. preemption: 0/{count} nodes are available: {preemption}."
    wakes = Change.NODE_ADDED
    for plugin in blamed:
        wakes |= plugin.wakes
    return Refused(message, wakes, tuple(plugin.name for plugin in blamed))
