"""`'%s of %d'.format([a, b])`: the clauses of a format text, and what they make of a value.

`strings.py` calls `format_text`; `literals.py` walks the same `clauses` to check constant formats at compile time.
Texts are upstream's, for the locale en_US. Precision is bounded, because a clause may ask for any number of digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from kijabi.api.cel import times
from kijabi.api.cel.costs import MAX_TEXT
from kijabi.api.cel.errors import EXCEEDED, CelError, CostExceeded
from kijabi.api.cel.types import Type
from kijabi.api.cel.values import (
    Duration,
    Timestamp,
    Uint,
    find,
    go_float,
    is_list,
    is_map,
    keys,
    type_of,
)  # fmt: skip
from kijabi.api.gotext import quote

MAX_PRECISION = 1000
_DEFAULT_PRECISION = 6
_PRECISION = re.compile(r"\.(\d*)", re.ASCII)
_SPECIAL = ("NaN", "Infinity", "-Infinity")
WRONG = {
    "s": "string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and "
    "timestamps, was given ",
    "d": "decimal clause can only be used on integers, was given ",
    "f": "fixed-point clause can only be used on doubles, was given ",
    "e": "scientific clause can only be used on doubles, was given ",
    "b": "only integers and bools can be formatted as binary, was given ",
    "x": "only integers, byte buffers, and strings can be formatted as hex, was given ",
    "o": "octal clause can only be used on integers, was given ",
}
_PARSING = "could not parse formatting clause: "


class Clause(NamedTuple):
    """Text before a clause, then its letter (empty at the end of the format) and its precision."""

    text: str
    letter: str
    precision: int


def clauses(form: str, available: int) -> Iterator[Clause]:
    """The clauses of a format for so many arguments. CelError where it is none."""
    at, text, used = 0, "", 0
    while at < len(form):
        if form[at] != "%":
            stop = form.find("%", at)
            stop = len(form) if stop < 0 else stop
            text, at = text + form[at:stop], stop
            continue
        if form.startswith("%%", at):
            text, at = text + "%", at + 2
            continue
        if used >= available:
            raise CelError(f"index {used} out of range")
        if at + 1 >= len(form):
            raise CelError("unexpected end of string")
        letter, precision, at = _clause(form, at + 1)
        yield Clause(text, letter, precision)
        text, used = "", used + 1
    yield Clause(text, "", 0)


def _clause(form: str, at: int) -> tuple[str, int, int]:
    precision = _DEFAULT_PRECISION
    match = _PRECISION.match(form, at)
    if match is not None:
        at = match.end()
        failed = f"{_PARSING}error while parsing precision: "
        if at >= len(form):
            raise CelError(f"{failed}could not find end of precision specifier")
        if not match[1]:
            why = 'error while converting precision to integer: strconv.Atoi: parsing "": invalid syntax'
            raise CelError(failed + why)
        precision = int(match[1][:6])
        if precision > MAX_PRECISION:
            raise CelError(f"{failed}precision {match[1]} exceeds maximum allowed precision {MAX_PRECISION}")
    letter = form[at]
    if letter not in "sdfebxXo":
        raise CelError(f'{_PARSING}unrecognized formatting clause "{letter}"')
    return letter, precision, at + 1


def format_text(form: str, args: Any) -> str:
    """The text with its clauses replaced by the arguments, in order. CelError where one does not fit."""
    parts: list[str] = []
    size = 0
    for index, clause in enumerate(clauses(form, len(args))):
        parts.append(clause.text)
        if clause.letter:
            try:
                parts.append(_formatted(clause, args[index]))
            except CelError as error:
                raise CelError(f"error during formatting: {error.message}") from None
            size += len(parts[-1])
            if size > MAX_TEXT:
                raise CostExceeded(EXCEEDED)
    return "".join(parts)


def _formatted(clause: Clause, value: Any) -> str:
    letter = clause.letter
    if letter == "s":
        return text_of(value)
    if letter in "fe":
        return _double(value, letter, clause.precision)
    if letter == "d" and value.__class__ in (int, Uint):
        return str(int(value))
    if letter == "b" and value.__class__ in (int, Uint, bool):
        return format(int(value), "b")
    if letter == "o" and value.__class__ in (int, Uint):
        return format(int(value), "o")
    if letter in "xX":
        digits = _hex(value)
        if digits is not None:
            return digits.upper() if letter == "X" else digits
    raise _wrong(letter.lower(), value)


def _wrong(letter: str, value: Any) -> CelError:
    return CelError(WRONG[letter] + type_of(value).name)


def _hex(value: Any) -> str | None:
    if isinstance(value, str):
        return value.encode().hex()
    if isinstance(value, bytes):
        return value.hex()
    return format(int(value), "x") if value.__class__ in (int, Uint) else None


def _double(value: Any, letter: str, precision: int) -> str:
    if value.__class__ is str and value in _SPECIAL:
        value = float(value.replace("Infinity", "inf"))
    if value.__class__ is not float:
        raise _wrong(letter, value)
    value += 0.0  # no negative zero
    # Upstream takes the precision of `%e` for a width, and always writes six decimals.
    width = precision if letter == "e" else 0
    if value != value:
        return "NaN".rjust(width)
    if value in (float("inf"), float("-inf")):
        return ("∞" if value > 0 else "-∞").rjust(width)
    if letter == "f":
        return f"{value:,.{precision}f}"
    mantissa, _, exponent = f"{value:.{_DEFAULT_PRECISION}e}".partition("e")
    return f"{mantissa}×10{_raised(int(exponent))}".rjust(width)


_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _raised(exponent: int) -> str:
    return ("⁻" if exponent < 0 else "") + f"{abs(exponent):02d}".translate(_RAISED)


def text_of(value: Any) -> str:
    """What `%s` makes of a value."""
    if value is None:
        return "null"
    kind = value.__class__
    if kind is str:
        return str(value)
    if kind is bool:
        return "true" if value else "false"
    if kind in (int, Uint):
        return str(int(value))
    if kind is float:
        return go_float(value)
    if kind is bytes:
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError:
            raise CelError("could not convert argument to string") from None
    if isinstance(value, Duration):
        return times.duration_text(value)
    if isinstance(value, Timestamp):
        return times.timestamp_text(value)
    if is_list(value):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if is_map(value):
        return "{" + ", ".join(sorted(f"{_key(key)}:{_literal(find(value, key))}" for key in keys(value))) + "}"
    if isinstance(value, Type):
        return value.name
    raise _wrong("s", value)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return quote(key)
    if isinstance(key, bool | int):
        return text_of(key)
    raise CelError(f"no formatting function for map key of type {type_of(key).name}")


def _literal(value: Any) -> str:
    """A value inside a list or a map, as an expression would write it."""
    kind = value.__class__
    if kind is str:
        return quote(value)
    if kind is bytes:
        return "b" + quote(text_of(value))
    if kind is float:
        if value != value or value in (float("inf"), float("-inf")):
            return quote(go_float(value))
        return f"{value:.{_DEFAULT_PRECISION}f}"
    if isinstance(value, Timestamp):
        return f"timestamp({quote(times.timestamp_text(value))})"
    if isinstance(value, Duration):
        return f"duration({quote(times.duration_text(value))})"
    if value is None or kind in (bool, int, Uint) or is_list(value) or is_map(value) or isinstance(value, Type):
        return text_of(value)
    raise CelError(f"no formatting function for {type_of(value).name}")
