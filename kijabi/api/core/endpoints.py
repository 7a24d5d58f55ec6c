"""The addresses behind a service, in their old form; written by the endpoints controller."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, column, first_few
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Int32, Struct, Tag


class EndpointAddress(Struct):
    """An IP address, and the pod and node it belongs to."""

    ATOMIC: ClassVar[bool] = True

    ip: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    hostname: Annotated[str, Tag(3)] = ""
    nodeName: Annotated[str | None, Tag(4)] = None
    targetRef: Annotated[ObjectReference | None, Tag(2)] = None


class EndpointPort(Struct):
    """A port by name and number."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1)] = ""
    port: Annotated[Int32, Tag(2, required=True)] = field(default_factory=int)
    protocol: Annotated[str, Tag(3)] = ""
    appProtocol: Annotated[str | None, Tag(4)] = None

    def set_defaults(self) -> None:
        """TCP."""
        self.protocol = self.protocol or "TCP"


class EndpointSubset(Struct):
    """Addresses that share their ports, ready or not."""

    addresses: Annotated[tuple[EndpointAddress, ...], Tag(1, listType="atomic")] = ()
    notReadyAddresses: Annotated[tuple[EndpointAddress, ...], Tag(2, listType="atomic")] = ()
    ports: Annotated[tuple[EndpointPort, ...], Tag(3, listType="atomic")] = ()


class Endpoints(Object):
    """The addresses of a service, all in one object; EndpointSlice does it better."""

    subsets: Annotated[tuple[EndpointSubset, ...], Tag(2, listType="atomic")] = ()


def _endpoints(obj: Endpoints) -> str:
    if not obj.subsets:
        return NONE
    found: list[str] = []
    for subset in obj.subsets:
        for port in subset.ports:
            found += [_join(address.ip, port.port) for address in subset.addresses]
        if not subset.ports:
            found += [address.ip for address in subset.addresses]
    return first_few(found)


def _join(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


COLUMNS = (NAME, column("Endpoints", _endpoints, "Ready addresses with their ports."), AGE)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    type=Endpoints,
    singular="endpoints",
    short=("ep",),
    columns=COLUMNS,
)
