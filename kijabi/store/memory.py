"""The store in memory: for tests and the simulation, and the reading half of the embedded engine.

The API server reads and writes here through `store/interface.py`. A write counts at once and nothing survives
the process; `embedded` is the same thing with a journal in front of `apply`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from kijabi.base import clock
from kijabi.store.hub import MAX_BACKLOG
from kijabi.store.interface import Entry, Event, Guard, Op, Range, StoreClosed, Txn
from kijabi.store.timeline import Retention, Timeline, changes, refused


class MemoryStore:
    """A `Store` that forgets everything when it is closed."""

    def __init__(self, retention: Retention | None = None, *, max_backlog: int = MAX_BACKLOG) -> None:
        self._timeline = Timeline(retention, max_backlog=max_backlog)
        self._closed: StoreClosed | None = None

    @property
    def revision(self) -> int:
        """See `Store`."""
        return self._timeline.revision

    @property
    def compacted(self) -> int:
        """See `Store`."""
        return self._timeline.compacted

    async def get(self, key: str) -> Entry | None:
        """See `Store`."""
        self._check_open()
        return self._timeline.live.get(key)

    async def range(self, start: str, end: str, *, revision: int = 0, limit: int = 0) -> Range:
        """See `Store`."""
        self._check_open()
        return self._timeline.range(start, end, revision, limit)

    async def outdated(self, key: str) -> bool:
        """See `Store`: values are written as they are."""
        self._check_open()
        return False

    async def txn(self, guards: Sequence[Guard], ops: Sequence[Op]) -> Txn:
        """See `Store`."""
        self._check_open()
        timeline = self._timeline
        look = timeline.live.get
        if refused(guards, look):
            return Txn(False, timeline.revision, tuple(look(guard.key) for guard in guards))
        events = changes(ops, timeline.revision + 1, look)
        if events:
            timeline.apply(events)
            self._forget(timeline.overdue())
        return Txn(True, timeline.revision)

    async def watch(self, prefix: str, after: int) -> AsyncIterator[tuple[Event, ...]]:
        """See `Store`."""
        self._check_open()
        watcher = self._timeline.watch(prefix, after)
        try:
            while batch := await watcher.next():
                yield batch
        finally:
            self._timeline.hub.remove(watcher)

    async def compact(self, revision: int) -> None:
        """See `Store`."""
        self._check_open()
        step = self._timeline.stride(revision)
        while True:
            self._forget(step)
            if step >= revision:
                return
            await asyncio.sleep(0)
            step = self._timeline.stride(revision)

    async def maintain(self) -> None:
        """See `Store`."""
        self._check_open()
        await self.compact(self._timeline.expire(clock.monotonic()))

    async def close(self) -> None:
        """See `Store`."""
        self._closed = self._closed or StoreClosed("the store was closed")
        self._timeline.hub.close()

    def _check_open(self) -> None:
        if self._closed is not None:
            raise StoreClosed(str(self._closed)) from self._closed.__cause__

    def _forget(self, revision: int) -> None:
        """Compact the history up to a revision; 0 is nothing to do."""
        if revision:
            self._timeline.compact(revision)
