"""Strategic merge patch: a merge that knows the types (Kubernetes API conventions, "Strategic Merge Patch").

The API server's patch handler gives the stored object as builtins with the decoded patch and the type; what
comes back it decodes, defaults and validates. Pure: neither document is written to. Lists of objects merge by
the merge key that the type's Tags name, and directives in the patch say what a merge alone cannot:

    {"$patch": "delete", "name": "x"}       in a merged list: remove that item; `replace`: the patch is the
    whole list {"$patch": "replace", ...}              in an object: these fields and no others; `delete`:
    empty it "$setElementOrder/containers": [...]    the order that the merged list gets
    "$deleteFromPrimitiveList/finalizers"   values to remove from a merged list of scalars "$retainKeys":
    [...]                    fields of the object that stay, all others go (unions such as a volume)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from kijabi.api import status
from kijabi.api.gotext import display
from kijabi.api.patch import Json, Object, bounded, same
from kijabi.api.struct import Struct, Tag
from kijabi.base.errors import ApiError, BadRequest

_MARK = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


class _Field(msgspec.Struct, frozen=True):
    """How a field merges. type: of the object, of a list's items or of a map's values; None where it is a
    scalar."""

    type: Any = None
    strategy: str = ""
    key: str = ""


def strategic_merge(document: Object, patch: Object, cls: type[Struct]) -> Object:
    """The document, an object of type `cls`, with the patch merged in. Raises BadRequest or another
    ApiError."""
    if not isinstance(patch, dict):
        raise BadRequest("invalid JSON document")
    return _merge(copy.deepcopy(document), copy.deepcopy(bounded(patch)), cls)


@cache
def _fields(cls: Any) -> dict[str, _Field]:
    """The fields of a type by their names on the wire."""
    hints = get_type_hints(cls, include_extras=True)
    names = dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
    return {names[name]: _field(hint) for name, hint in hints.items() if name in names}


def _field(hint: Any) -> _Field:
    """Read the Tag and the inner type off an annotation such as `Annotated[tuple[Container, ...], Tag(2,
    …)]`."""
    strategies: set[str] = set()
    key = ""
    inner = hint
    while True:
        origin = get_origin(inner)
        if origin is Annotated:
            for mark in get_args(inner)[1:]:
                if isinstance(mark, Tag):
                    strategies.update(mark.strategy.split(","))
                    key = key or mark.mergeKey
            inner = get_args(inner)[0]
        elif origin in (Union, UnionType):
            options = [option for option in get_args(inner) if option is not type(None)]
            if len(options) != 1:
                return _Field()
            inner = options[0]
        elif origin is tuple:
            inner = get_args(inner)[0]
        elif origin is dict:
            inner = get_args(inner)[1]
            return _Field(dict[str, inner], _strategy(strategies), key)  # type: ignore[valid-type]
        else:
            known = isinstance(inner, type) and issubclass(inner, msgspec.Struct)
            return _Field(inner if known else None, _strategy(strategies), key)


def _strategy(strategies: Iterable[str]) -> str:
    return "merge" if "merge" in strategies else "replace" if "replace" in strategies else ""


def _lookup(cls: Any, key: str) -> _Field:
    if get_origin(cls) is dict:
        return _Field(_field(get_args(cls)[1]).type)
    found = _fields(cls).get(key) if cls is not None else None
    if found is None:
        raise _failed(
            f'unable to find api field in struct {getattr(cls, "__name__", "")} for the json field "{key}"'
        )
    return found


def _failed(reason: str) -> ApiError:
    """What upstream answers when a strategic merge breaks off: a plain 500 with the reason as text."""
    return ApiError(reason, code=500)


def _merge(original: Object, patch: Object, cls: Any) -> Object:
    """Merge into `original`, which is ours to change; so is the patch."""
    mark = patch.pop(_MARK, None)
    if mark == "replace":
        return patch
    if mark == "delete":
        return {}
    if mark is not None:
        raise _failed(f"unknown patch type: {display(mark)} in map: {display({_MARK: mark, **patch})}")
    _retain_keys(original, patch)
    _merge_ordered_lists(original, patch, cls)
    for name, value in patch.items():
        deletes = name.startswith(_DELETE)
        key = name.removeprefix(_DELETE)
        if value is None:
            original.pop(key, None)
            continue
        old = original.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            field = _lookup(cls, key)
            original[key] = value if field.strategy == "replace" else _merge(old, value, field.type)
        elif isinstance(old, list) and isinstance(value, list):
            original[key] = _merge_field_list(old, value, _lookup(cls, key), deletes)
        elif not deletes:
            _take(original, key, value)
    return original


def _take(original: Object, key: str, value: Json) -> None:
    """Put a value in that has nothing to merge with: its nulls and directives mean nothing now."""
    if isinstance(value, dict) and _MARK in value:
        original.pop(key, None)
    else:
        original[key] = _plain(value)


def _plain(value: Json) -> Json:
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if item is not None and not _marked(item)}
        return {key: _plain(item) for key, item in kept.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value if not _marked(item)]
    return value


def _marked(value: Json) -> bool:
    return isinstance(value, dict) and _MARK in value


def _retain_keys(original: Object, patch: Object) -> None:
    if _RETAIN not in patch:
        return
    keep = patch.pop(_RETAIN)
    if not isinstance(keep, list) or not all(isinstance(key, str) for key in keep):
        raise BadRequest("invalid patch format of retainKeys")
    for key, value in patch.items():
        if value is not None and not key.startswith((_DELETE, _ORDER)) and key not in keep:
            raise BadRequest("invalid patch format of retainKeys")
    for key in [key for key in original if key not in keep]:
        del original[key]


def _merge_ordered_lists(original: Object, patch: Object, cls: Any) -> None:
    """Merge the lists whose order the patch gives, and take them out of the patch."""
    for name in [name for name in patch if name.startswith(_ORDER)]:
        order, key = patch.pop(name), name.removeprefix(_ORDER)
        old, new = original.get(key), patch.get(key)
        for value in (order, old, new):
            if value is not None and not isinstance(value, list):
                raise _failed(f"expected a []interface {{}}, but received a {_go_type(value)}")
        if order is None:
            raise _failed("expected a []interface {}, but received a %!s(<nil>)")
        field = _lookup(cls, key)
        _check_order(new or [], order, field.key)
        if old is None and new is None:
            continue
        if old is None:
            merged = _plain(new)
        elif new is None:
            merged = old
        else:
            merged = _merge_field_list(old, new, field, False)
        patch.pop(key, None)
        original[key] = _arrange(merged, order, old or [], field.key)


def _go_type(value: Json) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int():
            return "int64"
        case float():
            return "float64"
        case _:
            return "map[string]interface {}"


def _check_order(new: Sequence[Json], order: Sequence[Json], key: str) -> None:
    """The patch's own items must come in the order that it sets."""
    items = [item for item in new if not _marked(item)]
    if not items or not order:
        return
    places = iter([_identity(entry, key) for entry in order])
    for item in items:
        mine = _identity(item, key)
        if not any(same(mine, place) for place in places):
            raise _failed(
                f"The order in patch list:\n{display(new)}\n doesn't match $setElementOrder "
                f"list:\n{display(order)}\n"
            )


def _identity(item: Json, key: str) -> Json:
    """What tells an item from the others: its merge key's value, or a scalar itself."""
    if not key:
        return item
    if not isinstance(item, dict):
        raise _failed(f"expected a map[string]interface {{}}, but received a {_go_type(item)}")
    if key not in item:
        raise _failed(f"map: {display(item)} does not contain declared merge key: {key}")
    return item[key]


def _merge_field_list(old: list[Json], new: list[Json], field: _Field, deletes: bool) -> list[Json]:
    if not deletes and field.strategy != "merge":
        return new
    if not old and not new:
        return old
    kinds = {_go_type(item) for item in (*old, *new)}
    if any(isinstance(item, list) for item in (*old, *new)):
        raise status.generic(422, said="lists of lists are not supported")
    if len(kinds) > 1:
        raise _failed(f"list element types are not identical: {display([old, new])}")
    if kinds != {"map[string]interface {}"}:
        if deletes:
            return [item for item in old if item not in new]
        merged = list(dict.fromkeys([*old, *new]))
        return _arrange(merged, new, old, "")
    if not field.key:
        raise _failed("cannot merge lists without merge key for struct")
    return _merge_objects(old, new, field)


def _merge_objects(old: list[Json], new: list[Json], field: _Field) -> list[Json]:
    """Merge two lists of objects item by item, by their merge key."""
    items: list[Object] = []
    replace = False
    for item in new:
        mark = item.get(_MARK)
        if mark is None:
            items.append(item)
        elif mark == "delete":
            gone = _identity(item, field.key)
            old = [each for each in old if not same(each.get(field.key), gone)]
        elif mark == "replace":
            replace = True
        elif mark == "merge":
            raise _failed("merging lists cannot yet be specified in the patch")
        else:
            raise _failed(f"unknown patch type: {display(mark)} in map: {display(item)}")
    if replace:
        return items
    merged = list(old)
    for item in items:
        mine = _identity(item, field.key)
        at = next((i for i, each in enumerate(merged) if same(each.get(field.key), mine)), None)
        if at is None:
            merged.append(_plain(item))
        else:
            merged[at] = _merge(merged[at], item, field.type)
    return _arrange(merged, items, old, field.key)


def _arrange(items: list[Json], order: Sequence[Json], before: Sequence[Json], key: str) -> list[Json]:
    """Put the items that `order` names in that order, and the others among them as they stood `before`.

    The two runs are merged: an item that the order does not name goes first only where it stood before the
    next named one.
    """
    wanted = [_identity(entry, key) for entry in order]
    stood = [_identity(entry, key) for entry in before]
    named: list[Json] = []
    others: list[Json] = []
    for item in items:
        place = _place(_identity(item, key), wanted)
        (others if place is None else named).append(item)
    named.sort(key=lambda item: _place(_identity(item, key), wanted) or 0)
    others.sort(key=_rank(stood, key))
    arranged: list[Json] = []
    while named and others:
        left, right = _place(_identity(others[0], key), stood), _place(_identity(named[0], key), stood)
        first = left is not None and right is not None and left < right
        arranged.append(others.pop(0) if first else named.pop(0))
    return [*arranged, *named, *others]


def _rank(stood: Sequence[Json], key: str) -> Callable[[Json], int]:
    def rank(item: Json) -> int:
        place = _place(_identity(item, key), stood)
        return len(stood) if place is None else place

    return rank


def _place(identity: Json, among: Sequence[Json]) -> int | None:
    return next((index for index, each in enumerate(among) if same(each, identity)), None)
