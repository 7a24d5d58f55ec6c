"""Moments and spans of time as text, and what can be asked of them: Go's `time` package, as far as expressions see it.

The conversions of the standard library and the values of schemas with a time format use it. Arithmetic on integers;
only a named time zone asks the machine's database.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from kijabi.api.cel.errors import CelError
from kijabi.api.cel.values import (
    MAX_INT,
    MAX_SECONDS,
    MIN_INT,
    MIN_SECONDS,
    SECOND,
    Duration,
    Timestamp,
    plain,
    shortest,
)  # fmt: skip

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII)
_DAY = 86400
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_UNITS = {
    "ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND,
}  # fmt: skip
_SPAN = re.compile(r"(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)", re.ASCII)


def parse_timestamp(text: str) -> Timestamp | None:
    """The moment that an RFC 3339 text means; None where it is none. CelError beyond the years 1 to 9999."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(match[index]) for index in range(1, 7))
    east = 0
    if match[8]:
        hours, minutes = int(match[9]), int(match[10])
        if hours > 24 or minutes > 60:
            return None
        east = (hours * 60 + minutes) * (-60 if match[8] == "-" else 60)
    if hour > 23 or minute > 59 or second > 59:
        return None
    try:
        days = date(year or 4, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    if year == 0:
        raise CelError("timestamp overflow")
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - east
    return Timestamp(checked_seconds(seconds) * SECOND + int((match[7] or "0")[:9].ljust(9, "0")), east)


def checked_seconds(seconds: int) -> int:
    """Seconds since 1970. CelError beyond the years 1 to 9999."""
    if not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise CelError("timestamp overflow")
    return seconds


def parse_duration(text: str) -> Duration | None:
    """The span that a Go duration means (`1h30m`); None where it is none or does not fit 64 bits of nanoseconds."""
    body = text[1:] if text[:1] in ("+", "-") else text
    if body == "0":
        return Duration(0)
    total, at = 0, 0
    while at < len(body):
        match = _SPAN.match(body, at)
        if match is None or not (match[1] or match[2]):
            return None
        unit = _UNITS[match[3]]
        fraction = (match[2] or "")[:18]
        total += int(match[1] or "0") * unit if len(match[1]) < 20 else 2**64
        total += int(fraction or "0") * unit // 10 ** len(fraction)
        if total > 2**63:
            return None
        at = match.end()
    total = -total if text[:1] == "-" else total
    return Duration(total) if body and MIN_INT <= total <= MAX_INT else None


def duration_text(span: Duration) -> str:
    """Seconds with as many decimals as needed, and an `s`."""
    nanos = abs(span.nanos)
    seconds = float(nanos // SECOND) + float(nanos % SECOND) / SECOND
    return f"{'-' if span.nanos < 0 else ''}{plain(*shortest(seconds))}s"


def timestamp_text(moment: Timestamp) -> str:
    """RFC 3339 with as many decimals as needed, in the offset in which the moment was written."""
    year, month, day, seconds, nanos = _parts(moment, moment.offset)
    fraction = f".{nanos:09d}".rstrip("0") if nanos else ""
    zone = "Z"
    if moment.offset:
        east = abs(moment.offset) // 60
        zone = f"{'-' if moment.offset < 0 else '+'}{east // 60:02d}:{east % 60:02d}"
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{year:04d}-{month:02d}-{day:02d}T{clock}{fraction}{zone}"


def _parts(moment: Timestamp, east: int) -> tuple[int, int, int, int, int]:
    """Year, month, day, second of the day and nanosecond, some seconds east of UTC."""
    seconds, nanos = divmod(moment.nanos, SECOND)
    days, rest = divmod(seconds + east, 86400)
    ordinal = min(max(days + _EPOCH_DAY, 1), date.max.toordinal())
    found = date.fromordinal(ordinal)
    return found.year, found.month, found.day, rest, nanos


def _east(moment: Timestamp, zone: str) -> int:
    """The offset of a zone at a moment: a name of the database, or `[+-]hh:mm`."""
    hours, colon, minutes = zone.partition(":")
    if colon:
        for part in (hours, minutes):
            if not re.fullmatch(r"[+-]?\d{1,18}", part, re.ASCII):
                raise CelError(f'strconv.Atoi: parsing "{part}": invalid syntax')
        hour, minute = int(hours), int(minutes)
        return 60 * (hour * 60 + (-minute if zone[0] == "-" else minute))
    if zone in ("", "UTC"):
        return 0
    try:
        found = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CelError(f"unknown time zone {zone}") from None
    inside = min(max(moment.nanos // SECOND, MIN_SECONDS + 2 * _DAY), MAX_SECONDS - 2 * _DAY)
    shift = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=inside)).astimezone(found).utcoffset()
    return int(shift.total_seconds()) if shift is not None else 0


def part(moment: Timestamp, what: str, zone: str = "") -> int:
    """What `getFullYear`, `getMonth` and their like answer, by the name behind `get`."""
    year, month, day, seconds, nanos = _parts(moment, _east(moment, zone))
    match what:
        case "FullYear":
            return year
        case "Month":
            return month - 1
        case "DayOfYear":
            return date(year, month, day).timetuple().tm_yday - 1
        case "DayOfMonth":
            return day - 1
        case "Date":
            return day
        case "DayOfWeek":
            return date(year, month, day).isoweekday() % 7
        case "Hours":
            return seconds // 3600
        case "Minutes":
            return seconds // 60 % 60
        case "Seconds":
            return seconds % 60
        case _:
            return nanos // 10**6


def span_part(span: Duration, what: str) -> int:
    """A span in whole hours, minutes, seconds or milliseconds, cut towards zero."""
    unit = {"Hours": 3600 * SECOND, "Minutes": 60 * SECOND, "Seconds": SECOND, "Milliseconds": 10**6}[what]
    return -(-span.nanos // unit) if span.nanos < 0 else span.nanos // unit
