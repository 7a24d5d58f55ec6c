"""What must come true of Jobs and CronJobs."""

from __future__ import annotations

from collections.abc import Iterator

from kijabi.api.batch.cronjob import CronJob
from kijabi.api.batch.job import Job
from kijabi.api.core.pod import Pod
from kijabi.base import clock
from kijabi.testing.history import Ledger
from kijabi.testing.safety.facts import lives
from kijabi.testing.safety.jobs import TRACKING, over

# Seconds that a Job may take, and a CronJob to start one: its schedule's two minutes and as much again.
PATIENCE = 300.0


def job(one: Job, ledger: Ledger) -> Iterator[str]:
    """It is over, its pods with it, all of them are counted, and it is gone if it was to be. A CronJob's may run."""
    age = clock.wall() - ledger.born[one.metadata.uid].time_of_day
    owned = ledger.owner(CronJob, one) is not None
    if not over(one):
        if not owned or age > PATIENCE:
            yield f"is not over: {one.status}"
        return
    pods = list(ledger.owned(Pod, one.metadata.uid))
    tracked = [pod.metadata.name for pod in pods if TRACKING in pod.metadata.finalizers]
    if tracked or any(map(lives, pods)):
        yield f"is over, but {tracked or [pod.metadata.name for pod in pods]} are not"
    listed = one.status.uncountedTerminatedPods
    if listed is not None and (listed.succeeded or listed.failed):
        yield f"is over, but {listed} are not counted"
    ttl, ended = one.spec.ttlSecondsAfterFinished, max(c.lastTransitionTime.timestamp() for c in one.status.conditions)
    if ttl is not None and clock.wall() > ended + ttl + 30:
        yield "has outlived its time to live"


def cron_job(one: CronJob, ledger: Ledger) -> Iterator[str]:
    """It starts Jobs when it is time, says which run, and forgets those that are over. If a clock was ahead, its last
    time may be in the future."""
    last = one.status.lastScheduleTime
    since = last.timestamp() if last is not None else one.metadata.creationTimestamp.timestamp()
    jobs = list(ledger.owned(Job, one.metadata.uid))
    going = {each.metadata.name for each in jobs if not over(each)}
    said = {ref.name for ref in one.status.active}
    if said != going:
        yield f"says that {sorted(said)} run, but {sorted(going)} do"
    waits = one.spec.concurrencyPolicy == "Forbid" and going
    if not one.spec.suspend and not waits and clock.wall() > since + PATIENCE:
        yield f"has started nothing since {last}"
    ended = [each for each in jobs if over(each)]
    for kind, limit in (("Complete", one.spec.successfulJobsHistoryLimit), ("Failed", one.spec.failedJobsHistoryLimit)):
        kept = [each for each in ended if any(c.type == kind and c.status == "True" for c in each.status.conditions)]
        if limit is not None and len(kept) > limit:
            yield f"keeps {len(kept)} {kind} jobs of {limit}"
