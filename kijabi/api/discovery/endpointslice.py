"""The addresses behind a service, in slices; written by the endpoint slice controller, read by proxy and DNS."""

from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.columns import AGE, NAME, UNSET, column, first_few
from kijabi.api.core.kinds import PROTOCOLS
from kijabi.api.core.reference import ObjectReference
from kijabi.api.formats import dns_label, dns_subdomain, label_value, qualified_name
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Int32, Struct, Tag, empty_list
from kijabi.api.validation import (
    duplicate,
    each,
    endpoint_ip,
    fully_qualified,
    invalid,
    ip,
    ip_legacy,
    one_of,
    required,
    too_many,
    unchanged,
    validate_labels,
)


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
    """New labels count as a change of the slice; what older versions said of topology is not written any more."""
    if old is not None and new.metadata.labels != old.metadata.labels:
        new.metadata.generation = old.metadata.generation + 1
    if old is None or new.endpoints != old.endpoints:
        for endpoint in new.endpoints:
            endpoint.deprecatedTopology = {}


MOST_ENDPOINTS = 1000
MOST_PORTS = 20000
_MOST_ADDRESSES, _MOST_HINTS, _MOST_TOPOLOGY = 100, 8, 16


def validate(obj: EndpointSlice) -> Sequence[FieldError]:
    """Addresses of one family that pods can have, and ports by names of their own."""
    errors = _validate_ports(obj.ports)
    if len(obj.endpoints) > MOST_ENDPOINTS:
        return [*errors, too_many("endpoints", len(obj.endpoints), MOST_ENDPOINTS)]
    for index, endpoint in enumerate(obj.endpoints):
        errors += _validate_endpoint(f"endpoints[{index}]", endpoint, obj.addressType)
    if not obj.addressType:
        errors.append(required("addressType"))
    else:
        errors += one_of("addressType", obj.addressType, ("FQDN", "IPv4", "IPv6"))
    for index, endpoint in enumerate(obj.endpoints):
        path, count = f"endpoints[{index}].addresses", len(endpoint.addresses)
        if not count:
            errors.append(required(path))
        elif count > _MOST_ADDRESSES:
            errors.append(too_many(path, count, _MOST_ADDRESSES))
    return errors


def _validate_ports(ports: tuple[EndpointPort, ...]) -> list[FieldError]:
    if len(ports) > MOST_PORTS:
        return [too_many("ports", len(ports), MOST_PORTS)]
    errors: list[FieldError] = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        path, name = f"ports[{index}]", port.name or ""
        errors += each(f"{path}.name", name, dns_label(name) if name else ())
        if name in names:
            errors.append(duplicate(f"{path}.name", name))
        names.add(name)
        if port.protocol is None:
            errors.append(required(f"{path}.protocol"))
        else:
            errors += one_of(f"{path}.protocol", port.protocol, PROTOCOLS)
        if port.appProtocol is not None:
            errors += each(f"{path}.appProtocol", port.appProtocol, qualified_name(port.appProtocol))
    return errors


def _validate_endpoint(path: str, endpoint: Endpoint, kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, address in enumerate(endpoint.addresses):
        errors += _validate_address(f"{path}.addresses[{index}]", address, kind)
    if endpoint.nodeName is not None:
        errors += each(f"{path}.nodeName", endpoint.nodeName, dns_subdomain(endpoint.nodeName))
    if len(endpoint.deprecatedTopology) > _MOST_TOPOLOGY:
        errors.append(too_many(f"{path}.deprecatedTopology", len(endpoint.deprecatedTopology), _MOST_TOPOLOGY))
    errors += validate_labels(endpoint.deprecatedTopology, f"{path}.deprecatedTopology")
    if endpoint.hostname is not None:
        errors += each(f"{path}.hostname", endpoint.hostname, dns_label(endpoint.hostname))
    if endpoint.hints is not None:
        zones, nodes = endpoint.hints.forZones, endpoint.hints.forNodes
        errors += _validate_hints(f"{path}.hints.forZones", [zone.name for zone in zones], label_value)
        errors += _validate_hints(f"{path}.hints.forNodes", [node.name for node in nodes], dns_subdomain)
    return errors


def _validate_address(path: str, address: str, kind: str) -> list[FieldError]:
    if kind == "FQDN":
        return fully_qualified(path, address)
    if kind not in ("IPv4", "IPv6"):
        return []
    errors = ip_legacy(path, address) if kind == "IPv4" else ip(path, address)
    if errors:
        return errors
    if (":" in address) != (kind == "IPv6"):
        errors.append(invalid(path.rpartition("[")[0], address, f"must be an {kind} address"))
    return errors + endpoint_ip(path, address)


def _validate_hints(path: str, names: list[str], check: Callable[[str], list[str]]) -> list[FieldError]:
    if len(names) > _MOST_HINTS:
        return [too_many(path, len(names), _MOST_HINTS)]
    errors: list[FieldError] = []
    for index, name in enumerate(names):
        if name in names[:index]:
            errors.append(duplicate(f"{path}[{index}].name", name))
        errors += each(f"{path}[{index}].name", name, check(name))
    return errors


def validate_update(new: EndpointSlice, old: EndpointSlice) -> Sequence[FieldError]:
    """The family of addresses stays."""
    return unchanged("addressType", new.addressType, old.addressType)


# Labels a slice with the Service that it belongs to.
SERVICE_NAME = "kubernetes.io/service-name"


def service_of(slice_: EndpointSlice) -> tuple[str, ...]:
    """`namespace/name` of the Service that a slice belongs to, for an informer's index; nothing if it says none."""
    name = slice_.metadata.labels.get(SERVICE_NAME, "")
    return (f"{slice_.metadata.namespace}/{name}",) if name else ()


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
    validate=validate,
    validate_update=validate_update,
)
