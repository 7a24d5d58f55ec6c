"""Classes of devices; administrators define them, claims ask for them."""

from typing import Annotated, ClassVar

from msgspec import Raw, field

from kijabi.api.columns import AGE, NAME
from kijabi.api.dra.claim_rules import validate_class
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import NO_JSON, Struct, Tag


class CELDeviceSelector(Struct):
    """A CEL expression over a device's attributes and capacity."""

    expression: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class DeviceSelector(Struct):
    """How to pick devices; CEL is the only way."""

    cel: Annotated[CELDeviceSelector | None, Tag(1)] = None


class OpaqueDeviceConfiguration(Struct):
    """Parameters that only the named driver understands."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    parameters: Annotated[Raw, Tag(2, required=True)] = NO_JSON


class DeviceConfiguration(Struct):
    """Configuration for devices; opaque is the only form."""

    opaque: Annotated[OpaqueDeviceConfiguration | None, Tag(1)] = None


class DeviceClassConfiguration(DeviceConfiguration):
    """Configuration that comes with a class."""

    INLINE: ClassVar[int] = 1


class DeviceClassSpec(Struct):
    """Which devices belong to the class, and their configuration."""

    selectors: Annotated[tuple[DeviceSelector, ...], Tag(1, listType="atomic")] = ()
    config: Annotated[tuple[DeviceClassConfiguration, ...], Tag(2, listType="atomic")] = ()
    extendedResourceName: Annotated[str | None, Tag(4, gate="DRAExtendedResource")] = None


class DeviceClass(Object):
    """A kind of device that claims can ask for."""

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
    columns=(NAME, AGE),
    validate=validate_class,
)
