"""NodePorts: a pod's host ports must be free on the node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kijabi.scheduler.framework import Change, Mask
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo, conflicts


class NodePorts:
    """Refuses nodes where another pod holds a host port that this one wants."""

    name = "NodePorts"
    final = False
    wakes = Change.NODE_ADDED | Change.POD_GONE

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[tuple[Mask, str]]:
        if not pod.ports:
            return ()
        refused = np.zeros(nodes.capacity, dtype=np.bool_)
        for row in nodes.rows.values():
            held = nodes.ports_on(row)
            refused[row] = any(conflicts(mine, other) for mine in pod.ports for other in held)
        return ((refused, "node(s) didn't have free ports for the requested pod ports"),)

    def fits(self, pod: PodInfo, nodes: NodeState, row: int, gone: Sequence[PodInfo]) -> bool:
        """See Filter."""
        if not pod.ports:
            return True
        freed = Counter(port for other in gone for port in other.ports)
        held = [port for port, count in nodes.ports_on(row).items() if count > freed[port]]
        return not any(conflicts(mine, other) for mine in pod.ports for other in held)
