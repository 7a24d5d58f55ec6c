"""Endpoints: the older form of a Service's back ends, one object for each, kept for clients that read it.

Receives Services, pods and Endpoints from the informers; writes Endpoints. `subsets_of` and `plan` are pure
(core/v1 Endpoints; k8s.io/kubernetes `pkg/controller/endpoint` for labels and truncation).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from kijabi.api.core.endpoints import EndpointAddress, Endpoints, EndpointSubset
from kijabi.api.core.pod import Pod
from kijabi.api.core.reference import ObjectReference
from kijabi.api.core.service import Service
from kijabi.api.meta import ObjectMeta
from kijabi.base.errors import ApiError, Conflict, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers import backends
from kijabi.controllers import pods as podlib
from kijabi.controllers.endpointsubsets import Entry, repack
from kijabi.controllers.ownwrites import AGAIN, OwnWrites
from kijabi.controllers.runtime import WORKERS, Context, Source, namespace_terminating
from kijabi.controllers.sources import endpoints, pods, services

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"
MOST = 1000
"""Addresses in one object."""


def subsets_of(service: Service, candidates: Iterable[Pod]) -> tuple[EndpointSubset, ...]:
    """The back ends of the service's first family."""
    return repack(_entries(service, candidates))


def _entries(service: Service, candidates: Iterable[Pod]) -> Iterator[Entry]:
    published = service.spec.publishNotReadyAddresses
    portless = not service.spec.ports and service.spec.clusterIP == "None"
    for pod in candidates:
        address = _first(pod, service) if backends.eligible(pod, terminating=published) else None
        if address is None:
            continue
        ready = published or podlib.ready(pod)
        for port in (None,) if portless else backends.ports(pod, service):
            yield Entry(_address(pod, service, address), port, ready)


def _first(pod: Pod, service: Service) -> str | None:
    """The pod's address of the service's first family; its primary one where the service says nothing."""
    if service.spec.ipFamilies or not backends.headless(service):
        return backends.address_of(pod, backends.families(service)[0])
    return next(iter(backends.addresses(pod)), None)


def _address(pod: Pod, service: Service, address: str) -> EndpointAddress:
    meta = pod.metadata
    return EndpointAddress(
        ip=address,
        hostname=backends.hostname(pod, service),
        nodeName=pod.spec.nodeName or None,
        targetRef=ObjectReference(kind="Pod", namespace=meta.namespace, name=meta.name, uid=meta.uid),
    )


def truncated(subsets: Sequence[EndpointSubset], most: int = MOST) -> tuple[EndpointSubset, ...]:
    """At most so many addresses, ready ones first, each subset keeping its share (rounded up, while there is room)."""
    ready = sum(len(s.addresses) for s in subsets)
    unready = sum(len(s.notReadyAddresses) for s in subsets)
    if ready + unready <= most:
        return tuple(subsets)
    cut_ready = ready > most
    room = most if cut_ready else most - ready
    total, left = (ready if cut_ready else unready), room
    result = []
    for subset in subsets:
        listed = subset.addresses if cut_ready else subset.notReadyAddresses
        share = min(left, -(-len(listed) * room // total))
        left -= min(share, len(listed))
        if cut_ready:
            result.append(replace(subset, addresses=listed[:share], notReadyAddresses=()))
        else:
            result.append(replace(subset, notReadyAddresses=listed[:share]))
    return tuple(result)


def plan(service: Service, candidates: Iterable[Pod], present: Endpoints | None, stamp: str) -> Endpoints | None:
    """The Endpoints to create (without resourceVersion) or update; None if what is there says it all.

    stamp: when the change happened that this answers, "" if unknown.
    """
    whole = subsets_of(service, candidates)
    subsets = truncated(whole)
    labels = {k: v for k, v in service.metadata.labels.items() if k != backends.HEADLESS}
    if backends.headless(service):
        labels[backends.HEADLESS] = ""
    labels[MANAGED_BY] = MANAGER
    over = subsets != whole
    before = present if present is not None else Endpoints()
    if (
        present is not None
        and before.subsets == subsets
        and before.metadata.labels == labels
        and before.metadata.annotations.get(OVER_CAPACITY, "") == ("truncated" if over else "")
    ):
        return None
    notes = {k: v for k, v in before.metadata.annotations.items() if k not in (backends.TRIGGERED, OVER_CAPACITY)}
    if stamp:
        notes[backends.TRIGGERED] = stamp
    if over:
        notes[OVER_CAPACITY] = "truncated"
    meta = (
        before.metadata
        if present is not None
        else ObjectMeta(name=service.metadata.name, namespace=service.metadata.namespace)
    )
    return replace(before, metadata=replace(meta, labels=labels, annotations=notes), subsets=subsets)


class EndpointsController:
    """The controller; a key is a Service's, and that of its Endpoints."""

    name = "endpoints"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("endpoint-controller")
        self.services = services(context.informers)
        self.pods = pods(context.informers)
        self.endpoints = endpoints(context.informers)
        self.own = OwnWrites(self.client, self.endpoints)
        self.times = backends.TriggerTimes()
        self._gone: set[str] = set()  # services that were deleted a moment ago

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.services, self._keys_of_service),
            Source(self.pods, lambda old, new: backends.services_of_pod(self.services, old, new)),
            Source(self.endpoints, lambda old, new: (key_of(new if new is not None else old),)),
        )

    def _keys_of_service(self, old: Service | None, new: Service | None) -> Iterable[str]:
        one = new if new is not None else old
        if one is None:
            return ()
        if new is None:
            self._gone.add(key_of(one))
        return (key_of(one),)

    async def reconcile(self, key: str) -> float | None:
        service, present = self.services.get(key), self.endpoints.get(key)
        if service is None:
            self.times.forget(key)
            await self._delete_leftover(key, present)
            self._gone.discard(key)
            return None
        self._gone.discard(key)
        if not backends.managed(service):
            return None
        if not await self.own.visible(key):
            return AGAIN
        present = self.endpoints.get(key)
        if present is None and service.metadata.deletionTimestamp is not None:
            return None
        chosen = backends.chosen(self.pods, service)
        wanted = plan(service, chosen, present, self.times.of(service, chosen))
        if wanted is None:
            return None
        try:
            write = self.client.create(wanted) if present is None else self.client.update(wanted)
            await self.own.noted(key, write)
        except Conflict:
            raise
        except ApiError as error:
            if namespace_terminating(error):
                return None
            what = "create" if present is None else "update"
            text = f"Failed to {what} endpoint {'for service ' if present is None else ''}{key}: {error}"
            self.recorder.event(wanted, "Warning", f"FailedTo{what.capitalize()}Endpoint", text)
            raise
        return None

    async def _delete_leftover(self, key: str, present: Endpoints | None) -> None:
        """Endpoints go with their service, whoever made them; those that never had one stay.

        Upstream deletes what has no service, but for its leader locks, when it starts; we delete then what carries our
        label.
        """
        if present is None or not (key in self._gone or present.metadata.labels.get(MANAGED_BY) == MANAGER):
            return
        meta = present.metadata
        try:
            await self.client.delete(Endpoints, meta.name, meta.namespace, uid=meta.uid)
        except (NotFound, Conflict):
            return
