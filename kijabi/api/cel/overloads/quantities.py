"""Quantities as values: `quantity('1.5Gi').isGreaterThan(quantity('1G'))`. Parsing is that of `api/quantity.py`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, ClassVar

from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import NAMED, Overload
from kijabi.api.cel.types import Type
from kijabi.api.cel.values import MAX_INT, MIN_INT
from kijabi.api.quantity import Quantity

_WRITTEN = re.compile(r"[+-]?([0-9]*)(?:\.([0-9]*))?([a-zA-Z]*[-+]?[0-9]*)")
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL = {"": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


class QuantityValue:
    """An amount. whole: written, or summed up, as an integer that upstream keeps in 64 bits (`5000m` is none)."""

    __slots__ = ("amount", "whole")
    cel_type: ClassVar[Type] = NAMED["Quantity"]

    def __init__(self, amount: Quantity, *, whole: bool) -> None:
        self.amount = amount
        self.whole = whole

    def cel_equals(self, other: Any) -> bool:
        """Whether the amounts are the same, however they are written."""
        if not isinstance(other, QuantityValue):
            raise CelError("no such overload")
        return self.amount.cmp(other.amount) == 0


def _is_whole(text: str) -> bool:
    """Whether upstream's fast way of parsing yields an integer: 18 digits at most, none behind the point in effect."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return False
    number, fraction, suffix = match[1].lstrip("0"), match[2] or "", match[3]
    if suffix in _BINARY:
        return not fraction and 14 - len(number) - _BINARY[suffix] * 3 // 10 >= 0
    power = int(suffix[1:]) if suffix[:1] in ("e", "E") and len(suffix) > 1 else _DECIMAL.get(suffix, -1)
    return len(number) + len(fraction) <= 18 and power - len(fraction) >= 0


def _quantity(text: str) -> QuantityValue:
    try:
        amount = Quantity(text)
        return QuantityValue(amount, whole=_is_whole(text) and _fits(amount))
    except ValueError as error:
        raise CelError(str(error)) from None


def _is_quantity(text: str) -> bool:
    try:
        Quantity(text)
    except ValueError:
        return False
    return True


def _fits(amount: Quantity) -> bool:
    return MIN_INT <= amount.exact() <= MAX_INT


def _as_integer(one: QuantityValue) -> int:
    if not one.whole:
        raise CelError("cannot convert value to integer")
    return int(one.amount.exact())


def _result(amount: Quantity, one: QuantityValue, other: QuantityValue | int) -> QuantityValue:
    whole = one.whole and (other.whole if isinstance(other, QuantityValue) else True)
    return QuantityValue(amount, whole=whole and _fits(amount))


def _amount(other: QuantityValue | int) -> Quantity:
    return other.amount if isinstance(other, QuantityValue) else Quantity.of(other)


def _added(one: QuantityValue, other: QuantityValue | int) -> QuantityValue:
    return _result(one.amount.plus(_amount(other)), one, other)


def _subtracted(one: QuantityValue, other: QuantityValue | int) -> QuantityValue:
    return _result(one.amount.minus(_amount(other)), one, other)


def _approximate(one: QuantityValue) -> float:
    """A whole number times a power of ten, both rounded, as upstream computes it."""
    sign, digits, exponent = one.amount.exact().normalize().as_tuple()
    assert isinstance(exponent, int)
    number = float(int("".join(map(str, digits))) * (-1 if sign else 1))
    return number * 10.0**exponent if exponent < 0 else float(one.amount.exact())


def _compared(one: QuantityValue, other: QuantityValue) -> int:
    return one.amount.cmp(other.amount)


def _sign(one: QuantityValue) -> int:
    exact = one.amount.exact()
    return (exact > Decimal(0)) - (exact < Decimal(0))


LIBRARY = (
    Overload("string_to_quantity", "quantity(string) -> Quantity", _quantity),
    Overload("is_quantity_string", "isQuantity(string) -> bool", _is_quantity),
    Overload("quantity_sign", "sign(Quantity) -> int", _sign),
    Overload("quantity_is_greater_than", "Quantity.isGreaterThan(Quantity) -> bool", lambda a, b: _compared(a, b) > 0),
    Overload("quantity_is_less_than", "Quantity.isLessThan(Quantity) -> bool", lambda a, b: _compared(a, b) < 0),
    Overload("quantity_compare_to", "Quantity.compareTo(Quantity) -> int", _compared),
    Overload("quantity_get_float", "Quantity.asApproximateFloat() -> double", _approximate),
    Overload("quantity_get_int", "Quantity.asInteger() -> int", _as_integer),
    Overload("quantity_is_integer", "Quantity.isInteger() -> bool", lambda one: one.whole),
    Overload("quantity_add", "Quantity.add(Quantity) -> Quantity", _added),
    Overload("quantity_add_int", "Quantity.add(int) -> Quantity", _added),
    Overload("quantity_sub", "Quantity.sub(Quantity) -> Quantity", _subtracted),
    Overload("quantity_sub_int", "Quantity.sub(int) -> Quantity", _subtracted),
)
