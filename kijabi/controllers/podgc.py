"""Pod garbage collection: removes the pods that nobody else will.

Receives pods and nodes; force-deletes pods that ended beyond a number, that are bound to a node which no longer
exists, that are being deleted without ever having had a node, or that are being deleted on a node taken out of
service (k8s.io/kubernetes `pkg/controller/podgc`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.base import clock
from kijabi.base.errors import NotFound
from kijabi.client.cache import key_of
from kijabi.controllers import pods as podlib
from kijabi.controllers import removal
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import ENDED, NODE, nodes, pods

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
QUARANTINE = 40.0
"""Seconds that a node must have been missing before its pods are removed."""
SURPLUS = ":ended"
"""The key under which ended pods are counted; no pod and no node can have that name."""


def stranded(pod: Pod, node: Node | None) -> bool:
    """It is being deleted and no kubelet will finish that."""
    if pod.metadata.deletionTimestamp is None:
        return False
    if not pod.spec.nodeName:
        return True
    if node is None:
        return False
    ready = any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)
    return not ready and any(taint.key == OUT_OF_SERVICE for taint in node.spec.taints)


def surplus(ended: Iterable[Pod], most: int) -> list[Pod]:
    """The ended pods above a number: evicted ones first, then the oldest. most 0: keep all."""
    if most <= 0:
        return []

    def order(pod: Pod) -> tuple[bool, str, str]:
        evicted = pod.status.phase == "Failed" and pod.status.reason == "Evicted"
        return (not evicted, str(pod.metadata.creationTimestamp), pod.metadata.name)

    ordered = sorted(ended, key=order)
    return ordered[: max(0, len(ordered) - most)]


class PodCollector:
    """The controller. Its keys are pods ("namespace/name"), nodes ("name") and SURPLUS."""

    name = "pod-garbage-collector"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.most = context.config.flags.terminated_pod_gc_threshold
        self.pods = pods(context.informers)
        self.nodes = nodes(context.informers)
        self._missing: dict[str, float] = {}  # since when a node that pods name is not there

    def sources(self) -> Sequence[Source]:
        return (Source(self.nodes, self._keys_of_node), Source(self.pods, self._keys_of_pod))

    def _keys_of_node(self, old: Node | None, new: Node | None) -> Iterable[str]:
        one = new if new is not None else old
        if one is None:
            return
        yield one.metadata.name
        if new is not None and any(taint.key == OUT_OF_SERVICE for taint in new.spec.taints):
            yield from (key_of(pod) for pod in self.pods.index(NODE, one.metadata.name))

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        if new is None:
            return
        if podlib.terminal(new) and (old is None or not podlib.terminal(old)):
            yield SURPLUS
        if new.metadata.deletionTimestamp is not None:
            yield key_of(new)
        if new.spec.nodeName and self.nodes.get(new.spec.nodeName) is None:
            yield new.spec.nodeName

    async def reconcile(self, key: str) -> float | None:
        if key == SURPLUS:
            for pod in surplus(self.pods.index(ENDED, ENDED), self.most):
                await removal.remove(self.client, pod)
            return None
        if "/" not in key:
            return await self._node(key)
        one = self.pods.get(key)
        if one is not None and stranded(one, self.nodes.get(one.spec.nodeName)):
            await removal.remove(self.client, one)
        return None

    async def _node(self, name: str) -> float | None:
        """Remove the pods of a node that has been missing for a while, and is missing on the server too."""
        bound = self.pods.index(NODE, name)
        if self.nodes.get(name) is not None or not bound:
            self._missing.pop(name, None)
            return None
        now = clock.monotonic()
        wait = self._missing.setdefault(name, now) + QUARANTINE - now
        if wait > 0:
            return wait
        try:
            await self.client.get(Node, name)
        except NotFound:
            for pod in tuple(bound):
                await removal.remove(self.client, pod, "DeletionByPodGC", "PodGC: node no longer exists")
            self._missing.pop(name, None)
            return None
        return QUARANTINE  # The cache is behind; its next event may already have come.
