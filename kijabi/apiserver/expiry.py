"""Events live an hour, or as long as `--event-ttl` says, after they were last written; this task deletes them then.

`app.py` runs it beside the watch cache. Upstream gives events a lease in etcd; here the store knows no leases. Since
all live equally long, those that were written first end first: a queue in that order, moved along by the watch cache,
so that nothing is ever searched. After a restart the times that the server itself wrote into the events say when.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict

import msgspec

from kijabi.api.core.event import Event
from kijabi.api.meta import Time
from kijabi.api.struct import NO_JSON
from kijabi.apiserver.storage import Changed, Storage
from kijabi.base import clock
from kijabi.base.errors import ConfigError

log = logging.getLogger(__name__)

TIME_TO_LIVE = 3600.0  # seconds
SHORTEST_PAUSE = 1.0  # seconds between two rounds of deletions
BATCH = 64  # deletions under way at once


class _Managed(msgspec.Struct):
    time: str | None = None


_MANAGED = msgspec.json.Decoder(tuple[_Managed, ...])


class Expiry:
    """Deletes old events. seconds: how long they live, 0 for ever. Raises ConfigError for a negative time."""

    def __init__(self, storage: Storage, seconds: float = TIME_TO_LIVE) -> None:
        if seconds < 0:
            raise ConfigError(f"--event-ttl {seconds:g}s can't be negative")
        self._storage = storage
        self._cache = storage.caches.by_type[Event]
        self._seconds = seconds
        self._due: OrderedDict[str, float] = OrderedDict()  # when each event ends, by its key; the first is first
        self._some = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        if not self._seconds:
            return
        self._begin()
        while True:
            if not self._due:
                self._some.clear()
                await self._some.wait()
            first = next(iter(self._due.values()))
            await asyncio.sleep(max(first - clock.monotonic(), SHORTEST_PAUSE))
            await self.expire()

    def _begin(self) -> None:
        """Take what is there in the order in which it was written, and follow."""
        now, age = clock.monotonic(), clock.wall()
        there = [(item.key, now + self._seconds - max(age - written(item.obj), 0.0)) for item in self._cache.range()]
        self._due.update(sorted(there, key=lambda each: each[1]))
        self._cache.subscribers.append(self._changed)

    def _changed(self, old: Event | None, new: Event | None) -> None:
        own = (new or old or Event()).metadata
        key = f"{own.namespace}/{own.name}"
        self._due.pop(key, None)
        if new is not None:
            self._due[key] = clock.monotonic() + self._seconds
            self._some.set()

    async def expire(self) -> int:
        """Delete what is due; how many that were."""
        now, old = clock.monotonic(), []
        while self._due and next(iter(self._due.values())) <= now:
            item = self._cache.get(self._due.popitem(last=False)[0])
            if item is not None:
                old.append(item)
        for start in range(0, len(old), BATCH):
            removals = (
                self._storage.remove(self._cache, item.key, item.revision) for item in old[start : start + BATCH]
            )
            for outcome in await asyncio.gather(*removals, return_exceptions=True):
                # An event that was written meanwhile is not old any more.
                if isinstance(outcome, BaseException) and not isinstance(outcome, Changed):
                    raise outcome
        if old:
            log.info("deleted old events", extra={"events": len(old)})
        return len(old)


def written(event: Event) -> float:
    """When an event was last written, by what the server noted in it; seconds since 1970."""
    own = event.metadata
    times = [own.creationTimestamp]
    if own.managedFields is not NO_JSON:
        times += [Time.parse(each.time) for each in _MANAGED.decode(own.managedFields) if each.time]
    return max(times).timestamp()
