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


class View(NamedTuple):
    """What a CronJob is planned from. jobs: those it owns. existing: uids of active jobs that the cache does not show,
    but the server does. since: when its schedule was changed, as far as anybody saw; times before that are no misses.
    """

    cron: CronJob
    jobs: Sequence[Job]
    now: datetime
    existing: frozenset[str] = frozenset()
    since: datetime | None = None


class Missed(NamedTuple):
    """The latest time that has come since the last one that was served, if any; how many have; where counting began."""

    latest: datetime | None
    times: int
    since: datetime


def outcome(job: Job) -> str:
    """Complete or Failed; empty while it runs."""
    return next((c.type for c in job.status.conditions if c.type in ("Complete", "Failed") and c.status == "True"), "")


def unlisted(cj: CronJob, owned: Iterable[Job]) -> list[Job]:
    """Its jobs that run and that its status does not name."""
    listed = {ref.uid for ref in cj.status.active}
    return [job for job in owned if job.metadata.uid not in listed and not outcome(job)]


def missed(
    cj: CronJob, schedule: schedules.Schedule, now: datetime, *, deadline: bool, since: datetime | None = None
) -> Missed:
    """Which times of the schedule have passed unserved; those before the starting deadline or `since` are given up.

    Raises ValueError for a schedule that has no times, as the 31st of February.
    """
    served = cj.status.lastScheduleTime or cj.metadata.creationTimestamp
    start = served.datetime() if served else now
    if deadline and cj.spec.startingDeadlineSeconds is not None:
        start = max(start, now - timedelta(seconds=cj.spec.startingDeadlineSeconds))
    if since is not None:
        start = max(start, since)
    first = schedule.next(start)
    second = schedule.next(first) if first is not None else None
    if first is not None and now < first:
        return Missed(None, 0, start)
    if first is not None and second is not None and now < second:
        return Missed(first, 1, start)
    if first is None or second is None:
        raise ValueError("time difference between two schedules is less than 1 second")
    # Regular schedules are counted by arithmetic; from a little before now, the times themselves are looked at.
    distance = max(1.0, (second - first).total_seconds())
    count = int((now - first).total_seconds() // distance) + 1
    latest: datetime | None = None
    candidate = schedule.next(first + timedelta(seconds=(count - 2) * distance))
    while candidate is not None and candidate <= now:
        latest, candidate = candidate, schedule.next(candidate)
    return Missed(latest, count, start)


def wait(cj: CronJob, schedule: schedules.Schedule, now: datetime) -> float | None:
    """Seconds until the next time of the schedule."""
    found = missed(cj, schedule, now, deadline=False)
    start = found.latest or (found.since if not found.times else now)
    upcoming = schedule.next(start)
    return max(LATE, (upcoming - now).total_seconds() + LATE) if upcoming is not None else None


def plan(view: View) -> Plan:
    """What to do now."""
    cj, now = view.cron, view.now
    events: list[tuple[str, str, str]] = []
    gone = expired(cj, view.jobs)
    status = observed(view, gone, events)
    todo = Plan(status, delete=tuple(gone))
    schedule = None if cj.metadata.deletionTimestamp is not None else _schedule(cj, events)
    if schedule is None:
        return todo._replace(events=tuple(events))
    seen = replace(cj, status=status)
    try:
        start, replaced = _due(seen, schedule, view, events)
        served = replace(seen, status=replace(status, lastScheduleTime=Time.of(start))) if start is not None else seen
        again = wait(served, schedule, now)
    except ValueError as error:
        events.append(("Warning", "InvalidSchedule", f"invalid schedule: {cj.spec.schedule} : {error}"))
        return todo._replace(events=tuple(events))
    if start is not None:
        going = {ref.uid for ref in replaced}
        todo.status.active = tuple(ref for ref in status.active if ref.uid not in going)
    return todo._replace(start=start, replace=replaced, events=tuple(events), again=again)


def _schedule(cj: CronJob, events: list[tuple[str, str, str]]) -> schedules.Schedule | None:
    """Its schedule; None if it has none that can be followed, or is suspended."""
    text, zone = cj.spec.schedule, cj.spec.timeZone or ""
    if zone and not schedules.known_zone(zone):
        events.append(("Warning", "UnknownTimeZone", f'invalid timeZone: "{zone}": unknown time zone {zone}'))
        return None
    if cj.spec.suspend:
        return None
    if "TZ" in text:
        page = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/"
        why = f'CRON_TZ or TZ used in schedule "{text}" is not officially supported, see {page} for more details'
        events.append(("Warning", "UnsupportedSchedule", why))
    try:
        return schedules.parse(text, zone)
    except ValueError as error:
        events.append(("Warning", "UnparseableSchedule", f'unparseable schedule: "{text}" : {error}'))
        return None


def _due(
    cj: CronJob, schedule: schedules.Schedule, view: View, events: list[tuple[str, str, str]]
) -> tuple[datetime | None, tuple[ObjectReference, ...]]:
    """(the time to start a job for, the running jobs that it replaces). Raises ValueError as `missed` does."""
    found = missed(cj, schedule, view.now, deadline=True, since=view.since)
    if found.latest is None:
        return None, ()
    if found.times > TOO_MANY:
        text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
        events.append(("Warning", "TooManyMissedTimes", text))
    limit = cj.spec.startingDeadlineSeconds
    if limit is not None and found.latest + timedelta(seconds=limit) < view.now:
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


def observed(view: View, gone: Sequence[Job], events: list[tuple[str, str, str]]) -> CronJobStatus:
    """The status as its jobs make it: those that ended are active no more, and the last success is noted.

    gone: jobs that are deleted at once, of which nothing else need be told.
    """
    cj, owned = view.cron, view.jobs
    by_uid = {job.metadata.uid: job for job in owned}
    for job in unlisted(cj, owned):
        text = f"Saw a job that the controller did not create or forgot: {job.metadata.name}"
        events.append(("Warning", "UnexpectedJob", text))
    quiet = {job.metadata.uid for job in gone}
    active: list[ObjectReference] = []
    for ref in cj.status.active:
        known = by_uid.get(ref.uid)
        if ref.uid in quiet:
            continue
        if known is None and ref.uid not in view.existing:
            events.append(("Normal", "MissingJob", f"Active job went missing: {ref.name}"))
        elif known is not None and outcome(known):
            text = f"Saw completed job: {ref.name}, condition: {outcome(known)}"
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
        self.rescheduled: dict[str, datetime] = {}  # when a schedule was changed, by uid; forgotten with this process

    def sources(self) -> Sequence[Source]:
        return (Source(self.cronjobs, self._keys_of_cron), Source(self.jobs, self._keys_of_job))

    def _keys_of_cron(self, old: CronJob | None, new: CronJob | None) -> Iterable[str]:
        """Its own key; who changes a schedule does not mean times that are past already."""
        if new is None:
            self.rescheduled.pop(old.metadata.uid if old is not None else "", None)
        elif old is not None and (old.spec.schedule, old.spec.timeZone) != (new.spec.schedule, new.spec.timeZone):
            self.rescheduled[new.metadata.uid] = clock.now()
        return (key_of(new if new is not None else old),)

    def _keys_of_job(self, old: Job | None, new: Job | None) -> Iterable[str]:
        refs = [(job, controller_of(job.metadata)) for job in (old, new) if job is not None]
        return {f"{job.metadata.namespace}/{ref.name}" for job, ref in refs if ref is not None and ref.kind == KIND}

    async def reconcile(self, key: str) -> float | None:
        cj: CronJob | None = self.cronjobs.get(key)
        if cj is None:
            return None
        owned = tuple(self.jobs.index(CONTROLLER, cj.metadata.uid))
        if unlisted(cj, owned):  # the cache of jobs may be ahead of that of CronJobs
            try:
                cj = await self.client.get(CronJob, cj.metadata.name, cj.metadata.namespace)
            except NotFound:
                return None
        existing = frozenset(await self._unseen(cj, owned))
        todo = plan(View(cj, owned, clock.now(), existing, self.rescheduled.get(cj.metadata.uid)))
        for kind, reason, text in todo.events:
            self.recorder.event(cj, kind, reason, text)
        for job in todo.delete:
            await self._delete(cj, job.metadata.name, job.metadata.uid)
        status, failure = await self._start(cj, todo)
        if status != cj.status:
            changed = codec.clone(cj)
            changed.status = status
            await self.client.update_status(changed)
        if failure is not None:
            raise failure
        return todo.again

    async def _start(self, cj: CronJob, todo: Plan) -> tuple[CronJobStatus, ApiError | None]:
        """Start the job that is due, in the place of those that it replaces; the status then, and what went wrong."""
        if todo.start is None:
            return todo.status, None
        for place, ref in enumerate(todo.replace):
            failure = await self._delete(cj, ref.name, ref.uid)
            if failure is not None:
                return replace(todo.status, active=(*todo.replace[place:], *todo.status.active)), failure
        try:
            started = await self._create(cj, todo.start)
        except ApiError as error:
            return todo.status, error
        if started is None:
            return todo.status, None
        active = (*todo.status.active, started)
        return replace(todo.status, active=active, lastScheduleTime=Time.of(todo.start)), None

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

    async def _create(self, cj: CronJob, at: datetime) -> ObjectReference | None:
        """Make the job of a time, or find that it was started before; None if the name is somebody else's."""
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

    async def _delete(self, cj: CronJob, name: str, uid: str) -> ApiError | None:
        """Delete a job; why it failed, if it did. History that cannot be deleted must not hold up the next job."""
        try:
            await self.client.delete(Job, name, cj.metadata.namespace, uid=uid, propagation="Background")
        except NotFound:
            return None
        except ApiError as error:
            self.recorder.event(cj, "Warning", "FailedDelete", f"Deleted job: {error}")
            return error
        self.recorder.event(cj, "Normal", "SuccessfulDelete", f"Deleted job {name}")
        return None
