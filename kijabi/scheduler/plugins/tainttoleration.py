"""TaintToleration: a node's NoSchedule and NoExecute taints must be tolerated; PreferNoSchedule counts against it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kijabi.api.core.affinity import Toleration
from kijabi.scheduler.framework import Change, Mask, Refusal, Scores, Static, normalise
from kijabi.scheduler.nodestate import NodeState, TaintSet
from kijabi.scheduler.podinfo import PodInfo

HARD = ("NoSchedule", "NoExecute")
SOFT = "PreferNoSchedule"


def tolerates(toleration: Toleration, taint: tuple[str, str, str]) -> bool:
    """Whether a toleration covers a (key, value, effect) taint. Source: core/v1 Toleration, KEP-5471 (Lt and Gt)."""
    key, value, effect = taint
    if toleration.effect and toleration.effect != effect:
        return False
    if toleration.key and toleration.key != key:
        return False
    match toleration.operator:
        case "" | "Equal":
            return toleration.value == value
        case "Exists":
            return True
        case "Lt" | "Gt":
            try:
                threshold, have = int(toleration.value), int(value)
            except ValueError:
                return False
            return have < threshold if toleration.operator == "Lt" else have > threshold
        case _:
            return False


def _untolerated(taints: TaintSet, tolerations: Sequence[Toleration], effects: tuple[str, ...]) -> int:
    return sum(
        taint[2] in effects and not any(tolerates(toleration, taint) for toleration in tolerations) for taint in taints
    )


def _per_row(pod: PodInfo, nodes: NodeState, effects: tuple[str, ...], *, soft: bool) -> Scores:
    """How many taints with these effects the pod does not tolerate, by row: each distinct set is counted once."""
    tolerations = pod.pod.spec.tolerations
    if soft:
        tolerations = tuple(t for t in tolerations if t.effect in ("", SOFT))
    counts = [_untolerated(taints, tolerations, effects) for taints in nodes.taint_sets.values]  # type: ignore[arg-type]
    return np.asarray(counts, dtype=np.float64)[nodes.taints]


def untolerated_rows(pod: PodInfo, nodes: NodeState) -> Mask:
    """Rows with a hard taint that the pod does not tolerate."""
    return np.asarray(_per_row(pod, nodes, HARD, soft=False) > 0, dtype=np.bool_)


class TaintToleration(Static):
    """Refuses nodes with a hard taint that the pod does not tolerate; prefers those with fewer soft ones."""

    name = "TaintToleration"
    wakes = Change.NODE_ADDED | Change.NODE_TAINTS | Change.POD_CHANGED

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        if len(nodes.taint_sets.values) == 1:
            return ()
        return (Refusal(untolerated_rows(pod, nodes), "node(s) had untolerated taint(s)", final=True),)

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores | None:
        if len(nodes.taint_sets.values) == 1:
            return None
        return normalise(_per_row(pod, nodes, (SOFT,), soft=True), feasible, reverse=True)
