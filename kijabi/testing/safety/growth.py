"""Rules for claims and volumes that grow (KEP-284, and KEP-1790 for those that cannot)."""

from __future__ import annotations

from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.quantity import Quantity
from kijabi.api.storage.matching import capacity, claimant, class_of, held, requested
from kijabi.api.storage.storageclass import StorageClass
from kijabi.testing.history import Change, Ledger
from kijabi.testing.safety.facts import ADMIN

NOTHING = Quantity("0")


def allocated(claim: PersistentVolumeClaim) -> Quantity:
    """How much a quota counts for a claim, asked for or being given (KEP-1790)."""
    return max(requested(claim), claim.status.allocatedResources.get("storage", NOTHING), key=Quantity.exact)


class SizesKept:
    """What was given is not taken back, and what is said is there: as long as a claim is bound it has no less than
    before, and no more than its volume; a volume never shrinks, and grows for a claim only to what is allocated to
    that, so that quotas count it (KEP-1790). A claim asks for another size only while it is bound, for more only if its
    class lets it, and for less only if that is more than it has. `judged` counts sizes that changed.
    """

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.new is None or change.resource.type not in (PersistentVolume, PersistentVolumeClaim):
            return None
        if change.resource.type is PersistentVolume:
            return self._volume(change, ledger) if change.old is not None and change.actor != ADMIN else None
        return (self._asked(change, ledger) if change.old is not None else None) or self._claim(change, ledger)

    def _volume(self, change: Change, ledger: Ledger) -> str | None:
        before, after = capacity(change.old), capacity(change.new)
        if before.cmp(after) == 0:
            return None
        self.judged += 1
        if after.cmp(before) < 0:
            return f"shrank from {before} to {after}"
        ref = change.new.spec.claimRef
        claim = ledger.get(PersistentVolumeClaim, ref.name, ref.namespace) if ref is not None else None
        if ref is None or claim is None or claim.metadata.uid != ref.uid:
            return f"grew from {before} to {after} for nobody"
        most = allocated(claim)
        return f"grew to {after}, and {claimant(change.new)} has {most} allocated" if most.cmp(after) < 0 else None

    def _asked(self, change: Change, ledger: Ledger) -> str | None:
        before, after = requested(change.old), requested(change.new)
        if before.cmp(after) == 0:
            return None
        self.judged += 1
        if change.old.status.phase != "Bound":
            return f"asks for {after}, before for {before}, and is {change.old.status.phase}"
        if after.cmp(before) < 0:
            has = held(change.old)
            return f"asks for {after}, and has {has}" if after.cmp(has) <= 0 else None
        found = ledger.get(StorageClass, class_of(change.new))
        if found is None or not found.allowVolumeExpansion:
            return f"asks for {after}, and its class {class_of(change.new)!r} lets none grow"
        return None

    def _claim(self, change: Change, ledger: Ledger) -> str | None:
        old, new = change.old, change.new
        if new.status.phase != "Bound" or (old is not None and held(old).cmp(held(new)) == 0):
            return None
        self.judged += 1
        if old is not None and old.status.phase == "Bound" and held(new).cmp(held(old)) < 0:
            return f"had {held(old)}, and has {held(new)}"
        volume = ledger.get(PersistentVolume, new.spec.volumeName)
        if volume is not None and held(new).cmp(capacity(volume)) > 0:
            return f"has {held(new)} of {new.spec.volumeName}, which has {capacity(volume)}"
        return None
