"""Nodes that are not ready because their machine is gone are deleted; those whose machine is switched off are tainted.

Receives nodes; asks the provider's `Instances` about those that are not ready, again and again, for a cloud announces
nothing; deletes Nodes and writes the shutdown taint. `plan` decides (k8s.io/cloud-provider
`controllers/nodelifecycle`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum

from kijabi.api import codec
from kijabi.api.core.cloud import SHUTDOWN
from kijabi.api.core.node import Node, Taint
from kijabi.api.meta import Time
from kijabi.base import clock
from kijabi.base.errors import ApiError, Conflict, NotFound
from kijabi.controllers.cloud.interface import Instances
from kijabi.controllers.cloud.patience import Patience
from kijabi.controllers.nodehealth import ready_status
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import nodes

# Seconds between two questions about a node that is not ready.
AGAIN = 5.0


class Todo(Enum):
    """What is to be done with a node."""

    NOTHING = "nothing"
    DELETE = "delete"
    TAINT = "taint"
    UNTAINT = "untaint"


def plan(node: Node, *, exists: bool, off: bool) -> Todo:
    """By what the cloud says of its machine, which matters only while the node is not ready."""
    tainted = any(taint.key == SHUTDOWN for taint in node.spec.taints)
    if ready_status(node) == "True":
        return Todo.UNTAINT if tainted else Todo.NOTHING
    if not exists:
        return Todo.DELETE
    return Todo.TAINT if off and not tainted else Todo.NOTHING


class CloudNodeLifecycle:
    """The controller; a key is a node's name."""

    name = "cloud-node-lifecycle"
    workers = WORKERS

    def __init__(self, context: Context, instances: Instances) -> None:
        self.client = context.client
        self.instances = instances
        self.patience = Patience(self.name)
        self.recorder = context.recorder("cloud-node-lifecycle-controller")
        self.nodes = nodes(context.informers)

    def sources(self) -> Sequence[Source]:
        return (Source(self.nodes, self._keys),)

    def _keys(self, old: Node | None, new: Node | None) -> Iterable[str]:
        if new is None or (old is not None and _matters(old) == _matters(new)):
            return ()
        return (new.metadata.name,)

    async def reconcile(self, key: str) -> float | None:
        return await self.patience.tried(key, self._reconcile(key))

    async def _reconcile(self, key: str) -> float | None:
        node = self.nodes.get(key)
        if node is None:
            return None
        ready = ready_status(node) == "True"
        exists = ready or await self.instances.exists(node)
        off = not ready and exists and await self.instances.is_shut_down(node)
        match plan(node, exists=exists, off=off):
            case Todo.DELETE:
                await self._delete(node)
                return None
            case Todo.TAINT:
                taint = Taint(key=SHUTDOWN, effect="NoSchedule", timeAdded=Time.of(clock.now()))
                await self._taints(node, (*node.spec.taints, taint))
            case Todo.UNTAINT:
                await self._taints(node, tuple(taint for taint in node.spec.taints if taint.key != SHUTDOWN))
        return None if ready else AGAIN

    async def _delete(self, node: Node) -> None:
        name = node.metadata.name
        text = f"Deleting node {name} because it does not exist in the cloud provider"
        self.recorder.event(node, "Normal", "DeletingNode", text)
        try:
            await self.client.delete(Node, name, uid=node.metadata.uid)
        except (NotFound, Conflict):  # Gone, or another of its name.
            return
        except ApiError as error:
            self.recorder.event(node, "Warning", "DeletingNodeFailed", f"Failed deleting node {name}: {error}")
            raise

    async def _taints(self, node: Node, taints: tuple[Taint, ...]) -> None:
        meta = {"uid": node.metadata.uid, "resourceVersion": node.metadata.resourceVersion}
        change = {"metadata": meta, "spec": {"taints": [codec.to_builtins(taint) for taint in taints]}}
        await self.client.patch(Node, node.metadata.name, change)


def _matters(node: Node) -> tuple[object, ...]:
    return (node.metadata.uid, ready_status(node), tuple(taint.key for taint in node.spec.taints))
