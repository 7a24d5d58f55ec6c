"""The CSI drivers of a node; written by its kubelet."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, number
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.storage.rules import validate_csi_node, validate_csi_node_update
from kijabi.api.struct import Int32, Struct, Tag, empty_list


class VolumeNodeResources(Struct):
    """How many volumes of the driver fit."""

    count: Annotated[Int32 | None, Tag(1)] = None


class CSINodeDriver(Struct):
    """A driver on the node: its name for the node, and its topology keys."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    nodeID: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    topologyKeys: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = field(default_factory=empty_list)
    allocatable: Annotated[VolumeNodeResources | None, Tag(4)] = None


class CSINodeSpec(Struct):
    """The drivers."""

    drivers: Annotated[
        tuple[CSINodeDriver, ...],
        Tag(1, listType="map", keys=("name",), strategy="merge", mergeKey="name", required=True),
    ] = field(default_factory=empty_list)


class StorageHealthCondition(Struct):
    """One state that a driver reports of its storage."""

    status: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    reason: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    message: Annotated[str, Tag(3)] = ""
    accessMode: Annotated[str | None, Tag(4)] = None
    volumeMode: Annotated[str | None, Tag(5)] = None
    lastTransitionTime: Annotated[Time, Tag(6)] = Time()


class StorageHealth(Struct):
    """The health of a driver's storage."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    healthConditions: Annotated[tuple[StorageHealthCondition, ...], Tag(2, listType="atomic")] = ()


class CSINodeStatus(Struct):
    """The health of all drivers' storage as seen from the node."""

    storageHealth: Annotated[
        tuple[StorageHealth, ...],
        Tag(1, listType="map", keys=("name",), strategy="merge", mergeKey="name", gate="CSIVolumeHealth"),
    ] = ()


class CSINode(Object):
    """What CSI drivers report of a node."""

    spec: Annotated[CSINodeSpec, Tag(2, required=True)] = field(default_factory=CSINodeSpec)
    status: Annotated[CSINodeStatus, Tag(3)] = field(default_factory=CSINodeStatus)


COLUMNS = (NAME, number("Drivers", lambda obj: len(obj.spec.drivers), "How many drivers it has."), AGE)


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="CSINode",
    plural="csinodes",
    type=CSINode,
    namespaced=False,
    singular="csinode",
    subresources=(Subresource(name="status", kind="CSINode", verbs=("get", "patch", "update"), type=CSINode),),
    columns=COLUMNS,
    validate=validate_csi_node,
    validate_update=validate_csi_node_update,
    update_needs_version=True,
)
