"""Jobs and CronJobs: plain, indexed, failing, with policies, suspended, resized, deleted; schedules of all policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.batch.cronjob import CronJob
from kijabi.api.batch.job import Job
from kijabi.base import rand
from kijabi.testing.wishes.hand import Hand, Wish
from kijabi.testing.wishes.templates import task

POLICIES: tuple[dict[str, Any], ...] = (
    {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [3]}}]},
    {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]},
    {"rules": [{"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [0, 3]}}]},
)
INDEX_POLICY = {"rules": [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [3]}}]}
SUCCESS = {"rules": [{"succeededCount": 1}]}


def job_spec() -> dict[str, Any]:
    """Any job that ends some time."""
    chance = rand.rng()
    indexed, never = chance.random() < 0.5, chance.random() < 0.7
    pod = task("task", chance.choice((0, 1, 3, 12)), fails=chance.random() < 0.25, restart=_restart(never))
    spec: dict[str, Any] = {
        "completions": chance.randrange(1, 6),
        "parallelism": chance.randrange(1, 4),
        "completionMode": "Indexed" if indexed else "NonIndexed",
        "backoffLimit": chance.choice((0, 1, 3)),
        "template": pod,
        "activeDeadlineSeconds": chance.choice((None, None, None, 20)),
        "ttlSecondsAfterFinished": chance.choice((None, None, 0, 15)),
        "suspend": chance.choice((None, None, None, True)),
    }
    if not indexed and chance.random() < 0.2:
        spec["completions"] = None  # one success is enough
    if never and chance.random() < 0.4:
        spec["podFailurePolicy"] = chance.choice(POLICIES)
        spec["podReplacementPolicy"] = "Failed"
    elif chance.random() < 0.2:
        spec["podReplacementPolicy"] = "Failed"
    if indexed and never and chance.random() < 0.4:
        spec |= {"backoffLimitPerIndex": chance.randrange(2), "maxFailedIndexes": chance.choice((None, 1))}
        spec["backoffLimit"] = None
        spec["podFailurePolicy"] = INDEX_POLICY if "podFailurePolicy" in spec else None
    if indexed and chance.random() < 0.3:
        spec["successPolicy"] = SUCCESS
    return spec


def _restart(never: bool) -> str:
    return "Never" if never else "OnFailure"


class Jobs:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (Job,)
    first = 2

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return ((8, self.create), (3, self.suspend), (3, self.resize), (2, self.delete))

    async def create(self) -> None:
        """In one of the namespaces."""
        if await self.hand.full(Job):
            return
        spec = job_spec()
        about = f"{spec['completionMode']} {spec['completions']} by {spec['parallelism']}"
        await self.hand.create(Job, self.hand.name("job"), await self.hand.namespace(), about, spec=spec)

    async def suspend(self) -> None:
        """Or go on."""
        job = await self._running()
        if job is not None:
            await self.hand.change(job, {"spec": {"suspend": not job.spec.suspend}})

    async def resize(self) -> None:
        """More or fewer at a time; of an elastic indexed job, more or fewer at all."""
        job = await self._running()
        if job is None:
            return
        many = rand.rng().randrange(1, 6)
        if job.spec.completionMode == "Indexed" and job.spec.completions == job.spec.parallelism:
            await self.hand.change(job, {"spec": {"parallelism": many, "completions": many}})
        else:
            await self.hand.change(job, {"spec": {"parallelism": many}})

    async def _running(self) -> Any:
        jobs = [job for job in await self.hand.living(Job) if not job.status.conditions]
        return rand.rng().choice(jobs) if jobs else None

    async def delete(self) -> None:
        """In one of the three ways."""
        await self.hand.delete(await self.hand.one(Job))

    async def repair(self) -> None:
        """None suspended, none that waits for nothing."""
        for job in await self.hand.living(Job):
            if job.spec.suspend or job.spec.parallelism == 0:
                await self.hand.change(job, {"spec": {"suspend": False, "parallelism": 1}})

    async def update(self) -> None:
        """One more, which must be counted exactly without faults too."""
        if not await self.hand.full(Job):
            spec = {"completions": 3, "parallelism": 2, "completionMode": "Indexed", "template": task("task", 1)}
            await self.hand.create(Job, f"job-last-{self.hand.number()}", "default", spec=spec)


class CronJobs:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (CronJob, Job)
    first = 1

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return ((4, self.create), (3, self.suspend), (2, self.change), (2, self.delete))

    async def create(self) -> None:
        """Each minute, or every other, for jobs that sometimes take longer."""
        if len(await self.hand.all(CronJob)) >= min(2, self.hand.most):
            return
        chance = rand.rng()
        work = {"template": task("cron", chance.choice((1, 5, 70)), fails=chance.random() < 0.2), "backoffLimit": 1}
        spec = {
            "schedule": chance.choice(("* * * * *", "* * * * *", "*/2 * * * *")),
            "concurrencyPolicy": chance.choice(("Allow", "Forbid", "Forbid", "Replace")),
            "startingDeadlineSeconds": chance.choice((None, None, 30)),
            "successfulJobsHistoryLimit": chance.choice((0, 1, 3)),
            "failedJobsHistoryLimit": chance.choice((0, 1)),
            "jobTemplate": {"spec": work},
        }
        await self.hand.create(CronJob, self.hand.name("cron"), await self.hand.namespace(), spec=spec)

    async def suspend(self) -> None:
        """Or go on."""
        cron = await self.hand.one(CronJob)
        if cron is not None:
            await self.hand.change(cron, {"spec": {"suspend": not cron.spec.suspend}})

    async def change(self) -> None:
        """Another policy."""
        cron = await self.hand.one(CronJob)
        if cron is not None:
            policy = rand.rng().choice(("Allow", "Forbid", "Replace"))
            await self.hand.change(cron, {"spec": {"concurrencyPolicy": policy}})

    async def delete(self) -> None:
        """In one of the three ways."""
        await self.hand.delete(await self.hand.one(CronJob))

    async def repair(self) -> None:
        """None suspended."""
        for cron in await self.hand.living(CronJob):
            if cron.spec.suspend:
                await self.hand.change(cron, {"spec": {"suspend": False}})

    async def update(self) -> None:
        """Enough of it: all are suspended."""
        for cron in await self.hand.all(CronJob):
            await self.hand.change(cron, {"spec": {"suspend": True}})
