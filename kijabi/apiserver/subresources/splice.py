"""Joins two byte streams: what a client sends after an upgrade goes to the backend, and the other way round.

`streams.py` and `proxy.py` hand an Exchange that answered 101 in and get an UpgradeAnswer out, whose `serve` the HTTP
adapter awaits. Bytes pass unchanged: WebSocket and SPDY end at the kubelet. Each direction waits for its receiver, so a
slow side holds at most one chunk and the transports' own buffers.
"""

from __future__ import annotations

import asyncio

from kijabi.apiserver.attributes import Duplex, UpgradeAnswer
from kijabi.apiserver.subresources.backend import CHUNK, Exchange
from kijabi.base.errors import ConnectionLost


def upgraded(exchange: Exchange) -> UpgradeAnswer:
    """The backend's 101 as the answer to the client."""

    async def serve(client: Duplex) -> None:
        await splice(client, exchange)

    headers = {name: value for name, value in exchange.headers if name.lower() != "content-length"}
    return UpgradeAnswer(serve=serve, headers=headers)


async def splice(client: Duplex, exchange: Exchange) -> None:
    """Pass bytes both ways until either side ends. What the backend sent before it ended is delivered; then the
    client's side is closed too, for TLS knows no half-closed connection."""
    upstream = asyncio.ensure_future(_to_backend(client, exchange))
    downstream = asyncio.ensure_future(_to_client(client, exchange))
    try:
        await asyncio.wait((upstream, downstream), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (upstream, downstream):
            task.cancel()
        await asyncio.gather(upstream, downstream, return_exceptions=True)
        exchange.close()
        client.close()


async def _to_backend(client: Duplex, exchange: Exchange) -> None:
    try:
        while data := await client.read(CHUNK):
            exchange.writer.write(data)
            await exchange.writer.drain()
    except (OSError, ConnectionLost):
        return  # one side has gone: `splice` ends the other


async def _to_client(client: Duplex, exchange: Exchange) -> None:
    try:
        while data := await exchange.reader.read(CHUNK):
            await client.write(data)
    except (OSError, ConnectionLost):
        return
