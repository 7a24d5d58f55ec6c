"""Defaults: fill what a client left out, as the API documents it.

The API server calls `apply` on every object that it decodes, before admission. A type says its own defaults in a method
`set_defaults(self)`, and a field its plain default in its Tag; this walker finds them all through the types, parents
before children (upstream generates the same walk: `zz_generated.defaults.go`). It writes in place, so it is for fresh
objects that nobody shares yet.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from kijabi.api.quantity import Quantity
from kijabi.api.shape import Shape, fields
from kijabi.api.struct import Struct


class _Plan(msgspec.Struct, frozen=True):
    """What there is to do for one type. fills: (attribute, what absent looks like, default)."""

    own: Callable[[Any], None] | None
    fills: tuple[tuple[str, Any, Any], ...]
    children: tuple[tuple[str, str, type[Struct]], ...]


def apply(obj: Struct) -> None:
    """Fill the defaults of an object and of everything in it."""
    _apply(obj, _plan(type(obj)))


def _apply(obj: Any, plan: _Plan) -> None:
    if plan.own is not None:
        plan.own(obj)
    for attribute, absent, default in plan.fills:
        if getattr(obj, attribute) == absent:
            setattr(obj, attribute, default)
    for attribute, kind, child in plan.children:
        value = getattr(obj, attribute)
        if not value:
            continue
        below = _plan(child)
        if kind == "list":
            for item in value:
                _apply(item, below)
        elif kind == "map":
            for item in value.values():
                _apply(item, below)
        else:
            _apply(value, below)


@cache
def _plan(cls: type[Struct]) -> _Plan:
    fills, children = [], []
    for field in fields(cls).values():
        shape = field.shape
        if field.tag.default is not None:
            absent = None if shape.nullable else type(field.tag.default)()
            if absent != field.tag.default or shape.nullable:
                fills.append((field.attribute, absent, field.tag.default))
        child = _struct(shape)
        if child is not None and _has_defaults(child):
            children.append((field.attribute, shape.kind, child))
    return _Plan(getattr(cls, "set_defaults", None), tuple(fills), tuple(children))


def _struct(shape: Shape) -> type[Struct] | None:
    """The type of a member's value, or of the items of its list or map."""
    if shape.kind in ("list", "map") and shape.item is not None:
        shape = shape.item
    return shape.struct if shape.kind == "struct" else None


@cache
def _has_defaults(cls: type[Struct]) -> bool:
    """Whether anything in a type has a default. Types may hold themselves, so this walks a graph."""
    seen: set[type[Struct]] = set()
    ahead = [cls]
    while ahead:
        this = ahead.pop()
        if this in seen:
            continue
        seen.add(this)
        if hasattr(this, "set_defaults"):
            return True
        for field in fields(this).values():
            if field.tag.default is not None:
                return True
            child = _struct(field.shape)
            if child is not None:
                ahead.append(child)
    return False


def round_up(amounts: dict[str, Quantity]) -> dict[str, Quantity]:
    """The amounts with anything finer than a thousandth rounded up, as upstream stores resource lists."""
    for name, amount in amounts.items():
        if (amount and amount[-1] in "nu.") or "e" in amount or "E" in amount[:-1]:
            exact = amount.exact() * 1000
            if exact != exact.to_integral_value():
                amounts[name] = Quantity.of_milli(amount.milli())
    return amounts
