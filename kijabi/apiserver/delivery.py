"""Events on their way to watchers: to a few at once, to thousands a few at a time.

A `watchcache.Cache` publishes here; `watch.Watcher.offer` takes. Offering an event costs some microseconds for each
watcher, and a write that thousands watch must not hold up everybody else. The order is kept: while one event is on its
way, those after it wait. A watcher that comes meanwhile knows after which revision it wants to hear (`Watcher.after`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kijabi.apiserver.watch import Watcher
    from kijabi.apiserver.watchcache import Event

AT_ONCE = 256  # watchers that are offered an event before others have a turn


class Delivery:
    """Of one cache."""

    __slots__ = ("_queue",)

    def __init__(self) -> None:
        self._queue: deque[tuple[Event, Iterator[Watcher]]] = deque()

    def send(self, event: Event, watchers: list[Watcher]) -> None:
        """Offer an event to watchers, after all events before it."""
        if not self._queue and len(watchers) <= AT_ONCE:
            for watcher in watchers:
                watcher.offer(event)
            event.frames.clear()
            return
        self._queue.append((event, iter(watchers)))
        if len(self._queue) == 1:
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        queue, left = self._queue, AT_ONCE
        try:
            while queue and left:
                event, watchers = queue[0]
                some = list(islice(watchers, left))
                for watcher in some:
                    watcher.offer(event)
                if len(some) < left:
                    queue.popleft()
                    event.frames.clear()
                left -= len(some)
        finally:
            if queue:
                asyncio.get_running_loop().call_soon(self._step)

    def reached(self, revision: int) -> int:
        """Up to which revision everything has been offered to everybody, if `revision` is what the cache has."""
        return min(revision, self._queue[0][0].revision - 1) if self._queue else revision
