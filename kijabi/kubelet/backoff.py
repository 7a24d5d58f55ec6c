"""Exponential back-off as a value: how long to wait before a failed container or image pull is tried again.

`podworker.py` keeps one `Backoff` a container and `images.py` one an image; `plan.py` reads them. Steps are
10 s, 20 s … 300 s; whatever ran well for 10 minutes begins anew (Pod lifecycle, "restart policy").
"""

from __future__ import annotations

import msgspec

FIRST = 10.0
LIMIT = 300.0
RESET_AFTER = 2 * LIMIT


class Backoff(msgspec.Struct, frozen=True):
    """The present delay in seconds, and when (seconds since the epoch) it was last raised."""

    delay: float
    raised_at: float

    def remaining(self, since: float, now: float) -> float:
        """Seconds still to wait after a failure at `since`; 0 when the time is over or the entry is stale."""
        if since - self.raised_at > RESET_AFTER:
            return 0.0
        return max(0.0, since + self.delay - now)


def raised(entry: Backoff | None, since: float, now: float) -> Backoff:
    """The entry after one more try whose cause was a failure at `since`."""
    if entry is None or since - entry.raised_at > RESET_AFTER:
        return Backoff(FIRST, now)
    return Backoff(min(entry.delay * 2, LIMIT), now)


def text(seconds: float) -> str:
    """A delay as Go prints a duration: `10s`, `1m20s`, `5m0s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return f"{whole // 60}m{whole % 60}s"
