"""The node types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.nodestatus import NodeConfigSource, NodeStatus
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class Taint(Struct):
    """The API type Taint."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[str, Tag(2)] = ""
    effect: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    timeAdded: Annotated[Time | None, Tag(4)] = None


class NodePodPreemptionPolicy(Struct):
    """The API type NodePodPreemptionPolicy."""

    disableResizePreemption: Annotated[tuple[str, ...], Tag(1, listType="set")] = ()


class NodeSpec(Struct):
    """What is asked of a Node."""

    podCIDR: Annotated[str, Tag(1)] = ""
    podCIDRs: Annotated[tuple[str, ...], Tag(7, listType="set", strategy="merge")] = ()
    providerID: Annotated[str, Tag(3)] = ""
    unschedulable: Annotated[bool, Tag(4)] = False
    taints: Annotated[tuple[Taint, ...], Tag(5, listType="atomic")] = ()
    configSource: Annotated[NodeConfigSource | None, Tag(6)] = None
    externalID: Annotated[str, Tag(2)] = ""
    podPreemptionPolicy: Annotated[
        NodePodPreemptionPolicy | None,
        Tag(8, gate="InPlacePodVerticalScalingSchedulerPreemption"),
    ] = None


class Node(Object):
    """The API type Node."""

    spec: Annotated[NodeSpec, Tag(2)] = field(default_factory=NodeSpec)
    status: Annotated[NodeStatus, Tag(3)] = field(default_factory=NodeStatus)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    type=Node,
    namespaced=False,
    singular="node",
    short=("no",),
    subresources=(
        Subresource(
            name="proxy",
            kind="NodeProxyOptions",
            verbs=("create", "delete", "get", "patch", "update"),
        ),
        Subresource(name="status", kind="Node", verbs=("get", "patch", "update"), type=Node),
    ),
)
