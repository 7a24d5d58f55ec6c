"""One decision for a whole group, over whole node states: all or nothing, and nothing left behind."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from kijabi.api.core.pod import Pod
from kijabi.api.scheduling.podgroup import GangSchedulingPolicy, PodGroup
from kijabi.base.errors import KijabiError
from kijabi.scheduler import podinfo
from kijabi.scheduler.decide import decide
from kijabi.scheduler.gangs import Outcome, decide_together, least_of, mismatch
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo
from tests.scheduler.test_decide import node, pod, state


def together(nodes: NodeState, least: int, pods: Sequence[Pod], scheduled: int = 0, fails: str = "") -> Outcome:
    """Decide for these pods. fails: the name of the one that cannot get what it needs besides a node."""
    rng = random.Random(1)

    def take(info: PodInfo, where: str) -> None:
        if info.uid == fails:
            raise KijabiError("the disk is gone")
        nodes.add_pod(info, where)

    def give(info: PodInfo, where: str) -> None:
        assert nodes.node_of(info.uid) == where
        nodes.remove_pod(info.uid)

    infos = [podinfo.of(one) for one in pods]
    return decide_together(infos, least, scheduled, lambda info: decide(info, nodes, rng), take, give)


def gang(name: str, number: int, cpu: str = "3") -> list[Pod]:
    return [pod(f"{name}{index}", cpu=cpu) for index in range(number)]


def taken(nodes: NodeState) -> list[float]:
    return [float(number) for number in nodes.requested["cpu"]]


def test_all_of_a_gang_are_placed() -> None:
    nodes = state(node("a"), node("b"))
    outcome = together(nodes, 2, gang("p", 2))
    assert {where for _, where in outcome.placed} == {"a", "b"}
    assert (outcome.why, outcome.refused) == ("", {})


def test_a_gang_that_is_too_large_leaves_the_nodes_as_they_were() -> None:
    nodes = state(node("a"), node("b"))
    before = taken(nodes)
    outcome = together(nodes, 3, gang("p", 3))
    short = "minCount (3) cannot be satisfied: 2 scheduled, 0 remaining"
    assert outcome.placed == []
    assert (outcome.why, outcome.failed) == (short, False)
    assert outcome.refused == {
        "p0": f"pod group is unschedulable, {short}",
        "p1": f"pod group is unschedulable, {short}",
        "p2": "0/2 nodes are available: 2 Insufficient cpu.",
    }
    assert taken(nodes) == before
    assert not any(nodes.node_of(uid) for uid in outcome.refused)
    nodes.set_node(node("c"))
    assert len(together(nodes, 3, gang("p", 3)).placed) == 3, "as soon as there is a third node"


def test_nobody_is_asked_about_once_it_is_hopeless() -> None:
    nodes = state(node("a", cpu="1"))
    outcome = together(nodes, 3, gang("p", 3))
    short = "minCount (3) cannot be satisfied: 0 scheduled, 2 remaining"
    assert outcome.refused == {"p0": "0/1 nodes are available: 1 Insufficient cpu.", "p1": short, "p2": short}
    outcome = together(nodes, 4, gang("p", 3))
    assert set(outcome.refused.values()) == {
        "pod group is unschedulable, minCount (4) cannot be satisfied: 0 scheduled, 3 remaining"
    }


def test_of_two_gangs_for_one_room_one_has_it_whole() -> None:
    nodes = state(node("a"), node("b"))
    first, second = together(nodes, 2, gang("p", 2)), together(nodes, 2, gang("q", 2))
    assert (len(first.placed), len(second.placed)) == (2, 0)
    for info, _ in first.placed:
        nodes.remove_pod(info.uid)
    assert len(together(nodes, 2, gang("q", 2)).placed) == 2


def test_more_pods_than_needed_take_what_room_there_is() -> None:
    nodes = state(node("a"), node("b"))
    outcome = together(nodes, 2, gang("p", 3))
    assert (len(outcome.placed), outcome.why) == (2, "")
    assert outcome.refused == {"p2": "0/2 nodes are available: 2 Insufficient cpu."}


def test_pods_with_a_node_count() -> None:
    nodes = state(node("a"))
    assert len(together(nodes, 4, gang("p", 1), scheduled=3).placed) == 1
    full = together(nodes, 3, gang("q", 1), scheduled=3)
    assert (full.placed, full.why) == ([], "pod group is unschedulable"), "enough have one, and this one gets none"


def test_an_error_with_one_pod_ends_it_for_all() -> None:
    nodes = state(node("a"), node("b"), node("c"))
    before = taken(nodes)
    outcome = together(nodes, 1, gang("p", 3), fails="p1")
    words = "failed to schedule other pod from a pod group: the disk is gone"
    assert (outcome.placed, outcome.why, outcome.failed) == ([], words, True)
    assert outcome.refused == {"p0": words, "p1": "the disk is gone", "p2": words}
    assert taken(nodes) == before


@pytest.mark.parametrize("seed", range(200))
def test_for_any_gang_it_is_enough_or_nothing(seed: int) -> None:
    chance = random.Random(seed)
    nodes = state(*(node(f"n{i}", cpu=str(chance.randint(1, 8))) for i in range(chance.randint(1, 5))))
    before = np.array(taken(nodes))
    number = chance.randint(1, 8)
    least, scheduled = chance.randint(1, 8), chance.randint(0, 3)
    pods = [pod(f"p{i}", cpu=str(chance.randint(1, 5))) for i in range(number)]
    outcome = together(nodes, least, pods, scheduled)
    assert len(outcome.placed) + len(outcome.refused) == number
    if outcome.why:
        assert outcome.placed == []
        assert np.array_equal(np.array(taken(nodes)), before)
    else:
        assert outcome.placed
        assert scheduled + len(outcome.placed) >= least
        assert sum(taken(nodes)) - before.sum() == sum(info.requests["cpu"] for info, _ in outcome.placed)


def test_what_cannot_be_one_group() -> None:
    group = PodGroup()
    assert least_of(group) == 1
    group.spec.schedulingPolicy.gang = GangSchedulingPolicy(minCount=5)
    assert least_of(group) == 5
    group.spec.priority = 7

    def wrong(*pods: Pod) -> str:
        return mismatch(group, [podinfo.of(one) for one in pods])

    assert wrong(pod("a", priority=7), pod("b", priority=7, preemptionPolicy="PreemptLowerPriority")) == ""
    same = "all pods in a single pod group should have the same"
    assert wrong(pod("a", priority=8)) == f"{same} priority as the pod group's priority, got 8 and 7"
    other = wrong(pod("a", priority=7, schedulerName="one"), pod("b", priority=7, schedulerName="two"))
    assert other == f'{same} .spec.schedulerName set, got: "two" and "one"'
    never = wrong(pod("a", priority=7), pod("b", priority=7, preemptionPolicy="Never"))
    assert never == f"{same} preemption policy, got Never and PreemptLowerPriority"
