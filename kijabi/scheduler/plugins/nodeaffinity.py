"""NodeAffinity: spec.nodeSelector and required node affinity filter; preferred node affinity scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kijabi.api.core.nodeselector import NodeSelectorRequirement, NodeSelectorTerm
from kijabi.scheduler.framework import Change, Final, Mask, Scores, normalise
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
    """Rows whose label satisfies it: each distinct value is asked once."""
    values, ids = nodes.label(requirement.key)
    return np.asarray([_holds(requirement, value) for value in values.values], dtype=np.bool_)[ids]


def _matching_name(requirement: NodeSelectorRequirement, nodes: NodeState) -> Mask:
    rows = np.zeros(nodes.capacity, dtype=np.bool_)
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


class NodeAffinity(Final):
    """Refuses nodes outside the pod's node selector or required terms; prefers those in its preferred terms."""

    name = "NodeAffinity"
    wakes = Change.NODE_ADDED | Change.NODE_LABELS | Change.POD_CHANGED

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[tuple[Mask, str]]:
        spec = pod.pod.spec
        affinity = spec.affinity.nodeAffinity if spec.affinity else None
        required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity else None
        if not spec.nodeSelector and required is None:
            return ()
        rows = nodes.live.copy()
        for key, value in spec.nodeSelector.items():
            values, ids = nodes.label(key)
            rows &= (ids != ABSENT) & (ids == values.id(value))
        if required is not None:
            some = np.zeros(nodes.capacity, dtype=np.bool_)
            for term in required.nodeSelectorTerms:
                some |= matches_term(term, nodes)
            rows &= some
        return ((~rows, "node(s) didn't match Pod's node affinity/selector"),)

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores:
        affinity = pod.pod.spec.affinity
        preferred = (
            affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution
            if affinity and affinity.nodeAffinity
            else ()
        )
        total = np.zeros(nodes.capacity, dtype=np.float64)
        for term in preferred:
            total += term.weight * matches_term(term.preference, nodes)
        return normalise(total, feasible)
