"""Answers on the local network for the load balancer addresses that are this node's to announce.

Receives Services, whose annotation says which node announces their address, and this node's lease; hands ARP to
`links`. The lease decides contests: once it is overdue the others may believe this node dead, and whoever claims one of
its addresses has taken over, whether this node can hear of that from the API server or not. As long as nobody does, it
goes on: while the API server is away, everybody's lease is overdue, and traffic must flow.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging

from kijabi.api.coordination.lease import Lease
from kijabi.api.core.balancing import ANNOUNCED_BY
from kijabi.api.core.service import Service
from kijabi.base import clock
from kijabi.client.cache import key_of
from kijabi.client.informer import Informers
from kijabi.proxy.links import Changes, Link, interface_of

log = logging.getLogger(__name__)

LEASES = "kube-node-lease"
# A node gives way so long before others may take it for dead; in seconds, as what follows.
MARGIN = 5.0
LEASE_SECONDS = 40.0
# When a taken address is announced, counted from the take-over: one frame may be lost, and a bridge just learning.
ANNOUNCE_AT = (0.0, 1.0, 3.0)


def addresses_of(service: Service, node: str) -> tuple[str, ...]:
    """The IPv4 addresses of a Service that this node is to announce."""
    if service.metadata.annotations.get(ANNOUNCED_BY) != node or service.spec.type != "LoadBalancer":
        return ()
    shown = (ingress.ip for ingress in service.status.loadBalancer.ingress if ingress.ip)
    return tuple(ip for ip in shown if ipaddress.ip_address(ip).version == 4)


class Announcer:
    """One node's. `run` lasts until cancelled."""

    def __init__(self, node: str, informers: Informers) -> None:
        self.node = node
        self._informers = informers
        self._services = informers.of(Service)
        self._mine: dict[str, tuple[str, ...]] = {}  # by the Service's key
        self._links: dict[str, Link] = {}
        self._told: dict[str, set[bytes]] = {}  # what was announced, by link
        self._until = 0.0  # when the lease is overdue, or nearly
        self._wake = asyncio.Event()
        self._services.add_handler(self._on_service)

    def _on_service(self, old: Service | None, new: Service | None) -> None:
        key = key_of(new if new is not None else old)
        mine = addresses_of(new, self.node) if new is not None else ()
        if mine != self._mine.get(key, ()):
            self._mine[key] = mine
            if not mine:
                del self._mine[key]
            self._wake.set()

    def _on_lease(self, old: Lease | None, new: Lease | None) -> None:
        if new is not None and (old is None or old.spec.renewTime != new.spec.renewTime):
            was_alive = self.alive()
            held = float(new.spec.leaseDurationSeconds or LEASE_SECONDS) - MARGIN
            self._until = clock.monotonic() + held
            if not was_alive:
                self._wake.set()

    def alive(self) -> bool:
        """Whether nobody can think yet that this node is gone."""
        return clock.monotonic() < self._until

    async def run(self) -> None:
        """Announce what is to be announced; nothing is, and nothing is watched, while there is nothing."""
        await self._services.wait_synced()
        changes: Changes | None = None
        try:
            while True:
                self._wake.clear()
                if self._mine and changes is None:
                    changes = Changes(self._wake.set)
                    self._follow_lease()
                self._sync()
                await self._wake.wait()
        finally:
            if changes is not None:
                changes.close()
            for link in self._links.values():
                link.close()

    def _follow_lease(self) -> None:
        leases = self._informers.of(Lease, namespace=LEASES, fields=f"metadata.name={self.node}")
        leases.add_handler(self._on_lease)

    def _sync(self) -> None:
        """Open and close links, and announce what is new, once it is known that this node is believed alive."""
        wanted: dict[str, set[bytes]] = {}
        for address in (one for mine in self._mine.values() for one in mine):
            name = interface_of(address)
            if name is not None:
                wanted.setdefault(name, set()).add(ipaddress.IPv4Address(address).packed)
        for name in self._links.keys() - wanted.keys():
            self._links.pop(name).close()
            self._told.pop(name, None)
        for name, addresses in wanted.items():
            link = self._links.get(name)
            if link is None:
                try:
                    link = self._links[name] = Link(name, self.alive)
                except OSError as error:
                    log.warning("cannot announce", extra={"interface": name, "error": str(error)})
                    continue
            link.addresses = addresses
            told = self._told.setdefault(name, set())
            told &= addresses
            if self.alive():
                fresh = (addresses - told) | (link.yielded & addresses)
                told |= addresses
                link.yielded.clear()
                for one in fresh:
                    self._announce(link, one)

    def _announce(self, link: Link, address: bytes) -> None:
        text = str(ipaddress.IPv4Address(address))
        log.info("announcing", extra={"address": text, "interface": link.name})
        loop = asyncio.get_running_loop()
        for seconds in ANNOUNCE_AT:
            loop.call_later(seconds, self._tell, link, address)

    def _tell(self, link: Link, address: bytes) -> None:
        if self._links.get(link.name) is link and address in link.addresses and self.alive():
            link.announce(address)
