"""NodeUnschedulable: a cordoned node takes only pods that tolerate the taint that stands for it."""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.scheduler.framework import Change, Refusal, Static
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.plugins.tainttoleration import tolerates
from kijabi.scheduler.podinfo import PodInfo

TAINT = ("node.kubernetes.io/unschedulable", "", "NoSchedule")


class NodeUnschedulable(Static):
    """Refuses nodes with spec.unschedulable."""

    name = "NodeUnschedulable"
    wakes = Change.NODE_ADDED | Change.NODE_TAINTS | Change.POD_CHANGED

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        tolerations = pod.pod.spec.tolerations
        if not nodes.unschedulable.any() or any(tolerates(toleration, TAINT) for toleration in tolerations):
            return ()
        return (Refusal(nodes.unschedulable, "node(s) were unschedulable", final=True),)
