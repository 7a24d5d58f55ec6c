"""What must come true of load balancers without a cloud: each has an address of the pool, and a node announces it."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator

from kijabi.api.core.balancing import ANNOUNCED_BY, WANTED
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.service import Service
from kijabi.api.networking.ipaddress import IPAddress
from kijabi.testing.history import Ledger
from kijabi.testing.liveness.cloud import EXCLUDED
from kijabi.testing.safety.cloud import CLEANUP, wants
from kijabi.testing.safety.facts import ready as pod_ready
from kijabi.testing.safety.pools import holder, ready, shown

POOL = ("192.0.2.1-192.0.2.3",)
"""Of a simulation: few, so that they are used up now and then."""


def addresses(pool: Collection[str] = POOL) -> set[str]:
    """All of a pool of ranges."""
    found: set[str] = set()
    for text in pool:
        first, last = (int(ipaddress.IPv4Address(end)) for end in text.split("-"))
        found.update(str(ipaddress.IPv4Address(number)) for number in range(first, last + 1))
    return found


def problems(ledger: Ledger) -> Iterator[str]:
    """What is not yet right."""
    claims = {one.metadata.name: holder(one) for one in ledger.of(IPAddress) if holder(one)}
    given = {service.metadata.uid: shown(service) for service in ledger.of(Service)}
    for name, uid in claims.items():
        if name not in given.get(uid, ()):
            yield f"{name} is claimed by {uid}, which does not show it"
    for service in ledger.of(Service):
        where = f"Service {service.metadata.namespace}/{service.metadata.name}"
        yield from (f"{where}: {text}" for text in _service(service, claims, ledger))


def _service(service: Service, claims: dict[str, str], ledger: Ledger) -> Iterator[str]:
    has, by = shown(service), service.metadata.annotations.get(ANNOUNCED_BY, "")
    if not wants(service):
        # Of one that has got a class since, nobody can tell whose finalizer it is, before it is deleted.
        if has and not (service.spec.type == "LoadBalancer" and CLEANUP in service.metadata.finalizers):
            yield f"it is shown {sorted(has)} and wants no balancer"
        return
    asked = service.metadata.annotations.get(WANTED, "")
    wanted = {asked} if asked else addresses()
    free = wanted - {one for one, uid in claims.items() if uid != service.metadata.uid}
    if free and not has <= wanted:
        yield f"it is shown {sorted(has)}, it asks for {asked}"
    if free and not has:
        yield f"it is shown no address, {sorted(free)} could be its own"
    if any(claims.get(one) != service.metadata.uid for one in has):
        yield f"it is shown {sorted(has)}, which it has not claimed"
    able = set(_able(service, ledger))
    if has and (by not in able if able else by):
        yield f"{by or 'nobody'} announces {sorted(has)}, which {sorted(able)} could"


def _able(service: Service, ledger: Ledger) -> Iterator[str]:
    """The nodes that can answer for a Service."""
    meta, selector = service.metadata, service.spec.selector.items()
    with_pods = {
        pod.spec.nodeName
        for pod in ledger.of(Pod)
        if pod.metadata.namespace == meta.namespace and selector <= pod.metadata.labels.items() and pod_ready(pod)
    }
    for node in ledger.of(Node):
        anywhere = service.spec.externalTrafficPolicy != "Local"
        if ready(node) and EXCLUDED not in node.metadata.labels and (anywhere or node.metadata.name in with_pods):
            yield node.metadata.name
