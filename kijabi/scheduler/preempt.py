"""Preemption, the pure part: whom to evict where, so that a pod of higher priority fits.

`loop` asks `choose` when `decide` has refused a pod. On each node where eviction could help at all, the least valuable
pods are found without which the pod fits; of the nodes the one is taken that costs least: budgets kept, low priorities,
few pods, young ones. Where only resources are in the way, `ranks` looks at all nodes at once; else the filters are
asked node by node. Source: KEP-268 and k8s.io/kubernetes `pkg/scheduler/framework/preemption`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.scheduler.catalog import FILTERS
from kijabi.scheduler.framework import Filter, Mask, Refusal, Trial
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.plugins.noderesources import NodeResourcesFit
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.ranks import Ranks
from kijabi.scheduler.units import Unit, breaches, importance, started, units

LEAST_CANDIDATES = 100  # nodes looked at one by one, or a tenth of all where that is more
SHARE = 10
NO_VICTIMS = "No preemption victims found for incoming pod"
_OFFSET = 2**31  # added to each priority in a sum, so that fewer victims are better even if priorities are negative


class Candidate(NamedTuple):
    """A node, and whose eviction makes room there, the most important first. violations: budgets that it breaks."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int


class Choice(NamedTuple):
    """The cheapest eviction, if there is one; else why there is none, with the number of nodes."""

    candidate: Candidate | None
    stay: Counter[str]


def choose(
    pod: PodInfo,
    nodes: NodeState,
    rows: Mask,
    budgets: Sequence[PodDisruptionBudget],
    rng: random.Random,
    filters: Sequence[Filter] = FILTERS,
    ranks: Ranks | None = None,
) -> Choice:
    """The cheapest eviction that lets the pod in. rows: where eviction may help. ranks: those of the node state."""
    if not rows.any():
        return Choice(None, Counter())
    ranks = ranks or Ranks(nodes)
    trials = Trials(pod, nodes, rows, filters)
    if trials.alone:
        return _by_resources(pod, nodes, rows, budgets, rng, trials, ranks)
    return _one_by_one(pod, nodes, rows, budgets, rng, trials, ranks)


class Trials:
    """What the filters would say of a pod if others were gone.

    alone: only resources depend on who is there. fixed: refusals of `rows` that no eviction changes, of filters that
    were not asked about rows which an earlier one had refused.
    """

    def __init__(self, pod: PodInfo, nodes: NodeState, rows: Mask, filters: Sequence[Filter]) -> None:
        self._pod, self._nodes, self._rows, self._filters = pod, nodes, rows, filters
        self._trials: list[Trial] = []
        self.fixed: list[list[Refusal]] = []
        self.alone = True
        for plugin in filters:
            trial = plugin.trial(pod, nodes)
            if trial is not None:
                self._trials.append(trial)
                self.alone = self.alone and isinstance(plugin, NodeResourcesFit)
                continue
            found = [one for one in plugin.filter(pod, nodes) if one.final and bool((one.rows & rows).any())]
            if found:
                self.fixed.append(found)
                self._trials.append(_fixed(found))

    def lacks(self, row: int, gone: Sequence[Unit]) -> tuple[str, ...]:
        """Why a row could not take the pod if these were gone, of whom a part may be on other rows."""
        name = _name(self._nodes, row)
        here = [info for unit in gone for info in unit.pods if self._nodes.node_of(info.uid) == name]
        if not self.alone and len(here) < sum(len(unit.pods) for unit in gone):
            far = [info for unit in gone for info in unit.pods if self._nodes.node_of(info.uid) != name]
            with self._nodes.missing(far):
                return Trials(self._pod, self._nodes, self._rows, self._filters)._ask(row, here)
        return self._ask(row, here)

    def _ask(self, row: int, gone: Sequence[PodInfo]) -> tuple[str, ...]:
        for trial in self._trials:
            lacks = trial(row, gone)
            if lacks:
                return lacks
        return ()


def _fixed(refusals: Sequence[Refusal]) -> Trial:
    """Refusals that no eviction changes, as a trial."""
    return lambda row, gone: tuple(one.reason for one in refusals if one.rows[row])


def _by_resources(
    pod: PodInfo,
    nodes: NodeState,
    rows: Mask,
    budgets: Sequence[PodDisruptionBudget],
    rng: random.Random,
    trials: Trials,
    ranks: Ranks,
) -> Choice:
    """All nodes at once; the victims are then found on the node chosen."""
    reasons: Counter[str] = Counter()
    fixed = trials.fixed
    if fixed:
        hopeless = np.logical_or.reduce([one.rows for found in fixed for one in found]) & rows
        roomy, lacking = ranks.room(pod, hopeless)
        reasons.update(lacking)
        for found in fixed:  # the first filter that refuses a row says why
            for one in found:
                reasons[one.reason] += int(np.count_nonzero(one.rows[roomy]))
            roomy = roomy[~np.logical_or.reduce([one.rows[roomy] for one in found])]
        rows = rows & ~hopeless
    costs = ranks.costs(pod, rows, budgets)
    reasons.update(costs.stay)
    outcomes = [_on_row(pod, nodes, row, budgets, trials) for row in costs.unsure.tolist()]
    best = costs.best()
    if len(best):
        outcomes.append(_on_row(pod, nodes, int(best[rng.randrange(len(best))]), budgets, trials))
    candidates = [one for one in outcomes if isinstance(one, Candidate)]
    return Choice(min(candidates, key=cost, default=None), reasons)


def _one_by_one(
    pod: PodInfo,
    nodes: NodeState,
    rows: Mask,
    budgets: Sequence[PodDisruptionBudget],
    rng: random.Random,
    trials: Trials,
    ranks: Ranks,
) -> Choice:
    """The nodes with room, from one picked at random on, until there are enough of which one breaks no budget."""
    reasons: Counter[str] = Counter()
    looked_at = np.flatnonzero(rows)
    if not pod.ports:  # only ports are asked about before resources, and the first reason counts
        looked_at, lacking = ranks.room(pod, rows)
        reasons.update(lacking)
    order = sorted(looked_at.tolist(), key=lambda row: _name(nodes, row))
    enough = max(LEAST_CANDIDATES, int(rows.sum()) // SHARE)
    start = rng.randrange(len(order)) if order else 0
    found: list[Candidate] = []
    for row in (*order[start:], *order[:start]):
        outcome = _on_row(pod, nodes, row, budgets, trials)
        if not isinstance(outcome, Candidate):
            reasons.update(outcome)
            continue
        found.append(outcome)
        if len(found) >= enough and any(not one.violations for one in found):
            break
    return Choice(min(found, key=cost, default=None), reasons)


def _name(nodes: NodeState, row: int) -> str:
    node = nodes.nodes[row]
    assert node is not None, "a row with pods to evict holds a node"
    return node.metadata.name


def _on_row(
    pod: PodInfo, nodes: NodeState, row: int, budgets: Sequence[PodDisruptionBudget], trials: Trials
) -> Candidate | tuple[str, ...]:
    """Who must leave a row, or the reasons why that would not do."""
    name = _name(nodes, row)
    gone = [unit for unit in units(nodes.pods_on(name), nodes) if unit.priority < pod.priority]
    if not gone:
        return (NO_VICTIMS,)
    lacks = trials.lacks(row, gone)
    if lacks:
        return lacks
    broken = breaches([info for unit in gone for info in unit.pods], nodes, budgets)
    victims: list[Unit] = []
    for unit in sorted(gone, key=lambda one: (one.pods[0].uid not in broken, importance(one))):
        without = [one for one in gone if one is not unit]  # the most important first: who can stay, stays
        if trials.lacks(row, without):
            victims.append(unit)
        else:
            gone = without
    if not victims:
        return ()
    leaving = tuple(info for unit in sorted(victims, key=importance) for info in unit.pods)
    return Candidate(name, leaving, sum(broken.get(unit.pods[0].uid, 0) for unit in victims))


def cost(candidate: Candidate) -> tuple[int, int, int, int, float]:
    """Sort key of evictions, the cheapest first."""
    top = candidate.victims[0].priority
    total = sum(victim.priority + _OFFSET for victim in candidate.victims)
    oldest = min(started(one) for one in candidate.victims if one.priority == top)
    return (candidate.violations, top, total, len(candidate.victims), -oldest)
