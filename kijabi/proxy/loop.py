"""The proxy's loop: which Services changed, what the table must hold now, and the step there.

Informer events mark Services; one task takes all marks at once, makes the new ruleset and applies the difference, so a
burst of events costs one transaction. If nft refuses, the table is laid anew as a whole after a back-off.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from kijabi.api.core.node import Node
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import EndpointSlice, service_of
from kijabi.base.process import CommandFailed
from kijabi.client.events import Recorder
from kijabi.client.informer import Informers
from kijabi.proxy import nft
from kijabi.proxy.health import Check, HealthPorts
from kijabi.proxy.rules import EMPTY, ProxyConfig, Ruleset, frame, lost_udp, ruleset, script
from kijabi.proxy.services import Frontend, Here, frontends, health_port, local_endpoints

log = logging.getLogger(__name__)

RETRY = 1.0
ZONE = "topology.kubernetes.io/zone"


class Proxy:
    """Keeps one node's table true, and its health checks. `run` lasts until cancelled."""

    def __init__(self, config: ProxyConfig, node: str, informers: Informers, recorder: Recorder) -> None:
        self.config = config
        self.node = node
        self.programmed = asyncio.Event()
        self._services = informers.of(Service)
        self._slices = informers.of(EndpointSlice, indexes={"service": service_of})
        self._own = informers.of(Node, fields=f"metadata.name={node}")
        self._zone = ""
        self._marked: set[str] = set()
        self._wake = asyncio.Event()
        self._frontends: dict[str, tuple[Frontend, ...]] = {}
        self._applied: Ruleset | None = None
        self._picks = 0
        self._checks: dict[str, tuple[int, Check]] = {}
        self._health = HealthPorts(node, recorder, lambda: self._applied is not None)
        self._services.add_handler(self._on_service)
        self._slices.add_handler(self._on_slice)
        self._own.add_handler(self._on_node)

    def _on_service(self, old: Service | None, new: Service | None) -> None:
        meta = (new or old).metadata  # type: ignore[union-attr]
        self._mark(f"{meta.namespace}/{meta.name}")

    def _on_slice(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        for slice_ in (old, new):
            for key in service_of(slice_) if slice_ is not None else ():
                self._mark(key)

    def _on_node(self, old: Node | None, new: Node | None) -> None:
        """In another zone other endpoints are near."""
        zone = new.metadata.labels.get(ZONE, "") if new is not None else self._zone
        if zone != self._zone:
            self._zone = zone
            for service in self._services.items():
                self._mark(f"{service.metadata.namespace}/{service.metadata.name}")

    def _mark(self, key: str) -> None:
        self._marked.add(key)
        self._wake.set()

    async def run(self) -> None:
        """Wait for the informers, lay the table, then follow."""
        await self._services.wait_synced()
        await self._slices.wait_synced()
        await self._own.wait_synced()
        try:
            await self._follow()
        finally:
            await self._health.close()

    async def _follow(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._sync()
            except CommandFailed as error:
                log.error("nft refused the rules; laying the table anew", extra={"error": str(error)})
                self._applied = None
                self._wake.set()
                await asyncio.sleep(RETRY)
                continue
            self.programmed.set()
            await self._wake.wait()

    async def _sync(self) -> None:
        before = self._frontends
        after = self._take_marked()
        new = ruleset(f for key in sorted(after) for f in after[key])
        if self._applied is None or new.picks > self._picks:
            await nft.apply(frame(self.config, new.picks) + script(self.config, EMPTY, new))
            self._picks = new.picks
        elif text := script(self.config, self._applied, new):
            await nft.apply(text)
        self._applied = new
        self._frontends = after
        await nft.forget(lost_udp(_all(before), _all(after)))
        await self._health.sync(dict(self._checks[key] for key in sorted(self._checks)))

    def _take_marked(self) -> dict[str, tuple[Frontend, ...]]:
        """The frontends of all Services, with those marked since last time made anew."""
        after = dict(self._frontends)
        for key in self._marked:
            service = self._services.get(key)
            if service is None:
                after.pop(key, None)
                self._checks.pop(key, None)
            else:
                slices = sorted(self._slices.index("service", key), key=lambda s: s.metadata.name)
                after[key] = frontends(service, slices, Here(self.node, self._zone))
                self._check(key, service, slices)
        self._marked = set()
        return after

    def _check(self, key: str, service: Service, slices: Sequence[EndpointSlice]) -> None:
        """What the Service's health check says, if it has one."""
        port, meta = health_port(service), service.metadata
        self._checks.pop(key, None)
        if port:
            check = Check(meta.namespace, meta.name, meta.uid, local_endpoints(slices, self.node))
            self._checks[key] = (port, check)


def _all(table: Mapping[str, tuple[Frontend, ...]]) -> list[Frontend]:
    return [frontend for key in sorted(table) for frontend in table[key]]
