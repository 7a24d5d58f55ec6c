"""What a claim that asks for more than its local-path volume has comes to; pure.

A directory holds what its disk holds, so growing is a promise and nothing on the disk changes. `agent.py` writes it in
three steps, and each can be the last one before a crash: the claim says how much is allocated, so that a quota counts
it; the volume has it; the claim has it (KEP-284, KEP-1790). Reasons and texts of events are those of the resizer that
drivers are run with (kubernetes-csi/external-resizer).
"""

from __future__ import annotations

from kijabi.api import codec
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim, PersistentVolumeClaimCondition
from kijabi.api.meta import time_now
from kijabi.api.quantity import Quantity
from kijabi.api.storage.matching import capacity, held, requested

STORAGE = "storage"
RESIZING, REFUSED = "Resizing", "ControllerResizeError"
"""Conditions of a claim."""
CONDITIONS = (RESIZING, REFUSED)
IN_PROGRESS, INFEASIBLE = "ControllerResizeInProgress", "ControllerResizeInfeasible"
"""What a claim's status says of the size that is allocated."""


def grows(claim: PersistentVolumeClaim) -> bool:
    """Whether a claim has a volume and asks for more than that."""
    return claim.status.phase == "Bound" and requested(claim).cmp(held(claim)) > 0


def asks(old: PersistentVolumeClaim | None, new: PersistentVolumeClaim) -> bool:
    """Whether a change of a claim asks for growth. What is written to its status on the way asks for nothing."""
    return grows(new) and (old is None or not grows(old) or requested(old) != requested(new))


def target(volume: PersistentVolume, claim: PersistentVolumeClaim) -> Quantity | None:
    """The size that both come to, None if nothing is to grow. A volume that is larger already stays so, for the claim
    may ask for less again before it has got all (KEP-1790)."""
    ref = volume.spec.claimRef
    ours = ref is not None and ref.uid == claim.metadata.uid and claim.spec.volumeName == volume.metadata.name
    if not ours or not grows(claim) or volume.metadata.deletionTimestamp is not None:
        return None
    return max(requested(claim), capacity(volume), key=Quantity.exact)


def lack(volume: PersistentVolume, size: Quantity, free: int) -> str:
    """Why a disk with so many bytes free has no room for the growth, "" if it has."""
    more = size.minus(capacity(volume))
    if more.value() <= free:
        return ""
    return f"the claim asks for {more} more, and the disk of the node has {free // 2**20}Mi free"


def begun(claim: PersistentVolumeClaim, size: Quantity) -> PersistentVolumeClaim:
    """The claim while its volume grows to a size."""
    return _marked(claim, IN_PROGRESS, RESIZING, size=size)


def refused(volume: PersistentVolume, claim: PersistentVolumeClaim, why: str) -> PersistentVolumeClaim:
    """The claim as long as there is no room: allocated is what the volume has, and may be asked for again."""
    return _marked(claim, INFEASIBLE, REFUSED, why, size=capacity(volume))


def _marked(
    claim: PersistentVolumeClaim, state: str, condition: str, message: str = "", *, size: Quantity
) -> PersistentVolumeClaim:
    there = next((one for one in claim.status.conditions if one.type == condition), None)
    if there is None or there.message != message:
        now = time_now()
        there = PersistentVolumeClaimCondition(type=condition, status="True", lastTransitionTime=now, message=message)
    marked = codec.clone(claim)
    status = marked.status
    status.conditions = (*_others(claim), there)
    status.allocatedResources = {**status.allocatedResources, STORAGE: size}
    status.allocatedResourceStatuses = {**status.allocatedResourceStatuses, STORAGE: state}
    return marked


def done(claim: PersistentVolumeClaim, size: Quantity) -> PersistentVolumeClaim:
    """The claim when it has what its volume has."""
    grown = codec.clone(claim)
    status = grown.status
    status.capacity = {**status.capacity, STORAGE: size}
    status.conditions = _others(claim)
    left = status.allocatedResourceStatuses
    status.allocatedResourceStatuses = {name: state for name, state in left.items() if name != STORAGE}
    return grown


def _others(claim: PersistentVolumeClaim) -> tuple[PersistentVolumeClaimCondition, ...]:
    return tuple(one for one in claim.status.conditions if one.type not in CONDITIONS)
