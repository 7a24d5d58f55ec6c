"""Events live an hour: this task deletes the ones that nobody has written to for longer.

`app.py` runs it beside the watch cache. Upstream gives events a lease in etcd (`--event-ttl`); here the store knows no
leases, so a sweep looks at the times that the events themselves carry.
"""

from __future__ import annotations

import asyncio
import logging

from kijabi.api.core.event import Event
from kijabi.apiserver.storage import Changed, Storage
from kijabi.base import clock

log = logging.getLogger(__name__)

TIME_TO_LIVE = 3600.0  # seconds
SWEEP_SECONDS = 300.0
MAX_PER_SWEEP = 10_000  # events deleted by one sweep; the next takes the rest
BATCH = 64  # deletions under way at once


class Expiry:
    """Deletes old events."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.cache = storage.caches.by_type[Event]

    async def run(self) -> None:
        """Sweep now and then, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await self.sweep()

    async def sweep(self) -> int:
        """Delete what is too old; how many that were."""
        oldest = clock.wall() - TIME_TO_LIVE
        old = [item for item in self.cache.range() if last_seen(item.obj) < oldest][:MAX_PER_SWEEP]
        for start in range(0, len(old), BATCH):
            batch = old[start : start + BATCH]
            removals = (self.storage.remove(self.cache, item.key, item.revision) for item in batch)
            for outcome in await asyncio.gather(*removals, return_exceptions=True):
                # An event that was written meanwhile is not old any more.
                if isinstance(outcome, BaseException) and not isinstance(outcome, Changed):
                    raise outcome
        if old:
            log.info("deleted %d events older than an hour", len(old))
        return len(old)


def last_seen(event: Event) -> float:
    """When the event was last written to, as far as it says; seconds since 1970."""
    times = [event.metadata.creationTimestamp, event.lastTimestamp, event.eventTime]
    if event.series is not None:
        times.append(event.series.lastObservedTime)
    return max(moment.timestamp() for moment in times)
