"""Columns summed over the domains of a topology key: how many pods the zone of each row has, and the like.

`plugins/interpodaffinity` and `plugins/podtopologyspread` ask; a domain is a value of a node's label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kijabi.scheduler.framework import Mask, Scores
from kijabi.scheduler.nodestate import ABSENT, NodeState


class Domains:
    """One topology key. ids: each row's domain; present: the rows that have one."""

    def __init__(self, nodes: NodeState, key: str) -> None:
        values, self.ids = nodes.label(key)
        self.size = len(values.values)
        self.present: Mask = self.ids != ABSENT

    def sums(self, column: NDArray[np.float64]) -> Scores:
        """The sum of a column by domain; rows without one count nowhere."""
        found: Scores = np.bincount(self.ids, weights=column, minlength=self.size).astype(np.float64)
        found[ABSENT] = 0.0
        return found

    def known(self, rows: Mask) -> Mask:
        """Which domains have one of these rows."""
        found: Mask = np.zeros(self.size, dtype=np.bool_)
        found[self.ids[rows]] = True
        found[ABSENT] = False
        return found

    def gather(self, by_domain: Scores) -> Scores:
        """A number of each domain for its rows."""
        return by_domain[self.ids]
