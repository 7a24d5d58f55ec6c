"""Go's durations as text: `32s`, `1m30s`, `1.5h`.

The API server reads `?timeout=` with it, `protobuf_write.py` what becomes a number of nanoseconds. The grammar is that
of Go's time.ParseDuration, errors included.
"""

from __future__ import annotations

import re

from kijabi.api.gotext import quote

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([^0-9.]*)")
MAX_LENGTH = 64


def parse(text: str) -> float:
    """Seconds. Raises ValueError with Go's text."""
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0.0
    if not rest or len(text) > MAX_LENGTH:
        raise ValueError(f"time: invalid duration {quote(text)}")
    total, position = 0.0, 0
    while position < len(rest):
        match = _PART.match(rest, position)
        if match is None:
            raise ValueError(f"time: invalid duration {quote(text)}")
        number, unit = match.groups()
        if not unit:
            raise ValueError(f"time: missing unit in duration {quote(text)}")
        if unit not in _UNITS:
            raise ValueError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        total += float(number) * _UNITS[unit]
        position = match.end()
    return sign * total
