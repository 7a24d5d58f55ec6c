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
    EndpointPort,
    EndpointSlice,
)
from kijabi.api.meta import ObjectMeta
from kijabi.base import clock
from kijabi.base.errors import ApiError, NotFound
from kijabi.client.cache import key_of
from kijabi.client.informer import Informer
from kijabi.controllers import backends, topologyhints
from kijabi.controllers import pods as podlib
from kijabi.controllers.creation import create_once, generated
from kijabi.controllers.expectations import Expectations
from kijabi.controllers.owners import controller_ref
from kijabi.controllers.ownwrites import AGAIN, OwnWrites
from kijabi.controllers.runtime import WORKERS, Context, Source, namespace_terminating
from kijabi.controllers.sources import SERVICE, endpoint_slices, nodes, pods, services
from kijabi.controllers.topologyhints import DISABLED, ENABLED, IS_DISABLED, IS_ENABLED, Dealt, Slices

MANAGER = "endpointslice-controller.k8s.io"
MOST = 100
"""Endpoints in one slice."""
_RESERVED = frozenset({SERVICE_NAME, backends.MANAGED_BY, backends.HEADLESS})

Nodes = Callable[[str], Node | None]


class Plan(NamedTuple):
    """Slices to write. Created ones have no name yet; updated ones are whole, with the version they were read at.

    hints: by family, for a service whose endpoints are to be dealt out to zones: how they were, or why not.
    """

    create: tuple[EndpointSlice, ...] = ()
    update: tuple[EndpointSlice, ...] = ()
    delete: tuple[EndpointSlice, ...] = ()
    hints: Mapping[str, Dealt] = {}


def plan(
    service: Service,
    candidates: Iterable[Pod],
    node_of: Nodes,
    slices: Sequence[EndpointSlice],
    stamp: str,
    ratios: Mapping[str, float] | None = None,
    most: int = MOST,
) -> Plan:
    """What makes the service's slices say what its pods are.

    candidates: the pods that its selector matches. slices: those that this controller made for it and that are not
    being deleted. stamp: when the change happened that this answers, "" if unknown. ratios: each zone's part of the
    CPUs. most: endpoints in one slice.
    """
    backing = sorted((pod for pod in candidates if backends.eligible(pod, terminating=True)), key=key_of)
    families = backends.slice_families(service)
    create: list[EndpointSlice] = []
    update: list[EndpointSlice] = []
    delete = [s for s in slices if s.addressType not in families]
    hints: dict[str, Dealt] = {}
    for family in families:
        existing = [s for s in slices if s.addressType == family]
        owned = [s for s in existing if _owned(s, service)]
        done = _family(service, family, _wanted(service, backing, node_of, family), owned, existing, most)
        touched = {s.metadata.name for s in (*done.update, *done.delete)}
        unchanged = [s for s in existing if s.metadata.name not in touched]
        packed = Slices(list(done.create), list(done.update), unchanged)
        if topologyhints.automatic(service):
            hints[family] = topologyhints.deal(packed, ratios)
            packed = hints[family].slices
        else:
            packed = topologyhints.nearby(packed, service.spec.trafficDistribution)
        created, reused, deleted = _reuse(service, packed.create, done.delete)
        create += created
        update += [*packed.update, *reused]
        delete += deleted
    if service.metadata.deletionTimestamp is not None:
        create = []
    return Plan(_stamped(create, stamp), _stamped(update, stamp), tuple(delete), hints)


def _owned(s: EndpointSlice, service: Service) -> bool:
    """It is this service's, not that of another which had its name; what that left is replaced, its placeholder too
    (which upstream leaves to the garbage collector).
    """
    return any(
        (ref.uid, ref.kind, ref.apiVersion) == (service.metadata.uid, "Service", "v1")
        for ref in s.metadata.ownerReferences
    )


def _reuse(
    service: Service, create: Sequence[EndpointSlice], delete: Sequence[EndpointSlice]
) -> tuple[list[EndpointSlice], list[EndpointSlice], list[EndpointSlice]]:
    """A slice that would go becomes one that would come: what is to create, to update and to delete then."""
    new, reused, gone = list(create), [], []
    for old in delete:
        if new and _owned(old, service):
            made = new.pop()
            reused.append(replace(made, metadata=replace(old.metadata, labels=made.metadata.labels)))
        else:
            gone.append(old)
    return new, reused, gone


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
        here = wanted.setdefault(backends.ports(pod, service), [])
        address = backends.address_of(pod, family)
        node = node_of(pod.spec.nodeName)
        # A pod on a node that does not exist is about to be removed, unless the user asks for it all the same.
        if address is not None and (node is not None or service.spec.publishNotReadyAddresses):
            here.append(endpoint_of(service, pod, node, address))
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
        targetRef=ObjectReference(
            kind="Pod", namespace=pod.metadata.namespace, name=pod.metadata.name, uid=pod.metadata.uid
        ),
    )


def _family(
    service: Service,
    family: str,
    wanted: Mapping[Ports, Sequence[Endpoint]],
    owned: Sequence[EndpointSlice],
    existing: Sequence[EndpointSlice],
    most: int,
) -> Plan:
    """The plan for one address family; if nothing would be left, one empty slice stands for the service."""
    by_ports: dict[frozenset[backends.Port], list[EndpointSlice]] = {}
    for s in owned:
        by_ports.setdefault(frozenset(ports_of(s)), []).append(s)
    create: list[EndpointSlice] = []
    update: list[EndpointSlice] = []
    delete = [s for s in existing if s not in owned]
    for ports, endpoints in wanted.items():
        done = _pack(service, family, ports, endpoints, by_ports.pop(frozenset(ports), []), most)
        create += done.create
        update += done.update
        delete += done.delete
    delete += [s for left in by_ports.values() for s in left]
    if len(delete) == len(existing) and not create:
        empty = new_slice(service, family, (), ())
        if len(delete) == 1 and _is_placeholder(delete[0], empty):
            delete = []
        else:
            create.append(empty)
    return Plan(tuple(create), tuple(update), tuple(delete))


def _is_placeholder(s: EndpointSlice, empty: EndpointSlice) -> bool:
    owners = s.metadata.ownerReferences == empty.metadata.ownerReferences
    return owners and not s.endpoints and not s.ports and backends.same_labels(s, empty.metadata.labels)


def same_place(endpoint: Endpoint) -> tuple[object, ...]:
    """What makes it the same endpoint, whatever its conditions."""
    ref = endpoint.targetRef
    return (endpoint.addresses, endpoint.hostname, (ref.namespace, ref.name) if ref is not None else None)


def _pack(
    service: Service,
    family: str,
    ports: Ports,
    endpoints: Sequence[Endpoint],
    existing: Sequence[EndpointSlice],
    most: int,
) -> Plan:
    """Put endpoints of the same ports into slices: first where they are, then into slices that change anyway.

    Hints do not count here: those that are there stay with what does not change otherwise.
    """
    left = {same_place(e): e for e in endpoints}
    labels = labels_of(service)
    changed: dict[str, list[Endpoint]] = {}
    same: dict[str, list[Endpoint]] = {}
    known = {s.metadata.name: s for s in existing}
    delete = []
    for s in existing:
        kept = [left.pop(same_place(e)) for e in s.endpoints if same_place(e) in left]
        if not kept and s.endpoints:
            delete.append(s)
        elif tuple(kept) != topologyhints.hinted(None, s.endpoints) or not backends.same_labels(s, labels):
            changed[s.metadata.name] = kept
        else:
            same[s.metadata.name] = kept
    rest = list(left.values())
    for kept in sorted(changed.values(), key=len, reverse=True):  # The fullest first.
        room = most - len(kept)
        kept += rest[:room]
        rest = rest[room:]
    create = []
    while rest:
        name = _closest(same, len(rest), most) if len(rest) < most else None
        if name is not None:
            changed[name] = same.pop(name) + rest
            rest = []
        else:
            create.append(new_slice(service, family, ports, tuple(rest[:most])))
            rest = rest[most:]
    update = tuple(
        replace(known[name], endpoints=tuple(kept), metadata=replace(known[name].metadata, labels=labels))
        for name, kept in changed.items()
    )
    return Plan(tuple(create), update, tuple(delete))


def _closest(slices: Mapping[str, Sequence[Endpoint]], more: int, most: int) -> str | None:
    """The slice that comes closest to full when `more` endpoints go into it."""
    fitting = [(len(kept), name) for name, kept in slices.items() if len(kept) + more <= most]
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
        self.own = OwnWrites(self.client, self.slices)
        self.most = context.config.flags.max_endpoints_per_slice
        self.zones = topologyhints.Zones()
        self.allotted = topologyhints.Allotted()

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
        """A node that comes or goes, or changes zone, changes the endpoints on it; and those of services whose
        endpoints were dealt out by zones that are no longer as they were.
        """
        before = old.metadata.labels.get(backends.ZONE) if old is not None else None
        after = new.metadata.labels.get(backends.ZONE) if new is not None else None
        one = new if new is not None else old
        if one is None:
            return ()
        name = one.metadata.name
        keys: set[str] = set()
        if self.zones.update(name, new):
            keys.update(self.allotted.uneven(self.zones.ratios()))
        if old is None or new is None or before != after:
            keys |= backends.services_of_node(self.services, self.pods, name)
        return keys

    def _keys_of_slice(self, old: EndpointSlice | None, new: EndpointSlice | None) -> Iterable[str]:
        return services_of_slice(MANAGER, self.expectations, old, new)

    async def reconcile(self, key: str) -> float | None:
        service = self.services.get(key)
        if service is None:
            self.times.forget(key)  # Its slices are its dependents: the garbage collector removes them.
            self.allotted.forget(key)
            return None
        if not backends.managed(service):
            return None
        if wait := self.expectations.wait(service.metadata.uid, clock.monotonic()):
            return wait
        if not await self.own.visible(key):
            return AGAIN
        existing = managed_slices(MANAGER, self.slices, key)
        chosen = backends.chosen(self.pods, service)
        stamp = self.times.of(service, chosen)
        todo = plan(service, chosen, self.nodes.get, existing, stamp, self.zones.ratios(), self.most)
        try:
            await self._carry_out(service, todo)
        except ApiError as error:
            if namespace_terminating(error):
                return None
            text = f"Error updating Endpoint Slices for Service {key}: {error}"
            self.recorder.event(service, "Warning", "FailedToUpdateEndpointSlices", text)
            raise
        finally:
            self._remember(service, existing, todo)
        return None

    def _remember(self, service: Service, existing: Iterable[EndpointSlice], todo: Plan) -> None:
        """Keep how endpoints were dealt out, and tell when that begins, ends or cannot be."""
        key, families = key_of(service), backends.slice_families(service)
        for dropped in {s.addressType for s in existing} - set(families):
            self.allotted.remove(key, dropped)
        for family in families:
            dealt = todo.hints.get(family)
            problem = dealt.problem if dealt is not None else IS_DISABLED
            if dealt is not None and not problem:
                if not self.allotted.hinted(key):
                    self.recorder.event(service, "Normal", ENABLED, f"{IS_ENABLED}, addressType: {family}")
                self.allotted.set(key, family, dealt.zones)
                continue
            if dealt is not None or self.allotted.hinted(key):
                self.recorder.event(service, "Warning", DISABLED, f"{problem}, addressType: {family}")
            self.allotted.remove(key, family)

    async def _carry_out(self, service: Service, todo: Plan) -> None:
        retry = list(self.expectations.names(service.metadata.uid))
        for made in todo.create:
            name = retry.pop() if retry else generated(service.metadata.name)
            named = replace(made, metadata=replace(made.metadata, name=name))
            await create_once(self.client, self.slices, self.expectations, service.metadata.uid, named)
        for changed in todo.update:
            await self.own.noted(key_of(service), self.client.update(changed))
        for gone in todo.delete:
            try:
                await self.client.delete(
                    EndpointSlice, gone.metadata.name, gone.metadata.namespace, uid=gone.metadata.uid
                )
            except NotFound:
                continue
