"""What must come true of claims and volumes: they belong together, and a node's disk has what the volumes say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kijabi.api.core.event import Event
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.storage.matching import PROVISIONED_BY, claim_key, claimant, class_of, delays, held, requested
from kijabi.api.storage.storageclass import StorageClass
from kijabi.kubelet.localpath.disk import NullDisk
from kijabi.kubelet.localpath.plan import NODE_LABEL, PROVISIONER
from kijabi.testing.history import Ledger
from kijabi.testing.safety.facts import claims_of, lives

GROWING = ("Resizing", "FileSystemResizePending", "ControllerResizeError", "NodeResizeError")
"""What a claim says while it grows, or cannot."""


def claim(one: PersistentVolumeClaim, ledger: Ledger) -> Iterator[str]:
    """It is bound to a volume that is its own; only where the class waits for a pod and none is there, it waits."""
    meta, phase = one.metadata, one.status.phase
    users = [pod for pod in ledger.of(Pod) if lives(pod) and claim_key(one) in claims_of(pod)]
    if phase == "Pending" and not users and delays(ledger.get(StorageClass, class_of(one))):
        return
    if phase != "Bound":
        yield f"is {phase}, its pods are {[pod.metadata.name for pod in users]}"
        return
    volume = ledger.get(PersistentVolume, one.spec.volumeName)
    ref = volume.spec.claimRef if volume is not None else None
    if ref is None or ref.uid != meta.uid:
        yield f"is bound to {one.spec.volumeName}, which is {ref.name if ref is not None else 'nobody'}'s"
    if volume is not None:
        yield from _growth(one, volume, ledger)


def _growth(one: PersistentVolumeClaim, volume: PersistentVolume, ledger: Ledger) -> Iterator[str]:
    """Where somebody makes volumes grow it has what it asks for, and nothing is under way; else that was told."""
    if requested(one).cmp(held(one)) > 0:
        if volume.metadata.annotations.get(PROVISIONED_BY) == PROVISIONER:
            yield f"asks for {requested(one)}, and has {held(one)}"
        elif not any(_told_of_growth(event, one) for event in ledger.of(Event)):
            yield f"asks for {requested(one)}, has {held(one)}, and nobody was told why"
        return
    under_way = [each.type for each in one.status.conditions if each.type in GROWING]
    if under_way or one.status.allocatedResourceStatuses:
        yield f"has all that it asks for, and says {under_way} {one.status.allocatedResourceStatuses}"


def _told_of_growth(event: Event, claim: PersistentVolumeClaim) -> bool:
    return event.reason == "ExternalExpanding" and event.involvedObject.uid == claim.metadata.uid


def volume(one: PersistentVolume, ledger: Ledger) -> Iterator[str]:
    """Its phase says whose it is; what its class deletes does not outlive its claim."""
    ref, phase = one.spec.claimRef, one.status.phase
    if ref is None or not ref.uid:
        if phase != "Available":
            yield f"is anybody's, and says {phase}"
        return
    there = ledger.get(PersistentVolumeClaim, ref.name, ref.namespace)
    mine = there is not None and there.metadata.uid == ref.uid
    if mine and there is not None and there.spec.volumeName != one.metadata.name:
        yield f"is {claimant(one)}'s, which has {there.spec.volumeName or 'none'}"
    policy = one.spec.persistentVolumeReclaimPolicy
    if not mine and policy == "Recycle":
        yield f"was not emptied since {claimant(one)} had it"
    made = PROVISIONED_BY in one.metadata.annotations
    if not mine and made and policy == "Delete":
        yield f"has outlived its claim {claimant(one)}"
    fitting = ("Bound",) if mine else ("Released", "Failed")
    if phase not in fitting:
        yield f"says {phase}, its claim {claimant(one)} is {'there' if mine else 'not there'}"


def disks(ledger: Ledger, found: Mapping[str, NullDisk]) -> Iterator[str]:
    """Each volume of a node has its directory, and each directory its volume; but what a Retain volume that was deleted
    leaves is the administrator's."""
    made = [one for one in ledger.of(PersistentVolume) if NODE_LABEL in one.metadata.labels]
    for node, disk in found.items():
        wanted = {one.metadata.name for one in made if one.metadata.labels[NODE_LABEL] == node}
        left = {name for name in disk.volumes if _left(name, ledger)}
        if wanted - disk.volumes:
            yield f"{node} has no directory of {sorted(wanted - disk.volumes)}"
        if disk.volumes - wanted - left:
            yield f"{node} still has {sorted(disk.volumes - wanted - left)}"


def _left(name: str, ledger: Ledger) -> bool:
    """Whether it belongs to a volume that was to be kept, and has gone."""
    before = ledger.recent.get(f"persistentvolumes {name}")
    if not before or before[-1].new is not None:
        return False
    return bool(before[-1].old.spec.persistentVolumeReclaimPolicy != "Delete")
