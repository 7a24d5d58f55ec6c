"""Each checker lets pass what is right and finds what is wrong, on histories of a few writes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.pod import Pod
from kijabi.store.interface import Op
from kijabi.store.memory import MemoryStore
from kijabi.testing.history import Violation, WatchedStore
from tests.testing.histories import (
    BORN,
    CONTROLLERS,
    NODE,
    Step,
    deployment,
    node,
    play,
    pod,
    replica_set,
    rolled_out,
    thing,
)

WRONG: list[tuple[str, list[Step]]] = [
    (
        "IdentityKept: metadata.uid",
        [("a", "Pod p", pod("p", rs="")), ("a", "Pod p", thing("Pod", "q", metadata={"name": "p"}))],
    ),
    ("IdentityKept: its deletion", [("a", "Pod p", pod("p", rs="", deleted=True)), ("a", "Pod p", pod("p", rs=""))]),
    ("IdentityKept: a uid", [("a", "Pod p", pod("p", rs="")), ("a", "Pod p", None), ("a", "Pod p", pod("p", rs=""))]),
    (
        "FinalizersHonoured: it went at once",
        [("a", "ConfigMap c", thing("", "c", metadata={"finalizers": ["x/y"]})), (CONTROLLERS, "ConfigMap c", None)],
    ),
    (
        "FinalizersHonoured: it went with finalizers",
        [
            ("a", "ConfigMap c", thing("", "c", metadata={"finalizers": ["x/y"], "deletionTimestamp": BORN})),
            (CONTROLLERS, "ConfigMap c", None),
        ],
    ),
    ("OwnersExist", [("a", "Pod p", pod("p", rs="nobody"))]),
    (
        "BoundOnce: moved",
        [("a", "Pod p", pod("p", rs="")), ("a", "Pod p", thing("Pod", "p", spec={"nodeName": "n2", "containers": []}))],
    ),
    ("EndsForGood", [("a", "Pod p", pod("p", rs="", phase="Failed")), ("a", "Pod p", pod("p", rs=""))]),
    (
        "RestartsCounted",
        [("a", "Pod p", pod("p", rs="", containerStatuses=[{"name": "c", "restartCount": count}])) for count in (2, 1)],
    ),
    ("PodsEndFirst", [node(), ("a", "Pod runs", pod("runs", rs="")), (NODE, "Pod runs", None)]),
    ("PodsEndFirst", [node(), ("a", "Pod runs", pod("runs", rs="")), (CONTROLLERS, "Pod runs", None)]),
    ("SurgeBounded", [*rolled_out(), (CONTROLLERS, "ReplicaSet new", replica_set("new", 2))]),
    ("AvailabilityKept", [*rolled_out(), (CONTROLLERS, "Pod p1", pod("p1", deleted=True))]),
    (
        "RecreatesInTurn",
        [
            ("a", "Deployment web", deployment(strategy="Recreate")),
            ("a", "ReplicaSet rs", replica_set("rs", 0)),
            ("a", "Pod p", pod("p")),
            (CONTROLLERS, "ReplicaSet new", replica_set("new", 2)),
        ],
    ),
    (
        "PodAddressesUnique",
        [("a", f"Pod {name}", pod(name, rs="", podIP="10.0.0.1")) for name in ("runs", "runs-too")],
    ),
    (
        "ServiceAddressesUnique",
        [("a", f"Service {name}", thing("", name, spec={"clusterIPs": ["10.96.0.7"]})) for name in ("s", "t")],
    ),
    (
        "ObservedGenerations",
        [("a", "Deployment web", thing("", "web", metadata={"generation": 1}, status={"observedGeneration": 2}))],
    ),
]


RUNNING = ("runs", "runs-too")


@pytest.mark.parametrize(("rule", "steps"), WRONG, ids=[rule for rule, _ in WRONG])
def test_what_is_wrong_is_found(rule: str, steps: list[Step]) -> None:
    play(steps[:-1], runs=RUNNING)
    with pytest.raises(Violation, match=rule):
        play(steps, runs=RUNNING)


def test_a_node_that_is_full() -> None:
    def asking(name: str, node: str) -> dict[str, Any]:
        container = {"name": "c", "resources": {"requests": {"cpu": "600m"}}}
        return thing("Pod", name, spec={"nodeName": node, "containers": [container]})

    steps: list[Step] = [node(allocatable={"cpu": "1"})]
    for name in ("p", "q"):
        steps += [("a", f"Pod {name}", asking(name, "")), ("system:kube-scheduler", f"Pod {name}", asking(name, "n1"))]
    play(steps[:-1])
    with pytest.raises(Violation, match="1200m of 1000m CPU"):
        play(steps)


def test_what_others_do_is_no_fault_of_the_controllers() -> None:
    play([*rolled_out(), ("a", "Pod p1", pod("p1", deleted=True)), (CONTROLLERS, "Pod p2", pod("p2", deleted=True))])
    play([*rolled_out(), (NODE, "Pod p1", pod("p1", ready=False)), (CONTROLLERS, "Pod p2", pod("p2", deleted=True))])
    play([*rolled_out(), ("a", "ReplicaSet rs", None), (CONTROLLERS, "Pod p1", pod("p1", deleted=True))])


def test_a_set_without_pods_is_no_surge() -> None:
    late = ("a", "ReplicaSet late", replica_set("late", 3))
    play([*rolled_out(), late, (CONTROLLERS, "ReplicaSet new", replica_set("new", 0))])


def test_a_deployment_that_is_paused_is_kept_at_its_size() -> None:
    web = deployment(strategy="Recreate")
    paused = {**web, "spec": {**web["spec"], "paused": True}}
    mine = [("a", "ReplicaSet rs", replica_set("rs", 0)), ("a", "Pod p", pod("p"))]
    play([("a", "Deployment web", paused), *mine, (CONTROLLERS, "ReplicaSet new", replica_set("new", 2))])


def test_an_address_is_free_when_its_pod_has_ended_before_the_api_hears_of_it() -> None:
    have = [("a", f"Pod {name}", pod(name, rs="", podIP="10.0.0.1")) for name in ("runs", "ended")]
    play(have, runs=("runs",))
    play(reversed(have), runs=("runs",))


def test_a_violation_tells_the_story() -> None:
    with pytest.raises(Violation) as caught:
        play([("a", "Pod p", pod("p", rs="", phase="Failed")), (NODE, "Pod p", pod("p", rs=""))])
    text = str(caught.value)
    assert "its phase went from Failed to Running" in text
    assert "seed 0" in text
    assert "pods ns/p, its last writes" in text
    assert "update by system:node:n1" in text


def test_equal_histories_have_equal_digests() -> None:
    async def digest(*names: str) -> str:
        store = WatchedStore(MemoryStore())
        for name in names:
            value = codec.encode(codec.from_builtins(Pod, pod(name)))
            await store.txn([], [Op(f"/registry/core/pods/ns/{name}", value)])
        return store.digest

    assert asyncio.run(digest("a", "b")) == asyncio.run(digest("a", "b")) != asyncio.run(digest("b", "a"))
