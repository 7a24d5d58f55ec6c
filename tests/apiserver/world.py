"""A whole API server in memory, and a client of three lines: what the tests of this folder talk to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from kijabi.apiserver.app import App, Settings, open_to_all
from kijabi.apiserver.attributes import Peer, StreamAnswer
from kijabi.apiserver.watch import WatchAnswer
from kijabi.client.transport import Request, Response
from kijabi.store.interface import Store
from kijabi.store.memory import MemoryStore

JSON = {"accept": "application/json"}
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
PARTIAL = {"accept": "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"}
MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
JSON_PATCH = {"content-type": "application/json-patch+json"}


class Answer:
    """A whole answer with its body decoded."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = response.headers
        self.raw = response.body

    @property
    def body(self) -> Any:
        return msgspec.json.decode(self.raw)

    @property
    def message(self) -> str:
        return str(self.body.get("message", ""))

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))

    @property
    def version(self) -> str:
        return str(self.body["metadata"]["resourceVersion"])

    def __repr__(self) -> str:
        return f"{self.status} {self.raw[:500]!r}"


class World:
    """The server and ways to ask it."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def ask(self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The raw answer of the server."""
        path, _, query = url.partition("?")
        data = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        request = Request(method=method, path=path, query=pairs, headers=dict(headers or {}), body=data)
        return await self.app.api.handle(request, Peer())

    async def call(self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """A whole answer; a large list is read to its end."""
        answer = await self.ask(method, url, body, headers)
        if isinstance(answer, StreamAnswer):
            data = b"".join([chunk async for chunk in answer.chunks])
            answer = Response(status=answer.status, headers=answer.headers, body=data)
        assert isinstance(answer, Response), answer
        return Answer(answer)

    async def get(self, url: str, headers: dict[str, str] | None = None) -> Answer:
        return await self.call("GET", url, None, headers)

    async def post(self, url: str, body: Any, headers: dict[str, str] | None = None) -> Answer:
        return await self.call("POST", url, body, headers)

    async def put(self, url: str, body: Any, headers: dict[str, str] | None = None) -> Answer:
        return await self.call("PUT", url, body, headers)

    async def patch(self, url: str, body: Any, headers: dict[str, str] = MERGE) -> Answer:
        return await self.call("PATCH", url, body, headers)

    async def delete(self, url: str, body: Any = None) -> Answer:
        return await self.call("DELETE", url, body)

    async def watch(self, url: str, headers: dict[str, str] | None = None) -> Watching:
        """A watch that has begun."""
        answer = await self.ask("GET", url, None, headers)
        assert isinstance(answer, WatchAnswer), answer
        return Watching(self, answer)


class Watching:
    """A watch and the events that it has given."""

    def __init__(self, world: World, answer: WatchAnswer) -> None:
        self.world = world
        self.answer = answer

    async def events(self) -> list[dict[str, Any]]:
        """What has come so far, everything written before this call included."""
        await self.world.app.caches.fresh()
        data = b""
        while self.answer.watcher.more:
            data += self.answer.watcher.take()
        return [msgspec.json.decode(line) for line in data.splitlines()]

    async def names(self) -> list[tuple[str, str]]:
        """(type, name) of what has come."""
        return [(each["type"], each["object"]["metadata"].get("name", "")) for each in await self.events()]


@asynccontextmanager
async def running(store: Store | None = None, settings: Settings | None = None) -> AsyncIterator[World]:
    """A server that is up, with everybody allowed everything."""
    app = App(store or MemoryStore(), settings or Settings())
    await app.load()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(app.run())
        await app.start(open_to_all(app.caches))
        yield World(app)
        task.cancel()


def configmap(name: str = "a", **more: Any) -> dict[str, Any]:
    """A ConfigMap to create."""
    return {"metadata": {"name": name, **more.pop("metadata", {})}, "data": {"k": "v"}, **more}


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    """A Pod to create."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "busybox"}], **spec},
    }


def deployment(name: str = "web", replicas: int = 1) -> dict[str, Any]:
    """A Deployment to create."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "c", "image": "busybox"}]},
            },
        },
    }
