"""When a node counts as gone, how it is tainted, and how fast."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.coordination.lease import Lease, LeaseSpec
from kijabi.api.core.node import Node, Taint
from kijabi.api.core.nodestatus import NodeCondition, NodeStatus
from kijabi.api.meta import MicroTime, Time
from kijabi.controllers.nodehealth import (
    NOT_READY,
    UNREACHABLE,
    UNSCHEDULABLE,
    Limits,
    Line,
    Zone,
    eviction_rate,
    observe,
    old_labels,
    overdue_in,
    taints_of,
    unknown,
    zone_of,
    zone_state,
)
from tests.controllers.things import NOW, ago, node


def seen(status: str | None = "True", heartbeat: float = 10, **more: Any) -> Node:
    made = node("n1", **more)
    if status is not None:
        condition = NodeCondition(
            type="Ready", status=status, lastHeartbeatTime=ago(heartbeat), lastTransitionTime=ago(500)
        )
        made.status = NodeStatus(conditions=(condition,))
    return made


def lease(second: int) -> Lease:
    return Lease(spec=LeaseSpec(renewTime=MicroTime(f"2025-03-01T12:00:{second:02}.000000Z")))


def test_a_renewed_lease_or_a_newer_heartbeat_is_life() -> None:
    signs = observe(None, seen(), None, 100.0)
    assert signs.since == 100
    assert observe(signs, seen(), None, 110.0).since == 100
    signs = observe(signs, seen(), lease(1), 120.0)
    assert signs.since == 120
    assert observe(signs, seen(), lease(1), 130.0).since == 120
    assert observe(signs, seen(), None, 130.0).since == 120, "a lease that vanished is no sign of life"
    assert observe(signs, seen(), lease(0), 130.0).since == 130, "a clock that is set back does not kill its node"
    assert observe(signs, seen(heartbeat=5), lease(1), 140.0).since == 140


def test_a_node_that_never_reported_has_longer() -> None:
    signs = observe(None, seen(), None, 0.0)
    assert overdue_in(seen(), signs, 40, 60, 30.0) == 10
    assert overdue_in(seen(None), signs, 40, 60, 30.0) == 30
    assert overdue_in(seen(), signs, 40, 60, 41.0) < 0


def test_what_a_silent_kubelet_said_is_unknown() -> None:
    status = unknown(seen(), NOW)
    assert status is not None
    told = {c.type: (c.status, c.reason, c.message) for c in status.conditions}
    never = ("Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status.")
    assert told == {
        "Ready": ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status."),
        "MemoryPressure": never,
        "DiskPressure": never,
        "PIDPressure": never,
    }
    assert status.conditions[0].lastHeartbeatTime == ago(10), "when it was last heard of stays"
    assert status.conditions[0].lastTransitionTime == Time.of(NOW)
    silent = seen()
    silent.status = status
    assert unknown(silent, NOW) is None


def taint(key: str, effect: str, **more: Any) -> Taint:
    return Taint(key=key, effect=effect, timeAdded=Time.of(NOW), **more)


OTHERS = [("gpu", "NoSchedule"), ("x", "NoExecute")]


@pytest.mark.parametrize(
    ("status", "had", "may_evict", "calm", "wanted", "evicting"),
    [
        ("True", [], True, False, [], False),
        ("False", [], True, False, [(NOT_READY, "NoSchedule"), (NOT_READY, "NoExecute")], True),
        ("False", [], False, False, [(NOT_READY, "NoSchedule")], False),
        ("Unknown", [], True, False, [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")], True),
        ("Unknown", [], True, True, [(UNREACHABLE, "NoSchedule")], False),
        # One turns into the other at once, out of turn.
        (
            "Unknown",
            [(NOT_READY, "NoExecute"), (NOT_READY, "NoSchedule")],
            False,
            False,
            [(UNREACHABLE, "NoSchedule"), (UNREACHABLE, "NoExecute")],
            False,
        ),
        ("True", [(UNREACHABLE, "NoExecute"), (UNREACHABLE, "NoSchedule")], False, False, [], False),
        # When no node at all is ready, what evicts is taken back.
        ("False", [(NOT_READY, "NoExecute")], True, True, [(NOT_READY, "NoSchedule")], False),
        # Others' taints stay.
        (
            "True",
            [("gpu", "NoSchedule"), ("x", "NoExecute")],
            True,
            False,
            [("gpu", "NoSchedule"), ("x", "NoExecute")],
            False,
        ),
        (None, [], True, False, [], False),
        (None, [(NOT_READY, "NoSchedule")], True, False, [(NOT_READY, "NoSchedule")], False),
    ],
)
def test_taints(
    status: str | None,
    had: list[tuple[str, str]],
    may_evict: bool,
    calm: bool,
    wanted: list[tuple[str, str]],
    evicting: bool,
) -> None:
    one = seen(status, taints=tuple(Taint(key=k, effect=e) for k, e in had))
    result = taints_of(one, may_evict=may_evict, calm=calm, now=NOW)
    assert [(t.key, t.effect) for t in result.wanted] == wanted
    assert result.evicting is evicting


def test_conditions_and_cordons_taint() -> None:
    one = seen(unschedulable=True)
    one.status.conditions += (NodeCondition(type="MemoryPressure", status="True"),)
    result = taints_of(one, may_evict=True, calm=False, now=NOW)
    pressure = "node.kubernetes.io/memory-pressure"
    assert result.wanted == (taint(pressure, "NoSchedule"), taint(UNSCHEDULABLE, "NoSchedule"))
    one.spec.taints = result.wanted
    assert taints_of(one, may_evict=True, calm=False, now=NOW).wanted == result.wanted
    one.spec.unschedulable = False
    assert [t.key for t in taints_of(one, may_evict=True, calm=False, now=NOW).wanted] == [pressure]


@pytest.mark.parametrize(
    ("ready", "unready", "state"),
    [(0, 0, Zone.NORMAL), (3, 2, Zone.NORMAL), (1, 2, Zone.NORMAL), (0, 1, Zone.FULL), (2, 3, Zone.PARTIAL)],
)
def test_zones(ready: int, unready: int, state: Zone) -> None:
    assert zone_state(ready, unready, 0.55) is state


def test_a_zone_is_a_region_s_and_older_labels_count_first() -> None:
    def labelled(**labels: str) -> Node:
        one = node("n1")
        names = {"zone": "topology.kubernetes.io/zone", "region": "topology.kubernetes.io/region",
                 "old": "failure-domain.beta.kubernetes.io/zone"}  # fmt: skip
        one.metadata.labels = {names[name]: value for name, value in labels.items()}
        return one

    assert zone_of(labelled()) == ""
    assert zone_of(labelled(zone="a")) != zone_of(labelled(zone="a", region="b"))
    assert zone_of(labelled(zone="a", old="z")) == zone_of(labelled(zone="z"))


def test_the_older_names_of_labels_follow_the_newer() -> None:
    one = node("n1")
    assert old_labels(one) == {}
    one.metadata.labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "arm64", "beta.kubernetes.io/os": "x"}
    assert old_labels(one) == {"beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "arm64"}
    one.metadata.labels |= old_labels(one)
    assert old_labels(one) == {}


def test_eviction_rates() -> None:
    limits = Limits(0.1, 0.01, large=50, unhealthy=0.55)
    assert eviction_rate(5, 1, limits) == eviction_rate(0, 5, limits) == 0.1
    assert eviction_rate(20, 30, limits) == 0, "a small zone that is partially down"
    assert eviction_rate(20, 31, limits) == 0.01, "a large one"


def test_one_node_at_a_time() -> None:
    line = Line(0.1)
    for name in ("a", "b", "a"):
        line.join(name)
    assert line.wait("a", 0.0) == 0
    assert line.wait("b", 0.0) is None
    line.passed(0.0)
    assert line.leave("a"), "now another is first"
    assert line.wait("b", 4.0) == 6
    assert not line.leave("c")
    assert not line.leave("b"), "nobody is left"
    line.join("a")
    assert line.wait("a", 10.0) == 0


def test_a_new_pace_lets_nobody_through_sooner() -> None:
    line = Line(0.1)
    line.join("a")
    assert not line.set_rate(0.1, 0.0)
    assert line.set_rate(0.01, 0.0)
    assert line.wait("a", 0.0) == 0, "nobody had passed"
    line.passed(0.0)
    assert line.set_rate(0.1, 50.0)
    assert line.wait("a", 50.0) == 10
    assert line.set_rate(0.0, 51.0)
    assert line.wait("a", 1000.0) is None
    assert line.set_rate(0.1, 1000.0)
    assert line.wait("a", 1000.0) == 10
