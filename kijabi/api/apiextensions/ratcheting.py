"""Ratcheting: what an update leaves as it was may stay, even if today's schema would refuse it (KEP-4008).

`valuevalidation.py` and `celrules.py` find a problem, then ask `Ratchet.same` whether the value it is in equals its old
self. Which old value belongs to which new one is correlation: members by name, items of lists of type `map` by their
keys, and items of other lists not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.apiextensions.structural import MISSING, Structural


class Ratchet:
    """Compares the values of one update, each pair once."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bool] = {}

    def same(self, schema: Structural, new: Any, old: Any) -> bool:
        """Whether a value equals its old self; MISSING as old never does.

        A member that the schema does not name makes objects differ, and the order of a list of type `map` does not
        matter: so upstream compares.
        """
        if new is None or old is None:
            return new is old
        if type(new) is not type(old):
            return False
        if type(new) is not dict and type(new) is not list:
            return bool(new == old)
        pair = (id(new), id(old))
        known = self._known.get(pair)
        if known is None:
            known = len(new) == len(old) and self._same_parts(schema, new, old)
            self._known[pair] = known
        return known

    def _same_parts(self, schema: Structural, new: Any, old: Any) -> bool:
        return self._same_members(schema, new, old) if type(new) is dict else self._same_items(schema, new, old)

    def _same_members(self, schema: Structural, new: dict[str, Any], old: dict[str, Any]) -> bool:
        for name, value in new.items():
            below = schema.below(name)
            if below is None or name not in old or not self.same(below, value, old[name]):
                return False
        return True

    def _same_items(self, schema: Structural, new: list[Any], old: list[Any]) -> bool:
        if not new:
            return True
        if schema.list_type != "map":
            return identical(new, old)
        if schema.items is None:
            return False
        before = correlate(schema, new, old)
        return all(self.same(schema.items, value, item) for value, item in zip(new, before, strict=True))


def correlate(schema: Structural, new: Sequence[Any], old: Any) -> list[Any]:
    """For each item of a list its old self, by the keys of a list of type `map`; MISSING where there is none."""
    keys = schema.list_map_keys
    if schema.list_type != "map" or schema.type != "array" or not keys or type(old) is not list:
        return [MISSING] * len(new)
    index: dict[Any, Any] = {}
    for item in old:
        key = _key(item, keys)
        if key is not None:
            index.setdefault(key, item)
    return [index.get(_key(item, keys), MISSING) for item in new]


def _key(item: Any, keys: tuple[str, ...]) -> tuple[Any, ...] | None:
    """The values of an item's keys with their types, None if one is missing or no scalar."""
    if type(item) is not dict:
        return None
    found = []
    for key in keys:
        value = item.get(key)
        if value is None or type(value) is dict or type(value) is list:
            return None
        found.append((type(value), value))
    return tuple(found)


def identical(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal with their types: 1 is neither 1.0 nor true."""
    if type(left) is not type(right):
        return False
    if type(left) is dict:
        if left.keys() != right.keys():
            return False
        return all(identical(value, right[name]) for name, value in left.items())
    if type(left) is list:
        return len(left) == len(right) and all(map(identical, left, right))
    return bool(left == right)
