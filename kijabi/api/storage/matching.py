"""Which volume a claim may have, and what says that they belong together; pure.

Used by those who bind: the volume binder (`controllers/persistentvolume/`) and the scheduler's VolumeBinding plug-in;
the names of the annotations also by provisioners. Both sides of a binding are written, the volume's `claimRef` first,
then the claim's `volumeName`, and annotations say who wrote which (KEP-490; k8s.io/component-helpers `storage/volume`).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.core.nodefit import matches
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import ObjectMeta
from kijabi.api.quantity import Quantity
from kijabi.api.selector import from_label_selector
from kijabi.api.storage.storageclass import StorageClass

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
"""On a claim: it has been bound once; should its volume go, it is Lost and not bound anew."""
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
"""On a volume or claim: this side of the binding is the binder's and may be taken back; else it is the user's."""
SELECTED_NODE = "volume.kubernetes.io/selected-node"
"""On a claim: the node for which the scheduler wants a volume to be made."""
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
"""On a volume: the provisioner that made it, and will delete it."""
MIGRATED_TO = "pv.kubernetes.io/migrated-to"
"""On both: the CSI driver that does what a plug-in of Kubernetes itself once did."""
STORAGE_PROVISIONER = "volume.kubernetes.io/storage-provisioner"
"""On a claim: the provisioner that shall make a volume for it."""
BETA_STORAGE_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
BETA_CLASS = "volume.beta.kubernetes.io/storage-class"
"""On both: the storage class, as it was said before there was a field; it comes first."""
NO_PROVISIONER = "kubernetes.io/no-provisioner"
"""The provisioner of a class whose volumes are made by hand."""
YES = "yes"

_NOTHING = Quantity("0")


def claim_key(claim: PersistentVolumeClaim) -> str:
    """The claim's namespace and name, as informers have it."""
    return f"{claim.metadata.namespace}/{claim.metadata.name}"


def claimant(volume: PersistentVolume) -> str:
    """The key of the claim that a volume is for; empty if it is for anybody."""
    ref = volume.spec.claimRef
    return f"{ref.namespace}/{ref.name}" if ref is not None else ""


def has_class(claim: PersistentVolumeClaim) -> bool:
    """Whether a storage class was named, be it none (the empty name)."""
    return claim.spec.storageClassName is not None or BETA_CLASS in claim.metadata.annotations


def class_of(claim: PersistentVolumeClaim) -> str:
    """The claim's storage class; empty if it wants none or names none."""
    return claim.metadata.annotations.get(BETA_CLASS, claim.spec.storageClassName or "")


def volume_class(volume: PersistentVolume) -> str:
    """The volume's storage class; empty if it has none."""
    return volume.metadata.annotations.get(BETA_CLASS, volume.spec.storageClassName)


def delays(found: StorageClass | None) -> bool:
    """Whether claims of the class wait for a pod: the scheduler, and not the binder, chooses their volumes."""
    return found is not None and found.volumeBindingMode == "WaitForFirstConsumer"


def reserved(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Whether the volume is for this claim: for its name, and for its uid where that is said."""
    ref, own = volume.spec.claimRef, claim.metadata
    return ref is not None and (ref.name, ref.namespace) == (own.name, own.namespace) and ref.uid in ("", own.uid)


def same_mode(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    """Both are file systems (the default), or both block devices."""
    return (claim.spec.volumeMode or "Filesystem") == (volume.spec.volumeMode or "Filesystem")


def has_modes(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """The volume can be used in every way that the claim asks for."""
    return set(claim.spec.accessModes) <= set(volume.spec.accessModes)


def same_attributes(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    """Both name one VolumeAttributesClass, or neither does."""
    return (claim.spec.volumeAttributesClassName or "") == (volume.spec.volumeAttributesClassName or "")


def requested(claim: PersistentVolumeClaim) -> Quantity:
    """How much storage the claim asks for."""
    return claim.spec.resources.requests.get("storage", _NOTHING)


def held(claim: PersistentVolumeClaim) -> Quantity:
    """How much storage the claim has."""
    return claim.status.capacity.get("storage", _NOTHING)


def capacity(volume: PersistentVolume) -> Quantity:
    """How much the volume holds."""
    return volume.spec.capacity.get("storage", _NOTHING)


def node_matches(volume: PersistentVolume, labels: Mapping[str, str]) -> bool:
    """Whether the volume can be reached from a node with these labels; the affinity sees nothing else of a node."""
    affinity = volume.spec.nodeAffinity
    if affinity is None or affinity.required is None:
        return True
    return matches(affinity.required, Node(metadata=ObjectMeta(labels=dict(labels))))


def possible(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    """What must hold of any volume for a claim, also of one that is reserved for it."""
    return (
        (volume.spec.claimRef is None or reserved(volume, claim))
        and capacity(volume).cmp(requested(claim)) >= 0
        and same_mode(claim, volume)
        and same_attributes(claim, volume)
        and volume.metadata.deletionTimestamp is None
    )


def suits(claim: PersistentVolumeClaim, volume: PersistentVolume) -> bool:
    """What must hold besides of a volume that nobody has reserved."""
    if volume.status.phase != "Available" or volume_class(volume) != class_of(claim):
        return False
    wanted = claim.spec.selector
    return wanted is None or from_label_selector(wanted).matches(volume.metadata.labels)


def find_matching(
    claim: PersistentVolumeClaim,
    volumes: Iterable[PersistentVolume],
    labels: Mapping[str, str] | None = None,
    excluded: Container[str] = (),
    *,
    delay: bool = False,
) -> PersistentVolume | None:
    """The volume that is reserved for the claim; else the smallest that is Available and suits; the first of equals.

    labels: of the node that is to use it (the scheduler's way); None for any node (the binder's, who looks at volumes
    with the access modes only). excluded: names of volumes that are promised already. delay: only a reserved one, for
    the scheduler is to choose; without meaning where labels are given.
    """
    best = None
    for volume in volumes:
        if volume.metadata.name in excluded or not possible(claim, volume):
            continue
        if volume.spec.claimRef is not None:
            return volume if labels is None or node_matches(volume, labels) else None
        if (labels is None and delay) or not suits(claim, volume):
            continue
        if best is not None and capacity(best).cmp(capacity(volume)) <= 0:
            continue
        if labels is None or (has_modes(volume, claim) and node_matches(volume, labels)):
            best = volume
    return best


def reference_to(claim: PersistentVolumeClaim) -> ObjectReference:
    """What a volume that is this claim's has as its claimRef."""
    own = claim.metadata
    return ObjectReference(
        kind="PersistentVolumeClaim",
        apiVersion="v1",
        namespace=own.namespace,
        name=own.name,
        uid=own.uid,
        resourceVersion=own.resourceVersion,
    )


def pre_bind(volume: PersistentVolume, claim: PersistentVolumeClaim) -> PersistentVolume:
    """The volume as it is bound to the claim: a clone with the whole reference, or itself if it has that already.

    A reservation that the user made stays the user's; any other is marked as the controller's.
    """
    own, ref = claim.metadata, volume.spec.claimRef
    mark = not reserved(volume, claim) and BOUND_BY_CONTROLLER not in volume.metadata.annotations
    whole = ref is not None and (ref.name, ref.namespace, ref.uid) == (own.name, own.namespace, own.uid)
    if whole and not mark:
        return volume
    bound = codec.clone(volume)
    if not whole:
        bound.spec.claimRef = reference_to(claim)
    if mark:
        bound.metadata.annotations = {**bound.metadata.annotations, BOUND_BY_CONTROLLER: YES}
    return bound
