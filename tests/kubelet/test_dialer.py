"""Reaching pods for real: a small server on this machine answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest
from aiohttp import web

from kijabi.api.core.container import ContainerPort
from kijabi.api.core.probe import HTTPGetAction
from kijabi.kubelet import handlers
from kijabi.kubelet.dialer import LocalDialer
from tests.kubelet.things import c


@asynccontextmanager
async def server() -> AsyncIterator[int]:
    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/ok":
                return web.Response(text=request.headers["User-Agent"] + request.headers.get("X-A", ""))
            case "/slow":
                await asyncio.sleep(5)
            case "/away":
                raise web.HTTPFound("http://example.invalid/")
            case "/here":
                raise web.HTTPFound("/ok")
            case "/loop":
                raise web.HTTPFound("/loop")
        raise web.HTTPServiceUnavailable

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def test_http() -> None:
    dialer = LocalDialer()
    async with server() as port:
        base = f"http://127.0.0.1:{port}"
        good = await dialer.http(f"{base}/ok", (("X-A", "!"),), 1, "probe")
        assert (good.ok, good.text) == (True, "kube-probe/1.37!")
        assert (await dialer.http(f"{base}/here", (), 1, "probe")).ok
        away = await dialer.http(f"{base}/away", (), 1, "probe")
        assert (away.ok, away.warning) == (True, True)
        bad = await dialer.http(f"{base}/bad", (), 1, "probe")
        assert bad == (False, "HTTP probe failed with statuscode: 503", False)
        loop = await dialer.http(f"{base}/loop", (), 1, "probe")
        assert loop.text == f'Get "{base}/loop": stopped after 10 redirects'
        slow = await dialer.http(f"{base}/slow", (), 0.1, "probe")
        assert slow.text.endswith("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")
    gone = await dialer.http(f"{base}/ok", (), 1, "probe")
    assert gone.text == f'Get "{base}/ok": dial tcp 127.0.0.1:{port}: connect: connection refused'


async def test_tcp() -> None:
    async with server() as port:
        assert (await LocalDialer().tcp("127.0.0.1", port, 1)).ok
    refused = await LocalDialer().tcp("127.0.0.1", port, 1)
    assert refused == (False, f"dial tcp 127.0.0.1:{port}: connect: connection refused", False)


@pytest.mark.parametrize(("answer", "text"), [(b"\x08\x01", "service healthy"), (b"\x08\x02", "NOT_SERVING")])
async def test_grpc(answer: bytes, text: str) -> None:
    asked: list[bytes] = []

    async def check(request: bytes, _: object) -> bytes:
        asked.append(request)
        return answer

    grpc_server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(check)
    grpc_server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method}),)
    )
    port = grpc_server.add_insecure_port("127.0.0.1:0")
    await grpc_server.start()
    try:
        outcome = await LocalDialer().grpc("127.0.0.1", port, "db", 2)
        assert text in outcome.text
        assert outcome.ok == (answer == b"\x08\x01")
        assert asked == [b"\x0a\x02db"]
    finally:
        await grpc_server.stop(None)
    gone = await LocalDialer().grpc("127.0.0.1", port, "", 1)
    assert not gone.ok
    assert "failed to connect service" in gone.text


def test_where_handlers_point() -> None:
    container = c(ports=(ContainerPort(name="web", containerPort=8080),))
    action = HTTPGetAction(port="web", path="healthz?a=b", scheme="HTTPS")
    assert handlers.http_url(action, container, "10.0.0.1") == "https://10.0.0.1:8080/healthz?a=b"
    assert handlers.http_url(HTTPGetAction(port=80), container, "fd::1") == "http://[fd::1]:80/"
    for port in ("none", 0, 70_000):
        with pytest.raises(ValueError, match="port"):
            handlers.port_number(port, container)
