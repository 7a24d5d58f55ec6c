"""What flow control counts: for each priority level and schema, who went on, who was refused, how long it all took.

`gate.py` counts, `exposition.py` shows it under upstream's names. What can be seen from the queues (how many wait, how
many are being answered) is not counted but looked up when somebody asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

LENGTHS = (0, 10, 25, 50, 100, 250, 500, 1000)
SECONDS = (0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)
SEATS = (1, 2, 4, 8, 16, 32, 64, 100)
MAX_COUNTS = 4096  # pairs of level and schema that are told apart


class Histogram:
    """How often what was seen fell between which bounds."""

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.total = 0.0

    def see(self, value: float) -> None:
        """Count one."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value


class Counts:
    """Of one priority level and schema. one_seat: requests that took no more, apart from `seats`."""

    def __init__(self) -> None:
        self.dispatched = 0
        self.one_seat = 0
        self.rejected: dict[str, int] = {}
        self.lengths = Histogram(LENGTHS)
        self.waited = Histogram(SECONDS)
        self.waited_in_vain = Histogram(SECONDS)
        self.took = Histogram(SECONDS)
        self.watch_took = Histogram(SECONDS)
        self.seats = Histogram(SEATS)


class Figures:
    """All counts, by (priority level, schema)."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], Counts] = {}

    def of(self, level: str, schema: str) -> Counts:
        """Those of a level and schema; when there are too many, the last ones share."""
        key = (level, schema)
        if key not in self.counts and len(self.counts) >= MAX_COUNTS:
            key = ("other", "other")
        return self.counts.setdefault(key, Counts())
