"""What preemption evicts at once: a pod, or all pods of a pod group that may only be disrupted together.

`preempt`, `ranks` and `clearing` go by the order given here: who is more important stays longer, and among those that
may go, who breaks no disruption budget goes first. Source: KEP-268, KEP-5710 (workload-aware preemption) and
k8s.io/kubernetes `pkg/scheduler/framework/preemption`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.selector import Selector, from_label_selector
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo

NOT_STARTED = 2.0**52  # the start of a pod that has not started: later than any

# Budgets as (namespace, name) and selector.
Guards = Sequence[tuple[tuple[str, str], Selector]]


class Unit(NamedTuple):
    """Pods that go together or stay. grouped: they are in a pod group, whatever the group says of disruption."""

    pods: tuple[PodInfo, ...]
    priority: int
    grouped: bool


def started(info: PodInfo) -> float:
    """When a pod started, in seconds since 1970."""
    start = info.pod.status.startTime
    return start.timestamp() if start is not None else NOT_STARTED


def priority_of(info: PodInfo, nodes: NodeState) -> int:
    """With what a pod withstands eviction: the priority of its group, if it is in one."""
    terms = nodes.terms(info)
    return info.priority if terms is None else terms.priority


def grouped(info: PodInfo, nodes: NodeState) -> bool:
    """Whether a pod counts as one of a group, also if its group is not there."""
    return bool(info.group) and nodes.groups is not None


def importance_of(info: PodInfo, nodes: NodeState) -> tuple[int, bool, float, str]:
    """Sort key of pods that go one by one: higher priority first, then pods of groups, then the longer running."""
    return (-priority_of(info, nodes), not grouped(info, nodes), started(info), info.key)


def units(pods: Iterable[PodInfo], nodes: NodeState) -> list[Unit]:
    """Each pod as what would go with it; the pods of a group that goes as a whole are one, wherever they are."""
    found: list[Unit] = []
    seen: set[str] = set()
    for info in pods:
        terms = nodes.terms(info)
        if terms is None or not terms.whole:
            found.append(Unit((info,), priority_of(info, nodes), grouped(info, nodes)))
        elif info.group not in seen:
            seen.add(info.group)
            whole = sorted(nodes.members(info.group), key=lambda one: (started(one), one.key))
            found.append(Unit(tuple(whole), terms.priority, True))
    return found


def importance(unit: Unit) -> tuple[int, bool, int, float, str]:
    """Sort key: higher priority first, then pods of groups, then the larger, then the longer running."""
    oldest = min(started(info) for info in unit.pods)
    return (-unit.priority, not unit.grouped, -len(unit.pods), oldest, unit.pods[0].key)


def guards(budgets: Iterable[PodDisruptionBudget]) -> Guards:
    """What the budgets select."""
    return [((one.metadata.namespace, one.metadata.name), from_label_selector(one.spec.selector)) for one in budgets]


def guarding(known: Guards, namespace: str, labels: dict[str, str]) -> tuple[int, ...]:
    """The places of those budgets that guard a pod; one that selects everything guards nobody, as upstream has it."""
    if not labels:
        return ()
    return tuple(
        place
        for place, ((where, _), selector) in enumerate(known)
        if where == namespace and not selector.everything and selector.matches(labels)
    )


def breaches(pods: Iterable[PodInfo], nodes: NodeState, budgets: Sequence[PodDisruptionBudget]) -> dict[str, int]:
    """Which units of these pods would break a budget, by the uid of their first pod, with how many of their pods would.

    They count against the budgets in the order of their importance, all pods of a unit at once.
    """
    known = guards(budgets)
    left = [budget.status.disruptionsAllowed for budget in budgets]
    by_kind: dict[object, tuple[int, ...]] = {}

    def places(info: PodInfo) -> tuple[int, ...]:
        found = by_kind.get(info.kind[:2])
        if found is None:
            own = info.pod.metadata
            found = by_kind[info.kind[:2]] = guarding(known, own.namespace, own.labels)
        return found

    def breaks(info: PodInfo) -> bool:
        for place in places(info):
            if info.pod.metadata.name in budgets[place].status.disruptedPods:
                continue
            left[place] -= 1
            if left[place] < 0:
                return True
        return False

    if not known:
        return {}
    guarded = sorted(units([info for info in pods if places(info)], nodes), key=importance)
    counts = {unit.pods[0].uid: sum(breaks(info) for info in unit.pods) for unit in guarded}
    return {uid: count for uid, count in counts.items() if count}
