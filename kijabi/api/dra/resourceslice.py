"""The devices there are; published by drivers, read by the scheduler's allocator."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.core.nodeselector import NodeSelector
from kijabi.api.dra.devicetaintrule import DeviceTaint
from kijabi.api.dra.slice_rules import validate, validate_update
from kijabi.api.meta import Object
from kijabi.api.quantity import Quantity
from kijabi.api.resource import Resource
from kijabi.api.struct import Int64, Struct, Tag


class ResourcePool(Struct):
    """The pool, its generation, and how many slices make it whole."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    generation: Annotated[Int64, Tag(2, required=True)] = field(default_factory=int)
    resourceSliceCount: Annotated[Int64, Tag(3, required=True)] = field(default_factory=int)


class DeviceAttribute(Struct):
    """A typed value: number, flag, text, version, or a list of such."""

    int_: Annotated[Int64 | None, Tag(2)] = field(default=None, name="int")
    bool_: Annotated[bool | None, Tag(3)] = field(default=None, name="bool")
    string: Annotated[str | None, Tag(4)] = None
    version: Annotated[str | None, Tag(5)] = None
    ints: Annotated[tuple[Int64, ...], Tag(6, listType="atomic", gate="DRAListTypeAttributes")] = ()
    bools: Annotated[tuple[bool, ...], Tag(7, listType="atomic", gate="DRAListTypeAttributes")] = ()
    strings: Annotated[tuple[str, ...], Tag(8, listType="atomic", gate="DRAListTypeAttributes")] = ()
    versions: Annotated[tuple[str, ...], Tag(9, listType="atomic", gate="DRAListTypeAttributes")] = ()


class CapacityRequestPolicyRange(Struct):
    """The least, the most and the step of a request."""

    min: Annotated[Quantity | None, Tag(1, required=True)] = None
    max: Annotated[Quantity | None, Tag(2)] = None
    step: Annotated[Quantity | None, Tag(3)] = None


class CapacityRequestPolicy(Struct):
    """Which amounts of a capacity may be asked for, and the default."""

    default: Annotated[Quantity | None, Tag(1)] = None
    validValues: Annotated[tuple[Quantity, ...], Tag(3, listType="atomic")] = ()
    validRange: Annotated[CapacityRequestPolicyRange | None, Tag(4)] = None


class DeviceCapacity(Struct):
    """An amount that a device has, and how it may be shared."""

    value: Annotated[Quantity, Tag(1, required=True)] = field(default_factory=Quantity)
    requestPolicy: Annotated[CapacityRequestPolicy | None, Tag(2, gate="DRAConsumableCapacity")] = None


class Counter(Struct):
    """An amount that devices draw on together."""

    value: Annotated[Quantity, Tag(1, required=True)] = field(default_factory=Quantity)


class DeviceCounterConsumption(Struct):
    """What a device takes from the counters of a set."""

    counterSet: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    counters: Annotated[dict[str, Counter], Tag(2, required=True)] = {}
    compatibilityGroups: Annotated[
        tuple[str, ...],
        Tag(3, listType="atomic", gate="DRADeviceCompatibilityGroups"),
    ] = ()


class NodeAllocatableMapping(Struct):
    """How a device's capacity counts as a node resource."""

    capacityKey: Annotated[str | None, Tag(1)] = None
    capacityMultiplier: Annotated[Quantity | None, Tag(2)] = None
    deviceMultiplier: Annotated[Quantity | None, Tag(3)] = None


class NodeAllocatableOverhead(Struct):
    """What a device costs in a node resource."""

    perPod: Annotated[Quantity | None, Tag(1)] = None
    perContainer: Annotated[Quantity | None, Tag(2)] = None


class NodeAllocatableResource(Struct):
    """A node resource that a device draws on."""

    mapping: Annotated[NodeAllocatableMapping | None, Tag(3)] = None
    overhead: Annotated[NodeAllocatableOverhead | None, Tag(4)] = None


class Device(Struct):
    """A device with its attributes, capacity, taints, and where it can be used."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    attributes: Annotated[dict[str, DeviceAttribute], Tag(2)] = {}
    capacity: Annotated[dict[str, DeviceCapacity], Tag(3)] = {}
    consumesCounters: Annotated[
        tuple[DeviceCounterConsumption, ...],
        Tag(4, listType="atomic", gate="DRAPartitionableDevices"),
    ] = ()
    nodeName: Annotated[str | None, Tag(5, gate="DRAPartitionableDevices")] = None
    nodeSelector: Annotated[NodeSelector | None, Tag(6, gate="DRAPartitionableDevices")] = None
    allNodes: Annotated[bool | None, Tag(7, gate="DRAPartitionableDevices")] = None
    taints: Annotated[tuple[DeviceTaint, ...], Tag(8, listType="atomic", gate="DRADeviceTaints")] = ()
    bindsToNode: Annotated[
        bool | None,
        Tag(9, gate="DRADeviceBindingConditions,DRAResourceClaimDeviceStatus"),
    ] = None
    bindingConditions: Annotated[
        tuple[str, ...],
        Tag(10, listType="atomic", gate="DRADeviceBindingConditions,DRAResourceClaimDeviceStatus"),
    ] = ()
    bindingFailureConditions: Annotated[
        tuple[str, ...],
        Tag(11, listType="atomic", gate="DRADeviceBindingConditions,DRAResourceClaimDeviceStatus"),
    ] = ()
    allowMultipleAllocations: Annotated[bool | None, Tag(12, gate="DRAConsumableCapacity")] = None
    nodeAllocatableResources: Annotated[
        dict[str, NodeAllocatableResource],
        Tag(14, gate="DRANodeAllocatableResources"),
    ] = {}


class CounterSet(Struct):
    """Counters that devices of a pool share, by name."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    counters: Annotated[dict[str, Counter], Tag(2, required=True)] = {}


class ResourceSliceSpec(Struct):
    """The driver, the pool, the nodes, and the devices."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    pool: Annotated[ResourcePool, Tag(2, required=True)] = field(default_factory=ResourcePool)
    nodeName: Annotated[str | None, Tag(3)] = None
    nodeSelector: Annotated[NodeSelector | None, Tag(4)] = None
    allNodes: Annotated[bool | None, Tag(5)] = None
    devices: Annotated[tuple[Device, ...], Tag(6, listType="atomic")] = ()
    perDeviceNodeSelection: Annotated[bool | None, Tag(7, gate="DRAPartitionableDevices")] = None
    sharedCounters: Annotated[
        tuple[CounterSet, ...],
        Tag(8, listType="atomic", gate="DRAPartitionableDevices"),
    ] = ()
    partitionTypeAttribute: Annotated[str | None, Tag(9, gate="DRAPartitionableDevicesType")] = None
    skipNodeOperations: Annotated[
        tuple[str, ...],
        Tag(10, listType="set", gate="DRAOptionalNodeOperations"),
    ] = ()


class ResourceSlice(Object):
    """Some of the devices of a driver's pool."""

    spec: Annotated[ResourceSliceSpec, Tag(2, required=True)] = field(default_factory=ResourceSliceSpec)


COLUMNS = (
    NAME,
    column("Node", lambda obj: obj.spec.nodeName or "", "The node that has the devices."),
    column("Driver", lambda obj: obj.spec.driver, "The driver that knows them."),
    column("Pool", lambda obj: obj.spec.pool.name, "The pool that they belong to."),
    AGE,
)


RESOURCE = Resource(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceSlice",
    plural="resourceslices",
    type=ResourceSlice,
    namespaced=False,
    singular="resourceslice",
    has_generation=True,
    columns=COLUMNS,
    fields=(
        ("spec.nodeName", lambda piece: piece.spec.nodeName or ""),
        ("spec.driver", lambda piece: piece.spec.driver),
    ),
    validate=validate,
    validate_update=validate_update,
)
