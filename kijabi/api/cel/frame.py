"""One evaluation while it runs: the values of its variables and what it has cost.

`evaluate.py` and `attributes.py` make closures over it, `environment.Program` makes one per evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kijabi.api.cel.costs import PER_CALL_LIMIT
from kijabi.api.cel.errors import EXCEEDED, CostExceeded

Run = Callable[["Frame"], Any]


class Frame:
    """One evaluation: the values of its variables, and what it has cost so far.

    weight: characters made by `+` where the types were unknown, which upstream counts as one unit whatever the size.
    """

    __slots__ = ("cost", "limit", "slots", "weight")

    def __init__(self, slots: list[Any], limit: int = PER_CALL_LIMIT) -> None:
        self.slots = slots
        self.cost = 0
        self.weight = 0
        self.limit = limit

    def check(self) -> None:
        """Stop where the limit is exceeded."""
        if self.cost > self.limit:
            raise CostExceeded(EXCEEDED)


class Later:
    """The value of a bound name, computed when it is first read."""

    __slots__ = ("run",)

    def __init__(self, run: Run) -> None:
        self.run = run
