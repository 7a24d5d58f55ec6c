"""Amounts of resources, and what containers ask and get of them."""

from typing import Annotated

from msgspec import field

from kijabi.api.defaults import round_up
from kijabi.api.quantity import Quantity
from kijabi.api.struct import Struct, Tag

# Amounts by resource name: cpu, memory, ephemeral-storage, hugepages-2Mi, example.com/gpu.
ResourceList = dict[str, Quantity]


class ResourceClaim(Struct):
    """Devices that a container uses, by the name of a claim of its pod."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    request: Annotated[str, Tag(2)] = ""


class ResourceRequirements(Struct):
    """What is asked for (requests) and what must not be exceeded (limits)."""

    limits: Annotated[ResourceList, Tag(1)] = {}
    requests: Annotated[ResourceList, Tag(2)] = {}
    claims: Annotated[
        tuple[ResourceClaim, ...],
        Tag(3, listType="map", keys=("name",), gate="DynamicResourceAllocation"),
    ] = ()

    def set_defaults(self) -> None:
        """Amounts are counted in thousandths at the finest."""
        round_up(self.limits)
        round_up(self.requests)


class ResourceHealth(Struct):
    """The health of one device."""

    resourceID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    health: Annotated[str, Tag(2)] = ""
    message: Annotated[str | None, Tag(6, gate="ResourceHealthStatusMessage")] = None


class ResourceStatus(Struct):
    """The health of the devices behind one resource."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resources: Annotated[tuple[ResourceHealth, ...], Tag(2, listType="map", keys=("resourceID",))] = ()


class VolumeResourceRequirements(Struct):
    """How much storage is asked for, and the most that may be given."""

    limits: Annotated[ResourceList, Tag(1)] = {}
    requests: Annotated[ResourceList, Tag(2)] = {}

    def set_defaults(self) -> None:
        """Amounts are counted in thousandths at the finest."""
        round_up(self.limits)
        round_up(self.requests)
