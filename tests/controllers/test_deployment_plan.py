"""What a Deployment writes: step by step, and that a rollout always ends within its bounds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kijabi.api.apps.deployment import Deployment, DeploymentCondition, DeploymentStatus
from kijabi.api.apps.replicaset import ReplicaSet, ReplicaSetCondition, ReplicaSetStatus
from kijabi.api.meta import Time
from kijabi.controllers.deployment import scale
from kijabi.controllers.deployment.plan import Plan, plan
from kijabi.controllers.deployment.revision import DESIRED, MAXIMUM, REVISION, with_sizes
from tests.controllers.things import NOW, ago, deployment, owner, replica_set

REF = owner("web", "Deployment", "uid-web")


def decide(d: Deployment, *sets: ReplicaSet, old_pods: bool = False, later: float = 0) -> Plan:
    return plan(d, sets, REF, old_pods, NOW + timedelta(seconds=later))


def sizes(todo: Plan) -> dict[str, int | None]:
    return {change.after.metadata.name: change.after.spec.replicas for change in todo.updates}


def conditions(todo: Plan) -> dict[str, tuple[str, str, str]]:
    return {c.type: (c.status, c.reason, c.message) for c in todo.status.conditions}


def progressing(reason: str, status: str = "True", since: float = 0) -> DeploymentCondition:
    return DeploymentCondition(
        type="Progressing", status=status, reason=reason, lastUpdateTime=ago(since), lastTransitionTime=ago(since)
    )


def rs(name: str, replicas: int, d: Deployment, **more: Any) -> ReplicaSet:
    known = {"annotations": {REVISION: "1"}} if name == "new" else {}
    return with_sizes(replica_set(name, replicas, **{**known, **more}), d)


def test_the_first_set_is_made_with_all_its_pods() -> None:
    todo = decide(deployment(3))
    assert todo.create is not None
    assert todo.create.spec.replicas == 3
    assert todo.revision == "1"
    name = todo.create.metadata.name
    assert conditions(todo) == {
        "Progressing": ("True", "NewReplicaSetCreated", f'Created new replica set "{name}"'),
        "Available": ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."),
    }
    assert (todo.status.unavailableReplicas, todo.status.observedGeneration) == (3, 1)
    assert todo.again == 601


def test_a_new_template_begins_with_the_surge() -> None:
    d = deployment(10, image="web:2")
    old = rs("old", 10, d, annotations={REVISION: "3"})
    todo = decide(d, old)
    assert todo.create is not None
    assert todo.create.spec.replicas == 3
    assert todo.create.metadata.annotations[REVISION] == "4"
    assert sizes(todo) == {"old": 8}, "maxUnavailable is free at once"


def test_growing_and_shrinking_are_separate_steps() -> None:
    d = deployment(10, image="web:2", surge=2, unavailable=2)
    new, old = rs("new", 1, d, image="web:2", age=1), rs("old", 10, d)
    assert sizes(decide(d, new, old)) == {"new": 2}
    new = rs("new", 2, d, image="web:2", age=1)
    assert sizes(decide(d, new, old)) == {"old": 6}


def test_annotations_are_written_only_with_a_new_size() -> None:
    d = deployment(10, image="web:2", surge=2, unavailable=2)
    new, old = rs("new", 10, d, image="web:2", age=1), rs("old", 2, d)
    (change,) = decide(d, new, old).updates
    assert (change.after.metadata.name, change.after.spec.replicas) == ("old", 0)
    assert change.before is old


def test_the_end_of_a_rollout() -> None:
    d = deployment(
        3, image="web:2", status=DeploymentStatus(replicas=3, conditions=(progressing("ReplicaSetUpdated"),))
    )
    new, old = rs("new", 3, d, image="web:2", age=1, annotations={REVISION: "2"}), rs("old", 0, d)
    todo = decide(d, new, old)
    assert conditions(todo)["Progressing"] == (
        "True",
        "NewReplicaSetAvailable",
        'ReplicaSet "new" has successfully progressed.',
    )
    assert conditions(todo)["Available"][1] == "MinimumReplicasAvailable"
    assert (todo.updates, todo.create, todo.again) == ((), None, None)
    d.status = todo.status
    assert decide(d, new, old).status == todo.status, "nothing more to say"


def test_progress_renews_the_time_and_none_runs_into_the_deadline() -> None:
    before = DeploymentStatus(replicas=3, updatedReplicas=1, conditions=(progressing("ReplicaSetUpdated", since=500),))
    d = deployment(3, image="web:2", surge=1, unavailable=0, status=before)
    new, old = rs("new", 2, d, image="web:2", age=1, available=0), rs("old", 2, d)
    todo = decide(d, new, old)
    condition = next(c for c in todo.status.conditions if c.type == "Progressing")
    assert (condition.reason, condition.message) == ("ReplicaSetUpdated", 'ReplicaSet "new" is progressing.')
    assert (condition.lastUpdateTime, condition.lastTransitionTime) == (Time.of(NOW), ago(500))
    d.status = todo.status
    stuck = decide(d, new, old, later=599)
    assert stuck.status == todo.status
    assert stuck.again == 2
    late = decide(d, new, old, later=601)
    assert conditions(late)["Progressing"] == (
        "False",
        "ProgressDeadlineExceeded",
        'ReplicaSet "new" has timed out progressing.',
    )
    assert late.again is None


def test_without_a_deadline_there_is_no_progressing_condition() -> None:
    d = deployment(3, progressDeadlineSeconds=None, status=DeploymentStatus(conditions=(progressing("x"),)))
    todo = decide(d, rs("new", 3, d))
    assert "Progressing" not in conditions(todo)
    assert todo.again is None


def test_a_set_found_by_its_template() -> None:
    d = deployment(3)
    todo = decide(d, rs("web-1", 3, d, available=0))
    assert conditions(todo)["Progressing"][:2] == ("True", "ReplicaSetUpdated")
    d.status = DeploymentStatus(replicas=3, updatedReplicas=3, readyReplicas=0)
    assert conditions(decide(d, rs("web-1", 3, d, available=0)))["Progressing"] == (
        "True",
        "FoundNewReplicaSet",
        'Found new replica set "web-1"',
    )


def test_failures_of_the_sets_show_on_the_deployment() -> None:
    d = deployment(3)
    bad = ReplicaSetCondition(type="ReplicaFailure", status="True", reason="FailedCreate", message="no quota")
    new = rs("new", 3, d, status=ReplicaSetStatus(conditions=(bad,)))
    assert conditions(decide(d, new))["ReplicaFailure"] == ("True", "FailedCreate", "no quota")


def test_paused_scales_but_does_not_roll() -> None:
    d = deployment(6, image="web:2", paused=True)
    old = rs("old", 3, deployment(3))
    todo = decide(d, old)
    assert todo.create is None
    assert sizes(todo) == {"old": 6}
    assert conditions(todo)["Progressing"] == ("Unknown", "DeploymentPaused", "Deployment is paused")
    resumed = deployment(6, status=todo.status, strategy="Recreate", image="web:2")
    old = rs("old", 6, resumed, status=old.status)
    assert conditions(decide(resumed, old))["Progressing"] == ("Unknown", "DeploymentResumed", "Deployment is resumed")


def test_a_resize_in_the_middle_of_a_rollout_is_shared() -> None:
    was = deployment(10, surge=0, unavailable=0)
    d = deployment(12, image="web:2", surge=0, unavailable=0)
    new, old = rs("new", 3, was, image="web:2", age=1), rs("old", 7, was)
    todo = decide(d, new, old)
    assert sizes(todo) == {"new": 4, "old": 8}
    for change in todo.updates:
        assert change.after.metadata.annotations.items() >= {DESIRED: "12", MAXIMUM: "12"}.items()


def test_recreate_waits_until_the_old_pods_are_gone() -> None:
    d = deployment(3, image="web:2", strategy="Recreate")
    down = decide(d, rs("old", 3, d), old_pods=True)
    assert (down.create, sizes(down)) == (None, {"old": 0})
    waiting = decide(d, rs("old", 0, d, current=1), old_pods=True)
    assert (waiting.create, waiting.updates) == (None, ())
    unaware = rs("old", 0, d)
    unaware.metadata.generation = 2
    assert decide(d, unaware).create is None, "it has not seen that it is to have none, and may be creating some"
    dying = decide(d, rs("old", 0, d), old_pods=True)
    assert dying.create is None
    made = decide(d, rs("old", 0, d)).create
    assert made is not None
    assert made.spec.replicas == 3


def test_recreate_with_several_live_sets_is_not_stuck_when_it_is_resized() -> None:
    before, d = deployment(1, strategy="Recreate"), deployment(4, image="web:3", strategy="Recreate")
    sets = (rs("older", 1, before), rs("old", 1, before, image="web:2"))
    assert sizes(decide(d, *sets, old_pods=True)) == {"older": 0, "old": 0}


def test_a_set_that_has_the_right_size_by_chance_is_not_taken_for_resized_again_and_again() -> None:
    before, d = deployment(4, image="web:1"), deployment(3, image="web:2")
    (change,) = decide(d, rs("old", 3, before)).updates
    assert (change.after.spec.replicas, change.after.metadata.annotations[DESIRED]) == (3, "3")
    assert decide(d, change.after).create is not None


def test_old_revisions_go_when_the_rollout_is_complete() -> None:
    complete = DeploymentStatus(replicas=3, updatedReplicas=3, availableReplicas=3, observedGeneration=1)
    d = deployment(3, revisionHistoryLimit=1, status=complete)
    olds = [rs(f"r{n}", 0, d, image=f"old:{n}", annotations={REVISION: str(n)}) for n in (1, 2)]
    new = rs("new", 3, d, annotations={REVISION: "3"})
    assert [one.metadata.name for one in decide(d, new, *olds).delete] == ["r1"]
    d.status = DeploymentStatus()
    assert decide(d, new, *olds).delete == ()


def test_a_deployment_being_deleted_only_counts() -> None:
    d = deployment(3)
    d.metadata.deletionTimestamp = Time.of(NOW)
    todo = decide(d, rs("old", 5, d, image="x"))
    assert todo == Plan(todo.status)
    assert todo.status.replicas == 5


def after(d: Deployment, sets: list[ReplicaSet], todo: Plan, flaky: set[str], steps: int) -> list[ReplicaSet]:
    """The sets once the plan was carried out and their pods followed, but for those that never become available."""
    changed = {change.after.metadata.uid: change.after for change in todo.updates}
    sets = [changed.get(one.metadata.uid, one) for one in sets]
    if todo.create is not None:
        meta = replace(todo.create.metadata, uid=f"uid-{steps}", creationTimestamp=Time.of(NOW + timedelta(steps)))
        sets.append(replace(todo.create, metadata=meta))
    for index, one in enumerate(sets):
        have, broken = scale.replicas_of(one), one.spec.template.spec.containers[0].image in flaky
        was = min(one.status.availableReplicas, have)
        good = was if broken else have
        status = ReplicaSetStatus(replicas=have, readyReplicas=good, availableReplicas=good, observedGeneration=1)
        sets[index] = replace(one, status=status)
    return sets


@settings(max_examples=150, deadline=None)
@given(
    replicas=st.integers(0, 12),
    surge=st.integers(0, 4) | st.sampled_from(["0%", "25%", "100%"]),
    unavailable=st.integers(0, 4) | st.sampled_from(["0%", "25%", "100%"]),
    images=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(1, 4)), min_size=1, max_size=4),
)
def test_a_rollout_stays_in_its_bounds_and_ends(
    replicas: int, surge: Any, unavailable: Any, images: list[tuple[str, int]]
) -> None:
    """Templates change in mid-rollout, `b` never works; the last template always does."""
    sets: list[ReplicaSet] = []
    steps = 0
    for number, (image, patience) in enumerate([*images, ("a", 100)]):
        d = deployment(replicas, image=image, surge=surge, unavailable=unavailable)
        floor = replicas - scale.max_unavailable(d)
        for _ in range(patience):
            steps += 1
            available = sum(one.status.availableReplicas for one in sets)
            todo = plan(d, sets, REF, False, NOW)
            planned = [todo.create] if todo.create is not None else []
            planned += [c.after for c in todo.updates]
            names = {one.metadata.name for one in planned}
            kept = [one for one in sets if one.metadata.name not in names]
            assert scale.total([*planned, *kept]) <= max(replicas + scale.max_surge(d), scale.total(sets))
            left = sum(min(one.status.availableReplicas, scale.replicas_of(one)) for one in [*planned, *kept])
            assert left >= min(floor, available)
            idle = not todo.updates and todo.create is None
            sets = after(d, sets, todo, {"b"}, steps)
            if idle:
                break
        if number == len(images):
            assert idle, "it ends"
    assert [
        (scale.replicas_of(one), one.spec.template.spec.containers[0].image) for one in sets if one.spec.replicas
    ] == ([(replicas, "a")] if replicas else [])


@pytest.mark.parametrize("strategy", ["RollingUpdate", "Recreate"])
def test_zero_replicas_are_complete_at_once(strategy: str) -> None:
    d = deployment(0, strategy=strategy)
    todo = decide(d)
    assert todo.create is not None
    assert conditions(todo)["Progressing"][1] == "NewReplicaSetAvailable"
