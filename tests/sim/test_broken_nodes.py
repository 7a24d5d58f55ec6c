"""As `test_broken.py`: components that are broken on purpose, of nodes that are lost. Their worlds last longer."""

from __future__ import annotations

from typing import Any

from kijabi.controllers import nodehealth, tainteviction
from kijabi.testing import simloop
from kijabi.testing.scenario import MILD, Scenario, Setting
from kijabi.testing.wishes.daemonsets import DaemonSets
from kijabi.testing.wishes.deployments import Deployments
from kijabi.testing.wishes.zones import Zones
from tests.sim.test_broken import SEEDS, Patch


def found_out(text: str) -> bool:
    """Whether one of the seeds ends with this rule broken."""
    return any(text in violation(seed) for seed in SEEDS)


def violation(seed: int) -> str:
    """The first rule that is broken in the simulation of a seed."""
    themes = (Deployments, DaemonSets, Zones)
    scenario = Scenario(seed, setting=Setting("medium", 4, themes, 2, 4.0, 200.0, MILD))
    try:
        simloop.run(scenario.play(), seed, horizon=20_000)
    except Exception:
        if not scenario.store.violations:
            raise
    return str(next(iter(scenario.store.violations), ""))


def test_a_node_lifecycle_that_is_in_a_hurry(monkeypatch: Patch) -> None:
    monkeypatch.setattr(nodehealth.Line, "wait", lambda self, name, now: 0.0)
    assert found_out("EvictionsPaced: it begins to be evicted")


def test_an_eviction_of_those_who_bear_it(monkeypatch: Patch) -> None:
    def merciless(pod: Any, taints: Any, since: Any) -> float | None:
        return float("-inf") if any(taints) else None

    monkeypatch.setattr(tainteviction, "eviction", merciless)
    assert found_out("EvictedForTaints")
