"""The API server on the wire: HTTP/1.1 over TLS.

Listens, gives each request that a `connection.Connection` has read to `server.ApiServer.handle`, and writes what it
gives back: whole answers, streams, raw connections after an upgrade, and watches. Watch events are encoded already and
go straight into the transport, in slices so that one event for thousands of watchers does not hold up everything else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections import deque

from kijabi.apiserver.attributes import StreamAnswer, UpgradeAnswer
from kijabi.apiserver.connection import Connection, Incoming
from kijabi.apiserver.server import ApiServer
from kijabi.apiserver.watch import WatchAnswer, Watcher
from kijabi.base import clock
from kijabi.base.errors import ConnectionLost
from kijabi.client.transport import Response

log = logging.getLogger(__name__)

HIGH_WATER = 256 * 1024  # unsent bytes of a connection above which a watcher has to wait
SLICE = 64  # watch writes between two looks at everything else …
SLICE_SECONDS = 0.001  # … or as many as this allows
LAST_CHUNK = b"0\r\n\r\n"
BACKLOG = 1024
SWEEP = 5.0  # seconds between two looks for clients that take too long
PROBE_SECONDS = 180  # of silence, after which the kernel asks whether a client is there (k8s.io/apiserver, as long)
SHUTDOWN_GRACE = 2.0  # seconds for requests that are being answered


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
        waiting, now = self._waiting, clock.stopwatch()  # the loop's own stands still within a turn
        while True:
            until = now() + SLICE_SECONDS
            for _ in range(min(SLICE, len(waiting))):
                feed = waiting.popleft()
                feed.queued = False
                if feed.send():
                    feed.ready()
                if now() > until:
                    break
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


class Http:
    """Serves an ApiServer on sockets. most: connections at once, 0 for no limit; more are closed as they come."""

    def __init__(self, api: ApiServer, most: int = 0) -> None:
        self.api = api
        self.most = most
        self.pump = Pump()
        self.connections: set[Connection] = set()
        self.ready = asyncio.Event()

    async def run(self, host: str | None, port: int, context: ssl.SSLContext | None) -> None:
        """Listen until cancelled; `ready` is set once connections are accepted. context None: plain HTTP (tests)."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: Connection(self, loop), host, port, ssl=context, backlog=BACKLOG)
        self.port = int(listener.sockets[0].getsockname()[1])
        for each in listener.sockets:
            keep_alive(each.fileno())
        log.info("listening", extra={"address": host or "all", "port": self.port})
        self.ready.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.pump.run(), name="watch events")
                tasks.create_task(self._sweep(), name="idle connections")
        finally:
            listener.close()
            await self._shut_down()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP)
            now = loop.time()
            for connection in tuple(self.connections):
                if connection.overdue(now):
                    connection.transport.close()

    async def _shut_down(self) -> None:
        """End watches and streams, let requests be answered, hang up."""
        for connection in tuple(self.connections):
            if connection.lost is not None:
                connection.lost()
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=SHUTDOWN_GRACE)
            for task in late:
                task.cancel()
        for connection in tuple(self.connections):
            connection.transport.close()

    async def answer(self, connection: Connection, incoming: Incoming) -> None:
        """See connection.Site."""
        answer = await self.api.handle(incoming.request, connection.peer)
        if isinstance(answer, Response):
            connection.send(incoming, answer)
        elif isinstance(answer, UpgradeAnswer):
            await self._upgrade(connection, answer)
        elif isinstance(answer, WatchAnswer) and incoming.chunked:
            await self._watch(connection, incoming, answer)
        else:
            if isinstance(answer, WatchAnswer):
                answer = StreamAnswer(status=answer.status, headers=answer.headers, chunks=answer.chunks())
            await self._stream(connection, incoming, answer)

    async def _watch(self, connection: Connection, incoming: Incoming, answer: WatchAnswer) -> None:
        """Headers now, events as the pump sends them; this task only waits for the connection to drain or end."""
        watcher, transport = answer.watcher, connection.transport
        connection.lost = watcher.close
        try:
            connection.begin(incoming, answer.status, answer.headers)
            if incoming.request.method == "HEAD":
                return
            feed = Feed(self.pump, watcher, transport)
            feed.ready()
            while not transport.is_closing():
                await feed.stalled.wait()
                feed.stalled.clear()
                if watcher.ended and not watcher.more:
                    break
                await connection.drain()
                feed.ready()
            if watcher.slow:
                transport.abort()
            elif not transport.is_closing():
                transport.write(LAST_CHUNK)
        finally:
            watcher.close()

    async def _stream(self, connection: Connection, incoming: Incoming, answer: StreamAnswer) -> None:
        task, transport = connection.task, connection.transport
        if task is not None:
            connection.lost = task.cancel
        try:
            connection.begin(incoming, answer.status, answer.headers)
            if incoming.request.method == "HEAD":
                return
            async with asyncio.timeout(answer.seconds or None):
                async for chunk in answer.chunks:
                    if chunk:
                        transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if incoming.chunked else chunk)
                        await connection.drain()
            if incoming.chunked:
                transport.write(LAST_CHUNK)
        except (ConnectionLost, TimeoutError) as lost:
            log.info("%s ended early: %s", incoming.request.path, lost or "the client took too long")
            transport.abort()  # without the last chunk, so that the client sees that something is missing
        finally:
            connection.lost = None
            close = getattr(answer.chunks, "aclose", None)
            if close is not None:
                await close()

    async def _upgrade(self, connection: Connection, answer: UpgradeAnswer) -> None:
        """101, then the bytes belong to `serve`."""
        transport = connection.transport
        lines = [f"{name}: {value}\r\n" for name, value in answer.headers.items()]
        transport.write(f"HTTP/1.1 101 Switching Protocols\r\n{''.join(lines)}\r\n".encode())
        wire = Wire(transport, connection.detach())
        transport.set_protocol(wire)
        transport.resume_reading()
        connection.lost = transport.abort
        self.connections.add(connection)
        try:
            await answer.serve(wire)
        except ConnectionLost as lost:
            log.info("upgraded connection ended early: %s", lost)
        finally:
            self.connections.discard(connection)
            transport.close()


def keep_alive(listener: int) -> None:
    """Let the kernel find out which clients have vanished without a word; connections inherit it from the listener."""
    with socket.socket(fileno=os.dup(listener)) as options:
        options.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        options.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, PROBE_SECONDS)
        options.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_SECONDS)
