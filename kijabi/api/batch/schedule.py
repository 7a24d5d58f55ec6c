"""Times as in crontab, `*/5 * * * 1-5` or `@daily`: when they come, and what is wrong with them.

`cronjob_rules.py` asks what is wrong, in the words of github.com/robfig/cron; the CronJob controller when they come.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from re import compile as regex
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}  # fmt: skip
_EVERY = "@every "
_DURATION = regex(r"[+-]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
_PART = regex(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_MONTHS = {
    "jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6,
    "jul": 7, "aug": 8, "sep": 9, "oct": 10, "nov": 11, "dec": 12,
}  # fmt: skip
_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_FIELDS: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_WHOLE = regex(r"[+-]?\d+")


_YEARS = 5  # in which no time is found in a schedule that has none, such as on 31 February


class Schedule(Protocol):
    """When something happens, again and again."""

    def next(self, after: datetime) -> datetime | None:
        """The first time after a moment, in UTC; None if there is none for years."""
        ...


class Every(NamedTuple):
    """At fixed distances, whole seconds."""

    distance: timedelta

    def next(self, after: datetime) -> datetime | None:
        """See Schedule."""
        return after.replace(microsecond=0) + self.distance


class Times(NamedTuple):
    """At times that a clock of `zone` shows. star: month day and weekday must both fit; else one of the two is enough.

    A time that the clock skips in spring does not happen; one that it shows twice in autumn happens twice.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    star: bool
    zone: tzinfo

    def next(self, after: datetime) -> datetime | None:
        """See Schedule."""
        moment = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        limit = moment.year + _YEARS
        while moment.year <= limit:
            local = moment.astimezone(self.zone)
            if local.month not in self.months:
                moment = self._midnight(local.year + local.month // 12, local.month % 12 + 1, 1, moment)
            elif not self._day_fits(local):
                after_it = (local.replace(tzinfo=None) + timedelta(days=1)).date()
                moment = self._midnight(after_it.year, after_it.month, after_it.day, moment)
            elif local.hour not in self.hours:
                moment += timedelta(minutes=60 - local.minute)
            elif local.minute not in self.minutes:
                moment += timedelta(minutes=1)
            else:
                return moment
        return None

    def _midnight(self, year: int, month: int, day: int, least: datetime) -> datetime:
        """When a day begins, at least a minute from where we are."""
        begins = datetime(year, month, day, tzinfo=self.zone).astimezone(UTC)
        return max(begins, least + timedelta(minutes=1))

    def _day_fits(self, local: datetime) -> bool:
        day, weekday = local.day in self.days, local.isoweekday() % 7 in self.weekdays
        return day and weekday if self.star else day or weekday


def problem(text: str) -> str:
    """What is wrong with a schedule; empty if it is good."""
    try:
        parse(text)
    except ValueError as error:
        return str(error)
    return ""


def known_zone(name: str) -> bool:
    """Whether there is a time zone of that name."""
    try:
        return bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def parse(text: str, zone: str = "") -> Schedule:
    """A schedule, in the time of a zone (UTC by default; `TZ=` in front of the text names another). Raises ValueError.

    Source: github.com/robfig/cron v3, ParseStandard.
    """
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, blank, text = text.partition("=")[2].partition(" ")
        if not blank:
            raise ValueError("invalid schedule format: runtime error: slice bounds out of range [:-1]")
        if zone and not known_zone(zone):
            raise ValueError(f"provided bad location {zone}: unknown time zone {zone}")
        text = text.strip()
    elif zone and not known_zone(zone):
        raise ValueError(f"unknown time zone {zone}")
    place = ZoneInfo(zone) if zone else UTC
    if text.startswith("@"):
        return _descriptor(text, place)
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    sets: list[frozenset[int]] = []
    stars: list[bool] = []
    for field, (low, high, names) in zip(fields, _FIELDS, strict=True):
        found = [_range(part, low, high, names) for part in filter(None, field.split(","))]
        sets.append(frozenset(number for numbers, _ in found for number in numbers))
        stars.append(any(star for _, star in found))
    minutes, hours, days, months, weekdays = sets
    return Times(minutes, hours, days, months, weekdays, stars[2] or stars[4], place)


def _descriptor(text: str, place: tzinfo) -> Schedule:
    if text.startswith(_EVERY):
        span = text.removeprefix(_EVERY)
        if not _DURATION.fullmatch(span):
            raise ValueError(f'failed to parse duration {text}: time: invalid duration "{span}"')
        parts = _PART.findall(span)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts) * (-1 if span[0] == "-" else 1)
        return Every(timedelta(seconds=max(1, int(seconds))))
    if text not in _DESCRIPTORS:
        raise ValueError(f"unrecognized descriptor: {text}")
    return parse(_DESCRIPTORS[text], str(place) if isinstance(place, ZoneInfo) else "")


def _range(text: str, low: int, high: int, names: dict[str, int]) -> tuple[range, bool]:
    """A part of a field, `*`, `3`, `1-5`, `*/2`: its numbers, and whether it says every one."""
    span, *steps = text.split("/")
    limits = span.split("-")
    star = limits[0] in ("*", "?")
    if star:
        first, last = low, high
    else:
        first = last = _number(limits[0], names)
        if len(limits) == 2:
            last = _number(limits[1], names)
        elif len(limits) > 2:
            raise ValueError(f"too many hyphens: {text}")
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {text}")
    step = _number(steps[0], {}) if steps else 1
    if steps and len(limits) == 1:
        last = high
    if first < low:
        raise ValueError(f"beginning of range ({first}) below minimum ({low}): {text}")
    if last > high:
        raise ValueError(f"end of range ({last}) above maximum ({high}): {text}")
    if first > last:
        raise ValueError(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if not step:
        raise ValueError(f"step of range should be a positive number: {text}")
    return range(first, last + 1, step), star and step == 1


def _number(text: str, names: dict[str, int]) -> int:
    known = names.get(text.lower())
    if known is not None:
        return known
    if not text.isascii() or not _WHOLE.fullmatch(text):
        raise ValueError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    number = int(text)
    if number < 0:
        raise ValueError(f"negative number ({number}) not allowed: {text}")
    return number
