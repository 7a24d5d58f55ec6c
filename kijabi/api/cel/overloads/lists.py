"""Functions of lists: cel-go's list extension (version 3) and Kubernetes' own (`sum`, `isSorted`, `includes` …)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cmp_to_key
from typing import Any

from kijabi.api.cel.costs import PER_CALL_LIMIT
from kijabi.api.cel.errors import EXCEEDED, CelError, CostExceeded
from kijabi.api.cel.functions import Overload
from kijabi.api.cel.overloads.standard import int64, uint64
from kijabi.api.cel.values import COMPARABLE, Duration, Timestamp, Uint, compare, equal, is_list, type_of

MAX_RANGE = 10_000_000
_COMPARABLE = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_LONG = {"duration": "google.protobuf.Duration", "timestamp": "google.protobuf.Timestamp"}


def _slice(items: Any, start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise CelError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise CelError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if len(items) < end:
        raise CelError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return [items[index] for index in range(start, end)]


def _flatten_once(items: Any) -> list[Any]:
    if not is_list(items):
        raise CelError(f"no such overload: {type_of(items)}.flatten()")
    return _flatten(items, 1)


def _flatten_deep(items: Any, depth: Any) -> list[Any]:
    if not is_list(items) or depth.__class__ is not int:
        raise CelError(f"no such overload: {type_of(items)}.flatten({type_of(depth)})")
    return _flatten(items, depth)


def _flatten(items: Any, depth: int) -> list[Any]:
    if depth < 0:
        raise CelError("level must be non-negative")
    found: list[Any] = []
    for item in items:
        if depth and is_list(item):
            found.extend(_flatten(item, depth - 1))
        else:
            found.append(item)
    return found


def _sorted_by(items: Any, order: Any) -> Any:
    if not is_list(items) or not is_list(order):
        raise CelError("no such overload")
    if len(items) != len(order):
        raise CelError(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got "
            f"{len(items)} and {len(order)} elements respectively"
        )
    ranks = list(order)
    if not ranks:
        return items
    if ranks[0].__class__ not in COMPARABLE:
        raise CelError("list elements must be comparable")
    if len(ranks) > 1 and any(rank.__class__ is not ranks[0].__class__ for rank in ranks):
        raise CelError("list elements must have the same type")
    key = cmp_to_key(compare)
    return [items[index] for index in sorted(range(len(ranks)), key=lambda index: key(ranks[index]))]


def _sorted(items: Any) -> Any:
    if not is_list(items) and not isinstance(items, str | Timestamp | Duration):
        raise CelError("no such overload: sort")
    return _sorted_by(items, items)


def _range(size: int) -> list[int]:
    if size < 0:
        raise CelError(f"lists.range: size must be non-negative, got {size}")
    if size > MAX_RANGE:
        raise CelError(f"lists.range: size {size} exceeds maximum allowed ({MAX_RANGE})")
    if size > PER_CALL_LIMIT:
        raise CostExceeded(EXCEEDED)  # as its cost would say afterwards
    return list(range(size))


def _reversed(items: Any) -> list[Any]:
    return list(items)[::-1]


def _distinct(items: Any) -> Any:
    found: list[Any] = []
    for item in items:
        if not any(equal(item, other) for other in found):
            found.append(item)
    return found


def _is_sorted(items: Any) -> bool:
    previous: Any = None
    for index, item in enumerate(items):
        if item.__class__ not in COMPARABLE:
            raise CelError("no such overload")
        if index and compare(previous, item) > 0:
            return False
        previous = item
    return True


def _sum(add: Callable[[Any, Any], Any], zero: Any) -> Callable[[Any], Any]:
    def total(items: Any) -> Any:
        found = zero
        for item in items:
            if item.__class__ is not zero.__class__:
                raise CelError("no such overload")
            found = add(found, item)
        return found

    return total


_SUMS: dict[str, Callable[[Any], Any]] = {
    "int": _sum(lambda a, b: int64(a + b), 0),
    "uint": _sum(lambda a, b: uint64(a + b), Uint(0)),
    "double": _sum(lambda a, b: a + b, 0.0),
    "duration": _sum(lambda a, b: Duration(int64(a.nanos + b.nanos)), Duration(0)),
}


def _best(name: str, sign: int) -> Callable[[Any], Any]:
    def choose(items: Any) -> Any:
        found: Any = None
        for index, item in enumerate(items):
            if item.__class__ not in COMPARABLE:
                raise CelError("no such overload")
            if not index or compare(item, found) * sign > 0:
                found = item
        if not len(items):
            raise CelError(f"{name} called on empty list")
        return found

    return choose


def _index_of(items: Any, value: Any) -> int:
    return next((index for index, item in enumerate(items) if equal(item, value)), -1)


def _last_index_of(items: Any, value: Any) -> int:
    return next((index for index in range(len(items) - 1, -1, -1) if equal(items[index], value)), -1)


def _includes(target: Any, value: Any) -> bool:
    if is_list(target):
        return any(equal(item, value) for item in target)
    return equal(target, value)


LIBRARY = (
    Overload("list_slice", "list(T).slice(int, int) -> list(T)", _slice),
    Overload("list_flatten", "list(list(T)).flatten() -> list(T)", _flatten_once, guarded=False),
    Overload("list_flatten_int", "list(dyn).flatten(int) -> list(dyn)", _flatten_deep, guarded=False),
    *(
        Overload(f"list_{_LONG.get(t, t)}_sort", f"list({t}).sort() -> list({t})", _sorted, guarded=False)
        for t in _COMPARABLE
    ),
    *(
        Overload(
            f"list_{_LONG.get(t, t)}_sortByAssociatedKeys",
            f"list(T).@sortByAssociatedKeys(list({t})) -> list(T)",
            _sorted_by,
            guarded=False,
        )
        for t in _COMPARABLE
    ),
    Overload("lists_range", "lists.range(int) -> list(int)", _range),
    Overload("list_reverse", "list(T).reverse() -> list(T)", _reversed),
    Overload("list_distinct", "list(T).distinct() -> list(T)", _distinct),
    *(Overload(f"list_{t}_is_sorted_bool", f"list({t}).isSorted() -> bool", _is_sorted) for t in _COMPARABLE),
    *(Overload(f"list_{t}_sum_{t}", f"list({t}).sum() -> {t}", call) for t, call in _SUMS.items()),
    *(Overload(f"list_{t}_max_{t}", f"list({t}).max() -> {t}", _best("max", 1)) for t in _COMPARABLE),
    *(Overload(f"list_{t}_min_{t}", f"list({t}).min() -> {t}", _best("min", -1)) for t in _COMPARABLE),
    Overload("list_a_index_of_int", "list(A).indexOf(A) -> int", _index_of),
    Overload("list_a_last_index_of_int", "list(A).lastIndexOf(A) -> int", _last_index_of),
    Overload("list_includes_dyn_dyn", "dyn.includes(dyn) -> bool", _includes),
)
