"""JSON values seen through a schema: what `self` and everything reached from it are.

`read` turns a JSON value into a value of the language as its `Declared` type says: times and bytes are parsed from
their text, whole numbers of type number become doubles, objects and lists become views that do the same for what is in
them, when it is asked for. Lists of type `set` and `map` compare and add regardless of order. As k8s.io/apiserver
`pkg/cel/common` has it; nothing is copied.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from kijabi.api.cel import times, types
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.types import Declared, Type
from kijabi.api.cel.values import (
    MAX_INT,
    MISSING,
    Duration,
    Lister,
    Mapper,
    Timestamp,
    concat,
    equal,
    find,
    is_list,
    is_map,
)

_SPANS = re.compile(r"(\d+)\s*([A-Za-zµ]+)", re.ASCII)
_SECOND = 10**9
_LONG_UNITS = (
    (1, ("ns", "nano")), (10**3, ("us", "µs", "micro")), (10**6, ("ms", "milli")), (_SECOND, ("s", "second")),
    (60 * _SECOND, ("m", "minute")), (3600 * _SECOND, ("h", "hour")), (86400 * _SECOND, ("d", "day")),
    (604800 * _SECOND, ("w", "wk", "week")),
)  # fmt: skip


class _Described(Mapper):
    """A JSON object beside what its schema says of it."""

    __slots__ = ("declared", "raw")
    cel_type: ClassVar[Type] = types.MAP
    strict: ClassVar[bool] = True

    def __init__(self, raw: dict[str, Any], declared: Declared) -> None:
        self.raw = raw
        self.declared = declared

    def __len__(self) -> int:
        return len(self.raw)


class ObjectValue(_Described):
    """An object with properties. Null counts as absent; keys are escaped names."""

    __slots__ = ()

    def keys(self) -> Iterator[Any]:
        properties = self.declared.properties
        return (types.escape(name) or name for name in self.raw if name in properties)

    def find(self, key: Any) -> Any:
        if key.__class__ is not str:
            raise CelError("no such overload")
        field = self.declared.field(key)
        if field is None:
            return MISSING
        value = self.raw.get(field.name)
        return MISSING if value is None else read(value, field.type)

    def equals(self, other: Any) -> bool:
        if len(self) != len(other):
            return False
        for name, value in self.raw.items():
            declared = self.declared.properties.get(name)
            if declared is None:
                theirs = other.raw.get(name, MISSING) if isinstance(other, ObjectValue) else MISSING
                if theirs is not MISSING and theirs != value:
                    return False
                continue
            key = types.escape(name) or name
            mine, found = self.find(key), _theirs(other, key)
            if (mine is MISSING) != (found is MISSING):
                return False
            if mine is not MISSING and not equal(mine, found):
                return False
        return True


class MapValue(_Described):
    """An object with additionalProperties: a map from text."""

    __slots__ = ()

    def keys(self) -> Iterator[Any]:
        return iter(self.raw)

    def find(self, key: Any) -> Any:
        if key.__class__ is not str:
            raise CelError("no such overload")
        value = self.raw.get(key, MISSING)
        assert self.declared.element is not None
        return MISSING if value is MISSING else read(value, self.declared.element)

    def equals(self, other: Any) -> bool:
        return len(self) == len(other) and all(equal(self.find(key), _theirs(other, key)) for key in self.raw)


class ListValue(Lister):
    """An array. A set or a map of its schema is equal to one with the same items in another order."""

    __slots__ = ("declared", "raw")
    cel_type: ClassVar[Type] = types.LIST
    strict: ClassVar[bool] = True

    def __init__(self, raw: Any, declared: Declared) -> None:
        self.raw = raw
        self.declared = declared

    def __len__(self) -> int:
        return len(self.raw)

    def __iter__(self) -> Iterator[Any]:
        element = self.declared.element
        assert element is not None
        return (read(item, element) for item in self.raw)

    def __getitem__(self, index: int) -> Any:
        assert self.declared.element is not None
        return read(self.raw[index], self.declared.element)

    def equals(self, other: Any) -> bool:
        if len(self) != len(other):
            return False
        return _equal_in_kind(self, other, self.declared)

    def plus(self, other: Any) -> Any:
        if self.declared.list_type == "set":
            return _SetList(_united(self, other), self.declared)
        if self.declared.list_type == "map":
            return _SetList(_merged(self, other, self.declared), self.declared)
        return concat(self, other)


class _SetList(Lister):
    """What adding to a set or to a map of a schema gives: it goes on as one."""

    __slots__ = ("declared", "items")

    def __init__(self, items: list[Any], declared: Declared) -> None:
        self.items = items
        self.declared = declared

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]

    def equals(self, other: Any) -> bool:
        return len(self) == len(other) and _equal_in_kind(self, other, self.declared)

    def plus(self, other: Any) -> Any:
        united = _united(self, other) if self.declared.list_type == "set" else _merged(self, other, self.declared)
        return _SetList(united, self.declared)


def _equal_in_kind(one: Lister, other: Any, declared: Declared) -> bool:
    if declared.list_type == "set":
        mine, theirs = set(map(_set_key, one)), set(map(_set_key, other))
        return mine == theirs
    if declared.list_type == "map":
        known = {_map_key(item, declared): item for item in one}
        seen = set()
        for item in other:
            key = _map_key(item, declared)
            if key not in known or not equal(known[key], item):
                return False
            seen.add(key)
        return len(seen) == len(known)
    return all(equal(item, _at(other, index)) for index, item in enumerate(one))


def _theirs(other: Any, key: str) -> Any:
    """A value of the other side; one that its schema cannot read is equal to nothing."""
    try:
        return find(other, key)
    except CelError:
        return _UNREADABLE


def _at(other: Any, index: int) -> Any:
    try:
        return other[index]
    except CelError:
        return _UNREADABLE


_UNREADABLE = object()


def _set_key(item: Any) -> Any:
    if is_list(item) or is_map(item):
        raise CelError("listSet operations are only supported on lists of scalar values")
    return (item.__class__ is bool, item)


def _map_key(item: Any, declared: Declared) -> Any:
    found = []
    for name in declared.list_keys:
        value = item.raw.get(name) if isinstance(item, ObjectValue) else _find(item, types.escape(name) or name)
        found.append(None if value is MISSING or is_list(value) or is_map(value) else (value.__class__ is bool, value))
    return tuple(found)


def _find(item: Any, name: str) -> Any:
    return find(item, name) if is_map(item) else MISSING


def _united(one: Any, other: Any) -> list[Any]:
    items = list(one)
    seen = set(map(_set_key, items))
    for item in other:
        key = _set_key(item)
        if key not in seen:
            seen.add(key)
            items.append(item)
    return items


def _merged(one: Any, other: Any, declared: Declared) -> list[Any]:
    items = list(one)
    places = {_map_key(item, declared): index for index, item in enumerate(items)}
    for item in other:
        place = places.get(_map_key(item, declared))
        if place is None:
            items.append(item)
        else:
            items[place] = item
    return items


# Reading


def _object(value: Any, declared: Declared) -> Any:
    if not isinstance(value, dict):
        raise CelError("invalid data, expected a map for the provided schema with type=object")
    return ObjectValue(value, declared)


def _map(value: Any, declared: Declared) -> Any:
    if not isinstance(value, dict):
        raise CelError("invalid data, expected a map for the provided schema with type=object")
    return MapValue(value, declared)


def _array(value: Any, declared: Declared) -> Any:
    if not isinstance(value, list | tuple):
        raise CelError("invalid data, expected an array for the provided schema with type=array")
    return ListValue(value, declared)


def _text(value: Any) -> str:
    if value.__class__ is not str:
        raise CelError(f"invalid data, expected string, got {_go_name(value)}")
    return str(value)


def _string(value: Any, _: Declared) -> Any:
    return _text(value)


def _duration(value: Any, _: Declared) -> Any:
    text = _text(value)
    found = times.parse_duration(text)
    if found is not None:
        return found
    total, known = 0, False
    for match in _SPANS.finditer(text):
        unit = match[2].lower()
        for nanos, names in _LONG_UNITS:
            if unit in names or unit.startswith(names[-1]):
                known = True
                total += int(match[1][:19]) * nanos
    if not known or abs(total) > MAX_INT:
        raise CelError(f"Invalid duration {text}: unable to parse {text} as duration")
    return Duration(total)


def _date(value: Any, _: Declared) -> Any:
    text = _text(value)
    found = times.parse_timestamp(f"{text}T00:00:00Z") if len(text) == 10 else None
    if found is None:
        raise CelError(
            f'Invalid date formatted string {text}: parsing time "{text}" as "2006-01-02": '
            f'cannot parse "{text}" as "2006"'
        )
    return found


def _date_time(value: Any, _: Declared) -> Any:
    text = _text(value)
    if not text:
        return Timestamp(0)
    found = times.parse_timestamp(text) or times.parse_timestamp(f"{text}Z")
    if found is None:
        raise CelError(
            f'Invalid date-time formatted string {text}: parsing time "{text}" as "2006-01-02T15:04:05": '
            f'cannot parse "{text}" as "2006"'
        )
    return found


def _bytes(value: Any, _: Declared) -> Any:
    text = _text(value)
    try:
        return base64.b64decode(text.encode(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CelError(f"Invalid byte formatted string {text}: illegal base64 data at input byte 0") from None


def _number(value: Any, _: Declared) -> Any:
    if value.__class__ in (int, float):
        return float(value)
    raise CelError(f"invalid data, expected float, got {_go_name(value)}")


def _integer(value: Any, _: Declared) -> Any:
    if value.__class__ is int:
        return value
    raise CelError(f"invalid data, expected int, got {_go_name(value)}")


def _boolean(value: Any, _: Declared) -> Any:
    if value.__class__ is bool:
        return value
    raise CelError(f"invalid data, expected bool, got {_go_name(value)}")


def _int_or_string(value: Any, _: Declared) -> Any:
    if value.__class__ in (int, str):
        return value
    raise CelError("invalid data, expected XIntOrString value to be either a string or integer")


_READERS: dict[str, Callable[[Any, Declared], Any]] = {
    "object": _object, "map": _map, "array": _array, "string": _string, "duration": _duration, "date": _date,
    "date-time": _date_time, "byte": _bytes, "number": _number, "integer": _integer, "boolean": _boolean,
    "int-or-string": _int_or_string, "plain": lambda value, _: value,
}  # fmt: skip
_GO_NAMES = {
    bool: "bool", int: "int64", float: "float64", str: "string", dict: "map[string]interface {}",
    list: "[]interface {}",
}  # fmt: skip


def _go_name(value: Any) -> str:
    return _GO_NAMES.get(value.__class__, "<nil>")


def read(value: Any, declared: Declared) -> Any:
    """A JSON value as the schema says. CelError where it does not fit."""
    if value is None and declared.form != "plain":
        if declared.nullable:
            return None
        raise CelError("invalid data, got null for schema with nullable=false")
    return _READERS[declared.form](value, declared)
