"""Upstream's own decisions about pod groups and preemption, recorded: whom it evicts, and what it says.

A line of `golden/scheduler/gangs.jsonl` has a cluster with pods of groups, the pods of a gang that wait or a pod by
itself, and what the scheduler of k8s.io/kubernetes v1.37.0 with GenericWorkload did with them in one turn. Where it has
several nodes as good to choose from, its choice is taken over.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kijabi.api import codec
from kijabi.api.core.pod import Pod
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.scheduling.podgroup import PodGroup
from kijabi.scheduler import podinfo
from kijabi.scheduler.clearing import NO_VICTIMS, Clearing, clear
from kijabi.scheduler.decide import Placed, Refused, decide, fits_on
from kijabi.scheduler.gangs import Outcome, decide_together, least_of, never_preempts, priority_of, terms_of
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.preempt import choose
from tests.scheduler.test_upstream_decisions import cluster

GOLDEN = Path(__file__).parents[1] / "golden" / "scheduler" / "gangs.jsonl"
CASES = [json.loads(line) for line in GOLDEN.read_text().splitlines()]


class Case:
    """One line, as objects."""

    def __init__(self, content: dict[str, Any]) -> None:
        scenario = content["scenario"]
        self.upstream: dict[str, Any] = content["upstream"]
        self.nodes: NodeState = cluster(scenario)
        groups = [codec.from_builtins(PodGroup, one) for one in scenario["Groups"]]
        self.nodes.groups = {}
        for group in groups:
            self.nodes.set_group(f"{group.metadata.namespace}/{group.metadata.name}", terms_of(group))
        self.group = next((one for one in groups if one.metadata.name == "gang"), PodGroup())
        self.waiting = [podinfo.of(codec.from_builtins(Pod, one)) for one in scenario["Waiting"]]
        self.budgets = [codec.from_builtins(PodDisruptionBudget, one) for one in scenario["Budgets"]]
        self.promised: dict[str, str] = self.upstream.get("Nominated", {})
        self.victims: list[str] = self.upstream.get("Victims", [])

    def choose(self, info: PodInfo) -> Placed | Refused:
        return decide(info, self.nodes, random.Random(1))

    def as_upstream(self, info: PodInfo) -> Placed | Refused:
        node = self.promised.get(info.pod.metadata.name)
        if node is None:
            return self.choose(info)
        assert fits_on(info, node, self.nodes, ())
        return Placed(node, 1)

    def attempt(self, chosen: Callable[[PodInfo], Placed | Refused]) -> Outcome:
        return decide_together(self.waiting, least_of(self.group), 0, chosen, self.nodes.add_pod, self.give)

    def give(self, info: PodInfo, node: str) -> None:
        self.nodes.remove_pod(info.uid)

    def clear(self) -> Clearing | Outcome | None:
        chosen = self.as_upstream if self.promised else self.choose
        return clear(
            self.waiting,
            priority_of(self.group),
            self.nodes,
            self.budgets,
            lambda: self.attempt(chosen),
            self.nodes.add_pod,
            self.give,
            lambda info: (),
        )

    def columns(self) -> dict[str, list[float]]:
        tables = {"requested": self.nodes.requested, "nonzero": self.nodes.nonzero}
        return {f"{table} {name}": column.tolist() for table, some in tables.items() for name, column in some.items()}


def names(pods: tuple[PodInfo, ...]) -> list[str]:
    return sorted(one.pod.metadata.name for one in pods)


@pytest.mark.parametrize("content", [one for one in CASES if one["about"].startswith("gang")])
def test_a_gang_is_dealt_with_as_upstream_does(content: dict[str, Any]) -> None:
    case = Case(content)
    outcome = case.attempt(case.choose)
    condition = case.upstream["Condition"]
    if not outcome.why:
        assert (condition["status"], condition["message"]) == ("True", "")
        return
    before = case.columns()
    if never_preempts(case.waiting):
        outcome = outcome.with_preemption("not eligible due to preemptionPolicy=Never.")
    else:
        match case.clear():
            case Clearing() as found:
                assert {info.pod.metadata.name: node for info, node in found.places} == case.promised
                assert names(found.victims) == case.victims
                words = f"found a placement for podgroup, preempting {len(case.victims)} victims"
                outcome = outcome.with_preemption(words, waiting=True)
            case None:
                outcome = outcome.with_preemption(NO_VICTIMS, final=True)
            case Outcome() as failed:
                assert not case.victims
                outcome = outcome.with_preemption(failed.why)
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "Unschedulable", outcome.why)
    assert case.upstream["Said"] == {info.pod.metadata.name: outcome.refused[info.uid] for info in case.waiting}
    assert case.columns() == before, "thinking about it changes nothing"


@pytest.mark.parametrize("content", [one for one in CASES if one["about"].startswith("pod")])
def test_a_pod_evicts_pods_of_groups_as_upstream_does(content: dict[str, Any]) -> None:
    case = Case(content)
    (pod,) = case.waiting
    refused = case.choose(pod)
    assert isinstance(refused, Refused)
    chosen, stay = choose(pod, case.nodes, refused.helpful, case.budgets, random.Random(1))
    if not case.promised:
        assert chosen is None
        assert case.upstream["Said"][pod.pod.metadata.name] == refused.message(stay=stay)
        return
    assert chosen is not None
    only = np.zeros(case.nodes.capacity, dtype=np.bool_)
    only[case.nodes.rows[case.promised[pod.pod.metadata.name]]] = True
    there = choose(pod, case.nodes, only, case.budgets, random.Random(1)).candidate
    assert there is not None
    assert names(there.victims) == case.victims
