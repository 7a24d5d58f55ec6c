"""A claim for which there is no volume: its class's provisioner is called by an annotation, or people are told why
nobody makes one; pure.

Provisioners are programs of their own (CSI drivers, the local-path one of the kubelet's side) that watch claims for
their name and create the volume, reserved for the claim. Of the plug-ins of Kubernetes itself none makes volumes
(k8s.io/kubernetes `pkg/controller/volume/persistentvolume`, provisionClaim).
"""

from __future__ import annotations

from typing import NamedTuple

from kijabi.api import codec
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.gotext import quote
from kijabi.api.storage.matching import BETA_STORAGE_PROVISIONER, STORAGE_PROVISIONER, class_of
from kijabi.api.storage.migration import DRIVERS, OWN, annotated
from kijabi.api.storage.storageclass import StorageClass

HOST_PATH, NFS = "kubernetes.io/host-path", "kubernetes.io/nfs"
"""The plug-ins that are left; neither makes volumes."""


class Provision(NamedTuple):
    """The claim as it shall be, and what to tell: type, reason and message of each event."""

    claim: PersistentVolumeClaim
    said: tuple[tuple[str, str, str], ...]


def provision(claim: PersistentVolumeClaim, found: StorageClass | None) -> Provision:
    """Ask for a volume; found: the claim's class, None if there is none of its name."""
    if found is None:
        return _failed(claim, f"storageclass.storage.k8s.io {quote(class_of(claim))} not found")
    name = found.provisioner
    if name == NFS:
        return _failed(claim, "no provisionable volume plugin matched")
    if name == HOST_PATH:
        if claim.spec.dataSource is not None:
            only = "Only CSI plugin can provision a claim with a datasource"
            return _failed(claim, f"plugin {quote(HOST_PATH)} is not a CSI plugin. {only}")
        return _failed(_called(claim, name), _host_path(found))
    if name.startswith(OWN) and name not in DRIVERS:
        return _failed(claim, f"no volume plugin matched name: {name}")
    name = DRIVERS.get(name, name)
    message = (
        f"Waiting for a volume to be created either by the external provisioner '{name}' or manually by the system "
        "administrator. If volume creation is delayed, please verify that the provisioner is running and correctly "
        "registered."
    )
    return Provision(_called(claim, name), (("Normal", "ExternalProvisioning", message),))


def _host_path(found: StorageClass) -> str:
    """Why the plug-in for host paths makes no volume."""
    if found.mountOptions:
        has = f"StorageClass {quote(found.metadata.name)} has mount options [{' '.join(found.mountOptions)}]"
        return f"Mount options are not supported by the provisioner but {has}"
    return f"Failed to create provisioner: provisioning in volume plugin {quote(HOST_PATH)} is disabled"


def _failed(claim: PersistentVolumeClaim, message: str) -> Provision:
    return Provision(claim, (("Warning", "ProvisioningFailed", message),))


def _called(claim: PersistentVolumeClaim, name: str) -> PersistentVolumeClaim:
    """The claim with the provisioner that shall serve it."""
    own = claim.metadata.annotations
    if own.get(STORAGE_PROVISIONER) == name:
        return claim
    called = codec.clone(claim)
    both = {**own, BETA_STORAGE_PROVISIONER: name, STORAGE_PROVISIONER: name}
    called.metadata.annotations = annotated(both, name)
    return called
