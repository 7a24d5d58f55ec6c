"""NodePorts: a pod's host ports must be free on the node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kijabi.scheduler.framework import Change, Event, Refusal, Static, Trial
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo, conflicts

TAKEN = "node(s) didn't have free ports for the requested pod ports"


class NodePorts(Static):
    """Refuses nodes where another pod holds a host port that this one wants."""

    name = "NodePorts"
    wakes = Change.NODE_ADDED | Change.POD_GONE

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        if not pod.ports:
            return ()
        refused = np.zeros(nodes.capacity, dtype=np.bool_)
        for port in pod.ports:
            refused[list(nodes.port_rows(port))] = True
        return (Refusal(refused, TAKEN),)

    def trial(self, pod: PodInfo, nodes: NodeState) -> Trial | None:
        """See Filter: those who stay hold their ports."""
        if not pod.ports:
            return None

        def fits(row: int, gone: Sequence[PodInfo]) -> tuple[str, ...]:
            freed = Counter(port for other in gone for port in other.ports)
            held = Counter(port for mine in pod.ports for port in nodes.ports_at(row, mine))
            return () if held <= freed else (TAKEN,)

        return fits

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: of pods that went, those that held a port in the way."""
        if event.change is not Change.POD_GONE or event.old is None:
            return True
        return any(conflicts(mine, port) for mine in pod.ports for port in event.old.ports)
