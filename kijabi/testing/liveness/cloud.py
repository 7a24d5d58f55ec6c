"""What must come true in a cloud: balancers as the Services want them, routes and nodes as the machines are."""

from __future__ import annotations

from collections.abc import Iterator

from kijabi.api.core.node import Node
from kijabi.api.core.service import Service
from kijabi.testing.cloud import Balancer, terms
from kijabi.testing.history import Ledger
from kijabi.testing.safety.cloud import CLEANUP, WatchedCloud, introduced, wants

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"


def problems(ledger: Ledger, cloud: WatchedCloud) -> Iterator[str]:
    """What is not yet right."""
    services = {service.metadata.uid: service for service in ledger.of(Service)}
    nodes = {node.metadata.name: node for node in ledger.of(Node)}
    behind = frozenset(name for name, node in nodes.items() if EXCLUDED not in node.metadata.labels)
    for service in services.values():
        where = f"Service {service.metadata.namespace}/{service.metadata.name}"
        found = cloud.balancers.get(service.metadata.uid)
        yield from (f"{where}: {text}" for text in _service(service, found, behind))
    yield from (f"a balancer is left of Service {uid}" for uid in cloud.balancers if uid not in services)
    for name in cloud.machines:
        node = nodes.get(name)
        yield from (f"node {name}: {text}" for text in (_node(node, cloud) if node is not None else ("is not there",)))
    routes = sorted((route.node, route.destination) for route in cloud.routed.values())
    wanted = sorted((name, cidr) for name, node in nodes.items() for cidr in node.spec.podCIDRs)
    if routes != wanted:
        yield f"the routes are {routes}, the nodes have {wanted}"


def remains(ledger: Ledger, cloud: WatchedCloud) -> Iterator[str]:
    """What is left, though no machine and no Service is."""
    yield from (f"node {node.metadata.name} is left" for node in ledger.of(Node))
    yield from (f"the route to {destination} is left" for destination in cloud.routed)
    yield from (f"a balancer is left of Service {uid}" for uid in cloud.balancers)


def _service(service: Service, found: Balancer | None, behind: frozenset[str]) -> Iterator[str]:
    shown = [one.ip for one in service.status.loadBalancer.ingress]
    if not wants(service):
        # Of one that has got a class since, nobody can tell whose finalizer it is, before it is deleted.
        other = service.spec.type == "LoadBalancer" and CLEANUP in service.metadata.finalizers
        if found is not None and not other:
            yield "its balancer is left"
        if shown and not other:
            yield f"it is shown {shown} and wants no balancer"
        return
    if found is None:
        yield "it has no balancer"
        return
    if CLEANUP not in service.metadata.finalizers:
        yield "nothing holds it back until its balancer is gone"
    if found.terms != terms(service):
        yield f"its balancer is made for {found.terms}, it asks for {terms(service)}"
    if found.nodes != behind:
        yield f"its balancer is before {sorted(found.nodes)}, there are {sorted(behind)}"
    if shown != [found.address]:
        yield f"it is shown {shown}, its balancer has {found.address}"


def _node(node: Node, cloud: WatchedCloud) -> Iterator[str]:
    if wrong := introduced(node, cloud):
        yield wrong
    said = {(one.type, one.address) for one in cloud.machines[node.metadata.name].addresses}
    has = {(one.type, one.address) for one in node.status.addresses if one.type != "Hostname"}
    if said != has:
        yield f"its addresses are {sorted(has)}, the cloud says {sorted(said)}"
    if not any(one.type == "NetworkUnavailable" and one.status == "False" for one in node.status.conditions):
        yield "nothing says that it has its routes"
