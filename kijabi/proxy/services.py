"""What a Service promises, per address and port: pure, from the Service and its EndpointSlices.

`loop` calls `frontends` for each Service that changed; `rules` turns the result into nftables. Sources: core/v1
ServiceSpec; KEP-1669 (terminating endpoints); KEP-2086 (internal traffic policy).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from kijabi.api.core.service import Service, ServicePort
from kijabi.api.discovery.endpointslice import Endpoint, EndpointPort, EndpointSlice

DEFAULT_STICKY = 10800  # seconds
ANYWHERE = ""  # the address of a node port: every address of the node


class Backend(msgspec.Struct, frozen=True, order=True):
    """Where a connection ends: an IPv4 address and a port."""

    address: str
    port: int


class Frontend(msgspec.Struct, frozen=True):
    """One address and port that leads to backends. address: "" for a node port.

    masquerade: the backend sees the node's address, so that its answers come back this way. sticky: seconds for which
    a client keeps its backend, 0 for not at all. refuse: what happens without backends: an error at once, or silence.
    """

    address: str
    protocol: str
    port: int
    backends: tuple[Backend, ...]
    masquerade: bool = False
    sticky: int = 0
    refuse: Literal["reject", "drop"] = "reject"

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.address, self.protocol, self.port)


def is_proxied(service: Service) -> bool:
    """Headless and ExternalName Services are DNS alone."""
    return service.spec.type != "ExternalName" and service.spec.clusterIP not in ("", "None")


def _is_ipv4(address: str) -> bool:
    return ipaddress.ip_address(address).version == 4


def _usable(endpoints: Sequence[Endpoint], publish_all: bool) -> list[Endpoint]:
    """Ready endpoints; if there is none, those that still serve while they terminate."""
    ready = [e for e in endpoints if publish_all or e.conditions.ready is not False]
    return ready or [e for e in endpoints if e.conditions.serving is not False and e.conditions.terminating]


def _backends(
    service: Service, port: ServicePort, slices: Iterable[EndpointSlice], node: str | None
) -> tuple[Backend, ...]:
    """Backends of one port, sorted; with a node's name only those on it."""
    found: set[Backend] = set()
    candidates: list[tuple[Endpoint, int]] = []
    for slice_ in slices:
        if slice_.addressType != "IPv4":
            continue
        number = next((p.port for p in slice_.ports if (p.name or "") == port.name and _same_protocol(p, port)), None)
        if number is None:
            continue
        candidates += [(e, number) for e in slice_.endpoints if node is None or e.nodeName == node]
    usable = {id(e) for e in _usable([e for e, _ in candidates], service.spec.publishNotReadyAddresses)}
    for endpoint, number in candidates:
        if id(endpoint) in usable:
            found.update(Backend(address, number) for address in endpoint.addresses[:1])
    return tuple(sorted(found))


def _same_protocol(one: EndpointPort, port: ServicePort) -> bool:
    return (one.protocol or "TCP") == (port.protocol or "TCP")


def _sticky_seconds(service: Service) -> int:
    if service.spec.sessionAffinity != "ClientIP":
        return 0
    config = service.spec.sessionAffinityConfig
    client = config.clientIP if config is not None else None
    return (client.timeoutSeconds if client is not None else None) or DEFAULT_STICKY


def frontends(service: Service, slices: Sequence[EndpointSlice], node: str) -> tuple[Frontend, ...]:
    """Everything a Service promises on one node."""
    if not is_proxied(service):
        return ()
    spec = service.spec
    sticky = _sticky_seconds(service)
    inside = node if spec.internalTrafficPolicy == "Local" else None
    local_only = spec.externalTrafficPolicy == "Local"
    balancers = service.status.loadBalancer.ingress
    outside_addresses = [*spec.externalIPs, *(i.ip for i in balancers if i.ip and i.ipMode != "Proxy")]
    result: list[Frontend] = []
    for port in spec.ports:
        protocol = (port.protocol or "TCP").lower()
        internal = _backends(service, port, slices, inside)
        external = _backends(service, port, slices, node if local_only else None)
        refuse: Literal["reject", "drop"] = "drop" if inside else "reject"
        for address in filter(_is_ipv4, spec.clusterIPs or (spec.clusterIP,)):
            result.append(Frontend(address, protocol, port.port, internal, False, sticky, refuse))
        outside = [(address, port.port) for address in outside_addresses if _is_ipv4(address)]
        if port.nodePort:
            outside.append((ANYWHERE, port.nodePort))
        refuse = "drop" if local_only else "reject"
        result += [Frontend(a, protocol, n, external, not local_only, sticky, refuse) for a, n in outside]
    return tuple(result)
