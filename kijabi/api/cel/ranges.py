"""The numbers of static cost estimates: least and most, of sizes and of costs, in 64 bits that saturate.

`estimates.py` and `libraryestimates.py` compute with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

import msgspec

from kijabi.api.cel.ast import Node
from kijabi.api.cel.types import Type

MOST = 2**64 - 1


class Range(msgspec.Struct, frozen=True):
    """From min to max."""

    min: int
    max: int

    def plus(self, other: Range) -> Range:
        """The sum."""
        return Range(min(self.min + other.min, MOST), min(self.max + other.max, MOST))

    def times(self, other: Range) -> Range:
        """The product."""
        return Range(min(self.min * other.min, MOST), min(self.max * other.max, MOST))

    def scaled(self, factor: float) -> Range:
        """The product with a factor, rounded up."""
        return Range(_scaled(self.min, factor), _scaled(self.max, factor))

    def union(self, other: Range) -> Range:
        """What encompasses both."""
        return Range(min(self.min, other.min), max(self.max, other.max))


def _scaled(number: int, factor: float) -> int:
    return min(ceil(float(number) * factor), MOST)


def fixed(number: int) -> Range:
    """From a number to itself."""
    return Range(number, number)


NOTHING, ONE, UNKNOWN = Range(0, 0), Range(1, 1), Range(0, MOST)


class Estimate(msgspec.Struct, frozen=True):
    """What a call may cost without its arguments, and how large its result may be."""

    cost: Range
    size: Range | None = None


class Argument(msgspec.Struct, frozen=True):
    """What is known of an argument. size: derived from the expression; declared: asks a schema by a path."""

    node: Node | None
    type: Type
    path: Sequence[str]
    size: Range | None
    declared: Callable[[Sequence[str]], Range | None]

    def known(self) -> Range:
        """Its size, or anything."""
        if self.size is not None:
            return self.size
        found = self.declared(self.path) if self.path else None
        return UNKNOWN if found is None else found

    def item(self) -> Argument | None:
        """What it holds, where it is a list or a map by its type."""
        if not self.type.parameters:
            return None
        path = [*self.path, "@items"] if self.path else []
        return Argument(None, self.type.parameters[0], path, None, self.declared)
