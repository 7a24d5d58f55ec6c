"""Typed calls: paths, bodies, errors and watches, against the fake server in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import msgspec
import pytest

from kijabi.api import catalog
from kijabi.api.apps.deployment import Deployment
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.meta import ObjectMeta
from kijabi.base.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    ConnectionLost,
    Expired,
    InternalError,
    NotFound,
    ServiceUnavailable,
)
from kijabi.client import frames
from kijabi.client.client import Client, resource_path
from kijabi.client.transport import Request, Response, Stream
from kijabi.testing import simloop

from .fakeserver import FakeServer


def config(name: str, namespace: str = "default", **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace), data=data)


def test_paths() -> None:
    pods, deployments, nodes = map(catalog.by_type, (Pod, Deployment, Node))
    assert resource_path(pods) == "/api/v1/pods"
    assert resource_path(pods, "a", "web", "log") == "/api/v1/namespaces/a/pods/web/log"
    assert resource_path(deployments, "a") == "/apis/apps/v1/namespaces/a/deployments"
    assert resource_path(nodes, "ignored", "n1", "status") == "/api/v1/nodes/n1/status"


def test_the_life_of_an_object() -> None:
    async def main() -> None:
        client = Client(FakeServer())
        made = await client.create(config("a", x="1"))
        assert (made.kind, made.apiVersion, made.metadata.resourceVersion) == ("ConfigMap", "v1", "2")
        with pytest.raises(AlreadyExists, match='configmaps "a" already exists'):
            await client.create(config("a"))
        made.data = {"x": "2"}
        changed = await client.update(made)
        assert changed.metadata.resourceVersion == "3"
        with pytest.raises(Conflict, match="the object has been modified"):
            await client.update(made)
        patched = await client.patch(ConfigMap, "a", {"data": {"y": "3"}}, namespace="default")
        assert patched.data == {"x": "2", "y": "3"}
        assert (await client.get(ConfigMap, "a", "default")).data == {"x": "2", "y": "3"}
        await client.delete(ConfigMap, "a", "default", grace=0, uid="u")
        with pytest.raises(NotFound) as caught:
            await client.get(ConfigMap, "a", "default")
        assert caught.value.details == {"name": "a", "kind": "configmaps"}

    simloop.run(main())


def test_lists_and_their_pages() -> None:
    async def main() -> None:
        client = Client(FakeServer())
        for number in range(5):
            await client.create(config(f"c{number}", "a" if number % 2 else "b"))
        assert (await client.list(Pod)).items == ()
        everything = await client.list(ConfigMap)
        assert [item.metadata.name for item in everything.items] == ["c1", "c3", "c0", "c2", "c4"]
        assert everything.items[0].kind == "ConfigMap"
        assert everything.resourceVersion == "6"
        page = await client.list(ConfigMap, limit=2)
        assert (len(page.items), page.remaining) == (2, 3)
        rest = await client.list(ConfigMap, limit=10, cont=page.cont)
        assert page.items + rest.items == everything.items
        assert len((await client.list(ConfigMap, "a")).items) == 2
        assert len((await client.list(ConfigMap, fields="metadata.name=c3")).items) == 1

    simloop.run(main())


def test_a_watch() -> None:
    async def main() -> None:
        server = FakeServer()
        client = Client(server)
        await client.create(config("a"))
        seen = []
        watch = client.watch(ConfigMap, "default", resource_version="", initial_events=True)
        async with aclosing(watch):  # type: ignore[type-var]
            async for event in watch:
                seen.append((event.type, event.object.metadata.name, event.ends_initial))
                if event.ends_initial:
                    await client.create(config("b"))
                    await client.create(config("elsewhere", "other"))
                    await client.delete(ConfigMap, "a", "default")
                if event.type == "DELETED":
                    break
        assert seen == [
            ("ADDED", "a", False),
            ("BOOKMARK", "", True),
            ("ADDED", "b", False),
            ("DELETED", "a", False),
        ]
        assert server.watches == 0

    simloop.run(main())


def test_a_watch_from_too_long_ago_is_expired() -> None:
    async def main() -> None:
        server = FakeServer()
        client = Client(server)
        for number in range(5):
            await client.create(config(f"c{number}"))
        await server.store.compact(5)
        with pytest.raises(Expired, match="too old resource version: 2"):
            await anext(client.watch(ConfigMap, resource_version="2"))

    simloop.run(main())


class Canned:
    """A transport that always answers the same."""

    def __init__(self, status: int = 200, body: bytes = b"", chunks: list[bytes] | None = None) -> None:
        self.status = status
        self.body = body
        self.chunks = chunks or []
        self.headers: dict[str, str] = {}
        self.last: Request | None = None

    async def request(self, request: Request) -> Response:
        self.last = request
        if self.status == 0:
            await asyncio.sleep(10_000)
        return Response(status=self.status, body=self.body)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        self.last = request
        yield self

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
        if not self.chunks:
            await asyncio.sleep(10_000)

    async def close(self) -> None:
        pass


def test_answers_that_are_no_status() -> None:
    async def main() -> None:
        with pytest.raises(ServiceUnavailable):
            await Client(Canned(503, b"try later")).get(Pod, "a")
        with pytest.raises(InternalError):
            await Client(Canned(500, b"\xff<html>")).get(Pod, "a")
        with pytest.raises(ApiError) as caught:
            await Client(Canned(418, b'{"kind":"Teapot"}')).get(Pod, "a")
        assert caught.value.code == 418
        with pytest.raises(ConnectionLost, match="makes no sense"):
            await Client(Canned(200, b"<html>")).list(Pod)

    simloop.run(main())


def test_silence_is_a_lost_connection() -> None:
    async def main() -> None:
        with pytest.raises(ConnectionLost, match="no answer to GET /api/v1/pods/a in 60 s"):
            await Client(Canned(0)).get(Pod, "a")
        with pytest.raises(ConnectionLost, match="nothing came for 180 s"):
            await anext(Client(Canned()).watch(Pod, resource_version="1"))

    simloop.run(main())


def test_what_is_sent() -> None:
    async def main() -> None:
        transport = Canned(200, b"{}")
        client = Client(transport, user_agent="test/1")
        await client.delete(Pod, "a", "b", grace=0, propagation="Foreground", uid="u", resource_version="7")
        assert transport.last is not None
        assert transport.last.headers["user-agent"] == "test/1"
        assert transport.last.headers["content-type"] == "application/json"
        assert msgspec.json.decode(transport.last.body) == {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "gracePeriodSeconds": 0,
            "propagationPolicy": "Foreground",
            "preconditions": {"uid": "u", "resourceVersion": "7"},
        }
        await client.patch(Pod, "a", [{"op": "remove", "path": "/x"}], type="json", subresource="status")
        assert transport.last.path == "/api/v1/pods/a/status"
        assert transport.last.headers["content-type"] == "application/json-patch+json"
        await client.delete_collection(Pod, "b", labels="a=b")
        assert (transport.last.query, transport.last.body) == ((("labelSelector", "a=b"),), b"")
        pods = catalog.by_type(Pod)
        await client.subresource("POST", pods, "a", "b", "binding", b"{}", query={"dryRun": "All"})
        assert transport.last.path == "/api/v1/namespaces/b/pods/a/binding"
        assert transport.last.param("dryRun") == "All"

    simloop.run(main())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_survive_any_chunking(size: int) -> None:
    text = b'{"a":1}\n\n{"bb":22}\n{"ccc":333}\n{"cut'
    chunks = [text[at : at + size] for at in range(0, len(text), size)]

    async def main() -> list[bytes]:
        return [line async for line in frames.lines(Canned(chunks=chunks))]

    assert simloop.run(main()) == [b'{"a":1}', b"", b'{"bb":22}', b'{"ccc":333}']


def test_a_line_without_end_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(ConnectionLost, match="longer than 100 bytes"):
            async for _ in frames.lines(Canned(chunks=[b"x" * 60] * 3), limit=100):
                pass

    simloop.run(main())
