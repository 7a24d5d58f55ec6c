"""Times as in crontab, `*/5 * * * 1-5` or `@daily`: what is wrong with them, in the words of github.com/robfig/cron.

`cronjob_rules.py` asks.
"""

from __future__ import annotations

from re import compile as regex
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DESCRIPTORS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY = "@every "
_DURATION = regex(r"[+-]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)")
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


def problem(text: str) -> str:
    """What is wrong with a schedule; empty if it is good."""
    try:
        _check(text)
    except ValueError as error:
        return str(error)
    return ""


def known_zone(name: str) -> bool:
    """Whether there is a time zone of that name."""
    try:
        return bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _check(text: str) -> None:
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, blank, text = text.partition("=")[2].partition(" ")
        if not blank:
            raise ValueError("invalid schedule format: runtime error: slice bounds out of range [:-1]")
        if zone and not known_zone(zone):
            raise ValueError(f"provided bad location {zone}: unknown time zone {zone}")
        text = text.strip()
    if text.startswith("@"):
        _check_descriptor(text)
        return
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    for field, (low, high, names) in zip(fields, _FIELDS, strict=True):
        for part in filter(None, field.split(",")):
            _check_range(part, low, high, names)


def _check_descriptor(text: str) -> None:
    if text.startswith(_EVERY):
        span = text.removeprefix(_EVERY)
        if not _DURATION.fullmatch(span):
            raise ValueError(f'failed to parse duration {text}: time: invalid duration "{span}"')
    elif text not in _DESCRIPTORS:
        raise ValueError(f"unrecognized descriptor: {text}")


def _check_range(text: str, low: int, high: int, names: dict[str, int]) -> None:
    """A part of a field: `*`, `3`, `1-5`, `*/2`."""
    span, *steps = text.split("/")
    limits = span.split("-")
    if limits[0] in ("*", "?"):
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
