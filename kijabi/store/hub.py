"""One dispatcher for all watchers: who hears of which write.

A store hands each applied batch of events to `Hub.publish`; each watcher under whose prefix a key lies gets
it into a bounded backlog and is woken once. `Store.watch` is a loop over `Watcher.next`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from kijabi.store.interface import Compacted, Event

# Events that a watcher may be behind; one further and it is cut off with Compacted and has to range again.
MAX_BACKLOG = 10_000


class Watcher:
    """One watch: what it has not taken yet, and the future that wakes it."""

    __slots__ = ("after", "backlog", "closed", "cut", "limit", "prefix", "waiter")

    def __init__(self, prefix: str, after: int, limit: int) -> None:
        self.prefix = prefix
        self.after = after
        self.limit = limit
        self.backlog: list[Event] = []
        self.waiter: asyncio.Future[None] | None = None
        self.cut = 0  # the revision at which the backlog overflowed, 0 if it has not
        self.closed = False

    def push(self, event: Event) -> None:
        """Take one event; never blocks, and past the limit drops everything and remembers that it did."""
        if event.revision <= self.after or self.cut:
            return
        self.backlog.append(event)
        if len(self.backlog) > self.limit:
            self.backlog.clear()
            self.cut = event.revision
        self.wake()

    def wake(self) -> None:
        """Let `next` look again."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def next(self) -> tuple[Event, ...]:
        """All events since the last call, at least one; empty when the store was closed. Raises Compacted."""
        while not self.backlog:
            if self.cut:
                raise Compacted(self.cut)
            if self.closed:
                return ()
            self.waiter = asyncio.get_running_loop().create_future()
            try:
                await self.waiter
            finally:
                self.waiter = None
        batch = tuple(self.backlog)
        self.backlog.clear()
        return batch


class Hub:
    """Watchers by prefix. An event costs one look-up per distinct prefix length, however many watch."""

    def __init__(self, limit: int = MAX_BACKLOG) -> None:
        self._limit = limit
        self._by_prefix: dict[str, dict[Watcher, None]] = {}
        self._lengths: tuple[int, ...] = ()
        self._closed = False

    def __len__(self) -> int:
        return sum(map(len, self._by_prefix.values()))

    def add(self, prefix: str, after: int, replay: Iterable[Event]) -> Watcher:
        """A watcher that starts with `replay`, the history after `after`, whatever the backlog limit."""
        watcher = Watcher(prefix, after, self._limit)
        watcher.backlog.extend(event for event in replay if event.key.startswith(prefix))
        watcher.closed = self._closed
        self._by_prefix.setdefault(prefix, {})[watcher] = None
        self._index()
        return watcher

    def remove(self, watcher: Watcher) -> None:
        """Forget a watcher."""
        group = self._by_prefix[watcher.prefix]
        del group[watcher]
        if not group:
            del self._by_prefix[watcher.prefix]
            self._index()

    def _index(self) -> None:
        self._lengths = tuple(sorted({len(prefix) for prefix in self._by_prefix}))

    def publish(self, events: Sequence[Event]) -> None:
        """Hand events, in order, to those who watch their keys."""
        groups = self._by_prefix
        for event in events:
            key = event.key
            for length in self._lengths:
                for watcher in groups.get(key[:length], ()):
                    watcher.push(event)

    def close(self) -> None:
        """End every watch once it has delivered what it holds."""
        self._closed = True
        for group in self._by_prefix.values():
            for watcher in group:
                watcher.closed = True
                watcher.wake()
