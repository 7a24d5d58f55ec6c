"""InterPodAffinity: near to some pods and away from others, by need or by preference; and what others need of the pod.

Required terms filter, also the anti-affinity of pods that run; preferred terms score, those of running pods too, and
each required affinity of a running pod with weight 1. Rules: core/v1 PodAffinity; the formulas are v1.37's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kijabi.scheduler.domains import Domains
from kijabi.scheduler.framework import MAX_SCORE, Change, Event, Mask, Refusal, Scores, Static, Trial
from kijabi.scheduler.matchers import Group, Matchers
from kijabi.scheduler.needs import Needs, Term
from kijabi.scheduler.nodestate import ABSENT, NodeState
from kijabi.scheduler.podinfo import PodInfo

NOT_NEAR = "node(s) didn't match pod affinity rules"
NOT_AWAY = "node(s) didn't match pod anti-affinity rules"
NOT_WANTED = "node(s) didn't satisfy existing pods anti-affinity rules"


def near_group(needs: Needs) -> Group:
    """The pods that satisfy every required affinity term at once."""
    return Group(tuple(term.meant for term in needs.near))


def _away_group(term: Term) -> Group:
    return Group((term.meant,))


class _Near:
    """Where pods are that satisfy all required terms of a pod, by the domains of each term."""

    def __init__(self, pod: PodInfo, nodes: NodeState) -> None:
        self.group = near_group(pod.needs)
        counts = nodes.matchers.tally(self.group)
        self.places = [Domains(nodes, term.key) for term in pod.needs.near]
        self.sums = [place.sums(counts) for place in self.places]
        self.total = sum(float(one.sum()) for one in self.sums)
        self.first = nodes.matchers.means(self.group, pod)  # the pod itself would do, were there no other

    def rows(self) -> Mask:
        """Rows where the pod has what it needs near."""
        labelled = np.logical_and.reduce([place.present for place in self.places])
        if not self.total and self.first:
            return np.asarray(labelled, dtype=np.bool_)
        for place, one in zip(self.places, self.sums, strict=True):
            labelled &= place.gather(one) > 0
        return np.asarray(labelled, dtype=np.bool_)

    def without(self, row: int, gone: int) -> bool:
        """Whether that row still would have, were so many of those pods gone from it."""
        ids = [int(place.ids[row]) for place in self.places]
        if ABSENT in ids:
            return False
        if self.total - gone * len(ids) <= 0 and self.first:
            return True
        return all(one[number] - gone > 0 for one, number in zip(self.sums, ids, strict=True))


class InterPodAffinity(Static):
    """Refuses and prefers nodes by the pods in their topology domains."""

    name = "InterPodAffinity"
    wakes = (
        Change.NODE_ADDED
        | Change.NODE_LABELS
        | Change.POD_PLACED
        | Change.POD_LABELS
        | Change.POD_GONE
        | Change.POD_CHANGED
    )

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        needs, matchers = pod.needs, nodes.matchers
        refusals = []
        if needs.near:
            left = _Near(pod, nodes).rows()
            refusals.append(Refusal(~left, NOT_NEAR, final=True))
        else:
            left = nodes.live
        close: Mask | None = None
        for term in needs.away:
            place = Domains(nodes, term.key)
            hit = place.gather(place.sums(matchers.tally(_away_group(term)))) > 0
            close = hit if close is None else close | hit
        if close is not None:
            refusals.append(Refusal(close & left, NOT_AWAY))
            left = left & ~close
        unwanted: Mask | None = None
        for term, away, column in matchers.held(pod):
            if away:
                place = Domains(nodes, term.key)
                hit = place.gather(place.sums(column)) > 0
                unwanted = hit if unwanted is None else unwanted | hit
        if unwanted is not None:
            refusals.append(Refusal(unwanted & left, NOT_WANTED))
        return refusals

    def trial(self, pod: PodInfo, nodes: NodeState) -> Trial | None:
        """See Filter: the domain of the row has as many fewer as would be gone."""
        needs, matchers = pod.needs, nodes.matchers
        near = _Near(pod, nodes) if needs.near else None
        away = [(_away_group(term), Domains(nodes, term.key)) for term in needs.away]
        counted = [(group, place, place.sums(matchers.tally(group))) for group, place in away]
        held = [
            (term, place, place.sums(column))
            for term, keeps_away, column in matchers.held(pod)
            if keeps_away
            for place in (Domains(nodes, term.key),)
        ]
        if near is None and not counted and not held:
            return None

        def fits(row: int, gone: Sequence[PodInfo]) -> tuple[str, ...]:
            if near is not None and not near.without(row, _among(matchers, near.group, gone)):
                return (NOT_NEAR,)
            for group, place, sums in counted:
                if sums[place.ids[row]] - _among(matchers, group, gone) > 0 and place.present[row]:
                    return (NOT_AWAY,)
            for term, place, sums in held:
                fewer = sum(other.needs.away.count(term) for other in gone)
                if sums[place.ids[row]] - fewer > 0 and place.present[row]:
                    return (NOT_WANTED,)
            return ()

        return fits

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores | None:
        total: Scores | None = None
        for term, column in _weights(pod, nodes.matchers):
            place = Domains(nodes, term.key)
            part = place.gather(place.sums(column))
            total = part if total is None else total + part
        if total is None:
            return None
        lowest, highest = total[feasible].min(), total[feasible].max()
        if highest <= lowest:
            return None
        scaled: Scores = np.trunc(MAX_SCORE * ((total - lowest) / (highest - lowest)))
        return scaled

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: upstream's hints for assigned pods and for nodes."""
        if event.change & (Change.POD_PLACED | Change.POD_LABELS | Change.POD_GONE):
            return _pods_help(pod, event)
        if event.change & Change.NODE_LABELS and event.old is not None:
            old, new = event.old.metadata.labels, event.new.metadata.labels
            near = any(term.key in new and old.get(term.key) != new[term.key] for term in pod.needs.near)
            away = any(term.key in old and new.get(term.key) != old[term.key] for term in pod.needs.away)
            return near or away or not (pod.needs.near or pod.needs.away)
        return True


def _weights(pod: PodInfo, matchers: Matchers) -> Iterator[tuple[Term, Scores]]:
    """What scores: each term with the weight that it has on each row."""
    for weight, term in pod.needs.wishes:
        yield term, weight * matchers.tally(_away_group(term))
    for term, away, column in matchers.held(pod):
        if not away:
            yield term, column


def _among(matchers: Matchers, group: Group, pods: Sequence[PodInfo]) -> int:
    return sum(matchers.means(group, other) for other in pods)


def _pods_help(pod: PodInfo, event: Event) -> bool:
    """Whether another pod that came, changed or went can matter; namespaces' labels are left out of account."""
    old, new = event.old, event.new

    def near(other: PodInfo) -> bool:
        return bool(pod.needs.near) and all(_may_mean(term, other) for term in pod.needs.near)

    def away(other: PodInfo) -> bool:
        return any(_may_mean(term, other) for term in pod.needs.away)

    if old is None:
        return near(new)
    if new is None:
        return away(old) or any(_may_mean(term, pod) for term in old.needs.away)
    return near(new) or (away(old) and not away(new))


def _may_mean(term: Term, other: PodInfo) -> bool:
    namespace, labels, _ = other.kind
    meant = term.meant
    return (namespace in meant.names or not meant.within.nothing) and meant.selector.matches(dict(labels))
