"""What becomes of a claim and of a volume: bound, waiting, lost, available, released; pure.

Receives from `controller.py` what is known and hands back how both objects shall be, what to tell people, and whether
the volume is nobody's any more. A binding has two sides: the volume's `claimRef` is written first, then the claim's
`volumeName`; whoever finds only one of them goes on from there, so that a crash between the writes is made good by
the next look. The rules, their order and the texts: k8s.io/kubernetes `pkg/controller/volume/persistentvolume`
(pv_controller.go); which annotation means what: `api/storage/matching.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from kijabi.api import codec
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.gotext import quote
from kijabi.api.quantity import Quantity
from kijabi.api.storage.matching import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONED_BY,
    SELECTED_NODE,
    YES,
    claim_key,
    claimant,
    class_of,
    delays,
    has_class,
    has_modes,
    pre_bind,
    requested,
    reserved,
    same_attributes,
    same_mode,
    volume_class,
)
from kijabi.api.storage.migration import claim_migrated, volume_migrated
from kijabi.api.storage.storageclass import StorageClass
from kijabi.controllers.persistentvolume.provisioning import provision

PRE_RESIZE = "volume.alpha.kubernetes.io/pre-resize-capacity"
"""On a volume that grew: what its file system holds until it is resized too."""

_LOST_REFERENCE = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
_LOST_VOLUME = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
_MISBOUND = "Two claims are bound to the same volume, this one is bound incorrectly"
_NOTHING_THERE = "no persistent volumes available for this claim and no storage class is set"
_FIRST_CONSUMER = "waiting for first consumer to be created before binding"


class Note(NamedTuple):
    """An event to record. about: the claim or the volume."""

    about: PersistentVolumeClaim | PersistentVolume
    type: str
    reason: str
    message: str


class Plan(NamedTuple):
    """How the objects shall be, None where one is left alone; the volume is written first, and each spec before status.

    released: the volume's claim has gone, its reclaim policy is next. look: the claim is to be looked at. error: the
    binding contradicts itself; try again later.
    """

    volume: PersistentVolume | None = None
    claim: PersistentVolumeClaim | None = None
    notes: tuple[Note, ...] = ()
    released: bool = False
    look: bool = False
    error: str = ""


class View(Protocol):
    """What a claim is decided by."""

    def volume(self, name: str) -> PersistentVolume | None:
        """The volume of this name."""
        ...

    def match(self, claim: PersistentVolumeClaim, *, delay: bool) -> PersistentVolume | None:
        """The volume that is reserved for the claim, or (but if binding is delayed) that suits it best."""
        ...

    def storage_class(self, name: str) -> StorageClass | None:
        """The storage class of this name."""
        ...

    def default_class(self) -> str | None:
        """The name of the default storage class."""
        ...

    def waiting_pods(self, claim: PersistentVolumeClaim) -> Sequence[str]:
        """The names of the claim's pods that have no node yet."""
        ...


def plan_claim(claim: PersistentVolumeClaim, view: View) -> Plan:
    """What a claim comes to."""
    claim = claim_migrated(claim)
    if BIND_COMPLETED in claim.metadata.annotations:
        return _bound_before(claim, view)
    if claim.spec.volumeName:
        return _asked_for(claim, view)
    delay = delays(view.storage_class(class_of(claim)))
    volume = view.match(claim, delay=delay)
    return bind(volume, claim) if volume is not None else _without_volume(claim, view, delay)


def _without_volume(claim: PersistentVolumeClaim, view: View, delay: bool) -> Plan:
    """Nothing suits: the class makes a volume, or the claim waits."""
    if not has_class(claim) and (default := view.default_class()) is not None:
        classed = codec.clone(claim)
        classed.spec.storageClassName = default
        return Plan(claim=classed)
    if delay and SELECTED_NODE not in claim.metadata.annotations:
        note = Note(claim, "Normal", *_waits_for(view.waiting_pods(claim)))
    elif class_of(claim):
        made = provision(claim, view.storage_class(class_of(claim)))
        return Plan(claim=made.claim, notes=tuple(Note(made.claim, *said) for said in made.said))
    else:
        note = Note(claim, "Normal", "FailedBinding", _NOTHING_THERE)
    return Plan(claim=unbound(claim, "Pending"), notes=(note,))


def _waits_for(pods: Sequence[str]) -> tuple[str, str]:
    """Reason and message: for a pod, or for it to be scheduled."""
    if not pods:
        return "WaitForFirstConsumer", _FIRST_CONSUMER
    many = "pods" if len(pods) > 1 else "pod"
    return "WaitForPodScheduled", f"waiting for {many} {','.join(pods)} to be scheduled"


def _asked_for(claim: PersistentVolumeClaim, view: View) -> Plan:
    """The claim names its volume, and is not bound yet."""
    volume = view.volume(claim.spec.volumeName)
    if volume is None:
        return Plan(claim=unbound(claim, "Pending"))
    if reserved(volume, claim):
        return bind(volume, claim)
    name = quote(volume.metadata.name)
    if volume.spec.claimRef is None:
        unfit = unsuitable(volume, claim)
        if not unfit:
            return bind(volume, claim)
        note = Note(claim, "Warning", "VolumeMismatch", f"Cannot bind to requested volume {name}: {unfit}")
        return Plan(claim=unbound(claim, "Pending"), notes=(note,))
    note = Note(claim, "Warning", "FailedBinding", f"volume {name} already bound to a different claim.")
    if BOUND_BY_CONTROLLER not in claim.metadata.annotations:
        return Plan(claim=unbound(claim, "Pending"), notes=(note,))
    other = quote(claimant(volume))
    error = f"invalid binding of claim {quote(claim_key(claim))} to volume {name}: volume already claimed by {other}"
    return Plan(claim=claim, notes=(note,), error=error)


def _bound_before(claim: PersistentVolumeClaim, view: View) -> Plan:
    """The claim had a volume, and no other will be looked for."""
    if not claim.spec.volumeName:
        return _lost(claim, "ClaimLost", _LOST_REFERENCE)
    volume = view.volume(claim.spec.volumeName)
    if volume is None:
        return _lost(claim, "ClaimLost", _LOST_VOLUME)
    if volume.spec.claimRef is None or volume.spec.claimRef.uid == claim.metadata.uid:
        return bind(volume, claim)
    return _lost(claim, "ClaimMisbound", _MISBOUND)


def _lost(claim: PersistentVolumeClaim, reason: str, message: str) -> Plan:
    if claim.status.phase == "Lost":
        return Plan(claim=claim)
    return Plan(claim=unbound(claim, "Lost"), notes=(Note(claim, "Warning", reason, message),))


def unsuitable(volume: PersistentVolume, claim: PersistentVolumeClaim) -> str:
    """Why a volume that the claim names is not for it; empty if it is."""
    size = volume.spec.capacity.get("storage", Quantity("0")).value()
    if volume.metadata.deletionTimestamp is not None:
        return f"the volume is marked for deletion {quote(volume.metadata.name)}"
    if size < requested(claim).value():
        return "requested PV is too small"
    if volume_class(volume) != class_of(claim):
        return "storageClassName does not match"
    if not same_attributes(claim, volume):
        return "volumeAttributesClassName does not match"
    if not same_mode(claim, volume):
        return "incompatible volumeMode"
    return "" if has_modes(volume, claim) else "incompatible accessMode"


def bind(volume: PersistentVolume, claim: PersistentVolumeClaim) -> Plan:
    """Both as they are once bound to one another."""
    ours, theirs = codec.clone(pre_bind(volume, claim)), codec.clone(claim)
    _enter(ours, "Bound")
    marks = {BIND_COMPLETED: YES}
    if theirs.spec.volumeName != volume.metadata.name:
        theirs.spec.volumeName = volume.metadata.name
        marks[BOUND_BY_CONTROLLER] = YES
    theirs.metadata.annotations = {**marks, **theirs.metadata.annotations}
    status = theirs.status
    if status.phase != "Bound":
        status.capacity = _capacity(volume, claim)
        if status.phase == "Pending":
            status.currentVolumeAttributesClassName = volume.spec.volumeAttributesClassName
    status.phase = "Bound"
    status.accessModes = volume.spec.accessModes
    return Plan(volume=ours, claim=theirs)


def _capacity(volume: PersistentVolume, claim: PersistentVolumeClaim) -> dict[str, Quantity]:
    """What the claim has when it becomes bound; a file system that is not resized yet has what it had before."""
    before = volume.metadata.annotations.get(PRE_RESIZE)
    if before is not None:
        try:
            return {**claim.status.capacity, "storage": Quantity(before)}
        except ValueError:
            return {**claim.status.capacity, "storage": volume.spec.capacity["storage"]}
    held, now = claim.status.capacity.get("storage"), volume.spec.capacity["storage"]
    return volume.spec.capacity if held is None or held.cmp(now) else claim.status.capacity


def unbound(claim: PersistentVolumeClaim, phase: str) -> PersistentVolumeClaim:
    """The claim as it is without a volume."""
    without = codec.clone(claim)
    status = without.status
    status.phase, status.accessModes, status.capacity = phase, (), {}
    status.currentVolumeAttributesClassName = None
    return without


def plan_volume(volume: PersistentVolume, claim: PersistentVolumeClaim | None) -> Plan:
    """What a volume comes to; claim: the one that its `claimRef` names, if it exists, with whatever uid."""
    volume = codec.clone(volume_migrated(volume))
    ref = volume.spec.claimRef
    if ref is None or not ref.uid:
        _enter(volume, "Available")
        return Plan(volume=volume)
    if claim is None or claim.metadata.uid != ref.uid:
        return _released(volume)
    name = volume.metadata.name
    if claim.spec.volumeName == name:
        _enter(volume, "Bound")
        return Plan(volume=volume)
    if not claim.spec.volumeName:
        return Plan(volume=volume, look=True) if same_mode(claim, volume) else _mismatch(volume, claim)
    if PROVISIONED_BY in volume.metadata.annotations and volume.spec.persistentVolumeReclaimPolicy == "Delete":
        return _released(volume)
    return Plan(volume=freed(volume))


def _released(volume: PersistentVolume) -> Plan:
    """Its claim has gone; that something failed before stays to be seen."""
    if volume.status.phase != "Failed":
        _enter(volume, "Released")
    return Plan(volume=volume, released=True)


def _mismatch(volume: PersistentVolume, claim: PersistentVolumeClaim) -> Plan:
    ours, theirs = quote(volume.metadata.name), quote(claim.metadata.name)
    why = "due to incompatible volumeMode."
    to_volume = f"Cannot bind PersistentVolume to requested PersistentVolumeClaim {theirs} {why}"
    to_claim = f"Cannot bind PersistentVolume {ours} to requested PersistentVolumeClaim {why}"
    notes = (
        Note(volume, "Warning", "VolumeMismatch", to_volume),
        Note(claim, "Warning", "VolumeMismatch", to_claim),
    )
    return Plan(volume=volume, notes=notes)


def freed(volume: PersistentVolume) -> PersistentVolume:
    """The volume for anybody again; a reservation that the user made stays, for whichever claim has the name."""
    free = codec.clone(volume)
    if BOUND_BY_CONTROLLER in free.metadata.annotations:
        free.spec.claimRef = None
        own = free.metadata.annotations
        free.metadata.annotations = {key: value for key, value in own.items() if key != BOUND_BY_CONTROLLER}
    elif free.spec.claimRef is not None:
        free.spec.claimRef.uid = ""
    _enter(free, "Available")
    return free


def failed(volume: PersistentVolume, message: str) -> PersistentVolume:
    """The volume with what went wrong; the first failure stays to be seen."""
    marked = codec.clone(volume)
    _enter(marked, "Failed", message)
    return marked


def _enter(volume: PersistentVolume, phase: str, message: str = "") -> None:
    if volume.status.phase != phase:
        volume.status.phase, volume.status.message = phase, message
