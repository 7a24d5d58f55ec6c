"""The addresses behind a service, in their old form; written by the endpoints controller."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, column, first_few
from kijabi.api.core.kinds import PROTOCOLS
from kijabi.api.core.reference import ObjectReference
from kijabi.api.formats import dns_label, dns_subdomain, port_number, qualified_name
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Int32, Struct, Tag
from kijabi.api.validation import each, endpoint_ip, ip_legacy, one_of, required


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


def validate(obj: Endpoints) -> Sequence[FieldError]:
    """Each subset has addresses that pods can have, and ports that clients can tell apart."""
    errors: list[FieldError] = []
    for index, subset in enumerate(obj.subsets):
        path = f"subsets[{index}]"
        if not subset.addresses and not subset.notReadyAddresses:
            errors.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
        for name in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(getattr(subset, name)):
                errors += _validate_address(f"{path}.{name}[{place}]", address)
        for place, port in enumerate(subset.ports):
            errors += _validate_port(f"{path}.ports[{place}]", port, len(subset.ports) > 1)
    return errors


def _validate_address(path: str, address: EndpointAddress) -> list[FieldError]:
    errors = ip_legacy(f"{path}.ip", address.ip)
    if address.hostname:
        errors += each(f"{path}.hostname", address.hostname, dns_label(address.hostname))
    if address.nodeName is not None:
        errors += each(f"{path}.nodeName", address.nodeName, dns_subdomain(address.nodeName))
    return errors + endpoint_ip(f"{path}.ip", address.ip)


def _validate_port(path: str, port: EndpointPort, need_name: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    if port.name:
        errors += each(f"{path}.name", port.name, dns_label(port.name))
    elif need_name:
        errors.append(required(f"{path}.name"))
    errors += each(f"{path}.port", port.port, port_number(port.port))
    errors += one_of(f"{path}.protocol", port.protocol, PROTOCOLS)
    if port.appProtocol is not None:
        errors += each(f"{path}.appProtocol", port.appProtocol, qualified_name(port.appProtocol))
    return errors


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Endpoints",
    plural="endpoints",
    type=Endpoints,
    singular="endpoints",
    short=("ep",),
    columns=COLUMNS,
    validate=validate,
    create_on_update=True,
)
