"""Whether a pod and a node go together: labels, affinity, taints; pure.

For those who look at one node at a time: the kubelet's admission, the DaemonSet and taint eviction controllers. The
scheduler asks the same of all nodes at once (`scheduler/plugins/`). Rules: core/v1 NodeSelector, Taint, Toleration.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from kijabi.api.core.affinity import Toleration
from kijabi.api.core.node import Node, Taint
from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm
from kijabi.api.core.pod import PodSpec

HARD = ("NoSchedule", "NoExecute")


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """An empty effect or key matches all; Exists matches any value, Equal (the default) the same.

    Lt and Gt compare numbers: the taint's value is below, or above, the toleration's (KEP-5471).
    """
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "" | "Equal":
            return toleration.value == taint.value
        case "Lt" | "Gt":
            return _compare(toleration.operator, taint.value, toleration.value)
        case _:
            return False


def untolerated(
    taints: Iterable[Taint], tolerations: Iterable[Toleration], effects: Container[str] = HARD
) -> Taint | None:
    """The first taint with one of these effects that nothing tolerates."""
    allowed = tuple(tolerations)
    return next(
        (taint for taint in taints if taint.effect in effects and not any(tolerates(one, taint) for one in allowed)),
        None,
    )


def selects(spec: PodSpec, node: Node) -> bool:
    """The node has the labels of `nodeSelector` and satisfies the required node affinity."""
    labels = node.metadata.labels
    if any(labels.get(key) != value for key, value in spec.nodeSelector.items()):
        return False
    affinity = spec.affinity.nodeAffinity if spec.affinity is not None else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
    return required is None or matches(required, node)


def matches(selector: NodeSelector, node: Node) -> bool:
    """One of its terms holds; no terms match nothing."""
    return any(_term(term, node) for term in selector.nodeSelectorTerms)


def _term(term: NodeSelectorTerm, node: Node) -> bool:
    if not term.matchExpressions and not term.matchFields:
        return False
    fields = {"metadata.name": node.metadata.name}
    return all(_holds(one, node.metadata.labels) for one in term.matchExpressions) and all(
        _holds(one, fields) for one in term.matchFields
    )


def _holds(wanted: NodeSelectorRequirement, values: Mapping[str, str]) -> bool:
    value = values.get(wanted.key)
    match wanted.operator:
        case "In":
            return value is not None and value in wanted.values
        case "NotIn":
            return value is None or value not in wanted.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return value is not None and bool(wanted.values) and _compare(wanted.operator, value, wanted.values[0])
        case _:
            return False


def _compare(operator: str, value: str, bound: str) -> bool:
    """Whether a number is above (Gt) or below (Lt) another; what is no number is neither."""
    try:
        have, limit = int(value), int(bound)
    except ValueError:
        return False
    return have > limit if operator == "Gt" else have < limit
