"""Take a connection away from the HTTP server: after 101 Switching Protocols its bytes are ours.

aiohttp upgrades only to its own WebSocket; exec, attach and port-forward also speak SPDY. So both go through here:
`take_over` answers the request, moves the transport (plain or TLS) to asyncio streams, and gives a response object that
tells aiohttp that nothing is left to do. `spdy` and `websocket` frame what flows then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from kijabi.base.errors import ConnectionLost

READ_LIMIT = 64 << 10  # bytes; the peer is held back at twice that


class Upgraded(web.StreamResponse):
    """What the handler returns: the head was sent by `take_over`, and the connection is not aiohttp's any more."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Nothing: the head is sent."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing: there is no body."""


class _Detached(asyncio.StreamReaderProtocol):
    """Feeds our reader and tells aiohttp when the connection is gone, so that it forgets it."""

    def __init__(self, reader: asyncio.StreamReader, server: asyncio.BaseProtocol) -> None:
        super().__init__(reader)
        self._server = server

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server.connection_lost(exc)


def wants(request: web.Request, protocol: str) -> bool:
    """Whether the request asks to upgrade to a protocol, such as `websocket` or `SPDY/3.1`."""
    connection = ",".join(request.headers.getall("Connection", ())).lower()
    return "upgrade" in connection and protocol.lower() in request.headers.get("Upgrade", "").lower()


def take_over(
    request: web.Request, headers: Mapping[str, str]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Upgraded]:
    """Send 101 with these headers and take the connection. Raises ConnectionLost when the client has left."""
    transport = request.transport
    server = cast(Any, request.protocol)
    if transport is None or transport.is_closing():
        raise ConnectionLost("the client left before the upgrade")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_LIMIT, loop=loop)
    protocol = _Detached(reader, server)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    transport.write(f"HTTP/1.1 101 Switching Protocols\r\n{head}\r\n".encode())
    # What the client sent right behind its request has been read already and waits inside aiohttp.
    early: bytes = getattr(server, "_message_tail", b"")
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    if early:
        server._message_tail = b""
        protocol.data_received(early)
    transport.resume_reading()
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop), Upgraded()
