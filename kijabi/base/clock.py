"""Time belongs to the loop: the only module that knows wall time.

Everything else waits on the event loop (`asyncio.sleep`, `loop.call_at`, `asyncio.timeout`) and asks here for
the date. A simulation's loop carries a `wall_time()` method of its own and so owns both clocks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime


def wall() -> float:
    """Seconds since the epoch: the running loop's where it has a clock (simulation), else the machine's."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return time.time()
    own = getattr(loop, "wall_time", None)
    return float(own()) if own is not None else time.time()


def now() -> datetime:
    """The date and time in UTC, with microseconds."""
    return datetime.fromtimestamp(wall(), UTC)


def monotonic() -> float:
    """Seconds that never run backwards; inside a loop its own time, so that a simulation can own it."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


def stopwatch() -> Callable[[], float]:
    """A clock that measures short work: of the machine's finest, or the running loop's own in a simulation."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return time.perf_counter
    return loop.time if hasattr(loop, "wall_time") else time.perf_counter
