"""What changed between two values of a type: the fields that were added, modified and removed.

`updater.py` asks; who loses and who gains a field follows from it. Values are JSON values (dicts, lists, scalars).
What is equal is left aside at once, so a comparison costs what has changed, and the fields of a new object cost one
walk over it. Rules of sigs.k8s.io/structured-merge-diff `typed.Compare`.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import eq
from typing import Any, NamedTuple

from kijabi.api.apply import fieldset
from kijabi.api.apply.fieldset import LEAF, SELF, Path, Tree
from kijabi.api.apply.schema import UNTYPED, List, Map, Schema
from kijabi.api.apply.typed import step

Json = Any
Equal = Callable[[Json, Json], bool]
Trees = tuple[Tree, Tree, Tree]  # removed, modified, added, while they are made


class Changes(NamedTuple):
    """Sets of fields; a field is in one of them at most."""

    removed: Tree = LEAF
    modified: Tree = LEAF
    added: Tree = LEAF

    @property
    def written(self) -> Tree:
        """What has a value that it had not."""
        return fieldset.union(self.modified, self.added)

    def __bool__(self) -> bool:
        return bool(self.removed or self.modified or self.added)

    def filtered(self, reset: Tree, only: tuple[Path, ...]) -> Changes:
        """Without what a write cannot change (`reset`), or (`only`) just what it can."""
        if only:
            return Changes(*(fieldset.matching(tree, only) for tree in self))
        return Changes(*(fieldset.without(tree, reset) for tree in self)) if reset else self


NOTHING = Changes()
_CONTAINERS = (dict, list)


def compare(schema: Schema, old: Json, new: Json, equal: Equal = eq) -> Changes:
    """What changed between two objects. Raises Mismatch if items of a list cannot be told apart.

    equal: for values of any type `patch.same`, because Python takes true for 1.
    """
    out: Trees = ({}, {}, {})
    if schema.map is not None:
        _maps(schema.map, old, new, out, equal)
    return Changes(*out)


def whole(schema: Schema | None, value: Json) -> Tree:
    """A field that appears or goes as a whole, with everything below it."""
    kind = value.__class__
    if kind is dict and value:
        shape = schema.map if schema is not None else None
        if shape is None or shape.atomic:
            return LEAF
        tree: Tree = {SELF: LEAF}
        members, element = shape.fields, shape.element
        for name, member in value.items():
            deep = member and (member.__class__ is dict or member.__class__ is list)
            tree["f:" + name] = whole(members.get(name, element), member) if deep else LEAF
        return tree
    if kind is list and value:
        items = schema.list if schema is not None else None
        if items is None or items.atomic:
            return LEAF
        tree = {SELF: LEAF}
        for item in value:
            text = step(items, item)
            tree[text] = LEAF if text in tree else whole(items.item, item)
        return tree
    return LEAF


def _put(tree: Tree, text: str, node: Tree) -> None:
    known = tree.get(text)
    tree[text] = node if known is None else fieldset.union_node(known, node)


def _differ(schema: Schema, old: Json, new: Json, text: str, out: Trees, equal: Equal) -> None:
    """What changed in a field that is there before and after, and differs."""
    kind = old.__class__
    if kind not in _CONTAINERS and new.__class__ not in _CONTAINERS:
        _put(out[1], text, LEAF)
    elif kind is not new.__class__:
        _differ_in_nature(schema, old, new, text, out, equal)
    elif kind is dict and schema.map is not None and not schema.map.atomic:
        below: Trees = ({}, {}, {})
        _maps(schema.map, old, new, below, equal)
        _attach(below, text, out)
    elif kind is list and schema.list is not None and not schema.list.atomic:
        below = ({}, {}, {})
        _lists(schema.list, old, new, below, equal)
        _attach(below, text, out)
    else:
        _put(out[1], text, LEAF)


def _attach(below: Trees, text: str, out: Trees) -> None:
    """What was found below a field."""
    removed, modified, added = below
    if removed:
        _put(out[0], text, removed)
    if modified:
        _put(out[1], text, modified)
    if added:
        _put(out[2], text, added)


def _differ_in_nature(schema: Schema, old: Json, new: Json, text: str, out: Trees, equal: Equal) -> None:
    """As `_differ`, of a value that was something and now is null, or of another type: taken as each of the two."""
    for kind in dict.fromkeys((schema.kind(old), schema.kind(new))):
        below: Trees = ({}, {}, {})
        if kind == "map" and schema.map is not None and not schema.map.atomic and _either(dict, old, new):
            mine, yours = old if old.__class__ is dict else {}, new if new.__class__ is dict else {}
            _maps(schema.map, mine, yours, below, equal)
        elif kind == "list" and schema.list is not None and not schema.list.atomic and _either(list, old, new):
            left, right = old if old.__class__ is list else [], new if new.__class__ is list else []
            _lists(schema.list, left, right, below, equal)
        else:
            _put(out[1], text, LEAF)
        _attach(below, text, out)


def _either(kind: type, old: Json, new: Json) -> bool:
    """Whether one of two values is such a container and has something in it."""
    return bool((old.__class__ is kind and old) or (new.__class__ is kind and new))


def _maps(shape: Map, old: dict[str, Json], new: dict[str, Json], out: Trees, equal: Equal) -> None:
    removed, _, added = out
    members, element = shape.fields, shape.element
    for name, value in old.items():
        if name not in new:
            removed["f:" + name] = whole(members.get(name, element), value)
        elif not equal(value, new[name]):
            _differ(members.get(name, element) or UNTYPED, value, new[name], "f:" + name, out, equal)
    for name, value in new.items():
        if name not in old:
            added["f:" + name] = whole(members.get(name, element), value)


def _lists(shape: List, old: list[Json], new: list[Json], out: Trees, equal: Equal) -> None:
    before, after = _by_step(shape, old), _by_step(shape, new)
    removed, modified, added = out
    for text, mine in before.items():
        yours = after.get(text, [])
        if len(mine) == 1 and len(yours) == 1:
            if not equal(mine[0], yours[0]):
                _differ(shape.item, mine[0], yours[0], text, out, equal)
        elif len(mine) >= 2 and len(yours) >= 2:
            if len(mine) != len(yours) or not all(map(equal, mine, yours)):
                modified[text] = LEAF
        elif len(mine) >= 2:  # of several the same, one or none is left
            if yours:
                added[text] = whole(shape.item, yours[0])
            removed[text] = LEAF
        elif yours:
            removed[text] = whole(shape.item, mine[0])
            added[text] = LEAF
        else:
            removed[text] = whole(shape.item, mine[0])
    for text, yours in after.items():
        if text not in before:
            added[text] = LEAF if len(yours) > 1 else whole(shape.item, yours[0])


def _by_step(shape: List, value: list[Json]) -> dict[str, list[Json]]:
    """Items by the step to them: one each, unless some are the same."""
    out: dict[str, list[Json]] = {}
    for item in value:
        out.setdefault(step(shape, item), []).append(item)
    return out
