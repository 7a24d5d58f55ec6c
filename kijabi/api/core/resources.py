"""The resources types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.defaults import round_up
from kijabi.api.quantity import Quantity
from kijabi.api.struct import Struct, Tag

# Amounts by resource name: cpu, memory, ephemeral-storage, hugepages-2Mi, example.com/gpu.
ResourceList = dict[str, Quantity]


class ResourceClaim(Struct):
    """The API type ResourceClaim."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    request: Annotated[str, Tag(2)] = ""


class ResourceRequirements(Struct):
    """The API type ResourceRequirements."""

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
    """The API type ResourceHealth."""

    resourceID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    health: Annotated[str, Tag(2)] = ""
    message: Annotated[str | None, Tag(6, gate="ResourceHealthStatusMessage")] = None


class ResourceStatus(Struct):
    """What was last seen of a Resource."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resources: Annotated[tuple[ResourceHealth, ...], Tag(2, listType="map", keys=("resourceID",))] = ()


class VolumeResourceRequirements(Struct):
    """The API type VolumeResourceRequirements."""

    limits: Annotated[ResourceList, Tag(1)] = {}
    requests: Annotated[ResourceList, Tag(2)] = {}

    def set_defaults(self) -> None:
        """Amounts are counted in thousandths at the finest."""
        round_up(self.limits)
        round_up(self.requests)
