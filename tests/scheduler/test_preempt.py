"""Whom preemption evicts, and where: the pure part."""

from __future__ import annotations

import random

from kijabi.api import codec
from kijabi.api.core.pod import Pod
from kijabi.api.meta import Time
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.scheduler import podinfo
from kijabi.scheduler.decide import Refused
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.preempt import choose
from tests.scheduler.test_decide import node, outcome, pod, state


def running(nodes: NodeState, where: str, name: str, *, cpu: str = "1", priority: int = 0, started: int = 0,
            labels: dict[str, str] | None = None, ports: tuple[int, ...] = ()) -> None:  # fmt: skip
    """A pod that runs on a node since so many seconds after a moment."""
    made = pod(name, cpu=cpu, priority=priority, ports=ports)
    made.metadata.labels = labels or {}
    made.status.startTime = Time.parse(f"2026-01-01T00:00:{started:02}Z")
    nodes.add_pod(podinfo.of(made), where)


def evict(who: Pod, nodes: NodeState, *budgets: PodDisruptionBudget) -> tuple[str, list[str]] | None:
    """(node, victims by name) of what preemption chooses."""
    refused = outcome(who, nodes)
    assert isinstance(refused, Refused)
    found = choose(podinfo.of(who), nodes, refused.helpful, budgets, random.Random(1)).candidate
    return (found.node, [victim.pod.metadata.name for victim in found.victims]) if found is not None else None


def budget(allowed: int, **labels: str) -> PodDisruptionBudget:
    content = {
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed},
    }
    return codec.from_builtins(PodDisruptionBudget, content)


def test_as_few_as_possible_go_and_the_least_important() -> None:
    nodes = state(node("a"))
    for name, priority in (("low", 1), ("mid", 2), ("top", 3), ("same", 10)):
        running(nodes, "a", name, priority=priority)
    assert evict(pod("p", cpu="1", priority=10), nodes) == ("a", ["low"])
    assert evict(pod("p", cpu="2", priority=10), nodes) == ("a", ["mid", "low"])
    assert evict(pod("p", cpu="3", priority=10), nodes) == ("a", ["top", "mid", "low"])
    assert evict(pod("p", cpu="4", priority=10), nodes) is None, "one of the same priority stays"


def test_who_need_not_go_stays() -> None:
    nodes = state(node("a"))
    running(nodes, "a", "large", cpu="3", priority=1)
    running(nodes, "a", "small", cpu="1", priority=0)
    assert evict(pod("p", cpu="3", priority=10), nodes) == ("a", ["large"]), "without the large one the small one fits"


def test_of_equals_the_younger_goes() -> None:
    nodes = state(node("a", cpu="2"))
    running(nodes, "a", "old", started=1)
    running(nodes, "a", "young", started=5)
    assert evict(pod("p", cpu="1", priority=10), nodes) == ("a", ["young"])


def test_the_cheapest_node() -> None:
    nodes = state(node("a", cpu="2"), node("b", cpu="2"), node("c", cpu="2"))
    running(nodes, "a", "a1", cpu="2", priority=5)
    running(nodes, "b", "b1", priority=3)
    running(nodes, "b", "b2", priority=3)
    running(nodes, "c", "c1", cpu="2", priority=3)
    assert evict(pod("p", cpu="2", priority=10), nodes) == ("c", ["c1"]), "lowest priority, then fewest"
    running(nodes, "a", "a1", cpu="2", priority=3, started=9)
    assert evict(pod("p", cpu="2", priority=10), nodes) == ("a", ["a1"]), "then the latest started"


def test_budgets_are_kept_where_that_is_possible() -> None:
    nodes = state(node("a", cpu="1"), node("b", cpu="1"))
    running(nodes, "a", "guarded", priority=1, labels={"app": "db"})
    running(nodes, "b", "free", priority=5)
    assert evict(pod("p", cpu="1", priority=10), nodes, budget(0, app="db")) == ("b", ["free"])
    assert evict(pod("p", cpu="1", priority=10), nodes, budget(1, app="db")) == ("a", ["guarded"])
    running(nodes, "b", "free", priority=50)
    assert evict(pod("p", cpu="1", priority=10), nodes, budget(0, app="db")) == ("a", ["guarded"]), "if it must be"


def test_within_a_node_the_guarded_stay_first() -> None:
    nodes = state(node("a", cpu="2"))
    running(nodes, "a", "guarded", priority=1, labels={"app": "db"})
    running(nodes, "a", "free", priority=1)
    assert evict(pod("p", cpu="1", priority=10), nodes, budget(0, app="db")) == ("a", ["free"])


def test_host_ports_are_freed() -> None:
    nodes = state(node("a"))
    running(nodes, "a", "holder", cpu="1", ports=(80,))
    running(nodes, "a", "other", cpu="1")
    assert evict(pod("p", cpu="1", ports=(80,), priority=10), nodes) == ("a", ["holder"])


def test_where_eviction_cannot_help() -> None:
    nodes = state(node("a", labels={"disk": "hdd"}), node("b", unschedulable=True))
    running(nodes, "a", "low")
    assert evict(pod("p", nodeSelector={"disk": "ssd"}, priority=10), nodes) is None
    assert evict(pod("p", cpu="5", priority=10), nodes) is None
