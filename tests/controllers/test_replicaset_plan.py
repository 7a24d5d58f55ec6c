"""How many pods a ReplicaSet makes, which it gives up, and what its status says."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.apps.replicaset import ReplicaSetCondition, ReplicaSetStatus
from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import ContainerStatus
from kijabi.api.meta import Time
from kijabi.base.errors import Forbidden
from kijabi.controllers import pods as podlib
from kijabi.controllers.owners import claim
from kijabi.controllers.replicaset import BURST, plan, pod_of, status_of
from tests.controllers.things import APP, NOW, owner, pod, replica_set


def named(prefix: str, count: int, **more: Any) -> list[Pod]:
    return [pod(f"{prefix}{n}", **more) for n in range(count)]


@pytest.mark.parametrize(
    ("replicas", "have", "create", "delete"),
    [(3, 0, 3, 0), (3, 3, 0, 0), (3, 5, 0, 2), (0, 2, 0, 2), (900, 0, BURST, 0), (0, 700, 0, BURST)],
)
def test_the_number_of_pods(replicas: int, have: int, create: int, delete: int) -> None:
    pods = named("p", have)
    todo = plan(replicas, pods, pods, NOW)
    assert (todo.create, len(todo.delete)) == (create, delete)


COST = "controller.kubernetes.io/pod-deletion-cost"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"node": "", "phase": "Pending", "ready": None}, {"phase": "Pending", "ready": None}),
        ({"phase": "Pending", "ready": None}, {"phase": "Unknown", "ready": None}),
        ({"phase": "Unknown", "ready": None}, {"phase": "Running", "ready": None}),
        ({"ready": None}, {"ready": 5}),
        ({"annotations": {COST: "-5"}}, {}),
        ({}, {"annotations": {COST: "10"}}),
        ({"annotations": {COST: "+10"}}, {"annotations": {COST: "1"}}),
        ({"annotations": {COST: "9"}, "ready": None}, {"annotations": {COST: "-9"}}),
        ({"node": "crowded"}, {"node": "n1"}),
        ({"ready": 10}, {"ready": 1000}),
        ({"restarts": 3}, {"restarts": 2}),
        ({"ready": None, "age": 10}, {"ready": None, "age": 10_000}),
    ],
)
def test_which_pod_goes_first(first: dict[str, Any], second: dict[str, Any]) -> None:
    a, b = pod("a", **first), pod("b", **second)
    crowd = [a, b, pod("x", node="crowded"), pod("y", node="crowded")]
    assert plan(1, [a, b], crowd, NOW).delete == (a,)
    assert plan(1, [b, a], crowd, NOW).delete == (a,)


def test_times_of_the_same_magnitude_are_told_apart_by_uid() -> None:
    older, younger = pod("a", ready=1000), pod("b", ready=900)
    assert podlib.deletion_order([younger, older], [], NOW) == [older, younger]


def test_restarting_sidecars_break_a_tie() -> None:
    def with_sidecar(name: str, restarts: int) -> Pod:
        made = pod(name, spec={"initContainers": (Container(name="s", restartPolicy="Always"),)})
        made.status.initContainerStatuses = (ContainerStatus(name="s", restartCount=restarts),)
        return made

    calm, nervous = with_sidecar("a", 1), with_sidecar("b", 4)
    assert podlib.deletion_order([calm, nervous], [], NOW)[0] is nervous


def test_claims_only_what_is_its_own_or_nobodys() -> None:
    rs = replica_set("web", 3)
    ours, strays = pod("ours", controller=owner("web")), pod("stray", controller=owner("web"), labels={"app": "x"})
    others, orphan = pod("others", controller=owner("else")), pod("orphan")
    dying, unlike = pod("dying", deleting=True), pod("unlike", labels={"app": "x"})
    todo = claim(rs.metadata, lambda labels: labels == APP, [ours, strays, others, orphan, dying, unlike])
    assert (todo.owned, todo.adopt, todo.release) == ((ours,), (orphan,), (strays,))


def test_an_owner_being_deleted_neither_adopts_nor_releases() -> None:
    rs = replica_set("web", 3)
    rs.metadata.deletionTimestamp = Time.of(NOW)
    ours, stray = pod("ours", controller=owner("web")), pod("stray", controller=owner("web"), labels={})
    todo = claim(rs.metadata, lambda labels: labels == APP, [ours, stray, pod("orphan")])
    assert (todo.owned, todo.adopt, todo.release) == ((ours,), (), ())


def test_the_status_counts() -> None:
    rs = replica_set("web", 4, min_ready=60, status=ReplicaSetStatus())
    rs.spec.template.metadata.labels = {**APP, "extra": "1"}
    pods = [pod("a", ready=100), pod("b", ready=10, labels={**APP, "extra": "1"}), pod("c", ready=None)]
    status = status_of(rs, pods, 2, None, NOW)
    assert status == ReplicaSetStatus(
        replicas=3,
        fullyLabeledReplicas=1,
        readyReplicas=2,
        availableReplicas=1,
        terminatingReplicas=2,
        observedGeneration=1,
    )
    assert podlib.next_available(pods, 60, NOW) == 50


@pytest.mark.parametrize(
    ("have", "reason", "text"),
    [(1, "FailedCreate", "no quota"), (5, "FailedDelete", "unable to delete pods: no quota")],
)
def test_a_failure_shows_until_it_is_over(have: int, reason: str, text: str) -> None:
    rs = replica_set("web", 3)
    pods = named("p", have)
    failed = status_of(rs, pods, 0, Forbidden("no quota"), NOW)
    assert failed.conditions == (
        ReplicaSetCondition(
            type="ReplicaFailure", status="True", lastTransitionTime=Time.of(NOW), reason=reason, message=text
        ),
    )
    rs.status = failed
    assert status_of(rs, pods, 0, Forbidden("something else"), NOW).conditions == failed.conditions
    assert status_of(rs, pods, 0, None, NOW).conditions == ()


def test_a_pod_is_the_template_with_its_owner() -> None:
    rs = replica_set("web", 1)
    rs.spec.template.metadata.annotations = {"note": "x"}
    made = pod_of(rs.spec.template, owner("web"), "ns", "web-abcde")
    assert (made.metadata.name, made.metadata.generateName) == ("web-abcde", "web-")
    assert made.metadata.labels == APP
    assert made.metadata.annotations == {"note": "x"}
    assert made.metadata.ownerReferences == (owner("web"),)
    assert made.spec == rs.spec.template.spec
    assert made.spec is not rs.spec.template.spec
