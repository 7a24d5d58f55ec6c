"""What becomes of an event: written before its request goes on, gathered into batches, or cut to size first.

`auditor.py` gives every event to every sink; a sink hands it to a Delivery (`logfile.py`, `webhook.py`). Nothing here
holds up the loop, and every buffer has an end: what does not fit is dropped, logged and counted. Rules:
k8s.io/apiserver `plugin/pkg/audit/buffered` and `truncate`; flags `--audit-log-mode` and the like.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from kijabi.api import codec
from kijabi.api.audit.event import API_VERSION, Event
from kijabi.api.struct import NO_JSON
from kijabi.apiserver.audit.counts import Counts
from kijabi.base import clock
from kijabi.base.errors import KijabiError

log = logging.getLogger(__name__)

HEAD = f'{{"kind":"Event","apiVersion":"{API_VERSION}",'.encode()  # what an event begins with that stands alone
MAX_UNDER_WAY = 32  # batches being delivered at once; more wait in the buffer
TRUNCATED = {"audit.k8s.io/truncated": "true"}


class Undelivered(KijabiError):
    """The events are not where they belong."""


class Entry(NamedTuple):
    """An event and its JSON as it stands in a list, made once for all sinks."""

    event: Event
    data: bytes

    @property
    def line(self) -> bytes:
        """The event by itself, as a line."""
        return HEAD + self.data[1:] + b"\n"


def entry(event: Event) -> Entry:
    """An event, encoded."""
    return Entry(event, codec.encode_part(event))


class Delivery(Protocol):
    """A place where events go."""

    name: str

    async def deliver(self, entries: Sequence[Entry]) -> None:
        """Returns when they are there. Raises Undelivered."""
        ...

    async def close(self) -> None:
        """No more events come; returns when those that came are there."""
        ...


class Sink(Protocol):
    """Takes events, one at a time."""

    async def take(self, entry: Entry) -> bool:
        """Whether the request may go on: False only where the event had to be kept and was not."""
        ...

    async def run(self) -> None:
        """The sink's own work, until cancelled."""
        ...

    async def close(self) -> None:
        """Deliver what is left."""
        ...


class Blocking:
    """A request waits until its event has been delivered. strict: and fails if that fails."""

    def __init__(self, delivery: Delivery, counts: Counts, *, strict: bool) -> None:
        self._delivery = delivery
        self._counts = counts
        self._strict = strict

    async def take(self, entry: Entry) -> bool:
        """See Sink."""
        try:
            await self._delivery.deliver((entry,))
        except Undelivered as error:
            lost(self._counts, self._delivery.name, 1, error)
            return not self._strict
        return True

    async def run(self) -> None:
        """See Sink: there is nothing to do."""

    async def close(self) -> None:
        """See Sink."""
        await self._delivery.close()


class Throttle:
    """So many turns a second, and a few at once after a pause."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate, self._burst = rate, burst
        self._left = float(burst)
        self._since = clock.monotonic()

    async def turn(self) -> None:
        """Wait for the next one."""
        now = clock.monotonic()
        self._left = min(self._burst, self._left + (now - self._since) * self._rate) - 1
        self._since = now
        if self._left < 0:
            await asyncio.sleep(-self._left / self._rate)


class Batching:
    """Events wait in a buffer until there are enough of them, or the first has waited long enough.

    size: events that may wait; batch and longest: events and seconds that make a batch. at_once: batches being
    delivered at the same time.
    """

    def __init__(
        self, delivery: Delivery, counts: Counts, *, size: int, batch: int, longest: float,
        throttle: Throttle | None, at_once: int,
    ) -> None:  # fmt: skip
        self._delivery = delivery
        self._counts = counts
        self._size, self._batch, self._longest = size, batch, longest
        self._throttle = throttle
        self._turns = asyncio.Semaphore(at_once)
        self._buffer: deque[Entry] = deque()
        self._some, self._enough = asyncio.Event(), asyncio.Event()

    async def take(self, entry: Entry) -> bool:
        """See Sink: it never waits."""
        buffer = self._buffer
        if len(buffer) >= self._size:
            lost(self._counts, "buffered", 1, "audit buffer queue blocked")
            return True
        buffer.append(entry)
        self._some.set()
        if len(buffer) >= self._batch:
            self._enough.set()
        return True

    async def run(self) -> None:
        """See Sink."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._gathered()
                if self._throttle is not None:
                    await self._throttle.turn()
                await self._turns.acquire()
                tasks.create_task(self._deliver(self._take_batch()), name="audit batch")

    async def _gathered(self) -> None:
        """Wait for a batch."""
        if not self._buffer:
            self._some.clear()
            await self._some.wait()
        if len(self._buffer) >= self._batch:
            return
        self._enough.clear()
        try:
            async with asyncio.timeout(self._longest):
                await self._enough.wait()
        except TimeoutError:
            return  # it goes as it is

    def _take_batch(self) -> list[Entry]:
        return [self._buffer.popleft() for _ in range(min(self._batch, len(self._buffer)))]

    async def _deliver(self, entries: list[Entry]) -> None:
        try:
            await self._delivery.deliver(entries)
        except Undelivered as error:
            lost(self._counts, self._delivery.name, len(entries), error)
        except asyncio.CancelledError:
            self._buffer.extendleft(reversed(entries))  # `close` tries once more
            raise
        finally:
            self._turns.release()

    async def close(self) -> None:
        """See Sink. Whoever calls it sets the time."""
        try:
            while self._buffer:
                await self._deliver(self._take_batch())
        finally:
            if self._buffer:
                lost(self._counts, self._delivery.name, len(self._buffer), "the server was stopped")
        await self._delivery.close()


class Truncating:
    """Events longer than `most` bytes go without their bodies; those that still are, not at all."""

    def __init__(self, sink: Sink, counts: Counts, most: int) -> None:
        self._sink = sink
        self._counts = counts
        self._most = most
        self.run, self.close = sink.run, sink.close

    async def take(self, entry: Entry) -> bool:
        """See Sink."""
        fitting = fitted(entry, self._most)
        if fitting is None:
            lost(self._counts, "truncate", 1, "event is too large even after truncating")
            return True
        return await self._sink.take(fitting)


def fitted(whole: Entry, most: int) -> Entry | None:
    """An event within a number of bytes: whole, without the bodies of its request and answer, or not at all."""
    if len(whole.line) <= most:
        return whole
    if whole.event.level == "Metadata":
        return None
    event = msgspec.structs.replace(
        whole.event, requestObject=NO_JSON, responseObject=NO_JSON,
        annotations={**whole.event.annotations, **TRUNCATED},
    )  # fmt: skip
    shorter = entry(event)
    return shorter if len(shorter.line) <= most else None


def lost(counts: Counts, part: str, events: int, reason: object) -> None:
    """Events will not be recorded: count them and say so."""
    counts.failed(part, events)
    log.error("audit events lost", extra={"part": part, "events": events, "reason": str(reason)})
