"""CronJob: a Job at each time of a schedule.

Receives CronJobs and Jobs from the informers; creates and deletes Jobs, writes the CronJob's status. `plan` decides,
`CronJobs` acts. A Job is named by its time, so that a time never gives two. Source: batch/v1 CronJob; k8s.io/kubernetes
`pkg/controller/cronjob` for names, texts and how missed times are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.batch import schedule as schedules
from kijabi.api.batch.cronjob import CronJob, CronJobStatus
from kijabi.api.batch.job import Job
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import ObjectMeta, OwnerReference, Time
from kijabi.base import clock
from kijabi.base.errors import AlreadyExists, ApiError, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers.owners import CONTROLLER, controller_of, controller_ref
from kijabi.controllers.runtime import WORKERS, Context, Source, namespace_terminating
from kijabi.controllers.sources import cron_jobs, jobs

KIND = "CronJob"
API_VERSION = "batch/v1"
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
TOO_MANY = 100  # missed times after which the user is told
LATE = 0.1  # seconds after a time at which it is looked for, so that it is not missed by a hair


class Plan(NamedTuple):
    """What to do. status: to be written if it differs; start: the time to start a job for; delete: jobs that go, to
    keep history short; replace: running ones that a new one takes the place of. events: (type, reason, text).
    again: seconds until it is worth looking again, None if only an event can change anything.
    """

    status: CronJobStatus
    start: datetime | None = None
    delete: tuple[Job, ...] = ()
    replace: tuple[ObjectReference, ...] = ()
    events: tuple[tuple[str, str, str], ...] = ()
    again: float | None = None


class Missed(NamedTuple):
    """The latest time that has come since the last one that was served, if any; how many have; where counting began."""

    latest: datetime | None
    times: int
    since: datetime


def outcome(job: Job) -> str:
    """Complete or Failed; empty while it runs."""
    return next((c.type for c in job.status.conditions if c.type in ("Complete", "Failed") and c.status == "True"), "")


def missed(cj: CronJob, schedule: schedules.Schedule, now: datetime, *, deadline: bool) -> Missed:
    """Which times of the schedule have passed unserved; those before the starting deadline are given up."""
    served = cj.status.lastScheduleTime or cj.metadata.creationTimestamp
    since = served.datetime() if served else now
    if deadline and cj.spec.startingDeadlineSeconds is not None:
        since = max(since, now - timedelta(seconds=cj.spec.startingDeadlineSeconds))
    first = schedule.next(since)
    second = schedule.next(first) if first is not None else None
    if first is None or now < first:
        return Missed(None, 0, since)
    if second is None or now < second:
        return Missed(first, 1, since)
    # Regular schedules are counted by arithmetic; from a little before now, the times themselves are looked at.
    distance = max(1.0, (second - first).total_seconds())
    count = int((now - first).total_seconds() // distance) + 1
    latest: datetime | None = None
    candidate = schedule.next(first + timedelta(seconds=(count - 2) * distance))
    while candidate is not None and candidate <= now:
        latest, candidate = candidate, schedule.next(candidate)
    return Missed(latest, count, since)


def wait(cj: CronJob, schedule: schedules.Schedule, now: datetime) -> float | None:
    """Seconds until the next time of the schedule."""
    found = missed(cj, schedule, now, deadline=False)
    start = found.latest or (found.since if not found.times else now)
    upcoming = schedule.next(start)
    return max(LATE, (upcoming - now).total_seconds() + LATE) if upcoming is not None else None


def plan(cj: CronJob, owned: Sequence[Job], existing: Iterable[str], now: datetime) -> Plan:
    """What to do now. existing: uids of active jobs that the cache does not show, but the server does."""
    events: list[tuple[str, str, str]] = []
    status = observed(cj, owned, frozenset(existing), events)
    seen = replace(cj, status=status)
    todo = Plan(status, delete=tuple(expired(cj, owned)))
    if cj.metadata.deletionTimestamp is not None or cj.spec.suspend:
        return todo._replace(events=tuple(events))
    try:
        schedule = schedules.parse(cj.spec.schedule, cj.spec.timeZone or "")
    except (ValueError, OSError) as error:
        text = f'unparseable schedule: "{cj.spec.schedule}" : {error}'
        if cj.spec.timeZone and not schedules.known_zone(cj.spec.timeZone):
            events.append(("Warning", "UnknownTimeZone", f'invalid timeZone: "{cj.spec.timeZone}": {error}'))
        else:
            events.append(("Warning", "UnparseableSchedule", text))
        return todo._replace(events=tuple(events))
    start, replaced = _due(seen, schedule, now, events)
    if start is not None:
        gone = {ref.uid for ref in replaced}
        todo.status.active = tuple(ref for ref in status.active if ref.uid not in gone)
    return todo._replace(start=start, replace=replaced, events=tuple(events), again=wait(seen, schedule, now))


def _due(
    cj: CronJob, schedule: schedules.Schedule, now: datetime, events: list[tuple[str, str, str]]
) -> tuple[datetime | None, tuple[ObjectReference, ...]]:
    """(the time to start a job for, the running jobs that it replaces)."""
    found = missed(cj, schedule, now, deadline=True)
    if found.latest is None:
        return None, ()
    if found.times > TOO_MANY:
        text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        events.append(("Warning", "TooManyMissedTimes", text))
    limit = cj.spec.startingDeadlineSeconds
    if limit is not None and found.latest + timedelta(seconds=limit) < now:
        at = found.latest.strftime("%a, %d %b %Y %H:%M:%S +0000")
        events.append(("Warning", "MissSchedule", f"Missed scheduled time to start a job: {at}"))
        return None, ()
    name, last = name_of(cj, found.latest), cj.status.lastScheduleTime
    if any(ref.name == name for ref in cj.status.active) or (last is not None and last.datetime() == found.latest):
        return None, ()
    if cj.spec.concurrencyPolicy == "Forbid" and cj.status.active:
        text = "Not starting job because prior execution is running and concurrency policy is Forbid"
        events.append(("Normal", "JobAlreadyActive", text))
        return None, ()
    return found.latest, cj.status.active if cj.spec.concurrencyPolicy == "Replace" else ()


def observed(
    cj: CronJob, owned: Sequence[Job], existing: frozenset[str], events: list[tuple[str, str, str]]
) -> CronJobStatus:
    """The status as its jobs make it: those that ended are active no more, and the last success is noted."""
    by_uid = {job.metadata.uid: job for job in owned}
    active: list[ObjectReference] = []
    for ref in cj.status.active:
        job = by_uid.get(ref.uid)
        if job is None and ref.uid not in existing:
            events.append(("Normal", "MissingJob", f"Active job went missing: {ref.name}"))
        elif job is not None and outcome(job):
            text = f"Saw completed job: {ref.name}, condition: {outcome(job)}"
            events.append(("Normal", "SawCompletedJob", text))
        else:
            active.append(ref)
    last = cj.status.lastSuccessfulTime
    for job in owned:
        at = job.status.completionTime
        if outcome(job) == "Complete" and at is not None and (last is None or at.timestamp() > last.timestamp()):
            last = at
    return replace(cj.status, active=tuple(active), lastSuccessfulTime=last)


def expired(cj: CronJob, owned: Sequence[Job]) -> list[Job]:
    """Jobs that ended, beyond the limits of history, the oldest first."""
    found: list[Job] = []
    limits = {"Complete": cj.spec.successfulJobsHistoryLimit, "Failed": cj.spec.failedJobsHistoryLimit}
    for kind, limit in limits.items():
        if limit is None:
            continue
        ended = [job for job in owned if outcome(job) == kind]
        ended.sort(key=lambda job: (str(job.status.startTime or "9"), job.metadata.name))
        found += ended[: max(0, len(ended) - limit)]
    return found


def name_of(cj: CronJob, at: datetime) -> str:
    """The name of the job of a time: minutes since the epoch."""
    return f"{cj.metadata.name}-{int(at.timestamp()) // 60}"


def job_of(cj: CronJob, owner: OwnerReference, at: datetime) -> Job:
    """The job of a time."""
    template = cj.spec.jobTemplate
    local = at.astimezone(ZoneInfo(cj.spec.timeZone)) if cj.spec.timeZone else at.astimezone(UTC)
    stamp = local.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Job(
        metadata=ObjectMeta(
            name=name_of(cj, at),
            namespace=cj.metadata.namespace,
            labels=template.metadata.labels,
            annotations={**template.metadata.annotations, SCHEDULED: stamp},
            ownerReferences=(owner,),
        ),
        spec=codec.clone(template.spec),
    )


class CronJobs:
    """The controller; see the module."""

    name = "cronjob"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("cronjob-controller")
        self.cronjobs = cron_jobs(context.informers)
        self.jobs = jobs(context.informers)

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.cronjobs, lambda old, new: (key_of(new if new is not None else old),)),
            Source(self.jobs, self._keys_of_job),
        )

    def _keys_of_job(self, old: Job | None, new: Job | None) -> Iterable[str]:
        refs = [(job, controller_of(job.metadata)) for job in (old, new) if job is not None]
        return {f"{job.metadata.namespace}/{ref.name}" for job, ref in refs if ref is not None and ref.kind == KIND}

    async def reconcile(self, key: str) -> float | None:
        cj: CronJob | None = self.cronjobs.get(key)
        if cj is None:
            return None
        owned = tuple(self.jobs.index(CONTROLLER, cj.metadata.uid))
        todo = plan(cj, owned, await self._unseen(cj, owned), clock.now())
        for kind, reason, text in todo.events:
            self.recorder.event(cj, kind, reason, text)
        for job in todo.delete:
            await self._delete(cj, job.metadata.name, job.metadata.uid)
        for ref in todo.replace:
            await self._delete(cj, ref.name, ref.uid)
        status = todo.status
        if todo.start is not None:
            started = await self._start(cj, todo.start)
            if started is not None:
                active = (*status.active, started)
                status = replace(status, active=active, lastScheduleTime=Time.of(todo.start))
        if status != cj.status:
            changed = codec.clone(cj)
            changed.status = status
            await self.client.update_status(changed)
        return todo.again

    async def _unseen(self, cj: CronJob, owned: Sequence[Job]) -> list[str]:
        """Uids of active jobs that exist though the cache does not show them: it lags behind our own creation."""
        known = {job.metadata.uid for job in owned}
        found: list[str] = []
        for ref in cj.status.active:
            if ref.uid in known:
                continue
            try:
                found.append((await self.client.get(Job, ref.name, cj.metadata.namespace)).metadata.uid)
            except NotFound:
                continue
        return found

    async def _start(self, cj: CronJob, at: datetime) -> ObjectReference | None:
        """Start the job of a time, or find that it was started before; None if the name is somebody else's."""
        wanted = job_of(cj, controller_ref(cj, API_VERSION, KIND), at)
        try:
            job = await self.client.create(wanted)
            self.recorder.event(cj, "Normal", "SuccessfulCreate", f"Created job {job.metadata.name}")
        except AlreadyExists:
            job = await self.client.get(Job, wanted.metadata.name, wanted.metadata.namespace)
            owner = controller_of(job.metadata)
            if owner is None or owner.uid != cj.metadata.uid:
                return None
        except ApiError as error:
            if not namespace_terminating(error):
                self.recorder.event(cj, "Warning", "FailedCreate", f"Error creating job: {error}")
            raise
        own = job.metadata
        return ObjectReference(
            apiVersion=API_VERSION, kind="Job", name=own.name, namespace=own.namespace, uid=own.uid,
            resourceVersion=own.resourceVersion,
        )  # fmt: skip

    async def _delete(self, cj: CronJob, name: str, uid: str) -> None:
        try:
            await self.client.delete(Job, name, cj.metadata.namespace, uid=uid, propagation="Background")
        except NotFound:
            return
        except ApiError as error:
            self.recorder.event(cj, "Warning", "FailedDelete", f"Deleted job: {error}")
            raise
        self.recorder.event(cj, "Normal", "SuccessfulDelete", f"Deleted job {name}")
