"""Preemption, the pure part: whom to evict where, so that a pod of higher priority fits.

`loop` asks `choose` when `decide` has refused a pod. On each node where eviction could help at all, the least valuable
pods are found without which the pod fits; of the nodes the one is taken that costs least: budgets kept, low priorities,
few pods, young ones. Where only resources are in the way, `ranks` looks at all nodes at once; else the filters are
asked node by node. Source: KEP-268 and k8s.io/kubernetes `pkg/scheduler/framework/preemption`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.scheduler.catalog import FILTERS
from kijabi.scheduler.framework import Filter, Mask, Refusal, Trial
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.plugins.noderesources import NodeResourcesFit
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.ranks import Ranks, guarding, guards, importance, started

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
    trials: list[Trial] = []
    fixed: list[list[Refusal]] = []  # of filters that were not asked about rows which an earlier one had refused
    alone = True
    for plugin in filters:
        trial = plugin.trial(pod, nodes)
        if trial is not None:
            trials.append(trial)
            alone = alone and isinstance(plugin, NodeResourcesFit)
            continue
        found = [one for one in plugin.filter(pod, nodes) if one.final and bool((one.rows & rows).any())]
        if found:
            fixed.append(found)
            trials.append(_fixed(found))
    if alone:
        return _by_resources(pod, nodes, rows, budgets, rng, trials, ranks, fixed)
    return _one_by_one(pod, nodes, rows, budgets, rng, trials, ranks)


def _fixed(refusals: Sequence[Refusal]) -> Trial:
    """Refusals that no eviction changes, as a trial."""
    return lambda row, gone: tuple(one.reason for one in refusals if one.rows[row])


def _by_resources(
    pod: PodInfo,
    nodes: NodeState,
    rows: Mask,
    budgets: Sequence[PodDisruptionBudget],
    rng: random.Random,
    trials: Sequence[Trial],
    ranks: Ranks,
    fixed: Sequence[Sequence[Refusal]],
) -> Choice:
    """All nodes at once; the victims are then found on the node chosen."""
    reasons: Counter[str] = Counter()
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
    trials: Sequence[Trial],
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
    pod: PodInfo, nodes: NodeState, row: int, budgets: Sequence[PodDisruptionBudget], trials: Sequence[Trial]
) -> Candidate | tuple[str, ...]:
    """Who must leave a row, or the reasons why that would not do."""
    name = _name(nodes, row)
    gone = [other for other in nodes.pods_on(name) if other.priority < pod.priority]
    if not gone:
        return (NO_VICTIMS,)
    lacks = _lacks(row, gone, trials)
    if lacks:
        return lacks
    violating, others = split(sorted(gone, key=importance), budgets)
    victims: list[PodInfo] = []
    violations = 0
    for group, breaks in ((violating, True), (others, False)):
        for other in group:  # the most important first: who can stay, stays
            without = [one for one in gone if one is not other]
            if _lacks(row, without, trials):
                victims.append(other)
                violations += breaks
            else:
                gone = without
    return Candidate(name, tuple(sorted(victims, key=importance)), violations) if victims else ()


def _lacks(row: int, gone: Sequence[PodInfo], trials: Sequence[Trial]) -> tuple[str, ...]:
    for trial in trials:
        lacks = trial(row, gone)
        if lacks:
            return lacks
    return ()


def cost(candidate: Candidate) -> tuple[int, int, int, int, float]:
    """Sort key of evictions, the cheapest first."""
    top = candidate.victims[0].priority
    total = sum(victim.priority + _OFFSET for victim in candidate.victims)
    oldest = min(started(one) for one in candidate.victims if one.priority == top)
    return (candidate.violations, top, total, len(candidate.victims), -oldest)


def split(
    pods: Iterable[PodInfo], budgets: Sequence[PodDisruptionBudget]
) -> tuple[list[PodInfo], list[PodInfo]]:
    """(pods whose eviction breaks a disruption budget, the others), in order."""
    known = tuple(guards(budgets))
    left = [budget.status.disruptionsAllowed for budget in budgets]
    violating: list[PodInfo] = []
    others: list[PodInfo] = []
    for info in pods:
        own = info.pod.metadata
        broken = False
        for place in guarding(known, own.namespace, own.labels):
            if own.name in budgets[place].status.disruptedPods:
                continue
            left[place] -= 1
            if left[place] < 0:
                broken = True
                break
        (violating if broken else others).append(info)
    return violating, others
