"""HTTP/1.1 from the client's side: what comes over one connection, without a library's generality.

`client.http` keeps a pool of `Connection`s; each carries one exchange at a time. `Answer` parses (RFC 9112) and knows
no socket; `Connection` feeds it. A general client costs up to twice the CPU for each request, and requests are what a
cluster's parts do all day; it costs 11 MiB in each process too (`benchmarks/client.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import cast

from kijabi.base.errors import ConnectionLost

# The longest head of an answer, and line of its framing, in bytes.
MAX_HEAD = 64 << 10
# The longest body of a whole answer, in bytes. A list of 150,000 pods comes in pages.
MAX_BODY = 1 << 30
# Bytes of a stream that may wait for its reader; more, and the socket is not read until there are few again.
HIGH_WATER = 1 << 20
LOW_WATER = 1 << 16


class Answer:
    """One answer as it comes in: `feed` it bytes and `end` it when the peer hangs up.

    status is 0 until the head is there. Body bytes collect in `chunks`, for the reader to take. Both calls raise
    ConnectionLost for what is no HTTP.
    """

    __slots__ = ("_buffer", "_left", "_step", "bodiless", "chunks", "complete", "headers", "held", "keep", "status")

    def __init__(self, *, bodiless: bool = False) -> None:
        self.bodiless = bodiless  # the answer to a HEAD
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: list[bytes] = []
        self.held = 0  # bytes in chunks
        self.complete = False
        self.keep = True  # whether the connection may serve another exchange
        self._buffer = b""
        self._left = 0
        self._step: Callable[[bytes, int], int] = self._head

    def feed(self, data: bytes) -> None:
        """Take what came."""
        data = self._buffer + data if self._buffer else data
        at, size = 0, len(data)
        while at < size and not self.complete:
            step = self._step(data, at)
            if step < 0:
                break
            at = step
        self._buffer = data[at:]
        if self._buffer and (self.complete or len(self._buffer) > MAX_HEAD):
            self.keep = False
            if not self.complete:
                raise ConnectionLost("the answer's head or framing is too long")

    def end(self) -> None:
        """The peer hung up."""
        self.keep = False
        if self._step == self._until_end:
            self.complete = True
        if not self.complete:
            raise ConnectionLost("the peer hung up" + (" in the middle of its answer" if self.status else ""))

    def take(self) -> bytes:
        """The body's bytes that came so far and were not taken yet."""
        body = self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)
        self.chunks.clear()
        self.held = 0
        return body

    # Each step parses one thing at a position and gives the next, or -1 if it needs more bytes.

    def _head(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n\r\n", at)
        if end < 0:
            return -1
        first, *lines = data[at:end].decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        if not version.startswith("HTTP/1.") or not rest[:3].isdecimal() or len(rest[:3]) != 3:
            raise ConnectionLost(f"the peer does not speak HTTP/1.1: {first[:80]!r}")
        status = int(rest[:3])
        if 100 <= status < 200 and status != 101:
            return end + 4  # An interim answer; the real one follows.
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise ConnectionLost(f"the answer has a malformed header: {line[:80]!r}")
            headers[name] = value.strip()
        self.headers = headers
        self._frame(status, version, {name.lower(): value for name, value in headers.items()})
        self.status = status
        return end + 4

    def _frame(self, status: int, version: str, headers: dict[str, str]) -> None:
        """How long the body is (RFC 9112 section 6.3), and whether the connection lasts."""
        connection = headers.get("connection", "").lower()
        self.keep = "close" not in connection and (version == "HTTP/1.1" or "keep-alive" in connection)
        length = headers.get("content-length")
        if self.bodiless or status in (204, 304):
            self.complete = True
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            self._step = self._size
        elif length is not None:
            if not length.isdecimal():
                raise ConnectionLost(f"the answer has a malformed length: {length[:80]!r}")
            self._left = int(length)
            self._step = self._body
            self.complete = self._left == 0
        else:
            self.keep = False
            self._step = self._until_end

    def _some(self, data: bytes, at: int) -> int:
        """Take what is there of the `_left` bytes that are due."""
        piece = data[at : at + self._left]
        self.chunks.append(piece)
        self.held += len(piece)
        self._left -= len(piece)
        return at + len(piece)

    def _body(self, data: bytes, at: int) -> int:
        at = self._some(data, at)
        self.complete = self._left == 0
        return at

    def _until_end(self, data: bytes, at: int) -> int:
        self._left = len(data) - at
        return self._some(data, at)

    def _size(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        if end < 0:
            return -1
        try:
            self._left = int(data[at:end].partition(b";")[0], 16)
        except ValueError:
            raise ConnectionLost(f"the answer has a malformed chunk: {data[at : min(end, at + 40)]!r}") from None
        self._step = self._chunk if self._left else self._trailer
        return end + 2

    def _chunk(self, data: bytes, at: int) -> int:
        at = self._some(data, at)
        if self._left == 0:
            self._step = self._chunk_end
        return at

    def _chunk_end(self, data: bytes, at: int) -> int:
        if len(data) < at + 2:
            return -1
        if data[at : at + 2] != b"\r\n":
            raise ConnectionLost("the answer has a chunk of the wrong length")
        self._step = self._size
        return at + 2

    def _trailer(self, data: bytes, at: int) -> int:
        end = data.find(b"\r\n", at)
        if end < 0:
            return -1
        self.complete = end == at
        return end + 2


class Connection(asyncio.Protocol):
    """One connection and at most one exchange on it. `lost` tells the pool that it is of no more use."""

    def __init__(self, lost: Callable[[Connection], None]) -> None:
        self.answer: Answer | None = None
        self.closed = False
        self.idle_since = 0.0
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._whole = True
        self._error: ConnectionLost | None = None
        self._paused = False

    # What the exchange does

    async def exchange(self, data: bytes, *, whole: bool, bodiless: bool = False) -> Answer:
        """Send a request; the answer when all of it is there (whole), or its head. Raises ConnectionLost."""
        assert self._transport is not None
        answer = self.answer = Answer(bodiless=bodiless)
        self._whole = whole
        self._transport.write(data)
        while not (answer.complete if whole else answer.status):
            await self._wait()
        return answer

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body of a stream as it comes. Raises ConnectionLost."""
        answer = self.answer
        assert answer is not None
        while True:
            if answer.chunks:
                chunk = answer.take()
                if self._paused:
                    self._resume()
                yield chunk
            elif answer.complete:
                return
            else:
                await self._wait()

    def close(self) -> None:
        """Hang up."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self) -> None:
        """Wait until something came."""
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        answer = self.answer
        if answer is None or answer.complete:
            self.close()  # Nobody asked.
            return
        try:
            answer.feed(data)
        except ConnectionLost as error:
            self._fail(error)
            return
        if answer.complete or not self._whole:
            self._wake()
        if answer.held > (MAX_BODY if self._whole else HIGH_WATER):
            self._flooded()

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer hung up, or the network did."""
        self.closed = True
        answer = self.answer
        if answer is not None and not answer.complete and self._error is None:
            try:
                answer.end()
                self._wake()
            except ConnectionLost as error:
                self._fail(ConnectionLost(f"{error} ({exc})") if exc is not None else error)
        self._lost(self)

    def _fail(self, error: ConnectionLost) -> None:
        self._error = self._error or error
        self.close()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _flooded(self) -> None:
        """More came than may wait: a whole answer is refused, a stream is read later."""
        if self._whole:
            self._fail(ConnectionLost(f"the answer is longer than {MAX_BODY} bytes"))
        elif not self._paused and self._transport is not None:
            self._transport.pause_reading()
            self._paused = True

    def _resume(self) -> None:
        self._paused = False
        if self._transport is not None:
            with suppress(RuntimeError):  # It was closed meanwhile.
                self._transport.resume_reading()
