"""The deviceclass types of the dra group."""

from typing import Annotated, ClassVar

from msgspec import Raw, field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import NO_JSON, Struct, Tag


class CELDeviceSelector(Struct):
    """The API type CELDeviceSelector."""

    expression: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class DeviceSelector(Struct):
    """The API type DeviceSelector."""

    cel: Annotated[CELDeviceSelector | None, Tag(1)] = None


class OpaqueDeviceConfiguration(Struct):
    """The API type OpaqueDeviceConfiguration."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    parameters: Annotated[Raw, Tag(2, required=True)] = NO_JSON


class DeviceConfiguration(Struct):
    """The API type DeviceConfiguration."""

    opaque: Annotated[OpaqueDeviceConfiguration | None, Tag(1)] = None


class DeviceClassConfiguration(DeviceConfiguration):
    """The API type DeviceClassConfiguration."""

    INLINE: ClassVar[int] = 1


class DeviceClassSpec(Struct):
    """What is asked of a Device Class."""

    selectors: Annotated[tuple[DeviceSelector, ...], Tag(1, listType="atomic")] = ()
    config: Annotated[tuple[DeviceClassConfiguration, ...], Tag(2, listType="atomic")] = ()
    extendedResourceName: Annotated[str | None, Tag(4, gate="DRAExtendedResource")] = None


class DeviceClass(Object):
    """The API type DeviceClass."""

    spec: Annotated[DeviceClassSpec, Tag(2)] = field(default_factory=DeviceClassSpec)


RESOURCE = Resource(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceClass",
    plural="deviceclasses",
    type=DeviceClass,
    namespaced=False,
    singular="deviceclass",
    has_generation=True,
)
