"""What may change in a pod through `ephemeralcontainers` and `resize`, which the pod's own rules would refuse.

Pure; `strategy.py` calls the `prepare_*` before and the `check_*` after admission. Rules and texts:
k8s.io/kubernetes `pkg/registry/core/pod/strategy.go` and `pkg/apis/core/validation` (KEP-277, KEP-1287).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kijabi.api import validation
from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.pod_rules import qos_class
from kijabi.api.core.podstatus import PodStatus
from kijabi.api.gotext import quote
from kijabi.api.resource import FieldError

RESIZABLE = ("cpu", "memory")
KEPT = ("labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp", "generation")
_MIRROR = "kubernetes.io/config.mirror"
_ONLY = "only cpu and memory resources are mutable"


def _keep(new: Pod, old: Pod) -> None:
    """Status and metadata stay."""
    new.status = old.status
    for name in KEPT:
        setattr(new.metadata, name, getattr(old.metadata, name))


def prepare_ephemeral(new: Pod, old: Pod) -> None:
    """Only the ephemeral containers change."""
    wanted = new.spec.ephemeralContainers
    _keep(new, old)
    new.spec = msgspec.structs.replace(old.spec, ephemeralContainers=wanted)


def check_ephemeral(new: Pod, old: Pod) -> list[FieldError]:
    """Ephemeral containers can be added, not changed or taken away."""
    if _MIRROR in old.metadata.annotations:
        return [validation.forbidden("", "static pods do not support ephemeral containers")]
    path, errors = "spec.ephemeralContainers", []
    found = {each.name: each for each in new.spec.ephemeralContainers}
    for each in old.spec.ephemeralContainers:
        if each.name not in found:
            text = f"existing ephemeral containers {quote(each.name)} may not be removed\n"
            errors.append(validation.forbidden(path, text))
        elif found[each.name] != each:
            text = f"existing ephemeral containers {quote(each.name)} may not be changed\n"
            errors.append(validation.forbidden(path, text))
    return errors


def prepare_resize(new: Pod, old: Pod) -> None:
    """Only resources change; renamed or moved containers are left for `check_resize` to refuse."""
    spec, before = new.spec, old.spec
    if _names(spec.containers) != _names(before.containers):
        return
    if _names(spec.initContainers) != _names(before.initContainers):
        return
    resources = spec.resources if spec.resources is not None else before.resources
    containers = _resized(spec.containers, before.containers)
    init = _resized(spec.initContainers, before.initContainers)
    _keep(new, old)
    new.spec = msgspec.structs.replace(before, containers=containers, initContainers=init, resources=resources)


def _names(containers: Iterable[Container]) -> list[str]:
    return [each.name for each in containers]


def _resized(new: tuple[Container, ...], old: tuple[Container, ...]) -> tuple[Container, ...]:
    return tuple(
        msgspec.structs.replace(before, resources=after.resources, resizePolicy=after.resizePolicy)
        for after, before in zip(new, old, strict=True)
    )


def check_resize(new: Pod, old: Pod) -> list[FieldError]:
    """CPU and memory may change as long as the pod's class of service stays."""
    if _MIRROR in old.metadata.annotations:
        return [validation.forbidden("", "static pods cannot be resized")]
    errors: list[FieldError] = []
    if (old.status.qosClass or qos_class(old.spec)) != qos_class(new.spec):
        text = "Pod QOS Class may not change as a result of resizing"
        errors.append(validation.invalid("spec", new.status.qosClass, text))
    for kind in ("containers", "initContainers"):
        after, before = getattr(new.spec, kind), getattr(old.spec, kind)
        if len(after) != len(before):
            errors.append(validation.forbidden(f"spec.{kind}", f"{kind} may not be added or removed on resize"))
            continue
        for place, (this, that) in enumerate(zip(after, before, strict=True)):
            path = f"spec.{kind}[{place}]"
            if this.name != that.name:
                text = f"{kind} may not be renamed or reordered on resize"
                errors.append(validation.forbidden(f"{path}.name", text))
            else:
                errors.extend(_check_container(f"{path}.resources", this, that))
    return errors


def _check_container(path: str, new: Container, old: Container) -> list[FieldError]:
    errors: list[FieldError] = []
    for kind in ("requests", "limits"):
        after, before = getattr(new.resources, kind), getattr(old.resources, kind)
        if any(name in before and name not in after for name in RESIZABLE):
            errors.append(validation.forbidden(f"{path}.{kind}", f"resource {kind} cannot be removed"))
        others = {name for name in {*after, *before} if name not in RESIZABLE}
        if any(after.get(name) != before.get(name) for name in others):
            errors.append(validation.forbidden("spec", _ONLY))
    if new.resizePolicy != old.resizePolicy or new.resources.claims != old.resources.claims:
        errors.append(validation.forbidden("spec", _ONLY))
    return errors


def keep_observed(new: PodStatus, old: PodStatus) -> None:
    """A writer that does not say which generation it has seen leaves what is known."""
    new.observedGeneration = new.observedGeneration or old.observedGeneration
    known = {condition.type: condition.observedGeneration for condition in old.conditions}
    for condition in new.conditions:
        condition.observedGeneration = condition.observedGeneration or known.get(condition.type, 0)
