"""CronJobs: which time is served when, what overlaps, what is kept; and the jobs that expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kijabi.api.batch.cronjob import CronJob, CronJobSpec
from kijabi.api.batch.job import Job, JobCondition, JobSpec, JobTemplateSpec
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import ObjectMeta, Time
from kijabi.base import clock
from kijabi.controllers.cronjob import Plan, View, name_of, plan
from kijabi.controllers.ttlafterfinished import due
from tests.controllers.things import owner, template
from tests.controllers.world import World, play

T0 = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def cron(schedule: str = "*/10 * * * *", *, last: datetime | None = None, **spec: Any) -> CronJob:
    made = CronJob(metadata=ObjectMeta(name="tick", namespace="ns", uid="u", creationTimestamp=Time.of(T0)))
    pod = template("exit:0")
    pod.spec.restartPolicy, pod.metadata.labels = "Never", {}
    made.spec = CronJobSpec(schedule=schedule, jobTemplate=JobTemplateSpec(spec=JobSpec(template=pod)), **spec)
    made.spec.set_defaults()
    made.status.lastScheduleTime = Time.of(last) if last is not None else None
    return made


def a_job(name: str, outcome: str = "", *, minutes: int = 0) -> Job:
    at = Time.of(T0 + timedelta(minutes=minutes))
    job = Job(metadata=ObjectMeta(name=name, namespace="ns", uid=name, ownerReferences=(owner("tick", "CronJob"),)))
    job.status.startTime = at
    if outcome:
        job.status.conditions = (JobCondition(type=outcome, status="True", lastTransitionTime=at),)
        job.status.completionTime = at if outcome == "Complete" else None
    return job


def running(cj: CronJob, name: str) -> Job:
    cj.status.active = (*cj.status.active, ObjectReference(kind="Job", name=name, namespace="ns", uid=name))
    return a_job(name)


def look(cj: CronJob, *jobs: Job, minutes: float, existing: tuple[str, ...] = ()) -> Plan:
    return plan(View(cj, jobs, T0 + timedelta(minutes=minutes), frozenset(existing)))


def reasons(todo: Plan) -> list[str]:
    return [event[1] for event in todo.events]


def test_nothing_before_its_time_and_one_job_at_it() -> None:
    early = look(cron(), minutes=9)
    assert (early.start, early.again) == (None, 60.1)
    due_now = look(cron(), minutes=10)
    assert due_now.start == T0 + timedelta(minutes=10)
    assert due_now.again == 600.1
    served = look(cron(last=T0 + timedelta(minutes=10)), minutes=10.5)
    assert (served.start, served.again) == (None, 570.1)


def test_of_many_missed_times_the_last_is_served() -> None:
    todo = look(cron(), minutes=47)
    assert todo.start == T0 + timedelta(minutes=40)
    assert reasons(todo) == []
    assert reasons(look(cron("* * * * *"), minutes=60 * 5)) == ["TooManyMissedTimes"]
    late = cron(startingDeadlineSeconds=60)
    assert look(late, minutes=47).start is None
    assert look(late, minutes=40.5).start == T0 + timedelta(minutes=40)
    assert look(cron("30 6-16/4 * * *"), minutes=60 * 49).start == T0 + timedelta(days=2, hours=0, minutes=30)


@pytest.mark.parametrize(
    ("policy", "start", "replaced", "said"),
    [("Allow", True, 0, []), ("Forbid", False, 0, ["JobAlreadyActive"]), ("Replace", True, 1, [])],
)
def test_overlaps(policy: str, start: bool, replaced: int, said: list[str]) -> None:
    cj = cron(concurrencyPolicy=policy)
    busy = running(cj, "tick-1")
    todo = look(cj, busy, minutes=10)
    assert (todo.start is not None, len(todo.replace), reasons(todo)) == (start, replaced, said)
    assert len(todo.status.active) == 1 - replaced


def test_suspended_deleted_and_nonsense_start_nothing() -> None:
    assert look(cron(suspend=True), minutes=10) == Plan(cron().status)
    gone = cron()
    gone.metadata.deletionTimestamp = Time.of(T0)
    assert look(gone, minutes=10).start is None
    assert reasons(look(cron("never"), minutes=10)) == ["UnparseableSchedule"]
    assert reasons(look(cron(timeZone="Moon/Base"), minutes=10)) == ["UnknownTimeZone"]
    assert look(cron("0 0 31 2 *"), minutes=10).again is None


def test_what_ended_is_noted_and_history_is_short() -> None:
    cj = cron(suspend=True, successfulJobsHistoryLimit=1, failedJobsHistoryLimit=0)
    running(cj, "tick-3")
    running(cj, "lost")
    running(cj, "unseen")
    jobs = [a_job(f"tick-{n}", "Complete", minutes=n) for n in (1, 2, 3)] + [a_job("bad", "Failed")]
    todo = look(cj, *jobs, minutes=5, existing=("unseen",))
    assert [ref.name for ref in todo.status.active] == ["unseen"]
    assert reasons(todo) == ["SawCompletedJob", "MissingJob"]
    assert sorted(job.metadata.name for job in todo.delete) == ["bad", "tick-1", "tick-2"]
    assert todo.status.lastSuccessfulTime == Time.of(T0 + timedelta(minutes=3))


def test_names_are_of_the_time() -> None:
    assert name_of(cron(), datetime(2026, 3, 1, 10, 10, tzinfo=UTC)) == "tick-29539330"


def test_when_a_finished_job_goes() -> None:
    job = a_job("x", "Complete", minutes=1)
    assert due(job) is None
    job.spec.ttlSecondsAfterFinished = 30
    assert due(job) == T0.timestamp() + 90
    assert due(a_job("y")) is None


def test_jobs_come_by_the_clock_and_go_after_their_time() -> None:
    async def story(world: World) -> None:
        cj = cron("*/2 * * * *", concurrencyPolicy="Forbid", successfulJobsHistoryLimit=10)
        cj.metadata = ObjectMeta(name="tick", namespace="ns")
        cj.spec.jobTemplate.spec.ttlSecondsAfterFinished = 150
        await world.client.create(cj)
        begun = clock.now()
        names: set[str] = set()

        async def five() -> bool:
            names.update(job.metadata.name for job in (await world.client.list(Job, "ns")).items)
            return len(names) == 5

        await world.until(five, seconds=900)
        assert timedelta(minutes=8) < clock.now() - begun < timedelta(minutes=11)
        left = (await world.client.list(Job, "ns")).items
        assert len(left) < 4, "the earlier ones expired"
        status = (await world.client.get(CronJob, "tick", "ns")).status
        assert status.lastSuccessfulTime is not None

    play(story)


def test_what_cannot_be_followed_is_told() -> None:
    assert reasons(look(cron(timeZone="Nowhere/Land", suspend=True), minutes=30)) == ["UnknownTimeZone"]
    never = look(cron("59 23 31 2 *"), minutes=30)
    assert (reasons(never), never.start, never.again) == (["InvalidSchedule"], None, None)
    assert reasons(look(cron("TZ=Asia/Seoul 0 3 * * *"), minutes=1)) == ["UnsupportedSchedule"]
    assert reasons(look(cron("61 * * * *"), minutes=1)) == ["UnparseableSchedule"]


def test_jobs_that_are_there_and_not_listed() -> None:
    lost = look(cron(last=T0 + timedelta(minutes=10)), a_job("tick-x"), minutes=11)
    assert reasons(lost) == ["UnexpectedJob"]
    assert look(cron(last=T0 + timedelta(minutes=10)), a_job("tick-x", "Complete"), minutes=11).events == ()


def test_history_that_goes_at_once_is_not_told_of() -> None:
    cj = cron(last=T0 + timedelta(minutes=10), successfulJobsHistoryLimit=0)
    ended = running(cj, "tick-1")
    ended.status = a_job("tick-1", "Complete").status
    todo = look(cj, ended, minutes=11)
    assert (reasons(todo), [job.metadata.name for job in todo.delete], todo.status.active) == ([], ["tick-1"], ())


def test_who_changes_a_schedule_does_not_mean_the_past() -> None:
    cj = cron("0 6 * * *", last=T0 - timedelta(hours=10))  # served at midnight, changed at ten
    now = T0 + timedelta(seconds=1)
    assert plan(View(cj, (), now)).start == T0 - timedelta(hours=4)
    todo = plan(View(cj, (), now, since=T0))
    assert (todo.start, todo.again) == (None, 20 * 3600 - 1 + 0.1)
