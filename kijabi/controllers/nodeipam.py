"""Every node gets its own range of pod addresses (`spec.podCIDR`), which its CNI bridge then uses.

Receives nodes; writes their podCIDRs once. `Ranges` is the pure book-keeping: which ranges of a cluster CIDR
are taken (k8s.io/kubernetes `pkg/controller/nodeipam`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from kijabi.api.core.node import Node
from kijabi.base.errors import Conflict, Invalid, NotFound, ServiceUnavailable
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import nodes


class Ranges:
    """The ranges of one size within a cluster CIDR. Raises ValueError for a CIDR that is not one."""

    def __init__(self, cluster: str, prefix: int) -> None:
        self.cluster = ipaddress.ip_network(cluster)
        if not self.cluster.prefixlen <= prefix <= self.cluster.max_prefixlen:
            raise ValueError(f"a node's range /{prefix} does not fit into {cluster}")
        self.prefix = prefix
        self.size = 1 << (self.cluster.max_prefixlen - prefix)
        self.count = 1 << (prefix - self.cluster.prefixlen)
        self._taken: set[int] = set()
        self._next = 0

    def take(self) -> str | None:
        """A free range, going round so that one just freed rests; None if all are taken."""
        if len(self._taken) >= self.count:
            return None
        while self._next in self._taken:
            self._next = (self._next + 1) % self.count
        index, self._next = self._next, (self._next + 1) % self.count
        self._taken.add(index)
        start = self.cluster.network_address + index * self.size
        return f"{start}/{self.prefix}"

    def occupy(self, cidr: str) -> None:
        """Mark what overlaps with a CIDR as taken; one outside the cluster's means nothing here."""
        self._taken.update(self._indexes(cidr))

    def release(self, cidr: str) -> None:
        """Free what a CIDR had."""
        self._taken.difference_update(self._indexes(cidr))

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

    def sources(self) -> Sequence[Source]:
        return (Source(self.nodes, self._keys),)

    def _keys(self, old: Node | None, new: Node | None) -> Iterable[str]:
        """Books ranges as nodes come and go; all nodes that exist pass here before any is given a range."""
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._release(old.metadata.uid)
        if new is None:
            return ()
        if new.spec.podCIDRs:
            self._given[new.metadata.uid] = new.spec.podCIDRs
            for ranges, cidr in zip(self.ranges, new.spec.podCIDRs, strict=False):
                ranges.occupy(cidr)
            return ()
        return (new.metadata.name,)

    def _release(self, uid: str) -> None:
        for ranges, cidr in zip(self.ranges, self._given.pop(uid, ()), strict=False):
            if cidr not in self.reserved.values():
                ranges.release(cidr)

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
            self._release(uid)
            raise
        return None

    def _take(self, node: Node) -> tuple[str, ...]:
        taken: list[str] = []
        reserved = self.reserved.get(node.metadata.name)
        for family, ranges in enumerate(self.ranges):
            cidr = reserved if family == 0 and reserved else ranges.take()
            if cidr is None:
                for before, given in zip(self.ranges, taken, strict=False):
                    before.release(given)
                text = f"Node {node.metadata.name} status is now: CIDRNotAvailable"
                self.recorder.event(node, "Normal", "CIDRNotAvailable", text)
                raise ServiceUnavailable(f"no range of {ranges.cluster} is left for node {node.metadata.name}")
            taken.append(cidr)
        self._given[node.metadata.uid] = tuple(taken)
        return tuple(taken)
