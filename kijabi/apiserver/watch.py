"""One watch: what it selects, the encoded events it has not yet taken, and how it ends.

`reading.py` makes a Watcher and attaches it to a `watchcache.Cache`, which offers it every event that may concern it;
whoever answers the client takes bytes out: `http.py` straight into the transport, a simulation through
`WatchAnswer.chunks`. A watcher that does not take is cut when its bounds are reached; the client then resumes from
the last resourceVersion that it saw, or lists again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import msgspec

from kijabi.api.resource import Resource
from kijabi.api.selector import FieldSelector, Selector
from kijabi.apiserver import framing
from kijabi.base import rand

if TYPE_CHECKING:
    from kijabi.apiserver.forms import Form
    from kijabi.apiserver.watchcache import Cache, Event, Item

MAX_PENDING_EVENTS = 16_384
MAX_PENDING_BYTES = 64 * 1024 * 1024
CHUNK = 64 * 1024  # bytes taken at once
SKIPPED = 256  # objects that are not meant, after which somebody else has a turn
BOOKMARK_SECONDS = 60.0
LAST_BOOKMARK = 2.0  # seconds before the end of the watch
_SPACE = "metadata.namespace"
MIN_TIMEOUT = 1800.0  # seconds; without timeoutSeconds a watch lasts up to twice this, at random


class Selection:
    """Which objects of a resource are meant: a namespace, and label and field selectors."""

    __slots__ = ("bucket", "exact_name", "fields", "labels", "namespace", "predicate")

    def __init__(self, served: Resource, cache: Cache, namespace: str, labels: Selector, fields: FieldSelector) -> None:
        """Raises BadRequest for a field that the served resource cannot be selected by."""
        self.namespace = namespace
        self.labels = None if labels.everything else labels
        self.predicate = None if fields.everything else predicate(served, cache, fields)
        self.fields = fields
        self.exact_name = fields.exact("metadata.name") or ""
        self.bucket = self._bucket(cache)

    def _bucket(self, cache: Cache) -> tuple[str, str]:
        """The narrowest of the cache's buckets that has every event of this selection."""
        if self.exact_name and (self.namespace or not cache.resource.namespaced):
            key = f"{self.namespace}/{self.exact_name}" if self.namespace else self.exact_name
            return ("metadata.name", key)
        for field in cache.getters:
            value = self.fields.exact(field)
            if value is not None:
                return (field, value)
        return (_SPACE, self.namespace) if self.namespace else ("", "")

    @property
    def everything(self) -> bool:
        """Whether no selector restricts the namespace's (or all) objects."""
        return self.labels is None and self.predicate is None

    def matches(self, item: Item) -> bool:
        """Whether an item is among them."""
        if self.namespace and item.namespace != self.namespace:
            return False
        if self.labels is not None and not self.labels.matches(item.obj.metadata.labels):
            return False
        return self.predicate is None or self.predicate(item.obj)

    @property
    def test(self) -> Callable[[Item], bool] | None:
        """What is left to test of the candidates that `of` gives; None: nothing."""
        if self.labels is not None and self.predicate is None and self.bucket in (("", ""), (_SPACE, self.namespace)):
            labels = self.labels.test()
            return lambda item: labels(item.obj.metadata.labels)
        return None if self.everything else self.matches

    def of(self, cache: Cache, after: str = "") -> Iterator[Item]:
        """The cache's items of this moment in key order from which to choose, from the first key >= `after`."""
        field, value = self.bucket
        if field == "metadata.name":
            item = cache.get(value)
            return iter((item,) if item is not None and item.key >= after else ())
        if field in cache.getters:
            indexed = (item for item in cache.index(field, value) if item.key >= after)
            return iter(sorted(indexed, key=lambda item: item.key))
        return cache.range(self.namespace, after)


def predicate(served: Resource, cache: Cache, fields: FieldSelector) -> Callable[[Any], bool]:
    """The test of a field selector for stored objects, in the terms of the version that is served."""
    test = fields.predicate(served)
    down = served.down
    if served is cache.resource or down is None:
        return test
    return lambda obj: test(down(obj))


class Watcher:
    """The events that one client waits for, encoded, in order."""

    def __init__(self, cache: Cache, selection: Selection, form: Form, progress: Callable[[], int]) -> None:
        """progress: the revision up to which all events have been offered; bookmarks carry it."""
        self.cache = cache
        self.selection = selection
        self.form = form
        self.progress = progress
        self.bucket = selection.bucket
        self.plain = selection.everything
        self.frames: deque[bytes] = deque()
        self.pending = 0  # bytes in frames
        self.initial: Iterator[bytes] | None = None
        self.seen = 0  # revision up to which everything has been offered
        self.after = 0  # revision up to which nothing more is wanted; it may be still to come
        self.first = True
        self.ended = False
        self.slow = False
        self.ready: Callable[[], None] | None = None
        self.begun: Callable[[], None] | None = None  # told when the initial state has been taken, or never will be
        self.closed: list[Callable[[], None]] = []  # who want to know of the end
        self._timers: list[asyncio.TimerHandle] = []

    # In: from the cache

    def offer(self, event: Event) -> None:
        """Queue an event if it concerns this watch, as what it means under the selection."""
        if self.ended or event.revision <= self.after:
            return
        old, new = event.old, event.new
        if not self.plain:
            match = self.selection.matches
            old = old if old is not None and match(old) else None
            new = new if new is not None and match(new) else None
        self.seen = event.revision
        if new is not None:
            kind = "ADDED" if old is None else "MODIFIED"
        elif old is not None:
            kind, new = "DELETED", old
        else:
            return
        self.push(self._frame(event, kind, new))

    def _frame(self, event: Event, kind: str, item: Item) -> bytes:
        key = (self.form.key, kind, self.first)
        frame = event.frames.get(key)
        if frame is None:
            frame = self.form.frame(kind, item, event.revision, self.first)
            event.frames[key] = frame
        self.first = False
        return frame

    def push(self, frame: bytes) -> None:
        """Queue one encoded event; cut the watch if its client has taken too little for too long."""
        if len(self.frames) >= MAX_PENDING_EVENTS or self.pending > MAX_PENDING_BYTES:
            self.slow = True
            self.frames.clear()
            self.close()
            return
        self.frames.append(frame)
        self.pending += len(frame)
        if self.ready is not None:
            self.ready()

    def begin(self, items: Iterator[Item], revision: int, bookmark: bool) -> None:
        """Start with the current state: an ADDED for each item that is meant and, if asked for, the bookmark that ends
        them. The items must be those of one moment; they are looked at when their events are taken."""
        self.seen = revision
        near, test = list(islice(items, SKIPPED)), self.selection.test
        self.first = not (near if test is None else any(map(test, near)))
        self.initial = self._state(chain(near, items), revision, bookmark)

    def _state(self, items: Iterator[Item], revision: int, bookmark: bool) -> Iterator[bytes]:
        """The events; b"" now and then where there are none for long."""
        test, skipped, first = self.selection.test, 0, True
        for item in items:
            if test is None or test(item):
                yield self.form.frame("ADDED", item, item.revision, first)
                first = False
            else:
                skipped += 1
                if skipped % SKIPPED == 0:
                    yield b""
        if bookmark:
            yield self.form.bookmark(revision, initial_end=True)

    # Out: to the client

    def take(self, limit: int = CHUNK) -> bytes:
        """Up to about `limit` bytes of events, in order; b"" if there are none now, though there may be `more`."""
        size, taken = 0, []
        if self.initial is not None:
            for frame in self.initial:
                taken.append(frame)
                size += len(frame)
                if size >= limit or not frame:
                    return b"".join(taken)
            self._initial_over()
        frames = self.frames
        while frames and size < limit:
            frame = frames.popleft()
            self.pending -= len(frame)
            size += len(frame)
            taken.append(frame)
        return taken[0] if len(taken) == 1 else b"".join(taken)

    @property
    def more(self) -> bool:
        """Whether `take` would give something."""
        return self.initial is not None or bool(self.frames)

    # Its life

    def schedule(self, timeout: float, bookmarks: bool, least: float = MIN_TIMEOUT) -> None:
        """Set the timers: the end after `timeout` seconds (0: from `least` to twice that), bookmarks until then."""
        loop = asyncio.get_running_loop()
        if timeout <= 0:
            timeout = least * (1 + rand.rng().random())
        self._timers.append(loop.call_later(timeout, self.close))
        if bookmarks and timeout > LAST_BOOKMARK:
            self._timers.append(self._next_bookmark(loop.time() + (timeout - LAST_BOOKMARK)))

    def _next_bookmark(self, last: float) -> asyncio.TimerHandle:
        """The timer of the next bookmark; the one that comes at `last` has none after it."""
        loop = asyncio.get_running_loop()
        due = min(loop.time() + BOOKMARK_SECONDS * (0.75 + 0.25 * rand.rng().random()), last)
        return loop.call_at(due, self._tick, due, last)

    def _tick(self, due: float, last: float) -> None:
        self._bookmark()
        if due < last:
            self._timers[-1] = self._next_bookmark(last)

    def _bookmark(self) -> None:
        """Tell the client how far it is: everything up to the cache's revision has been offered."""
        if not self.ended and self.initial is None:
            self.push(self.form.bookmark(max(self.progress(), self.after), initial_end=False))

    def close(self) -> None:
        """End the watch: no more events; what is queued may still be taken. Idempotent."""
        if self.ended:
            return
        self.ended = True
        for timer in self._timers:
            timer.cancel()
        self.cache.detach(self)
        for told in (self.ready, self.begun, *self.closed):
            if told is not None:
                told()

    def _initial_over(self) -> None:
        self.initial = None
        if self.begun is not None:
            self.begun()


class WatchAnswer(msgspec.Struct, kw_only=True):
    """The answer to a watch. Use `chunks` once, or drive `watcher` directly; close the watcher when done."""

    watcher: Watcher
    status: int = 200
    headers: dict[str, str] = msgspec.field(default_factory=dict)

    async def chunks(self, limit: int = CHUNK) -> AsyncIterator[bytes]:
        """Events as they come, several at once if they wait, until the watch ends."""
        wake = asyncio.Event()
        self.watcher.ready = wake.set
        try:
            while True:
                data = self.watcher.take(limit)
                if data:
                    yield data
                elif self.watcher.more:
                    await asyncio.sleep(0)
                elif self.watcher.ended:
                    return
                else:
                    wake.clear()
                    await wake.wait()
        finally:
            self.watcher.close()

    async def events(self) -> AsyncIterator[bytes]:
        """As `chunks`, one event at a time, without what tells one from the next in a stream of bytes."""
        media = self.watcher.form.media
        async for data in self.chunks(1):
            yield framing.alone(media, data)
