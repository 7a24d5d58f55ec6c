"""Lists as answers: a small one whole, a large one in slices, as the client takes it.

`reading.py` and the handlers of computed resources give what was found; `http.py` writes the chunks. A large list is
never held as a whole: its items are those of one moment (`ordered.py`), and each slice is encoded when the one before
has gone out. So its size is no matter to the server's memory, and for other requests it is one slice of work at a time
(`turns.py`). What is compressed is compressed in a thread, for zlib does without the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import sys
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

from kijabi.api import status
from kijabi.apiserver import negotiate
from kijabi.apiserver.attributes import StreamAnswer
from kijabi.apiserver.call import Call
from kijabi.apiserver.forms import Envelope, Form
from kijabi.apiserver.forms_text import Indented, Yaml
from kijabi.apiserver.turns import Slice, Turns
from kijabi.apiserver.watchcache import Item
from kijabi.client.transport import Response

SLICE_BYTES = 256 * 1024  # of a list that are made and sent at a time
KEPT_BYTES = 256 * 1024 * 1024  # of all lists whose length must be known first; what does not fit is made twice
LET_GO = 64  # of the elements that do not fit, with each few that are made
MAX_SENDING = 16  # large lists that are being sent; more wait in line …
MAX_WAITING = 256  # … but never more than this
SEND_SECONDS = 60.0  # for a client to take a large list (kube-apiserver's request timeout)
GZIP_LEVEL = 1
_GZIP = 31  # zlib's window bits for gzip's format


class Found(NamedTuple):
    """What a list is of: candidates of one moment in order, and which of them are meant; None: all."""

    items: Iterator[Item]
    matches: Callable[[Item], bool] | None = None

    def some(self, count: int) -> tuple[list[Item], bool]:
        """The matching ones of the next candidates, and whether there were that many candidates."""
        batch = list(islice(self.items, count))
        chosen = batch if self.matches is None else list(filter(self.matches, batch))
        return chosen, len(batch) == count


class Listing:
    """Answers lists."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self._places = asyncio.Semaphore(MAX_SENDING)
        self._waiting = 0
        self._kept = 0

    async def gather(self, found: Found, most: int = sys.maxsize) -> list[Item]:
        """The first so many that match."""
        chosen: list[Item] = []
        work, more = self.turns.slice(), True
        while more and len(chosen) < most:
            part, more = found.some(min(64, most - len(chosen)) if found.matches is None else 64)
            chosen += part
            if work.over:
                await work.next()
        del chosen[most:]
        return chosen

    async def answer(self, call: Call, form: Form, found: Found, meta: dict[str, Any]) -> Response | StreamAnswer:
        """A list in this form; meta is its ListMeta in wire form. Raises TooManyRequests."""
        if call.media.type == negotiate.YAML:
            form = Yaml(form)
        work = self.turns.slice()
        taken: list[Item] = []
        parts: list[bytes] = []
        size, more = 0, True
        while more and size <= SLICE_BYTES:
            if work.over:
                await work.next()
            chosen, more = found.some(form.grain)
            made = form.elements(chosen)
            size += sum(map(len, made))
            taken += chosen
            parts += made
        if not more and size <= SLICE_BYTES:
            head, glue, tail = form.enclose(size, meta)
            return Response(headers={"Content-Type": form.media}, body=b"%b%b%b" % (head, glue.join(parts), tail))
        parts.clear()
        if call.media.pretty and form.media == negotiate.JSON:
            form = Indented(form)
        zipped = negotiate.takes_gzip(call.request)
        return await self._large(form, Found(chain(taken, found.items), found.matches), meta, zipped)

    async def _large(self, form: Form, found: Found, meta: dict[str, Any], zipped: bool) -> StreamAnswer:
        if self._places.locked() and self._waiting >= MAX_WAITING:
            raise status.too_many_requests("Too many requests, please try again later.", 1)
        headers = {"Content-Type": form.media}
        chunks = self._sent(form, found, meta)
        if zipped:
            headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
            chunks = _compressed(chunks)
        self._waiting += 1
        try:
            await anext(chunks)  # nothing yet, but the place; from now on `aclose` gives it back
        finally:
            self._waiting -= 1
        return StreamAnswer(chunks=chunks, headers=headers, seconds=SEND_SECONDS)

    async def _sent(self, form: Form, found: Found, meta: dict[str, Any]) -> AsyncIterator[bytes]:
        """First nothing, when it may begin, then the list's bytes."""
        async with self._places:
            yield b""
            work = self.turns.slice()
            measured = Measured()
            try:
                if form.sized:
                    await self._measure(measured, form, found, work)
                    found = Found(iter(measured.items))
                envelope: Envelope | None = None
                async for parts in _regrouped(measured.kept) if measured.kept else self._parts(form, found, work):
                    if envelope is None:
                        envelope = form.enclose(measured.size or len(parts), meta)
                        parts[0] = envelope.head + parts[0]
                    else:
                        parts[0] = envelope.glue + parts[0]
                    yield envelope.glue.join(parts)
                if envelope is None:
                    envelope = form.enclose(0, meta)
                    yield envelope.head
                yield envelope.tail
            finally:
                self._kept -= measured.reserved

    async def _parts(self, form: Form, found: Found, work: Slice) -> AsyncIterator[list[bytes]]:
        """The elements, a slice at a time, none empty."""
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            if work.over:
                await work.next()
            chosen, more = found.some(form.grain)
            made = form.elements(chosen)
            size += sum(map(len, made))
            parts += made
            if parts and (size >= SLICE_BYTES or not more):
                yield parts
                parts, size = [], 0
                await work.next()  # sending took its time as well

    async def _measure(self, measured: Measured, form: Form, found: Found, work: Slice) -> None:
        """Find out how many bytes the elements are together, and keep them if there is room."""
        more = keep = True
        while more:
            if work.over:
                await work.next()
            chosen, more = found.some(form.grain)
            made = form.elements(chosen)
            size = sum(map(len, made))
            measured.size += size
            measured.items += chosen
            if keep and self._kept + size <= KEPT_BYTES:
                measured.kept.extend(made)
                measured.reserved += size
                self._kept += size
            else:
                keep = False
                self._kept -= measured.reserved
                measured.reserved = 0
                for _ in range(min(LET_GO, len(measured.kept))):
                    measured.kept.popleft()
        while not keep and measured.kept:
            measured.kept.popleft()


class Measured:
    """What is known of a list before it is sent: its items, their bytes, and the elements if they are kept."""

    def __init__(self) -> None:
        self.size = 0
        self.items: list[Item] = []
        self.kept: deque[bytes] = deque()
        self.reserved = 0  # bytes of them


async def _regrouped(parts: deque[bytes]) -> AsyncIterator[list[bytes]]:
    """Elements that are made already, a slice at a time. They are let go as they are sent: all at once takes long."""
    while parts:
        group: list[bytes] = []
        size = 0
        while parts and size < SLICE_BYTES:
            part = parts.popleft()
            group.append(part)
            size += len(part)
        yield group


async def _compressed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same in gzip's format, compressed beside the event loop. What is empty stays."""
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    try:
        async for chunk in chunks:
            if not chunk:
                yield chunk
                continue
            packed = await asyncio.to_thread(packer.compress, chunk)
            if packed:
                yield packed
        yield packer.flush()
    finally:
        await chunks.aclose()  # type: ignore[attr-defined]
