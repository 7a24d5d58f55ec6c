"""The simulation can fail: components that are broken on purpose are found out, each by its own rule.

Each is tried in a few small worlds that are about what it does. That every rule finds what is wrong, and nothing else,
`tests/testing/test_checkers.py` and `test_workload_checkers.py` show on histories of a few writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from kijabi.api.core.pod import Pod
from kijabi.apiserver.subresources import eviction
from kijabi.client.cache import MutatedCache
from kijabi.controllers import cronjob, disruption, replicaset
from kijabi.controllers.daemonset import place
from kijabi.controllers.daemonset import plan as daemons
from kijabi.controllers.deployment import scale
from kijabi.controllers.job import plan as jobs
from kijabi.controllers.job.controller import Jobs as JobController
from kijabi.controllers.statefulset import plan as sets
from kijabi.controllers.statefulset.controller import StatefulSets as SetController
from kijabi.scheduler import loop as scheduling
from kijabi.scheduler.framework import MAX_SCORE, Mask, Scores
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.plugins.noderesources import NodeResourcesFit
from kijabi.scheduler.podinfo import PodInfo
from kijabi.testing import simloop
from kijabi.testing.faults import Faults
from kijabi.testing.scenario import MILD, Defect, Scenario, Setting, Stuck, Violation
from kijabi.testing.wishes.budgets import Budgets
from kijabi.testing.wishes.daemonsets import DaemonSets
from kijabi.testing.wishes.deployments import Deployments
from kijabi.testing.wishes.hand import Hand, Theme
from kijabi.testing.wishes.jobs import CronJobs, Jobs
from kijabi.testing.wishes.statefulsets import StatefulSets

# Most are found out by one of the first few; how many it takes may depend on PYTHONHASHSEED.
SEEDS = range(1, 41)
Themes = tuple[Callable[[Hand], Theme], ...]
Patch = pytest.MonkeyPatch


def outcome(seed: int, themes: Themes, faults: Faults, nodes: int) -> BaseException | None:
    """What the simulation of a seed ends with."""
    setting = Setting("medium", nodes, themes, 3, 1.5, 60.0, faults)
    return end(Scenario(seed, setting=setting), seed)


def end(scenario: Scenario, seed: int) -> BaseException | None:
    """What a simulation ends with; a broken rule comes before what followed from it."""
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


def found_out(
    kind: type[BaseException],
    text: str,
    *themes: Callable[[Hand], Theme],
    faults: Faults = MILD,
    nodes: int = 3,
) -> bool:
    """Whether one of the seeds ends like this."""
    ends = (outcome(seed, themes, faults, nodes) for seed in SEEDS)
    return any(isinstance(error, kind) and text in str(error) for error in ends)


def test_a_deployment_that_rolls_all_at_once(monkeypatch: Patch) -> None:
    def everything(d: Any, new: Any, old: Any) -> dict[str, int]:
        return {new.metadata.name: scale.desired(d), **{rs.metadata.name: 0 for rs in old}}

    monkeypatch.setattr(scale, "rolling", everything)
    assert found_out(Violation, "AvailabilityKept", Deployments)


def test_a_deployment_that_knows_no_surge(monkeypatch: Patch) -> None:
    monkeypatch.setattr(scale, "new_size", lambda d, new, everything: scale.desired(d))
    assert found_out(Violation, "SurgeBounded", Deployments)


def test_a_replica_set_that_miscounts(monkeypatch: Patch) -> None:
    right = replicaset.plan

    def one_too_many(replicas: int, *rest: Any) -> replicaset.Plan:
        return right(replicas + 1 if replicas > 1 else replicas, *rest)

    monkeypatch.setattr(replicaset, "plan", one_too_many)
    assert found_out(Violation, "NoneTooMany", Deployments)


def test_a_replica_set_that_is_content_with_less(monkeypatch: Patch) -> None:
    right = replicaset.plan
    monkeypatch.setattr(replicaset, "plan", lambda replicas, *rest: right(min(replicas, 1), *rest))
    assert found_out(Stuck, "wants", Deployments)


def test_a_stateful_set_that_knows_no_order(monkeypatch: Patch) -> None:
    monkeypatch.setattr(sets.View, "ordered", property(lambda self: False))
    assert found_out(Violation, "StartedInOrder", StatefulSets)


def test_a_stateful_set_that_rolls_all_at_once(monkeypatch: Patch) -> None:
    monkeypatch.setattr(sets, "scaled", lambda *_, **__: 99)
    assert found_out(Violation, "AvailabilityKept: db-", StatefulSets)


def test_a_stateful_set_that_uses_force(monkeypatch: Patch) -> None:
    async def force(self: SetController, ss: Any, pod: Pod) -> None:
        await self.client.delete(Pod, pod.metadata.name, pod.metadata.namespace, grace=0)

    monkeypatch.setattr(SetController, "_delete", force)
    assert found_out(Violation, "removed it while a container was running", StatefulSets)


def test_a_daemon_set_that_rolls_all_at_once(monkeypatch: Patch) -> None:
    right = daemons.limits
    monkeypatch.setattr(daemons, "limits", lambda ds, book: (0, 99, right(ds, book)[2]))
    assert found_out(Violation, "AvailabilityKept: agent-", DaemonSets)


def test_a_daemon_set_that_forgets_what_it_has(monkeypatch: Patch) -> None:
    right = place.tidy

    def again(view: place.View, name: str, node: Any, pods: Sequence[Pod], should: bool, may: bool) -> place.Plan:
        found = right(view, name, node, pods, should, may)
        return found if node is None or len(pods) >= 3 else found._replace(create=(name,))

    monkeypatch.setattr(place, "tidy", again)
    assert found_out(Violation, "OnePerNode", DaemonSets)


def test_a_job_that_takes_its_word_for_it(monkeypatch: Patch) -> None:
    """Pods are let go before the status that counts them is written."""
    right = JobController._write_status

    async def too_late(self: JobController, job: Any, todo: Any) -> None:
        for pod in todo.release:
            await self._release(job, pod)
        await right(self, job, todo)

    monkeypatch.setattr(JobController, "_write_status", too_late)
    assert found_out(Violation, "CountedExactly", Jobs)


def test_a_job_that_is_greedy(monkeypatch: Patch) -> None:
    right = jobs._Step._wanted
    monkeypatch.setattr(jobs._Step, "_wanted", lambda self: right(self) + 1)
    assert found_out(Violation, "WithinParallelism", Jobs)


def test_a_cron_job_that_forbids_nothing(monkeypatch: Patch) -> None:
    right = cronjob._due

    def eager(cj: Any, *rest: Any) -> Any:
        status = replace(cj.status, active=())
        return right(replace(cj, status=status), *rest)

    monkeypatch.setattr(cronjob, "_due", eager)
    assert found_out(Violation, "TimesRunOnce", CronJobs)


def test_evictions_that_ask_for_no_budget(monkeypatch: Patch) -> None:
    monkeypatch.setattr(eviction, "_check", lambda budget: None)
    assert found_out(Violation, "BudgetsKept", Deployments, Budgets)


def test_a_budget_that_nobody_counts(monkeypatch: Patch) -> None:
    async def idle(self: Any, budget: Any, status: Any) -> None:
        return None

    monkeypatch.setattr(disruption.Disruptions, "_write", idle)
    assert found_out(Stuck, "PodDisruptionBudget", Deployments, Budgets)


def test_a_scheduler_that_does_not_count(monkeypatch: Patch) -> None:
    def crowd(self: NodeResourcesFit, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores:
        return np.asarray(MAX_SCORE * (nodes.nonzero["cpu"] / nodes.nonzero["cpu"].max(initial=1.0)), dtype=np.float64)

    # One that spreads pods hides that it does not count: they seldom fill all nodes.
    monkeypatch.setattr(NodeResourcesFit, "filter", lambda self, pod, nodes: ())
    monkeypatch.setattr(NodeResourcesFit, "score", crowd)
    assert found_out(Violation, "NodesNotOvercommitted", Deployments, StatefulSets)


def test_a_scheduler_that_displaces_equals(monkeypatch: Patch) -> None:
    right = scheduling.choose

    def ruthless(pod: PodInfo, *rest: Any, **more: Any) -> Any:
        return right(replace(pod, priority=2_000_000), *rest, **more)

    monkeypatch.setattr(scheduling, "choose", ruthless)
    # Only where room is scarce does anybody displace others.
    assert found_out(Violation, "VictimsAreLower", StatefulSets, nodes=1)


def test_a_controller_that_writes_to_what_it_shares(monkeypatch: Patch) -> None:
    right = replicaset.status_of

    def careless(rs: Any, *rest: Any) -> Any:
        rs.metadata.annotations["seen"] = "yes"
        return right(rs, *rest)

    monkeypatch.setattr(replicaset, "status_of", careless)
    assert found_out(MutatedCache, "ReplicaSet", Deployments)


def test_a_component_that_does_not_expect_something(monkeypatch: Patch) -> None:
    def surprised(*_: Any) -> Any:
        raise KeyError("surprise")

    monkeypatch.setattr(replicaset, "pod_of", surprised)
    assert found_out(Defect, "surprise", Deployments)
