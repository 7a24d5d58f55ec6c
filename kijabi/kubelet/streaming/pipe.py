"""A bounded byte pipe inside the process: one side feeds, the other reads, and a full pipe makes the feeder wait.

SPDY streams, WebSocket channels and the fake runtime's sessions are built of it. It works on any event loop, without
files or threads.
"""

from __future__ import annotations

import asyncio

CHUNK = 32 << 10  # bytes that one read of everything takes at a time
LIMIT = 256 << 10  # bytes in a pipe before its feeder waits


class Pipe:
    """ByteReader on one end; `feed` (waits) or the ByteWriter calls on the other."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._changed = asyncio.Event()
        self._ended = False
        self._dropping = False
        self._error: Exception | None = None

    @property
    def ended(self) -> bool:
        """Nothing more will be fed."""
        return self._ended

    async def read(self, n: int = -1, /) -> bytes:
        """Up to n bytes, b"" at the end; with n < 0 everything until the end. Raises what `end` was given."""
        if n < 0:
            parts = []
            while part := await self.read(CHUNK):
                parts.append(part)
            return b"".join(parts)
        while not self._buffer:
            if self._error:
                raise self._error
            if self._ended or self._dropping:
                return b""
            await self._wait()
        data = bytes(self._buffer[:n])
        del self._buffer[:n]
        self._changed.set()
        return data

    async def feed(self, data: bytes) -> None:
        """Put bytes in, once there is room; they are lost if the reader has gone."""
        await self.drain()
        self.write(data)

    def write(self, data: bytes, /) -> None:
        """Put bytes in at once; a writer that does not `drain` may exceed the limit."""
        if not (self._dropping or self._ended) and data:
            self._buffer += data
            self._changed.set()

    async def drain(self) -> None:
        """Wait for room, while somebody may still make it."""
        while len(self._buffer) >= self._limit and not (self._dropping or self._ended):
            await self._wait()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes; the reader gets what is left, then the end or the error."""
        if not self._ended:
            self._ended, self._error = True, error
            self._changed.set()

    def write_eof(self) -> None:
        """The ByteWriter's name for `end`."""
        self.end()

    def close(self) -> None:
        """The ByteWriter's name for `end`."""
        self.end()

    def drop(self) -> None:
        """The reader has gone: forget what is here and what still comes, and let the feeder go on."""
        self._dropping = True
        self._buffer.clear()
        self._changed.set()

    async def _wait(self) -> None:
        # one side at most waits here: the pipe is either empty or full
        self._changed.clear()
        await self._changed.wait()
