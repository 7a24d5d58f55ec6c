"""What a claim asks of devices; read by the scheduler's allocator."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.dra.deviceclass import DeviceConfiguration, DeviceSelector
from kijabi.api.quantity import Quantity
from kijabi.api.struct import Int64, Struct, Tag, empty_list


class DeviceToleration(Struct):
    """Device taints that do not keep a claim away."""

    key: Annotated[str, Tag(1)] = ""
    operator: Annotated[str, Tag(2, default="Equal")] = ""
    value: Annotated[str, Tag(3)] = ""
    effect: Annotated[str, Tag(4)] = ""
    tolerationSeconds: Annotated[Int64 | None, Tag(5)] = None


class CapacityRequirements(Struct):
    """How much of a shared device's capacity is asked for."""

    requests: Annotated[dict[str, Quantity], Tag(1)] = {}


class DeviceDerivedAttribute(Struct):
    """An attribute that a CEL expression computes of each device, for constraints to compare."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    expression: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class ExactDeviceRequest(Struct):
    """Devices of one class, by selectors, count and capacity."""

    deviceClassName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    selectors: Annotated[tuple[DeviceSelector, ...], Tag(2, listType="atomic")] = ()
    allocationMode: Annotated[str, Tag(3)] = ""
    count: Annotated[Int64, Tag(4)] = 0
    adminAccess: Annotated[bool | None, Tag(5, gate="DRAAdminAccess")] = None
    tolerations: Annotated[
        tuple[DeviceToleration, ...],
        Tag(6, listType="atomic", gate="DRADeviceTaints"),
    ] = ()
    capacity: Annotated[CapacityRequirements | None, Tag(7, gate="DRAConsumableCapacity")] = None
    derivedAttributes: Annotated[
        tuple[DeviceDerivedAttribute, ...],
        Tag(8, listType="atomic", gate="DRADerivedAttributes"),
    ] = ()

    def set_defaults(self) -> None:
        """One device."""
        self.allocationMode = self.allocationMode or "ExactCount"
        if self.allocationMode == "ExactCount" and self.count == 0:
            self.count = 1


class DeviceSubRequest(Struct):
    """One of several acceptable alternatives."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    deviceClassName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    selectors: Annotated[tuple[DeviceSelector, ...], Tag(3, listType="atomic")] = ()
    allocationMode: Annotated[str, Tag(4)] = ""
    count: Annotated[Int64, Tag(5)] = 0
    tolerations: Annotated[
        tuple[DeviceToleration, ...],
        Tag(6, listType="atomic", gate="DRADeviceTaints"),
    ] = ()
    capacity: Annotated[CapacityRequirements | None, Tag(7, gate="DRAConsumableCapacity")] = None
    derivedAttributes: Annotated[
        tuple[DeviceDerivedAttribute, ...],
        Tag(8, listType="atomic", gate="DRADerivedAttributes"),
    ] = ()

    def set_defaults(self) -> None:
        """One device."""
        self.allocationMode = self.allocationMode or "ExactCount"
        if self.allocationMode == "ExactCount" and self.count == 0:
            self.count = 1


class DeviceRequest(Struct):
    """Devices by name of the request: either exactly so, or the first available alternative."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    exactly: Annotated[ExactDeviceRequest | None, Tag(2)] = None
    firstAvailable: Annotated[
        tuple[DeviceSubRequest, ...],
        Tag(3, listType="atomic", gate="DRAPrioritizedList"),
    ] = ()


class DeviceConstraint(Struct):
    """Devices must share an attribute's value, or differ in it."""

    requests: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    matchAttribute: Annotated[str | None, Tag(2)] = None
    distinctAttribute: Annotated[str | None, Tag(3, gate="DRAConsumableCapacity")] = None


class DeviceClaimConfiguration(DeviceConfiguration):
    """Configuration for the devices of some requests."""

    INLINE: ClassVar[int] = 2

    requests: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class DeviceClaim(Struct):
    """Requests, constraints over them, and configuration."""

    requests: Annotated[
        tuple[DeviceRequest, ...],
        Tag(1, listType="atomic"),
    ] = field(default_factory=empty_list)
    constraints: Annotated[tuple[DeviceConstraint, ...], Tag(2, listType="atomic")] = ()
    config: Annotated[tuple[DeviceClaimConfiguration, ...], Tag(3, listType="atomic")] = ()
