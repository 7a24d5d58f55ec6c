"""A request's CPU on the client's side: `client.http` against aiohttp's client, over TLS to the same small server.

Run it alone on a machine: `python -m benchmarks client`. Medians of `ROUNDS`; the two take turns.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import ssl
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
import uvloop
from aiohttp import web

from kijabi.api.core.configmap import ConfigMap
from kijabi.client.client import Client
from kijabi.client.http import HttpTransport
from kijabi.client.transport import Request

ROUNDS = 5
REQUESTS = 2000
AT_ONCE = (1, 16)
BODY = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"b"},"data":{"x":"%s"}}' % (
    b"y" * 2000
)


def certificate(folder: Path) -> None:
    """A self-signed certificate for localhost."""
    line = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run([*line.split(), *files], check=True, capture_output=True)


def serve(folder: Path, port: Connection) -> None:
    """A server that always answers the same, in a process of its own."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=BODY, content_type="application/json")

    async def run() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "cert", folder / "key")
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "localhost", 0, ssl_context=context).start()
        port.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    uvloop.run(run())


async def measured(call: Callable[[], Awaitable[Any]], at_once: int) -> tuple[float, float]:
    """(requests a second, CPU µs a request)."""
    await call()
    left = iter(range(REQUESTS))

    async def work() -> None:
        for _ in left:
            await call()

    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work())
    return REQUESTS / (time.perf_counter() - began), (time.process_time() - cpu) / REQUESTS * 1e6


async def compare(folder: Path, port: int) -> None:
    """Measure both, in turns, and print the medians."""
    client = Client(HttpTransport(f"https://localhost:{port}", ca=folder / "cert"))
    context = ssl.create_default_context(cafile=str(folder / "cert"))
    request = Request(method="GET", path="/api/v1/namespaces/b/configmaps/a")
    url = f"https://localhost:{port}/api/v1/namespaces/b/configmaps/a"
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:

        async def ours() -> None:
            await client.transport.request(request)

        async def typed() -> None:
            await client.get(ConfigMap, "a", "b")

        async def theirs() -> None:
            async with session.get(url) as answer:
                await answer.read()

        for _ in range(ROUNDS):
            for at_once in AT_ONCE:
                for name, call in (("client.http", ours), ("aiohttp", theirs), ("client.client, decoded", typed)):
                    found.setdefault((name, at_once), []).append(await measured(call, at_once))
    await client.transport.close()
    print(f"{'GET of 2 KB over TLS':22} {'at once':>7} {'a second':>9} {'CPU µs':>7}")
    for (name, at_once), runs in found.items():
        rate, cpu = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{name:22} {at_once:7} {rate:9.0f} {cpu:7.0f}")


def main() -> None:
    """Start the server, compare, stop it."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        certificate(folder)
        here, there = multiprocessing.Pipe()
        server = multiprocessing.Process(target=serve, args=(folder, there), daemon=True)
        server.start()
        try:
            uvloop.run(compare(folder, here.recv()))
        finally:
            server.terminate()
            server.join()


if __name__ == "__main__":
    main()
