"""What a job does next, counts, and decides: the pure parts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.batch.job import Job, JobSpec, JobStatus, PodFailurePolicy, SuccessPolicy, UncountedTerminatedPods
from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import ContainerState, ContainerStateTerminated, ContainerStatus, PodCondition
from kijabi.api.meta import ObjectMeta, Time
from kijabi.controllers.job import pod as jobpod
from kijabi.controllers.job.history import Record, ended_at
from kijabi.controllers.job.indexes import Indexes
from kijabi.controllers.job.plan import Plan, Undone, View, finished, plan
from kijabi.controllers.job.policy import enough, judge
from kijabi.controllers.job.surplus import by_value
from tests.controllers.things import NOW, ago, owner, template


def job(completions: int | None = 3, parallelism: int = 2, **spec: Any) -> Job:
    made = JobSpec(completions=completions, parallelism=parallelism, backoffLimit=spec.pop("backoffLimit", 6),
                   template=template(), **spec)  # fmt: skip
    return Job(metadata=ObjectMeta(name="sum", namespace="ns", uid="u"), spec=made, status=JobStatus())


def indexed(completions: int = 4, parallelism: int = 4, **spec: Any) -> Job:
    return job(completions, parallelism, completionMode="Indexed", **spec)


def pod(one: Job, name: str, phase: str = "Running", *, index: int | None = None, code: int = 1, going: bool = False,
        counted: bool = False, ended: float = 60, failures: int = 0) -> Pod:  # fmt: skip
    made = jobpod.make_pod(one, owner("sum", "Job", "u"), name, index, None)
    if index is not None and one.spec.backoffLimitPerIndex is not None:
        made.metadata.annotations[jobpod.FAILURES] = str(failures)
    made.metadata.uid = f"uid-{name}"
    made.metadata.creationTimestamp = ago(100)
    made.metadata.deletionTimestamp = ago(1) if going else None
    if counted:
        made.metadata.finalizers = ()
    conditions: tuple[PodCondition, ...] = ()
    statuses: tuple[ContainerStatus, ...] = ()
    if phase == "Running":
        conditions = (PodCondition(type="Ready", status="True", lastTransitionTime=ago(60)),)
    elif phase in ("Succeeded", "Failed"):
        over = ContainerStateTerminated(exitCode=code if phase == "Failed" else 0, finishedAt=ago(ended))
        statuses = (ContainerStatus(name="main", state=ContainerState(terminated=over)),)
    made.status = replace(made.status, phase=phase, conditions=conditions, containerStatuses=statuses)
    return made


def look(one: Job, *pods: Pod, record: Record | None = None) -> Plan:
    return plan(View(one, pods, NOW, record or Record()))


def names(pods: tuple[Pod, ...]) -> list[str]:
    return sorted(pod.metadata.name for pod in pods)


def conditions(todo: Plan) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in todo.status.conditions}


# Indexes


@pytest.mark.parametrize(
    ("text", "of", "shown"),
    [
        ("", 5, ""),
        ("0", 5, "0"),
        ("0-2,4", 5, "0-2,4"),
        ("1,2", 5, "1,2"),
        ("0,1,2", 5, "0-2"),
        ("3-9", 5, "3,4"),
        ("7", 5, ""),
        ("x,1", 5, "1"),
        ("2-x,3", 5, "3"),
    ],
)
def test_indexes_in_words(text: str, of: int, shown: str) -> None:
    assert str(Indexes.parse(text, of)) == shown


@given(st.sets(st.integers(0, 60)), st.sets(st.integers(0, 60)))
def test_indexes_are_sets(a: set[int], b: set[int]) -> None:
    left, right = Indexes().union(a), Indexes().union(b)
    assert Indexes.parse(str(left), 61) == left
    assert left.union(b) == right.union(a) == Indexes().union(a | b)
    assert left.union(right.ranges).total == len(a | b)
    assert left.common(right) == right.common(left) == len(a & b)
    assert set(left.missing(61)) == set(range(61)) - a
    assert {i for i in range(61) if left.has(i)} == a


# Making and giving up pods


def test_as_many_as_parallelism_and_what_is_missing_allow() -> None:
    assert look(job()).create == (None, None)
    assert look(job(), pod(job(), "a")).create == (None,)
    left = job()
    left.status.succeeded = 2
    assert look(left).create == (None,)
    assert look(job(None, 3)).create == (None,) * 3
    assert look(job(None, 3), pod(job(), "a", "Succeeded"), pod(job(), "b")).create == ()


def test_too_many_are_dropped_uncounted() -> None:
    one = job(parallelism=1)
    todo = look(one, pod(one, "a"), pod(one, "b"))
    assert (len(todo.drop), todo.delete, todo.release, todo.status.active) == (1, (), (), 1)


def test_suspending_drops_all_and_resuming_starts_the_clock() -> None:
    one = job(suspend=True)
    one.status.startTime = ago(100)
    todo = look(one, pod(one, "a"))
    assert (names(todo.drop), todo.status.active, todo.status.startTime) == (["a"], 0, None)
    assert conditions(todo) == {"Suspended": ("True", "JobSuspended")}
    one = job()
    one.status = todo.status
    again = look(one)
    assert again.status.startTime == Time.of(NOW)
    assert conditions(again) == {"Suspended": ("False", "JobResumed")}
    assert [event[1] for event in again.events] == ["Resumed"]


def test_indexes_get_one_pod_each() -> None:
    one = indexed()
    assert look(one, pod(one, "a", index=0), pod(one, "b", "Succeeded", index=2)).create == (1, 3)
    twice = look(one, pod(one, "a", index=0), pod(one, "a2", index=0), pod(one, "far", index=9))
    assert len(twice.drop) == 2
    assert "far" in names(twice.drop)


def test_failures_make_it_wait() -> None:
    one = job()
    todo = look(one, pod(one, "a", "Failed", ended=4))
    assert todo.create == ()
    assert todo.again == 6.0
    assert look(one, pod(one, "a", "Failed", ended=11)).create == (None, None)
    assert look(one, record=Record(3, (NOW.timestamp() - 39))).again == 1.0


def test_a_clock_that_is_ahead_makes_it_wait_no_longer() -> None:
    failed = pod(one := job(), "a", "Failed", ended=-10_000)
    assert look(one, failed).again == 10.0
    assert look(one, failed).record == Record(1, NOW.timestamp())


def test_replacements_wait_for_the_end_where_asked() -> None:
    one = job(parallelism=1, podReplacementPolicy="Failed")
    todo = look(one, pod(one, "a", going=True))
    assert (todo.create, todo.status.terminating, todo.release) == ((), 1, ())
    other = job(parallelism=1)
    todo = look(other, pod(other, "a", going=True))
    assert names(todo.release) == ["a"]
    assert todo.status.uncountedTerminatedPods == UncountedTerminatedPods(failed=("uid-a",))


# Counting


def test_a_pod_is_listed_then_let_go_then_counted() -> None:
    one = job()
    first = look(one, pod(one, "a", "Succeeded"))
    assert first.status.uncountedTerminatedPods == UncountedTerminatedPods(succeeded=("uid-a",))
    assert (first.status.succeeded, names(first.release)) == (0, ["a"])
    one.status = first.status
    crashed = look(one, pod(one, "a", "Succeeded"))
    assert (crashed.status.succeeded, names(crashed.release)) == (0, ["a"]), "let go again after a crash"
    seen = look(one, pod(one, "a", "Succeeded", counted=True))
    assert (seen.status.succeeded, seen.release) == (1, ())
    one.status = seen.status
    assert look(one, pod(one, "a", "Succeeded", counted=True)).status.succeeded == 1, "never twice"
    gone = job()
    gone.status = first.status
    assert look(gone).status.succeeded == 1, "counted though it is gone"


def test_completions_end_it_when_all_are_counted() -> None:
    one = job(1, 1)
    first = look(one, pod(one, "a", "Succeeded"))
    assert conditions(first) == {"SuccessCriteriaMet": ("True", "CompletionsReached")}
    one.status = first.status
    last = look(one, pod(one, "a", "Succeeded", counted=True))
    assert conditions(last)["Complete"] == ("True", "CompletionsReached")
    assert last.status.completionTime == Time.of(NOW)
    assert [event[1] for event in last.events] == ["Completed"]
    one.status = last.status
    assert finished(one)


@given(st.lists(st.sampled_from(["Running", "Succeeded", "Failed"]), max_size=8), st.data())
def test_counts_are_exact_whatever_is_lost(phases: list[str], data: st.DataObject) -> None:
    """Writes that happen or not, releases that happen or not, pods that are seen or gone: every pod counts once."""
    one = job(None, 0, backoffLimit=100)
    pods = [pod(one, f"p{number}", phase) for number, phase in enumerate(phases)]
    for _ in range(30):
        todo = look(one, *pods)
        if not data.draw(st.booleans(), "status written"):
            continue
        one.status = codec.from_builtins(JobStatus, codec.to_builtins(todo.status))
        for released in todo.release:
            if data.draw(st.booleans(), "let go"):
                place = next(i for i, p in enumerate(pods) if p.metadata.uid == released.metadata.uid)
                if data.draw(st.booleans(), "and gone"):
                    pods.pop(place)
                else:
                    pods[place] = replace(pods[place], metadata=replace(pods[place].metadata, finalizers=()))
    for _ in range(3):
        todo = look(one, *pods)
        one.status = todo.status
        uids = {p.metadata.uid for p in todo.release}
        pods = [replace(p, metadata=replace(p.metadata, finalizers=())) if p.metadata.uid in uids else p for p in pods]
    assert one.status.succeeded == phases.count("Succeeded")
    assert one.status.failed == phases.count("Failed")
    assert one.status.uncountedTerminatedPods == UncountedTerminatedPods()


# Failing


def test_the_back_off_limit() -> None:
    one = job(backoffLimit=0)
    todo = look(one, pod(one, "a", "Failed"), pod(one, "b"))
    assert conditions(todo) == {"FailureTarget": ("True", "BackoffLimitExceeded")}
    assert (names(todo.delete), names(todo.release), todo.create) == (["b"], ["a", "b"], ())
    one.status = todo.status
    ended = [pod(one, "a", "Failed", counted=True), pod(one, "b", "Failed", counted=True)]
    last = look(one, *ended)
    assert (conditions(last)["Failed"], last.status.failed) == (("True", "BackoffLimitExceeded"), 2)


def test_restarts_count_with_on_failure() -> None:
    one = job(backoffLimit=3)
    one.spec.template.spec.restartPolicy = "OnFailure"
    busy = pod(one, "a")
    busy.status.containerStatuses = (ContainerStatus(name="main", restartCount=3),)
    assert conditions(look(one, busy)) == {"FailureTarget": ("True", "BackoffLimitExceeded")}


def test_the_deadline() -> None:
    one = job(activeDeadlineSeconds=60)
    one.status.startTime = ago(50)
    assert look(one, pod(one, "a"), pod(one, "b")).again == 10.0
    one.status.startTime = ago(61)
    assert conditions(look(one, pod(one, "a")))["FailureTarget"] == ("True", "DeadlineExceeded")


def policy(*rules: dict[str, Any]) -> PodFailurePolicy:
    return codec.from_builtins(PodFailurePolicy, {"rules": list(rules)})


def on_code(action: str, *codes: int, operator: str = "In") -> dict[str, Any]:
    return {"action": action, "onExitCodes": {"operator": operator, "values": list(codes)}}


def test_failure_policies() -> None:
    disrupted = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    one = job(podFailurePolicy=policy(disrupted, on_code("FailJob", 42), on_code("Count", 0, operator="NotIn")))
    lost = pod(one, "a", "Failed")
    lost.status.conditions = (PodCondition(type="DisruptionTarget", status="True"),)
    assert judge(one, lost).counted is False
    ignored = look(one, lost)
    assert (names(ignored.release), ignored.status.uncountedTerminatedPods) == (["a"], UncountedTerminatedPods())
    fatal = look(one, pod(one, "b", "Failed", code=42), pod(one, "c"))
    assert conditions(fatal) == {"FailureTarget": ("True", "PodFailurePolicy")}
    assert fatal.status.conditions[0].message == (
        "Container main for pod ns/b failed with exit code 42 matching FailJob rule at index 1"
    )
    assert judge(one, pod(one, "d", "Failed", code=7)) == judge(job(), pod(one, "d", "Failed", code=7))


def test_limits_by_index() -> None:
    one = indexed(2, 2, backoffLimitPerIndex=1, backoffLimit=2**31 - 1)
    todo = look(one, pod(one, "a", "Failed", index=0), pod(one, "b", index=1))
    assert todo.create == (0,)
    assert todo.release == (), "it is kept until its successor carries its count"
    after = jobpod.make_pod(one, owner("sum", "Job", "u"), "a2", 0, todo.replaced[0])
    assert after.metadata.annotations[jobpod.FAILURES] == "1"
    pods = (pod(one, "a", "Failed", index=0), pod(one, "a2", "Failed", index=0, failures=1), pod(one, "b", index=1))
    broken = look(one, *pods)
    assert (broken.status.failedIndexes, names(broken.release)) == ("0", ["a", "a2"])
    assert broken.create == ()
    one.status = broken.status
    done = look(one, pod(one, "b", "Succeeded", index=1))
    assert conditions(done)["FailureTarget"] == ("True", "FailedIndexes")
    strict = indexed(3, 3, backoffLimitPerIndex=0, maxFailedIndexes=0, backoffLimit=9)
    over = look(strict, pod(strict, "a", "Failed", index=0), pod(strict, "b", index=1))
    assert conditions(over)["FailureTarget"] == ("True", "MaxFailedIndexesExceeded")
    named = indexed(3, 3, backoffLimitPerIndex=5, backoffLimit=9, podFailurePolicy=policy(on_code("FailIndex", 9)))
    assert look(named, pod(named, "a", "Failed", index=2, code=9)).status.failedIndexes == "2"


def test_an_index_is_done_whose_pod_was_given_up_and_succeeds_after_all() -> None:
    """As upstream's `calculateSucceededIndexes`: the list of uids is of pods, the index has its own count."""
    one = indexed(backoffLimitPerIndex=1)
    one.status.uncountedTerminatedPods = UncountedTerminatedPods(failed=("uid-a",))
    todo = look(one, pod(one, "a", "Succeeded", index=0))
    assert (todo.status.completedIndexes, todo.status.succeeded) == ("0", 1)
    assert todo.status.uncountedTerminatedPods == UncountedTerminatedPods(failed=("uid-a",))
    # Not if the status has said that the index failed: the API takes no index that is both.
    one.status.failedIndexes = "0"
    todo = look(one, pod(one, "a", "Succeeded", index=0))
    assert (todo.status.completedIndexes, todo.status.failedIndexes, names(todo.release)) == ("", "0", ["a"])


@pytest.mark.parametrize(
    ("rule", "done", "met"),
    [
        ({"succeededIndexes": "0,2"}, "0-2", True),
        ({"succeededIndexes": "0,3"}, "0-2", False),
        ({"succeededIndexes": "0-3", "succeededCount": 2}, "1,3", True),
        ({"succeededCount": 3}, "0-2", True),
        ({"succeededCount": 3}, "0,1", False),
    ],
)
def test_success_policies(rule: dict[str, Any], done: str, met: bool) -> None:
    one = indexed(5, 5, successPolicy=codec.from_builtins(SuccessPolicy, {"rules": [rule]}))
    assert enough(one, Indexes.parse(done, 5)) == ("Matched rules at index 0" if met else "")


def test_enough_success_ends_the_rest() -> None:
    one = indexed(3, 3, successPolicy=codec.from_builtins(SuccessPolicy, {"rules": [{"succeededIndexes": "0"}]}))
    todo = look(one, pod(one, "a", "Succeeded", index=0), pod(one, "b", index=1), pod(one, "c", index=2))
    assert conditions(todo) == {"SuccessCriteriaMet": ("True", "SuccessPolicy")}
    assert (names(todo.delete), todo.status.completedIndexes) == (["b", "c"], "0")
    one.status = todo.status
    rest = [pod(one, "b", "Failed", index=1, counted=True), pod(one, "c", "Failed", index=2, counted=True)]
    last = look(one, pod(one, "a", "Succeeded", index=0, counted=True), *rest)
    assert (conditions(last)["Complete"], last.status.failed) == (("True", "SuccessPolicy"), 0)


def test_an_indexed_pod_knows_its_index() -> None:
    made = pod(indexed(), "a", index=3)
    assert made.spec.hostname == "sum-3"
    assert made.metadata.labels["batch.kubernetes.io/job-completion-index"] == "3"
    assert [one.name for one in made.spec.containers[0].env] == ["JOB_COMPLETION_INDEX"]
    assert made.metadata.generateName == "sum-3-"


# What could not be done


def test_the_status_tells_what_was_done_and_not_what_was_meant() -> None:
    one = job()
    short = plan(View(one, (), NOW, undone=Undone(unmade=2)))
    assert (short.create, short.status.active) == ((None, None), 0)
    going = job(parallelism=0)
    pods = (pod(going, "a"), pod(going, "b"))
    kept = plan(View(going, pods, NOW, undone=Undone(kept=frozenset({"uid-a"}))))
    assert (kept.status.active, kept.status.terminating, kept.status.ready) == (1, 1, 1)


def test_the_least_valuable_go_first() -> None:
    one = job(parallelism=1)
    old, young, restarted = pod(one, "old"), pod(one, "young"), pod(one, "restarted")
    young.metadata.creationTimestamp = ago(10)
    old.metadata.annotations = {"controller.kubernetes.io/pod-deletion-cost": "-5"}  # of ReplicaSets only
    restarted.status.containerStatuses = (ContainerStatus(name="main", restartCount=2),)
    unready = pod(one, "unready")
    unready.status.conditions = ()
    assigned = replace(unready.spec, nodeName="n1")
    for each in (old, young, restarted, unready):
        each.spec = assigned
    waiting = pod(one, "waiting", "Pending")
    order = by_value([old, young, restarted, unready, waiting])
    assert [each.metadata.name for each in order] == ["waiting", "unready", "restarted", "young", "old"]


def test_a_sidecar_says_when_the_pod_ended() -> None:
    one = job()
    late = pod(one, "a", "Failed", ended=30)
    late.spec.initContainers = (Container(name="side", restartPolicy="Always"), Container(name="once"))
    over = ContainerState(terminated=ContainerStateTerminated(exitCode=0, finishedAt=ago(20)))
    late.status.initContainerStatuses = (ContainerStatus(name="side", state=over),)
    assert ended_at(late) == NOW.timestamp() - 20
    late.status.initContainerStatuses = (ContainerStatus(name="once", state=over),)
    assert ended_at(late) == NOW.timestamp() - 30
