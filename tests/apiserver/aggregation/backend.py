"""An aggregated API server that the tests script: what it answers, and how it misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from kijabi.apiserver.app import App, Settings, open_to_all
from kijabi.apiserver.subresources.backend import Address
from kijabi.store.memory import MemoryStore
from tests.apiserver.world import World

GROUP = "wardle.example.com"
ROOT = f"/apis/{GROUP}/v1"
V2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
FLUNDER = {
    "resource": "flunders", "scope": "Namespaced", "singularResource": "flunder", "verbs": ["get", "list", "watch"],
    "responseKind": {"group": "", "version": "", "kind": "Flunder"},
}  # fmt: skip
DISCOVERY = {
    "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {},
    "items": [{"metadata": {"name": GROUP}, "versions": [{"version": "v1", "resources": [FLUNDER]}]}],
}  # fmt: skip
SWAGGER = {
    "swagger": "2.0",
    "paths": {
        f"{ROOT}/flunders": {"get": {"responses": {"200": {"schema": {"$ref": "#/definitions/com.Flunder"}}}}},
        "/api/v1/pods": {"get": {}},
    },
    "definitions": {"com.Flunder": {"type": "object"}, "com.Unused": {"type": "object"}},
}


class Backend:
    """answers: path → JSON value, (status, body) or bytes. seen: the requests that came, as head lines."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "/apis": DISCOVERY,
            ROOT: {"kind": "APIResourceList", "groupVersion": f"{GROUP}/v1", "resources": []},
            "/openapi/v2": SWAGGER,
            "/openapi/v3": {"paths": {ROOT[1:]: {"serverRelativeURL": f"/openapi/v3{ROOT}?hash=1"}}},
            f"/openapi/v3{ROOT}": {"openapi": "3.0.0", "paths": {}},
            f"{ROOT}/flunders": {"kind": "FlunderList"},
        }
        self.seen: list[list[str]] = []
        self.hang: set[str] = set()
        self.writers: list[asyncio.StreamWriter] = []
        self.down = False

    async def open(self, address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A Dial that leads here, whatever the address."""
        if self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            self.seen.append(head)
            path, _, query = head[0].split(" ")[1].partition("?")
            if path in self.hang:
                await asyncio.Event().wait()
            if any(line.lower() == "upgrade: echo" for line in head):
                writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
                while data := await reader.read(100):
                    writer.write(data.upper())
                return
            await self._answer(writer, path, query)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, path: str, query: str) -> None:
        if "watch=" in query:
            event = b'{"type":"ADDED"}\n'
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
            writer.write(head + b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            await asyncio.Event().wait()
        value = self.answers.get(path, (404, b"404 page not found\n"))
        status, body = value if isinstance(value, tuple) else (200, value)
        body = body if isinstance(body, bytes) else msgspec.json.encode(body)
        kind = V2 if value is DISCOVERY else "application/json"
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        if 300 <= status < 400:
            head += "Location: http://169.254.169.254/\r\n"
        writer.write(f"{head}\r\n".encode() + body)
        await writer.drain()

    def requests(self, path: str) -> list[list[str]]:
        return [head for head in self.seen if head[0].split(" ")[1].partition("?")[0] == path]


@asynccontextmanager
async def aggregating() -> AsyncIterator[tuple[World, Backend]]:
    """An API server and a backend that its Service `apis/sample` leads to."""
    backend = Backend()
    app = App(MemoryStore(), Settings())
    await app.load()
    server = await asyncio.start_server(backend.serve, "127.0.0.1", 0)
    backend.port = server.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(app.run())
        await app.start(open_to_all(app.caches, backend.open))
        world = World(app)
        await world.post("/api/v1/namespaces", {"metadata": {"name": "apis"}})
        yield world, backend
        server.close()
        for writer in backend.writers:
            writer.transport.abort()
        task.cancel()


async def install_service(world: World, ready: bool = True) -> None:
    service = {"metadata": {"name": "sample"}, "spec": {"ports": [{"port": 443}]}}
    answer = await world.post("/api/v1/namespaces/apis/services", service)
    assert answer.status == 201, answer
    piece = {
        "metadata": {"name": "sample-1", "labels": {"kubernetes.io/service-name": "sample"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": ready}}],
        "ports": [{"name": "", "port": 6443}],
    }
    answer = await world.post("/apis/discovery.k8s.io/v1/namespaces/apis/endpointslices", piece)
    assert answer.status == 201, answer


def api_service(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": f"v1.{GROUP}"},
        "spec": {
            "group": GROUP, "version": "v1", "insecureSkipTLSVerify": True, "groupPriorityMinimum": 2000,
            "versionPriority": 200, "service": {"namespace": "apis", "name": "sample"}, **spec,
        },
    }  # fmt: skip


async def register(world: World, **spec: Any) -> None:
    answer = await world.post("/apis/apiregistration.k8s.io/v1/apiservices", api_service(**spec))
    assert answer.status == 201, answer


async def condition(world: World) -> dict[str, Any]:
    """The condition Available, once there is one."""
    found = (await world.get(f"/apis/apiregistration.k8s.io/v1/apiservices/v1.{GROUP}")).body
    return {each["type"]: each for each in found.get("status", {}).get("conditions", [])}.get("Available", {})


async def eventually(probe: Callable[[], Awaitable[Any]]) -> Any:
    """What a probe gives, once it gives something."""
    async with asyncio.timeout(10):
        while not (found := await probe()):  # noqa: ASYNC110  what is waited for is seen from outside only
            await asyncio.sleep(0.01)
    return found


async def until(world: World, reason: str) -> dict[str, Any]:
    """The condition, when it has this reason."""

    async def probe() -> Any:
        found = await condition(world)
        return found if found.get("reason") == reason else None

    return await eventually(probe)


async def discovered(world: World) -> dict[str, Any] | None:
    """The version as aggregated discovery has it."""
    groups = (await world.get("/apis", {"accept": V2})).body["items"]
    found = [group for group in groups if group["metadata"]["name"] == GROUP]
    return found[0]["versions"][0] if found else None


async def settled(world: World, freshness: str) -> dict[str, Any]:
    """The version in aggregated discovery, when it is this fresh."""

    async def probe() -> Any:
        found = await discovered(world)
        return found if found is not None and found["freshness"] == freshness else None

    return await eventually(probe)
