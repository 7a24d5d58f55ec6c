"""Who depends on whom: every object of the cluster by uid, with its owners. Pure book-keeping.

Receives items from `collector.py` and gives back the uids of those that a change makes worth looking at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kijabi.api.meta import ObjectMeta, OwnerReference

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


class Identity(NamedTuple):
    """Where an object is: what a reference to it must agree with."""

    apiVersion: str
    kind: str
    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        where = f"namespace: {self.namespace}, name: {self.name}, uid: {self.uid}"
        return f"[{self.apiVersion}/{self.kind}, {where}]"


class Item(NamedTuple):
    """One object, as far as it matters here. foreground, orphan: it is being deleted in that way."""

    identity: Identity
    owners: tuple[OwnerReference, ...]
    deleting: bool
    foreground: bool
    orphan: bool

    @property
    def uid(self) -> str:
        return self.identity.uid

    def owner(self, uid: str) -> OwnerReference | None:
        """Its reference to an owner."""
        return next((ref for ref in self.owners if ref.uid == uid), None)

    def blocks(self, uid: str) -> bool:
        """The owner's foreground deletion has to wait for it."""
        ref = self.owner(uid)
        return ref is not None and bool(ref.blockOwnerDeletion)


def item_of(api_version: str, kind: str, meta: ObjectMeta) -> Item:
    """An object's item, from its metadata."""
    deleting = meta.deletionTimestamp is not None
    return Item(
        Identity(api_version, kind, meta.namespace, meta.name, meta.uid),
        meta.ownerReferences,
        deleting,
        deleting and FOREGROUND in meta.finalizers,
        deleting and ORPHAN in meta.finalizers,
    )


def refers_to(ref: OwnerReference, namespace: str, owner: Identity) -> bool:
    """A reference made in a namespace means this very object, not merely its uid."""
    group, other = ref.apiVersion.rpartition("/")[0], owner.apiVersion.rpartition("/")[0]
    same = (group, ref.kind, ref.name, ref.uid) == (other, owner.kind, owner.name, owner.uid)
    return same and owner.namespace in ("", namespace)


class Graph:
    """All items and, for each uid that anybody names as owner, its dependents; whether or not the owner is known."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self._dependents: dict[str, set[str]] = {}

    def dependents(self, uid: str) -> Iterator[Item]:
        """Those that name an object as owner."""
        return (self.items[each] for each in sorted(self._dependents.get(uid, ())))

    def owned_by_kind(self, group: str, kind: str) -> set[str]:
        """The uids of those that name an owner of a kind."""
        return {
            item.uid
            for item in self.items.values()
            if any(ref.kind == kind and ref.apiVersion.rpartition("/")[0] == group for ref in item.owners)
        }

    def put(self, item: Item) -> set[str]:
        """Add an item or replace it; the uids to look at."""
        before = self.items.get(item.uid)
        if before == item:
            return set()
        self.items[item.uid] = item
        self._link(item, before.owners if before is not None else ())
        work: set[str] = set()
        if self.suspicious(item):
            work.add(item.uid)
        # Whoever deletes its dependents first waits for fewer of them now.
        for ref in before.owners if before is not None else ():
            if ref.blockOwnerDeletion and not item.blocks(ref.uid):
                work |= self._foreground(ref.uid)
        # A deletion may also change its mind: from waiting for its dependents to leaving them, or back.
        if item.orphan and not (before is not None and before.orphan):
            work.add(item.uid)
        if item.foreground and not (before is not None and before.foreground):
            work.update((item.uid, *self._dependents.get(item.uid, ())))
        if before is None:  # Those that named it before it was known may have named it wrongly.
            work.update(each.uid for each in self.dependents(item.uid) if self.suspicious(each))
        return work

    def remove(self, uid: str) -> set[str]:
        """Take an item out; the uids to look at: its dependents, and owners that waited for it."""
        item = self.items.pop(uid, None)
        if item is None:
            return set()
        self._link(item._replace(owners=()), item.owners)
        work = set(self._dependents.get(uid, ()))
        for ref in item.owners:
            work |= self._foreground(ref.uid)
        return work

    def suspicious(self, item: Item) -> bool:
        """Some owner is not known, is not quite what the reference says, or deletes its dependents first."""
        for ref in item.owners:
            owner = self.items.get(ref.uid)
            if owner is None or owner.foreground or not refers_to(ref, item.identity.namespace, owner.identity):
                return True
        return False

    def _foreground(self, uid: str) -> set[str]:
        owner = self.items.get(uid)
        return {uid} if owner is not None and owner.foreground else set()

    def _link(self, item: Item, before: Iterable[OwnerReference]) -> None:
        old, new = {ref.uid for ref in before}, {ref.uid for ref in item.owners}
        for uid in old - new:
            group = self._dependents.get(uid, set())
            group.discard(item.uid)
            if not group:
                self._dependents.pop(uid, None)
        for uid in new - old:
            self._dependents.setdefault(uid, set()).add(item.uid)
