"""The client of the side-by-side run: raw HTTP/1.1 over TLS, so lean that the server is what is measured.

One `Line` is one connection with one exchange at a time; it looks for nothing in an answer but its status and its end.
A `Watch` tells of the events that came. Both servers get the same bytes.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from typing import cast

JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
_END = b"\r\n0\r\n\r\n"  # of a chunked body
_LENGTH = b"content-length: "


class Failed(Exception):
    """An answer was not what it should be."""


def get(path: str, accept: str = JSON) -> bytes:
    """The bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1\r\nAccept: {accept}\r\n\r\n".encode()


def send(method: str, path: str, body: bytes, kind: str = JSON, accept: str = JSON) -> bytes:
    """The bytes of a request with a body."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench/1\r\nAccept: {accept}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Line(asyncio.Protocol):
    """One connection, one exchange at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.answer = b""  # of the last exchange, if it was asked to keep it
        self.received = 0  # bytes of the last answer
        self._waiter: asyncio.Future[int] | None = None
        self._keep = False
        self._parts: list[bytes] = []
        self._status = 0
        self._left = -1  # bytes that are still to come; -1: until the last chunk
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the loop."""
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Failed(f"the server hung up: {exc}"))

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if not self._status:
            data = self._tail + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._tail = data
                return
            self._status = int(data[9:12])
            head = data[:end].lower() + b"\r\n"
            at = head.find(_LENGTH)
            self._left = int(head[at + len(_LENGTH) : head.index(b"\r\n", at)]) if at >= 0 else -1
            self._tail = b""
            self.received = 0
            data = data[end + 4 :]
        self.received += len(data)
        if self._keep:
            self._parts.append(data)
        if self._left >= 0:
            self._left -= len(data)
            done = self._left <= 0
        else:
            self._tail = (self._tail + data[-len(_END) :])[-len(_END) :]
            done = self._tail == _END
        if done and self._waiter is not None:
            self._waiter.set_result(self._status)

    async def ask(self, request: bytes, *, keep: bool = False) -> int:
        """Send a request; the status when all of the answer is there."""
        self._waiter = asyncio.get_running_loop().create_future()
        self._status, self._keep, self._tail = 0, keep, b""
        self.transport.write(request)
        status = await self._waiter
        if keep:
            self.answer = b"".join(self._parts)
            self._parts.clear()
        return status

    async def expect(self, request: bytes, status: int) -> None:
        """As `ask`; raises Failed for another status."""
        found = await self.ask(request)
        if found != status:
            raise Failed(f"{found} for {request[:200]!r}")


class Watch(Line):
    """A connection on which events come. told: called for each, which is one chunk."""

    def __init__(self, told: Callable[[], None]) -> None:
        super().__init__()
        self._told = told
        self.open = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Called by the loop."""
        if not self.open.done():
            if data[9:12] != b"200":
                self.open.set_exception(Failed(f"a watch was refused: {data[:500]!r}"))
                return
            self.open.set_result(None)
            data = data.partition(b"\r\n\r\n")[2]
        if data.endswith(b"\n\r\n"):
            self._told()


class Client:
    """Connections to one server."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port = port
        self._context = context
        self.lines: list[Line] = []

    async def connect(self, make: Callable[[], Line] = Line) -> Line:
        """One more connection."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(make, "127.0.0.1", self._port, ssl=self._context)
        return protocol

    async def open(self, count: int) -> None:
        """The connections that `run` uses; those that a server hung up, for they were idle, are replaced."""
        self.lines = [line for line in self.lines if not line.transport.is_closing()]
        while len(self.lines) < count:
            self.lines.append(await self.connect())

    async def run(self, requests: Iterable[bytes], status: int, lines: int) -> list[float]:
        """Send these over so many connections; how long each took, sorted."""
        await self.open(lines)
        times: list[float] = []
        numbers = iter(requests)

        async def one(line: Line) -> None:
            for request in numbers:
                began = time.perf_counter()
                await line.expect(request, status)
                times.append(time.perf_counter() - began)

        async with asyncio.TaskGroup() as tasks:
            for line in self.lines[:lines]:
                tasks.create_task(one(line))
        return sorted(times)

    def close(self) -> None:
        """Hang up."""
        for line in self.lines:
            line.transport.abort()
        self.lines.clear()
