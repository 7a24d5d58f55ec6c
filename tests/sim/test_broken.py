"""The simulation can fail: components that are broken on purpose are found out, each by its own rule."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.client.cache import MutatedCache
from kijabi.controllers import replicaset
from kijabi.controllers.deployment import scale
from kijabi.scheduler.framework import MAX_SCORE, Mask, Scores
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.plugins.noderesources import NodeResourcesFit
from kijabi.scheduler.podinfo import PodInfo
from kijabi.testing import simloop
from kijabi.testing.scenario import Defect, Scenario, Stuck, Violation

SEEDS = range(1, 9)


def outcome(seed: int) -> BaseException | None:
    """What the simulation of a seed ends with."""
    scenario = Scenario(seed)
    try:
        simloop.run(scenario.play(), seed, horizon=20_000)
    except Exception as error:
        if scenario.store.violations:
            return scenario.store.violations[0]
        found: BaseException = error
        while isinstance(found, BaseExceptionGroup):
            found = found.exceptions[0]
        return found
    return None


def found_out(kind: type[BaseException], text: str, seeds: range = SEEDS) -> bool:
    """Whether one of the seeds ends like this."""
    return any(isinstance(error := outcome(seed), kind) and text in str(error) for seed in seeds)


def test_a_deployment_that_rolls_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def everything(d: Any, new: Any, old: Any) -> dict[str, int]:
        return {new.metadata.name: scale.desired(d), **{rs.metadata.name: 0 for rs in old}}

    monkeypatch.setattr(scale, "rolling", everything)
    assert found_out(Violation, "AvailabilityKept")


def test_a_deployment_that_knows_no_surge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "new_size", lambda d, new, everything: scale.desired(d))
    assert found_out(Violation, "SurgeBounded")


def test_a_replica_set_that_miscounts(monkeypatch: pytest.MonkeyPatch) -> None:
    right = replicaset.plan

    def one_too_many(replicas: int, *rest: Any) -> replicaset.Plan:
        return right(replicas + 1 if replicas > 3 else replicas, *rest)

    monkeypatch.setattr(replicaset, "plan", one_too_many)
    assert found_out(Stuck, "wants")


def test_a_scheduler_that_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def crowd(self: NodeResourcesFit, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores:
        return MAX_SCORE * (nodes.nonzero["cpu"] / nodes.nonzero["cpu"].max(initial=1.0))

    # One that spreads pods hides that it does not count: they seldom fill all nodes.
    monkeypatch.setattr(NodeResourcesFit, "filter", lambda self, pod, nodes: ())
    monkeypatch.setattr(NodeResourcesFit, "score", crowd)
    assert found_out(Violation, "NodesNotOvercommitted", range(1, 13))


def test_a_controller_that_writes_to_what_it_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    right = replicaset.status_of

    def careless(rs: Any, *rest: Any) -> Any:
        rs.metadata.annotations["seen"] = "yes"
        return right(rs, *rest)

    monkeypatch.setattr(replicaset, "status_of", careless)
    assert found_out(MutatedCache, "ReplicaSet")


def test_a_component_that_does_not_expect_something(monkeypatch: pytest.MonkeyPatch) -> None:
    def surprised(*_: Any) -> Any:
        raise KeyError("surprise")

    monkeypatch.setattr(replicaset, "pod_of", surprised)
    assert found_out(Defect, "surprise")
