"""The objects of a custom resource as one version shows them: a cache beside that of the stored ones, kept level.

Lists and watches of a version are answered from its View (`routes.View`), so history, selectors and forms work on what
clients see. It is empty until somebody opens it. Then it takes what is stored, and follows: an event is applied at
once, or, where a webhook must convert the object, in its turn, in the order in which things happened. When a conversion
fails all watches end, whoever waits gets the error, and the next who asks begins anew.

    Closed → Filling → Level ↺ → Closed (a failure, or the stored objects were lost sight of)
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from kijabi.api import status
from kijabi.api.custom import Custom
from kijabi.apiserver.crd.rendering import Rendering
from kijabi.apiserver.watchcache import Cache, Caches, Event, Item
from kijabi.base.errors import ApiError

log = logging.getLogger(__name__)

SLICE = 100  # items taken at once while filling, so that other requests get their turn
MAX_QUEUED = 16_384  # events that wait for a webhook; with more, it begins anew
MAX_BATCH = 200  # events whose objects are converted by one request
MAX_OWN = 1_024  # objects that are remembered on their way to the store
REPLAYED = 1_000  # events of the past that a new view knows, for watches that resume

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class VersionView:
    """See routes.View. spawn: starts a task that ends with the server."""

    def __init__(self, source: Cache, rendering: Rendering, caches: Caches, spawn: Spawn) -> None:
        self.source = source
        self.cache = Cache(rendering.version.resource)
        self._rendering = rendering
        self._caches = caches
        self._spawn = spawn
        self._level = False
        self._busy = False  # a task is filling or applying
        self.ended = False
        self._last = asyncio.Lock()
        self._own: dict[int, Custom] = {}  # objects on their way to the store, by identity
        self._round = 0  # counts beginnings: what belongs to an earlier one is dropped
        self._applied = 0
        self._queue: deque[Event] = deque()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        source.followers.append(self)

    # For the registry and the read path: routes.View

    @property
    def revision(self) -> int:
        """See routes.View."""
        return self._applied if self._queue or not self._level or self.ended else self._caches.revision

    async def open(self) -> int:
        """See routes.View. Raises ConversionError."""
        while not self.ended:
            target = self.source.changed
            if self._level and not self._queue:
                return self.revision
            if self._level and self._applied >= target:
                return self._applied
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((target, waiter))
            if not self._busy:
                self._start()
            await waiter
        async with self._last:  # the definition has just changed: who came before that gets what there is now
            await self._fill(self._round)
        return self._applied

    async def items(self, stored: Sequence[Item]) -> list[Item]:
        """See routes.View. What the cache has need not be made again."""
        if len(stored) == 1 and self._level:
            shown = self.cache.get(stored[0].key)
            if shown is not None and shown.revision == stored[0].revision:
                return [shown]
        return await self._rendering.items(stored, listed=len(stored) != 1)

    async def stored(self, obj: Custom) -> Custom:
        """See routes.View. What is stored as it is needs no rendering when it comes back as an event."""
        target = await self._rendering.stored(obj)
        if target is obj and self._level:
            if len(self._own) >= MAX_OWN:
                self._own.clear()
            self._own[id(obj)] = obj
        return target

    # For the cache of stored objects: watchcache.Follower

    def offer(self, event: Event) -> None:
        """See Follower."""
        if not (self._level or self._busy):
            return
        if self._level and not self._queue:
            try:
                new = self._at_once(event.new) if event.new is not None else None
            except ApiError as error:
                self._fail(error)
                return
            except Exception:  # one resource's failure is not that of all caches
                log.exception("%s cannot be shown", self.cache.resource.qualified)
                self._fail(status.internal("the objects cannot be shown in this version"))
                return
            if event.new is None or new is not None:
                self._apply(event, new)
                return
        if len(self._queue) >= MAX_QUEUED:
            self.reset()
            return
        self._queue.append(event)
        if self._level and not self._busy:
            self._start()

    def _at_once(self, item: Item) -> Item | None:
        return item if self._own.pop(id(item.obj), None) is item.obj else self._rendering.at_once(item)

    def reset(self) -> None:
        """See Follower: begin anew when somebody asks; those who wait begin it at once."""
        self._forget()
        waiting, self._waiters = self._waiters, []
        for _, waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def end(self) -> None:
        """The version is served no more, or otherwise: end its watches and let everything go."""
        self.ended = True
        self.reset()
        if self in self.source.followers:
            self.source.followers.remove(self)

    # How

    def _start(self) -> None:
        self._busy = True
        self._spawn(self._work(self._round), f"{self.cache.resource.qualified}/{self.cache.resource.version}")

    async def _work(self, began: int) -> None:
        """Fill if need be, then apply what waits, until nothing does."""
        try:
            if not self._level:
                await self._fill(began)
            while self._queue and began == self._round:
                await self._advance(began)
        except ApiError as error:
            if began == self._round:
                self._fail(error)
        except Exception:  # one resource's failure is not the server's: whoever waits is told
            log.exception("%s cannot be shown", self.cache.resource.qualified)
            if began == self._round:
                self._fail(status.internal("the objects cannot be shown in this version"))
        finally:
            if began == self._round:
                self._busy = False

    async def _fill(self, began: int) -> None:
        """Take everything that is stored; events meanwhile wait."""
        source = self.source
        base, floor = self._caches.revision, source.floor
        stored = list(source.items.values())
        past = list(source.history)
        self._queue.clear()
        self.cache.clear(source.changed)
        made: dict[int, Item] = {}  # by the identity of the stored item, which is kept alive by `stored` or `past`
        for start in range(0, len(stored), SLICE):
            part = stored[start : start + SLICE]
            shown = await self._rendering.items(part, listed=True)
            if began != self._round:
                return
            for item, one in zip(part, shown, strict=True):
                self.cache.put(one)
                made[id(item)] = one
            await asyncio.sleep(0)
        history, oldest = await self._replay(past, made)
        if began != self._round:
            return
        self.cache.history = history
        self.cache.floor = floor if len(history) == len(past) else oldest
        self._applied = base
        self._level = True
        self._wake()

    async def _replay(self, past: list[Event], made: dict[int, Item]) -> tuple[deque[Event], int]:
        """The recent past as far back as no webhook is needed for it, and the revision that it begins after."""
        known: deque[Event] = deque()
        oldest = self.cache.floor
        for event in reversed(past[-REPLAYED:]):
            sides = [self._side(item, made) for item in (event.old, event.new)]
            if (event.old is not None and sides[0] is None) or (event.new is not None and sides[1] is None):
                break
            known.appendleft(Event(event.revision, event.time, sides[0], sides[1], {}))
            oldest = event.revision - 1
            if len(known) % SLICE == 0:
                await asyncio.sleep(0)
        return known, oldest

    def _side(self, item: Item | None, made: dict[int, Item]) -> Item | None:
        """An item of the past as it is shown; None if there is none, or showing it takes a webhook, or cannot be."""
        if item is None:
            return None
        try:
            shown = made.get(id(item)) or self._rendering.at_once(item)
        except ApiError:  # of a version that there is no more
            return None
        if shown is not None:
            made[id(item)] = shown
        return shown

    async def _advance(self, began: int) -> None:
        """Convert the objects of the first waiting events together, then apply these in order."""
        batch = [event for event, _ in zip(self._queue, range(MAX_BATCH), strict=False)]
        items = [event.new for event in batch if event.new is not None]
        shown = iter(await self._rendering.items(items, listed=len(items) != 1) if items else ())
        if began != self._round:
            return
        for event in batch:
            self._queue.popleft()
            self._apply(event, next(shown) if event.new is not None else None)
        self._wake()

    def _apply(self, event: Event, new: Item | None) -> None:
        key = (event.new or event.old).key  # type: ignore[union-attr]
        old = self.cache.put(new) if new is not None else self.cache.pop(key)
        self._applied = event.revision
        if old is not None or new is not None:
            self.cache.publish(Event(event.revision, event.time, old, new, {}))

    def _wake(self) -> None:
        waiting, self._waiters = self._waiters, []
        for target, waiter in waiting:
            if target > self._applied and self._queue:
                self._waiters.append((target, waiter))
            elif not waiter.done():
                waiter.set_result(None)

    def _fail(self, error: ApiError) -> None:
        log.warning("%s cannot be shown: %s", self.cache.resource.qualified, error)
        waiting, self._waiters = self._waiters, []
        self._forget()
        for _, waiter in waiting:
            if not waiter.done():
                waiter.set_exception(error)

    def _forget(self) -> None:
        self._round += 1
        self._level = self._busy = False
        self._queue.clear()
        self._own.clear()
        self.cache.cut_watchers()
        self.cache.clear(self._caches.revision)
