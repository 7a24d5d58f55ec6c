"""What comes off the wire: lines of a watch, bodies, and failures as errors.

`client.client` reads every answer through here. The stream protocol is one JSON object `{"type", "object"}` a
line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec

from kijabi.api import status
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.client.transport import Stream

T = TypeVar("T")

# The longest line of a watch, and the longest body of an error, in bytes. Objects are at most 3 MiB.
MAX_LINE = 16 << 20
MAX_ERROR = 1 << 20
# Seconds without a byte after which a watch counts as dead; servers send bookmarks about every minute.
SILENCE = 180.0


class _Frame(msgspec.Struct):
    type: str
    object: msgspec.Raw


def decode(cls: type[T], body: bytes) -> T:
    """A body that must be of this form; anything else is an answer that nobody can use."""
    try:
        return msgspec.json.decode(body, type=cls)
    except msgspec.MsgspecError as error:
        raise ConnectionLost(f"the answer makes no sense: {error}") from error


def failure(code: int, body: bytes) -> ApiError:
    """The error that an answer with a failing HTTP status means; a Status in its body says more."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError):
        found = None  # A proxy between us, or a bare HTTP server: its text is all there is.
    if isinstance(found, dict) and found.get("kind") == "Status":
        return status.from_wire(found)
    return status.generic(code, said=body[:1024].decode("utf-8", "replace").strip(), unexpected=True)


async def rest(stream: Stream) -> bytes:
    """All that is left of a stream whose status says failure."""
    body = bytearray()
    async for chunk in stream:
        body += chunk
        if len(body) > MAX_ERROR:
            break
    return bytes(body)


async def lines(stream: Stream, limit: int = MAX_LINE) -> AsyncIterator[bytes]:
    """Whole lines without their ends. A last line that was cut off is dropped: the peer went away in it."""
    pieces: list[bytes] = []  # a line that is not whole yet
    held = 0
    chunks = aiter(stream)
    while True:
        try:
            async with asyncio.timeout(SILENCE):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise ConnectionLost(f"nothing came for {SILENCE:g} s") from error
        first, *others = chunk.split(b"\n")
        pieces.append(first)
        held += len(first)
        if held > limit:
            raise ConnectionLost(f"a line of a watch is longer than {limit} bytes")
        if not others:
            continue
        yield b"".join(pieces)
        for line in others[:-1]:
            yield line
        pieces, held = [others[-1]], len(others[-1])


async def events(stream: Stream) -> AsyncIterator[tuple[str, msgspec.Raw]]:
    """(type, object) of each event of a watch; an ERROR event is raised as the error that it means."""
    async for line in lines(stream):
        if not line.strip():
            continue
        frame = decode(_Frame, line)
        if frame.type == "ERROR":
            raise failure(500, bytes(frame.object))
        yield frame.type, frame.object
