"""The functions of the language itself: operators, conversions, strings, time.

Signatures and ids are those of the CEL language definition as cel-go has them; arithmetic is checked for 64 bits.
`&&`, `||`, `?:` and the comparisons with `==` are evaluated by the planner, so they have no implementation here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kijabi.api.cel import times
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import Impl, Overload
from kijabi.api.cel.overloads import regexes
from kijabi.api.cel.values import (
    MAX_INT,
    MAX_UINT,
    MIN_INT,
    SECOND,
    Duration,
    Growing,
    Lister,
    Timestamp,
    Uint,
    compare,
    concat,
    equal,
    find,
    go_float,
    is_list,
    is_map,
    type_of,
)  # fmt: skip

_MAX_DOUBLE = float(2**63)


def int64(value: int) -> int:
    """A result of int arithmetic. CelError where it does not fit."""
    if MIN_INT <= value <= MAX_INT:
        return value
    raise CelError("integer overflow")


def uint64(value: int) -> Uint:
    """A result of uint arithmetic. CelError where it does not fit."""
    if 0 <= value <= MAX_UINT:
        return Uint(value)
    raise CelError("unsigned integer overflow")


def _quotient(one: int, other: int) -> int:
    if other == 0:
        raise CelError("division by zero")
    whole = abs(one) // abs(other)
    return whole if (one < 0) == (other < 0) else -whole


def _remainder(one: int, other: int) -> int:
    if other == 0:
        raise CelError("modulus by zero")
    return one - other * _quotient(one, other)


def _divide_ints(one: int, other: int) -> int:
    return int64(_quotient(one, other))


def _modulo_ints(one: int, other: int) -> int:
    if one == MIN_INT and other == -1:
        raise CelError("integer overflow")
    return _remainder(one, other)


def _divide_doubles(one: float, other: float) -> float:
    if other:
        return one / other
    if one != one or one == 0 or other != other:
        return float("nan")
    negative = (one < 0) != str(other).startswith("-")
    return float("-inf" if negative else "inf")


def _multiply_doubles(one: float, other: float) -> float:
    return one * other


def add_lists(one: Any, other: Any) -> Any:
    """`+` of lists, in the sense of the first; the list that a fold accumulates grows in place."""
    if one.__class__ is Growing:
        one.extend(other)
        return one
    if isinstance(one, Lister):
        return one.plus(other)
    return concat(one, other)


def _later(moment: Timestamp, by: int) -> Timestamp:
    nanos = moment.nanos + by
    times.checked_seconds(nanos // SECOND)
    return Timestamp(nanos, moment.offset)


def _span_sum(one: Duration, other: Duration) -> Duration:
    return Duration(int64(one.nanos + other.nanos))


def _span_between(one: Any, other: Any) -> Duration:
    return Duration(int64(one.nanos - other.nanos))


_ARITHMETIC = (
    Overload("add_bytes", "_+_(bytes, bytes) -> bytes", lambda a, b: a + b),
    Overload("add_double", "_+_(double, double) -> double", lambda a, b: a + b),
    Overload("add_duration_duration", "_+_(duration, duration) -> duration", _span_sum),
    Overload("add_duration_timestamp", "_+_(duration, timestamp) -> timestamp", lambda a, b: _later(b, a.nanos)),
    Overload("add_timestamp_duration", "_+_(timestamp, duration) -> timestamp", lambda a, b: _later(a, b.nanos)),
    Overload("add_int64", "_+_(int, int) -> int", lambda a, b: int64(a + b)),
    Overload("add_list", "_+_(list(A), list(A)) -> list(A)", add_lists),
    Overload("add_string", "_+_(string, string) -> string", lambda a, b: a + b),
    Overload("add_uint64", "_+_(uint, uint) -> uint", lambda a, b: uint64(a + b)),
    Overload("divide_double", "_/_(double, double) -> double", _divide_doubles),
    Overload("divide_int64", "_/_(int, int) -> int", _divide_ints),
    Overload("divide_uint64", "_/_(uint, uint) -> uint", lambda a, b: Uint(_quotient(a, b))),
    Overload("modulo_int64", "_%_(int, int) -> int", _modulo_ints),
    Overload("modulo_uint64", "_%_(uint, uint) -> uint", lambda a, b: Uint(_remainder(a, b))),
    Overload("multiply_double", "_*_(double, double) -> double", _multiply_doubles),
    Overload("multiply_int64", "_*_(int, int) -> int", lambda a, b: int64(a * b)),
    Overload("multiply_uint64", "_*_(uint, uint) -> uint", lambda a, b: uint64(a * b)),
    Overload("negate_double", "-_(double) -> double", lambda a: -a),
    Overload("negate_int64", "-_(int) -> int", lambda a: int64(-a)),
    Overload("subtract_double", "_-_(double, double) -> double", lambda a, b: a - b),
    Overload("subtract_duration_duration", "_-_(duration, duration) -> duration", _span_between),
    Overload("subtract_int64", "_-_(int, int) -> int", lambda a, b: int64(a - b)),
    Overload("subtract_timestamp_duration", "_-_(timestamp, duration) -> timestamp", lambda a, b: _later(a, -b.nanos)),
    Overload("subtract_timestamp_timestamp", "_-_(timestamp, timestamp) -> duration", _span_between),
    Overload("subtract_uint64", "_-_(uint, uint) -> uint", lambda a, b: uint64(a - b)),
)  # fmt: skip

_ORDERS: tuple[tuple[str, str, Impl], ...] = (
    ("_<_", "less", lambda a, b: compare(a, b) < 0), ("_<=_", "less_equals", lambda a, b: compare(a, b) <= 0),
    ("_>_", "greater", lambda a, b: compare(a, b) > 0), ("_>=_", "greater_equals", lambda a, b: compare(a, b) >= 0),
)  # fmt: skip
_ORDERED = (
    ("bool", "bool", "bool"), ("int64", "int", "int"), ("int64_double", "int", "double"),
    ("int64_uint64", "int", "uint"),
    ("uint64", "uint", "uint"), ("uint64_double", "uint", "double"), ("uint64_int64", "uint", "int"),
    ("double", "double", "double"), ("double_int64", "double", "int"), ("double_uint64", "double", "uint"),
    ("string", "string", "string"), ("bytes", "bytes", "bytes"), ("timestamp", "timestamp", "timestamp"),
    ("duration", "duration", "duration"),
)  # fmt: skip
_COMPARISONS = tuple(
    Overload(f"{word}_{id}", f"{operator}({one}, {other}) -> bool", call)
    for operator, word, call in _ORDERS
    for id, one, other in _ORDERED
)


def contains(value: Any, container: Any) -> bool:
    """`value in container`: an item of a list, a key of a map."""
    if is_list(container):
        return any(equal(value, item) for item in container)
    if is_map(container):
        return find(container, value) is not _MISSING
    raise CelError("no such overload")


_MISSING = find({}, "")


def _not(value: Any) -> bool:
    if value.__class__ is not bool:
        raise CelError("no such overload")
    return not value


_LOGIC = (
    Overload("conditional", "_?_:_(bool, A, A) -> A"),
    Overload("logical_and", "_&&_(bool, bool) -> bool"),
    Overload("logical_or", "_||_(bool, bool) -> bool"),
    Overload("logical_not", "!_(bool) -> bool", _not),
    Overload("not_strictly_false", "@not_strictly_false(bool) -> bool"),
    Overload("equals", "_==_(A, A) -> bool"),
    Overload("not_equals", "_!=_(A, A) -> bool"),
    Overload("index_list", "_[_](list(A), int) -> A"),
    Overload("index_map", "_[_](map(A, B), A) -> B"),
    Overload("in_list", "@in(A, list(A)) -> bool", contains, guarded=False),
    Overload("in_map", "@in(A, map(A, B)) -> bool", contains, guarded=False),
    Overload("size_bytes", "size(bytes) -> int", len),
    Overload("bytes_size", "bytes.size() -> int", len),
    Overload("size_list", "size(list(A)) -> int", len),
    Overload("list_size", "list(A).size() -> int", len),
    Overload("size_map", "size(map(A, B)) -> int", len),
    Overload("map_size", "map(A, B).size() -> int", len),
    Overload("size_string", "size(string) -> int", len),
    Overload("string_size", "string.size() -> int", len),
)


# Conversions

_INT = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_FLOAT = re.compile(
    r"[+-]?(?:(?:\d+(?:_\d+)*\.?(?:\d+(?:_\d+)*)?|\.\d+(?:_\d+)*)(?:[eE][+-]?\d+)?|inf(?:inity)?|nan)",
    re.ASCII | re.IGNORECASE,
)
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


def _wrong(value: Any, wanted: str) -> CelError:
    return CelError(f"type conversion error from '{type_of(value).name}' to '{wanted}'")


def _text_to_bool(text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise _wrong(text, "bool")


def _text_to_int(text: str) -> int:
    if _INT.fullmatch(text) and MIN_INT <= (value := int(text)) <= MAX_INT:
        return value
    raise _wrong(text, "int")


def _text_to_uint(text: str) -> Uint:
    if _INT.fullmatch(text) and text[0] not in "+-" and (value := int(text)) <= MAX_UINT:
        return Uint(value)
    raise _wrong(text, "uint")


def _text_to_double(text: str) -> float:
    if _FLOAT.fullmatch(text):
        value = float(text)
        if value not in (float("inf"), float("-inf")) or "n" in text.lower():
            return value
    raise _wrong(text, "double")


def _text_to_duration(text: str) -> Duration:
    found = times.parse_duration(text)
    if found is None:
        raise _wrong(text, "google.protobuf.Duration")
    return found


def _text_to_timestamp(text: str) -> Timestamp:
    found = times.parse_timestamp(text)
    if found is None:
        raise _wrong(text, "google.protobuf.Timestamp")
    return found


def _int_to_timestamp(value: int) -> Timestamp:
    return Timestamp(times.checked_seconds(value) * SECOND)


def _double_to_int(value: float) -> int:
    if value != value or not -_MAX_DOUBLE < value < _MAX_DOUBLE:
        raise CelError("integer overflow")
    return int(value)


def _double_to_uint(value: float) -> Uint:
    if value != value or not 0 <= value < 2 * _MAX_DOUBLE:
        raise CelError("unsigned integer overflow")
    return Uint(int(value))


def _bytes_to_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise CelError("invalid UTF-8 in bytes, cannot convert to string") from None


def _same(value: Any) -> Any:
    return value


_CONVERSIONS = (
    Overload("type", "type(A) -> type(A)", type_of),
    Overload("bool_to_bool", "bool(bool) -> bool", _same),
    Overload("string_to_bool", "bool(string) -> bool", _text_to_bool),
    Overload("bytes_to_bytes", "bytes(bytes) -> bytes", _same),
    Overload("string_to_bytes", "bytes(string) -> bytes", str.encode),
    Overload("double_to_double", "double(double) -> double", _same),
    Overload("int64_to_double", "double(int) -> double", float),
    Overload("string_to_double", "double(string) -> double", _text_to_double),
    Overload("uint64_to_double", "double(uint) -> double", float),
    Overload("duration_to_duration", "duration(duration) -> duration", _same),
    Overload("string_to_duration", "duration(string) -> duration", _text_to_duration),
    Overload("to_dyn", "dyn(A) -> dyn", _same),
    Overload("int64_to_int64", "int(int) -> int", _same),
    Overload("double_to_int64", "int(double) -> int", _double_to_int),
    Overload("duration_to_int64", "int(duration) -> int", lambda value: value.nanos),
    Overload("string_to_int64", "int(string) -> int", _text_to_int),
    Overload("timestamp_to_int64", "int(timestamp) -> int", lambda value: value.nanos // SECOND),
    Overload("uint64_to_int64", "int(uint) -> int", lambda value: int64(int(value))),
    Overload("string_to_string", "string(string) -> string", _same),
    Overload("bool_to_string", "string(bool) -> string", lambda value: "true" if value else "false"),
    Overload("bytes_to_string", "string(bytes) -> string", _bytes_to_text),
    Overload("double_to_string", "string(double) -> string", go_float),
    Overload("duration_to_string", "string(duration) -> string", times.duration_text),
    Overload("int64_to_string", "string(int) -> string", str),
    Overload("timestamp_to_string", "string(timestamp) -> string", times.timestamp_text),
    Overload("uint64_to_string", "string(uint) -> string", str),
    Overload("timestamp_to_timestamp", "timestamp(timestamp) -> timestamp", _same),
    Overload("int64_to_timestamp", "timestamp(int) -> timestamp", _int_to_timestamp),
    Overload("string_to_timestamp", "timestamp(string) -> timestamp", _text_to_timestamp),
    Overload("uint64_to_uint64", "uint(uint) -> uint", _same),
    Overload("double_to_uint64", "uint(double) -> uint", _double_to_uint),
    Overload("int64_to_uint64", "uint(int) -> uint", uint64),
    Overload("string_to_uint64", "uint(string) -> uint", _text_to_uint),
)


def _on_strings(call: Callable[[str, str], bool]) -> Impl:
    def checked(one: Any, other: Any) -> bool:
        if isinstance(one, str) and isinstance(other, str):
            return call(one, other)
        raise CelError("no such overload")

    return checked


_STRINGS = (
    Overload("contains_string", "string.contains(string) -> bool", _on_strings(lambda a, b: b in a), guarded=False),
    Overload("ends_with_string", "string.endsWith(string) -> bool", _on_strings(str.endswith), guarded=False),
    Overload("starts_with_string", "string.startsWith(string) -> bool", _on_strings(str.startswith), guarded=False),
    Overload("matches", "matches(string, string) -> bool", regexes.matches),
    Overload("matches_string", "string.matches(string) -> bool", regexes.matches),
)

_PARTS = (
    ("FullYear", "year"), ("Month", "month"), ("DayOfYear", "day_of_year"), ("DayOfMonth", "day_of_month"),
    ("Date", "day_of_month_1_based"), ("DayOfWeek", "day_of_week"), ("Hours", "hours"), ("Minutes", "minutes"),
    ("Seconds", "seconds"), ("Milliseconds", "milliseconds"),
)  # fmt: skip


def _timed(part: str, id: str) -> list[Overload]:
    found = [
        Overload(f"timestamp_to_{id}", f"timestamp.get{part}() -> int", lambda value: times.part(value, part)),
        Overload(
            f"timestamp_to_{id}_with_tz", f"timestamp.get{part}(string) -> int",
            lambda value, zone: times.part(value, part, zone),
        ),
    ]  # fmt: skip
    if part in ("Hours", "Minutes", "Seconds", "Milliseconds"):
        call = Overload(f"duration_to_{id}", f"duration.get{part}() -> int", lambda value: times.span_part(value, part))
        found.append(call)
    return found


_TIMES = tuple(overload for part, id in _PARTS for overload in _timed(part, id))

LIBRARY: tuple[Overload, ...] = (*_LOGIC, *_ARITHMETIC, *_COMPARISONS, *_CONVERSIONS, *_STRINGS, *_TIMES)

# Which types an operator works on at all: what decides the error's text where the types are known only at run time.
_NUMERIC = frozenset(("int", "uint", "double"))
_TIME_TYPES = frozenset(("google.protobuf.Timestamp", "google.protobuf.Duration"))
# Texts and times have methods of their own upstream, and answer in the short form whatever the operator.
_SHORT = _TIME_TYPES | {"string"}
OPERANDS: dict[str, frozenset[str]] = {
    "_+_": _NUMERIC | _TIME_TYPES | {"string", "bytes", "list"}, "_-_": _NUMERIC | _SHORT, "_*_": _NUMERIC | _SHORT,
    "_/_": _NUMERIC | _SHORT, "_%_": _SHORT | {"int", "uint"}, "-_": _SHORT | {"int", "double"},
    "size": _SHORT | {"bytes", "list", "map"}, "matches": _SHORT,
    "!_": frozenset(("bool", "string", "int", "list", "map", "double", "uint", "bytes", "null_type")),
    **{name: _NUMERIC | _TIME_TYPES | {"bool", "string", "bytes"} for name in ("_<_", "_<=_", "_>_", "_>=_")},
}  # fmt: skip
