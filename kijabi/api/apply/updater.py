"""What a write does to the fields' managers, and an apply to the object.

`apiserver/managedfields.py` calls `update` after a create, update or patch with what it changed, and `apply` with
what a client wants. All is pure; objects are JSON values. Sets that were recorded in another version of the object
are compared in that version, which is why `apply` may have to wait for a conversion. The algorithm is that of
sigs.k8s.io/structured-merge-diff `merge.Updater`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from kijabi.api.apply import fieldset, managers, typed
from kijabi.api.apply.compare import Changes, compare
from kijabi.api.apply.fieldset import LEAF, Path, Tree
from kijabi.api.apply.managers import UPDATE, Conflict, Conflicts, Entry, Managed, Manager
from kijabi.api.apply.schema import Schema
from kijabi.api.meta import Time
from kijabi.api.patch import same

Document = dict[str, Any]

_UNOWNED = (
    "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
    "resourceVersion",
)  # fmt: skip
# Nobody manages what identifies an object, nor what the server alone writes.
STRIPPED: Tree = {
    "f:apiVersion": LEAF,
    "f:kind": LEAF,
    "f:metadata": {fieldset.SELF: LEAF} | {f"f:{name}": LEAF for name in _UNOWNED},
}


class Versions(Protocol):
    """The versions of a resource."""

    def schema(self, version: str) -> Schema | None:
        """How objects of an apiVersion merge; None if there is no such version (any more)."""
        ...

    async def convert(self, document: Document, version: str) -> Document:
        """An object in another version."""
        ...


class Scope(NamedTuple):
    """Where a write happens: in which apiVersion, through which subresource.

    reset: what the write cannot change and so nobody comes to own by it. only: if not empty, the fields that it can.
    """

    version: str
    subresource: str = ""
    reset: Tree = LEAF
    only: tuple[Path, ...] = ()

    def filtered(self, fields: Tree) -> Tree:
        """Fields that somebody can come to own here."""
        return fieldset.matching(fields, self.only) if self.only else fieldset.without(fields, self.reset)


def update(
    managed: Managed, scope: Scope, name: str, changes: Changes, elsewhere: Mapping[str, Changes], now: Time
) -> Managed:
    """The table after a write by `name` that is no apply: it owns what it wrote, and others own that no more.

    changes: in the version of the write; elsewhere: in the other versions of the table, as far as they exist. Both as
    far as such a write can change fields (`Changes.filtered`).
    """
    by_version = {**elsewhere, scope.version: changes}
    who = managers.manager(name, UPDATE, scope.version, scope.subresource)
    written = fieldset.difference(changes.written, STRIPPED)
    own = managed.get(who) if written else None
    out = _lost(managed, by_version, who if own is not None else None)
    if own is not None:
        kept = fieldset.difference(own.fields, changes.removed) if changes.removed else own.fields
        same_fields = kept == own.fields and fieldset.covers(kept, written)
        out[who] = own.at(now) if same_fields else Entry(scope.version, False, fieldset.union(kept, written), now)
    elif written:
        out[who] = Entry(scope.version, False, written, now)
    return managers.capped(out)


def _lost(managed: Managed, by_version: Mapping[str, Changes], writer: Manager | None = None) -> Managed:
    """Everybody but the writer without the fields that changed in their version."""
    gone = {version: fieldset.union(each.written, each.removed) for version, each in by_version.items()}
    steps = {version: [step.encode() for step in each] for version, each in gone.items()}
    out: Managed = {}
    for who, entry in managed.items():
        lost = gone.get(entry.version)
        if lost is None or who == writer:
            continue  # of a version that is no more
        if lost and entry.may_touch(steps[entry.version]):
            kept = fieldset.difference(entry.fields, lost)
            if kept != entry.fields:
                entry = entry.with_fields(kept)
            if not kept:
                continue
        out[who] = entry
    return out


async def apply(
    versions: Versions, scope: Scope, live: Document, config: Document, managed: Managed, who: Manager, force: bool
) -> tuple[Document | None, Managed]:
    """The object after an apply (None if it is as before), and the table; times are the caller's.

    Raises Conflicts unless forced, Mismatch if the objects are not of their type.
    """
    schema = versions.schema(scope.version)
    assert schema is not None
    managed = await reconciled(versions, live, managed)
    new: Document = typed.merge(schema, live, config)
    last = managed.get(who)
    time = last.time if last is not None else None
    managed[who] = Entry(scope.version, True, scope.filtered(typed.fields_of(schema, config)), time)
    if last is not None and last.fields:
        new = await _prune(versions, new, managed, who, last)
    managed = await _claimed(versions, scope, live, new, managed, who, force)
    own = managed.get(who)
    if own is not None:
        fields = fieldset.difference(own.fields, STRIPPED)
        if fields:
            managed[who] = own.with_fields(fields)
        else:
            del managed[who]
    return (None if same(live, new) else new), managed


async def _claimed(
    versions: Versions, scope: Scope, live: Document, new: Document, managed: Managed, who: Manager, force: bool
) -> Managed:
    """The table after others lost what changed. Raises Conflicts if they may not lose it."""
    by_version: dict[str, Changes] = {}
    for entry in managed.values():
        version = entry.version
        schema = versions.schema(version)
        if version not in by_version and schema is not None:
            old = await versions.convert(live, version)
            changes = compare(schema, old, await versions.convert(new, version), same)
            by_version[version] = changes.filtered(scope.reset, scope.only)
    found = [
        Conflict(other, path)
        for other, entry in managed.items()
        if other != who and entry.version in by_version and not force
        for path in fieldset.paths(fieldset.intersection(entry.fields, by_version[entry.version].written))
    ]
    if found:
        raise Conflicts(found)
    own = managed.pop(who)
    out = _lost(managed, by_version)
    if own.fields:
        out[who] = own
    return out


async def _prune(versions: Versions, merged: Document, managed: Managed, who: Manager, last: Entry) -> Document:
    """Without what this manager applied last time and not again, unless others own it as well."""
    schema = versions.schema(last.version)
    if schema is None:
        return merged
    wide = await versions.convert(merged, last.version)
    given_up = typed.with_members(schema, last.fields)
    narrow: Document = typed.remove(schema, wide, given_up)
    narrow = await _add_back_owned(versions, wide, narrow, managed, last.version)
    if narrow.get("apiVersion") != wide.get("apiVersion"):
        narrow = await versions.convert(narrow, last.version)
    left = typed.with_members(schema, typed.fields_of(schema, narrow))
    was = typed.with_members(schema, typed.fields_of(schema, wide))
    dangling = fieldset.intersection(fieldset.difference(was, left), given_up)
    pruned: Document = typed.remove(schema, wide, dangling)
    return await versions.convert(pruned, managed[who].version)


async def _add_back_owned(
    versions: Versions, merged: Document, pruned: Document, managed: Managed, first: str
) -> Document:
    """The pruned object with what anybody still owns. first: its version, which comes before the others."""
    owned: dict[str, Tree] = {first: {}}
    for entry in managed.values():
        owned[entry.version] = fieldset.union(owned.get(entry.version, {}), entry.fields)
    for version, fields in owned.items():
        schema = versions.schema(version)
        if schema is None or (version == first and not fields):
            continue
        merged, pruned = await versions.convert(merged, version), await versions.convert(pruned, version)
        was = typed.with_members(schema, typed.fields_of(schema, merged))
        left = typed.with_members(schema, typed.fields_of(schema, pruned))
        kept = fieldset.union(left, typed.with_members(schema, fields))
        pruned = typed.remove(schema, merged, fieldset.difference(was, kept))
    return pruned


async def reconciled(versions: Versions, live: Document, managed: Managed) -> Managed:
    """The table after the schema changed: who owned parts of what is one value now owns that."""
    out: Managed = {}
    for who, entry in managed.items():
        schema = versions.schema(entry.version)
        if schema is None:
            continue
        fields = _reconciled(schema, entry.fields)
        out[who] = entry if fields is entry.fields else entry.with_fields(fields)
    return out


def _reconciled(schema: Schema, fields: Tree) -> Tree:
    """The same tree if nothing changes."""
    changed: Tree = {}
    for step, node in fields.items():
        below = _below(schema, step)
        if below is None or not node:
            continue
        shape = below.map or below.list
        if shape is not None and shape.atomic:
            changed[step] = LEAF
            continue
        after = _reconciled(below, node)
        if after is not node:
            changed[step] = after
    return {**fields, **changed} if changed else fields


def _below(schema: Schema, step: str) -> Schema | None:
    if step[0] == "f":
        return schema.map.member(step[2:]) if schema.map is not None else None
    return schema.list.item if schema.list is not None and step != fieldset.SELF else None
