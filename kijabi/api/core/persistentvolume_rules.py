"""What a piece of storage must be: one source, one size, and that what it is does not change.

`persistentvolume.py` gives these to its Resource. Texts are those of k8s.io/kubernetes `pkg/apis/core/validation`;
sources of vendors, which upstream hands over to CSI drivers, are checked for what they cannot do without.
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import structs

from kijabi.api import codec
from kijabi.api.core.affinity_rules import validate_node_selector
from kijabi.api.core.paths_rules import no_backsteps
from kijabi.api.core.persistentvolumeclaim_rules import ACCESS_MODES
from kijabi.api.core.reference import SecretReference
from kijabi.api.core.volume_rules import (
    validate_driver,
    validate_fibre_channel,
    validate_host_path,
    validate_iscsi,
    validate_needed,
    validate_nfs,
)
from kijabi.api.formats import dns_label, dns_subdomain
from kijabi.api.gotext import difference
from kijabi.api.meta import time_now
from kijabi.api.resource import FieldError
from kijabi.api.validation import each, forbidden, immutable, invalid, not_supported, one_of, required

if TYPE_CHECKING:
    from kijabi.api.core.persistentvolume import (
        CSIPersistentVolumeSource,
        PersistentVolume,
        PersistentVolumeSource,
        PersistentVolumeSpec,
        VolumeNodeAffinity,
    )

_OWN = (
    "capacity",
    "accessModes",
    "claimRef",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "mountOptions",
    "volumeMode",
    "nodeAffinity",
    "volumeAttributesClassName",
)
_RENAMED = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "beta.kubernetes.io/instance-type": "node.kubernetes.io/instance-type",
    "beta.kubernetes.io/os": "kubernetes.io/os",
    "beta.kubernetes.io/arch": "kubernetes.io/arch",
}
MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
"""The annotation that was before there was a field; kinds that are mounted by the node's own means have it."""
_MOUNTED = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "gcePersistentDisk",
    "glusterfs",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "quobyte",
    "rbd",
    "vsphereVolume",
)
_SECRETS = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
)


def prepare(new: PersistentVolume, old: PersistentVolume | None) -> None:
    """A new volume is not yet available."""
    if old is None:
        new.status.phase = "Pending"
        new.status.lastPhaseTransitionTime = time_now()


def prepare_status(new: PersistentVolume, old: PersistentVolume) -> None:
    """A write of the status changes nothing else, and notes when the phase changed (KEP-3762)."""
    new.spec = old.spec
    new.metadata.deletionTimestamp = old.metadata.deletionTimestamp
    since = new.status.lastPhaseTransitionTime
    if new.status.phase == old.status.phase:
        new.status.lastPhaseTransitionTime = since or old.status.lastPhaseTransitionTime
    elif since is None or since == old.status.lastPhaseTransitionTime:
        new.status.lastPhaseTransitionTime = time_now()


def validate(obj: PersistentVolume) -> Sequence[FieldError]:
    """Everything that is wrong with a volume."""
    spec = obj.spec
    errors = [] if spec.accessModes else [required("spec.accessModes")]
    for mode in spec.accessModes:
        errors += one_of("spec.accessModes", mode, ACCESS_MODES)
    others = any(mode in ACCESS_MODES and mode != "ReadWriteOncePod" for mode in spec.accessModes)
    if "ReadWriteOncePod" in spec.accessModes and others:
        errors.append(forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes"))
    errors += _validate_capacity(spec)
    if spec.persistentVolumeReclaimPolicy:
        known = ("Delete", "Recycle", "Retain")
        errors += one_of("spec.persistentVolumeReclaimPolicy", spec.persistentVolumeReclaimPolicy, known)
    if spec.nodeAffinity is not None:
        path, wanted = "spec.nodeAffinity.required", spec.nodeAffinity.required
        if wanted is None:
            errors.append(required(path, "must specify required node constraints"))
        else:
            errors += validate_node_selector(path, wanted)
    errors += _validate_source(spec)
    if spec.storageClassName:
        errors += each("spec.storageClassName", spec.storageClassName, dns_subdomain(spec.storageClassName))
    if spec.volumeMode is not None:
        errors += one_of("spec.volumeMode", spec.volumeMode, ("Block", "Filesystem"))
    errors += _validate_attributes(spec)
    if MOUNT_OPTIONS in obj.metadata.annotations and not any(getattr(spec, name) is not None for name in _MOUNTED):
        path = f"metadata.annotations.{MOUNT_OPTIONS}"
        errors.append(forbidden(path, "may not specify mount options for this volume type"))
    return errors


def _validate_capacity(spec: PersistentVolumeSpec) -> list[FieldError]:
    path = "spec.capacity"
    errors = [] if spec.capacity else [required(path)]
    if "storage" not in spec.capacity or len(spec.capacity) > 1:
        errors.append(not_supported(path, spec.capacity or None, ("storage",)))
    for name, amount in spec.capacity.items():
        if amount.exact() < 0:
            errors.append(invalid(f"{path}[{name}]", amount.value(), "must be a valid resource quantity"))
        if amount.exact() <= 0:
            errors.append(invalid(f"{path}[{name}]", str(amount), "must be greater than zero"))
    return errors


def _validate_source(spec: PersistentVolumeSpec) -> list[FieldError]:
    kinds = ("hostPath", *(name for name in spec.__struct_fields__ if name not in (*_OWN, "hostPath")))
    given = [name for name in kinds if getattr(spec, name) is not None]
    if not given:
        return [required("spec", "must specify a volume type")]
    name = given[0]
    path, source = f"spec.{name}", getattr(spec, name)
    match name:
        case "hostPath":
            errors = validate_host_path(path, source)
        case "local":
            errors = no_backsteps(f"{path}.path", source.path) if source.path else [required(f"{path}.path")]
            if spec.nodeAffinity is None:
                errors.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
        case "nfs":
            errors = validate_nfs(path, source)
        case "iscsi":
            errors = validate_needed(path, source) + validate_iscsi(path, source, in_pod=False)
        case "fc":
            errors = validate_fibre_channel(path, source)
        case "csi":
            errors = _validate_csi(path, source)
        case "gcePersistentDisk":
            errors = validate_needed("spec.persistentDisk", source)  # as upstream calls it in errors
        case _:
            errors = validate_needed(path, source)
    errors += [forbidden(f"spec.{other}", "may not specify more than 1 volume type") for other in given[1:]]
    root = spec.hostPath is not None and posixpath.normpath(spec.hostPath.path or ".") == "/"
    if root and spec.persistentVolumeReclaimPolicy == "Recycle":
        detail = "may not be 'recycle' for a hostPath mount of '/'"
        errors.append(forbidden("spec.persistentVolumeReclaimPolicy", detail))
    return errors


def _validate_csi(path: str, source: CSIPersistentVolumeSource) -> list[FieldError]:
    errors = validate_driver(f"{path}.driver", source.driver)
    if not source.volumeHandle:
        errors.append(required(f"{path}.volumeHandle"))
    for name in _SECRETS:
        secret: SecretReference | None = getattr(source, name)
        if secret is not None:
            errors += _validate_secret(f"{path}.{name}", secret)
    return errors


def _validate_secret(path: str, secret: SecretReference) -> list[FieldError]:
    errors: list[FieldError] = []
    for name, check in (("name", dns_subdomain), ("namespace", dns_label)):
        text = getattr(secret, name)
        errors += each(f"{path}.{name}", text, check(text)) if text else [required(f"{path}.{name}")]
    return errors


def _validate_attributes(spec: PersistentVolumeSpec) -> list[FieldError]:
    path, name = "spec.volumeAttributesClassName", spec.volumeAttributesClassName
    if name is None:
        return []
    errors = each(path, name, dns_subdomain(name)) if name else [required(path, "an empty string is disallowed")]
    if spec.csi is None:
        errors.append(required("spec.csi", "has to be specified when using volumeAttributesClassName"))
    return errors


def validate_update(new: PersistentVolume, old: PersistentVolume) -> Sequence[FieldError]:
    """The storage itself stays."""
    mine, before = _only_source(new.spec), _only_source(old.spec)
    if mine.csi is not None and before.csi is not None and before.csi.controllerExpandSecretRef is None:
        mine = structs.replace(mine, csi=structs.replace(mine.csi, controllerExpandSecretRef=None))
    errors: list[FieldError] = []
    if mine != before:
        detail = f"spec.persistentvolumesource is immutable after creation\n{difference(before, mine)}"
        errors.append(forbidden("spec.persistentvolumesource", detail))
    errors += immutable("volumeMode", new.spec.volumeMode, old.spec.volumeMode)
    where, was = new.spec.nodeAffinity, old.spec.nodeAffinity
    if was is not None and _renewed(was) != _renewed(where):
        detail = "field is immutable, except for updating from beta label to GA"
        errors.append(invalid("nodeAffinity", where, detail))
    if old.spec.volumeAttributesClassName is not None and new.spec.volumeAttributesClassName is None:
        detail = "update from non-nil value to nil is forbidden"
        errors.append(forbidden("spec.volumeAttributesClassName", detail))
    return errors


def _renewed(affinity: VolumeNodeAffinity | None) -> VolumeNodeAffinity | None:
    """With the present names of labels."""
    if affinity is None:
        return None
    copy = codec.clone(affinity)
    for term in copy.required.nodeSelectorTerms if copy.required is not None else ():
        for wanted in term.matchExpressions:
            wanted.key = _RENAMED.get(wanted.key, wanted.key)
    return copy


def _only_source(spec: PersistentVolumeSpec) -> PersistentVolumeSource:
    source: type[PersistentVolumeSource] = type(spec).__bases__[0]
    return source(**{name: getattr(spec, name) for name in source.__struct_fields__})
