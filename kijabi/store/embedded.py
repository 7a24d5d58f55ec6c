"""The durable store in one process: the timeline in memory behind a journal on disk, with group commit.

The default engine of the API server. Reads never touch the disk. A write is checked and numbered at once,
against what is pending too; all writes that come while the disk is busy share the next sync, which runs in a
thread, so that the event loop never waits for it. Only then do they become visible, are acknowledged and
reach watchers.

A failing disk ends it: nothing more is acknowledged, every pending and later write raises StoreClosed, reads
too, and the process has to open the file anew to learn what reached it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Self

import lmdb

from kijabi.store.hub import MAX_BACKLOG
from kijabi.store.interface import Entry, Event, Guard, Op, StoreClosed, Txn
from kijabi.store.journal import MAX_FILE, Journal, Loaded
from kijabi.store.memory import MemoryStore
from kijabi.store.timeline import Retention, changes, refused

# One batch holds at most so many writes, so many bytes of values and drops so many old records: the loop puts
# them into LMDB's memory itself, a few microseconds each, and does other things between batches.
BATCH_WRITES = 256
BATCH_BYTES = 4 << 20
BATCH_GARBAGE = 128
# Writes that may wait for the disk; the next ones wait before they are checked.
MAX_PENDING = 16_384


class _Write(NamedTuple):
    """A numbered write that waits for the disk; without events it waits only for those before it."""

    events: tuple[Event, ...]
    done: asyncio.Future[None]


class EmbeddedStore(MemoryStore):
    """A durable `Store` in a directory, for one process at a time. `EmbeddedStore.open(path)` makes one."""

    def __init__(self, journal: Journal, loaded: Loaded, retention: Retention | None, max_backlog: int) -> None:
        super().__init__(retention, max_backlog=max_backlog)
        live, history, garbage, revision, compacted = loaded
        self._timeline.restore(live, history, revision, compacted)
        self._journal = journal
        self._head = revision  # the newest revision given out
        self._staged: dict[str, Event] = {}  # the newest event of each key that is not acknowledged yet
        self._waiting: deque[_Write] = deque()
        self._garbage: deque[tuple[int, str]] = deque(garbage)  # records that nothing needs any more
        self._marked = compacted  # the compacted revision as the file has it
        self._busy = False  # a batch is scheduled or on its way to the disk
        self._failed = False
        self._closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-sync")
        self._forget(self._timeline.overdue())

    @classmethod
    def open(
        cls,
        path: Path | str,
        retention: Retention | None = None,
        *,
        max_backlog: int = MAX_BACKLOG,
        max_bytes: int = MAX_FILE,
    ) -> Self:
        """Open the store in a directory, or make it. Reads the whole file, blocking: call it at start.

        Raises ConfigError where another process has it open (it says which) or the file cannot be used.
        """
        journal = Journal(Path(path), max_bytes=max_bytes)
        try:
            return cls(journal, journal.load(), retention, max_backlog)
        except BaseException:
            journal.close()
            raise

    async def txn(self, guards: Sequence[Guard], ops: Sequence[Op]) -> Txn:
        """See `Store`."""
        while len(self._waiting) >= MAX_PENDING:
            await self._settled()
        self._check_writable()
        if refused(guards, self._look):
            # What refused it may be pending: it must not be shown before it is durable.
            current = tuple(self._look(guard.key) for guard in guards)
            await self._settled()
            return Txn(False, self._timeline.revision, current)
        events = changes(ops, self._head + 1, self._look)
        if not events:
            await self._settled()
            return Txn(True, self._timeline.revision)
        revision = self._head = events[0].revision
        for event in events:
            self._staged[event.key] = event
        await self._enqueue(events)
        return Txn(True, revision)

    async def compact(self, revision: int) -> None:
        """See `Store`; returns when the file has forgotten too."""
        self._check_writable()
        await super().compact(revision)
        while self._untidy():
            self._check_writable()
            self._kick()
            await self._settled()

    async def close(self) -> None:
        """See `Store`."""
        if not self._closing:
            self._closing = True
            if not self._failed and self._busy:
                await self._settled()
            await super().close()
            await asyncio.get_running_loop().run_in_executor(self._thread, self._journal.close)
            self._thread.shutdown(wait=False)

    def _look(self, key: str) -> Entry | None:
        """The entry as the newest write left it, durable or not."""
        staged = self._staged.get(key)
        return staged.entry if staged is not None else self._timeline.live.get(key)

    def _check_writable(self) -> None:
        self._check_open()
        if self._closing:
            raise StoreClosed("the store is being closed")

    def _untidy(self) -> bool:
        """Whether the file still holds what was compacted."""
        return bool(self._garbage) or self._marked < self._timeline.compacted

    def _forget(self, revision: int) -> None:
        if revision:
            self._garbage.extend(self._timeline.compact(revision))

    async def _settled(self) -> None:
        """Wait until everything numbered so far is durable."""
        if self._busy:
            await self._enqueue(())

    def _enqueue(self, events: tuple[Event, ...]) -> asyncio.Future[None]:
        write = _Write(events, asyncio.get_running_loop().create_future())
        self._waiting.append(write)
        self._kick()
        return write.done

    def _kick(self) -> None:
        """See that a batch begins, with all that this turn of the loop still brings."""
        if not self._busy:
            self._busy = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Put the next batch into LMDB's memory and send it to the disk."""
        if self._failed:
            return
        batch = self._next_batch()
        tidying = self._untidy()
        if not batch and not tidying:
            self._busy = False
            return
        garbage = [self._garbage.popleft() for _ in range(min(BATCH_GARBAGE, len(self._garbage)))]
        try:
            self._journal.begin()
            for write in batch:
                self._journal.put(write.events)
            if tidying:
                self._journal.drop(garbage, self._timeline.compacted)
                self._marked = self._timeline.compacted
        except lmdb.Error as error:
            self._fail(error, batch)
            return
        syncing = asyncio.get_running_loop().run_in_executor(self._thread, self._journal.commit)
        syncing.add_done_callback(lambda sync: self._synced(batch, sync))

    def _next_batch(self) -> list[_Write]:
        while self._waiting and not self._waiting[0].events:
            _answer(self._waiting.popleft().done)  # All before it are durable.
        batch: list[_Write] = []
        size = 0
        while self._waiting and len(batch) < BATCH_WRITES and size < BATCH_BYTES:
            write = self._waiting.popleft()
            batch.append(write)
            size += sum(len(entry.value) for _, _, entry, _ in write.events if entry is not None)
        return batch

    def _synced(self, batch: list[_Write], sync: asyncio.Future[None]) -> None:
        """The batch is on disk, or never will be: show and acknowledge it, and go on with the next."""
        error = sync.exception()
        if error is not None:
            self._fail(error, batch)
            return
        timeline, staged = self._timeline, self._staged
        for events, done in batch:
            if events:
                timeline.apply(events)
                for event in events:
                    if staged.get(event.key) is event:
                        del staged[event.key]
            _answer(done)
        self._forget(timeline.overdue())
        self._begin()

    def _fail(self, error: BaseException, batch: list[_Write]) -> None:
        """The disk failed: acknowledge nothing from here on."""
        self._failed = True
        self._journal.abort()
        why = f"the store {self._journal.path} cannot write: {error}"
        self._closed = self._closed or StoreClosed(why)
        self._closed.__cause__ = error
        for write in (*batch, *self._waiting):
            if not write.done.done():
                write.done.set_exception(StoreClosed(why))
        self._waiting.clear()
        self._staged.clear()
        self._timeline.hub.close()


def _answer(done: asyncio.Future[None]) -> None:
    if not done.done():  # Its caller may have given up.
        done.set_result(None)
