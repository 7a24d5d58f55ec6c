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
from collections.abc import Callable, Sequence

from kijabi.api import status
from kijabi.api.gotext import display
from kijabi.api.patch import Json, Object, bounded, same
from kijabi.api.shape import Shape, fields
from kijabi.api.struct import Struct, Tag
from kijabi.base.errors import ApiError, BadRequest

_MARK = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def strategic_merge(document: Object, patch: Object, cls: type[Struct]) -> Object:
    """The document, an object of type `cls`, with the patch merged in. Raises BadRequest or another
    ApiError."""
    if not isinstance(patch, dict):
        raise BadRequest("invalid JSON document")
    shape = Shape("struct", struct=cls)
    return _merge(copy.deepcopy(document), copy.deepcopy(bounded(patch)), shape)


def _lookup(shape: Shape, key: str) -> tuple[Shape, Tag]:
    """What a member of a struct or map holds, and how it merges. Raises ApiError for an unknown one."""
    if shape.kind == "map" and shape.item is not None:
        return shape.item, Tag()
    found = fields(shape.struct).get(key) if shape.kind == "struct" and shape.struct is not None else None
    if found is None:
        name = shape.struct.__name__ if shape.struct is not None else shape.kind
        raise _failed(f'unable to find api field in struct {name} for the json field "{key}"')
    return found.shape, found.tag


def _merges(tag: Tag) -> bool:
    return "merge" in tag.strategy.split(",")


def _failed(reason: str) -> ApiError:
    """What upstream answers when a strategic merge breaks off: a plain 500 with the reason as text."""
    return ApiError(reason, code=500)


def _merge(original: Object, patch: Object, shape: Shape) -> Object:
    """Merge into `original`, which is ours to change; so is the patch."""
    mark = patch.pop(_MARK, None)
    if mark == "replace":
        return patch
    if mark == "delete":
        return {}
    if mark is not None:
        raise _failed(f"unknown patch type: {display(mark)} in map: {display({_MARK: mark, **patch})}")
    _retain_keys(original, patch)
    _merge_ordered_lists(original, patch, shape)
    for name, value in patch.items():
        deletes = name.startswith(_DELETE)
        key = name.removeprefix(_DELETE)
        if value is None:
            original.pop(key, None)
            continue
        old = original.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            inner, tag = _lookup(shape, key)
            original[key] = value if "replace" in tag.strategy else _merge(old, value, inner)
        elif isinstance(old, list) and isinstance(value, list):
            original[key] = _merge_lists(old, value, *_lookup(shape, key), deletes)
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


def _merge_ordered_lists(original: Object, patch: Object, shape: Shape) -> None:
    """Merge the lists whose order the patch gives, and take them out of the patch."""
    for name in [name for name in patch if name.startswith(_ORDER)]:
        order, key = patch.pop(name), name.removeprefix(_ORDER)
        old, new = original.get(key), patch.get(key)
        for value in (order, old, new):
            if value is not None and not isinstance(value, list):
                raise _failed(f"expected a []interface {{}}, but received a {_go_type(value)}")
        if order is None:
            raise _failed("expected a []interface {}, but received a %!s(<nil>)")
        inner, tag = _lookup(shape, key)
        _check_order(new or [], order, tag.mergeKey)
        if old is None and new is None:
            continue
        if old is None:
            merged = _plain(new)
        elif new is None:
            merged = old
        else:
            merged = _merge_lists(old, new, inner, tag, False)
        patch.pop(key, None)
        original[key] = _arrange(merged, order, old or [], tag.mergeKey)


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
                f"The order in patch list:\n{display(new)}\n doesn't match $setElementOrder list:\n{display(order)}\n"
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


def _merge_lists(old: list[Json], new: list[Json], shape: Shape, tag: Tag, deletes: bool) -> list[Json]:
    if not deletes and not _merges(tag):
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
    if not tag.mergeKey:
        raise _failed("cannot merge lists without merge key for struct")
    return _merge_objects(old, new, shape.item or shape, tag.mergeKey)


def _merge_objects(old: list[Json], new: list[Json], shape: Shape, key: str) -> list[Json]:
    """Merge two lists of objects item by item, by their merge key."""
    items: list[Object] = []
    replace = False
    for item in new:
        mark = item.get(_MARK)
        if mark is None:
            items.append(item)
        elif mark == "delete":
            gone = _identity(item, key)
            old = [each for each in old if not same(each.get(key), gone)]
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
        mine = _identity(item, key)
        at = next((i for i, each in enumerate(merged) if same(each.get(key), mine)), None)
        if at is None:
            merged.append(_plain(item))
        else:
            merged[at] = _merge(merged[at], item, shape)
    return _arrange(merged, items, old, key)


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
