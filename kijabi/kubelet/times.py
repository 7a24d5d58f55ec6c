"""Between seconds since the epoch, which runtimes and clocks speak, and the Time that objects carry.

Used all over the kubelet; pure.
"""

from __future__ import annotations

from datetime import UTC, datetime

from kijabi.api.meta import Time


def time_at(seconds: float) -> Time:
    """The Time of an instant, cut to whole seconds as metav1.Time is."""
    return Time.of(datetime.fromtimestamp(int(seconds), UTC))
