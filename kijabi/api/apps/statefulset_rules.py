"""What a stateful set must be: a template that fits its selector and its claims, and what an update may change.

`statefulset.py` gives these to its Resource. Texts are those of k8s.io/kubernetes `pkg/apis/apps/validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from kijabi.api.apps.workload_rules import at_most_all, count_or_percent, not_fewer, number_of
from kijabi.api.core.persistentvolumeclaim_rules import claim_warnings, validate_claim_spec
from kijabi.api.core.pod_warnings import template_warnings
from kijabi.api.core.podspec_rules import validate_template
from kijabi.api.core.volume import PersistentVolumeClaimVolumeSource, Volume
from kijabi.api.formats import dns_label
from kijabi.api.resource import FieldError
from kijabi.api.selector import from_label_selector
from kijabi.api.validation import (
    each,
    forbidden,
    immutable,
    invalid,
    non_negative,
    not_supported,
    one_of,
    required,
    validate_label_selector,
)
from kijabi.base.errors import BadRequest

if TYPE_CHECKING:
    from kijabi.api.apps.statefulset import StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy
    from kijabi.api.core.podtemplate import PodTemplateSpec


def validate(obj: StatefulSet) -> Sequence[FieldError]:
    """Everything that is wrong with a stateful set."""
    spec, new = obj.spec, not obj.metadata.resourceVersion
    errors: list[FieldError] = []
    if spec.podManagementPolicy not in ("OrderedReady", "Parallel"):
        detail = "must be 'OrderedReady' or 'Parallel'"
        errors.append(invalid("spec.podManagementPolicy", spec.podManagementPolicy, detail))
    errors += _validate_strategy(spec.updateStrategy)
    keep = spec.persistentVolumeClaimRetentionPolicy
    if keep is not None:
        for name in ("whenDeleted", "whenScaled"):
            path = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
            errors += one_of(path, getattr(keep, name), ("Retain", "Delete"))
    for index, claim in enumerate(spec.volumeClaimTemplates if new else ()):
        errors += validate_claim_spec(f"spec.volumeClaimTemplates[{index}].spec", claim.spec)
    errors += non_negative("spec.replicas", spec.replicas)
    errors += non_negative("spec.minReadySeconds", spec.minReadySeconds)
    errors += non_negative("spec.ordinals.start", spec.ordinals.start if spec.ordinals is not None else None)
    if new and spec.serviceName:
        errors += each("spec.serviceName", spec.serviceName, dns_label(spec.serviceName))
    errors += _validate_template(spec)
    pod, path = spec.template.spec, "spec.template.spec"
    if pod.restartPolicy != "Always":
        errors.append(not_supported(f"{path}.restartPolicy", pod.restartPolicy, ("Always",)))
    if pod.activeDeadlineSeconds is not None:
        detail = "activeDeadlineSeconds in StatefulSet is not Supported"
        errors.append(forbidden(f"{path}.activeDeadlineSeconds", detail))
    return errors


def _validate_strategy(strategy: StatefulSetUpdateStrategy) -> list[FieldError]:
    path, rolling = "spec.updateStrategy", strategy.rollingUpdate
    if strategy.type == "OnDelete" and rolling is not None:
        return [invalid(f"{path}.rollingUpdate", rolling, "only allowed for updateStrategy 'RollingUpdate'")]
    if strategy.type not in ("RollingUpdate", "OnDelete"):
        return [invalid(path, strategy, "must be 'RollingUpdate' or 'OnDelete'")]
    if rolling is None:
        return []
    errors = non_negative(f"{path}.rollingUpdate.partition", rolling.partition)
    if rolling.maxUnavailable is not None:
        here = f"{path}.rollingUpdate.maxUnavailable"
        errors += count_or_percent(here, rolling.maxUnavailable)
        if not number_of(rolling.maxUnavailable):
            errors.append(invalid(here, rolling.maxUnavailable, "cannot be 0"))
        errors += at_most_all(here, rolling.maxUnavailable)
    return errors


def _validate_template(spec: StatefulSetSpec) -> list[FieldError]:
    path, selector = "spec.selector", spec.selector
    errors = validate_label_selector(selector, path)
    if selector is not None and not selector.matchLabels and not selector.matchExpressions:
        errors.append(invalid(path, selector, "empty selector is invalid for statefulset"))
    labels = spec.template.metadata.labels
    try:
        wanted = from_label_selector(selector)
    except BadRequest:
        errors.append(invalid(path, selector, ""))
    else:
        if not wanted.matches(labels):
            detail = "`selector` does not match template `labels`"
            errors.append(invalid("spec.template.metadata.labels", labels or None, detail))
        errors += validate_template("spec.template", _as_made(spec))
    return [*errors, required(path)] if selector is None else errors


def _as_made(spec: StatefulSetSpec) -> PodTemplateSpec:
    """The template as the controller completes it: volumes of the claims, no name of host and domain."""
    claims = {claim.metadata.name: None for claim in spec.volumeClaimTemplates}
    made = (Volume(name=name, persistentVolumeClaim=PersistentVolumeClaimVolumeSource(name)) for name in claims)
    others = (volume for volume in spec.template.spec.volumes if volume.name not in claims)
    pod = structs.replace(spec.template.spec, hostname="", subdomain="", volumes=(*made, *others))
    return structs.replace(spec.template, spec=pod)


def validate_update(new: StatefulSet, old: StatefulSet) -> Sequence[FieldError]:
    """What gives the pods their identity stays."""
    errors: list[FieldError] = []
    for name in ("selector", "volumeClaimTemplates", "serviceName", "podManagementPolicy"):
        value, before = getattr(new.spec, name), getattr(old.spec, name)
        errors += immutable(f"spec.{name}", value if value != () else None, before if before != () else None)
    return errors


def validate_status(new: StatefulSet, old: StatefulSet) -> Sequence[FieldError]:
    """What a write of the status says that cannot be."""
    status, errors = new.status, []
    parts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
    for name in ("replicas", *parts, "observedGeneration", "collisionCount"):
        errors += non_negative(f"status.{name}", getattr(status, name))
    for name in parts:
        if getattr(status, name) > status.replicas:
            detail = "cannot be greater than status.replicas"
            errors.append(invalid(f"status.{name}", getattr(status, name), detail))
    if status.availableReplicas > status.readyReplicas:
        detail = "cannot be greater than status.readyReplicas"
        errors.append(invalid("status.availableReplicas", status.availableReplicas, detail))
    return errors + not_fewer("status.collisionCount", status.collisionCount, old.status.collisionCount)


def warnings(obj: StatefulSet) -> Sequence[str]:
    """What a client should be told of a stateful set that is accepted."""
    found = template_warnings("spec.template", obj.spec.template)
    for index, claim in enumerate(obj.spec.volumeClaimTemplates):
        found += claim_warnings(f"spec.volumeClaimTemplates[{index}]", claim.spec)
    if obj.spec.revisionHistoryLimit is not None and obj.spec.revisionHistoryLimit < 0:
        text = "a negative value retains all historical revisions; a value >= 0 is recommended"
        found.append(f"spec.revisionHistoryLimit: {text}")
    return found
