"""Amounts of cpu, memory and everything else that is counted: `100m`, `1Gi`, `2e3`.

A Quantity is a `str` that holds the canonical wire text, so it costs what text costs and encodes as text; its
number is computed on demand and remembered by text. Text equality means the same value in the same suffix
family; `cmp` compares amounts. Parsing, rounding and canonical form are those of k8s.io/apimachinery
`pkg/api/resource`.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from re import compile as regex
from typing import Any, Self

_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_SUFFIX_OF = {power: suffix for suffix, power in _DECIMAL.items()}
_SUFFIX_OF_BINARY = {power: suffix for suffix, power in _BINARY.items()}
_GRAMMAR = regex(r"([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]*[-+]?\d*)")

_NANO = 10**9
_MAX = (2**63 - 1) * _NANO  # a binary quantity is capped here
_MAX_EXPONENT = 400  # bounds the work for texts like 1e999999999
_MAX_TEXT = 512
_REMEMBERED = 8192

_WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
_WRONG_NUMBER = "unable to parse numeric part of quantity"
_WRONG_SUFFIX = "unable to parse quantity's suffix"


class Quantity(str):
    """An exact amount with the suffix family it was written in; ValueError for text that is none.

    `Quantity("0.5") == "500m"`, `Quantity("1024Mi") == "1Gi"`. Finer than a billionth rounds away from zero.
    """

    __slots__ = ()

    def __new__(cls, text: str = "0") -> Self:
        known = _SEEN.get(text)
        if known is None:
            known = str.__new__(cls, _canonical(text))
            if len(_SEEN) >= _REMEMBERED:
                _SEEN.clear()
            _SEEN[text] = known
        return known  # type: ignore[return-value]

    @classmethod
    def parse(cls, value: Any) -> Self:
        """The quantity for a JSON value: a text, a number, or null for zero."""
        if value.__class__ is str:
            return cls(value if value in _SEEN else value.strip())
        if value is None:
            return cls()
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(_WRONG_FORMAT)
        return cls(repr(value))

    @classmethod
    def of(cls, value: int, *, binary: bool = False) -> Self:
        """A whole amount, written with decimal suffixes (`2k`) or with binary ones (`2Ki`)."""
        return cls(_write(value * _NANO, "binary" if binary else "decimal"))

    @classmethod
    def of_milli(cls, value: int, *, binary: bool = False) -> Self:
        """An amount given in thousandths: `of_milli(1500) == "1500m"`."""
        return cls(_write(value * (_NANO // 1000), "binary" if binary else "decimal"))

    def value(self) -> int:
        """The amount, rounded up (away from zero) to a whole number."""
        return _scaled(_read(self)[0], _NANO)

    def milli(self) -> int:
        """The amount in thousandths, rounded up (away from zero)."""
        return _scaled(_read(self)[0], _NANO // 1000)

    def exact(self) -> Decimal:
        """The amount without any rounding."""
        return Decimal(_read(self)[0]).scaleb(-9)

    def is_zero(self) -> bool:
        """Whether nothing is asked; such a text is always "0"."""
        return _read(self)[0] == 0

    def cmp(self, other: Quantity) -> int:
        """-1, 0 or 1 as the amount is less than the other, equal or greater; text order says nothing."""
        mine, theirs = _read(self)[0], _read(other)[0]
        return (mine > theirs) - (mine < theirs)

    def plus(self, other: Quantity) -> Quantity:
        """The sum, in this quantity's suffix family, or in the other's if this one is zero."""
        return self._combine(other, 1)

    def minus(self, other: Quantity) -> Quantity:
        """The difference, in this quantity's suffix family, or in the other's if this one is zero."""
        return self._combine(other, -1)

    def _combine(self, other: Quantity, sign: int) -> Quantity:
        nanos, family = _read(self)
        more, other_family = _read(other)
        return Quantity(_write(nanos + sign * more, family if nanos else other_family))


_SEEN: dict[str, Quantity] = {}


def _canonical(text: str) -> str:
    """The text upstream would write; it keeps what its fast path finds good enough: `1.500`, `+5`, `01Ki`."""
    nanos, family = _read(text)
    _, whole, fraction, suffix = _split(text)
    digits = (whole.lstrip("0") or "0") + fraction
    if suffix in _BINARY:
        short = not fraction and len(digits) + int(_BINARY[suffix] * 0.3) <= 14
        good = short and int(digits) % 8 != 0
    else:
        power = _power(suffix) - len(fraction)
        short = len(digits) <= 18 and power >= -9
        good = short and power % 3 == 0 and digits[0] != "0" and not digits.endswith("000")
    return text if good else _write(nanos, family)


@lru_cache(maxsize=_REMEMBERED)
def _read(text: str) -> tuple[int, str]:
    """The amount in billionths and the suffix family: decimal, binary or exponent."""
    sign, whole, fraction, suffix = _split(text)
    number = int((whole + fraction) or "0")
    if suffix in _BINARY:
        family, nanos, places = "binary", (number << _BINARY[suffix]) * _NANO, len(fraction)
    else:
        power = _power(suffix)
        family = "decimal" if suffix in _DECIMAL else "exponent"
        places = max(0, len(fraction) - power)
        nanos = number * _NANO * 10 ** max(0, power - len(fraction))
    nanos = -(-nanos // 10**places)
    if family == "binary":
        nanos = min(nanos, _MAX)
        if 0 < nanos < _NANO:
            family = "decimal"
    return (-nanos if sign == "-" else nanos), family


def _split(text: str) -> tuple[str, str, str, str]:
    """Sign, digits before and after the point, and suffix."""
    match = _GRAMMAR.fullmatch(text) if len(text) <= _MAX_TEXT else None
    if match is None:
        raise ValueError(_WRONG_FORMAT)
    sign, whole, fraction, suffix = match.groups(default="")
    if not text or not text.isascii():
        raise ValueError(_WRONG_FORMAT)
    return sign, whole, fraction, suffix


def _power(suffix: str) -> int:
    """The power of ten that a decimal suffix or an exponent stands for."""
    if suffix in _DECIMAL:
        return _DECIMAL[suffix]
    if len(suffix) < 2 or suffix[0] not in "eE" or not suffix[1:].lstrip("+-").isdigit():
        raise ValueError(_WRONG_SUFFIX)
    power = int(suffix[1:])
    if abs(power) > _MAX_EXPONENT:
        raise ValueError(_WRONG_NUMBER)
    return power


def _write(nanos: int, family: str) -> str:
    """The canonical text: no fraction, the largest suffix that loses nothing; binary only from 1024 on."""
    if nanos == 0:
        return "0"
    whole, rest = divmod(nanos, _NANO)
    if family == "binary" and not rest and abs(whole) >= 1024:
        power = 0
        while power < 60 and whole % 1024 == 0:
            whole //= 1024
            power += 10
        return f"{whole}{_SUFFIX_OF_BINARY.get(power, '')}"
    number, power = nanos, -9
    while number % 1000 == 0 and (power < 18 or family == "exponent"):
        number //= 1000
        power += 3
    if family == "exponent":
        return f"{number}e{power}" if power else str(number)
    return f"{number}{_SUFFIX_OF[power]}"


def _scaled(nanos: int, unit: int) -> int:
    return -(-nanos // unit) if nanos >= 0 else nanos // unit
