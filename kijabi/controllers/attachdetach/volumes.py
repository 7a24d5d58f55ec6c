"""What a volume that must be attached is called: in node status, and as a VolumeAttachment; pure.

These names are a contract with kubelets and CSI drivers (k8s.io/kubernetes `pkg/volume/csi` and `pkg/volume/util`).
"""

from __future__ import annotations

import hashlib

from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import CSIPersistentVolumeSource, PersistentVolume
from kijabi.api.storage.csidriver import CSIDriver

MANAGED = "volumes.kubernetes.io/controller-managed-attach-detach"
"""On a node: its kubelet leaves attaching to this controller."""
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
"""The taint by which an administrator says that a node is down for sure."""
PREFIX = "kubernetes.io/csi/"


def unique_name(volume: PersistentVolume) -> str:
    """The name in node status; empty for a volume that no driver serves."""
    csi = volume.spec.csi
    return f"{PREFIX}{csi.driver}^{csi.volumeHandle}" if csi is not None else ""


def by_unique_name(volume: PersistentVolume) -> tuple[str, ...]:
    """The index function."""
    name = unique_name(volume)
    return (name,) if name else ()


def attachment_name(csi: CSIPersistentVolumeSource, node: str) -> str:
    """The VolumeAttachment's name."""
    return "csi-" + hashlib.sha256(f"{csi.volumeHandle}{csi.driver}{node}".encode()).hexdigest()


def must_attach(driver: CSIDriver | None) -> bool:
    """Whether the driver's volumes are attached at all; they are unless it says that they need not be."""
    return driver is None or driver.spec.attachRequired is not False


def shareable(volume: PersistentVolume) -> bool:
    """Whether the volume may be attached to several nodes at once."""
    modes = volume.spec.accessModes
    return not modes or "ReadWriteMany" in modes or "ReadOnlyMany" in modes


def managed(node: Node | None) -> bool:
    """Whether volumes are attached to the node from here."""
    return node is not None and node.metadata.annotations.get(MANAGED) == "true"
