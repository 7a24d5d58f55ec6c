"""Optional values, sets as lists, and what two-variable comprehensions build maps with.

`or`, `orValue` and the optional selections are evaluated by the planner. Sets are cel-go's `sets` extension.
"""

from __future__ import annotations

from typing import Any

from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import Overload
from kijabi.api.cel.values import MISSING, NONE, GrowingMap, Optional, equal, find, is_zero, keys, map_key, shown


def _of_non_zero(value: Any) -> Optional:
    return NONE if is_zero(value) else Optional(value)


def _first(items: Any) -> Optional:
    return Optional(items[0]) if len(items) else NONE


def _last(items: Any) -> Optional:
    return Optional(items[len(items) - 1]) if len(items) else NONE


def _unwrap(items: Any) -> list[Any]:
    found = []
    for item in items:
        if not isinstance(item, Optional):
            raise CelError(f"value {shown(item)} is not optional")
        if item.value is not MISSING:
            found.append(item.value)
    return found


def _insert(into: Any, key: Any, value: Any) -> Any:
    if find(into, key) is not MISSING:
        raise CelError(f"insert failed: key {shown(key)} already exists")
    grown = into if into.__class__ is GrowingMap else GrowingMap({map_key(one): find(into, one) for one in keys(into)})
    grown[map_key(key)] = value
    return grown


def _insert_all(into: Any, entries: Any) -> Any:
    for key in keys(entries):
        into = _insert(into, key, find(entries, key))
    return into


def _contains(items: Any, value: Any) -> bool:
    return any(equal(value, item) for item in items)


def _sets_contains(items: Any, part: Any) -> bool:
    return all(_contains(items, item) for item in part)


def _sets_equivalent(one: Any, other: Any) -> bool:
    return _sets_contains(one, other) and _sets_contains(other, one)


def _sets_intersects(one: Any, other: Any) -> bool:
    return any(_contains(other, item) for item in one)


LIBRARY = (
    Overload("optional_of", "optional.of(V) -> optional(V)", Optional),
    Overload("optional_ofNonZeroValue", "optional.ofNonZeroValue(V) -> optional(V)", _of_non_zero),
    Overload("optional_none", "optional.none() -> optional(V)", lambda: NONE),
    Overload("optional_value", "optional(V).value() -> V", Optional.get),
    Overload("optional_hasValue", "optional(V).hasValue() -> bool", lambda one: one.value is not MISSING),
    Overload("optional_or_optional", "optional(V).or(optional(V)) -> optional(V)"),
    Overload("optional_orValue_value", "optional(V).orValue(V) -> V"),
    Overload("select_optional_field", "_?._(dyn, string) -> optional(V)"),
    Overload("list_optindex_optional_int", "_[?_](list(V), int) -> optional(V)"),
    Overload("optional_list_optindex_optional_int", "_[?_](optional(list(V)), int) -> optional(V)"),
    Overload("map_optindex_optional_value", "_[?_](map(K, V), K) -> optional(V)"),
    Overload("optional_map_optindex_optional_value", "_[?_](optional(map(K, V)), K) -> optional(V)"),
    Overload("optional_list_index_int", "_[_](optional(list(V)), int) -> optional(V)"),
    Overload("optional_map_index_value", "_[_](optional(map(K, V)), K) -> optional(V)"),
    Overload("list_first", "list(V).first() -> optional(V)", _first),
    Overload("list_last", "list(V).last() -> optional(V)", _last),
    Overload("optional_unwrap", "optional.unwrap(list(optional(V))) -> list(V)", _unwrap),
    Overload("optional_unwrapOpt", "list(optional(V)).unwrapOpt() -> list(V)", _unwrap),
    Overload("list_sets_contains_list", "sets.contains(list(T), list(T)) -> bool", _sets_contains),
    Overload("list_sets_equivalent_list", "sets.equivalent(list(T), list(T)) -> bool", _sets_equivalent),
    Overload("list_sets_intersects_list", "sets.intersects(list(T), list(T)) -> bool", _sets_intersects),
    Overload("cel.@mapInsert_map_key_value", "cel.@mapInsert(map(K, V), K, V) -> map(K, V)", _insert),
    Overload("cel.@mapInsert_map_map", "cel.@mapInsert(map(K, V), map(K, V)) -> map(K, V)", _insert_all),
)
