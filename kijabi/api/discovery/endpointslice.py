"""The endpointslice types of the discovery group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Int32, Struct, Tag, empty_list


class EndpointConditions(Struct):
    """The API type EndpointConditions."""

    ready: Annotated[bool | None, Tag(1)] = None
    serving: Annotated[bool | None, Tag(2)] = None
    terminating: Annotated[bool | None, Tag(3)] = None


class ForZone(Struct):
    """The API type ForZone."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class ForNode(Struct):
    """The API type ForNode."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class EndpointHints(Struct):
    """The API type EndpointHints."""

    forZones: Annotated[tuple[ForZone, ...], Tag(1, listType="atomic")] = ()
    forNodes: Annotated[tuple[ForNode, ...], Tag(2, listType="atomic")] = ()


class Endpoint(Struct):
    """The API type Endpoint."""

    addresses: Annotated[
        tuple[str, ...],
        Tag(1, listType="set", required=True),
    ] = field(default_factory=empty_list)
    conditions: Annotated[EndpointConditions, Tag(2)] = field(default_factory=EndpointConditions)
    hostname: Annotated[str | None, Tag(3)] = None
    targetRef: Annotated[ObjectReference | None, Tag(4)] = None
    deprecatedTopology: Annotated[dict[str, str], Tag(5)] = {}
    nodeName: Annotated[str | None, Tag(6)] = None
    zone: Annotated[str | None, Tag(7)] = None
    hints: Annotated[EndpointHints | None, Tag(8)] = None


class EndpointPort(Struct):
    """The API type EndpointPort."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str | None, Tag(1)] = None
    protocol: Annotated[str | None, Tag(2)] = None
    port: Annotated[Int32 | None, Tag(3)] = None
    appProtocol: Annotated[str | None, Tag(4)] = None

    def set_defaults(self) -> None:
        """An unnamed port, TCP."""
        if self.name is None:
            self.name = ""
        if self.protocol is None:
            self.protocol = "TCP"


class EndpointSlice(Object):
    """The API type EndpointSlice."""

    addressType: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    endpoints: Annotated[tuple[Endpoint, ...], Tag(2, listType="atomic")] = field(default_factory=empty_list)
    ports: Annotated[tuple[EndpointPort, ...], Tag(3, listType="atomic")] = field(default_factory=empty_list)


RESOURCE = Resource(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    type=EndpointSlice,
    singular="endpointslice",
    has_generation=True,
)
