"""The API server on the wire: HTTP/1.1 over TLS, by aiohttp and uvloop.

Turns what aiohttp parsed into the `Request` and `Peer` that `server.ApiServer.handle` takes, and writes what it gives
back: whole answers, streams, raw connections after an upgrade, and watches. Watch events are encoded already and go
straight into the transport, in slices so that one event for thousands of watchers does not hold up everything else.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

from aiohttp import ClientConnectionResetError, web
from aiohttp.web_protocol import RequestHandler

from kijabi.api import status
from kijabi.apiserver.attributes import Peer, StreamAnswer, UpgradeAnswer
from kijabi.apiserver.server import ApiServer, failure
from kijabi.apiserver.watch import WatchAnswer, Watcher
from kijabi.base.errors import ConnectionLost
from kijabi.client.transport import Request, Response

log = logging.getLogger(__name__)

MAX_BODY = 3 * 1024 * 1024  # bytes of a request body
MAX_HEADER = 32 * 1024  # bytes of one header field; tokens and exec commands are long
MAX_PARAMS = 1000  # query parameters of one request
HIGH_WATER = 256 * 1024  # unsent bytes of a connection above which a watcher has to wait
SLICE = 64  # watch writes between two looks at everything else
KEEPALIVE = 90.0  # seconds that an idle connection is kept
BACKLOG = 1024
ONE_BY_ONE = ("impersonate-", "x-remote-", "x-stream-protocol-version")  # headers whose repetitions stay apart
SHUTDOWN_GRACE = 2.0  # seconds for requests that are being answered


class Server(web.Server):
    """aiohttp's server, which also tells when a connection is lost while its request is being answered."""

    def __init__(self, handler: Any) -> None:
        super().__init__(
            handler,
            request_factory=self._request,
            access_log=None,
            keepalive_timeout=KEEPALIVE,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            logger=log,
        )
        self.peers: dict[RequestHandler, Peer] = {}
        self.lost: dict[RequestHandler, Callable[[], object]] = {}

    def _request(self, message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Called by aiohttp."""
        super().connection_lost(handler, exc)
        self.peers.pop(handler, None)
        notify = self.lost.pop(handler, None)
        if notify is not None:
            notify()

    def peer(self, request: web.BaseRequest) -> Peer:
        """The other end of a request's connection; its certificate is read once."""
        protocol = request.protocol
        found = self.peers.get(protocol)
        if found is None:
            transport = request.transport
            if transport is None:
                return Peer()
            tls = transport.get_extra_info("ssl_object")
            address = transport.get_extra_info("peername")
            certificate = tls.getpeercert(binary_form=True) if tls is not None else None
            found = Peer(certificate, str(address[0]) if isinstance(address, tuple) else "")
            self.peers[protocol] = found
        return found


class Feed:
    """A watcher and the connection that its events go to."""

    __slots__ = ("pump", "queued", "stalled", "transport", "watcher")

    def __init__(self, pump: Pump, watcher: Watcher, transport: asyncio.Transport) -> None:
        self.pump = pump
        self.watcher = watcher
        self.transport = transport
        self.queued = False
        self.stalled = asyncio.Event()
        watcher.ready = self.ready

    def ready(self) -> None:
        """There is something to send, or it has ended."""
        if not self.queued and not self.stalled.is_set():
            self.queued = True
            self.pump.add(self)

    def send(self) -> bool:
        """Write what fits; whether there is more and room for it. Sets `stalled` when somebody must wait."""
        transport, watcher = self.transport, self.watcher
        if transport.is_closing() or transport.get_write_buffer_size() > HIGH_WATER:
            self.stalled.set()
            return False
        data = watcher.take()
        if data:
            transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        if watcher.more:
            return True
        if watcher.ended:
            self.stalled.set()
        return False


class Pump:
    """Moves watch events into connections, a slice at a time; one task for all watchers."""

    def __init__(self) -> None:
        self._waiting: deque[Feed] = deque()
        self._wake = asyncio.Event()

    def add(self, feed: Feed) -> None:
        """Send what a feed has, soon."""
        self._waiting.append(feed)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        waiting = self._waiting
        while True:
            for _ in range(min(SLICE, len(waiting))):
                feed = waiting.popleft()
                feed.queued = False
                if feed.send():
                    feed.ready()
            if waiting:
                await asyncio.sleep(0)
            else:
                self._wake.clear()
                await self._wake.wait()


class Wire(asyncio.Protocol):
    """The raw byte stream of a connection that has been upgraded; a Duplex (attributes.py)."""

    LIMIT = 1024 * 1024  # bytes received and not yet read

    def __init__(self, transport: asyncio.Transport, first: bytes) -> None:
        self._transport = transport
        self._received = bytearray(first)
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = False

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        self._received += data
        self._arrived.set()
        if len(self._received) > self.LIMIT:
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """Called by the transport: the client sends no more. TLS knows no half-closed connection: it closes."""
        self._closed = True
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the transport."""
        self._closed = True
        self._arrived.set()
        self._writable.set()

    def pause_writing(self) -> None:
        """Called by the transport."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Called by the transport."""
        self._writable.set()

    async def read(self, limit: int = 65536) -> bytes:
        """See Duplex."""
        while not self._received and not self._closed:
            self._arrived.clear()
            await self._arrived.wait()
        data = bytes(self._received[:limit])
        del self._received[: len(data)]
        if len(self._received) <= self.LIMIT and not self._transport.is_closing():
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """See Duplex."""
        if self._transport.is_closing():
            raise ConnectionLost("the client has gone")
        self._transport.write(data)
        await self._writable.wait()

    def close(self) -> None:
        """See Duplex."""
        self._transport.close()


class Upgraded(web.StreamResponse):
    """Stands for an answer that has gone out already, and whose connection is no longer aiohttp's."""

    def __init__(self) -> None:
        super().__init__(status=101)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        """Called by aiohttp: nothing is to be sent."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Called by aiohttp: nothing is to be sent."""


class Http:
    """Serves an ApiServer on sockets."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api
        self.pump = Pump()
        self.server = Server(self._handle)
        self.ready = asyncio.Event()

    async def run(self, host: str | None, port: int, context: ssl.SSLContext | None) -> None:
        """Listen until cancelled; `ready` is set once connections are accepted. context None: plain HTTP (tests)."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(self.server, host, port, ssl=context, backlog=BACKLOG)
        self.port = int(listener.sockets[0].getsockname()[1])
        log.info("listening", extra={"address": host or "all", "port": self.port})
        self.ready.set()
        try:
            await self.pump.run()
        finally:
            listener.close()
            for notify in tuple(self.server.lost.values()):
                notify()
            await self.server.shutdown(SHUTDOWN_GRACE)

    async def _handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        peer = self.server.peer(raw)
        try:
            body = await self._body(raw)
        except web.HTTPRequestEntityTooLarge:
            answer: Any = failure(status.request_too_large(f"limit is {MAX_BODY}"))
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        path, _, query = raw.raw_path.partition("?")
        request = Request(
            method=raw.method,
            path=unquote(path) if "%" in path else path,
            query=parse_query(query) if query else (),
            headers=headers_of(raw),
            body=body,
        )
        answer = await self.api.handle(request, peer)
        if isinstance(answer, Response):
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        if isinstance(answer, WatchAnswer):
            return await self._watch(raw, answer)
        if isinstance(answer, StreamAnswer):
            return await self._stream(raw, answer)
        return await self._upgrade(raw, answer)

    async def _body(self, raw: web.BaseRequest) -> bytes:
        """The body; a client that asks first (`Expect: 100-continue`) is told to send it. Raises what is too large."""
        if not raw.can_read_body:
            return b""
        length = raw.content_length or 0
        if length > MAX_BODY:
            raise web.HTTPRequestEntityTooLarge(max_size=MAX_BODY, actual_size=length)
        if raw.headers.get("Expect", "").lower() == "100-continue" and raw.transport is not None:
            raw.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return await raw.read()

    async def _watch(self, raw: web.BaseRequest, answer: WatchAnswer) -> web.StreamResponse:
        """Headers now, events as the pump sends them; this task only waits for the connection to drain or end."""
        watcher = answer.watcher
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.enable_chunked_encoding()
        try:
            writer = await response.prepare(raw)
            transport = raw.transport
            if writer is None or transport is None:
                return response
            self.server.lost[raw.protocol] = watcher.close
            await response.write(b"")
            feed = Feed(self.pump, watcher, transport)
            feed.ready()
            while not transport.is_closing():
                await feed.stalled.wait()
                feed.stalled.clear()
                if watcher.ended and not watcher.more:
                    break
                await writer.drain()
                feed.ready()
            if watcher.slow:
                transport.abort()
        except ClientConnectionResetError:
            log.debug("%s: the watcher went before its answer began", raw.path)
        finally:
            watcher.close()
            self.server.lost.pop(raw.protocol, None)
        return response

    async def _stream(self, raw: web.BaseRequest, answer: StreamAnswer) -> web.StreamResponse:
        task = asyncio.current_task()
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        if task is not None:
            self.server.lost[raw.protocol] = task.cancel
        try:
            await response.prepare(raw)
            await response.write(b"")
            async for chunk in answer.chunks:
                await response.write(chunk)
        except ConnectionLost as lost:
            log.info("%s ended early: %s", raw.path, lost)
            if raw.transport is not None:
                raw.transport.abort()  # without the last chunk, so that the client sees that something is missing
        finally:
            self.server.lost.pop(raw.protocol, None)
            close = getattr(answer.chunks, "aclose", None)
            if close is not None:
                await close()
        return response

    async def _upgrade(self, raw: web.BaseRequest, answer: UpgradeAnswer) -> web.StreamResponse:
        """101, then the bytes belong to `serve`; aiohttp is told that the connection has ended."""
        protocol, transport = raw.protocol, raw.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        wire = Wire(transport, getattr(protocol, "_message_tail", b""))
        lines = [f"{name}: {value}\r\n" for name, value in answer.headers.items()]
        transport.write(f"HTTP/1.1 101 Switching Protocols\r\n{''.join(lines)}\r\n".encode())
        transport.set_protocol(wire)
        transport.resume_reading()
        self.server.lost[protocol] = transport.abort
        try:
            await answer.serve(wire)
        except ConnectionLost as lost:
            log.info("%s ended early: %s", raw.path, lost)
        finally:
            self.server.lost.pop(protocol, None)
            transport.close()
            protocol.connection_lost(None)
        return Upgraded()


def parse_query(text: str) -> tuple[tuple[str, str], ...]:
    """The parameters in order; what cannot be read is left out."""
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMS, errors="replace"))
    except ValueError:
        return ()


def headers_of(raw: web.BaseRequest) -> dict[str, str]:
    """The header fields by lower-case name; repeated ones joined by commas (RFC 9110, 5.2), or by line feeds where
    one value may hold a comma or each must be passed on as it came."""
    found: dict[str, str] = {}
    for name, value in raw.headers.items():
        key = name.lower()
        glue = "\n" if key.startswith(ONE_BY_ONE) else ", "
        found[key] = f"{found[key]}{glue}{value}" if key in found else value
    return found
