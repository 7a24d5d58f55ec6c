"""The checkers of zones and taints, on histories of a few writes."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.testing.history import Violation
from kijabi.testing.safety.zones import LOST, ZONE
from tests.testing.histories import CONTROLLERS, LATER, Step, play, pod


def node(name: str, *taints: str, zone: str = "a", ready: bool = True) -> Step:
    meta = {"name": name, "uid": name, "labels": {ZONE: zone}}
    spec = {"taints": [{"key": taint, "effect": "NoExecute"} for taint in taints]}
    status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    return (CONTROLLERS, f"Node {name}", {"metadata": meta, "spec": spec, "status": status})


def evicted(**tolerated: Any) -> list[Step]:
    """A pod of node n1, and its eviction by taints."""
    reason = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager"}
    before, after = pod("p", rs=""), pod("p", rs="", deleted=True, conditions=[reason])
    for one in (before, after):
        one["spec"]["tolerations"] = [{"operator": "Exists", **tolerated}] if tolerated else []
    return [("a", "Pod p", before), (CONTROLLERS, "Pod p", after)]


def marked() -> list[Step]:
    """A pod of node n1 that is to be evicted, and is not deleted yet."""
    first, (_, _, last) = evicted()
    assert last is not None
    meta = {name: value for name, value in last["metadata"].items() if not name.startswith("deletion")}
    return [first, (CONTROLLERS, "Pod p", {**last, "metadata": meta})]


HERE = [node("n1"), node("n2"), node("n3", zone="b")]
WRONG: list[tuple[str, list[Step]]] = [
    ("EvictionsPaced: .* after another of zone 'a'", [*HERE, node("n1", LOST[0]), node("n2", LOST[1])]),
    ("EvictedForTaints", [*HERE, *evicted()]),
    ("EvictedForTaints", [*HERE, node("n1", "x"), node("n1"), LATER, *marked()]),
    ("EvictedForTaints", [*HERE, node("n1", "x"), *evicted(key="x")]),
]
RIGHT: list[list[Step]] = [
    [*HERE, node("n1", LOST[0]), node("n1", LOST[1]), node("n3", LOST[0], zone="b")],
    [*HERE, node("n1", "x"), node("n2", "x")],
    [*HERE, node("n1", "x"), *evicted()],
    [*HERE, node("n1", "x"), *evicted(key="x", tolerationSeconds=0)],
    [*HERE, node("n1", "x"), node("n1"), *evicted()],  # its cache was behind
    [
        *HERE,
        node("n1", "x"),
        *marked(),
        node("n1"),
        LATER,
        *evicted()[1:],
    ],  # deleted for another reason
]


@pytest.mark.parametrize(("rule", "steps"), WRONG)
def test_what_is_wrong_is_found(rule: str, steps: list[Step]) -> None:
    with pytest.raises(Violation, match=rule):
        play(steps)


@pytest.mark.parametrize("steps", RIGHT)
def test_what_is_right_passes(steps: list[Step]) -> None:
    play(steps)
