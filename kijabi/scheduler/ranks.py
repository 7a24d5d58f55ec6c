"""The pods of all nodes by importance, as matrices: whom preemption would evict on every node at once.

Row k of a matrix has the k-th most important pod of each node: its priority, when it started, what it asks for, which
kind it is, and whether its pod group makes more of it than that. `preempt` and `clearing` ask; the matrices are brought
up to date when they do, for the nodes whose pods changed since. Where resources alone decide, the search over all nodes
is a walk down the rows with whole-row arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.scheduler.framework import Mask
from kijabi.scheduler.nodestate import PODS, Interned, NodeState
from kijabi.scheduler.plugins.noderesources import TOO_MANY, insufficient
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.units import Guards, guarding, guards, importance_of, priority_of, started

NOBODY = 2**40  # the priority of no pod: higher than any
MOST_CLASSES = 50_000  # distinct requests and kinds remembered; then all is built anew
_OFFSET = 2**31  # added to each priority in a sum, so that fewer victims are better even if priorities are negative


class Costs(NamedTuple):
    """What preemption costs on each of some rows; and why it would not do on others, with how many there are.

    costs: in the order in which they are compared, each smaller where it is better: budgets broken, highest priority of
    a victim, sum of priorities, number of victims, age. unsure: rows for which the matrices do not say enough.
    """

    rows: NDArray[np.intp]
    costs: tuple[NDArray[np.float64], ...]
    stay: dict[str, int]
    unsure: NDArray[np.intp]

    def best(self) -> NDArray[np.intp]:
        """The rows that cost least."""
        left = np.arange(len(self.rows))
        for column in self.costs:
            if len(left) < 2:
                break
            values = column[left]
            left = left[values == values.min()]
        return self.rows[left]


class Ranks:
    """The matrices of a node state."""

    def __init__(self, nodes: NodeState) -> None:
        self._nodes = nodes
        self._depth = 8
        self._clear()

    def _clear(self) -> None:
        shape = (self._depth, self._nodes.capacity)
        self._priority = np.full(shape, NOBODY, dtype=np.int64)
        self._start = np.zeros(shape, dtype=np.float64)
        self._requests = np.zeros(shape, dtype=np.int32)
        self._kind = np.zeros(shape, dtype=np.int32)
        self._odd = np.zeros(shape, dtype=np.bool_)  # it goes with others, or its group has another priority
        self._request_values = Interned(((), (0, 0)))
        self._kinds = Interned(("", frozenset()))
        self._budgets: object = None
        self._guards: Guards = []
        self._guarded: dict[int, tuple[int, ...]] = {}
        self._nodes.touched.update(range(self._nodes.capacity))

    def sync(self) -> None:
        """Bring the rows up to date whose pods have changed."""
        nodes = self._nodes
        if max(len(self._request_values.values), len(self._kinds.values)) > MOST_CLASSES:
            self._clear()
        if self._priority.shape[1] < nodes.capacity:
            self._depth = self._priority.shape[0]
            self._clear()
        names = {row: name for name, row in nodes.rows.items()} if len(nodes.touched) > 8 else None
        for row in nodes.touched:
            node = nodes.nodes[row]
            name = names.get(row, "") if names is not None else (node.metadata.name if node is not None else "")
            pods = sorted(nodes.pods_on(name), key=lambda pod: importance_of(pod, nodes)) if name else []
            if len(pods) > self._depth:
                self._deepen(len(pods))
            count = len(pods)
            self._priority[count:, row] = NOBODY
            if pods:
                self._priority[:count, row] = [priority_of(pod, nodes) for pod in pods]
                self._start[:count, row] = [started(pod) for pod in pods]
                self._requests[:count, row] = [self._request_id(pod) for pod in pods]
                self._kind[:count, row] = [self._kinds.id(pod.kind[:2]) for pod in pods]
                self._odd[:count, row] = [self._is_odd(pod) for pod in pods]
        nodes.touched.clear()

    def _request_id(self, pod: PodInfo) -> int:
        return self._request_values.id((tuple(pod.requests.items()), pod.nonzero))

    def _is_odd(self, pod: PodInfo) -> bool:
        terms = self._nodes.terms(pod)
        return terms is not None and (terms.whole or terms.priority != pod.priority)

    def _deepen(self, needed: int) -> None:
        more = max(needed, 2 * self._depth) - self._depth
        self._depth += more
        wide = self._priority.shape[1]
        self._priority = np.concatenate([self._priority, np.full((more, wide), NOBODY, dtype=np.int64)])
        self._start = np.concatenate([self._start, np.zeros((more, wide), dtype=np.float64)])
        self._requests = np.concatenate([self._requests, np.zeros((more, wide), dtype=np.int32)])
        self._kind = np.concatenate([self._kind, np.zeros((more, wide), dtype=np.int32)])
        self._odd = np.concatenate([self._odd, np.zeros((more, wide), dtype=np.bool_)])

    # ---- the search

    def room(self, pod: PodInfo, rows: Mask) -> tuple[NDArray[np.intp], dict[str, int]]:
        """The rows on which the pod has room if all of lower priority go; why it has none on others."""
        found, _, stay = self._without_all(pod, np.flatnonzero(rows))
        return found, stay

    def _without_all(self, pod: PodInfo, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], _Free, dict[str, int]]:
        self.sync()
        low = self._priority[:, rows] < pod.priority
        deepest = np.flatnonzero(low.any(axis=1))
        depth = int(deepest[-1]) + 1 if len(deepest) else 0
        low = low[:depth]
        stay: dict[str, int] = {}
        some = low.any(axis=0) if depth else np.zeros(len(rows), dtype=np.bool_)
        if not some.all():
            stay["No preemption victims found for incoming pod"] = int((~some).sum())
        free = _Free(self, pod, rows, low)
        enough = some.copy()
        for resource, left in free.left.items():
            lacking = some & (left < 0)
            if lacking.any():
                stay[TOO_MANY if resource == PODS else insufficient(resource)] = int(lacking.sum())
                enough &= ~lacking
        return rows[enough], free.only(np.asarray(enough, dtype=np.bool_)), stay

    def costs(self, pod: PodInfo, rows: Mask, budgets: Sequence[PodDisruptionBudget]) -> Costs:
        """What it costs to make room on each row, where nothing but resources is in the pod's way."""
        found, free, stay = self._without_all(pod, np.flatnonzero(rows))
        violating, unsure = self._violating(found, free.low, budgets)
        unsure |= (free.low & self._odd[: len(free.low), found]).any(axis=0)
        for group in (violating, free.low & ~violating):
            free.reprieve(group)
        victims = free.low & ~free.kept
        number = victims.sum(axis=0)
        certain = (number > 0) & ~unsure
        depth = len(victims)
        first = victims.argmax(axis=0) if depth else np.zeros(len(found), dtype=np.intp)
        columns = np.arange(len(found))
        priority = self._priority[:depth, found]
        top = priority[first, columns] if depth else np.zeros(0)
        oldest = np.where(victims & (priority == top), self._start[:depth, found], np.inf)
        start = oldest.min(axis=0) if depth else np.zeros(0)
        total = np.where(victims, priority + _OFFSET, 0).sum(axis=0)
        counts = ((violating & victims).sum(axis=0), top, total, number, -start)
        chosen = tuple(np.asarray(one[certain], dtype=np.float64) for one in counts)
        return Costs(found[certain], chosen, stay, found[unsure])

    def _violating(
        self, rows: NDArray[np.intp], low: Mask, budgets: Sequence[PodDisruptionBudget]
    ) -> tuple[Mask, Mask]:
        """Which of the pods that may go would break a budget, counted in order of importance; unsure columns."""
        violating = np.zeros_like(low)
        unsure = np.zeros(low.shape[1], dtype=np.bool_)
        if not budgets or not low.size:
            return violating, unsure
        self._learn(budgets)
        kinds = self._kind[: len(low), rows]
        present = {kind: self._guards_of(kind) for kind in np.unique(kinds[low]).tolist()}
        used = sorted({number for numbers in present.values() for number in numbers})
        if not used:
            return violating, unsure
        slots = {number: slot for slot, number in enumerate(used)}
        width = max(len(numbers) for numbers in present.values())
        table = np.full((width, len(self._kinds.values)), -1, dtype=np.int64)
        for kind, numbers in present.items():
            for place, number in enumerate(numbers):
                table[place, kind] = slots[number]
        busy = [slots[number] for number in used if budgets[number].status.disruptedPods]
        allowed = np.array([budgets[number].status.disruptionsAllowed for number in used], dtype=np.int64)
        left = np.repeat(allowed[:, None], low.shape[1], axis=1)
        for k in range(len(low)):
            for place in range(width):
                slot = table[place][kinds[k]]
                hit = np.flatnonzero(low[k] & (slot >= 0) & ~violating[k])
                left[slot[hit], hit] -= 1
                violating[k, hit] = left[slot[hit], hit] < 0
                if busy:
                    unsure |= low[k] & np.isin(slot, busy)
        return violating, unsure

    def _learn(self, budgets: Sequence[PodDisruptionBudget]) -> None:
        """Take over the budgets' selectors; those of the same generations are known."""
        generations = [(one.metadata.uid, one.metadata.generation) for one in budgets]
        if generations != self._budgets:
            self._budgets = generations
            self._guarded.clear()
            self._guards = guards(budgets)

    def _guards_of(self, kind: int) -> tuple[int, ...]:
        """The budgets, by their place, that guard a kind of pods."""
        found = self._guarded.get(kind)
        if found is None:
            namespace, labels = cast(tuple[str, frozenset[tuple[str, str]]], self._kinds.values[kind])
            found = self._guarded[kind] = guarding(self._guards, namespace, dict(labels))
        return found

    def amounts(self, resource: str) -> NDArray[np.float64]:
        """How much of a resource each set of requests has, by its id."""
        if resource == PODS:
            return np.ones(len(self._request_values.values), dtype=np.float64)
        known = cast(list[tuple[tuple[tuple[str, int], ...], tuple[int, int]]], self._request_values.values)
        return np.array([dict(requests).get(resource, 0) for requests, _ in known], dtype=np.float64)

    def taken(self, resource: str, depth: int, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """How much of a resource each pod takes."""
        return self.amounts(resource)[self._requests[:depth, rows]]

    def below(self, priority: int) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        """What all pods of a lower priority take of each row, of every resource, and as scores count it."""
        self.sync()
        low = self._priority < priority
        known = cast(list[tuple[tuple[tuple[str, int], ...], tuple[int, int]]], self._request_values.values)
        ids = self._requests

        def summed(amounts: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray((amounts[ids] * low).sum(axis=0), dtype=np.float64)

        counted = np.array([nonzero for _, nonzero in known], dtype=np.float64)
        return (
            {name: summed(self.amounts(name)) for name in self._nodes.requested},
            {"cpu": summed(counted[:, 0]), "memory": summed(counted[:, 1])},
        )


class _Free:
    """What is left on each column for a pod, with all who may go gone, and then with some back in their place."""

    def __init__(self, ranks: Ranks, pod: PodInfo, rows: NDArray[np.intp], low: Mask) -> None:
        nodes = ranks._nodes
        wanted = {PODS: 1, **{name: amount for name, amount in pod.requests.items() if amount}}
        self.low = low
        self.kept = np.zeros_like(low)
        self.taken = {name: ranks.taken(name, len(low), rows) * low for name in wanted}
        self.left = {}
        for name, amount in wanted.items():
            room, used = nodes.allocatable.get(name), nodes.requested.get(name)
            before = (room[rows] if room is not None else 0.0) - (used[rows] if used is not None else 0.0)
            self.left[name] = before - amount + self.taken[name].sum(axis=0)

    def only(self, columns: Mask) -> _Free:
        """Some columns of it."""
        self.low, self.kept = self.low[:, columns], self.kept[:, columns]
        self.taken = {name: one[:, columns] for name, one in self.taken.items()}
        self.left = {name: one[columns] for name, one in self.left.items()}
        return self

    def reprieve(self, group: Mask) -> None:
        """Put those of a group back who still have room, the most important first."""
        for k in range(len(group)):
            can = group[k].copy()
            if not can.any():
                continue
            for name, taken in self.taken.items():
                can &= self.left[name] >= taken[k]
            for name, taken in self.taken.items():
                self.left[name] -= taken[k] * can
            self.kept[k] |= can
