"""NodeAffinity: spec.nodeSelector and required node affinity filter; preferred node affinity scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kijabi.api.core.nodefit import selects
from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from kijabi.scheduler.framework import Change, Event, Mask, Refusal, Scores, Static, normalise
from kijabi.scheduler.nodestate import ABSENT, NodeState
from kijabi.scheduler.podinfo import PodInfo


def _holds(requirement: NodeSelectorRequirement, value: object) -> bool:
    """One requirement against one label value (None: the node has no such label)."""
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            try:
                have, bound = int(str(value)), int(requirement.values[0])
            except (ValueError, IndexError):
                return False
            return have > bound if requirement.operator == "Gt" else have < bound
        case _:
            return False


def _matching(requirement: NodeSelectorRequirement, nodes: NodeState) -> Mask:
    """Rows whose label satisfies it; values are numbers, of which those compared are looked for."""
    values, ids = nodes.label(requirement.key)
    match requirement.operator:
        case "In" | "NotIn":
            rows = np.zeros(nodes.capacity, dtype=np.bool_)
            for value in requirement.values:
                rows |= ids == values.find(value)
            return rows if requirement.operator == "In" else ~rows
        case "Exists":
            return np.asarray(ids != ABSENT, dtype=np.bool_)
        case "DoesNotExist":
            return np.asarray(ids == ABSENT, dtype=np.bool_)
        case _:
            return np.asarray([_holds(requirement, value) for value in values.values], dtype=np.bool_)[ids]


def _matching_name(requirement: NodeSelectorRequirement, nodes: NodeState) -> Mask:
    rows = np.zeros(nodes.capacity, dtype=np.bool_)
    if requirement.operator == "In":
        rows[[nodes.rows[name] for name in requirement.values if name in nodes.rows]] = True
        return rows
    for name, row in nodes.rows.items():
        rows[row] = _holds(requirement, name)
    return rows


def matches_term(term: NodeSelectorTerm, nodes: NodeState) -> Mask:
    """Rows that satisfy every expression and field of a term; an empty term matches none."""
    if not term.matchExpressions and not term.matchFields:
        return np.zeros(nodes.capacity, dtype=np.bool_)
    rows = nodes.live.copy()
    for requirement in term.matchExpressions:
        rows &= _matching(requirement, nodes)
    for requirement in term.matchFields:
        rows &= _matching_name(requirement, nodes)
    return rows


def matches_any(terms: Sequence[NodeSelectorTerm], nodes: NodeState) -> Mask:
    """Rows that satisfy at least one term."""
    some = np.zeros(nodes.capacity, dtype=np.bool_)
    for term in terms:
        some |= matches_term(term, nodes)
    return some


def required_rows(pod: PodInfo, nodes: NodeState) -> Mask:
    """Rows that satisfy the pod's node selector and required node affinity."""
    required = _required(pod)
    rows = nodes.live
    for key, value in pod.pod.spec.nodeSelector.items():
        values, ids = nodes.label(key)
        rows = rows & (ids == values.find(value))
    return rows if required is None else rows & matches_any(required.nodeSelectorTerms, nodes)


def _required(pod: PodInfo) -> NodeSelector | None:
    affinity = pod.pod.spec.affinity
    if affinity is None or affinity.nodeAffinity is None:
        return None
    return affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution


def _named(required: NodeSelector) -> set[str] | None:
    """The nodes that terms name, None if a term names none: such pods (of DaemonSets) are about few nodes."""
    names: set[str] = set()
    for term in required.nodeSelectorTerms:
        fields = [set(one.values) for one in term.matchFields if (one.key, one.operator) == ("metadata.name", "In")]
        if not fields:
            return None
        names |= set.intersection(*fields)
    return names if required.nodeSelectorTerms else None


class NodeAffinity(Static):
    """Refuses nodes outside the pod's node selector or required terms; prefers those in its preferred terms."""

    name = "NodeAffinity"
    wakes = Change.NODE_ADDED | Change.NODE_LABELS | Change.POD_CHANGED

    def begin(self, pod: PodInfo, nodes: NodeState) -> str | Mask | None:
        """See Filter: where terms name nodes, no others are looked at."""
        required = _required(pod)
        names = _named(required) if required is not None else None
        if names is None:
            return None
        if not names:
            return "pod affinity terms conflict"
        others = nodes.live.copy()
        others[[nodes.rows[name] for name in names if name in nodes.rows]] = False
        return others

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        if not pod.pod.spec.nodeSelector and _required(pod) is None:
            return ()
        return (Refusal(~required_rows(pod, nodes), "node(s) didn't match Pod's node affinity/selector", final=True),)

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores | None:
        affinity = pod.pod.spec.affinity
        preferred = (
            affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution
            if affinity and affinity.nodeAffinity
            else ()
        )
        if not preferred:
            return None
        total = np.zeros(nodes.capacity, dtype=np.float64)
        for term in preferred:
            total += term.weight * matches_term(term.preference, nodes)
        return normalise(total, feasible)

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: nodes that match, and did not before."""
        if event.new is None or not event.change & (Change.NODE_ADDED | Change.NODE_LABELS):
            return True
        spec = pod.pod.spec
        return selects(spec, event.new) and not (event.old is not None and selects(spec, event.old))
