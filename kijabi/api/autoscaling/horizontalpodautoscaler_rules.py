"""What an autoscaler must be: bounds, a target, metrics of which each says one thing, rules of pace.

`horizontalpodautoscaler.py` gives these to its Resource. Texts are those of k8s.io/kubernetes
`pkg/apis/autoscaling/validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kijabi.api.core.resources_rules import validate_container_name
from kijabi.api.formats import dns_label, path_segment_name
from kijabi.api.quantity import Quantity
from kijabi.api.resource import FieldError
from kijabi.api.validation import NEGATIVE, each, forbidden, invalid, non_negative, not_supported, required

if TYPE_CHECKING:
    from kijabi.api.autoscaling.horizontalpodautoscaler import (
        CrossVersionObjectReference,
        HorizontalPodAutoscaler,
        HPAScalingRules,
        MetricIdentifier,
        MetricSpec,
        MetricTarget,
    )

_SOURCES = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
_LONGEST_PERIOD, _LONGEST_WINDOW = 1800, 3600


def validate(obj: HorizontalPodAutoscaler) -> Sequence[FieldError]:
    """Everything that is wrong with it."""
    spec, least = obj.spec, obj.spec.minReplicas
    errors: list[FieldError] = []
    if least is not None and spec.maxReplicas < least:
        detail = "must be greater than or equal to `minReplicas`"
        errors.append(invalid("spec.maxReplicas", spec.maxReplicas, detail))
    errors += _validate_reference("spec.scaleTargetRef", spec.scaleTargetRef)
    if not obj.metadata.resourceVersion:
        errors += _validate_target_version(spec.scaleTargetRef)
        errors += _validate_described(spec.metrics)
    for index, metric in enumerate(spec.metrics):
        errors += _validate_metric(f"spec.metrics[{index}]", metric)
    if least == 0 and not any(metric.type in ("Object", "External") for metric in spec.metrics):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        errors.append(forbidden("spec.metrics", detail))
    if spec.behavior is not None:
        errors += _validate_rules("spec.behavior.scaleUp", spec.behavior.scaleUp)
        errors += _validate_rules("spec.behavior.scaleDown", spec.behavior.scaleDown)
    errors += non_negative("spec.minReplicas", least)
    if not spec.maxReplicas:
        errors.append(required("spec.maxReplicas"))
    elif spec.maxReplicas < 0:
        errors.append(invalid("spec.maxReplicas", spec.maxReplicas, "must be greater than or equal to 1"))
    return errors


def validate_update(new: HorizontalPodAutoscaler, old: HorizontalPodAutoscaler) -> Sequence[FieldError]:
    """Another target must be named with its group; a version that was no version may stay."""
    mine, before = new.spec.scaleTargetRef, old.spec.scaleTargetRef
    same = (mine.apiVersion, mine.kind) == (before.apiVersion, before.kind)
    errors = [] if same else _validate_target_version(mine)
    return errors if _validate_described(old.spec.metrics) else [*errors, *_validate_described(new.spec.metrics)]


def validate_status(new: HorizontalPodAutoscaler, old: HorizontalPodAutoscaler) -> Sequence[FieldError]:
    """What a write of the status says that cannot be."""
    errors: list[FieldError] = []
    for index, condition in enumerate(new.status.conditions):
        errors += non_negative(f"status.conditions[{index}].observedGeneration", condition.observedGeneration)
    errors += non_negative("status.currentReplicas", new.status.currentReplicas)
    return errors + non_negative("status.desiredReplicas", new.status.desiredReplicas)


def _validate_reference(path: str, reference: CrossVersionObjectReference) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in ("kind", "name"):
        text = getattr(reference, name)
        errors += each(f"{path}.{name}", text, path_segment_name(text)) if text else [required(f"{path}.{name}")]
    return errors


def _validate_target_version(reference: CrossVersionObjectReference) -> list[FieldError]:
    path, text = "spec.scaleTargetRef.apiVersion", reference.apiVersion
    if text.count("/") > 1:
        return [invalid(path, text, f"unexpected GroupVersion string: {text}")]
    if text.find("/") < 1 and reference.kind != "ReplicationController":
        return [invalid(path, text, "apiVersion must specify API group")]
    return []


def _validate_described(metrics: Sequence[MetricSpec]) -> list[FieldError]:
    """Objects that have a metric may lack a group, but not have several."""
    errors: list[FieldError] = []
    for index, metric in enumerate(metrics):
        text = metric.object.describedObject.apiVersion if metric.object is not None else ""
        if text.count("/") > 1:
            path = f"spec.metrics[{index}].object.describedObject.apiVersion"
            errors.append(invalid(path, text, f"unexpected GroupVersion string: {text}"))
    return errors


def _validate_metric(path: str, metric: MetricSpec) -> list[FieldError]:
    errors: list[FieldError] = []
    if not metric.type:
        errors.append(required(f"{path}.type", "must specify a metric source type"))
    if metric.type not in _SOURCES:
        errors.append(not_supported(f"{path}.type", metric.type, sorted(_SOURCES)))
    present = [name for name in _SOURCES.values() if getattr(metric, name) is not None]
    if present:
        errors += _validate_source(f"{path}.{present[0]}", present[0], getattr(metric, present[0]))
    expected = _SOURCES.get(metric.type)
    if expected is None:
        errors.append(not_supported(f"{path}.type", metric.type, sorted(_SOURCES)))
    elif expected not in present:
        detail = "must populate information for the given metric source"
        errors.append(required(f"{path}.{expected}", detail))
    if len(present) != 1:
        detail = "must populate the given metric source only"
        errors += [forbidden(f"{path}.{name}", detail) for name in sorted(present) if name != expected]
    return errors


def _validate_source(path: str, kind: str, source: Any) -> list[FieldError]:
    target: MetricTarget = source.target
    here = f"{path}.target"
    if kind in ("resource", "containerResource"):
        errors = _validate_resource(path, source, kind) + _validate_target(here, target)
        if target.averageUtilization is None and target.averageValue is None:
            detail = "must set either a target raw value or a target utilization"
            errors.append(required(f"{here}.averageUtilization", detail))
        if target.averageUtilization is not None and target.averageValue is not None:
            detail = "may not set both a target raw value and a target utilization"
            errors.append(forbidden(f"{here}.averageValue", detail))
        return errors
    errors = _validate_reference(f"{path}.describedObject", source.describedObject) if kind == "object" else []
    errors += _validate_identifier(f"{path}.metric", source.metric) + _validate_target(here, target)
    if kind == "pods":
        if target.averageValue is None:
            errors.append(required(f"{here}.averageValue", "must specify a positive target averageValue"))
        return errors
    if target.value is None and target.averageValue is None:
        what = "value or averageValue" if kind == "object" else "value for metric or a per-pod target"
        errors.append(required(f"{here}.averageValue", f"must set either a target {what}"))
    if kind == "external" and target.value is not None and target.averageValue is not None:
        detail = "may not set both a target value for metric and a per-pod target"
        errors.append(forbidden(f"{here}.value", detail))
    return errors


def _validate_resource(path: str, source: Any, kind: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if not source.name:
        errors.append(required(f"{path}.name", "must specify a resource name"))
    elif kind == "containerResource":
        errors += validate_container_name(f"{path}.name", source.name)
    if kind == "containerResource":
        if source.container:
            errors += each(f"{path}.container", source.container, dns_label(source.container))
        else:
            errors.append(required(f"{path}.container", "must specify a container"))
    return errors


def _validate_target(path: str, target: MetricTarget) -> list[FieldError]:
    errors: list[FieldError] = []
    if not target.type:
        errors.append(required(f"{path}.type", "must specify a metric target type"))
    if target.type not in ("Utilization", "Value", "AverageValue"):
        detail = "must be either Utilization, Value, or AverageValue"
        errors.append(invalid(f"{path}.type", target.type, detail))
    errors += _validate_positive(path, (("value", target.value), ("averageValue", target.averageValue)))
    if target.averageUtilization is not None and target.averageUtilization < 1:
        detail = "must be greater than 0"
        errors.append(invalid(f"{path}.averageUtilization", target.averageUtilization, detail))
    return errors


def _validate_positive(path: str, amounts: Iterable[tuple[str, Quantity | None]]) -> list[FieldError]:
    found = ((name, amount) for name, amount in amounts if amount is not None and amount.exact() <= 0)
    return [invalid(f"{path}.{name}", str(amount), "must be positive") for name, amount in found]


def _validate_identifier(path: str, metric: MetricIdentifier) -> list[FieldError]:
    if not metric.name:
        return [required(f"{path}.name", "must specify a metric name")]
    return each(f"{path}.name", metric.name, path_segment_name(metric.name))


def _validate_rules(path: str, rules: HPAScalingRules | None) -> list[FieldError]:
    if rules is None:
        return []
    errors: list[FieldError] = []
    window = rules.stabilizationWindowSeconds
    if window is not None and window < 0:
        detail = "must be greater than or equal to zero"
        errors.append(invalid(f"{path}.stabilizationWindowSeconds", window, detail))
    if window is not None and window > _LONGEST_WINDOW:
        detail = f"must be less than or equal to {_LONGEST_WINDOW}"
        errors.append(invalid(f"{path}.stabilizationWindowSeconds", window, detail))
    if rules.selectPolicy is not None and rules.selectPolicy not in ("Disabled", "Max", "Min"):
        errors.append(not_supported(f"{path}.selectPolicy", rules.selectPolicy, ("Disabled", "Max", "Min")))
    if not rules.policies:
        errors.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(rules.policies):
        here = f"{path}.policies[{index}]"
        if policy.type not in ("Pods", "Percent"):
            errors.append(not_supported(f"{here}.type", policy.type, ("Percent", "Pods")))
        for name in ("value", "periodSeconds"):
            if getattr(policy, name) <= 0:
                errors.append(invalid(f"{here}.{name}", getattr(policy, name), "must be greater than zero"))
        if policy.periodSeconds > _LONGEST_PERIOD:
            detail = f"must be less than or equal to {_LONGEST_PERIOD}"
            errors.append(invalid(f"{here}.periodSeconds", policy.periodSeconds, detail))
    if rules.tolerance is not None and rules.tolerance.exact() < 0:
        errors.append(invalid(f"{path}.tolerance", str(rules.tolerance), NEGATIVE))
    return errors
