"""What deployments, replica sets and daemon sets share: a selector that fits their template, counts that can be.

Each kind's file calls these from its own rules. Texts are those of k8s.io/kubernetes `pkg/apis/apps/validation`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kijabi.api.core.podspec_rules import validate_template
from kijabi.api.formats import percent
from kijabi.api.resource import FieldError
from kijabi.api.selector import from_label_selector
from kijabi.api.validation import (
    each,
    forbidden,
    invalid,
    non_negative,
    not_supported,
    required,
    validate_label_selector,
)
from kijabi.base.errors import BadRequest

if TYPE_CHECKING:
    from kijabi.api.apps.daemonset import DaemonSetSpec
    from kijabi.api.apps.deployment import DeploymentSpec
    from kijabi.api.apps.replicaset import ReplicaSetSpec


def validate_workload(spec: DeploymentSpec | ReplicaSetSpec | DaemonSetSpec, kind: str, named: str) -> list[FieldError]:
    """Errors of replicas, selector and template. kind and named: how messages call the workload."""
    errors = non_negative("spec.replicas", getattr(spec, "replicas", None))
    selector, path = spec.selector, "spec.selector"
    on_nodes = kind == "DaemonSet"
    if selector is not None:
        errors += validate_label_selector(selector, path)
        if not selector.matchLabels and not selector.matchExpressions:
            errors.append(invalid(path, selector, f"empty selector is invalid for {named}"))
    elif not on_nodes:
        errors.append(required(path))
    labels = spec.template.metadata.labels
    try:
        fits = from_label_selector(selector).matches(labels)
    except BadRequest:
        if not on_nodes:
            return [*errors, invalid(path, selector, "invalid label selector")]
        fits = True
    if not fits:
        detail = "`selector` does not match template `labels`"
        errors.append(invalid("spec.template.metadata.labels", labels or None, detail))
    errors += validate_template("spec.template", spec.template)
    pod, path = spec.template.spec, "spec.template.spec"
    if pod.restartPolicy != "Always":
        errors.append(not_supported(f"{path}.restartPolicy", pod.restartPolicy, ("Always",)))
    if pod.activeDeadlineSeconds is not None:
        detail = f"activeDeadlineSeconds in {kind} is not Supported"
        errors.append(forbidden(f"{path}.activeDeadlineSeconds", detail))
    return errors


def count_or_percent(path: str, value: int | str | None) -> list[FieldError]:
    """Errors of a number of pods, or a share of them such as `25%`."""
    return each(path, value, percent(value)) if isinstance(value, str) else non_negative(path, value)


def number_of(value: int | str | None) -> int:
    """The number, be it of pods or of percent; 0 for what is neither."""
    if isinstance(value, str):
        return int(value[:-1][:9]) if not percent(value) else 0
    return value or 0


def at_most_all(path: str, value: int | str | None) -> list[FieldError]:
    """An error if the share is more than all."""
    over = isinstance(value, str) and number_of(value) > 100
    return [invalid(path, value, "must not be greater than 100%")] if over else []


def not_fewer(path: str, new: int | None, old: int | None) -> list[FieldError]:
    """An error if a count went down."""
    fewer = old is not None and (new is None or new < old)
    return [invalid(path, new or 0, "cannot be decremented")] if fewer else []


def validate_counts(status: Any, names: Iterable[str], parts: Iterable[str]) -> list[FieldError]:
    """Errors of the counts in a status; parts: those that cannot be more than all replicas."""
    errors = non_negative("status.replicas", status.replicas)
    for name in (*names, "observedGeneration", "collisionCount"):
        errors += non_negative(f"status.{name}", getattr(status, name, None))
    for name in parts:
        value = getattr(status, name)
        if value > status.replicas:
            errors.append(invalid(f"status.{name}", value, "cannot be greater than status.replicas"))
    if status.availableReplicas > status.readyReplicas:
        detail = "cannot be greater than readyReplicas"
        errors.append(invalid("status.availableReplicas", status.availableReplicas, detail))
    return errors
