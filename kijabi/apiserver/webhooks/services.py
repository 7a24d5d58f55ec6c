"""From a Service and one of its ports to an address that can be dialled: an endpoint that is ready.

`client.py` and the aggregation of API servers ask; the answer comes from the watch caches, so it is exact. Rules and
texts: k8s.io/apiserver `pkg/util/proxy` (ResolveEndpoint, RandomEndpoint).
"""

from __future__ import annotations

from typing import NamedTuple

from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import SERVICE_NAME, EndpointSlice
from kijabi.api.gotext import quote
from kijabi.apiserver.attributes import Reader
from kijabi.base import rand
from kijabi.base.errors import KijabiError

DEFAULT_PORT = 443


class Unresolved(KijabiError):
    """The Service leads nowhere; the text says why, as upstream words it."""


class Endpoint(NamedTuple):
    """Where to dial."""

    host: str
    port: int


def server_name(namespace: str, name: str) -> str:
    """The name that the certificate of a Service's server must have."""
    return f"{name}.{namespace}.svc"


def resolve(reader: Reader, namespace: str, name: str, port: int = DEFAULT_PORT) -> Endpoint:
    """A ready endpoint behind a Service's port, by chance. Raises Unresolved."""
    service = reader.get(Service, name, namespace)
    if service is None:
        raise Unresolved(f"service {quote(name)} not found")
    if service.spec.type == "ExternalName":
        raise Unresolved(f"unsupported service type {quote(service.spec.type)}")
    wanted = next((each for each in service.spec.ports if each.port == port), None)
    if wanted is None:
        raise Unresolved(f"no service port {port} found for service {quote(name)}")
    families = service.spec.ipFamilies
    found: dict[bool, list[Endpoint]] = {True: [], False: []}
    for piece in reader.items(EndpointSlice, namespace):
        if (piece.metadata.labels or {}).get(SERVICE_NAME) != name:
            continue
        preferred = not families or piece.addressType == families[0]
        found[preferred] += _ready(piece, wanted.name)
    choice = found[True] or found[False]
    if not choice:
        raise Unresolved(f"no endpoints available for service {quote(name)}")
    return rand.rng().choice(choice)


def _ready(piece: EndpointSlice, port_name: str) -> list[Endpoint]:
    """The endpoints of a slice that take traffic on a port; unknown counts as ready."""
    ports = [port.port for port in piece.ports if (port.name or "") == port_name and port.port]
    return [
        Endpoint(endpoint.addresses[0], ports[0])
        for endpoint in piece.endpoints
        if ports and endpoint.addresses and endpoint.conditions.ready is not False
    ]
