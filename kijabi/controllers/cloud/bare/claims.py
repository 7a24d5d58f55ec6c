"""Who has which address of the pool: one IPAddress object for each, named after it, so that it cannot be had twice.

`Claims` is what the API server says, plus what this process is about to change; the provider claims through it.
`Reclaimer`, a controller, deletes the claims of Services that are gone or show another address. A claim outlives what
its Service shows: only when the API server itself says that nobody is told an address is it given back, so that no two
Services ever show the same, whatever crashes or comes late (networking.k8s.io/v1 IPAddress; KEP-1880).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kijabi.api.core.balancing import CLAIM
from kijabi.api.core.node import Node
from kijabi.api.core.service import Service
from kijabi.api.meta import ObjectMeta
from kijabi.api.networking.ipaddress import IPAddress, IPAddressSpec, ParentReference
from kijabi.base.errors import AlreadyExists, Conflict, KijabiError, NotFound
from kijabi.controllers.cloud.bare.pool import Pool
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import nodes, services

SERVICE = "service"
ADDRESS = "address"
# Services that wait for any address and are woken by one that is free again; those behind come with their back-off.
MAX_WOKEN = 8
# Seconds after which a claim is looked at again that its Service was about to show.
UNDECIDED = 30.0


def owner_of(claim: IPAddress) -> str:
    """The uid of the Service that has it."""
    return claim.metadata.labels.get(CLAIM, "")


def _addresses(node: Node) -> tuple[str, ...]:
    """Index: a node's own addresses."""
    return tuple(one.address for one in node.status.addresses)


def parent_key(claim: IPAddress) -> str:
    """The key of the Service that has it."""
    parent = claim.spec.parentRef
    return f"{parent.namespace}/{parent.name}" if parent is not None else ""


def shown(service: Service) -> set[str]:
    """The addresses that a Service tells the world."""
    return {ingress.ip for ingress in service.status.loadBalancer.ingress if ingress.ip}


def needed(claim: IPAddress, service: Service | None, giving: str = "") -> bool:
    """Whether a claim must stay, by its Service as it is now: it shows the address, or wants one and shows none yet.

    giving: the address that it is about to show instead of what it shows. One that wants none any more is not about to
    show anything: whoever has not seen that yet cannot write its status.
    """
    if service is None or service.metadata.uid != owner_of(claim):
        return False
    addresses = shown(service)
    hopes = service.spec.type == "LoadBalancer" and service.metadata.deletionTimestamp is None
    return claim.metadata.name in addresses or (hopes and (not addresses or claim.metadata.name == giving))


class Claims:
    """The claims of one pool, kept true by events; shared by the provider and the reclaimer of one process."""

    def __init__(self, context: Context, pool: Pool) -> None:
        self.client = context.client
        self.pool = pool
        self.addresses = context.informers.of(
            IPAddress, labels=CLAIM, indexes={SERVICE: lambda claim: (owner_of(claim),)}
        )
        self.giving: dict[str, str] = {}  # uid → the address that its Service shows, or is about to show
        self.leaving: set[str] = set()  # addresses whose claims are deleted, as far as the cache does not show it yet
        self.waiting: dict[str, str] = {}  # key → address that was asked for, "" for any; oldest first
        self.nodes = nodes(context.informers)
        self.nodes.add_index(ADDRESS, _addresses)
        self._made: dict[str, str] = {}  # address → uid, claimed here and not in the cache yet
        self.addresses.add_handler(self._follow)

    def _follow(self, old: IPAddress | None, new: IPAddress | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self.leaving.discard(old.metadata.name)
        if new is not None:
            self._made.pop(new.metadata.name, None)
            self.pool.take(new.metadata.name)
        elif old is not None:
            self.pool.give_back(old.metadata.name)

    def of(self, service: Service) -> list[str]:
        """The addresses that a Service has, but for those that are about to be given back."""
        uid = service.metadata.uid
        found = {claim.metadata.name for claim in self.addresses.index(SERVICE, uid)}
        found.update(address for address, owner in self._made.items() if owner == uid)
        return sorted(found - self.leaving)

    def a_nodes_own(self, address: str) -> bool:
        """Whether a node has the address itself: then it is not the pool's to give."""
        return bool(self.nodes.index(ADDRESS, address))

    def holder(self, address: str) -> str:
        """The key of the Service that has an address, "" if none is known."""
        claim = self.addresses.get(address)
        return parent_key(claim) if claim is not None else ""

    async def claim(self, service: Service, address: str) -> bool:
        """Take an address for a Service; False if somebody else has it."""
        meta = service.metadata
        parent = ParentReference(resource="services", namespace=meta.namespace, name=meta.name)
        wanted = IPAddress(
            metadata=ObjectMeta(name=address, labels={CLAIM: meta.uid}), spec=IPAddressSpec(parentRef=parent)
        )
        self.pool.take(address)
        try:
            await self.client.create(wanted)
            if self.addresses.get(address) is None:
                self._made[address] = meta.uid
        except AlreadyExists:
            return owner_of(await self.client.get(IPAddress, address)) == meta.uid
        except KijabiError:  # Perhaps it was made: then the cache will say so.
            if self.addresses.get(address) is None:
                self.pool.give_back(address)
            raise
        return True

    def woken(self, address: str) -> list[str]:
        """The Services to be told that an address is free: those that asked for it, and the first who take any."""
        asked = [key for key, wanted in self.waiting.items() if wanted == address]
        anyone = [key for key, wanted in self.waiting.items() if not wanted]
        keys = [*asked, *anyone[:MAX_WOKEN]]
        for key in keys:
            del self.waiting[key]
        return keys


class Reclaimer:
    """The controller that gives addresses back; a key is an address."""

    name = "load-balancer-addresses"
    workers = WORKERS

    def __init__(self, context: Context, claims: Claims) -> None:
        self.client = context.client
        self.claims = claims
        self.services = services(context.informers)

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.claims.addresses, lambda old, new: (new.metadata.name,) if new is not None else ()),
            Source(self.services, self._keys),
        )

    def _keys(self, old: Service | None, new: Service | None) -> Iterable[str]:
        """What the Service has, when it goes, or shows or is something else than before."""
        if old is None or (new is not None and shown(old) == shown(new) and old.spec.type == new.spec.type):
            return ()
        return [claim.metadata.name for claim in self.claims.addresses.index(SERVICE, old.metadata.uid)]

    async def reconcile(self, key: str) -> float | None:
        claims, claim = self.claims, self.claims.addresses.get(key)
        doubtful = key in claims.leaving
        if claim is None or (not doubtful and needed(claim, self.services.get(parent_key(claim)))):
            return None
        claims.leaving.add(key)
        service = await self._live(claim)
        if not needed(claim, service, claims.giving.get(owner_of(claim), "")):
            try:
                await self.client.delete(IPAddress, key, uid=claim.metadata.uid)
            except (NotFound, Conflict):  # Gone already, or another's by now: the cache will say so.
                pass
            return None
        if doubtful and not await self._there(claim):
            return None  # It went, and no answer said so: the cache will.
        claims.leaving.discard(key)
        # Either the cache was behind, and what changes it comes as an event; or its Service is about to show it.
        return None if needed(claim, service) else UNDECIDED

    async def _there(self, claim: IPAddress) -> bool:
        """Whether a claim is still there, for the server."""
        try:
            return (await self.client.get(IPAddress, claim.metadata.name)).metadata.uid == claim.metadata.uid
        except NotFound:
            return False

    async def _live(self, claim: IPAddress) -> Service | None:
        """The claim's Service as the server has it now."""
        parent = claim.spec.parentRef
        if parent is None:
            return None
        try:
            return await self.client.get(Service, parent.name, parent.namespace)
        except NotFound:
            return None
