"""Answers `metrics.k8s.io`, and asks kubelets for it: now and then while somebody wants to know, not at all otherwise.

The handlers are called by `server.py`. The first who asks waits for two looks at every node; as long as others keep
asking (an autoscaler does), all nodes are looked at at an interval, and answers are at hand. A kubelet that does not
answer in time has no metrics, and nobody waits for it longer than that.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from kijabi.api import catalog, codec, status
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.meta import ObjectMeta, Time, time_now
from kijabi.api.metrics.podmetrics import ContainerMetrics
from kijabi.apiserver import options, watch
from kijabi.apiserver.attributes import Answer
from kijabi.apiserver.call import Call, Handler, encoded
from kijabi.apiserver.forms import Computed, pick
from kijabi.apiserver.listing import Found, Listing
from kijabi.apiserver.registry import key_in, key_of, namespace_of
from kijabi.apiserver.resourcemetrics import usage
from kijabi.apiserver.resourcemetrics.samples import Sample, parse
from kijabi.apiserver.subresources.backend import error_text, exchange
from kijabi.apiserver.subresources.kubelets import Kubelets
from kijabi.apiserver.watchcache import Cache, Item
from kijabi.base import clock
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.client.transport import Response

log = logging.getLogger(__name__)
T = TypeVar("T", Node, Pod)

INTERVAL = 15.0  # seconds between two looks, as the metrics server has it
FIRST_WINDOW = 2.0  # seconds between the first two
IDLE = 300.0  # seconds without a question after which nobody looks any more
SCRAPE_SECONDS = 5.0  # that one kubelet may take
AT_ONCE = 32  # kubelets asked at the same time
MAX_TEXT = 16 << 20  # bytes of what one says
_PATH = "/metrics/resource"


class ResourceMetrics:
    """`run` it for as long as the server lives."""

    def __init__(self, kubelets: Kubelets, listing: Listing) -> None:
        self._kubelets = kubelets
        self._listing = listing
        self._reader = kubelets.reader
        self._before: dict[str, Sample] = {}
        self._after: dict[str, Sample] = {}
        self._looked = -math.inf  # when the last look began, on the loop's clock
        self._asked = 0.0
        self._wanted = asyncio.Event()
        self._turn = asyncio.Lock()

    def handlers(self) -> dict[tuple[str, str], Handler]:
        """For the resources of the group, in all versions."""
        return {("nodes.metrics.k8s.io", ""): self.nodes, ("pods.metrics.k8s.io", ""): self.pods}

    async def run(self) -> None:
        """Look at all nodes while somebody wants to know. Until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            await asyncio.sleep(max(0.0, self._looked + INTERVAL - loop.time()))
            if loop.time() - self._asked > IDLE:
                self._wanted.clear()
                self._before, self._after, self._looked = {}, {}, -math.inf
                continue
            async with self._turn:
                await self._look()

    # Requests

    async def nodes(self, call: Call) -> Answer:
        """Get or list what nodes use. Raises NotFound."""
        await self._ready()
        if call.info.verb == "get":
            node = self._reader.get(Node, call.info.name)
            return self._one(call, self._node(call, node) if node is not None else None)
        return await self._listed(call, Node, self._node)

    async def pods(self, call: Call) -> Answer:
        """Get or list what pods use. Raises NotFound."""
        await self._ready()
        namespace = namespace_of(call)
        if call.info.verb == "get":
            pod = self._reader.get(Pod, call.info.name, namespace)
            return self._one(call, self._pod(call, pod) if pod is not None else None)
        return await self._listed(call, Pod, self._pod)

    def _one(self, call: Call, item: Item | None) -> Response:
        resource = call.resource
        if item is None:
            raise status.not_found(resource, key_in(call))
        form = pick(resource, Computed(resource), call.media, call.request.param("includeObject"))
        return encoded(call.media, form.object(item, 0))

    def _selected(self, call: Call, cls: type[T]) -> Found:
        """The nodes or pods that are meant: selectors read their labels and fields. Raises BadRequest."""
        wanted, namespace = options.list_options(call.request, call.info), namespace_of(call)
        resource = catalog.by_type(cls)
        selection = watch.Selection(resource, Cache(resource), namespace, wanted.labels, wanted.fields)
        objects = self._reader.items(cls, namespace)
        items = (Item(key_of(each), each.metadata.namespace, each.metadata.name, each, b"", 0) for each in objects)
        return Found(items, selection.matches)

    async def _listed(self, call: Call, cls: type[T], measured: Callable[[Call, T], Item | None]) -> Answer:
        resource = call.resource
        form = pick(resource, Computed(resource), call.media, call.request.param("includeObject"))
        chosen = await self._listing.gather(self._selected(call, cls))
        items = (item for each in chosen if (item := measured(call, each.obj)) is not None)
        return await self._listing.answer(call, form, Found(items), {})

    def _node(self, call: Call, node: Node) -> Item | None:
        name = node.metadata.name
        before, after = self._before.get(name), self._after.get(name)
        used = usage.of_node(before, after) if before is not None and after is not None else None
        if used is None:
            return None
        return _item(call, node, used, lambda obj: setattr(obj, "usage", used.amounts()))

    def _pod(self, call: Call, pod: Pod) -> Item | None:
        own, node = pod.metadata, pod.spec.nodeName
        before, after = self._before.get(node), self._after.get(node)
        if before is None or after is None:
            return None
        found = usage.of_pod(before, after, (own.namespace, own.name))
        if not found:
            return None
        containers = tuple(ContainerMetrics(name=name, usage=found[name].amounts()) for name in sorted(found))
        earliest = min(found.values())
        return _item(call, pod, earliest, lambda obj: setattr(obj, "containers", containers))

    # Looking

    async def _ready(self) -> None:
        """Be asked; wait for two looks where nobody has looked of late."""
        loop = asyncio.get_running_loop()
        self._asked = loop.time()
        async with self._turn:
            if loop.time() - self._looked > 2 * INTERVAL:
                await self._look()
                if self._after:
                    await asyncio.sleep(FIRST_WINDOW)
                    await self._look()
        self._wanted.set()

    async def _look(self) -> None:
        """Ask every kubelet once."""
        loop = asyncio.get_running_loop()
        self._looked = loop.time()
        turns = asyncio.Semaphore(AT_ONCE)
        names = [node.metadata.name for node in self._reader.items(Node) if _serves(node)]
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(self._scrape(name, turns)) for name in names}
        found = {name: sample for name, task in tasks.items() if (sample := task.result()) is not None}
        self._before, self._after = self._after, found

    async def _scrape(self, name: str, turns: asyncio.Semaphore) -> Sample | None:
        """What one kubelet says; None if it says nothing in time."""
        async with turns:
            try:
                address = self._kubelets.node(name)
            except ApiError as error:
                log.info("node not measured", extra={"node": name, "reason": error.message})
                return None
            try:
                async with asyncio.timeout(SCRAPE_SECONDS):
                    found = await exchange(self._kubelets.open, address, "GET", _PATH, ())
                    text = await found.read(MAX_TEXT)
            except (OSError, ConnectionLost, ValueError) as error:  # TimeoutError is an OSError
                log.info("node not measured", extra={"node": name, "reason": error_text(address, error)})
                return None
        return parse(text.decode("utf-8", "replace"), clock.wall()) if found.status == 200 else None


def _serves(node: Node) -> bool:
    """Whether a node's kubelet has a server at all; one that only pretends (`fake`) has none."""
    endpoints = node.status.daemonEndpoints
    return endpoints is not None and endpoints.kubeletEndpoint is not None and endpoints.kubeletEndpoint.Port > 0


def _item(call: Call, about: Node | Pod, used: usage.Usage, fill: Callable[[Any], None]) -> Item:
    """An object of the version that is asked for, about a node or a pod."""
    own, resource = about.metadata, call.resource
    meta = ObjectMeta(name=own.name, namespace=own.namespace, labels=own.labels, creationTimestamp=time_now())
    obj: Any = resource.type()
    obj.metadata, obj.timestamp, obj.window = meta, Time.of(datetime.fromtimestamp(used.time, UTC)), used.span
    fill(obj)
    obj.kind, obj.apiVersion = resource.kind, resource.api_version
    return Item(key_of(about), own.namespace, own.name, obj, codec.encode(obj), 0)
