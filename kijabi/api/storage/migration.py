"""Storage that plug-ins of Kubernetes itself once served, and CSI drivers serve now: who is to act is said on the
objects; pure.

The volume binder puts the annotation on claims and volumes, so that the driver's provisioner takes them, and keeps the
finalizer that guards volumes of plug-ins that are left (KEP-625, KEP-2644; k8s.io/csi-translation-lib `plugins`).
"""

from __future__ import annotations

from kijabi.api import codec
from kijabi.api.core.persistentvolume import PersistentVolume, PersistentVolumeSource
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.storage.matching import (
    BETA_STORAGE_PROVISIONER,
    MIGRATED_TO,
    PROVISIONED_BY,
    STORAGE_PROVISIONER,
)

OWN = "kubernetes.io/"
"""How names of plug-ins of Kubernetes itself begin."""
IN_TREE = "kubernetes.io/pv-controller"
"""The finalizer of a volume that a plug-in of Kubernetes itself is to delete."""
EXTERNAL = "external-provisioner.volume.kubernetes.io/finalizer"
"""The finalizer of a volume that a provisioner is to delete."""

DRIVERS = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
}

_SOURCES = {
    "awsElasticBlockStore": "kubernetes.io/aws-ebs",
    "azureDisk": "kubernetes.io/azure-disk",
    "azureFile": "kubernetes.io/azure-file",
    "cinder": "kubernetes.io/cinder",
    "gcePersistentDisk": "kubernetes.io/gce-pd",
    "portworxVolume": "kubernetes.io/portworx-volume",
    "vsphereVolume": "kubernetes.io/vsphere-volume",
}


def plugin_of(source: PersistentVolumeSource) -> str:
    """The plug-in that once served such a volume; empty if there is none that a CSI driver stands for."""
    return next((name for member, name in _SOURCES.items() if getattr(source, member) is not None), "")


def annotated(annotations: dict[str, str], provisioner: str | None) -> dict[str, str]:
    """The annotations with the driver that serves the provisioner's volumes, or without any."""
    if provisioner is None:
        return annotations
    driver = DRIVERS.get(provisioner, "")
    if annotations.get(MIGRATED_TO, "") == driver:
        return annotations
    rest = {key: value for key, value in annotations.items() if key != MIGRATED_TO}
    return {**rest, MIGRATED_TO: driver} if driver else rest


def claim_migrated(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    """The claim with the driver that is to make its volume; itself if nothing changes."""
    own = claim.metadata.annotations
    after = annotated(own, own.get(STORAGE_PROVISIONER, own.get(BETA_STORAGE_PROVISIONER)))
    if after == own:
        return claim
    changed = codec.clone(claim)
    changed.metadata.annotations = after
    return changed


def volume_migrated(volume: PersistentVolume) -> PersistentVolume:
    """The volume with the driver that is to delete it, and the finalizers for that; itself if nothing changes."""
    own = volume.metadata
    annotations, finalizers = annotated(own.annotations, own.annotations.get(PROVISIONED_BY)), _finalizers(volume)
    if annotations == own.annotations and finalizers == own.finalizers:
        return volume
    changed = codec.clone(volume)
    changed.metadata.annotations, changed.metadata.finalizers = annotations, finalizers
    return changed


def _finalizers(volume: PersistentVolume) -> tuple[str, ...]:
    before, provisioner = volume.metadata.finalizers, volume.metadata.annotations.get(PROVISIONED_BY, "")
    if provisioner in DRIVERS:
        return tuple(name for name in before if name != IN_TREE)
    if not provisioner.startswith(OWN):
        return before
    rest = tuple(name for name in before if name != EXTERNAL)
    policy = volume.spec.persistentVolumeReclaimPolicy
    if policy == "Delete" and IN_TREE not in rest:
        return (*rest, IN_TREE)
    return tuple(name for name in rest if name != IN_TREE) if policy in ("Retain", "Recycle") else rest
