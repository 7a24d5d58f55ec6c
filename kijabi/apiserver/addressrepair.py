"""Keeps the record of Service addresses true while the server runs: an IPAddress that somebody deletes comes back, one
that nobody's Service has goes.

A Service and its IPAddresses are written together (`addresses.py`), so only what others do to IPAddresses needs repair;
the watch cache tells of it, and nothing is searched (KEP-1880; k8s.io/kubernetes
`pkg/registry/core/service/ipallocator/controller`, whose events these are). `app.py` runs it.
"""

from __future__ import annotations

import asyncio
import logging

from kijabi.api.core.event import Event, EventSource
from kijabi.api.core.reference import ObjectReference
from kijabi.api.core.service import Service
from kijabi.api.meta import Object, ObjectMeta, time_now
from kijabi.api.networking.ipaddress import IPAddress
from kijabi.api.networking.ranges import MANAGED_BY, MANAGER
from kijabi.apiserver.addresses import IP_KEY, Addresses
from kijabi.apiserver.bootstrap import place
from kijabi.apiserver.storage import Storage
from kijabi.base import clock, rand
from kijabi.base.errors import KijabiError
from kijabi.store.interface import Guard, Op, Store

log = logging.getLogger(__name__)

GRACE = 60.0  # seconds that an IPAddress without its Service may be there
COMPONENT = "ipallocator-repair-controller"
FAMILY = "IPv4"


class Repair:
    """See the module. Lifecycle: `start` when the caches are loaded, then `run`."""

    def __init__(self, store: Store, storage: Storage, addresses: Addresses) -> None:
        self._store = store
        self._storage = storage
        self._addresses = addresses
        self._marked: dict[str, None] = {}
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Follow the IPAddresses."""
        self._storage.caches.subscribe(IPAddress, self._changed)

    def _changed(self, old: IPAddress | None, new: IPAddress | None) -> None:
        one = new if new is not None else old
        if one is not None and (new is None or not self._right(new)):
            self._mark(one.metadata.name)

    def _mark(self, name: str) -> None:
        self._marked[name] = None
        self._wake.set()

    def _right(self, address: IPAddress) -> bool:
        """It names the Service that has it, or is not the allocator's."""
        parent, holder = address.spec.parentRef, self._addresses.holders.get(address.metadata.name)
        if parent is None or (parent.group, parent.resource) != ("", "services"):
            named = None
        else:
            named = f"{parent.namespace}/{parent.name}"
        managed = address.metadata.labels.get(MANAGED_BY) == MANAGER
        return named == holder if holder is not None else not managed

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._marked:
                name = next(iter(self._marked))
                del self._marked[name]
                try:
                    await self._mend(name)
                except KijabiError as error:  # Somebody else was first: what they wrote is looked at in its turn.
                    log.info("an address was not repaired", extra={"address": name, "reason": str(error)})

    async def _mend(self, name: str) -> None:
        caches = self._storage.caches
        await caches.fresh()
        address, holder = caches.get(IPAddress, name), self._addresses.holders.get(name)
        namespace, _, own = (holder or "").partition("/")
        service = caches.get(Service, own, namespace) if holder else None
        item = caches.by_type[IPAddress].get(name)
        if service is not None and (address is None or item is None):
            text = f"Cluster IP [{FAMILY}]: {name} is not allocated; repairing"
            await self._tell(service, "ClusterIPNotAllocated", text)
            await self._write(name, 0, self._addresses.value(IP_KEY + name, service))
        elif address is None or item is None or self._right(address):
            return
        elif service is not None:
            text = f"the ClusterIP [{FAMILY}]: {name} for Service {holder} has a wrong reference; repairing"
            await self._tell(service, "ClusterIPNotAllocated", text)
            await self._write(name, item.revision, self._addresses.value(IP_KEY + name, service))
        elif (wait := _age(address) + GRACE - clock.wall()) > 0:
            asyncio.get_running_loop().call_later(wait, self._mark, name)
        else:
            parent = address.spec.parentRef
            whose = f"{parent.namespace}/{parent.name}" if parent is not None else ""
            text = f"IPAddress: {name} for Service {whose} appears to have leaked: cleaning up"
            await self._tell(address, "IPAddressNotAllocated", text)
            await self._write(name, item.revision, None)

    async def _write(self, name: str, revision: int, value: bytes | None) -> None:
        key = IP_KEY + name
        await self._store.txn((Guard(key, revision),), (Op(key, value),))

    async def _tell(self, about: Object, reason: str, text: str) -> None:
        meta, now = about.metadata, time_now()
        event = Event(
            metadata=ObjectMeta(name=f"{meta.name}.{rand.uuid()}", namespace=meta.namespace or "default"),
            involvedObject=ObjectReference(
                kind=about.kind, apiVersion=about.apiVersion, namespace=meta.namespace, name=meta.name, uid=meta.uid,
                resourceVersion=meta.resourceVersion,
            ),
            reason=reason, message=text, type="Warning", count=1, firstTimestamp=now, lastTimestamp=now,
            source=EventSource(component=COMPONENT), reportingComponent=COMPONENT,
        )  # fmt: skip
        await place(self._storage, event)


def _age(address: IPAddress) -> float:
    """When it was made, in seconds since the epoch."""
    created = address.metadata.creationTimestamp
    return created.timestamp() if created else 0.0
