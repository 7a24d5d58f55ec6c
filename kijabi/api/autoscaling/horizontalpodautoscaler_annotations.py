"""What autoscaling/v1 has no fields for: metrics, conditions and behavior as JSON in annotations.

`horizontalpodautoscaler_v1.py` uses it to turn its objects into the stored autoscaling/v2 and back. Metrics have the
shape of v1 there and behavior that of a Go type without JSON names, as k8s.io/kubernetes
`pkg/apis/autoscaling/v1/conversion.go` writes them. What cannot be read is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from kijabi.api import codec
from kijabi.api.autoscaling.horizontalpodautoscaler import (
    HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior,
    HorizontalPodAutoscalerCondition,
    HorizontalPodAutoscalerSpec,
    HorizontalPodAutoscalerStatus,
    MetricSpec,
    MetricStatus,
)
from kijabi.api.struct import Struct
from kijabi.base.errors import BadRequest

_PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, CURRENT = f"{_PREFIX}metrics", f"{_PREFIX}current-metrics"
CONDITIONS, BEHAVIOR = f"{_PREFIX}conditions", f"{_PREFIX}behavior"
_ALL = (METRICS, CURRENT, CONDITIONS, BEHAVIOR, f"{_PREFIX}scale-down-tolerance", f"{_PREFIX}scale-up-tolerance")
_BY_RESOURCE = ("resource", "containerResource")
_SOURCES = ("object", "pods", *_BY_RESOURCE, "external")
T = TypeVar("T", bound=Struct)


def without(annotations: dict[str, str]) -> dict[str, str]:
    """The annotations that are the user's own."""
    if not any(name in annotations for name in _ALL):
        return annotations
    return {name: text for name, text in annotations.items() if name not in _ALL}


def write(obj: HorizontalPodAutoscaler) -> dict[str, str]:
    """The annotations of a stored autoscaler as v1 shows it."""
    found: dict[str, Any] = {}
    others = [metric for metric in obj.spec.metrics if not is_cpu_share(metric)]
    if others:
        found[METRICS] = [_old_metric(codec.to_builtins(metric), "target") for metric in others]
    if obj.status.currentMetrics:
        found[CURRENT] = [_old_metric(codec.to_builtins(metric), "current") for metric in obj.status.currentMetrics]
    if obj.spec.behavior is not None:
        found[BEHAVIOR] = _capital(obj.spec.behavior)
    if obj.status.conditions:
        found[CONDITIONS] = [codec.to_builtins(condition) for condition in obj.status.conditions]
    own = without(obj.metadata.annotations)
    return own | {name: msgspec.json.encode(value).decode() for name, value in found.items()} if found else own


def is_cpu_share(metric: MetricSpec) -> bool:
    """Whether this is the metric for which v1 has a field."""
    source = metric.resource
    return (
        metric.type == "Resource"
        and source is not None
        and source.name == "cpu"
        and source.target.averageUtilization is not None
    )


def read(
    annotations: Mapping[str, str], spec: HorizontalPodAutoscalerSpec, status: HorizontalPodAutoscalerStatus
) -> None:
    """Complete a spec and a status that were made of the fields of v1."""
    metrics = _list(annotations, METRICS, MetricSpec, lambda value: _new_metric(value, "target"))
    if metrics is not None:
        spec.metrics = metrics + spec.metrics
    behavior = _value(annotations, BEHAVIOR)
    if isinstance(behavior, dict):
        rules = _typed(HorizontalPodAutoscalerBehavior, _small(behavior))
        if rules is not None and rules != HorizontalPodAutoscalerBehavior():
            spec.behavior = rules
    current = _list(annotations, CURRENT, MetricStatus, lambda value: _new_metric(value, "current"))
    if current is not None:
        status.currentMetrics = current
    conditions = _list(annotations, CONDITIONS, HorizontalPodAutoscalerCondition, lambda value: value)
    if conditions is not None:
        status.conditions = conditions


def _value(annotations: Mapping[str, str], name: str) -> Any:
    try:
        return msgspec.json.decode(annotations.get(name, ""))
    except msgspec.DecodeError:
        return None


def _typed(cls: type[T], value: Any) -> T | None:
    try:
        return codec.from_builtins(cls, value)
    except BadRequest:
        return None


def _list(
    annotations: Mapping[str, str], name: str, cls: type[T], change: Callable[[dict[str, Any]], dict[str, Any]]
) -> tuple[T, ...] | None:
    values = _value(annotations, name)
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        return None
    found = [_typed(cls, change(value)) for value in values]
    return None if None in found else tuple(each for each in found if each is not None)


def _old_metric(metric: dict[str, Any], word: str) -> dict[str, Any]:
    """A metric of v2 in the shape of v1; word: target, of a wish, or current, of a state."""
    old: dict[str, Any] = {"type": metric["type"]}
    for name in _SOURCES:
        if name in metric:
            source = metric[name]
            amounts, known = source[word], source.get("metric", {})
            value, average = amounts.get("value"), amounts.get("averageValue")
            match name:
                case "resource" | "containerResource":
                    shape = {
                        "name": source["name"],
                        f"{word}AverageUtilization": amounts.get("averageUtilization"),
                        f"{word}AverageValue": average or ("0" if word == "current" else None),
                        "container": source.get("container"),
                    }
                case "pods":
                    shape = {f"{word}AverageValue": average or "0", "selector": known.get("selector")}
                case "object":
                    shape = {
                        "target": source["describedObject"],
                        f"{word}Value": value or "0",
                        "selector": known.get("selector"),
                        "averageValue": average,
                    }
                case _:
                    shape = {
                        "metricSelector": known.get("selector"),
                        f"{word}Value": value or ("0" if word == "current" else None),
                        f"{word}AverageValue": average,
                    }
            if known:
                shape["metricName"] = known["name"]
            old[name] = {key: value for key, value in shape.items() if value is not None}
    return old


def _new_metric(old: dict[str, Any], word: str) -> dict[str, Any]:
    """A metric in the shape of v1 as one of v2."""
    metric: dict[str, Any] = {"type": old.get("type", "")}
    for name in _SOURCES:
        source = old.get(name)
        if isinstance(source, dict):
            share, value = source.get(f"{word}AverageUtilization"), source.get(f"{word}Value")
            average = source.get("averageValue" if name == "object" else f"{word}AverageValue")
            if name == "object" and average is not None and value == "0" and word == "target":
                value = None
            kind = "AverageValue" if average is not None or name == "pods" else "Value"
            if name in _BY_RESOURCE:
                kind = "AverageValue" if share is None else "Utilization"
            elif name == "external" and value is not None:
                kind = "Value"
            amounts = {"type": kind} if word == "target" else {}
            found = (("value", value), ("averageValue", average), ("averageUtilization", share))
            amounts |= {key: amount for key, amount in found if amount is not None}
            new = {word: amounts}
            if name in _BY_RESOURCE:
                new |= {key: source[key] for key in ("name", "container") if key in source}
            else:
                selector = source.get("metricSelector" if name == "external" else "selector")
                new["metric"] = {"name": source.get("metricName", "")}
                new["metric"] |= {"selector": selector} if selector is not None else {}
            if name == "object":
                new["describedObject"] = source.get("target", {})
            metric[name] = new
    return metric


def _capital(value: Any) -> Any:
    """As Go writes a struct whose fields have no JSON names: all of them, capitalised."""
    if isinstance(value, Struct):
        return {name[0].upper() + name[1:]: _capital(item) for name, item in structs.asdict(value).items()}
    if isinstance(value, tuple):
        return [_capital(item) for item in value] or None
    return value


def _small(value: Any) -> Any:
    """The way back of `_capital`."""
    if isinstance(value, dict):
        return {str(key)[:1].lower() + str(key)[1:]: _small(item) for key, item in value.items() if item is not None}
    return [_small(item) for item in value] if isinstance(value, list) else value
