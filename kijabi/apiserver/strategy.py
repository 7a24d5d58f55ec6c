"""Which parts of an object a write may change: the main resource not the status, the status not the spec.

`registry.py` calls these between admission and validation, with `new` privately owned and `old` shared. What a kind
does beyond the rule is in its own `prepare` (k8s.io/kubernetes `pkg/registry/*/*/strategy.go`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from kijabi.api.certificates import certificatesigningrequest
from kijabi.api.resource import FieldError, Resource
from kijabi.apiserver import podchanges
from kijabi.apiserver.attributes import UserInfo

# Kinds whose status writes change no metadata but resourceVersion (apimachinery ResetObjectMetaForStatus).
KEEPS_METADATA = frozenset((
    "podcertificaterequests.certificates.k8s.io", "servicecidrs.networking.k8s.io",
    "storageversionmigrations.storagemigration.k8s.io", "resourceclaims.resource.k8s.io",
    "devicetaintrules.resource.k8s.io", "volumeattachments.storage.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
))  # fmt: skip

CSR = "certificatesigningrequests.certificates.k8s.io"


def has_status(resource: Resource) -> bool:
    """Whether status is written through a subresource of its own."""
    return any(sub.name == "status" for sub in resource.subresources)


def prepare(resource: Resource, new: Any, old: Any | None) -> None:
    """For a create (old is None) or update of the main resource."""
    if has_status(resource) and hasattr(new, "status"):
        if old is not None:
            new.status = old.status
        elif resource.qualified != "nodes":  # a kubelet registers with its status
            new.status = type(new)().status
    if resource.prepare is not None:
        resource.prepare(new, old)


def prepare_new(resource: Resource, new: Any, user: UserInfo) -> None:
    """For a create by a user."""
    prepare(resource, new, None)
    if resource.qualified == CSR:
        certificatesigningrequest.set_requester(new, user.name, user.uid, user.groups, user.extra)


def prepare_for(resource: Resource, sub: str, new: Any, old: Any) -> None:
    """For an update of an object through one of its subresources, or ("") of the object itself."""
    match sub:
        case "status":
            (resource.prepare_status or partial(prepare_status, resource))(new, old)
        case "finalize":
            new.status = old.status
        case "approval":
            certificatesigningrequest.prepare_approval(new, old)
        case "ephemeralcontainers":
            podchanges.prepare_ephemeral(new, old)
        case "resize":
            podchanges.prepare_resize(new, old)
        case _:
            prepare(resource, new, old)


def check_for(resource: Resource, sub: str, new: Any, old: Any) -> list[FieldError]:
    """What is wrong with an update through a subresource, or ("") of the object itself, metadata aside."""
    match sub:
        case "status":
            return list(resource.validate_status(new, old))
        case _ if resource.update_alone:
            return list(resource.validate_update(new, old))
        case "ephemeralcontainers":
            return [*resource.validate(new), *podchanges.check_ephemeral(new, old)]
        case "resize":
            return [*resource.validate(new), *podchanges.check_resize(new, old)]
        case "finalize":
            return list(resource.validate(new))
        case _:
            return [*resource.validate(new), *resource.validate_update(new, old)]


def prepare_status(resource: Resource, new: Any, old: Any) -> None:
    """For a write of the status subresource: everything but status and most metadata stays."""
    for name in new.__struct_fields__:
        if name not in ("status", "metadata", "apiVersion", "kind"):
            setattr(new, name, getattr(old, name))
    own, before = new.metadata, old.metadata
    own.deletionTimestamp = before.deletionTimestamp
    if resource.qualified in KEEPS_METADATA:
        for name in podchanges.KEPT:
            setattr(own, name, getattr(before, name))
    elif resource.qualified == "deployments.apps":
        own.labels = before.labels
    elif resource.qualified == "daemonsets.apps" and resource.prepare is not None:
        resource.prepare(new, old)  # its annotation goes with the spec
    elif resource.qualified == "pods":
        own.ownerReferences = before.ownerReferences
        podchanges.keep_observed(new.status, old.status)
        if not new.status.qosClass:
            new.status.qosClass = old.status.qosClass
