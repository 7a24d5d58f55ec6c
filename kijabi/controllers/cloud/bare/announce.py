"""Which node answers for a load balancer's address on the local network.

Receives Services that show an address, nodes and, for those with externalTrafficPolicy Local, endpoints; writes the
node's name into an annotation of the Service, which the proxy of that node obeys. `plan` decides: of the nodes that
can, the one with the highest hash of address and name (rendezvous hashing), so that a node that comes or goes moves no
address but its own. A node that died or is cut off is not Ready any more once its lease is overdue.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Iterable, Sequence

from kijabi.api.core.balancing import ANNOUNCED_BY, NETWORKS
from kijabi.api.core.node import Node
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import EndpointSlice, service_of
from kijabi.client.cache import key_of
from kijabi.controllers.cloud.nodes import balanced
from kijabi.controllers.cloud.service import wants
from kijabi.controllers.nodehealth import ready_status
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import SERVICE, endpoint_slices, nodes, services

ANNOUNCED = "announced"


def address_of(service: Service) -> str:
    """The IPv4 address that the Service's load balancer shows, "" if there is none (yet)."""
    if not wants(service):
        return ""
    for ingress in service.status.loadBalancer.ingress:
        if ingress.ip and ipaddress.ip_address(ingress.ip).version == 4:
            return ingress.ip
    return ""


def on_network(node: Node, address: str) -> bool:
    """Whether a node can announce an address; one that says nothing about its networks can."""
    told = node.metadata.annotations.get(NETWORKS)
    if told is None:
        return True
    networks = (ipaddress.ip_network(text.strip(), strict=False) for text in told.split(",") if text.strip())
    return any(ipaddress.ip_address(address) in network for network in networks)


def local_nodes(slices: Iterable[EndpointSlice]) -> set[str]:
    """The nodes that have a ready endpoint."""
    return {
        endpoint.nodeName
        for one in slices
        for endpoint in one.endpoints
        if endpoint.nodeName and endpoint.conditions.ready is not False
    }


def _weight(address: str, node: str) -> bytes:
    return hashlib.blake2b(f"{address}/{node}".encode(), digest_size=8).digest()


def plan(address: str, now: str, nodes: Iterable[Node], only: Collection[str] | None) -> str:
    """The name of the node that is to announce an address, "" for none.

    now: who does. only: the nodes that have endpoints, None where that does not matter. If no node is ready at all,
    more likely the judge was cut off than they: all stays as it is.
    """
    able = [node for node in nodes if on_network(node, address) and (only is None or node.metadata.name in only)]
    fit = [node.metadata.name for node in able if balanced(node) and ready_status(node) == "True"]
    if not fit:
        return now if any(node.metadata.name == now and balanced(node) for node in able) else ""
    return max(fit, key=lambda name: _weight(address, name))


def _announced(service: Service) -> tuple[str, ...]:
    """Index: the Services that show an address."""
    return (ANNOUNCED,) if address_of(service) else ()


def _matters(node: Node | None) -> tuple[object, ...]:
    """What of a node bears on who announces."""
    if node is None:
        return ()
    return (ready_status(node), balanced(node), node.metadata.annotations.get(NETWORKS))


class Announcements:
    """The controller; a key is a Service's."""

    name = "load-balancer-announcements"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("load-balancer-announcer")
        self.services = services(context.informers)
        self.services.add_index(ANNOUNCED, _announced)
        self.nodes = nodes(context.informers)
        self.slices = endpoint_slices(context.informers)

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.services, self._keys),
            Source(self.nodes, self._keys_of_node),
            Source(self.slices, self._keys_of_slice),
        )

    def _keys(self, old: Service | None, new: Service | None) -> Iterable[str]:
        if new is None or not (address_of(new) or ANNOUNCED_BY in new.metadata.annotations):
            return ()
        return (key_of(new),)

    def _keys_of_node(self, old: Node | None, new: Node | None) -> Iterable[str]:
        if _matters(old) == _matters(new):
            return ()
        return [key_of(service) for service in self.services.index(ANNOUNCED, ANNOUNCED)]

    def _keys_of_slice(self, old: EndpointSlice | None, new: EndpointSlice | None) -> Iterable[str]:
        """The Services to which it matters where their endpoints are."""
        keys = {key for one in (old, new) if one is not None for key in service_of(one)}
        found = ((key, self.services.get(key)) for key in keys)
        return [key for key, service in found if service is not None and _local(service)]

    async def reconcile(self, key: str) -> float | None:
        service = self.services.get(key)
        if service is None or service.metadata.deletionTimestamp is not None:
            return None
        address, now = address_of(service), service.metadata.annotations.get(ANNOUNCED_BY, "")
        only = local_nodes(self.slices.index(SERVICE, key)) if _local(service) else None
        node = plan(address, now, self.nodes.items(), only) if address else ""
        if node == now:
            return None
        meta = {"uid": service.metadata.uid, "resourceVersion": service.metadata.resourceVersion}
        change = {"metadata": {**meta, "annotations": {ANNOUNCED_BY: node or None}}}
        namespace, name = service.metadata.namespace, service.metadata.name
        await self.client.patch(Service, name, change, namespace=namespace, subresource="status")
        if node:
            self.recorder.event(service, "Normal", "Announced", f"Node {node} announces {address}")
        elif address:
            self.recorder.event(service, "Warning", "NotAnnounced", f"No node can announce {address}: {_why(only)}")
        return None


def _local(service: Service) -> bool:
    return service.spec.externalTrafficPolicy == "Local"


def _why(only: Collection[str] | None) -> str:
    if only is None:
        return "none is ready and in its network"
    return "none that has a ready endpoint (externalTrafficPolicy is Local) is ready and in its network"
