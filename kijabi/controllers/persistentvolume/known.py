"""The claims and volumes that the binder knows: from informers, and at once from the answers to its own writes.

Binding takes four writes, and between them the informers show old versions. Whoever plans from those would write again
what is written, or give one volume to two claims; the server would turn that away, but only after a round trip. Held
here are the newest versions seen anywhere, indexed by what the binder asks for: a claim's volumes, a volume's claims,
the claims of a class that wait, and the volumes that are free, by size.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, TypeVar

from kijabi.api.core.persistentvolume import PersistentVolume, access_modes
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.meta import Object
from kijabi.api.storage.matching import (
    BIND_COMPLETED,
    capacity,
    claim_key,
    claimant,
    class_of,
    find_matching,
    has_modes,
    possible,
    requested,
    suits,
    volume_class,
)
from kijabi.client.cache import Cache, key_of

T = TypeVar("T", bound=Object)

CLAIMANT, VOLUME, WAITING = "claimant", "volume", "waiting"

Shelf = tuple[str, str]
"""What free volumes are kept apart by: class, and access modes."""


def _claimant(volume: PersistentVolume) -> tuple[str, ...]:
    return (claimant(volume),) if volume.spec.claimRef is not None else ()


def _named(claim: PersistentVolumeClaim) -> tuple[str, ...]:
    return (claim.spec.volumeName,) if claim.spec.volumeName else ()


def _waiting(claim: PersistentVolumeClaim) -> tuple[str, ...]:
    """A claim that waits for any volume, under its class."""
    waits = not claim.spec.volumeName and BIND_COMPLETED not in claim.metadata.annotations
    return (class_of(claim),) if waits else ()


def is_free(volume: PersistentVolume) -> bool:
    """Whether any claim may have it."""
    return volume.spec.claimRef is None and volume.status.phase == "Available"


def given_and_going(volume: PersistentVolume, claim: PersistentVolumeClaim) -> bool:
    """Its side of the binding is written, and it was deleted since."""
    ref, going = volume.spec.claimRef, volume.metadata.deletionTimestamp is not None
    return going and volume.status.phase == "Bound" and ref is not None and ref.uid == claim.metadata.uid


class Known:
    """Give `saw_volume` and `saw_claim` to informers as handlers, and `wrote` what the server answered."""

    def __init__(self) -> None:
        self.volumes: Cache[PersistentVolume] = Cache({CLAIMANT: _claimant})
        self.claims: Cache[PersistentVolumeClaim] = Cache({VOLUME: _named, WAITING: _waiting})
        self._free: dict[Shelf, list[tuple[Decimal, str]]] = {}
        self.volumes.handlers.append(self._shelve)

    def saw_volume(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        """The informer has a volume, or has lost one."""
        _saw(self.volumes, old, new)

    def saw_claim(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> None:
        """The informer has a claim, or has lost one."""
        _saw(self.claims, old, new)

    def wrote(self, obj: Any) -> None:
        """The server answered a write with this; unless the informer knows already that the object has gone."""
        cache: Cache[Any] = self.volumes if isinstance(obj, PersistentVolume) else self.claims
        held = cache.objects.get(key_of(obj))
        if held is not None and held.metadata.uid == obj.metadata.uid and _version(obj) > _version(held):
            cache.put(key_of(obj), obj)

    def match(self, claim: PersistentVolumeClaim, *, delay: bool) -> PersistentVolume | None:
        """Of those with the fewest access modes that do, the one that is reserved for the claim, or the smallest.

        First of all the one that says already that it is the claim's, though somebody wants it gone: protected as it
        is while it is Bound, it would else never go, and the claim never have another.
        """
        kept = self.volumes.index(CLAIMANT, claim_key(claim))
        if given := next((volume for volume in kept if given_and_going(volume, claim)), None):
            return given
        texts = {access_modes(volume.spec.accessModes) for volume in kept if has_modes(volume, claim)}
        shelves = {} if delay else self._shelves(claim)
        for modes in sorted({*texts, *shelves}, key=lambda text: (text.count(","), text)):
            mine = (volume for volume in kept if access_modes(volume.spec.accessModes) == modes)
            found = find_matching(claim, mine) or next(self._from(claim, shelves.get(modes, [])), None)
            if found is not None:
                return found
        return None

    def _shelves(self, claim: PersistentVolumeClaim) -> dict[str, list[tuple[Decimal, str]]]:
        """The shelves of the claim's class with the access modes that it wants, by these."""
        wanted = access_modes(claim.spec.accessModes).split(",") if claim.spec.accessModes else []
        mine = class_of(claim)
        every = ((modes, self._free.get((mine, modes))) for modes in COMBINATIONS)
        return {modes: shelf for modes, shelf in every if shelf and set(wanted) <= set(modes.split(","))}

    def _from(self, claim: PersistentVolumeClaim, shelf: list[tuple[Decimal, str]]) -> Iterator[PersistentVolume]:
        """The volumes of a shelf that are for the claim, the smallest first."""
        for place in range(bisect_left(shelf, (requested(claim).exact(), "")), len(shelf)):
            volume = self.volumes.objects[shelf[place][1]]
            if possible(claim, volume) and suits(claim, volume):
                yield volume

    def wanting(self, volume: PersistentVolume) -> PersistentVolumeClaim | None:
        """A claim that waits for such a free volume."""
        waiting = self.claims.index(WAITING, volume_class(volume))
        fits = (c for c in waiting if possible(c, volume) and has_modes(volume, c) and suits(c, volume))
        return next(fits, None)

    def _shelve(self, old: PersistentVolume | None, new: PersistentVolume | None) -> None:
        """Keep the shelves of free volumes."""
        if old is not None and is_free(old):
            shelf = self._free[_shelf(old)]
            del shelf[bisect_left(shelf, _place(old))]
            if not shelf:
                del self._free[_shelf(old)]
        if new is not None and is_free(new):
            insort(self._free.setdefault(_shelf(new), []), _place(new))


COMBINATIONS = tuple(
    ",".join(short for bit, short in enumerate(("RWO", "ROX", "RWX", "RWOP")) if number >> bit & 1)
    for number in range(1, 16)
)
"""Every set of access modes, as people write it."""


def _shelf(volume: PersistentVolume) -> Shelf:
    return volume_class(volume), access_modes(volume.spec.accessModes)


def _place(volume: PersistentVolume) -> tuple[Decimal, str]:
    return capacity(volume).exact(), volume.metadata.name


def _version(obj: Object) -> int:
    return int(obj.metadata.resourceVersion or 0)


def _saw(cache: Cache[T], old: T | None, new: T | None) -> None:
    if new is not None:
        held = cache.objects.get(key_of(new))
        if held is None or _version(new) > _version(held):
            cache.put(key_of(new), new)
    elif old is not None:
        cache.remove(key_of(old))
