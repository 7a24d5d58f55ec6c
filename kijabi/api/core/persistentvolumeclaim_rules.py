"""What a claim of storage must be: where its data comes from, what it asks for, and what an update may change.

`persistentvolumeclaim.py` gives these to its Resource; `volume_rules.py` and the stateful set check their templates of
claims with `validate_claim_spec`. Texts are those of k8s.io/kubernetes `pkg/apis/core/validation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from kijabi.api.core.reference import TypedLocalObjectReference, TypedObjectReference
from kijabi.api.core.resources_rules import fraction_warnings, validate_amount
from kijabi.api.formats import dns_label, dns_subdomain
from kijabi.api.gotext import difference
from kijabi.api.quantity import Quantity
from kijabi.api.resource import FieldError
from kijabi.api.validation import (
    NEGATIVE,
    each,
    forbidden,
    immutable,
    invalid,
    one_of,
    required,
    validate_label_selector,
)

if TYPE_CHECKING:
    from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim, PersistentVolumeClaimSpec

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
_KEPT = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"


def prepare(new: PersistentVolumeClaim, old: PersistentVolumeClaim | None) -> None:
    """A new claim is not yet bound; what it is filled from stands in two fields, for clients of two ages."""
    if old is None:
        new.status.phase = "Pending"
    spec, before = new.spec, old.spec if old is not None else None
    ref, source = spec.dataSourceRef, spec.dataSource
    if ref is not None and ref.namespace and (before is None or before.dataSourceRef is None):
        ref = spec.dataSourceRef = None  # from other namespaces: not yet a stable feature
    in_use = before is not None and (before.dataSource is not None or before.dataSourceRef is not None)
    if not in_use and ref is None and source is not None and not _classic(source):
        source = spec.dataSource = None
    if source is not None and ref is None:
        spec.dataSourceRef = TypedObjectReference(source.apiGroup, source.kind, source.name)
    elif ref is not None and source is None and not ref.namespace:
        spec.dataSource = TypedLocalObjectReference(ref.apiGroup, ref.kind, ref.name)


def _classic(source: TypedLocalObjectReference) -> bool:
    known = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))
    return (source.apiGroup or "", source.kind) in known


def validate_claim_spec(path: str, spec: PersistentVolumeClaimSpec) -> list[FieldError]:
    """Errors of what is asked of a volume, in a claim or in a template of one."""
    errors: list[FieldError] = []
    if not spec.accessModes:
        errors.append(required(f"{path}.accessModes", "at least 1 access mode is required"))
    errors += validate_label_selector(spec.selector, f"{path}.selector")
    for mode in spec.accessModes:
        errors += one_of(f"{path}.accessModes", mode, ACCESS_MODES)
    if "ReadWriteOncePod" in spec.accessModes and any(
        mode in ACCESS_MODES and mode != "ReadWriteOncePod" for mode in spec.accessModes
    ):
        errors.append(forbidden(f"{path}.accessModes", "may not use ReadWriteOncePod with other access modes"))
    amount, here = spec.resources.requests.get("storage"), f"{path}.resources[storage]"
    if amount is None:
        errors.append(required(here))
    elif amount.exact() <= 0:
        errors.append(invalid(here, str(amount), "must be greater than zero"))
    else:
        errors += validate_amount(here, "storage", amount)
    errors += _validate_class(f"{path}.storageClassName", spec.storageClassName)
    if spec.volumeMode is not None:
        errors += one_of(f"{path}.volumeMode", spec.volumeMode, ("Block", "Filesystem"))
    errors += _validate_sources(path, spec)
    return errors + _validate_class(f"{path}.volumeAttributesClassName", spec.volumeAttributesClassName)


def _validate_class(path: str, name: str | None) -> list[FieldError]:
    return each(path, name, dns_subdomain(name)) if name else []


def _validate_sources(path: str, spec: PersistentVolumeClaimSpec) -> list[FieldError]:
    source, ref = spec.dataSource, spec.dataSourceRef
    errors = _validate_source(f"{path}.dataSource", source) if source is not None else []
    if ref is None:
        return errors
    errors += _validate_source(f"{path}.dataSourceRef", ref)
    if ref.namespace:
        errors += each(f"{path}.dataSourceRef.namespace", ref.namespace, dns_label(ref.namespace))
    if source is not None:
        same = (source.apiGroup, source.kind, source.name) == (ref.apiGroup, ref.kind, ref.name)
        if ref.namespace:
            errors.append(invalid(path, {}, "may not be specified when dataSourceRef.namespace is specified"))
        elif not same:
            errors.append(invalid(path, {}, "must match dataSourceRef"))
    return errors


def _validate_source(path: str, source: TypedLocalObjectReference | TypedObjectReference) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("name", "kind") if not getattr(source, name)]
    if source.apiGroup:
        return errors + each(f"{path}.apiGroup", source.apiGroup, dns_subdomain(source.apiGroup))
    if source.kind != "PersistentVolumeClaim":
        detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        errors.append(invalid(path, source.kind, detail))
    return errors


def validate(obj: PersistentVolumeClaim) -> Sequence[FieldError]:
    """Everything that is wrong with a claim."""
    return validate_claim_spec("spec", obj.spec)


def validate_update(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> Sequence[FieldError]:
    """A claim is given for good but for its volume, once, and its size and class while it is bound."""
    errors: list[FieldError] = []
    classed = _classed(new, old)
    before, after = old.metadata.annotations.get(OLD_CLASS), new.metadata.annotations.get(OLD_CLASS)
    if before != after and not (classed and before is not None and after is None):
        detail = "annotation is immutable"
        errors.append(invalid(f"metadata.annotations[{OLD_CLASS}]", after or "", detail))
    kept, known = _comparable(new, old)
    if classed:
        kept = structs.replace(kept, storageClassName=old.spec.storageClassName)
    if kept != known:
        errors.append(forbidden("spec", f"{_KEPT}\n{difference(known, kept)}"))
    size, was = (obj.spec.resources.requests.get("storage", Quantity()) for obj in (new, old))
    if size.cmp(was) < 0 and size.cmp(old.status.capacity.get("storage", Quantity())) <= 0:
        errors.append(forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
    errors += immutable("volumeMode", new.spec.volumeMode, old.spec.volumeMode)
    path, wanted = "spec.volumeAttributesClassName", new.spec.volumeAttributesClassName
    used = old.status.currentVolumeAttributesClassName is not None
    if wanted != old.spec.volumeAttributesClassName and not wanted and used:
        what = "nil" if wanted is None else "empty string"
        detail = f"update to {what} is forbidden when status.currentVolumeAttributesClassName is not nil"
        errors.append(forbidden(path, detail))
    return errors


def _classed(new: PersistentVolumeClaim, old: PersistentVolumeClaim) -> bool:
    """A claim that had no class in its field has one now: any (KEP-3333), or the one that an annotation named."""
    after = new.spec.storageClassName
    fits = old.metadata.annotations.get(OLD_CLASS, after) == after
    return old.spec.storageClassName is None and after is not None and fits


def _comparable(
    new: PersistentVolumeClaim, old: PersistentVolumeClaim
) -> tuple[PersistentVolumeClaimSpec, PersistentVolumeClaimSpec]:
    """Both specs, but for what may change."""
    kept = new.spec
    if new.status.phase == "Bound":
        kept = structs.replace(kept, volumeAttributesClassName=old.spec.volumeAttributesClassName)
        if kept.resources.requests:
            size = old.spec.resources.requests.get("storage", Quantity())
            requests = {**kept.resources.requests, "storage": size}
            kept = structs.replace(kept, resources=structs.replace(kept.resources, requests=requests))
    return kept, structs.replace(old.spec, volumeName=old.spec.volumeName or new.spec.volumeName)


def validate_status(new: PersistentVolumeClaim, _: PersistentVolumeClaim) -> Sequence[FieldError]:
    """What a write of the status says that cannot be."""
    found = new.status.capacity.items()
    return [invalid(f"status.capacity[{name}]", str(size), NEGATIVE) for name, size in found if size.exact() < 0]


def claim_warnings(path: str, spec: PersistentVolumeClaimSpec) -> Iterator[str]:
    """Warnings of what a claim, or a template of one, asks for."""
    for name, amounts in (("requests", spec.resources.requests), ("limits", spec.resources.limits)):
        yield from fraction_warnings(f"{path}.resources.{name}", amounts, ("storage",))


def warnings(obj: PersistentVolumeClaim) -> Sequence[str]:
    """What a client should be told of a claim that is accepted."""
    text = 'deprecated since v1.8; use "storageClassName" attribute instead'
    found = [f"metadata.annotations[{OLD_CLASS}]: {text}"] if OLD_CLASS in obj.metadata.annotations else []
    return [*found, *claim_warnings("spec", obj.spec)]
