"""Preemption, the pure part: whom to evict where, so that a pod of higher priority fits.

`loop` asks `choose` when `decide` has refused a pod. On each node where eviction could help at all, the least valuable
pods are found without which the pod fits; of the nodes the one is taken that costs least: budgets kept, low priorities,
few pods, young ones. Source: KEP-268 and k8s.io/kubernetes `pkg/scheduler/framework/preemption`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.selector import from_label_selector
from kijabi.scheduler.catalog import FILTERS
from kijabi.scheduler.framework import Filter, Mask
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo

LEAST_CANDIDATES = 100  # nodes that are looked at closely, or a tenth of all where that is more
SHARE = 10
_OFFSET = 2**31  # added to each priority in a sum, so that fewer victims are better even if priorities are negative


class Candidate(NamedTuple):
    """A node, and whose eviction makes room there, the most important first. violations: budgets that it breaks."""

    node: str
    victims: tuple[PodInfo, ...]
    violations: int


def choose(
    pod: PodInfo,
    nodes: NodeState,
    rows: Mask,
    budgets: Sequence[PodDisruptionBudget],
    rng: random.Random,
    filters: Sequence[Filter] = FILTERS,
) -> Candidate | None:
    """The cheapest eviction that lets the pod in, if there is one. rows: where eviction may help."""
    names = sorted(name for name, row in nodes.rows.items() if rows[row])
    if not names:
        return None
    enough = max(LEAST_CANDIDATES, len(nodes) // SHARE)
    start = rng.randrange(len(names))
    found: list[Candidate] = []
    for name in (*names[start:], *names[:start]):
        candidate = victims_on(pod, nodes, name, budgets, filters)
        if candidate is not None:
            found.append(candidate)
            if len(found) >= enough:
                break
    return min(found, key=cost, default=None)


def victims_on(
    pod: PodInfo,
    nodes: NodeState,
    name: str,
    budgets: Sequence[PodDisruptionBudget],
    filters: Sequence[Filter] = FILTERS,
) -> Candidate | None:
    """Who must leave a node for the pod; None if that is not enough, or nobody is of lower priority."""
    row = nodes.rows[name]
    gone = [other for other in nodes.pods_on(name) if other.priority < pod.priority]
    if not gone or not _fits(pod, nodes, row, gone, filters):
        return None
    violating, others = split(sorted(gone, key=importance), budgets)
    victims: list[PodInfo] = []
    violations = 0
    for group, breaks in ((violating, True), (others, False)):
        for other in group:  # the most important first: who can stay, stays
            without = [one for one in gone if one is not other]
            if _fits(pod, nodes, row, without, filters):
                gone = without
            else:
                victims.append(other)
                violations += breaks
    return Candidate(name, tuple(sorted(victims, key=importance)), violations) if victims else None


def _fits(pod: PodInfo, nodes: NodeState, row: int, gone: Sequence[PodInfo], filters: Sequence[Filter]) -> bool:
    return all(plugin.fits(pod, nodes, row, gone) for plugin in filters if not plugin.final)


def importance(info: PodInfo) -> tuple[int, str, str]:
    """Sort key: higher priority first, then the longer running."""
    started = info.pod.status.startTime
    return (-info.priority, str(started) if started is not None else "~", info.key)


def cost(candidate: Candidate) -> tuple[int, int, int, int, _Latest]:
    """Sort key of evictions, the cheapest first."""
    top = candidate.victims[0].priority
    total = sum(victim.priority + _OFFSET for victim in candidate.victims)
    highest = [str(one.pod.status.startTime or "") for one in candidate.victims if one.priority == top]
    return (candidate.violations, top, total, len(candidate.victims), _Latest(min(highest)))


class _Latest(str):
    """A time of which the later sorts first."""

    def __lt__(self, other: str) -> bool:
        return str.__gt__(self, other)


def split(
    pods: Iterable[PodInfo], budgets: Sequence[PodDisruptionBudget]
) -> tuple[list[PodInfo], list[PodInfo]]:
    """(pods whose eviction breaks a disruption budget, the others), in order."""
    left = {id(budget): budget.status.disruptionsAllowed for budget in budgets}
    violating: list[PodInfo] = []
    others: list[PodInfo] = []
    for info in pods:
        broken = False
        own = info.pod.metadata
        for budget in budgets:
            selector = budget.spec.selector
            if budget.metadata.namespace != own.namespace or selector is None or not own.labels:
                continue
            matcher = from_label_selector(selector)
            if matcher.everything or not matcher.matches(own.labels) or own.name in budget.status.disruptedPods:
                continue
            left[id(budget)] -= 1
            broken = broken or left[id(budget)] < 0
        (violating if broken else others).append(info)
    return violating, others
