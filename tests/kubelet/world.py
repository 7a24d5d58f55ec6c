"""A node in a world: the real API server in memory, the real kubelet, the fake runtime, virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from kijabi.api import codec
from kijabi.api.authentication.tokenrequest import TokenRequest, TokenRequestStatus
from kijabi.api.core.container import Container
from kijabi.api.core.event import Event
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.meta import ObjectMeta, Time
from kijabi.apiserver.app import App, Settings, open_to_all
from kijabi.apiserver.attributes import Peer
from kijabi.apiserver.call import Call
from kijabi.apiserver.watch import WatchAnswer
from kijabi.base import clock
from kijabi.base.errors import NotFound
from kijabi.client.client import Client
from kijabi.client.transport import Request, Response, Stream
from kijabi.kubelet import app as kubelet_app
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.loop import Kubelet
from kijabi.store.memory import MemoryStore
from kijabi.testing import simloop
from tests.kubelet.watched import Watched


class _Stream:
    def __init__(self, status: int, headers: dict[str, str], chunks: AsyncIterator[bytes]) -> None:
        self.status, self.headers, self._chunks = status, headers, chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks


async def _one(body: bytes) -> AsyncIterator[bytes]:
    yield body


class Direct:
    """A Transport straight into the server's handler."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.requests: list[tuple[str, str, bytes]] = []

    async def request(self, request: Request) -> Response:
        self.requests.append((request.method, request.path, request.body))
        await asyncio.sleep(0.002)
        answer = await self.app.api.handle(request, Peer())
        assert isinstance(answer, Response)
        return answer

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        answer = await self.app.api.handle(request, Peer())
        if isinstance(answer, WatchAnswer):
            chunks = answer.chunks()
            try:
                yield _Stream(answer.status, answer.headers, chunks)
            finally:
                await chunks.aclose()
        else:
            assert isinstance(answer, Response)
            yield _Stream(answer.status, answer.headers, _one(answer.body))

    async def close(self) -> None:
        return


async def _token(call: Call) -> Response:
    asked = call.body(TokenRequest)
    expires = Time.of(clock.now())
    asked.status = TokenRequestStatus(token="a-token", expirationTimestamp=expires)
    asked.apiVersion, asked.kind = "authentication.k8s.io/v1", "TokenRequest"
    return call.respond(asked, 201)


class World:
    """One node `n1`. Tests create pods bound to it and look at what becomes of them."""

    def __init__(self, app: App, transport: Direct, runtime: Watched) -> None:
        self.app, self.transport, self.runtime = app, transport, runtime
        self.client = Client(transport)
        self.config = KubeletConfig(node="n1", address="192.168.0.1", root="/none", fake=True, runtime_name="fake")
        self.kubelet: Kubelet
        self._task: asyncio.Task[None]
        self.group: asyncio.TaskGroup

    async def start_kubelet(self) -> None:
        self.kubelet = kubelet_app.make(self.config, self.client, self.runtime)
        self._task = self.group.create_task(self.kubelet.run())
        await self.kubelet.wait_registered()

    async def stop_kubelet(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def create(self, *containers: Container, name: str = "web", **spec: Any) -> Pod:
        given = containers or (Container(name="c", image="app:1"),)
        pod = Pod(
            metadata=ObjectMeta(name=name, namespace="default", **spec.pop("meta", {})),
            spec=PodSpec(nodeName="n1", containers=given, automountServiceAccountToken=False, **spec),
        )
        return await self.client.create(pod)

    async def pod(self, name: str = "web") -> Pod:
        return await self.client.get(Pod, name, "default")

    async def until(self, check: Callable[[Pod], Any], name: str = "web", within: float = 60.0) -> Pod:
        """Wait for the pod to be so; fails with what it is."""
        end = clock.monotonic() + within
        while True:
            pod = await self.pod(name)
            if check(pod):
                return pod
            assert clock.monotonic() < end, codec.encode(pod).decode()
            await asyncio.sleep(0.05)

    async def until_gone(self, name: str = "web", within: float = 60.0) -> None:
        end = clock.monotonic() + within
        while True:
            try:
                pod = await self.pod(name)
            except NotFound:
                return
            assert clock.monotonic() < end, codec.encode(pod).decode()
            await asyncio.sleep(0.05)

    async def events(self, name: str = "web") -> list[tuple[str, str]]:
        found = (await self.client.list(Event, "default")).items
        mine = [e for e in found if e.involvedObject.name == name]
        return [(e.reason, e.message) for e in sorted(mine, key=lambda e: int(e.metadata.resourceVersion))]


@asynccontextmanager
async def inhabited(*, start: bool = True) -> AsyncIterator[World]:
    """A world with a server and, unless told otherwise, a kubelet."""
    app = App(MemoryStore(), Settings())
    await app.load()
    async with asyncio.TaskGroup() as group:
        server = group.create_task(app.run())
        security = open_to_all(app.caches)
        handlers = {**security.handlers, ("serviceaccounts", "token"): _token}
        await app.start(security._replace(handlers=handlers))
        world = World(app, Direct(app), Watched())
        world.group = group
        for name in ("default", "kube-node-lease"):
            try:
                await world.client.get(Namespace, name)
            except NotFound:
                await world.client.create(Namespace(metadata=ObjectMeta(name=name)))
        account = ServiceAccount(metadata=ObjectMeta(name="default", namespace="default"))
        await world.client.create(account)
        if start:
            await world.start_kubelet()
        yield world
        if hasattr(world, "_task"):
            await world.stop_kubelet()
        server.cancel()


def play(
    scene: Callable[[World], Awaitable[None]], *, start: bool = True, seed: int = 1, slowness: float = 0.0
) -> None:
    """Run a scene in a fresh world, on virtual time. slowness: seconds that pass at each look at the clock."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, simloop.SimLoop)
        loop.slowness = slowness
        async with inhabited(start=start) as world:
            await scene(world)

    simloop.run(main(), seed)


def running(pod: Pod) -> bool:
    return pod.status.phase == "Running" and all(c.ready for c in pod.status.containerStatuses)
