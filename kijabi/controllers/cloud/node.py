"""New nodes wait, tainted, until the cloud has told what they are: their machine, addresses, zone, region and type.

Receives nodes; asks the provider's `Instances`; writes labels, `spec.providerID` and addresses and takes the taint
away. Clouds announce nothing, so each node's addresses are asked for again from time to time. `initialised`,
`mended_labels` and `addresses` decide (k8s.io/cloud-provider `controllers/node`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence

from kijabi.api import codec
from kijabi.api.core.cloud import PROVIDED_IP, UNINITIALIZED
from kijabi.api.core.node import Node
from kijabi.api.core.nodestatus import NodeAddress
from kijabi.base import clock
from kijabi.controllers.cloud.interface import CloudError, InstanceMetadata, Instances
from kijabi.controllers.cloud.patience import Patience
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import nodes

# Seconds between two looks at a node's addresses.
REFRESH = 300.0
# The label that counts, and the one that says the same in newer words.
TYPE = ("beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type")
ZONE = ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone")
REGION = ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region")
_KUBERNETES = re.compile(r"(^|\.)(kubernetes|k8s)\.io/")


def waits(node: Node) -> bool:
    """It has not been initialised yet."""
    return any(taint.key == UNINITIALIZED for taint in node.spec.taints)


def initialised(node: Node, found: InstanceMetadata) -> Node:
    """A node as the cloud knows it, without the taint. Raises CloudError if its own address is not the cloud's."""
    addresses(node, found)
    after = codec.clone(node)
    after.spec.providerID = after.spec.providerID or found.provider_id
    after.spec.taints = tuple(taint for taint in node.spec.taints if taint.key != UNINITIALIZED)
    labels = dict(node.metadata.labels)
    for names, value in ((TYPE, found.instance_type), (ZONE, found.zone), (REGION, found.region)):
        labels.update(dict.fromkeys(names, value) if value else {})
    for name, value in found.labels.items():
        if not _KUBERNETES.search(name):
            labels.setdefault(name, value)
    after.metadata.labels = labels
    return after


def mended_labels(node: Node) -> dict[str, str]:
    """What the newer of two labels must say, where it does not say what the older one does."""
    labels = node.metadata.labels
    return {new: labels[old] for old, new in (ZONE, REGION, TYPE) if old in labels and labels.get(new) != labels[old]}


def addresses(node: Node, found: InstanceMetadata) -> tuple[NodeAddress, ...]:
    """The addresses that a node is to show: the cloud's, its own host name if the cloud has none; () to leave them.

    Where the kubelet was told the node's address, that comes first and is the only one of its type.
    """
    told = list(found.addresses)
    if told and not any(one.type == "Hostname" for one in told):
        told += [one for one in node.status.addresses if one.type == "Hostname"]
    provided = node.metadata.annotations.get(PROVIDED_IP)
    if provided is None:
        return tuple(told)
    first: list[NodeAddress] = []
    for text in provided.split(","):
        same = [one for one in told if _parsed(one.address) == _parsed(text)]
        if not same:
            text = f"failed to get node address from cloud provider that matches ip: {text.strip()}"
            raise CloudError(f'provided node ip for node "{node.metadata.name}" is not valid: {text}')
        first += same
    types = {one.type for one in first}
    return (*first, *(one for one in told if one.type not in types))


def _parsed(text: str) -> object:
    try:
        return ipaddress.ip_address(text.strip())
    except ValueError:
        return text


class CloudNodes:
    """The controller; a key is a node's name. instances: None for a cloud that knows none; then nobody waits."""

    name = "cloud-node"
    workers = WORKERS

    def __init__(self, context: Context, instances: Instances | None) -> None:
        self.client = context.client
        self.instances = instances
        self.patience = Patience(self.name)
        self.recorder = context.recorder("cloud-node-controller")
        self.nodes = nodes(context.informers)
        self._asked: dict[str, float] = {}  # when the cloud was asked last

    def sources(self) -> Sequence[Source]:
        return (Source(self.nodes, self._keys),)

    def _keys(self, old: Node | None, new: Node | None) -> Iterable[str]:
        if new is None:
            self._asked.pop(old.metadata.name if old is not None else "", None)
            return ()
        calm = old is not None and not waits(new) and old.metadata.labels == new.metadata.labels
        return () if calm else (new.metadata.name,)

    async def reconcile(self, key: str) -> float | None:
        return await self.patience.tried(key, self._reconcile(key))

    async def _reconcile(self, key: str) -> float | None:
        node = self.nodes.get(key)
        if node is None:
            return None
        if waits(node):
            await self._initialise(node)
        elif labels := mended_labels(node):
            await self._patch(node, {"metadata": {"labels": labels}})
        if self.instances is None:
            return None
        left = self._asked.get(key, float("-inf")) + REFRESH - clock.monotonic()
        if not waits(node) and left <= 0:
            found = await self._look(node)
            await self._show(node, found) if found is not None else None
            left = REFRESH
        return max(left, 0.0) or None

    async def _look(self, node: Node) -> InstanceMetadata | None:
        assert self.instances is not None
        self._asked[node.metadata.name] = clock.monotonic()
        return await self.instances.metadata(node)

    async def _initialise(self, node: Node) -> None:
        name = node.metadata.name
        found: InstanceMetadata | None = InstanceMetadata()
        if self.instances is not None:
            try:
                found = await self._look(node)
            except CloudError as error:
                raise CloudError(f"failed to get instance metadata for node {name}: {error}") from error
            if found is not None and not (found.provider_id or node.spec.providerID):
                raise CloudError(f"cloud provider does not set node provider ID for node {name}")
        if found is None:
            return
        node = await self.client.update(initialised(node, found))
        await self._show(node, found)
        self.recorder.event(node, "Normal", "Synced", "Node synced successfully")

    async def _show(self, node: Node, found: InstanceMetadata) -> None:
        told = addresses(node, found)
        if told and told != node.status.addresses:
            change = [{"$patch": "replace"}, *(codec.to_builtins(one) for one in told)]
            await self._patch(node, {"status": {"addresses": change}}, "status")

    async def _patch(self, node: Node, change: dict[str, object], subresource: str = "") -> None:
        meta = change.setdefault("metadata", {})
        assert isinstance(meta, dict)
        meta["uid"] = node.metadata.uid
        await self.client.patch(Node, node.metadata.name, change, type="strategic", subresource=subresource)
