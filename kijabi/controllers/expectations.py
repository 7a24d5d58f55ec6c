"""What a controller asked for and its cache has not shown yet, so that nothing is asked for twice.

A cache lags behind one's own writes. Before creating or deleting, the controller notes what it will do; until
the informer has shown it (or it turns out that it failed), counts taken from the cache are not to be acted
on. Deterministic and free of I/O; `replicaset.py` keeps one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

TIMEOUT = 300.0
"""Seconds after which an expectation is given up: what was created and deleted between two lists is never
seen.
"""


@dataclass(slots=True)
class _Owner:
    since: float = 0.0
    created: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)


class Expectations:
    """Per owner uid: names that must appear, uids that must go, and names whose creation may have happened.

    `created` before a create request, then `seen` by the informer or `failed`; a request whose reply was lost
    is `lost`: its name is offered again by `names`, so that repeating it cannot make a second object.
    """

    def __init__(self) -> None:
        self._owners: dict[str, _Owner] = {}

    def created(self, owner: str, name: str, now: float) -> None:
        """A create request with this name is about to be sent."""
        entry = self._entry(owner, now)
        entry.created.add(name)
        entry.uncertain.discard(name)

    def deleted(self, owner: str, uid: str, now: float) -> None:
        """A delete request for the object with this uid is about to be sent."""
        self._entry(owner, now).deleted.add(uid)

    def failed(self, owner: str, *, name: str = "", uid: str = "") -> None:
        """The request was refused: there is nothing to wait for."""
        self._settle(owner, name, uid)

    def lost(self, owner: str, name: str) -> None:
        """Nobody knows whether the create request was carried out."""
        if entry := self._owners.get(owner):
            entry.created.discard(name)
            entry.uncertain.add(name)

    def seen(self, owner: str, name: str, uid: str, *, going: bool) -> None:
        """The informer showed an object of the owner; `going` if it is deleted or being deleted."""
        if entry := self._owners.get(owner):
            entry.uncertain.discard(name)
            self._settle(owner, name, uid if going else "")

    def wait(self, owner: str, now: float) -> float:
        """Seconds that the owner must still wait at most; 0 if all it asked for has been seen."""
        entry = self._owners.get(owner)
        if entry is None or not (entry.created or entry.deleted):
            return 0.0
        remaining = entry.since + TIMEOUT - now
        if remaining <= 0:
            entry.created.clear()
            entry.deleted.clear()
        return max(0.0, remaining)

    def names(self, owner: str) -> tuple[str, ...]:
        """Names to use first when creating: their earlier creation is uncertain."""
        entry = self._owners.get(owner)
        return tuple(sorted(entry.uncertain)) if entry is not None else ()

    def drop(self, owner: str) -> None:
        """The owner is gone."""
        self._owners.pop(owner, None)

    def _entry(self, owner: str, now: float) -> _Owner:
        entry = self._owners.setdefault(owner, _Owner())
        entry.since = now
        return entry

    def _settle(self, owner: str, name: str, uid: str) -> None:
        entry = self._owners.get(owner)
        if entry is None:
            return
        entry.created.discard(name)
        entry.deleted.discard(uid)
        if not (entry.created or entry.deleted or entry.uncertain):
            del self._owners[owner]
