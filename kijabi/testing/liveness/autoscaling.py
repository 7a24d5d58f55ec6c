"""What must come true of HorizontalPodAutoscalers: their targets have as many pods as the metrics ask for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from kijabi.api.apps.deployment import Deployment
from kijabi.api.autoscaling.horizontalpodautoscaler import HorizontalPodAutoscaler
from kijabi.api.core.pod import Pod
from kijabi.api.selector import from_label_selector
from kijabi.testing.history import Ledger
from kijabi.testing.safety.facts import lives

TOLERANCE = 0.1
"""So far from 1 the share of the target may be (upstream's `--horizontal-pod-autoscaler-tolerance`)."""


def autoscaler(one: HorizontalPodAutoscaler, ledger: Ledger) -> Iterator[str]:
    """It sees the metrics, its target is as large as they ask for within the bounds, and the status says so."""
    d = ledger.get(Deployment, one.spec.scaleTargetRef.name, one.metadata.namespace)
    if d is None or not d.spec.replicas:
        return
    least, most, many, status = one.spec.minReplicas or 1, one.spec.maxReplicas, d.spec.replicas, one.status
    if not least <= many <= most:
        yield f"its target has {many} pods, and may have {least} to {most}"
    if (status.currentReplicas, status.desiredReplicas) != (many, many):
        yield f"says (current, desired) {status.currentReplicas, status.desiredReplicas}, its target wants {many}"
    for condition in status.conditions:
        if condition.type in ("AbleToScale", "ScalingActive") and condition.status != "True":
            yield f"condition {condition.type} is {condition.reason}: {condition.message}"
    share = _share(one)
    if share is None:
        yield "has seen no metrics"
    elif abs(share - 1) > TOLERANCE and min(max(math.ceil(share * _selected(d, ledger)), least), most) != many:
        yield f"its pods do {share:.2f} of what they should, and it leaves their number at {many}"


def _selected(d: Deployment, ledger: Ledger) -> int:
    """How many pods are measured: all that match the selector, also those that nobody owns any more (Kubernetes docs,
    Horizontal Pod Autoscaling: "the Pods selected by the target's `.spec.selector`").
    """
    matches = from_label_selector(d.spec.selector).matches
    here = (pod for pod in ledger.of(Pod) if pod.metadata.namespace == d.metadata.namespace)
    return sum(lives(pod) and matches(pod.metadata.labels) for pod in here)


def _share(one: HorizontalPodAutoscaler) -> float | None:
    """What is used, in parts of what is aimed for."""
    seen = one.status.currentMetrics
    wanted, now = one.spec.metrics[0].resource, seen[0].resource if seen else None
    if wanted is None or now is None:
        return None
    if wanted.target.averageUtilization is not None:
        used = now.current.averageUtilization
        return used / wanted.target.averageUtilization if used is not None else None
    aim, value = wanted.target.averageValue, now.current.averageValue
    return value.milli() / aim.milli() if aim is not None and value is not None else None
