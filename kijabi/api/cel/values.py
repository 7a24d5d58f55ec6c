"""What expressions compute with, and the few operations that all values share: equality, order, size, type.

Most values are plain Python ones, as JSON gives them: bool, int, float, str, bytes, None, list or tuple, dict. Here are
those that JSON lacks (`Uint`, `Timestamp`, `Duration`, `Optional`), and the bases of lists and maps that are not
Python's own (`Lister`, `Mapper`; `typed.py` has those that know a schema). A type as a value is a `Type`. Libraries
bring objects with a `cel_type`.

bool is an int to Python and not to the language, so a bool as key of a map is kept as `BoolKey`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from kijabi.api.cel import types
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.types import Type

SECOND = 10**9
MIN_SECONDS, MAX_SECONDS = -62135596800, 253402300799
MIN_INT, MAX_INT, MAX_UINT = -(2**63), 2**63 - 1, 2**64 - 1
MISSING: Any = type("Missing", (), {"__repr__": lambda _: "MISSING"})()


class Uint(int):
    """An unsigned 64-bit integer."""

    __slots__ = ()


class BoolKey:
    """A bool in the role of a map's key."""

    __slots__ = ("value",)

    def __init__(self, value: bool) -> None:
        self.value = value


TRUE_KEY, FALSE_KEY = BoolKey(True), BoolKey(False)


class Timestamp:
    """A moment. nanos: since 1970 in UTC. offset: seconds east of UTC in which it was written."""

    __slots__ = ("nanos", "offset")

    def __init__(self, nanos: int, offset: int = 0) -> None:
        self.nanos = nanos
        self.offset = offset

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timestamp) and self.nanos == other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)


class Duration:
    """A span of time in nanoseconds."""

    __slots__ = ("nanos",)

    def __init__(self, nanos: int) -> None:
        self.nanos = nanos

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and self.nanos == other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)


class Failed:
    """An error in the place of a variable's value: whoever reads it gets it raised."""

    __slots__ = ("error",)

    def __init__(self, error: CelError) -> None:
        self.error = error


class Optional:
    """A value that may be absent; `NONE` where it is."""

    __slots__ = ("value",)

    def __init__(self, value: Any = MISSING) -> None:
        self.value = value

    def get(self) -> Any:
        """The value; CelError where there is none."""
        if self.value is MISSING:
            raise CelError("optional.none() dereference")
        if self.value.__class__ is Failed:
            raise self.value.error
        return self.value


NONE = Optional()


class Lister:
    """A list that is not Python's own. Equality and `+` may differ with what its schema says."""

    __slots__ = ()
    cel_type: ClassVar[Type] = types.LIST

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Any:
        raise IndexError(index)

    def equals(self, other: Any) -> bool:
        """Whether a list holds the same, in this list's sense."""
        return len(self) == len(other) and all(map(equal, self, other))

    def plus(self, other: Any) -> Any:
        """This list and another behind it."""
        return concat(self, other)


class Concat(Lister):
    """Two lists one after the other, without a copy: `+` costs one unit however long they are."""

    __slots__ = ("_first", "_second", "_size")

    def __init__(self, first: Any, second: Any) -> None:
        self._first = first
        self._second = second
        self._size = len(first) + len(second)

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        yield from self._first
        yield from self._second

    def __getitem__(self, index: int) -> Any:
        size = len(self._first)
        return self._first[index] if index < size else self._second[index - size]


class Growing(list[Any]):
    """The list that a fold accumulates: `+` extends it, because nobody else can see it."""


class GrowingMap(dict[Any, Any]):
    """The map that a fold accumulates."""


class Mapper:
    """A map that is not Python's own: an object that a schema describes, or one that an expression made."""

    __slots__ = ()
    cel_type: ClassVar[Type] = types.MAP

    def __len__(self) -> int:
        return sum(1 for _ in self.keys())

    def keys(self) -> Iterator[Any]:
        """Its keys, as expressions see them."""
        return iter(())

    def find(self, key: Any) -> Any:
        """The value of a key, MISSING where there is none."""
        return MISSING

    def equals(self, other: Any) -> bool:
        """Whether a map holds the same."""
        return len(self) == len(other) and all(equal(self.find(key), find(other, key)) for key in self.keys())


def concat(first: Any, second: Any) -> Any:
    """One list behind another."""
    if not len(first):
        return second
    return Concat(first, second) if len(second) else first


def is_list(value: Any) -> bool:
    """Whether a value is a list of the language."""
    return isinstance(value, list | tuple | Lister)


def is_map(value: Any) -> bool:
    """Whether a value is a map of the language."""
    return isinstance(value, dict | Mapper)


def map_key(key: Any) -> Any:
    """A key as dicts hold it."""
    return (TRUE_KEY if key else FALSE_KEY) if key.__class__ is bool else key


def keys(mapping: Any) -> Iterator[Any]:
    """The keys of any map."""
    if isinstance(mapping, dict):
        return (key.value if key.__class__ is BoolKey else key for key in mapping)
    return mapping.keys()  # type: ignore[no-any-return]


def find(mapping: Any, key: Any) -> Any:
    """The value of a key in any map, MISSING where there is none."""
    if isinstance(mapping, dict):
        try:
            return mapping.get((TRUE_KEY if key else FALSE_KEY) if key.__class__ is bool else key, MISSING)
        except TypeError:
            return MISSING  # a key that Python cannot hash is in no map
    return mapping.find(key)


_SAME = frozenset((str, int, bool, bytes, float, Uint, type(None), Timestamp, Duration))
_NUMBERS = frozenset((int, float, Uint))


def equal(one: Any, other: Any) -> bool:
    """`one == other` as the language means it: numbers across their types, everything else only within a type."""
    kind, theirs = one.__class__, other.__class__
    if kind is theirs and kind in _SAME:
        return bool(one == other)
    if kind in _NUMBERS:
        return theirs in _NUMBERS and compare_numbers(one, other) == 0 and one == one and other == other
    if one is None or other is None:
        return False
    if isinstance(one, list | tuple):
        return is_list(other) and len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return is_map(other) and len(one) == len(other) and all(_holds(other, key, value) for key, value in one.items())
    if isinstance(one, Lister | Mapper):
        fits = is_list(other) if isinstance(one, Lister) else is_map(other)
        if not fits:
            if hasattr(one, "strict"):
                raise CelError("no such overload")
            return False
        return one.equals(other)
    if isinstance(one, Optional):
        if not isinstance(other, Optional) or one.value is MISSING or other.value is MISSING:
            return isinstance(other, Optional) and one.value is other.value
        return equal(one.value, other.value)
    if isinstance(one, Type):
        return isinstance(other, Type) and one.name == other.name
    if hasattr(one, "cel_equals"):
        return bool(one.cel_equals(other))
    return False


def _holds(mapping: Any, key: Any, value: Any) -> bool:
    found = find(mapping, key.value if key.__class__ is BoolKey else key)
    return found is not MISSING and equal(value, found)


def compare_numbers(one: Any, other: Any) -> int:
    """-1, 0 or 1; a double meets an integer as a double, as cel-go compares them."""
    if one.__class__ is float or other.__class__ is float:
        if one.__class__ is not float:
            return -_compare_double(other, one)
        if other.__class__ is not float:
            return _compare_double(one, other)
    return int(one > other) - int(one < other)


def _compare_double(double: float, number: int) -> int:
    low, high = (0.0, float(MAX_UINT)) if number.__class__ is Uint else (float(MIN_INT), float(MAX_INT))
    if double < low:
        return -1
    if double > high:
        return 1
    exact = float(number)
    return (double > exact) - (double < exact)


def compare(one: Any, other: Any) -> int:
    """-1, 0 or 1 as one comes before the other. CelError where they have no order."""
    kind, theirs = one.__class__, other.__class__
    if kind is theirs and kind in _ORDERED:
        if kind is float and (one != one or other != other):
            raise CelError("NaN values cannot be ordered")
        return int(one > other) - int(one < other)
    if kind in _NUMBERS and theirs in _NUMBERS:
        if one != one or other != other:
            raise CelError("NaN values cannot be ordered")
        return compare_numbers(one, other)
    if kind is theirs and kind in (Timestamp, Duration):
        return int(one.nanos > other.nanos) - int(one.nanos < other.nanos)
    raise CelError("no such overload")


_ORDERED = frozenset((str, int, bool, bytes, float, Uint))
COMPARABLE = _ORDERED | {Timestamp, Duration}
PLAIN = COMPARABLE | {type(None)}  # whose class alone says what type they are

_TYPES: dict[type, Type] = {
    bool: types.BOOL, int: types.INT, Uint: types.UINT, float: types.DOUBLE, str: types.STRING, bytes: types.BYTES,
    type(None): types.NULL, list: types.LIST, tuple: types.LIST, dict: types.MAP, Growing: types.LIST,
    GrowingMap: types.MAP, Timestamp: types.TIMESTAMP, Duration: types.DURATION,
    Optional: types.optional_of(types.DYN), Type: types.TYPE,
}  # fmt: skip


def type_of(value: Any) -> Type:
    """The type of a value: that of its kind, without what a list or a map holds."""
    known = _TYPES.get(value.__class__)
    if known is not None:
        return known
    if isinstance(value, Type):
        return types.TYPE
    return value.cel_type  # type: ignore[no-any-return]


_SIZED = frozenset((str, bytes, list, tuple, dict, Growing, GrowingMap))


def size_of(value: Any) -> int:
    """What costs are counted by: characters, bytes, items, entries; 1 for all that has no size."""
    if value.__class__ in _SIZED:
        return len(value)
    if isinstance(value, Lister | Mapper):
        return len(value)
    if isinstance(value, Optional):
        return size_of(value.value) if value.value is not MISSING else 1
    size = getattr(value, "cel_size", None)
    return size() if size is not None else 1


def is_zero(value: Any) -> bool:
    """Whether a value is the empty one of its type."""
    if value is None:
        return True
    if value.__class__ in (bool, int, Uint, float):
        return not value
    if value.__class__ in _SIZED:
        return not len(value)
    if isinstance(value, Timestamp):
        return value.nanos == MIN_SECONDS * SECOND
    if isinstance(value, Duration):
        return value.nanos == 0
    zero = getattr(value, "cel_zero", None)
    return zero() if zero is not None else False


_GO_TYPES = {
    bool: "Bool", int: "Int", Uint: "Uint", float: "Double", str: "String", bytes: "Bytes", type(None): "Null",
    Timestamp: "Timestamp", Duration: "Duration",
}  # fmt: skip


def go_type(value: Any) -> str:
    """How upstream's messages name the class of a value that is neither a list nor a map."""
    if isinstance(value, Optional | Type):
        return f"*types.{type(value).__name__}"
    return f"types.{_GO_TYPES.get(value.__class__, type(value).__name__)}"


def shown(value: Any) -> str:
    """A value as upstream's error messages show it."""
    if value is None:
        return "NULL_VALUE"
    if value.__class__ is bool:
        return "true" if value else "false"
    if isinstance(value, float):
        return go_float(value)
    if isinstance(value, str | int):
        return str(value)
    if isinstance(value, bytes):
        return "[" + " ".join(map(str, value)) + "]"
    if is_list(value):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if is_map(value):
        return "{" + ", ".join(f"{shown(key)}: {shown(find(value, key))}" for key in keys(value)) + "}"
    if isinstance(value, Optional):
        return "optional.none()" if value.value is MISSING else f"optional({shown(value.value)})"
    return str(value)


def go_float(value: float) -> str:
    """A double as Go's `%g` and `%v` write it: shortest, with an exponent below 1e-4 and from 1e6 on."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    sign = "-" if str(value).startswith("-") else ""
    digits, exponent = shortest(abs(value))
    if exponent < -4 or exponent >= 6:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return sign + plain(digits, exponent)


def shortest(value: float) -> tuple[str, int]:
    """The fewest digits that give a positive double back, and the exponent of the first one."""
    if value == 0:
        return "0", 0
    mantissa, _, exponent = f"{value!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" and not exponent else fraction
    digits = (whole + fraction).lstrip("0")
    point = len(whole) if whole != "0" else -(len(fraction) - len(fraction.lstrip("0")))
    return digits.rstrip("0") or "0", point - 1 + int(exponent or 0)


def plain(digits: str, exponent: int) -> str:
    """Digits without an exponent."""
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits + "0" * (exponent + 1 - len(digits))
    return f"{digits[: exponent + 1]}.{digits[exponent + 1 :]}"
