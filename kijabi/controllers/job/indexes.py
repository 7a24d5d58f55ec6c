"""Sets of completion indexes, as `status.completedIndexes` writes them: `0,2-5,7`. Pure.

`plan.py` and `policy.py` count with them. Source: batch/v1 Job, completionMode Indexed (KEP-2214).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

INDEX = "batch.kubernetes.io/job-completion-index"
"""Annotation and label of a pod: its index."""


class Indexes(NamedTuple):
    """Numbers as ranges (first, last), in order, not touching one another."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, text: str, completions: int) -> Indexes:
        """The indexes in a text below `completions`; what is no number is left out."""
        found: list[int | tuple[int, int]] = []
        for part in filter(None, text.split(",")):
            first, dash, last = part.partition("-")
            if not first.isdecimal() or (dash and not last.isdecimal()):
                continue
            low, high = int(first), min(int(last) if dash else int(first), completions - 1)
            if low <= high:
                found.append((low, high))
        return cls().union(found)

    def union(self, more: Iterable[int | tuple[int, int]]) -> Indexes:
        """These and more."""
        every = sorted([*self.ranges, *(one if isinstance(one, tuple) else (one, one) for one in more)])
        merged: list[tuple[int, int]] = []
        for first, last in every:
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
            else:
                merged.append((first, last))
        return Indexes(tuple(merged))

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(last - first + 1 for first, last in self.ranges)

    def has(self, index: int) -> bool:
        """Whether one is among them."""
        place = bisect_right(self.ranges, (index, float("inf"))) - 1
        return place >= 0 and self.ranges[place][1] >= index

    def common(self, other: Indexes) -> int:
        """How many both have."""
        found = 0
        mine, theirs = list(self.ranges), list(other.ranges)
        while mine and theirs:
            found += max(0, min(mine[0][1], theirs[0][1]) - max(mine[0][0], theirs[0][0]) + 1)
            if mine[0][1] < theirs[0][1]:
                mine.pop(0)
            else:
                theirs.pop(0)
        return found

    def missing(self, completions: int) -> Iterator[int]:
        """The numbers below `completions` that are not among them, in order."""
        candidate = 0
        for first, last in self.ranges:
            yield from range(candidate, min(first, completions))
            candidate = max(candidate, last + 1)
        yield from range(candidate, completions)

    def __str__(self) -> str:
        parts = []
        for first, last in self.ranges:
            joint = "," if last == first + 1 else "-"
            parts.append(str(first) if first == last else f"{first}{joint}{last}")
        return ",".join(parts)


def index_of(annotations: dict[str, str]) -> int | None:
    """A pod's completion index; None if it has none, or no number."""
    text = annotations.get(INDEX, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None
