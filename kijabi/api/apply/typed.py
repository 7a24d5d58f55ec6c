"""A value walked by its schema: is it of that type, what fields does it have, merge another into it, remove from it.

`updater.py` calls these on whole objects as JSON values (dicts, lists, scalars). Nothing here writes to a value that
it was given. Rules and texts of sigs.k8s.io/structured-merge-diff `typed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from kijabi.api.apply import elements, fieldset
from kijabi.api.apply.fieldset import LEAF, SELF, Tree
from kijabi.api.apply.schema import List, Map, Schema
from kijabi.api.gotext import display, quote

Json = Any


class _Absent:
    """Not there at all, which null is not."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
MAX_PROBLEMS = 100  # that one message tells of


class Mismatch(ValueError):
    """A value is not of the type that its schema says."""


def step(shape: List, value: Json) -> str:
    """The step to an item of a list. Mismatch if the item says too little."""
    if not shape.keys:
        if isinstance(value, dict):
            raise Mismatch("associative list without keys has an element that's a map type")
        if isinstance(value, list):
            raise Mismatch("not supported: associative list with lists as elements")
        if value is None:
            raise Mismatch("associative list without keys has an element that's an explicit null")
        return elements.item(value)
    if value is None:
        raise Mismatch("associative list with keys may not have a null element")
    if not isinstance(value, dict):
        raise Mismatch("associative list with keys may not have non-map elements")
    keys = shape.keys
    if len(keys) == 1:
        only = value.get(keys[0])
        if only.__class__ is str:
            return elements.named(keys[0], only)
    pairs = []
    for key in sorted(keys):
        found = value[key] if key in value else shape.default(key)
        if found is not None or key in value:
            pairs.append((key, found))
    if not pairs:
        named = "[" + " ".join(map(quote, keys)) + "]"
        text = f"associative list with keys has an element that omits all key fields {named}"
        raise Mismatch(f"{text} (and doesn't have default values for any key fields)")
    return elements.keyed(pairs)


# Is a value of its type


def check(schema: Schema, value: Json, duplicates: bool = False) -> None:
    """Raises Mismatch with everything that is wrong. duplicates: whether items of a list may repeat."""
    problems = list(_problems(schema, value, "", duplicates))[:MAX_PROBLEMS]
    if len(problems) == 1:
        raise Mismatch(problems[0])
    if problems:
        raise Mismatch("\n".join(["errors:", *(f"  {problem}" for problem in problems)]))


def _problems(schema: Schema, value: Json, path: str, duplicates: bool) -> Iterator[str]:
    match schema.kind(value):
        case "map":
            assert schema.map is not None
            if value is not None and not isinstance(value, dict):
                yield _said(path, f"expected map, got &{{{display(value)}}}")
            else:
                yield from _map_problems(schema.map, value or {}, path, duplicates)
        case "list":
            assert schema.list is not None
            if value is not None and not isinstance(value, list):
                yield _said(path, f"expected list, got &{{{display(value)}}}")
            else:
                yield from _list_problems(schema.list, value or [], path, duplicates)
        case "scalar":
            text = _scalar_problem(schema, value)
            if text:
                yield _said(path, text)
        case _:
            yield _said(path, "schema error: invalid atom: inlined")


def _said(path: str, text: str) -> str:
    return f"{path}: {text}" if path else text


def _map_problems(shape: Map, value: dict[str, Json], path: str, duplicates: bool) -> Iterator[str]:
    for name, member in value.items():
        schema = shape.member(name)
        if schema is None:
            yield f"{path}.{name}: field not declared in schema"
            return
        yield from _problems(schema, member, f"{path}.{name}", duplicates)


def _list_problems(shape: List, value: list[Json], path: str, duplicates: bool) -> Iterator[str]:
    seen: set[str] = set()
    for index, item in enumerate(value):
        place = f"[{index}]"
        if not shape.atomic:
            try:
                text = step(shape, item)
            except Mismatch as problem:
                yield _said(path, f"element {index}: {problem}")
                return
            place = elements.shown(text)
            if text in seen and not duplicates:
                yield _said(path, f"duplicate entries for key {place}")
            seen.add(text)
        yield from _problems(shape.item, item, path + place, duplicates)


def _scalar_problem(schema: Schema, value: Json) -> str:
    if value is None:
        return ""
    kind, found = schema.scalar, value.__class__
    if kind == "numeric":
        return "" if found in (int, float) else f"expected numeric (int or float), got {_go_type(value)}"
    if kind == "string":
        return "" if found is str else f"expected string, got &value.valueUnstructured{{Value:{_go_value(value)}}}"
    if kind == "boolean":
        return "" if found is bool else f"expected boolean, got &{{{display(value)}}}"
    return "" if found in (int, float, str, bool) else f"expected any scalar, got &{{{display(value)}}}"


def _go_type(value: Json) -> str:
    """What Go's %T says of a JSON value."""
    names = {bool: "bool", str: "string", int: "int64", float: "float64", list: "[]interface {}"}
    return names.get(type(value), "map[string]interface {}")


def _go_value(value: Json) -> str:
    """What Go's %#v says of a JSON value."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return "[]interface {}{" + ", ".join(map(_go_value, value)) + "}"
    if isinstance(value, dict):
        return "map[string]interface {}{" + ", ".join(f"{quote(k)}:{_go_value(value[k])}" for k in sorted(value)) + "}"
    return "interface {}(nil)" if value is None else display(value)


# Which fields does a value have


def fields_of(schema: Schema, value: Json) -> Tree:
    """The fields that a configuration speaks of. An item of a list or map counts itself, a member does not."""
    return _fields(schema, value) or {}


def _fields(schema: Schema, value: Json) -> Tree | None:
    """Below one field; LEAF is the field itself, None is nothing."""
    match schema.kind(value):
        case "map":
            assert schema.map is not None
            if schema.map.atomic:
                return LEAF
            return _map_fields(schema.map, value) if isinstance(value, dict) else None
        case "list":
            assert schema.list is not None
            if schema.list.atomic:
                return LEAF
            return _list_fields(schema.list, value) if isinstance(value, list) else None
        case _:
            return LEAF


def _itself(node: Tree | None) -> Tree:
    """The field besides what is below it."""
    return {SELF: LEAF, **node} if node else LEAF


def _map_fields(shape: Map, value: dict[str, Json]) -> Tree | None:
    out: Tree = {}
    for name, member in value.items():
        schema = shape.member(name)
        node = _fields(schema, member) if schema is not None else None
        if name not in shape.fields or member is None or (member.__class__ is dict and not member):
            node = _itself(node)
        if node is not None:
            out[f"f:{name}"] = node
    return out or None


def _list_fields(shape: List, value: list[Json]) -> Tree | None:
    out: Tree = {}
    for item in value:
        text = step(shape, item)
        out[text] = LEAF if text in out else _itself(_fields(shape.item, item))
    return out or None


def with_members(schema: Schema | None, tree: Tree) -> Tree:
    """The set with every declared member on the way to its fields; items and keys of maps are not added."""
    shape = schema.map if schema is not None else None
    items = schema.list if schema is not None else None
    out: Tree = {}
    for text, node in tree.items():
        if text == SELF or not node:
            out[text] = node
            continue
        below: Schema | None = None
        if text[0] == "f" and shape is not None:
            below = shape.member(text[2:])
        elif text[0] == "k" and items is not None:
            below = items.item
        node = with_members(below, node)
        if text[0] == "f" and shape is not None and text[2:] in shape.fields and SELF not in node:
            node = {SELF: LEAF, **node}
        out[text] = node
    return out


# Merge and remove


def merge(schema: Schema, left: Json, right: Json) -> Json:
    """The left value with what the right one says. ABSENT on one side is no value. Raises Mismatch."""
    match schema.kind(left if right is ABSENT else right):
        case "map":
            mine = left if isinstance(left, dict) else {}
            yours = right if isinstance(right, dict) else {}
            if schema.map is not None and not schema.map.atomic and (mine or yours):
                return _merge_maps(schema.map, mine, yours)
        case "list":
            ours = left if isinstance(left, list) else []
            theirs = right if isinstance(right, list) else []
            if schema.list is not None and not schema.list.atomic and (ours or theirs):
                return _merge_lists(schema.list, ours, theirs)
        case _:
            pass
    return left if right is ABSENT else right


def _merge_maps(shape: Map, left: dict[str, Json], right: dict[str, Json]) -> Json:
    out = dict(left)
    for name, value in right.items():
        schema = shape.member(name)
        out[name] = merge(schema, left.get(name, ABSENT), value) if schema is not None else value
    return out


def _merge_lists(shape: List, left: list[Json], right: list[Json]) -> list[Json]:
    """Items in the order of the right list, each new or untouched one of the left where it stood among them."""
    mine, yours = _indexed(shape, left, repeated=True), _indexed(shape, right, repeated=False)
    ours, theirs = [text for text, _ in mine], [text for text, _ in yours]
    lefts: dict[str, Json] = {}
    for text, item in mine:
        lefts[text] = None if text in lefts else item  # nobody can say which of the same is meant
    rights = dict(yours)
    shared = iter([text for text in theirs if text in lefts])
    following = next(shared, None)
    out: list[Json] = []
    done: set[str] = set()

    def take(text: str) -> None:
        done.add(text)
        out.append(merge(shape.item, lefts.get(text, ABSENT), rights[text]))

    at, to = 0, 0
    while at < len(ours) or to < len(theirs):
        if at < len(ours) and to < len(theirs):
            if ours[at] == theirs[to]:
                take(ours[at])
                at, to, following = at + 1, to + 1, next(shared, None)
                continue
            if ours[at] in rights and following is not None and following != ours[at]:
                at += 1  # it comes later, in the right list's order
                continue
        if at < len(ours):
            if ours[at] not in rights:
                out.append(mine[at][1])
                at += 1
                continue
            if ours[at] in done:
                at += 1
        if to < len(theirs):
            take(theirs[to])
            if theirs[to] == following:
                following = next(shared, None)
            to += 1
    return out


def _indexed(shape: List, value: list[Json], repeated: bool) -> list[tuple[str, Json]]:
    out = [(step(shape, item), item) for item in value]
    if not repeated:
        seen: set[str] = set()
        for text, _ in out:
            if text in seen:
                raise Mismatch(f"duplicate entries for key {elements.shown(text)}")
            seen.add(text)
    return out


def remove(schema: Schema, value: Json, gone: Tree) -> Json:
    """The value without the fields of a set. What is emptied by it becomes null; parts of atomic values stay."""
    match schema.kind(value):
        case "map":
            shape = schema.map
            if not isinstance(value, dict) or shape is None or not value or shape.atomic:
                return value if isinstance(value, dict) else None
            return _remove_members(shape, value, gone) or None
        case "list":
            items = schema.list
            if not isinstance(value, list) or items is None or not value or items.atomic:
                return value if isinstance(value, list) else None
            return _remove_items(items, value, gone) or None
        case _:
            return value


def _remove_members(shape: Map, value: dict[str, Json], gone: Tree) -> dict[str, Json]:
    out: dict[str, Json] = {}
    for name, member in value.items():
        node = gone.get(f"f:{name}")
        if node is None:
            out[name] = member
        elif not fieldset.is_member(node):
            schema = shape.member(name)
            out[name] = remove(schema, member, node) if schema is not None else member
    return out


def _remove_items(shape: List, value: list[Json], gone: Tree) -> list[Json]:
    out: list[Json] = []
    for item in value:
        node = gone.get(step(shape, item))
        if node is None:
            out.append(item)
        elif not fieldset.is_member(node):
            out.append(remove(shape.item, item, node))
    return out
