"""EndpointSlices: the back ends of every Service with a selector, in slices of at most 100.

Receives Services, pods, nodes and slices from the informers; writes slices. The proxy and DNS read them.
`plan` is pure: it changes as few slices as it can (discovery.k8s.io/v1 EndpointSlice; KEP-752, KEP-1672).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.reference import ObjectReference
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import (
    SERVICE_NAME,
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ForNode,
    ForZone,
)
from kijabi.api.meta import ObjectMeta
from kijabi.base import clock
from kijabi.base.errors import ApiError, NotFound
from kijabi.client.cache import key_of
from kijabi.client.informer import Informer
from kijabi.controllers import backends
from kijabi.controllers import pods as podlib
from kijabi.controllers.creation import create_once, generated
from kijabi.controllers.expectations import Expectations
from kijabi.controllers.owners import controller_ref
from kijabi.controllers.runtime import WORKERS, Context, Source, namespace_terminating
from kijabi.controllers.sources import SERVICE, endpoint_slices, nodes, pods, services

MANAGER = "endpointslice-controller.k8s.io"
MOST = 100
"""Endpoints in one slice."""
_RESERVED = frozenset({SERVICE_NAME, backends.MANAGED_BY, backends.HEADLESS})

Nodes = Callable[[str], Node | None]


class Plan(NamedTuple):
    """Slices to write. Created ones have no name yet; updated ones are whole, with the version they were read
    at.
    """

    create: tuple[EndpointSlice, ...] = ()
    update: tuple[EndpointSlice, ...] = ()
    delete: tuple[EndpointSlice, ...] = ()


def plan(
    service: Service, candidates: Iterable[Pod], node_of: Nodes, slices: Sequence[EndpointSlice], stamp: str
) -> Plan:
    """What makes the service's slices say what its pods are.

    candidates: the pods that its selector matches. slices: those that this controller made for it and that
    are not being deleted. stamp: when the change happened that this answers, "" if unknown.
    """
    backing = sorted((pod for pod in candidates if backends.eligible(pod, terminating=True)), key=key_of)
    create: list[EndpointSlice] = []
    update: list[EndpointSlice] = []
    delete = [s for s in slices if s.addressType not in backends.families(service)]
    for family in backends.families(service):
        existing = [s for s in slices if s.addressType == family]
        done = _family(service, family, _wanted(service, backing, node_of, family), existing)
        create += done.create
        update += done.update
        delete += done.delete
    owned = [s for s in delete if any(ref.uid == service.metadata.uid for ref in s.metadata.ownerReferences)]
    for old in owned:  # A slice that would go can become one that would come.
        new = next((s for s in create if s.addressType == old.addressType), None)
        if new is not None:
            create.remove(new)
            delete.remove(old)
            update.append(replace(new, metadata=replace(old.metadata, labels=new.metadata.labels)))
    if service.metadata.deletionTimestamp is not None:
        create = []
    return Plan(_stamped(create, stamp), _stamped(update, stamp), tuple(delete))


def _stamped(slices: Iterable[EndpointSlice], stamp: str) -> tuple[EndpointSlice, ...]:
    """With the trigger time as annotation, or without an old one."""

    def one(s: EndpointSlice) -> EndpointSlice:
        kept = {k: v for k, v in s.metadata.annotations.items() if k != backends.TRIGGERED}
        if stamp:
            kept[backends.TRIGGERED] = stamp
        return replace(s, metadata=replace(s.metadata, annotations=kept))

    return tuple(one(s) for s in slices)


Ports = tuple[backends.Port, ...]


def _wanted(service: Service, backing: Iterable[Pod], node_of: Nodes, family: str) -> dict[Ports, list[Endpoint]]:
    """Endpoints by the ports they serve; pods of one service differ in ports only by named target ports."""
    wanted: dict[Ports, list[Endpoint]] = {}
    for pod in backing:
        address = backends.address_of(pod, family)
        node = node_of(pod.spec.nodeName)
        # A pod on a node that does not exist is about to be removed, unless the user asks for it all the
        # same.
        if address is None or (node is None and not service.spec.publishNotReadyAddresses):
            continue
        ports = backends.ports(pod, service)
        wanted.setdefault(ports, []).append(endpoint_of(service, pod, node, address))
    return wanted


def endpoint_of(service: Service, pod: Pod, node: Node | None, address: str) -> Endpoint:
    """A pod as an endpoint. `ready` is never true while it terminates, unless the service publishes unready
    ones.
    """
    serving = podlib.ready(pod)
    terminating = pod.metadata.deletionTimestamp is not None
    zone = node.metadata.labels.get(backends.ZONE) or None if node is not None else None
    return Endpoint(
        addresses=(address,),
        conditions=EndpointConditions(
            ready=service.spec.publishNotReadyAddresses or (serving and not terminating),
            serving=serving,
            terminating=terminating,
        ),
        hostname=backends.hostname(pod, service) or None,
        nodeName=pod.spec.nodeName or None,
        zone=zone,
        hints=_hints(service.spec.trafficDistribution, pod.spec.nodeName, zone),
        targetRef=ObjectReference(
            kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid
        ),
    )


def _hints(distribution: str | None, node: str, zone: str | None) -> EndpointHints | None:
    """Who should use the endpoint first (Service trafficDistribution; KEP-4444, KEP-3015)."""
    if distribution not in ("PreferClose", "PreferSameZone", "PreferSameNode") or zone is None:
        return None
    same_node = (ForNode(name=node),) if distribution == "PreferSameNode" and node else ()
    return EndpointHints(forZones=(ForZone(name=zone),), forNodes=same_node)


def _family(
    service: Service, family: str, wanted: Mapping[Ports, Sequence[Endpoint]], existing: Sequence[EndpointSlice]
) -> Plan:
    """The plan for one address family; if nothing would be left, one empty slice stands for the service."""
    by_ports: dict[Ports, list[EndpointSlice]] = {}
    for s in existing:
        by_ports.setdefault(ports_of(s), []).append(s)
    create: list[EndpointSlice] = []
    update: list[EndpointSlice] = []
    delete: list[EndpointSlice] = []
    for ports, endpoints in wanted.items():
        done = _pack(service, family, ports, endpoints, by_ports.pop(ports, []))
        create += done.create
        update += done.update
        delete += done.delete
    delete += [s for left in by_ports.values() for s in left]
    if len(delete) == len(existing) and not create:
        empty = new_slice(service, family, (), ())
        kept = next((s for s in delete if _is_placeholder(s, empty)), None)
        if kept is not None:
            delete.remove(kept)
        else:
            create.append(empty)
    return Plan(tuple(create), tuple(update), tuple(delete))


def _is_placeholder(s: EndpointSlice, empty: EndpointSlice) -> bool:
    return not s.endpoints and not s.ports and backends.same_labels(s, empty.metadata.labels)


def _identity(endpoint: Endpoint) -> tuple[object, ...]:
    """What makes it the same endpoint, whatever its conditions."""
    ref = endpoint.targetRef
    return (endpoint.addresses, endpoint.hostname, ref.uid if ref is not None else None)


def _pack(
    service: Service, family: str, ports: Ports, endpoints: Sequence[Endpoint], existing: Sequence[EndpointSlice]
) -> Plan:
    """Put endpoints of the same ports into slices: first where they are, then into slices that change anyway."""
    left = {_identity(e): e for e in endpoints}
    labels = labels_of(service)
    changed: dict[str, list[Endpoint]] = {}
    same: dict[str, list[Endpoint]] = {}
    known = {s.metadata.name: s for s in existing}
    delete = []
    for s in existing:
        kept = [left.pop(_identity(e)) for e in s.endpoints if _identity(e) in left]
        if not kept and s.endpoints:
            delete.append(s)
        elif tuple(kept) != s.endpoints or not backends.same_labels(s, labels):
            changed[s.metadata.name] = kept
        else:
            same[s.metadata.name] = kept
    rest = list(left.values())
    for kept in sorted(changed.values(), key=len, reverse=True):  # The fullest first.
        room = MOST - len(kept)
        kept += rest[:room]
        rest = rest[room:]
    create = []
    while rest:
        name = _closest(same, len(rest)) if len(rest) < MOST else None
        if name is not None:
            changed[name] = same.pop(name) + rest
            rest = []
        else:
            create.append(new_slice(service, family, ports, tuple(rest[:MOST])))
            rest = rest[MOST:]
    update = tuple(
        replace(known[name], endpoints=tuple(kept), metadata=replace(known[name].metadata, labels=labels))
        for name, kept in changed.items()
    )
    return Plan(tuple(create), update, tuple(delete))


def _closest(slices: Mapping[str, Sequence[Endpoint]], more: int) -> str | None:
    """The slice that comes closest to full when `more` endpoints go into it."""
    fitting = [(len(kept), name) for name, kept in slices.items() if len(kept) + more <= MOST]
    return max(fitting)[1] if fitting else None


def ports_of(s: EndpointSlice) -> Ports:
    """A slice's ports, to compare by."""
    return tuple(backends.Port(p.name or "", p.protocol or "TCP", p.port or 0, p.appProtocol) for p in s.ports)


def labels_of(service: Service) -> dict[str, str]:
    """The labels of a service's slices: the service's own, and those that say whose they are."""
    own = {k: v for k, v in service.metadata.labels.items() if k not in _RESERVED}
    head = {backends.HEADLESS: ""} if backends.headless(service) else {}
    return {**own, **head, SERVICE_NAME: service.metadata.name, backends.MANAGED_BY: MANAGER}


def new_slice(service: Service, family: str, ports: Ports, endpoints: tuple[Endpoint, ...]) -> EndpointSlice:
    """A slice without a name, controlled by the service."""
    return EndpointSlice(
        metadata=ObjectMeta(
            generateName=f"{service.metadata.name}-",
            namespace=service.metadata.namespace,
            labels=labels_of(service),
            ownerReferences=(controller_ref(service, "v1", "Service"),),
        ),
        addressType=family,
        endpoints=endpoints,
        ports=slice_ports(ports),
    )


def slice_ports(ports: Ports) -> tuple[EndpointPort, ...]:
    """Ports as a slice has them."""
    return tuple(EndpointPort(name=p.name, protocol=p.protocol, port=p.port, appProtocol=p.appProtocol) for p in ports)


def managed_slices(manager: str, slices: Informer[EndpointSlice], key: str) -> list[EndpointSlice]:
    """A manager's slices of a service that are not being deleted."""
    return [
        s
        for s in slices.index(SERVICE, key)
        if s.metadata.labels.get(backends.MANAGED_BY) == manager and s.metadata.deletionTimestamp is None
    ]


def services_of_slice(
    manager: str, expectations: Expectations, old: EndpointSlice | None, new: EndpointSlice | None
) -> set[str]:
    """The services that a manager's slice belongs to, before and now: somebody else may have touched it. What was
    expected of it has been seen.
    """
    keys = set()
    for s in (old, new):
        labels = s.metadata.labels if s is not None else {}
        if s is not None and labels.get(backends.MANAGED_BY) == manager and SERVICE_NAME in labels:
            keys.add(f"{s.metadata.namespace}/{labels[SERVICE_NAME]}")
            for ref in s.metadata.ownerReferences:
                expectations.seen(ref.uid, s.metadata.name, s.metadata.uid, going=new is None)
    return keys


class EndpointSlices:
    """The controller: reconciles one service's slices."""

    name = "endpointslice"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("endpoint-slice-controller")
        self.services = services(context.informers)
        self.pods = pods(context.informers)
        self.nodes = nodes(context.informers)
        self.slices = endpoint_slices(context.informers)
        self.times = backends.TriggerTimes()
        self.expectations = Expectations()

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.services, self._keys_of_service),
            Source(self.pods, lambda old, new: backends.services_of_pod(self.services, old, new)),
            Source(self.nodes, self._keys_of_node),
            Source(self.slices, self._keys_of_slice),
        )

    def _keys_of_service(self, old: Service | None, new: Service | None) -> Iterable[str]:
        one = new if new is not None else old
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self.expectations.drop(old.metadata.uid)
        return (key_of(one),) if one is not None else ()

    def _keys_of_node(self, old: Node | None, new: Node | None) -> Iterable[str]:
        """A node that comes or goes, or changes zone, changes the endpoints on it."""
        before = old.metadata.labels.get(backends.ZONE) if old is not None else None
        after = new.metadata.labels.get(backends.ZONE) if new is not None else None
        one = new if new is not None else old
        if one is None or (old is not None and new is not None and before == after):
            return ()
        return backends.services_of_node(self.services, self.pods, one.metadata.name)

    def _keys_of_slice(self, old: EndpointSlice | None, new: EndpointSlice | None) -> Iterable[str]:
        return services_of_slice(MANAGER, self.expectations, old, new)

    async def reconcile(self, key: str) -> float | None:
        service = self.services.get(key)
        if service is None:
            self.times.forget(key)  # Its slices are its dependents: the garbage collector removes them.
            return None
        if not backends.managed(service):
            return None
        if wait := self.expectations.wait(service.metadata.uid, clock.monotonic()):
            return wait
        existing = managed_slices(MANAGER, self.slices, key)
        chosen = backends.chosen(self.pods, service)
        todo = plan(service, chosen, self.nodes.get, existing, self.times.of(service, chosen))
        try:
            await self._carry_out(service, todo)
        except ApiError as error:
            if namespace_terminating(error):
                return None
            text = f"Error updating Endpoint Slices for Service {key}: {error}"
            self.recorder.event(service, "Warning", "FailedToUpdateEndpointSlices", text)
            raise
        return None

    async def _carry_out(self, service: Service, todo: Plan) -> None:
        retry = list(self.expectations.names(service.metadata.uid))
        for made in todo.create:
            name = retry.pop() if retry else generated(service.metadata.name)
            named = replace(made, metadata=replace(made.metadata, name=name))
            await create_once(self.client, self.slices, self.expectations, service.metadata.uid, named)
        for changed in todo.update:
            await self.client.update(changed)
        for gone in todo.delete:
            try:
                await self.client.delete(
                    EndpointSlice, gone.metadata.name, gone.metadata.namespace, uid=gone.metadata.uid
                )
            except NotFound:
                continue
