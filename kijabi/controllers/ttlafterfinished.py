"""TTL after finished: jobs go some time after they ended, if they say so (`ttlSecondsAfterFinished`, KEP-592).

Receives Jobs from the informer; deletes them. `due` is pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from kijabi.api.batch.job import Job
from kijabi.base import clock
from kijabi.base.errors import Conflict, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import jobs


def due(job: Job) -> float | None:
    """When the job is to go (seconds since the epoch); None if it stays."""
    after = job.spec.ttlSecondsAfterFinished
    ended = next((c for c in job.status.conditions if c.type in ("Complete", "Failed") and c.status == "True"), None)
    if after is None or ended is None or not ended.lastTransitionTime or job.metadata.deletionTimestamp is not None:
        return None
    return ended.lastTransitionTime.timestamp() + after


class FinishedJobs:
    """The controller."""

    name = "ttl-after-finished"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.jobs = jobs(context.informers)

    def sources(self) -> Sequence[Source]:
        return (Source(self.jobs, lambda old, new: (key_of(new),) if new is not None and due(new) is not None else ()),)

    async def reconcile(self, key: str) -> float | None:
        job: Job | None = self.jobs.get(key)
        at = due(job) if job is not None else None
        if job is None or at is None:
            return None
        left = at - clock.now().timestamp()
        if left > 0:
            return left
        own = job.metadata
        try:  # the version makes sure that nobody has given it more time meanwhile
            await self.client.delete(
                Job, own.name, own.namespace, uid=own.uid, resource_version=own.resourceVersion,
                propagation="Foreground",
            )  # fmt: skip
        except (NotFound, Conflict):
            return None
        return None
