"""How the server's seats are dealt to the priority levels: in proportion to what each wants, within its bounds.

`levels.py` asks every ten seconds. Pure (KEP-1040, "Dispatching and borrowing"; k8s.io/apiserver
`pkg/util/flowcontrol/conc_alloc.go`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

LEAST = 0.001  # a level that wants nothing still counts for something


class Claim(NamedTuple):
    """What one level wants: at least `low`, at most `high`, `target` if all could have that."""

    low: float
    high: float
    target: float

    def at(self, fraction: float) -> float:
        """What it gets if everybody gets this fraction of its target."""
        return max(self.low, min(self.high, fraction * max(self.target, LEAST)))


def allocate(total: float, claims: Sequence[Claim]) -> tuple[list[float], float]:
    """Shares that add up to `total` as nearly as the bounds allow, and the fraction of its target that everybody gets
    whose bounds do not matter."""
    bounds = sorted({bound / max(claim.target, LEAST) for claim in claims for bound in (claim.low, claim.high)})
    sums = [sum(claim.at(bound) for claim in claims) for bound in bounds]
    fraction = 0.0
    if bounds:
        fraction = bounds[-1]
        for place, reached in enumerate(sums):
            if reached >= total:
                fraction = bounds[place]
                if place and reached > total:
                    before, below = bounds[place - 1], sums[place - 1]
                    fraction = before + (fraction - before) * (total - below) / (reached - below)
                break
    return [claim.at(fraction) for claim in claims], fraction
