"""Which pods are evicted by taints and when, and which ones the pod collector takes."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.core.affinity import Toleration
from kijabi.api.core.node import Taint
from kijabi.api.core.nodefit import tolerates
from kijabi.api.core.nodestatus import NodeCondition, NodeStatus
from kijabi.api.core.podstatus import PodCondition
from kijabi.controllers.podgc import OUT_OF_SERVICE, stranded, surplus
from kijabi.controllers.tainteviction import eviction
from tests.controllers.things import NOW, ago, node, pod

SINCE = NOW.timestamp()
NOW_AT_ONCE = float("-inf")


@pytest.mark.parametrize(
    ("toleration", "yes"),
    [
        ({"key": "k", "value": "v"}, True),
        ({"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "k", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoSchedule"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "k", "operator": "Odd", "value": "v"}, False),
    ],
)
def test_tolerates(toleration: dict[str, Any], yes: bool) -> None:
    assert tolerates(Toleration(**toleration), Taint(key="k", value="v", effect="NoExecute")) is yes


def tolerant(*seconds: tuple[str, int | None], bound: float = 1000) -> Any:
    tolerations = tuple(Toleration(key=k, operator="Exists", tolerationSeconds=s) for k, s in seconds)
    made = pod("p", spec={"tolerations": tolerations})
    made.status.conditions += (PodCondition(type="PodScheduled", status="True", lastTransitionTime=ago(bound)),)
    return made


@pytest.mark.parametrize(
    ("seconds", "taints", "at"),
    [
        ((), ("a",), NOW_AT_ONCE),
        ((), (), None),
        ((("a", None),), ("a",), None),
        ((("a", 300),), ("a",), SINCE + 300),
        ((("a", 0),), ("a",), NOW_AT_ONCE),
        ((("a", -5),), ("a",), NOW_AT_ONCE),
        ((("a", 300), ("b", 10)), ("a", "b"), SINCE + 10),
        ((("a", None), ("b", 10)), ("a", "b"), SINCE + 10),
        ((("a", 300),), ("a", "b"), NOW_AT_ONCE),
        ((("a", 5), ("", 300)), ("a",), SINCE + 5),
    ],
)
def test_when_a_pod_must_go(seconds: Any, taints: tuple[str, ...], at: float | None) -> None:
    present = [Taint(key=key, effect="NoExecute") for key in taints]
    assert eviction(tolerant(*seconds), present, lambda _: SINCE) == at


def test_a_toleration_begins_when_the_pod_comes() -> None:
    late = tolerant(("a", 300), bound=-50)
    assert eviction(late, [Taint(key="a", effect="NoExecute")], lambda _: SINCE) == SINCE + 350


def out_of_service(ready: str, taint: str = OUT_OF_SERVICE) -> Any:
    made = node("n1", taints=(Taint(key=taint, effect="NoExecute"),))
    made.status = NodeStatus(conditions=(NodeCondition(type="Ready", status=ready),))
    return made


def test_stranded_pods() -> None:
    assert stranded(pod("a", node="", deleting=True), None)
    assert not stranded(pod("a", node=""), None)
    assert not stranded(pod("a", deleting=True), None), "a missing node is the quarantine's business"
    assert stranded(pod("a", deleting=True), out_of_service("Unknown"))
    assert not stranded(pod("a", deleting=True), out_of_service("True"))
    assert not stranded(pod("a"), out_of_service("Unknown"))
    assert not stranded(pod("a", deleting=True), out_of_service("Unknown", "other"))


def test_ended_pods_beyond_the_number_go_the_oldest_first() -> None:
    evicted = pod("evicted", phase="Failed", age=1)
    evicted.status.reason = "Evicted"
    ended = [pod("b", phase="Failed", age=20), pod("a", phase="Succeeded", age=30), evicted]
    assert [p.metadata.name for p in surplus(ended, 1)] == ["evicted", "a"]
    assert surplus(ended, 3) == []
    assert surplus(ended, 0) == []
