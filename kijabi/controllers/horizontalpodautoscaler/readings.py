"""What a metric says, as `metrics.py` reads it and `replicas.py` computes with it. All values are in thousandths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec


class Sample(NamedTuple):
    """A value of one pod: the average of so many seconds until then (seconds since the epoch)."""

    value: int
    at: float = 0.0
    window: float = 0.0


class Unread(msgspec.Struct, frozen=True):
    """The metric could not be read, and why. unasked: its selector is none, so nobody was asked for it."""

    text: str
    unasked: bool = False


Samples = Mapping[str, Sample]
Reading = Samples | tuple[int, ...] | Unread
"""By pod, or the values of what is no pod, or nothing."""
