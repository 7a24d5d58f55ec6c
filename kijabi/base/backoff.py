"""How long to wait before trying again: exponential, bounded, with jitter from `base.rand`.

Informers, queues, task restarts and everything else that repeats asks here, so that a simulation replays
waits too.
"""

from __future__ import annotations

from kijabi.base import rand


def delay(failures: int, *, first: float, most: float, factor: float = 2.0, jitter: float = 0.1) -> float:
    """Seconds to wait after the n-th failure in a row (1, 2, …): first, first*factor … at most `most`.

    jitter: up to this share is added by chance, so that those who failed together do not come back together.
    """
    # The exponent is bounded, so that a long outage cannot overflow a float.
    steady = min(most, first * factor ** min(max(failures - 1, 0), 64))
    return steady * (1.0 + jitter * rand.rng().random())


class Backoff:
    """Counts failures in a row: `next()` is how long to wait after one more, `reset()` says it went well."""

    def __init__(self, first: float = 0.8, most: float = 30.0, *, factor: float = 2.0, jitter: float = 0.5) -> None:
        self.first = first
        self.most = most
        self.factor = factor
        self.jitter = jitter
        self.failures = 0

    def next(self) -> float:
        """Count a failure; seconds to wait before the next try."""
        self.failures += 1
        return delay(self.failures, first=self.first, most=self.most, factor=self.factor, jitter=self.jitter)

    def reset(self) -> None:
        """Begin anew with the first delay."""
        self.failures = 0
