"""NodeUnschedulable: a cordoned node takes only pods that tolerate the taint that stands for it."""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.scheduler.framework import Change, Final, Mask
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.plugins.tainttoleration import tolerates
from kijabi.scheduler.podinfo import PodInfo

TAINT = ("node.kubernetes.io/unschedulable", "", "NoSchedule")


class NodeUnschedulable(Final):
    """Refuses nodes with spec.unschedulable."""

    name = "NodeUnschedulable"
    wakes = Change.NODE_ADDED | Change.NODE_TAINTS | Change.POD_CHANGED

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[tuple[Mask, str]]:
        if any(tolerates(toleration, TAINT) for toleration in pod.pod.spec.tolerations):
            return ()
        return ((nodes.unschedulable, "node(s) were unschedulable"),)
