"""Keyed work: each key is pending at most once and worked on by one worker at a time.

Informer handlers `add` keys; a controller's workers `get` one, reconcile it and say `done`. The semantics are
those of client-go `util/workqueue`: a key added while it is being worked on is pending again once that is
done. Its size is bounded by the number of distinct keys.
"""

from __future__ import annotations

import asyncio
from collections import deque

from kijabi.base.backoff import delay

# The first and the longest wait of `add_backoff`, in seconds (client-go's default controller rate limiter).
FIRST_BACKOFF = 0.005
MOST_BACKOFF = 1000.0


class WorkQueue:
    """A deduplicating queue of keys, with delays and back-off by key.

    key = await queue.get()
    try:
        ...
        queue.forget(key)          # it went well: the next failure waits the first back-off again
    except ApiError:
        queue.add_backoff(key)
    finally:
        queue.done(key)
    """

    def __init__(self, *, first_backoff: float = FIRST_BACKOFF, most_backoff: float = MOST_BACKOFF) -> None:
        self._first = first_backoff
        self._most = most_backoff
        self._order: deque[str] = deque()
        self._pending: set[str] = set()  # what is in _order, plus what became pending while being worked on
        self._working: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """How many keys are ready to be worked on."""
        return len(self._order)

    @property
    def waiting(self) -> int:
        """How many keys wait for their time."""
        return len(self._timers)

    def add(self, key: str) -> None:
        """Make a key pending; nothing if it is pending already."""
        if key in self._pending:
            return
        self._pending.add(key)
        if key not in self._working:
            self._ready(key)

    def add_after(self, key: str, seconds: float) -> None:
        """Make a key pending after so long; the earliest of several times counts."""
        if seconds <= 0:
            self.add(key)
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def add_backoff(self, key: str) -> None:
        """Make a key pending after a wait that doubles with each call since the last `forget`."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        self.add_after(key, delay(failures, first=self._first, most=self._most))

    def failures(self, key: str) -> int:
        """How often `add_backoff` was called for a key since the last `forget`."""
        return self._failures.get(key, 0)

    def forget(self, key: str) -> None:
        """The key went well: its back-off starts anew."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """Wait for a key and take it; `done(key)` must follow."""
        while not self._order:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif not waiter.cancelled():
                    self._wake()  # This worker was woken and cannot come: wake the next.
                raise
        key = self._order.popleft()
        self._pending.discard(key)
        self._working.add(key)
        return key

    def done(self, key: str) -> None:
        """The worker is through with a key; if it was added meanwhile, it is ready again."""
        self._working.discard(key)
        if key in self._pending:
            self._ready(key)

    def _due(self, key: str) -> None:
        del self._timers[key]
        self.add(key)

    def _ready(self, key: str) -> None:
        self._order.append(key)
        self._wake()

    def _wake(self) -> None:
        while self._waiters and self._order:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
