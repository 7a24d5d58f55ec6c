"""What the local-path provisioner owes to a claim or a volume; pure.

`agent.py` looks, asks here and acts. Reasons and texts of events are those of the library that other provisioners are
made with (kubernetes-sigs/sig-storage-lib-external-provisioner).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, TopologySelectorTerm
from kijabi.api.core.persistentvolume import (
    LocalVolumeSource,
    PersistentVolume,
    PersistentVolumeSpec,
    VolumeNodeAffinity,
)
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.meta import ObjectMeta
from kijabi.api.storage.matching import (
    BETA_STORAGE_PROVISIONER,
    PROVISIONED_BY,
    SELECTED_NODE,
    STORAGE_PROVISIONER,
    class_of,
    delays,
    reference_to,
    requested,
)
from kijabi.api.storage.storageclass import StorageClass

PROVISIONER = "kijabi.dev/local-path"
# On volumes: the node whose disk has the data. The agent of that node watches by this label.
NODE_LABEL = "kijabi.dev/local-path-node"
# Keeps a volume until its node has deleted the data, or let go of it.
FINALIZER = "kijabi.dev/local-path"
HOSTNAME = "kubernetes.io/hostname"
MODES = ("ReadWriteOnce", "ReadWriteOncePod")

Fate = Literal["keep", "delete", "let go"]


def volume_name(claim: PersistentVolumeClaim) -> str:
    """The volume of a claim, and its directory: one name for each claim, so that a repetition finds what is there."""
    return f"pvc-{claim.metadata.uid}"


def wants(claim: PersistentVolumeClaim) -> bool:
    """Whether a claim still waits for a volume of ours."""
    notes = claim.metadata.annotations
    asked = notes.get(STORAGE_PROVISIONER) or notes.get(BETA_STORAGE_PROVISIONER)
    return asked == PROVISIONER and not claim.spec.volumeName and claim.metadata.deletionTimestamp is None


def is_for(claim: PersistentVolumeClaim, found: StorageClass, node: str) -> bool:
    """Whether this node is to serve the claim: the one chosen, or any if the class does not wait for a choice."""
    chosen = claim.metadata.annotations.get(SELECTED_NODE)
    return chosen == node if chosen else not delays(found)


def refusal(claim: PersistentVolumeClaim, found: StorageClass, labels: Mapping[str, str]) -> str:
    """Why such a claim can have no volume on a node with these labels, "" if it can."""
    spec = claim.spec
    if found.provisioner != PROVISIONER:
        return f'the provisioner of the class is "{found.provisioner}" now'
    if spec.volumeMode == "Block":
        return "volumes are directories: volumeMode Block is not supported"
    if other := sorted(set(spec.accessModes) - set(MODES)):
        return f"only {' and '.join(MODES)} access modes are supported: a volume is on one node, not {', '.join(other)}"
    if spec.selector is not None:
        return "claim.Spec.Selector is not supported"
    if spec.dataSource is not None or spec.dataSourceRef is not None:
        return "volumes begin empty: claim.Spec.DataSource is not supported"
    if spec.volumeAttributesClassName:
        return "volumes have no attributes: claim.Spec.VolumeAttributesClassName is not supported"
    if found.parameters:
        return f"unknown parameters of the class: {', '.join(sorted(found.parameters))}"
    if HOSTNAME not in labels:
        return f"the node has no label {HOSTNAME}"
    if not _allows(found.allowedTopologies, labels):
        return "the node is not among the class's allowed topologies"
    return ""


def _allows(terms: tuple[TopologySelectorTerm, ...], labels: Mapping[str, str]) -> bool:
    return not terms or any(
        term.matchLabelExpressions and all(labels.get(one.key) in one.values for one in term.matchLabelExpressions)
        for term in terms
    )


def shortage(claim: PersistentVolumeClaim, free: int) -> str:
    """Why a disk with so many bytes free is too small for the claim, "" if it is not.

    A directory holds what its disk holds: the size is a promise that is checked once, when it is given.
    """
    wanted = requested(claim)
    if wanted.value() <= free:
        return ""
    return f"the claim asks for {wanted}, and the disk of the node has {free // 2**20}Mi free"


def volume_for(
    claim: PersistentVolumeClaim, found: StorageClass, node: str, labels: Mapping[str, str], path: str
) -> PersistentVolume:
    """The volume of a claim, reserved for it."""
    here = NodeSelectorRequirement(key=HOSTNAME, operator="In", values=(labels[HOSTNAME],))
    meta = ObjectMeta(
        name=volume_name(claim),
        labels={NODE_LABEL: node},
        annotations={PROVISIONED_BY: PROVISIONER},
        finalizers=(FINALIZER,),
    )
    spec = PersistentVolumeSpec(
        local=LocalVolumeSource(path=path),
        capacity={"storage": requested(claim)},
        accessModes=claim.spec.accessModes,
        claimRef=reference_to(claim),
        persistentVolumeReclaimPolicy=found.reclaimPolicy or "Delete",
        storageClassName=class_of(claim),
        mountOptions=found.mountOptions,
        volumeMode="Filesystem",
        nodeAffinity=VolumeNodeAffinity(
            required=NodeSelector(nodeSelectorTerms=(NodeSelectorTerm(matchExpressions=(here,)),))
        ),
    )
    return PersistentVolume(metadata=meta, spec=spec)


def is_ours(volume: PersistentVolume, node: str) -> bool:
    """Whether this node's agent made the volume."""
    meta = volume.metadata
    return meta.annotations.get(PROVISIONED_BY) == PROVISIONER and meta.labels.get(NODE_LABEL) == node


def fate(volume: PersistentVolume, claim: PersistentVolumeClaim | None) -> Fate:
    """What becomes of a volume's data. claim: the one that the volume names, as it is now.

    Data is deleted where the policy says so and no claim has the volume any more: it was released by its claim, or it
    is itself being deleted. With any other policy a volume that goes leaves its directory to the administrator. One
    that goes before the binder gave it to its claim is not given any more: the claim gets another.
    """
    ref, going = volume.spec.claimRef, volume.metadata.deletionTimestamp is not None
    same = ref is not None and claim is not None and claim.metadata.uid == ref.uid
    if same and claim is not None and claim.spec.volumeName in ("", volume.metadata.name):
        given = claim.spec.volumeName or volume.status.phase != "Pending"
        if given or not going:
            return "keep"
    released = going or volume.status.phase in ("Released", "Failed")
    if released and volume.spec.persistentVolumeReclaimPolicy == "Delete":
        return "delete"
    return "let go" if going and volume.status.phase != "Bound" else "keep"
