"""What a Service promises, per address and port: pure, from the Service and its EndpointSlices.

`loop` calls `frontends` for each Service that changed; `rules` turns the result into nftables. Sources: core/v1
ServiceSpec; KEP-1669 (terminating endpoints); KEP-2086 (internal traffic policy); KEP-2433 and KEP-3015 (hints);
KEP-1860 (ipMode).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from kijabi.api.core.balancing import ANNOUNCED_BY
from kijabi.api.core.service import Service, ServicePort
from kijabi.api.discovery.endpointslice import Endpoint, EndpointPort, EndpointSlice

DEFAULT_STICKY = 10800  # seconds
ANYWHERE = ""  # the address of a node port: every address of the node


class Backend(msgspec.Struct, frozen=True, order=True):
    """Where a connection ends: an IPv4 address and a port."""

    address: str
    port: int


class Here(NamedTuple):
    """Where the proxy is: its node, and the zone that the node's label names ("" without one)."""

    node: str
    zone: str = ""


class Frontend(msgspec.Struct, frozen=True):
    """One address and port that leads to backends. address: "" for a node port.

    masquerade: the backend sees the node's address, so that its answers come back this way. sticky: seconds for which
    a client keeps its backend, 0 for not at all. refuse: what happens without backends: an error at once, or silence.
    inside: the backends for pods and the node itself, where they are others than those for the world. sources: the
    networks that may come, all if empty. whole: nothing but Services is behind the address, so its other ports are
    refused.
    """

    address: str
    protocol: str
    port: int
    backends: tuple[Backend, ...]
    masquerade: bool = False
    sticky: int = 0
    refuse: Literal["reject", "drop"] = "reject"
    inside: tuple[Backend, ...] = ()
    sources: tuple[str, ...] = ()
    whole: bool = False

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.address, self.protocol, self.port)


def is_proxied(service: Service) -> bool:
    """Headless and ExternalName Services are DNS alone."""
    return service.spec.type != "ExternalName" and service.spec.clusterIP not in ("", "None")


def _is_ipv4(address: str) -> bool:
    return ipaddress.ip_address(address).version == 4


class _Candidate(NamedTuple):
    """An endpoint, and its number of the port in question."""

    endpoint: Endpoint
    port: int


def _candidates(port: ServicePort, slices: Iterable[EndpointSlice]) -> list[_Candidate]:
    """Every endpoint that has the port."""
    found: list[_Candidate] = []
    for slice_ in slices:
        if slice_.addressType != "IPv4":
            continue
        number = next((p.port for p in slice_.ports if (p.name or "") == port.name and _same_protocol(p, port)), None)
        if number is not None:
            found += [_Candidate(endpoint, number) for endpoint in slice_.endpoints]
    return found


def _ready(one: _Candidate) -> bool:
    return one.endpoint.conditions.ready is not False


def _last(one: _Candidate) -> bool:
    """What still serves while it terminates is taken if nothing is ready (KEP-1669)."""
    return one.endpoint.conditions.serving is not False and one.endpoint.conditions.terminating is True


def _anywhere(candidates: Sequence[_Candidate], here: Here) -> tuple[Backend, ...]:
    """The backends in the cluster: those near this node, if hints say which those are for everybody."""
    return _sorted(_near([c for c in candidates if _ready(c)], here) or [c for c in candidates if _last(c)])


def _near(ready: Sequence[_Candidate], here: Here) -> Sequence[_Candidate]:
    """Those that are hinted at for this node, or else its zone: only if each has such a hint, and one is for here.

    (KEP-2433, KEP-3015.)
    """
    for name, hints in ((here.node, _for_nodes), (here.zone, _for_zones)):
        near = [c for c in ready if name in hints(c.endpoint)]
        if near and all(hints(c.endpoint) for c in ready):
            return near
    return ready


def _for_nodes(endpoint: Endpoint) -> tuple[str, ...]:
    return tuple(one.name for one in endpoint.hints.forNodes) if endpoint.hints is not None else ()


def _for_zones(endpoint: Endpoint) -> tuple[str, ...]:
    return tuple(one.name for one in endpoint.hints.forZones) if endpoint.hints is not None else ()


def _local(candidates: Iterable[_Candidate], here: Here) -> tuple[Backend, ...]:
    """The backends on this node."""
    mine = [c for c in candidates if c.endpoint.nodeName == here.node]
    return _sorted([c for c in mine if _ready(c)] or [c for c in mine if _last(c)])


def _sorted(chosen: Iterable[_Candidate]) -> tuple[Backend, ...]:
    return tuple(sorted({Backend(address, port) for one, port in chosen for address in one.addresses[:1]}))


def _same_protocol(one: EndpointPort, port: ServicePort) -> bool:
    return (one.protocol or "TCP") == (port.protocol or "TCP")


def _sticky_seconds(service: Service) -> int:
    if service.spec.sessionAffinity != "ClientIP":
        return 0
    config = service.spec.sessionAffinityConfig
    client = config.clientIP if config is not None else None
    return (client.timeoutSeconds if client is not None else None) or DEFAULT_STICKY


def frontends(service: Service, slices: Sequence[EndpointSlice], here: Here) -> tuple[Frontend, ...]:
    """Everything a Service promises on one node."""
    if not is_proxied(service):
        return ()
    spec = service.spec
    sticky = _sticky_seconds(service)
    inside = spec.internalTrafficPolicy == "Local"
    local_only = spec.externalTrafficPolicy == "Local"
    sources = _sources(service)
    whole = ANNOUNCED_BY in service.metadata.annotations
    outside = [Outside(ip) for ip in spec.externalIPs if _is_ipv4(ip)]
    outside += [Outside(ip, sources, whole) for ip in balancer_addresses(service)]
    result: list[Frontend] = []
    for port in spec.ports:
        protocol = (port.protocol or "TCP").lower()
        candidates = _candidates(port, slices)
        local, everywhere = _local(candidates, here), _anywhere(candidates, here)
        internal = local if inside else everywhere
        external = local if local_only else everywhere
        # Whoever asks from within the cluster means the Service and not the node (KEP-1669).
        within = everywhere if local_only and everywhere != external else ()
        refuse: Literal["reject", "drop"] = "drop" if inside else "reject"
        for address in filter(_is_ipv4, spec.clusterIPs or (spec.clusterIP,)):
            result.append(Frontend(address, protocol, port.port, internal, False, sticky, refuse))
        refuse = "drop" if local_only else "reject"
        places = [(one, port.port) for one in outside]
        if port.nodePort:
            places.append((Outside(ANYWHERE), port.nodePort))
        result += [
            Frontend(
                one.address, protocol, number, external, not local_only, sticky, refuse, within, one.sources, one.whole
            )
            for one, number in places
        ]
    return tuple(result)


class Outside(NamedTuple):
    """An address for the world: see Frontend."""

    address: str
    sources: tuple[str, ...] = ()
    whole: bool = False


def balancer_addresses(service: Service) -> list[str]:
    """The IPv4 addresses of its load balancer that are to be taken here, and not by a proxy before (KEP-1860)."""
    ingress = service.status.loadBalancer.ingress
    return [one.ip for one in ingress if one.ip and one.ipMode != "Proxy" and _is_ipv4(one.ip)]


def _sources(service: Service) -> tuple[str, ...]:
    """Who may come to its load balancer: the IPv4 networks; () for everybody."""
    networks = (ipaddress.ip_network(text.strip(), strict=False) for text in service.spec.loadBalancerSourceRanges)
    found = {str(network) for network in networks if network.version == 4}
    return () if "0.0.0.0/0" in found else tuple(sorted(found))


def health_port(service: Service) -> int:
    """The port at which each node says how many endpoints it has, 0 for none."""
    local = service.spec.type == "LoadBalancer" and service.spec.externalTrafficPolicy == "Local"
    return service.spec.healthCheckNodePort if local else 0


def local_endpoints(slices: Iterable[EndpointSlice], node: str) -> int:
    """How many ready endpoints a node has."""
    ready = (e for one in slices for e in one.endpoints if e.nodeName == node and e.conditions.ready is not False)
    return len({endpoint.addresses[0] for endpoint in ready if endpoint.addresses})
