"""The search for victims on all nodes at once finds what a look at each node by itself finds; on random clusters."""

from __future__ import annotations

import random

import numpy as np
import pytest

from kijabi.api import codec
from kijabi.api.core.pod import Pod, PodSchedulingGroup
from kijabi.api.meta import Time
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.scheduler import podinfo, preempt
from kijabi.scheduler.nodestate import NodeState, Terms
from kijabi.scheduler.plugins.noderesources import NodeResourcesFit
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.ranks import Ranks
from tests.scheduler.test_decide import node, pod, state

FIT = (NodeResourcesFit(),)


def some_pod(rng: random.Random, name: str, priority: int, *, group: bool = False) -> Pod:
    cpu, memory = rng.choice(("", "250m", "500m", "1")), rng.choice(("", "1Gi", "2Gi"))
    made = pod(name, cpu=cpu, memory=memory, priority=priority)
    made.metadata.labels = {"app": rng.choice("abc")} if rng.random() < 0.8 else {}
    if rng.random() < 0.9:
        made.status.startTime = Time.parse(f"2026-01-01T00:00:{rng.randrange(20):02}Z")
    if group and rng.random() < 0.5:
        made.spec.schedulingGroup = PodSchedulingGroup(podGroupName=f"g{rng.randrange(4)}")
    return made


def some_budgets(rng: random.Random, pods: list[str]) -> list[PodDisruptionBudget]:
    budgets = []
    for number in range(rng.randrange(4)):
        selector = rng.choice(({"matchLabels": {"app": rng.choice("abc")}}, {}))
        content = {
            "metadata": {"name": f"b{number}", "namespace": "default", "uid": str(rng.random())},
            "spec": {"selector": selector},
            "status": {"disruptionsAllowed": rng.randrange(3)},
        }
        budget = codec.from_builtins(PodDisruptionBudget, content)
        if pods and rng.random() < 0.3:
            budget.status.disruptedPods = {rng.choice(pods): Time.parse("2026-01-01T00:00:00Z")}
        budgets.append(budget)
    return budgets


def each_by_itself(pod_: PodInfo, nodes: NodeState, budgets: list[PodDisruptionBudget]) -> dict[str, preempt.Candidate]:
    """What one node alone would cost, for each node that eviction could help."""
    found = {}
    trials = preempt.Trials(pod_, nodes, nodes.live, FIT)
    for name, row in nodes.rows.items():
        outcome = preempt._on_row(pod_, nodes, row, budgets, trials)
        if isinstance(outcome, preempt.Candidate):
            found[name] = outcome
    return found


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_all_at_once_is_as_one_by_one(seed: int, groups: bool) -> None:
    rng = random.Random(seed)
    nodes = state(*(node(f"n{i}", cpu=rng.choice("234"), memory="4Gi", pods=rng.choice("46")) for i in range(8)))
    ranks = Ranks(nodes)
    known: set[str] = set()
    if groups:
        nodes.groups = {}
    names: list[str] = []
    for step in range(60):
        if names and rng.random() < 0.3:
            nodes.remove_pod(names.pop(rng.randrange(len(names))))
        else:
            names.append(f"p{step}")
            made = podinfo.of(some_pod(rng, names[-1], rng.choice((-3, 0, 0, 5, 9)), group=groups))
            nodes.add_pod(made, f"n{rng.randrange(9)}")  # the ninth is not known yet
        if groups and rng.random() < 0.2:
            key = f"default/g{rng.randrange(4)}"
            gone = key in known and rng.random() < 0.4
            nodes.set_group(key, None if gone else Terms(rng.choice((0, 5, 9)), whole=rng.random() < 0.5))
            known = known - {key} if gone else known | {key}
        if step == 40:
            nodes.set_node(node("n8", cpu="3", memory="4Gi", pods="5"))
        if step % 6:
            continue
        who = podinfo.of(pod("q", cpu=rng.choice("123"), memory="1Gi", priority=rng.choice((0, 5, 10))))
        budgets = some_budgets(rng, names)
        refused = nodes.live & np.logical_or.reduce([one.rows for one in FIT[0].filter(who, nodes)] or [~nodes.live])
        expected = {name: one for name, one in each_by_itself(who, nodes, budgets).items() if refused[nodes.rows[name]]}
        chosen, stay = preempt.choose(who, nodes, refused, budgets, rng, FIT, ranks)
        if chosen is None:
            assert not expected
            assert sum(stay.values()) >= int(refused.sum())
            continue
        assert chosen == expected[chosen.node]
        assert preempt.cost(chosen) == min(preempt.cost(one) for one in expected.values())


def test_a_thousand_nodes_are_searched_alike_by_a_kept_and_a_new_matrix() -> None:
    rng = random.Random(1)
    nodes = state(*(node(f"n{i}") for i in range(1000)))
    ranks = Ranks(nodes)
    for number in range(5000):
        nodes.add_pod(podinfo.of(some_pod(rng, f"p{number}", rng.choice((0, 1, 2)))), f"n{number % 1000}")
        if number % 1000 == 0:
            ranks.sync()
    who = podinfo.of(pod("q", cpu="4", priority=10))
    kept, fresh = ranks.costs(who, nodes.live, ()), Ranks(nodes).costs(who, nodes.live, ())
    assert kept.rows.tolist() == fresh.rows.tolist()
    assert all(np.array_equal(one, other) for one, other in zip(kept.costs, fresh.costs, strict=True))
