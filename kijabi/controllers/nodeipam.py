"""Every node gets its own range of pod addresses (`spec.podCIDR`), which its CNI bridge then uses.

Receives nodes; writes their podCIDRs once. `Ranges` is the pure book-keeping: which ranges of a cluster CIDR
are taken; `pod_ranges` reads the settings (k8s.io/kubernetes `pkg/controller/nodeipam`).
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence

from kijabi.api.core.node import Node
from kijabi.base.errors import ApiError, ConfigError, Conflict, Invalid, NotFound, ServiceUnavailable
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import nodes

# Nodes that wait for a range and are woken by one that is free again; those behind come with their back-off.
MAX_WOKEN = 8
# An IPv6 range is cut into 2 to the power of this pieces at most, as upstream does.
MAX_BITS = 16
PREFIXES = {4: 24, 6: 64}


def pod_ranges(cidrs: str, prefix: int | None, prefix4: int | None, prefix6: int | None) -> tuple[tuple[str, int], ...]:
    """The cluster's CIDRs, with commas between, each with the prefix length of a node's share.

    prefix: for a cluster of one family; prefix4, prefix6: for each. ConfigError if they contradict one another.
    """
    try:
        networks = [ipaddress.ip_network(text.strip(), strict=False) for text in cidrs.split(",")]
    except ValueError as error:
        raise ConfigError(f"invalid pod CIDR: {error}") from error
    if len(networks) > 2 or len({network.version for network in networks}) < len(networks):
        raise ConfigError(f"the pod CIDRs {cidrs} are not one, nor one of each IP family")
    if prefix is not None and len(networks) > 1:
        raise ConfigError("usage of --node-cidr-mask-size is not allowed with dual-stack clusters")
    if prefix is not None and (prefix4 is not None or prefix6 is not None):
        raise ConfigError("--node-cidr-mask-size is not allowed beside --node-cidr-mask-size-ipv4 and -ipv6")
    alone = networks[0].version if len(networks) == 1 else None
    if (alone == 6 and prefix4 is not None) or (alone == 4 and prefix6 is not None):
        name, family = ("ipv4", "IPv6") if alone == 6 else ("ipv6", "IPv4")
        raise ConfigError(f"usage of --node-cidr-mask-size-{name} is not allowed for a single-stack {family} cluster")
    given = {4: prefix or prefix4 or PREFIXES[4], 6: prefix or prefix6 or PREFIXES[6]}
    found = tuple((str(network), given[network.version]) for network in networks)
    for cidr, length in found:
        try:
            Ranges(cidr, length)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    return found


class Ranges:
    """The ranges of one size within a cluster CIDR. Raises ValueError for a CIDR that is not one."""

    def __init__(self, cluster: str, prefix: int) -> None:
        self.cluster = ipaddress.ip_network(cluster)
        if not self.cluster.prefixlen <= prefix <= self.cluster.max_prefixlen:
            raise ValueError(f"a node's range /{prefix} does not fit into {cluster}")
        if self.cluster.version == 6 and prefix - self.cluster.prefixlen > MAX_BITS:
            raise ValueError(f"the node CIDR size is too big: {cluster} has more than {1 << MAX_BITS} of /{prefix}")
        self.prefix = prefix
        self.size = 1 << (self.cluster.max_prefixlen - prefix)
        self.count = 1 << (prefix - self.cluster.prefixlen)
        self._taken: Counter[int] = Counter()  # by how many: two nodes may have been given the same by hand
        self._next = 0

    def take(self) -> str | None:
        """A free range, going round so that one just freed rests; None if all are taken."""
        if len(self._taken) >= self.count:
            return None
        while self._next in self._taken:
            self._next = (self._next + 1) % self.count
        index, self._next = self._next, (self._next + 1) % self.count
        self._taken[index] += 1
        start = self.cluster.network_address + index * self.size
        return f"{start}/{self.prefix}"

    def occupy(self, cidr: str) -> None:
        """Mark what overlaps with a CIDR as taken; one outside the cluster's means nothing here."""
        self._taken.update(self._indexes(cidr))

    def release(self, cidr: str) -> None:
        """One has a CIDR less."""
        for index in self._indexes(cidr):
            self._taken[index] -= 1
            if self._taken[index] <= 0:
                del self._taken[index]

    def _indexes(self, cidr: str) -> range:
        other = ipaddress.ip_network(cidr, strict=False)
        if other.version != self.cluster.version or not other.overlaps(self.cluster):
            return range(0)
        first = int(self.cluster.network_address)
        low = max(int(other.network_address), first) - first
        high = min(int(other.broadcast_address), int(self.cluster.broadcast_address)) - first
        return range(low // self.size, high // self.size + 1)


class NodeRanges:
    """The controller; a key is a node's name. One worker: ranges are handed out one after another."""

    name = "node-ipam"
    workers = 1

    def __init__(self, context: Context) -> None:
        config = context.config
        self.client = context.client
        self.recorder = context.recorder("cidrAllocator")
        self.nodes = nodes(context.informers)
        self.ranges = tuple(Ranges(cidr, prefix) for cidr, prefix in config.pod_cidrs)
        for ranges in self.ranges:
            for cidr in config.service_cidrs:
                ranges.occupy(cidr)
        self.reserved = dict(config.reserved)
        for cidr in self.reserved.values():
            self.ranges[0].occupy(cidr)
        self._given: dict[str, tuple[str, ...]] = {}  # by node uid: decided on, perhaps not written yet
        self._waiting: dict[str, None] = {}  # names of nodes for which there was none; oldest first

    def sources(self) -> Sequence[Source]:
        return (Source(self.nodes, self._keys),)

    def _keys(self, old: Node | None, new: Node | None) -> Iterable[str]:
        """Books ranges as nodes come and go; all nodes that exist pass here before any is given a range."""
        freed = False
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            freed = self._release(old.metadata.uid)
            self._waiting.pop(old.metadata.name, None)
        if new is not None and new.spec.podCIDRs and self._given.get(new.metadata.uid) != new.spec.podCIDRs:
            freed |= self._release(new.metadata.uid)  # Somebody else was quicker.
            self._given[new.metadata.uid] = new.spec.podCIDRs
            for ranges, cidr in zip(self.ranges, new.spec.podCIDRs, strict=False):
                ranges.occupy(cidr)
        own = [new.metadata.name] if new is not None and not new.spec.podCIDRs else []
        return own + (self._woken() if freed else [])

    def _release(self, uid: str) -> bool:
        """Take back what a node had; whether that was anything."""
        given = self._given.pop(uid, ())
        for ranges, cidr in zip(self.ranges, given, strict=False):
            ranges.release(cidr)
        return bool(given)

    def _woken(self) -> list[str]:
        """The nodes that may try again."""
        woken = list(self._waiting)[:MAX_WOKEN]
        for name in woken:
            del self._waiting[name]
        return woken

    async def reconcile(self, key: str) -> float | None:
        node = self.nodes.get(key)
        if node is None or node.spec.podCIDRs or node.metadata.deletionTimestamp is not None:
            return None
        uid = node.metadata.uid
        cidrs = self._given.get(uid) or self._take(node)
        patch = {"metadata": {"uid": uid}, "spec": {"podCIDR": cidrs[0], "podCIDRs": list(cidrs)}}
        try:
            await self.client.patch(Node, key, patch, type="strategic")
        except (NotFound, Conflict, Invalid):  # Gone or replaced, or it has a range by now: it will say so.
            if self._given.get(uid) == cidrs:
                self._release(uid)
            raise
        except ApiError:  # Perhaps it was written all the same, so it stays this node's.
            text = f"Node {key} status is now: CIDRAssignmentFailed"
            self.recorder.event(node, "Normal", "CIDRAssignmentFailed", text)
            raise
        return None

    def _take(self, node: Node) -> tuple[str, ...]:
        taken: list[str] = []
        reserved = self.reserved.get(node.metadata.name)
        for family, ranges in enumerate(self.ranges):
            if family == 0 and reserved:
                ranges.occupy(cidr := reserved)
            elif (given := ranges.take()) is not None:
                cidr = given
            else:
                for before, mine in zip(self.ranges, taken, strict=False):
                    before.release(mine)
                self._waiting[node.metadata.name] = None
                text = f"Node {node.metadata.name} status is now: CIDRNotAvailable"
                self.recorder.event(node, "Normal", "CIDRNotAvailable", text)
                raise ServiceUnavailable(f"no range of {ranges.cluster} is left for node {node.metadata.name}")
            taken.append(cidr)
        self._given[node.metadata.uid] = tuple(taken)
        return tuple(taken)
