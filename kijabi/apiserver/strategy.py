"""Which parts of an object a write may change: the main resource not the status, the status not the spec.

`registry.py` calls these between admission and validation, with `new` privately owned and `old` shared. What a kind
does beyond the rule is in its own `prepare` (k8s.io/kubernetes `pkg/registry/*/*/strategy.go`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from kijabi.api.resource import Resource

# Kinds whose status writes change no metadata but resourceVersion (apimachinery ResetObjectMetaForStatus).
_STATUS_KEEPS_METADATA = frozenset((
    "podcertificaterequests.certificates.k8s.io", "servicecidrs.networking.k8s.io",
    "storageversionmigrations.storagemigration.k8s.io", "resourceclaims.resource.k8s.io",
    "devicetaintrules.resource.k8s.io", "volumeattachments.storage.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io", "customresourcedefinitions.apiextensions.k8s.io",
))  # fmt: skip
_RESET = ("labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp", "generation")


def has_status(resource: Resource) -> bool:
    """Whether status is written through a subresource of its own."""
    return any(sub.name == "status" for sub in resource.subresources)


def prepare(resource: Resource, new: Any, old: Any | None) -> None:
    """For a create (old is None) or update of the main resource."""
    if has_status(resource) and hasattr(new, "status"):
        new.status = old.status if old is not None else type(new)().status
    if resource.prepare is not None:
        resource.prepare(new, old)


def prepare_for(resource: Resource, sub: str, new: Any, old: Any) -> None:
    """For an update of an object through one of its subresources, or ("") of the object itself."""
    match sub:
        case "status":
            prepare_status(resource, new, old)
        case "finalize":
            new.status = old.status
        case "ephemeralcontainers":
            wanted = new.spec.ephemeralContainers
            _keep_all(new, old)
            new.spec = msgspec.structs.replace(old.spec, ephemeralContainers=wanted)
        case "resize":
            _prepare_resize(new, old)
        case _:
            prepare(resource, new, old)


def _keep_all(new: Any, old: Any) -> None:
    """Status and metadata stay."""
    new.status = old.status
    for name in _RESET:
        setattr(new.metadata, name, getattr(old.metadata, name))


def _prepare_resize(new: Any, old: Any) -> None:
    """Only the resources of containers change; other differences are left for validation to refuse."""
    spec, before = new.spec, old.spec
    lists = []
    for name in ("containers", "initContainers"):
        wanted, there = getattr(spec, name), getattr(before, name)
        if [each.name for each in wanted] != [each.name for each in there]:
            return
        lists.append(
            tuple(
                msgspec.structs.replace(old_one, resources=new_one.resources, resizePolicy=new_one.resizePolicy)
                for new_one, old_one in zip(wanted, there, strict=True)
            )
        )
    resources = spec.resources if spec.resources is not None else before.resources
    _keep_all(new, old)
    new.spec = msgspec.structs.replace(before, containers=lists[0], initContainers=lists[1], resources=resources)


def prepare_status(resource: Resource, new: Any, old: Any) -> None:
    """For a write of the status subresource: everything but status and most metadata stays."""
    for name in new.__struct_fields__:
        if name not in ("status", "metadata", "apiVersion", "kind"):
            setattr(new, name, getattr(old, name))
    own, before = new.metadata, old.metadata
    own.deletionTimestamp = before.deletionTimestamp
    if resource.qualified in _STATUS_KEEPS_METADATA:
        for name in _RESET:
            setattr(own, name, getattr(before, name))
    elif resource.qualified == "deployments.apps":
        own.labels = before.labels
    elif resource.qualified == "pods":
        own.ownerReferences = before.ownerReferences
        if not new.status.qosClass:
            new.status.qosClass = old.status.qosClass
