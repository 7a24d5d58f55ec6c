"""The checkers of pods that are placed and displaced together, on histories of a few writes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kijabi.api.scheduling.podgroup import PodGroup
from kijabi.testing.history import Violation
from kijabi.testing.liveness.gangs import group as wrong_with
from kijabi.testing.safety.facts import ADMIN, SCHEDULER
from tests.testing.histories import CONTROLLERS, LATER, Step, play, thing

LONE = ""


def node(name: str = "n1", cpu: str | None = "4") -> Step:
    made = {"metadata": {"name": name, "uid": name}, "status": {"allocatable": {"cpu": cpu}}}
    return ("a", f"Node {name}", made if cpu else None)


def group(
    name: str = "g", least: int = 2, *, priority: int = 0, whole: bool = False, said: str = "", by: str = "a"
) -> Step:
    spec = {
        "schedulingPolicy": {"gang": {"minCount": least}},
        "disruptionMode": {"all" if whole else "single": {}},
        "priority": priority,
    }
    words = [{"type": "PodGroupInitiallyScheduled", "status": said, "reason": "r"}] if said else []
    return (by, f"PodGroup {name}", thing("PodGroup", name, spec=spec, status={"conditions": words}))


def pod(
    name: str,
    of: str = "g",
    *,
    on: str = "",
    cpu: str = "1800m",
    priority: int = 0,
    by: str = "a",
    leaves: str = "",
    deleted: bool = False,
    said: bool = True,
    phase: str = "Running",
) -> Step:
    """One write of a pod. on: its node; leaves: for what it was marked to be displaced."""
    spec: dict[str, Any] = {
        "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}],
        "schedulingGroup": {"podGroupName": of} if of else None,
        "priority": priority,
        "nodeName": on,
    }
    conditions = []
    if leaves:
        words = f"default-scheduler: preempting to accommodate a higher priority {leaves}"
        mark = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": words}
        conditions.append(mark)
    if said and not on:
        conditions.append({"type": "PodScheduled", "status": "False", "message": "no room"})
    meta = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleted else {}
    status = {"phase": phase if on else "Pending", "conditions": conditions}
    return (by, f"Pod {name}", thing("Pod", name, metadata=meta, spec=spec, status=status))


def bound(name: str, of: str = "g", *, on: str = "n1", **more: Any) -> Step:
    return pod(name, of, on=on, by=SCHEDULER, **more)


def marked(name: str, of: str = "g", **more: Any) -> Step:
    return pod(name, of, on="n1", by=SCHEDULER, leaves="podgroup", **more)


def running(*names: str, of: str = "w", **more: Any) -> list[Step]:
    """Pods that have been on the node for long."""
    return [*(pod(name, of, **more) for name in names), *(pod(name, of, on="n1", **more) for name in names), LATER]


def gone(name: str, by: str = "a") -> Step:
    return (by, f"Pod {name}", None)


WAITING = [pod("a"), pod("b")]
HIGH = [group("h", 1, priority=9), pod("x", "h", priority=9)]
WHOLE = [node(), group("w", 2, whole=True), *running("v", "w", cpu="1"), *HIGH]
BOTH = [marked("v", "w"), marked("w", "w")]
THREE = [pod(name, "h", priority=9) for name in "xyz"]
WRONG: list[tuple[str, list[Step]]] = [
    ("GangsBegunWhole: it has a node, and group ns/g is not there", [node(), *WAITING, bound("a")]),
    ("GangsBegunWhole: .* has 1 pods of 2", [node(), group(), pod("a"), bound("a")]),
    ("GangsBegunWhole: .* has 1 pods of 2", [node(), group(), *WAITING, gone("b"), LATER, bound("a")]),
    ("GangsBegunWhole: .* have room for 1", [node(), group(least=3), *WAITING, pod("c"), bound("a")]),
    ("GangsBegunWhole: .* have room for 0", [node(), group(), *running("v", of=LONE), *WAITING, bound("a")]),
    (
        "GangsBegunWhole: .* have room for 0",
        [
            node(),
            group(least=3),
            LATER,
            group(least=2),
            group(least=3),
            LATER,
            *running("v", of=LONE),
            *WAITING,
            pod("c"),
            bound("a"),
        ],
    ),
    ("GangsGoWhole: it is displaced without w", [*WHOLE, marked("v", "w"), marked("v", "w", deleted=True)]),
    (
        "GangsGoWhole: it stays",
        [
            *WHOLE,
            marked("v", "w"),
            marked("w", "w"),
            marked("v", "w", deleted=True),
            LATER,
            pod("w", "w", on="n1", by=CONTROLLERS),
        ],
    ),
    ("NobodyLeavesInVain", [node(), *running("v", of=LONE), marked("v", LONE)]),
    ("NobodyLeavesInVain", [node(), group("h", 3, priority=9), *running("v", of=LONE), marked("v", LONE)]),
    (  # three that are too many, whoever leaves
        "NobodyLeavesInVain",
        [
            node(),
            group("h", 3, priority=9),
            *running("v", of=LONE),
            *(pod(name, "h", priority=9) for name in "xyz"),
            marked("v", LONE),
        ],
    ),
    (  # as urgent, not more
        "NobodyLeavesInVain",
        [node(), *running("v", of=LONE, priority=9), *HIGH, marked("v", LONE, priority=9)],
    ),
    ("ScheduledForGood", [group(said="True", by=SCHEDULER), group(said="False", by=SCHEDULER)]),
    ("ScheduledForGood", [group(said="True", by=SCHEDULER), group(by=SCHEDULER)]),
    ("GroupsInUseStay", [node(), group(), pod("a"), LATER, (CONTROLLERS, "PodGroup g", None)]),
]
RIGHT: list[list[Step]] = [
    [node(), group(), *WAITING, bound("a"), bound("b")],
    [node(), group(), *WAITING, pod("c", cpu="400m"), bound("a"), bound("b"), bound("c", cpu="400m")],
    [node(), group(), *WAITING, gone("b"), bound("a")],  # of which the scheduler has not heard
    [node(), group(least=1), group(least=3), *WAITING, bound("a")],
    [node(), group(), *WAITING, pod("v", LONE), bound("v", LONE), bound("a")],  # they were under way together
    [node(), group(), *WAITING, bound("a"), gone("a"), LATER, pod("c"), bound("b")],  # the place of another
    [node(), group(), *WAITING, bound("a"), *running("v", of=LONE, cpu="400m"), bound("b")],  # half bound
    [node("n2"), node(cpu=None), node(), group(least=4), *WAITING, pod("c"), pod("d"), node("n2", None), bound("a")],
    [node(), pod("v", LONE), bound("v", LONE)],
    [*WHOLE, *BOTH, marked("v", "w", deleted=True), marked("w", "w", deleted=True)],
    [*WHOLE, *BOTH, pod("w", "w", on="n1", by=CONTROLLERS)],  # nobody went after all
    [*WHOLE, gone("w"), marked("v", "w"), marked("v", "w", deleted=True)],
    [*WHOLE, pod("v", "w", on="n1", deleted=True)],  # by somebody's wish
    [node(), group("s"), *running("v", "w", of="s", cpu="1"), *HIGH, marked("v", "s"), marked("v", "s", deleted=True)],
    [node(), *running("v", of=LONE), *HIGH, marked("v", LONE)],
    [node(), *running("v", of=LONE), *HIGH, gone("x"), marked("v", LONE)],  # of which the scheduler has not heard
    [node(), *running("v", of=LONE), pod("v", LONE, on="n1", by=SCHEDULER, leaves="pod")],
    [group(said="False", by=SCHEDULER), group(said="True", by=SCHEDULER), group(said="True", by=SCHEDULER)],
    [group(said="True", by=SCHEDULER), (CONTROLLERS, "PodGroup g", None), group("h", said="False", by=SCHEDULER)],
    [node(), group(), pod("a"), LATER, pod("a", on="n1", phase="Failed"), (CONTROLLERS, "PodGroup g", None)],
    [node(), group(), pod("a"), (CONTROLLERS, "PodGroup g", None)],  # it came just now
    [node(), group(), pod("a"), LATER, (ADMIN, "PodGroup g", None)],
]


@pytest.mark.parametrize(("rule", "steps"), WRONG)
def test_what_is_wrong_is_found(rule: str, steps: list[Step]) -> None:
    with pytest.raises(Violation, match=rule):
        play(steps)


@pytest.mark.parametrize("steps", RIGHT)
def test_what_is_right_passes(steps: list[Step]) -> None:
    play(steps)


STUCK: list[tuple[str, list[Step]]] = [
    ("2 pods wait, and 2 of them have room", [node(), group(said="False"), *WAITING]),
    (
        "2 pods wait, and 2 of them have room",
        [node(), group(said="False", priority=9), *WAITING, pod("v", "", on="n1")],
    ),
    ("1 pods wait, and 1 of them have room", [node(), group(said="True"), pod("a", on="n1"), pod("b")]),
    ("3 pods wait, and it does not say why", [node(), group(least=3), *WAITING, pod("c")]),
    (
        "pod b waits and does not say why",
        [node(), group(least=3, said="False"), pod("a"), pod("b", said=False), pod("c")],
    ),
    ("all 2 pods have nodes, and it says", [node(), group(said="False"), pod("a", on="n1"), pod("b", on="n1")]),
]
WELL: list[list[Step]] = [
    [node(), group(said="True"), pod("a", on="n1"), pod("b", on="n1")],
    [node(), group(least=3, said="False"), *WAITING, pod("c")],  # too large
    [node(), group(said="False"), *WAITING, pod("v", "", on="n1")],  # no room, and nobody is lower
    [node(), group(), pod("a", said=False)],  # it lacks a pod, of which nothing is said
    [node(), group(said="True"), pod("a", on="n1")],  # it has lost one
    [node(), group(least=1, said="True"), pod("a", on="n1"), pod("b", cpu="3")],
]


@pytest.mark.parametrize(("problem", "steps"), STUCK)
def test_what_is_stuck_is_found(problem: str, steps: list[Step]) -> None:
    assert any(re.match(problem, text) for text in problems(steps))


@pytest.mark.parametrize("steps", WELL)
def test_what_is_well_passes(steps: list[Step]) -> None:
    assert not problems(steps)


def problems(steps: list[Step]) -> list[str]:
    ledger = play(steps)
    return [text for one in ledger.of(PodGroup) for text in wrong_with(one, ledger)]
