"""The endpoints types of the core group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Int32, Struct, Tag


class EndpointAddress(Struct):
    """The API type EndpointAddress."""

    ATOMIC: ClassVar[bool] = True

    ip: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    hostname: Annotated[str, Tag(3)] = ""
    nodeName: Annotated[str | None, Tag(4)] = None
    targetRef: Annotated[ObjectReference | None, Tag(2)] = None


class EndpointPort(Struct):
    """The API type EndpointPort."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1)] = ""
    port: Annotated[Int32, Tag(2, required=True)] = field(default_factory=int)
    protocol: Annotated[str, Tag(3)] = ""
    appProtocol: Annotated[str | None, Tag(4)] = None

    def set_defaults(self) -> None:
        """TCP."""
        self.protocol = self.protocol or "TCP"


class EndpointSubset(Struct):
    """The API type EndpointSubset."""

    addresses: Annotated[tuple[EndpointAddress, ...], Tag(1, listType="atomic")] = ()
    notReadyAddresses: Annotated[tuple[EndpointAddress, ...], Tag(2, listType="atomic")] = ()
    ports: Annotated[tuple[EndpointPort, ...], Tag(3, listType="atomic")] = ()


class Endpoints(Object):
    """The API type Endpoints."""

    subsets: Annotated[tuple[EndpointSubset, ...], Tag(2, listType="atomic")] = ()


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    type=Endpoints,
    singular="endpoints",
    short=("ep",),
)
