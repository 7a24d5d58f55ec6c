"""Claims to devices; allocated by the scheduler, used by pods."""

from typing import Annotated, ClassVar

from msgspec import Raw, field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.core.nodeselector import NodeSelector
from kijabi.api.dra.claim_rules import validate, validate_status, validate_update
from kijabi.api.dra.deviceclass import DeviceConfiguration
from kijabi.api.dra.devicerequest import DeviceClaim, DeviceToleration
from kijabi.api.meta import Condition, Object, Time
from kijabi.api.quantity import Quantity
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import NO_JSON, Struct, Tag, empty_list


class ResourceClaimSpec(Struct):
    """What is asked for."""

    devices: Annotated[DeviceClaim, Tag(1)] = field(default_factory=DeviceClaim)


class DeviceRequestAllocationResult(Struct):
    """The device that a request got."""

    request: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    driver: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    pool: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    device: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    adminAccess: Annotated[bool | None, Tag(5, gate="DRAAdminAccess")] = None
    tolerations: Annotated[
        tuple[DeviceToleration, ...],
        Tag(6, listType="atomic", gate="DRADeviceTaints"),
    ] = ()
    bindingConditions: Annotated[
        tuple[str, ...],
        Tag(7, listType="atomic", gate="DRADeviceBindingConditions,DRAResourceClaimDeviceStatus"),
    ] = ()
    bindingFailureConditions: Annotated[
        tuple[str, ...],
        Tag(8, listType="atomic", gate="DRADeviceBindingConditions,DRAResourceClaimDeviceStatus"),
    ] = ()
    shareID: Annotated[str | None, Tag(9, gate="DRAConsumableCapacity")] = None
    consumedCapacity: Annotated[dict[str, Quantity], Tag(10, gate="DRAConsumableCapacity")] = {}
    skipNodeOperations: Annotated[
        tuple[str, ...],
        Tag(11, listType="set", gate="DRAOptionalNodeOperations"),
    ] = ()


class DeviceAllocationConfiguration(DeviceConfiguration):
    """Configuration, and whether class or claim brought it."""

    INLINE: ClassVar[int] = 3

    source: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    requests: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()


class DeviceAllocationResult(Struct):
    """All devices that a claim got, and their configuration."""

    results: Annotated[tuple[DeviceRequestAllocationResult, ...], Tag(1, listType="atomic")] = ()
    config: Annotated[tuple[DeviceAllocationConfiguration, ...], Tag(2, listType="atomic")] = ()


class AllocationResult(Struct):
    """What was allocated, when, and for which nodes."""

    devices: Annotated[DeviceAllocationResult, Tag(1)] = field(default_factory=DeviceAllocationResult)
    nodeSelector: Annotated[NodeSelector | None, Tag(3)] = None
    allocationTimestamp: Annotated[
        Time | None,
        Tag(5, gate="DRADeviceBindingConditions,DRAResourceClaimDeviceStatus"),
    ] = None


class ResourceClaimConsumerReference(Struct):
    """Who uses the claim, usually a pod."""

    apiGroup: Annotated[str, Tag(1)] = ""
    resource: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    uid: Annotated[str, Tag(5, required=True)] = field(default_factory=str)


class NetworkDeviceData(Struct):
    """Interface, addresses and hardware address of a network device."""

    interfaceName: Annotated[str, Tag(1)] = ""
    ips: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    hardwareAddress: Annotated[str, Tag(3)] = ""


class AllocatedDeviceStatus(Struct):
    """What the driver reports of an allocated device."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    pool: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    device: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    shareID: Annotated[str | None, Tag(7, gate="DRAConsumableCapacity")] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Tag(4, listType="map", keys=("type",)),
    ] = field(default_factory=empty_list)
    data: Annotated[Raw, Tag(5)] = NO_JSON
    networkData: Annotated[NetworkDeviceData | None, Tag(6)] = None


class ResourceClaimStatus(Struct):
    """What was allocated, for whom it is reserved, and how its devices are."""

    allocation: Annotated[AllocationResult | None, Tag(1)] = None
    reservedFor: Annotated[
        tuple[ResourceClaimConsumerReference, ...],
        Tag(2, listType="map", keys=("uid",), strategy="merge", mergeKey="uid"),
    ] = ()
    devices: Annotated[
        tuple[AllocatedDeviceStatus, ...],
        Tag(
            4,
            listType="map",
            keys=("driver", "device", "pool", "shareID"),
            gate="DRAResourceClaimDeviceStatus",
        ),
    ] = ()


class ResourceClaim(Object):
    """Asks for devices and holds them."""

    spec: Annotated[ResourceClaimSpec, Tag(2)] = field(default_factory=ResourceClaimSpec)
    status: Annotated[ResourceClaimStatus, Tag(3)] = field(default_factory=ResourceClaimStatus)


def _state(obj: ResourceClaim) -> str:
    states = ["deleted"] if obj.metadata.deletionTimestamp is not None else []
    if obj.status.allocation is not None:
        states += ["allocated", "reserved"] if obj.status.reservedFor else ["allocated"]
    elif not states:
        states.append("pending")
    return ",".join(states)


COLUMNS = (NAME, column("State", _state, "Whether it has devices and who uses them."), AGE)


RESOURCE = Resource(
    group="resource.k8s.io",
    version="v1",
    kind="ResourceClaim",
    plural="resourceclaims",
    type=ResourceClaim,
    singular="resourceclaim",
    subresources=(
        Subresource(
            name="status",
            kind="ResourceClaim",
            verbs=("get", "patch", "update"),
            type=ResourceClaim,
        ),
    ),
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
    update_alone=True,
    validate_status=validate_status,
)
