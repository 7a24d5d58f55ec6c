"""Quantities as values: `quantity('1.5Gi').isGreaterThan(quantity('1G'))`. Parsing is that of `api/quantity.py`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import NAMED, Overload
from kijabi.api.cel.types import Type
from kijabi.api.cel.values import MAX_INT, MIN_INT
from kijabi.api.quantity import Quantity


class QuantityValue:
    """An amount."""

    __slots__ = ("amount",)
    cel_type: ClassVar[Type] = NAMED["Quantity"]

    def __init__(self, amount: Quantity) -> None:
        self.amount = amount

    def cel_equals(self, other: Any) -> bool:
        """Whether the amounts are the same, however they are written."""
        if not isinstance(other, QuantityValue):
            raise CelError("no such overload")
        return self.amount.cmp(other.amount) == 0


def _quantity(text: str) -> QuantityValue:
    try:
        return QuantityValue(Quantity(text))
    except ValueError as error:
        raise CelError(str(error)) from None


def _is_quantity(text: str) -> bool:
    try:
        Quantity(text)
    except ValueError:
        return False
    return True


def _is_integer(one: QuantityValue) -> bool:
    exact = one.amount.exact()
    return exact == exact.to_integral_value() and MIN_INT <= exact <= MAX_INT


def _as_integer(one: QuantityValue) -> int:
    if not _is_integer(one):
        raise CelError("cannot convert value to integer")
    return int(one.amount.exact())


def _added(one: QuantityValue, other: QuantityValue | int) -> QuantityValue:
    amount = other.amount if isinstance(other, QuantityValue) else Quantity.of(other)
    return QuantityValue(one.amount.plus(amount))


def _subtracted(one: QuantityValue, other: QuantityValue | int) -> QuantityValue:
    amount = other.amount if isinstance(other, QuantityValue) else Quantity.of(other)
    return QuantityValue(one.amount.minus(amount))


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
    Overload("quantity_get_float", "Quantity.asApproximateFloat() -> double", lambda one: float(one.amount.exact())),
    Overload("quantity_get_int", "Quantity.asInteger() -> int", _as_integer),
    Overload("quantity_is_integer", "Quantity.isInteger() -> bool", _is_integer),
    Overload("quantity_add", "Quantity.add(Quantity) -> Quantity", _added),
    Overload("quantity_add_int", "Quantity.add(int) -> Quantity", _added),
    Overload("quantity_sub", "Quantity.sub(Quantity) -> Quantity", _subtracted),
    Overload("quantity_sub_int", "Quantity.sub(int) -> Quantity", _subtracted),
)
