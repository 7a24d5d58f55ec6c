"""Which nodes get a daemon pod, which pods go, and how a template is rolled out: the pure part."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from kijabi.api.apps.daemonset import (
    DaemonSet,
    DaemonSetSpec,
    DaemonSetUpdateStrategy,
    RollingUpdateDaemonSet,
)
from kijabi.api.core.affinity import Toleration
from kijabi.api.core.node import Node, Taint
from kijabi.api.core.nodestatus import NodeStatus
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodCondition
from kijabi.api.meta import LabelSelector, ObjectMeta
from kijabi.controllers.daemonset import pod as daemon
from kijabi.controllers.daemonset.book import Book, Terms, group
from kijabi.controllers.daemonset.place import Plan, View, belongs
from kijabi.controllers.daemonset.plan import limits, plan, status_of
from kijabi.controllers.revisions import HASH_LABEL
from tests.controllers.things import APP, NOW, ago, owner, template

NEW, OLD = "newhash", "oldhash"


def daemon_set(*, surge: int | str = 0, down: int | str = 1, strategy: str = "RollingUpdate") -> DaemonSet:
    rolling = RollingUpdateDaemonSet(maxSurge=surge, maxUnavailable=down) if strategy == "RollingUpdate" else None
    spec = DaemonSetSpec(
        selector=LabelSelector(matchLabels=APP),
        template=template(),
        updateStrategy=DaemonSetUpdateStrategy(type=strategy, rollingUpdate=rolling),
    )
    return DaemonSet(metadata=ObjectMeta(name="agent", namespace="ns", uid="u", generation=3), spec=spec)


def a_node(name: str, *taints: Taint, **labels: str) -> Node:
    node = Node(metadata=ObjectMeta(name=name, labels=labels), status=NodeStatus())
    node.spec.taints = taints
    return node


def on(node: str, code: str = NEW, *, ready: bool = True, phase: str = "Running", going: bool = False,
       bound: bool = True, age: float = 100, name: str = "") -> Pod:  # fmt: skip
    ds = daemon_set()
    pod = daemon.make_pod(ds, owner("agent", "DaemonSet", "u"), node, code, name or f"agent-{node}-{code}")
    pod.spec.nodeName = node if bound else ""
    pod.metadata.creationTimestamp = ago(age)
    pod.metadata.deletionTimestamp = ago(1) if going else None
    condition = PodCondition(type="Ready", status=str(ready), lastTransitionTime=ago(age))
    pod.status = replace(pod.status, phase=phase, conditions=(condition,))
    return pod


def view(ds: DaemonSet, nodes: list[Node], *pods: Pod, held: float = 0.0) -> tuple[View, Book]:
    seen = View(ds, NEW, NOW, lambda node: held)
    places, owned = {node.metadata.name: node for node in nodes}, group(pods)
    book = Book(Terms.of(seen))
    book.judge(seen, sorted({*places, *owned}), places.get, owned)
    return seen, book


def names(todo: Plan) -> tuple[list[str], list[str]]:
    return sorted(todo.create), sorted(pod.metadata.name for pod in todo.delete)


THREE = [a_node("a"), a_node("b"), a_node("c")]


def test_every_node_gets_one_and_surplus_goes() -> None:
    pods = (on("a"), on("a", name="twin", age=10), on("b", going=True))
    assert names(plan(*view(daemon_set(), THREE, *pods))) == (["c"], ["twin"])


def test_ended_pods_are_replaced_unless_held_back() -> None:
    ds, pods = daemon_set(), (on("a", phase="Failed"), on("b", phase="Succeeded"), on("c"))
    todo = plan(*view(ds, THREE, *pods))
    assert names(todo) == ([], ["agent-a-newhash", "agent-b-newhash"])
    assert [pod.metadata.name for pod in todo.failed] == ["agent-a-newhash"]
    held = plan(*view(ds, THREE, *pods, held=7.0))
    assert names(held) == ([], ["agent-b-newhash"])
    assert held.again == 7.0


def test_a_surge_gives_no_other_pod_to_a_node_that_is_held() -> None:
    ds, failed = daemon_set(surge=1, down=0), on("a", phase="Failed")
    held = plan(*view(ds, [a_node("a")], failed, held=7.0))
    assert (names(held), held.again) == (([], []), 7.0)
    assert names(plan(*view(ds, [a_node("a")], failed))) == (["a"], ["agent-a-newhash"])


def test_pods_waiting_for_a_node_that_is_gone_go() -> None:
    pods = (on("a"), on("gone", bound=False), on("lost"))
    assert names(plan(*view(daemon_set(), [a_node("a")], *pods))) == ([], ["agent-gone-newhash"])


@pytest.mark.parametrize(
    ("taint", "expected"),
    [
        (Taint(key="x", effect="NoSchedule"), (False, True)),
        (Taint(key="x", effect="NoExecute"), (False, False)),
        (Taint(key="x", effect="PreferNoSchedule"), (True, True)),
        (Taint(key="node.kubernetes.io/unreachable", effect="NoExecute"), (True, True)),
        (Taint(key="node.kubernetes.io/unschedulable", effect="NoSchedule"), (True, True)),
        (Taint(key="node.kubernetes.io/network-unavailable", effect="NoSchedule"), (False, True)),
    ],
)
def test_taints_decide_where_it_belongs(taint: Taint, expected: tuple[bool, bool]) -> None:
    assert belongs(daemon_set(), a_node("a", taint)) == expected


def test_selector_name_and_host_network_decide_too() -> None:
    ds = daemon_set()
    ds.spec.template.spec.nodeSelector = {"disk": "ssd"}
    assert belongs(ds, a_node("a", disk="ssd")) == (True, True)
    assert belongs(ds, a_node("a", disk="hdd")) == (False, False)
    ds.spec.template.spec.nodeName = "b"
    assert belongs(ds, a_node("a", disk="ssd")) == (False, False)
    host = daemon_set()
    host.spec.template.spec.hostNetwork = True
    assert belongs(host, a_node("a", Taint(key="node.kubernetes.io/network-unavailable", effect="NoSchedule")))[0]


@pytest.mark.parametrize(
    ("surge", "down", "expected"),
    [(0, 1, (0, 1, 3)), ("50%", 0, (2, 0, 3)), (0, "34%", (0, 2, 3)), (0, 0, (0, 1, 3))],
)
def test_limits_round_up_and_never_block(surge: Any, down: Any, expected: tuple[int, int, int]) -> None:
    ds = daemon_set(surge=surge, down=down)
    assert limits(ds, view(ds, THREE)[1]) == expected


def test_a_rollout_by_deletion_stays_within_its_limit() -> None:
    ds = daemon_set(down=1)
    assert names(plan(*view(ds, THREE, on("a", OLD), on("b", OLD), on("c", OLD)))) == ([], ["agent-a-oldhash"])
    busy = (on("a", NEW, ready=False), on("b", OLD), on("c", OLD))
    assert names(plan(*view(ds, THREE, *busy))) == ([], [])
    broken = (on("a", NEW, ready=False), on("b", OLD, ready=False), on("c", OLD))
    assert names(plan(*view(ds, THREE, *broken))) == ([], ["agent-b-oldhash"]), "what is down anyway may go"
    assert names(plan(*view(daemon_set(strategy="OnDelete"), THREE, *broken))) == ([], [])


def test_a_rollout_by_surge_doubles_first() -> None:
    ds = daemon_set(surge=1, down=0)
    assert names(plan(*view(ds, THREE, on("a", OLD), on("b", OLD), on("c", OLD)))) == (["a"], [])
    waiting = (on("a", OLD), on("a", NEW, ready=False), on("b", OLD), on("c", OLD))
    assert names(plan(*view(ds, THREE, *waiting))) == ([], [])
    done = (on("a", OLD), on("a", NEW), on("b", OLD), on("c", OLD))
    assert names(plan(*view(ds, THREE, *done))) == ([], ["agent-a-oldhash"])
    broken = (on("a", OLD, ready=False), on("b", OLD), on("c", OLD))
    assert names(plan(*view(ds, THREE, *broken))) == (["a", "b"], []), "a broken pod costs no surge"


def test_surging_keeps_a_misplaced_pod_until_others_stand() -> None:
    ds = daemon_set(surge=1, down=0)
    ds.spec.template.spec.nodeSelector = {"disk": "ssd"}
    tainted = a_node("a", Taint(key="x", effect="NoSchedule"), disk="ssd")
    nodes = [tainted, a_node("b", disk="ssd")]
    assert names(plan(*view(ds, nodes, on("a", OLD), on("b", NEW, ready=False)))) == ([], [])
    assert names(plan(*view(ds, nodes, on("a", OLD), on("b", NEW)))) == ([], ["agent-a-oldhash"])


def test_status_counts_the_oldest_pod_of_each_node() -> None:
    nodes = [*THREE, a_node("d", Taint(key="x", effect="NoExecute"))]
    pods = (on("a", NEW), on("b", OLD), on("b", NEW, ready=False, age=5), on("d", OLD))
    status = status_of(*view(daemon_set(), nodes, *pods), 3)
    assert (status.desiredNumberScheduled, status.currentNumberScheduled, status.numberMisscheduled) == (3, 2, 1)
    assert (status.numberReady, status.numberAvailable, status.numberUnavailable) == (2, 2, 1)
    assert (status.updatedNumberScheduled, status.observedGeneration) == (1, 3)


def test_the_pod_of_a_node() -> None:
    ds = daemon_set()
    ds.spec.template.spec.tolerations = (Toleration(key="mine", operator="Exists"),)
    pod = daemon.make_pod(ds, owner("agent", "DaemonSet", "u"), "a", NEW, "agent-x")
    assert daemon.target(pod) == "a"
    assert pod.metadata.labels == {**APP, HASH_LABEL: NEW}
    assert len(pod.spec.tolerations) == 7
    assert pod.spec.tolerations[0].key == "mine"
