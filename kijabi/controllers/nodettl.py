"""TTL: tells kubelets, by an annotation of their nodes, for how long they may believe Secrets and ConfigMaps that they
have read; the more nodes there are, the longer.

Receives nodes; writes the annotation. `step` is pure (k8s.io/kubernetes `pkg/controller/ttl`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kijabi.api.core.node import Node
from kijabi.base.errors import NotFound
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import nodes

ANNOTATION = "node.alpha.kubernetes.io/ttl"


class Size(NamedTuple):
    """From how many nodes to how many an answer holds. Neighbours overlap, so that it does not flutter."""

    least: int
    most: float
    seconds: int


SIZES = (
    Size(0, 100, 0), Size(90, 500, 15), Size(450, 1000, 30), Size(900, 2000, 60), Size(1800, float("inf"), 300),
)  # fmt: skip


def step(before: int, count: int) -> int:
    """The index in SIZES for so many nodes, if it was another before: the nearest that holds."""
    while count > SIZES[before].most:
        before += 1
    while count < SIZES[before].least:
        before -= 1
    return before


class NodeTtl:
    """The controller; a key is a node's."""

    name = "ttl"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.nodes = nodes(context.informers)
        self._count = 0
        self._step = 0

    def sources(self) -> Sequence[Source]:
        return (Source(self.nodes, self._keys),)

    def _keys(self, old: Node | None, new: Node | None) -> Iterable[str]:
        """The node; all of them when the cluster outgrows its answer."""
        self._count += (new is not None) - (old is not None)
        after = step(self._step, self._count)
        if after != self._step:
            self._step = after
            return [node.metadata.name for node in self.nodes.items()]
        return (new.metadata.name,) if new is not None else ()

    async def reconcile(self, key: str) -> float | None:
        node = self.nodes.get(key)
        wanted = str(SIZES[self._step].seconds)
        if node is None or node.metadata.annotations.get(ANNOTATION) == wanted:
            return None
        try:
            await self.client.patch(Node, key, {"metadata": {"annotations": {ANNOTATION: wanted}}})
        except NotFound:
            return None
        return None
