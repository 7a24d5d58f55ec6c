"""Between seconds since the epoch, which runtimes and clocks speak, and the Time that objects carry.

Used all over the kubelet; pure.
"""

from __future__ import annotations

from datetime import UTC, datetime

from kijabi.api.meta import Time


def time_at(seconds: float) -> Time:
    """The Time of an instant, cut to whole seconds as metav1.Time is."""
    return Time.of(datetime.fromtimestamp(int(seconds), UTC))


def go_duration(seconds: float) -> str:
    """A duration as Go prints it with millisecond precision: `0s`, `153ms`, `1.25s`, `1m3.2s`."""
    millis = round(seconds * 1000)
    if millis == 0:
        return "0s"
    if millis < 1000:
        return f"{millis}ms"
    minutes, rest = divmod(millis, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{text}s"
    return f"{minutes}m{text}s" if minutes else f"{text}s"
