"""Service CIDRs: keeps a range of Service addresses while addresses of it are in use that no other range has.

Receives ServiceCIDRs and the IPAddresses that the API server's allocator made; writes the finalizer and the condition
Ready. `removable` is pure (KEP-1880; k8s.io/kubernetes `pkg/controller/servicecidrs`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from kijabi.api.meta import Condition, Object, ObjectMeta, time_now
from kijabi.api.networking.ipaddress import IPAddress
from kijabi.api.networking.ranges import ALLOCATED, Network, addresses_in, networks
from kijabi.api.networking.servicecidr import FINALIZER, READY, TERMINATING, ServiceCIDR
from kijabi.base import clock
from kijabi.base.errors import Conflict, NotFound
from kijabi.controllers.runtime import WORKERS, Context, Source

GRACE = 10.0
"""Seconds after which every allocator knows that a range is being deleted; one that does not might still use it."""
IN_USE = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR"
IS_READY = "Kubernetes Service CIDR is ready"


def removable(one: ServiceCIDR, others: Iterable[ServiceCIDR], used: Iterable[str]) -> bool:
    """Whether no address in use (names of IPAddresses) would be in no range without this one."""
    left: list[Network] = [network for other in others for network in networks(other)]
    mine = networks(one)
    if all(any(_within(network, other) for other in left) for network in mine):
        return True
    return not any(not addresses_in(text, left) for text in used if addresses_in(text, mine))


def _within(network: Network, other: Network) -> bool:
    return network.version == other.version and network.subnet_of(other)  # type: ignore[arg-type]


def _bare(address: IPAddress) -> IPAddress:
    """Only its name: there may be one for each Service."""
    own = address.metadata
    return IPAddress(metadata=ObjectMeta(name=own.name, uid=own.uid, resourceVersion=own.resourceVersion))


class ServiceRanges:
    """The controller; a key is a ServiceCIDR's name."""

    name = "service-cidr"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("service-cidr-controller")
        self.ranges = context.informers.of(ServiceCIDR)
        self.addresses = context.informers.of(IPAddress, labels=ALLOCATED, transform=_bare)

    def sources(self) -> Sequence[Source]:
        return (Source(self.ranges, self._keys_of_range), Source(self.addresses, self._keys_of_address))

    def _keys_of_range(self, old: ServiceCIDR | None, new: ServiceCIDR | None) -> Iterable[str]:
        """The range, and those that it overlaps when it comes: they may be what is waited for."""
        keys = {new.metadata.name} if new is not None else set()
        if old is None and new is not None:
            mine = networks(new)
            keys.update(
                other.metadata.name
                for other in self.ranges.items()
                if any(a.version == b.version and a.overlaps(b) for a in mine for b in networks(other))
            )
        return keys

    def _keys_of_address(self, old: Object | None, new: Object | None) -> Iterable[str]:
        """The ranges with an address that came or went, as far as they wait for it."""
        one = new if new is not None else old
        if one is None or (old is not None and new is not None):
            return ()
        waiting = (each for each in self.ranges.items() if each.metadata.deletionTimestamp is not None)
        return [each.metadata.name for each in waiting if addresses_in(one.metadata.name, networks(each))]

    async def reconcile(self, key: str) -> float | None:
        one = self.ranges.get(key)
        if one is None:
            return None
        own = one.metadata
        try:
            if own.deletionTimestamp is not None:
                return await self._release(one)
            if FINALIZER not in own.finalizers:
                patch = {"metadata": {"uid": own.uid, "finalizers": [FINALIZER]}}
                one = await self.client.patch(ServiceCIDR, own.name, patch, type="strategic")
            await self._say(one, "True", "", IS_READY)
        except NotFound:
            return None
        return None

    async def _release(self, one: ServiceCIDR) -> float | None:
        """Let a range go that is being deleted, once it is not needed and every allocator knows."""
        own = one.metadata
        if FINALIZER not in own.finalizers or own.deletionTimestamp is None:
            return None
        others = (other for other in self.ranges.items() if other.metadata.name != own.name)
        if not removable(one, others, (each.metadata.name for each in self.addresses.items())):
            await self._say(one, "False", TERMINATING, IN_USE)
            return None
        if (wait := own.deletionTimestamp.timestamp() + GRACE - clock.wall()) > 0:
            return wait
        patch = {"metadata": {"uid": own.uid, "$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
        try:
            await self.client.patch(ServiceCIDR, own.name, patch, type="strategic")
        except Conflict:  # Another of its name.
            return None
        return None

    async def _say(self, one: ServiceCIDR, status: str, reason: str, message: str) -> None:
        """Write the condition, unless it stands there."""
        known = next((c for c in one.status.conditions if c.type == READY), None)
        if known is not None and (known.status, known.reason, known.message) == (status, reason, message):
            return
        said = Condition(type=READY, status=status, reason=reason, message=message, lastTransitionTime=time_now())
        rest = tuple(c for c in one.status.conditions if c.type != READY)
        try:
            await self.client.update_status(replace(one, status=replace(one.status, conditions=(*rest, said))))
        except Conflict:
            raise
        except NotFound:
            return
