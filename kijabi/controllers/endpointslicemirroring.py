"""EndpointSlice mirroring: Endpoints that somebody wrote by hand become slices, so that proxy and DNS see them.

Receives Endpoints, Services and slices from the informers; writes slices, one for each set of ports and each family of
addresses. Services with a selector are `endpointslice.py`'s. `wanted` and `plan` are pure (discovery.k8s.io/v1
EndpointSlice, KEP-752; k8s.io/kubernetes `pkg/controller/endpointslicemirroring`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from kijabi.api.core.endpoints import EndpointAddress, Endpoints, EndpointSubset
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import (
    SERVICE_NAME,
    Endpoint,
    EndpointConditions,
    EndpointSlice,
)
from kijabi.api.meta import ObjectMeta
from kijabi.base import clock
from kijabi.base.errors import ApiError, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers import backends
from kijabi.controllers.creation import create_once, generated
from kijabi.controllers.endpointslice import Ports, managed_slices, ports_of, same_place, services_of_slice, slice_ports
from kijabi.controllers.endpointsubsets import entries, repack
from kijabi.controllers.expectations import Expectations
from kijabi.controllers.owners import controller_ref
from kijabi.controllers.runtime import WORKERS, Context, Source, namespace_terminating
from kijabi.controllers.sources import endpoint_slices, endpoints, services

MANAGER = "endpointslicemirroring-controller.k8s.io"
MOST = 1000
"""Addresses of one subset that are mirrored."""
SKIP = "endpointslice.kubernetes.io/skip-mirror"
_LEADER = "control-plane.alpha.kubernetes.io/leader"
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_NOT_COPIED = frozenset({backends.TRIGGERED, _LAST_APPLIED})

Key = tuple[str, Ports]


class Wanted(NamedTuple):
    """Endpoints by family and ports. invalid: addresses that are none; beyond: those over the limit of a subset."""

    endpoints: Mapping[Key, tuple[Endpoint, ...]]
    invalid: int = 0
    beyond: int = 0


class Plan(NamedTuple):
    """Slices to write; created ones have no name yet."""

    create: tuple[EndpointSlice, ...] = ()
    update: tuple[EndpointSlice, ...] = ()
    delete: tuple[EndpointSlice, ...] = ()


def mirrored(one: Endpoints | None, service: Service | None) -> bool:
    """Whether these Endpoints are to be mirrored."""
    if one is None or service is None or service.spec.selector:
        return False
    return one.metadata.labels.get(SKIP) != "true" and _LEADER not in one.metadata.annotations


def wanted(one: Endpoints, most: int = MOST) -> Wanted:
    """What the slices of these Endpoints hold, with so many addresses of each subset at most."""
    found: dict[Key, dict[tuple[object, ...], Endpoint]] = {}
    invalid = beyond = 0
    for subset in repack(entries(one.subsets)):
        room = most
        for address, ready in _addresses(subset):
            if room == 0:
                beyond += 1
                continue
            try:
                ip = _ip(address.ip)
            except ValueError:
                invalid += 1
                continue
            room -= 1
            key = (f"IPv{ip.version}", _ports(subset))
            made = _endpoint(address, str(ip), ready)
            found.setdefault(key, {})[same_place(made)] = made
    return Wanted({key: tuple(each.values()) for key, each in found.items()}, invalid, beyond)


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; one of IPv4 that is written as IPv6 counts as what it is. Raises ValueError."""
    ip = ipaddress.ip_address(text)
    return ip.ipv4_mapped or ip if isinstance(ip, ipaddress.IPv6Address) else ip


def _addresses(subset: EndpointSubset) -> Iterable[tuple[EndpointAddress, bool]]:
    """The addresses of a subset, and whether they are ready."""
    yield from ((address, True) for address in subset.addresses)
    yield from ((address, False) for address in subset.notReadyAddresses)


def _ports(subset: EndpointSubset) -> Ports:
    ports = (backends.Port(each.name, each.protocol or "TCP", each.port, each.appProtocol) for each in subset.ports)
    return tuple(sorted(ports, key=str))


def _endpoint(address: EndpointAddress, ip: str, ready: bool) -> Endpoint:
    return Endpoint(
        addresses=(ip,),
        conditions=EndpointConditions(ready=ready),
        hostname=address.hostname or None,
        nodeName=address.nodeName,
        targetRef=address.targetRef,
    )


def plan(one: Endpoints, target: Wanted, slices: Sequence[EndpointSlice]) -> Plan:
    """What makes the mirrored slices say what these Endpoints do.

    A slice that is not needed any more becomes one of its family that is.
    """
    by_key: dict[Key, list[EndpointSlice]] = {}
    for each in slices:
        by_key.setdefault((each.addressType, tuple(sorted(ports_of(each), key=str))), []).append(each)
    create: list[EndpointSlice] = []
    update: list[EndpointSlice] = []
    delete: list[EndpointSlice] = []
    for key, content in target.endpoints.items():
        present, made = by_key.pop(key, []), new_slice(one, *key, content)
        delete += present[1:]
        if not present:
            create.append(made)
        elif not _same(one, present[0], made):
            update.append(_instead(present[0], made))
    delete += [each for left in by_key.values() for each in left]
    for old in tuple(delete):
        fresh = next((each for each in create if each.addressType == old.addressType), None)
        if fresh is not None:
            create.remove(fresh)
            delete.remove(old)
            update.append(_instead(old, fresh))
    if one.metadata.deletionTimestamp is not None:
        create = []
    return Plan(tuple(create), tuple(update), tuple(delete))


def _instead(kept: EndpointSlice, made: EndpointSlice) -> EndpointSlice:
    """A slice as the update of one that is there."""
    own = kept.metadata
    identity = {"name": own.name, "uid": own.uid, "resourceVersion": own.resourceVersion}
    return replace(made, metadata=replace(made.metadata, generateName="", **identity))


def _same(one: Endpoints, kept: EndpointSlice, made: EndpointSlice) -> bool:
    """The slice says this already, in whatever order, and is these Endpoints' own."""
    before, after = kept.metadata, made.metadata
    return (
        sorted(kept.endpoints, key=_order) == sorted(made.endpoints, key=_order)
        and before.labels == after.labels
        and before.annotations == after.annotations
        and any(ref.uid == one.metadata.uid for ref in before.ownerReferences)
    )


def _order(endpoint: Endpoint) -> str:
    return str(same_place(endpoint))


def new_slice(one: Endpoints, family: str, ports: Ports, content: tuple[Endpoint, ...]) -> EndpointSlice:
    """A slice without a name, controlled by the Endpoints, with their labels and annotations."""
    own = one.metadata
    return EndpointSlice(
        metadata=ObjectMeta(
            generateName=f"{own.name}-",
            namespace=own.namespace,
            labels={**own.labels, SERVICE_NAME: own.name, backends.MANAGED_BY: MANAGER},
            annotations={key: value for key, value in own.annotations.items() if key not in _NOT_COPIED},
            ownerReferences=(controller_ref(one, "v1", "Endpoints"),),
        ),
        addressType=family,
        endpoints=content,
        ports=slice_ports(ports),
    )


class MirroredSlices:
    """The controller: a key is that of Endpoints and their Service."""

    name = "endpointslicemirroring"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("endpoint-slice-mirroring-controller")
        self.endpoints = endpoints(context.informers)
        self.services = services(context.informers)
        self.slices = endpoint_slices(context.informers)
        self.expectations = Expectations()
        self.most = context.config.flags.mirroring_max_endpoints_per_subset

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.endpoints, self._keys_of_endpoints),
            Source(self.services, self._keys_of_service),
            Source(self.slices, self._keys_of_slice),
        )

    def _keys_of_endpoints(self, old: Endpoints | None, new: Endpoints | None) -> Iterable[str]:
        one = new if new is not None else old
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self.expectations.drop(old.metadata.uid)
        return (key_of(one),) if one is not None else ()

    def _keys_of_service(self, old: Service | None, new: Service | None) -> Iterable[str]:
        """A Service that comes, goes, or begins or ceases to select matters to the Endpoints of its name."""
        one = new if new is not None else old
        if old is not None and new is not None and bool(old.spec.selector) == bool(new.spec.selector):
            return ()
        return (key_of(one),) if one is not None else ()

    def _keys_of_slice(self, old: EndpointSlice | None, new: EndpointSlice | None) -> Iterable[str]:
        return services_of_slice(MANAGER, self.expectations, old, new)

    async def reconcile(self, key: str) -> float | None:
        one: Endpoints | None = self.endpoints.get(key)
        existing = managed_slices(MANAGER, self.slices, key)
        if one is None or not mirrored(one, self.services.get(key)):
            await self._delete(existing)
            return None
        if wait := self.expectations.wait(one.metadata.uid, clock.monotonic()):
            return wait
        target = wanted(one, self.most)
        if target.invalid:
            text = f"Skipped {target.invalid} invalid IP addresses when mirroring to EndpointSlices"
            self.recorder.event(one, "Warning", "InvalidIPAddress", text)
        if target.beyond:
            text = (
                f"A max of {self.most} addresses can be mirrored to EndpointSlices per Endpoints subset. "
                f"{target.beyond + target.invalid} addresses were skipped"
            )
            self.recorder.event(one, "Warning", "TooManyAddressesToMirror", text)
        try:
            await self._carry_out(one, plan(one, target, existing))
        except ApiError as error:
            if not namespace_terminating(error):
                raise
        return None

    async def _carry_out(self, one: Endpoints, todo: Plan) -> None:
        retry = list(self.expectations.names(one.metadata.uid))
        for made in todo.create:
            name = retry.pop() if retry else generated(one.metadata.name)
            named = replace(made, metadata=replace(made.metadata, name=name))
            await create_once(self.client, self.slices, self.expectations, one.metadata.uid, named)
        for changed in todo.update:
            await self.client.update(changed)
        await self._delete(todo.delete)

    async def _delete(self, slices: Iterable[EndpointSlice]) -> None:
        for each in slices:
            own = each.metadata
            try:
                await self.client.delete(EndpointSlice, own.name, own.namespace, uid=own.uid)
            except NotFound:
                continue
