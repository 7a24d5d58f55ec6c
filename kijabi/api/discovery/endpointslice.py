"""The addresses behind a service, in slices; written by the endpoint slice controller, read by proxy and DNS."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.columns import AGE, NAME, UNSET, column, first_few
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Int32, Struct, Tag, empty_list


class EndpointConditions(Struct):
    """Ready, serving, terminating; unknown counts as ready and serving."""

    ready: Annotated[bool | None, Tag(1)] = None
    serving: Annotated[bool | None, Tag(2)] = None
    terminating: Annotated[bool | None, Tag(3)] = None


class ForZone(Struct):
    """A zone that should use an endpoint."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class ForNode(Struct):
    """A node that should use an endpoint."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class EndpointHints(Struct):
    """Who should use an endpoint, for traffic that stays near."""

    forZones: Annotated[tuple[ForZone, ...], Tag(1, listType="atomic")] = ()
    forNodes: Annotated[tuple[ForNode, ...], Tag(2, listType="atomic")] = ()


class Endpoint(Struct):
    """The addresses of one pod, its state, and where it is."""

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
    """A port by name and number; no number means all ports."""

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
    """Up to 100 or so endpoints of a service, of one address family."""

    addressType: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    endpoints: Annotated[tuple[Endpoint, ...], Tag(2, listType="atomic")] = field(default_factory=empty_list)
    ports: Annotated[tuple[EndpointPort, ...], Tag(3, listType="atomic")] = field(default_factory=empty_list)


def _ports(obj: EndpointSlice) -> str:
    return first_few([_port(port) for port in obj.ports]) or UNSET


def _port(port: EndpointPort) -> str:
    if port.port is not None:
        return str(port.port)
    return "*" if port.name is None else port.name


COLUMNS = (
    NAME,
    column("AddressType", lambda obj: obj.addressType, "IPv4, IPv6 or FQDN."),
    column("Ports", _ports, "Ports of every endpoint."),
    column(
        "Endpoints",
        lambda obj: first_few([address for each in obj.endpoints for address in each.addresses]) or UNSET,
        "Addresses of the endpoints.",
    ),
    AGE,
)


def prepare(new: EndpointSlice, old: EndpointSlice | None) -> None:
    """New labels count as a change of the slice."""
    if old is not None and new.metadata.labels != old.metadata.labels:
        new.metadata.generation = old.metadata.generation + 1


RESOURCE = Resource(
    group="discovery.k8s.io",
    version="v1",
    kind="EndpointSlice",
    plural="endpointslices",
    type=EndpointSlice,
    singular="endpointslice",
    has_generation=True,
    columns=COLUMNS,
    prepare=prepare,
)
