"""NodeName: a pod that names its node goes there or nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.scheduler.framework import Change, Refusal, Static
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo


class NodeName(Static):
    """Refuses every node but the one in spec.nodeName."""

    name = "NodeName"
    wakes = Change.NODE_ADDED

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        if not pod.node:
            return ()
        refused = nodes.live.copy()
        row = nodes.rows.get(pod.node)
        if row is not None:
            refused[row] = False
        return (Refusal(refused, "node(s) didn't match the requested node name", final=True),)
