"""NodeResourcesFit and NodeResourcesBalancedAllocation: room for the pod's requests, and how evenly it is used.

Fit refuses nodes without room and prefers those with more left (LeastAllocated, with stand-ins for pods that ask for
nothing); Balanced prefers nodes that the pod brings closer to equal shares of cpu and memory. The formulas are those
of v1.37, whole numbers as there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kijabi.api.core.requests import amounts
from kijabi.scheduler.framework import MAX_SCORE, Change, Event, Mask, Refusal, Scores, Static, Trial
from kijabi.scheduler.nodestate import PODS, NodeState, Rows
from kijabi.scheduler.podinfo import PodInfo

SCORED = ("cpu", "memory")
TOO_MANY = "Too many pods"


def insufficient(resource: str) -> str:
    """The words for a node without enough of a resource."""
    return f"Insufficient {resource}"


class NodeResourcesFit(Static):
    """Refuses nodes without room; prefers the emptier ones."""

    name = "NodeResourcesFit"
    wakes = Change.NODE_ADDED | Change.NODE_ALLOCATABLE | Change.POD_GONE | Change.POD_SHRUNK | Change.POD_CHANGED

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        lacks = []
        too_many = nodes.requested[PODS] + 1 > nodes.allocatable[PODS]
        if too_many.any():
            lacks.append(Refusal(too_many, TOO_MANY))
        hopeless: Mask | None = None  # a node that is too small for one resource is so for all reasons
        for resource, amount in pod.requests.items():
            if amount == 0:
                continue
            room = nodes.allocatable.get(resource)
            if room is None:
                lacking, small = nodes.live, nodes.live
            else:
                taken = nodes.requested.get(resource)
                lacking = amount > (room if taken is None else room - taken)
                if not lacking.any():
                    continue
                small = amount > room
            lacks.append(Refusal(lacking, insufficient(resource)))
            hopeless = small if hopeless is None else hopeless | small
        if hopeless is not None and hopeless.any():
            lacks.append(Refusal(hopeless, "", final=True))
        return lacks

    def trial(self, pod: PodInfo, nodes: NodeState) -> Trial | None:
        """See Filter: what they take is free."""

        def fits(row: int, gone: Sequence[PodInfo]) -> tuple[str, ...]:
            lacks = []
            if nodes.requested[PODS][row] - len(gone) + 1 > nodes.allocatable[PODS][row]:
                lacks.append(TOO_MANY)
            for resource, amount in pod.requests.items():
                room, taken = nodes.allocatable.get(resource), nodes.requested.get(resource)
                freed = sum(other.requests.get(resource, 0) for other in gone)
                left = (room[row] if room is not None else 0) - (taken[row] if taken is not None else 0) + freed
                if amount and amount > left:
                    lacks.append(insufficient(resource))
            return tuple(lacks)

        return fits

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: nodes that are large enough."""
        if event.new is None or not event.change & (Change.NODE_ADDED | Change.NODE_ALLOCATABLE):
            return True
        room = amounts(event.new.status.allocatable)
        return all(amount <= room.get(name, 0) for name, amount in pod.requests.items() if amount)

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores:
        return nodes.kept((self.name, pod.nonzero), lambda rows: _least_allocated(pod, nodes, rows))


def _least_allocated(pod: PodInfo, nodes: NodeState, rows: Rows) -> Scores:
    """How much is left of cpu and memory with the pod, of 100, on average over those that the node has."""
    total: Scores = np.zeros_like(nodes.nonzero["cpu"][rows])
    weights = np.zeros_like(total)
    for resource, mine in zip(SCORED, pod.nonzero, strict=True):
        room = nodes.allocatable[resource][rows]
        wanted = nodes.nonzero[resource][rows] + mine
        known = room > 0
        share = np.floor((room - wanted) * MAX_SCORE / np.where(known, room, 1.0))
        total += np.where(known & (wanted <= room), share, 0.0)
        weights += known
    return np.floor(total / np.maximum(weights, 1.0))


def _balance(used: Scores, other: Scores, room: Scores, other_room: Scores) -> Scores:
    """100 where both resources are used to the same share, less the further apart; a node with one has 100."""
    known, other_known = room > 0, other_room > 0
    first = np.minimum(used / np.where(known, room, 1.0), 1.0)
    second = np.minimum(other / np.where(other_known, other_room, 1.0), 1.0)
    apart = np.where(known & other_known, np.abs(first - second) / 2, 0.0)
    return np.floor((1.0 - apart) * MAX_SCORE)


class NodeResourcesBalancedAllocation:
    """Prefers nodes whose cpu and memory shares the pod brings closer together; best effort pods do not matter."""

    name = "NodeResourcesBalancedAllocation"

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores | None:
        cpu, memory = pod.requests.get("cpu", 0), pod.requests.get("memory", 0)
        if not cpu and not memory:
            return None

        def compute(rows: Rows) -> Scores:
            rooms = (nodes.allocatable["cpu"][rows], nodes.allocatable["memory"][rows])
            taken = (nodes.requested["cpu"][rows], nodes.requested["memory"][rows])
            more = np.array(((0.0, 0.0), (cpu, memory)))[:, :, None]  # without the pod and with it, both at once
            before, after = _balance(taken[0] + more[:, 0], taken[1] + more[:, 1], *rooms)
            balanced: Scores = np.floor(MAX_SCORE / 2 + np.floor((MAX_SCORE / 2 + after - before) / 2))
            return balanced

        return nodes.kept((self.name, cpu, memory), compute)
