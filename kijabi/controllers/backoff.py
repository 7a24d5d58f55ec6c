"""Waiting longer each time the same thing goes wrong, for controllers that replace what keeps failing.

Pure bookkeeping of times; the DaemonSet controller holds back pods that fail on a node with it. (What a queue does for
keys whose reconcile failed is in `client/queue.py`.)
"""

from __future__ import annotations

from typing import NamedTuple

MAX_KEYS = 100_000
"""Keys remembered; beyond that the ones that were longest idle are forgotten."""


class _Entry(NamedTuple):
    delay: float
    since: float


class Backoff:
    """By key: `first` seconds after the first time, twice as long after each further, `most` at most.

    A key that has been quiet for twice `most` starts again.
    """

    def __init__(self, first: float, most: float) -> None:
        self.first = first
        self.most = most
        self._entries: dict[str, _Entry] = {}

    def wait(self, key: str, now: float) -> float:
        """Seconds until it may be tried again; 0 for at once."""
        entry = self._entries.get(key)
        return max(0.0, entry.since + entry.delay - now) if entry is not None else 0.0

    def next(self, key: str, now: float) -> None:
        """It is tried again now: the next time waits longer."""
        entry = self._entries.pop(key, None)
        fresh = entry is None or now - entry.since > 2 * self.most
        delay = self.first if entry is None or fresh else min(self.most, 2 * entry.delay)
        self._entries[key] = _Entry(delay, now)
        if len(self._entries) > MAX_KEYS:
            del self._entries[next(iter(self._entries))]
