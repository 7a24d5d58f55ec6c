"""How `kubectl get hpa` words an autoscaler: what it scales, by what, and how far it is.

`horizontalpodautoscaler.py` gives COLUMNS to its Resource; texts as k8s.io/kubernetes `pkg/printers/internalversion`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kijabi.api.columns import AGE, NAME, NONE, UNKNOWN, UNSET, column

if TYPE_CHECKING:
    from kijabi.api.autoscaling.horizontalpodautoscaler import (
        HorizontalPodAutoscaler,
        MetricSpec,
        MetricStatus,
        MetricTarget,
        MetricValueStatus,
    )

_SHOWN = 2


def targets(obj: HorizontalPodAutoscaler) -> str:
    """Each metric as `now/wanted`: `cpu: 12%/80%`."""
    specs, found = obj.spec.metrics, obj.status.currentMetrics
    if not specs:
        return NONE
    texts = [_metric(spec, found[i] if i < len(found) else None) for i, spec in enumerate(specs)]
    shown = ", ".join(texts[:_SHOWN])
    return f"{shown} + {len(texts) - _SHOWN} more..." if len(texts) > _SHOWN else shown


def _metric(spec: MetricSpec, seen: MetricStatus | None) -> str:
    kind = {
        "Resource": "resource",
        "ContainerResource": "containerResource",
        "Pods": "pods",
        "Object": "object",
        "External": "external",
    }.get(spec.type)
    source = getattr(spec, kind) if kind else None
    if source is None:
        return "<unknown type>"
    status = getattr(seen, kind or "", None)
    now: MetricValueStatus | None = status.current if status is not None else None
    target: MetricTarget = source.target
    if spec.type in ("Resource", "ContainerResource"):
        return f"{source.name}: {_by_resource(target, now)}"
    average, value = (now.averageValue, now.value) if now is not None else (None, None)
    if spec.type == "Pods":
        return f"{_text(average)}/{_text(target.averageValue)}"
    if target.averageValue is not None:
        return f"{_text(average)}/{target.averageValue} (avg)"
    return f"{_text(value)}/{_text(target.value)}"


def _by_resource(target: MetricTarget, now: MetricValueStatus | None) -> str:
    if target.averageValue is not None:
        return f"{_text(now.averageValue if now is not None else None)}/{target.averageValue}"
    used = now.averageUtilization if now is not None else None
    wanted = target.averageUtilization
    return f"{UNKNOWN if used is None else f'{used}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"


def _text(amount: str | None) -> str:
    return UNKNOWN if amount is None else str(amount)


def _reference(obj: HorizontalPodAutoscaler) -> str:
    return f"{obj.spec.scaleTargetRef.kind}/{obj.spec.scaleTargetRef.name}"


def _least(obj: HorizontalPodAutoscaler) -> str:
    return UNSET if obj.spec.minReplicas is None else str(obj.spec.minReplicas)


COLUMNS = (
    NAME,
    column("Reference", _reference, "What it scales."),
    column("Targets", targets, "Each metric as it is and as wanted."),
    column("MinPods", _least, "The fewest pods."),
    column("MaxPods", lambda obj: obj.spec.maxReplicas, "The most pods."),
    column("Replicas", lambda obj: obj.status.currentReplicas, "How many pods there are."),
    AGE,
)
