"""The server on a real socket: what aiohttp parses, what goes out, and what happens when the other side goes away."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import uvloop

from kijabi.apiserver import pki
from kijabi.apiserver.attributes import Duplex, UpgradeAnswer
from kijabi.apiserver.call import Call
from kijabi.apiserver.connection import MAX_BODY
from kijabi.apiserver.http import Http
from tests.apiserver.world import World, configmap, running

CMS = "/api/v1/namespaces/default/configmaps"


class Site:
    """A listening server and a client session."""

    def __init__(self, world: World, http: Http, session: aiohttp.ClientSession) -> None:
        self.world = world
        self.http = http
        self.session = session


@asynccontextmanager
async def listening() -> AsyncIterator[Site]:
    async with running() as world, asyncio.TaskGroup() as tasks:
        http = Http(world.app.api)
        task = tasks.create_task(http.run("127.0.0.1", 0, None))
        await http.ready.wait()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{http.port}", auto_decompress=False) as session:
            yield Site(world, http, session)
        task.cancel()


async def next_event(answer: aiohttp.ClientResponse) -> Any:
    async with asyncio.timeout(5):
        return msgspec.json.decode(await answer.content.readline())


async def test_requests_and_answers() -> None:
    async with listening() as site:
        made = await site.session.post(CMS, json=configmap())
        assert made.status == 201
        assert made.headers["Content-Type"] == "application/json"
        assert made.headers["Cache-Control"] == "no-cache, private"
        assert made.headers["Audit-Id"]
        assert made.headers["X-Kubernetes-PF-FlowSchema-UID"]
        got = await site.session.get(f"{CMS}/a", headers={"Audit-Id": "mine", "User-Agent": "curl/8"})
        assert got.headers["Audit-Id"] == "mine"
        assert (await got.read()).startswith(b'{\n  "kind": "ConfigMap"')
        head = await site.session.head("/livez")
        assert (head.status, await head.read()) == (200, b"")
        encoded = await site.session.get("/api/v1/namespaces/default/%63onfigmaps/a/")
        assert encoded.status == 200
        odd = await site.session.request("OPTIONS", CMS)
        assert odd.status == 405


async def test_large_answers_are_compressed_and_large_bodies_refused() -> None:
    async with listening() as site:
        big = configmap(data={"k": "x" * 200_000})
        assert (await site.session.post(CMS, json=big)).status == 201
        plain = await site.session.get(f"{CMS}/a", headers={"Accept-Encoding": "identity"})
        packed = await site.session.get(f"{CMS}/a", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(await packed.read()) == await plain.read()
        patience = aiohttp.ClientTimeout(5)
        asked_first = await site.session.post(CMS, json=configmap("b"), expect100=True, timeout=patience)
        assert asked_first.status == 201
        refused = await site.session.post(CMS, data=b"x" * (MAX_BODY + 1))
        assert refused.status == 413
        status = await refused.json()
        assert status["reason"] == "RequestEntityTooLarge"
        assert status["message"] == "Request entity too large: limit is 3145728"


async def test_a_watch_streams_and_ends() -> None:
    async with listening() as site, site.session.get(f"{CMS}?watch=1&timeoutSeconds=1") as answer:
        assert answer.status == 200
        assert answer.headers["Transfer-Encoding"] == "chunked"
        for number in range(3):
            await site.session.post(CMS, json=configmap(f"c{number}"))
            event = await next_event(answer)
            assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", f"c{number}")
        async with asyncio.timeout(5):
            assert await answer.content.read() == b""


async def test_a_client_that_goes_away_is_forgotten() -> None:
    async with listening() as site:
        answer = await site.session.get(f"{CMS}?watch=1")
        cache = site.world.app.caches.by_prefix["/registry/core/configmaps/"]
        assert len(cache.watchers) == 1
        answer.close()
        async with asyncio.timeout(5):
            while cache.watchers:  # noqa: ASYNC110 -- what the server does by itself, seen from outside
                await asyncio.sleep(0.01)
        assert not site.http.connections


async def test_a_slow_client_waits_then_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kijabi.apiserver.watch.MAX_PENDING_BYTES", 4 * 1024 * 1024)
    async with listening() as site:
        reader, writer = await asyncio.open_connection("127.0.0.1", site.http.port, limit=1024)
        writer.write(f"GET {CMS}?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        cache = site.world.app.caches.by_prefix["/registry/core/configmaps/"]
        data = {"k": "x" * 500_000}
        for number in range(60):
            if not cache.watchers:
                break
            await site.world.post(CMS, configmap(f"c{number}", data=data))
            await asyncio.sleep(0)
        assert not cache.watchers
        writer.close()


async def test_a_large_state_comes_whole_to_a_client_that_reads() -> None:
    async with listening() as site:
        for number in range(40):
            await site.world.post(CMS, configmap(f"c{number:02}", data={"k": "x" * 100_000}))
        session = aiohttp.ClientSession(f"http://127.0.0.1:{site.http.port}", read_bufsize=2**20)
        async with session, session.get(f"{CMS}?watch=1") as answer:
            names = [(await next_event(answer))["object"]["metadata"]["name"] for _ in range(40)]
        assert names == [f"c{number:02}" for number in range(40)]


UPGRADE = (
    b"POST /api/v1/namespaces/default/pods/p/exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
)


async def echo(wire: Duplex) -> None:
    """Say it louder, until a full stop."""
    while data := await wire.read():
        await wire.write(data.upper())
        if data.endswith(b"."):
            return


async def test_an_upgraded_connection_belongs_to_its_handler() -> None:
    async def handler(call: Call) -> UpgradeAnswer:
        return UpgradeAnswer(serve=echo, headers={"Connection": "Upgrade", "Upgrade": "echo"})

    async with listening() as site:
        site.world.app.api.handlers["pods", "exec"] = handler
        reader, writer = await asyncio.open_connection("127.0.0.1", site.http.port)
        writer.write(UPGRADE)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n")
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"HELLO"
        writer.write(b"bye.")
        async with asyncio.timeout(5):
            assert await reader.read() == b"BYE."
        writer.close()


def test_tls_on_uvloop_carries_certificates_watches_and_upgrades(tmp_path: Path) -> None:
    keys = pki.Pki(tmp_path)
    serving = pki.server_context(keys.apiserver("10.96.0.1"), keys.ca.pair.cert)
    client = pki.client_context(keys.ca.pair.cert, keys.client("admin", pki.ADMIN))

    async def scenario() -> None:
        async with running() as world, asyncio.TaskGroup() as tasks:
            seen: list[bytes | None] = []

            async def handler(call: Call) -> UpgradeAnswer:
                seen.append(call.peer.cert_der)
                return UpgradeAnswer(serve=echo, headers={"Connection": "Upgrade", "Upgrade": "echo"})

            world.app.api.handlers["pods", "exec"] = handler
            http = Http(world.app.api)
            task = tasks.create_task(http.run("127.0.0.1", 0, serving))
            await http.ready.wait()
            site = f"https://127.0.0.1:{http.port}"
            session = aiohttp.ClientSession(site, connector=aiohttp.TCPConnector(ssl=client))
            async with session, session.get(f"{CMS}?watch=1") as answer:
                await session.post(CMS, json=configmap())
                assert (await next_event(answer))["type"] == "ADDED"
            reader, writer = await asyncio.open_connection("127.0.0.1", http.port, ssl=client)
            writer.write(UPGRADE)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            writer.write(b"x" * 300_000 + b".")
            assert await reader.readexactly(300_001) == b"X" * 300_000 + b"."
            assert await reader.read() == b""
            writer.close()
            assert seen[0]
            task.cancel()

    uvloop.run(scenario())


async def test_a_watch_over_a_websocket_sends_an_event_a_frame() -> None:
    async with listening() as site:
        await site.world.post(CMS, configmap("a"))
        await site.world.post(CMS, configmap("b"))
        async with site.session.ws_connect(f"{CMS}?watch=1") as socket, asyncio.timeout(5):
            names = [(await socket.receive_json())["object"]["metadata"]["name"] for _ in range(2)]
        assert names == ["a", "b"]


async def test_malformed_requests_get_an_answer() -> None:
    async with listening() as site:
        for raw in (b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.http.port)
            writer.write(raw + b"\r\n\r\n")
            async with asyncio.timeout(5):
                assert (await reader.read(20)).startswith(b"HTTP/1.") or reader.at_eof()
            writer.close()
        assert (await site.session.get("/healthz")).status == 200
