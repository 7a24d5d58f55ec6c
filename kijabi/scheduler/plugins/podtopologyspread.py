"""PodTopologySpread: pods of a kind spread over zones, nodes or any other label of nodes.

Hard constraints filter by the skew that the pod would make; soft ones score. A pod that states none, and belongs to a
Service or a workload, is spread softly over nodes and zones (the system defaults, which `spreading` finds). Rules:
core/v1 TopologySpreadConstraint, KEP-895, KEP-3022 (minDomains), KEP-3094 (policies); the formulas are v1.37's.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

from kijabi.scheduler.domains import Domains
from kijabi.scheduler.framework import MAX_SCORE, Change, Event, Mask, Refusal, Scores, Static, Trial
from kijabi.scheduler.matchers import Group
from kijabi.scheduler.needs import Spread
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.plugins.nodeaffinity import required_rows
from kijabi.scheduler.plugins.tainttoleration import untolerated_rows
from kijabi.scheduler.podinfo import PodInfo

UNLABELLED = "node(s) didn't match pod topology spread constraints (missing required label)"
UNEVEN = "node(s) didn't match pod topology spread constraints"
HOSTNAME = "kubernetes.io/hostname"
NONE_YET = 2**31 - 1  # the least number of pods in a domain while no domain counts


def _group(one: Spread) -> Group:
    return Group((one.meant,), living=True)


def _eligible(pod: PodInfo, nodes: NodeState, constraints: Sequence[Spread], whole: Mask) -> list[Mask]:
    """For each constraint the rows that count. whole: those with the labels that are demanded."""
    inside: Mask | None = None
    tolerated: Mask | None = None
    found = []
    for one in constraints:
        rows = whole
        if one.affinity:
            inside = required_rows(pod, nodes) if inside is None else inside
            rows = rows & inside
        if one.taints:
            tolerated = ~untolerated_rows(pod, nodes) if tolerated is None else tolerated
            rows = rows & tolerated
        found.append(rows)
    return found


class _Hard:
    """One hard constraint, counted: pods in each domain, and the domain that has fewest."""

    def __init__(self, one: Spread, pod: PodInfo, nodes: NodeState, rows: Mask) -> None:
        self.one, self.rows, self.group = one, rows, _group(one)
        self.place = Domains(nodes, one.key)
        counts = nodes.matchers.tally(self.group)
        self.sums = self.place.sums(np.where(rows, counts, 0.0)) if one.meant.selector.requirements else _none(self)
        self.domains = np.flatnonzero(self.place.known(rows))
        self.own = one.meant.selector.matches(pod.pod.metadata.labels)
        numbers = np.sort(self.sums[self.domains])[:2].tolist()
        self.least = numbers[0] if numbers else NONE_YET
        self.second = numbers[1] if len(numbers) > 1 else NONE_YET

    def skewed(self) -> Mask:
        """Rows on which the pod would make the skew too large."""
        least = self.least if len(self.domains) >= self.one.least else 0
        return np.asarray(self.place.gather(self.sums) + self.own - least > self.one.skew, dtype=np.bool_)

    def skewed_without(self, row: int, gone: int) -> bool:
        """The same for one row, were so many pods of the group gone from it."""
        number = self.place.ids[row]
        before = self.sums[number]
        here = before - gone if self.rows[row] else before
        others = self.second if before == self.least and self.rows[row] else self.least
        least = min(here, others) if self.rows[row] else self.least
        if len(self.domains) < self.one.least:
            least = 0
        return bool(here + self.own - least > self.one.skew)


def _none(hard: _Hard) -> Scores:
    """An empty selector counts no pod at all, as upstream has it."""
    return np.zeros(hard.place.size, dtype=np.float64)


class PodTopologySpread(Static):
    """Refuses nodes that would make the spread too uneven; prefers those that make it more even."""

    name = "PodTopologySpread"
    wakes = Change.NODE_ANY & ~Change.NODE_ALLOCATABLE | (
        Change.POD_PLACED | Change.POD_LABELS | Change.POD_GONE | Change.POD_CHANGED
    )

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        if not pod.needs.hard:
            return ()
        refusals: list[Refusal] = []
        left = nodes.live
        for hard in self._counted(pod, nodes):
            refusals.append(Refusal(left & ~hard.place.present, UNLABELLED, final=True))
            left = left & hard.place.present
            skewed = left & hard.skewed()
            refusals.append(Refusal(skewed, UNEVEN))
            left = left & ~skewed
        return refusals

    def _counted(self, pod: PodInfo, nodes: NodeState) -> list[_Hard]:
        constraints = pod.needs.hard
        whole = np.logical_and.reduce([nodes.live, *(Domains(nodes, one.key).present for one in constraints)])
        eligible = _eligible(pod, nodes, constraints, np.asarray(whole, dtype=np.bool_))
        return [_Hard(one, pod, nodes, rows) for one, rows in zip(constraints, eligible, strict=True)]

    def trial(self, pod: PodInfo, nodes: NodeState) -> Trial | None:
        """See Filter: the domain of the row has as many fewer as would be gone."""
        if not pod.needs.hard:
            return None
        counted, matchers = self._counted(pod, nodes), nodes.matchers

        def fits(row: int, gone: Sequence[PodInfo]) -> tuple[str, ...]:
            for hard in counted:
                if not hard.place.present[row]:
                    return (UNLABELLED,)
                if hard.skewed_without(row, sum(matchers.means(hard.group, other) for other in gone)):
                    return (UNEVEN,)
            return ()

        return fits

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores | None:
        soft = pod.needs.soft if pod.needs.spreads else nodes.defaults(pod)
        if not soft:
            return None
        places = [Domains(nodes, one.key) for one in soft]
        whole: Mask = nodes.live
        if pod.needs.spreads:  # the system's own constraints do without a label that a node lacks
            whole = np.asarray(np.logical_and.reduce([place.present for place in places]), dtype=np.bool_)
        scored = feasible & whole
        if not scored.any():
            return None
        total = np.zeros(nodes.capacity, dtype=np.float64)
        eligible = _eligible(pod, nodes, soft, nodes.live & whole)
        for one, place, rows in zip(soft, places, eligible, strict=True):
            counts = nodes.matchers.tally(_group(one))
            if not one.meant.selector.requirements:
                counts = np.zeros_like(counts)
            if one.key == HOSTNAME:
                size, number = int(scored.sum()), counts
            else:
                size = int(place.known(scored).sum()) + bool((scored & ~place.present).any())
                number = place.gather(place.sums(np.where(rows, counts, 0.0)))
            total += np.where(place.present, number * log(size + 2) + (one.skew - 1), 0.0)
        rounded = np.floor(total + 0.5)
        lowest, highest = rounded[scored].min(), rounded[scored].max()
        if highest == 0:
            return np.where(scored, MAX_SCORE, 0.0)
        return np.where(scored, np.floor(MAX_SCORE * (highest + lowest - rounded) / highest), 0.0)

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: upstream's hints for assigned pods and for nodes."""
        hard = pod.needs.hard
        if event.change & (Change.POD_PLACED | Change.POD_LABELS | Change.POD_GONE):
            was, now = (_meant(pod, other) if other is not None else () for other in (event.old, event.new))
            return was != now if was and now else any(was) or any(now)
        if not event.change & Change.NODE_ANY:
            return True
        was_fit = event.old is not None and all(one.key in event.old.metadata.labels for one in hard)
        now_fit = event.new is not None and all(one.key in event.new.metadata.labels for one in hard)
        if was_fit != now_fit or not now_fit:
            return was_fit or now_fit
        old, new = event.old.metadata.labels, event.new.metadata.labels
        return bool(event.change & Change.NODE_TAINTS) or any(old[one.key] != new[one.key] for one in hard)


def _meant(pod: PodInfo, other: PodInfo) -> tuple[bool, ...]:
    """Which of a pod's hard constraints count another."""
    namespace, labels, _ = other.kind
    named = dict(labels)
    same = namespace == pod.kind[0]
    return tuple(same and one.meant.selector.matches(named) for one in pod.needs.hard)
