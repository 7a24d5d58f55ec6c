"""Addresses for Services from a pool: the provider named `bare`, which every cluster of `kijabi up` has.

Asked by the service controller. An address is claimed (`claims`) before a Service shows it. There is nothing to be done
for nodes: every node takes what comes for any Service; which one answers for an address is decided in `announce`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence

from kijabi.api.core.balancing import WANTED
from kijabi.api.core.node import Node
from kijabi.api.core.service import LoadBalancerIngress, LoadBalancerStatus, Service
from kijabi.api.networking.ipaddress import IPAddress
from kijabi.base.errors import ConfigError
from kijabi.client.cache import key_of
from kijabi.controllers.cloud.bare.announce import Announcements
from kijabi.controllers.cloud.bare.claims import Claims, Reclaimer, parent_key, shown
from kijabi.controllers.cloud.bare.pool import Pool
from kijabi.controllers.cloud.interface import CloudError, LoadBalancers, Site
from kijabi.controllers.runtime import Context, Controller, Source


def wanted_address(service: Service) -> str:
    """The address that a Service asks for, "" if any will do."""
    return service.metadata.annotations.get(WANTED) or service.spec.loadBalancerIP


class PoolBalancers(LoadBalancers):
    """Gives each Service an address of its own."""

    def __init__(self, claims: Claims) -> None:
        self.claims = claims

    async def get(self, service: Service) -> LoadBalancerStatus | None:
        addresses = self.claims.of(service)
        return _status(addresses[0]) if addresses else None

    async def ensure(self, service: Service, nodes: Sequence[Node]) -> LoadBalancerStatus:
        key, wanted = key_of(service), wanted_address(service)
        self.claims.waiting.pop(key, None)
        _check(service, wanted)
        if wanted and wanted not in self.claims.pool:
            raise CloudError(f"{wanted} is not in the pool of load balancer addresses ({self.claims.pool})")
        if wanted and self.claims.a_nodes_own(wanted):
            raise CloudError(f"{wanted} is the address of a node")
        address = await self._find(service, wanted)
        if address is None:
            self.claims.waiting[key] = wanted
            if wanted:
                other = self.claims.holder(wanted) or "another Service"
                raise CloudError(f"the load balancer address {wanted} belongs to {other}")
            raise CloudError(f"no load balancer address of the pool ({self.claims.pool}) is free")
        return _status(address)

    async def _find(self, service: Service, wanted: str) -> str | None:
        """The address that the Service has, or that it shows but does not hold, or else a free one, claimed for it."""
        claims, uid = self.claims, service.metadata.uid
        usable = [address for address in claims.of(service) if address in claims.pool and wanted in ("", address)]
        before = shown(service)
        if usable:
            claims.giving[uid] = min(usable, key=lambda one: one not in before)
            return claims.giving[uid]
        lost = sorted(one for one in before if one in claims.pool and wanted in ("", one) and not claims.holder(one))
        while (address := wanted or (lost.pop() if lost else claims.pool.next())) is not None:
            if address in claims.leaving:
                return None  # It is free in a moment, and then this Service is woken.
            if claims.a_nodes_own(address):
                claims.pool.take(address)  # For as long as this process lives.
                continue
            claims.giving[uid] = address
            if await claims.claim(service, address):
                return address
            if wanted:
                return None
        return None

    async def update(self, service: Service, nodes: Sequence[Node]) -> None:
        """Which nodes there are is followed by `announce`."""

    async def delete(self, service: Service) -> None:
        """The claim goes when nobody is shown the address any more: see `claims`."""
        self.claims.waiting.pop(key_of(service), None)
        self.claims.giving.pop(service.metadata.uid, None)

    def sources(self) -> Sequence[Source]:
        return (Source(self.claims.addresses, self._woken),)

    def _woken(self, old: IPAddress | None, new: IPAddress | None) -> Iterable[str]:
        """A claim went: whoever waits for an address, and the Service that had it, lest it still shows it."""
        if old is None or new is not None:
            return ()
        return [parent_key(old), *self.claims.woken(old.metadata.name)]


def _check(service: Service, wanted: str) -> None:
    if service.spec.ipFamilies and "IPv4" not in service.spec.ipFamilies:
        raise CloudError("the pool of load balancer addresses has IPv4 addresses only, and the Service has none")
    if wanted:
        try:
            ipaddress.IPv4Address(wanted)
        except ValueError as error:
            raise CloudError(f"{wanted!r} is no IPv4 address that a load balancer could have") from error


def _status(address: str) -> LoadBalancerStatus:
    return LoadBalancerStatus(ingress=(LoadBalancerIngress(ip=address, ipMode="VIP"),))


class Bare:
    """The provider: load balancers alone."""

    name = "bare"
    instances = None
    routes = None

    def __init__(self, site: Site) -> None:
        if site.config:
            raise ConfigError("the provider bare has no configuration file: its pool is --load-balancer-pool")
        claims = Claims(site.context, Pool(site.context.config.load_balancer_pool))
        self.load_balancers = PoolBalancers(claims)
        self.controllers: Sequence[Callable[[Context], Controller]] = (
            lambda context: Reclaimer(context, claims),
            Announcements,
        )
