"""Semantic versions as values: `semver('1.2.3').isLessThan(semver('1.10.0'))`, in the reading of blang/semver."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import NAMED, Overload
from kijabi.api.cel.types import Type
from kijabi.api.cel.values import MAX_UINT
from kijabi.api.gotext import quote

_DIGITS = re.compile(r"[0-9]+")
_WORD = re.compile(r"[0-9A-Za-z-]+")
_NAMES = ("major", "minor", "patch")


class Semver:
    """A version. numbers: major, minor, patch. release: the parts behind the dash. Build data do not count."""

    __slots__ = ("numbers", "release")
    cel_type: ClassVar[Type] = NAMED["Semver"]

    def __init__(self, numbers: tuple[int, ...], release: tuple[str, ...]) -> None:
        self.numbers = numbers
        self.release = release

    def cel_equals(self, other: Any) -> bool:
        """Whether neither comes before the other."""
        if not isinstance(other, Semver):
            raise CelError("no such overload")
        return self.compare(other) == 0

    def compare(self, other: Semver) -> int:
        """-1, 0 or 1 in the order of versions; one without a release part comes last."""
        mine, theirs = self._rank(), other._rank()
        return int(mine > theirs) - int(mine < theirs)

    def _rank(self) -> Any:
        parts = [(0, int(part), "") if _DIGITS.fullmatch(part) else (1, 0, part) for part in self.release]
        return (self.numbers, not self.release, parts)


def _number(what: str, text: str) -> int:
    if not _DIGITS.fullmatch(text) and text:
        raise CelError(f"Invalid character(s) found in {what} number {quote(text)}")
    if len(text) > 1 and text[0] == "0":
        raise CelError(f"{what.capitalize()} number must not contain leading zeroes {quote(text)}")
    if not text:
        raise CelError('strconv.ParseUint: parsing "": invalid syntax')
    value = int(text) if len(text) <= 20 else MAX_UINT + 1
    if value > MAX_UINT:
        raise CelError(f"strconv.ParseUint: parsing {quote(text)}: value out of range")
    return value


def parsed(text: str, normalize: bool = False) -> Semver:
    """CelError with the text that upstream's parser gives."""
    if normalize:
        text = _normal(text)
    if not text:
        raise CelError("Version string empty")
    parts = text.split(".", 2)
    if len(parts) != 3:
        raise CelError("No Major.Minor.Patch elements found")
    rest, plus, build = parts[2].partition("+")
    patch, dash, release = rest.partition("-")
    numbers = tuple(_number(what, part) for what, part in zip(_NAMES, (parts[0], parts[1], patch), strict=True))
    found: list[str] = []
    for part in release.split(".") if dash else ():
        if not part:
            raise CelError("Prerelease is empty")
        if _DIGITS.fullmatch(part) and len(part) > 1 and part[0] == "0":
            raise CelError(f"Numeric PreRelease version must not contain leading zeroes {quote(part)}")
        if not _WORD.fullmatch(part):
            raise CelError(f"Invalid character(s) found in prerelease {quote(part)}")
        found.append(part)
    for part in build.split(".") if plus else ():
        if not part:
            raise CelError("Build meta data is empty")
        if not _WORD.fullmatch(part):
            raise CelError(f"Invalid character(s) found in build meta data {quote(part)}")
    return Semver(numbers, tuple(found))


def _normal(text: str) -> str:
    """A version as people write it (`v1.02`) in the form that the parser takes."""
    parts = text.removeprefix("v").split(".", 2)
    for index, part in enumerate(parts):
        if len(part) > 1:
            bare = part.lstrip("0")
            parts[index] = bare if bare[:1] in tuple("0123456789") else f"0{bare}"
    if len(parts) < 3:
        if "+" in parts[-1] or "-" in parts[-1]:
            raise CelError("short version cannot contain PreRelease/Build meta data")
        parts += ["0"] * (3 - len(parts))
    return ".".join(parts)


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        parsed(text, normalize)
    except CelError:
        return False
    return True


LIBRARY = (
    Overload("string_to_semver", "semver(string) -> Semver", parsed),
    Overload("string_bool_to_semver", "semver(string, bool) -> Semver", parsed),
    Overload("is_semver_string", "isSemver(string) -> bool", _is_semver),
    Overload("is_semver_string_bool", "isSemver(string, bool) -> bool", _is_semver),
    Overload("semver_is_greater_than", "Semver.isGreaterThan(Semver) -> bool", lambda a, b: a.compare(b) > 0),
    Overload("semver_is_less_than", "Semver.isLessThan(Semver) -> bool", lambda a, b: a.compare(b) < 0),
    Overload("semver_compare_to", "Semver.compareTo(Semver) -> int", Semver.compare),
    Overload("semver_major", "Semver.major() -> int", lambda one: one.numbers[0]),
    Overload("semver_minor", "Semver.minor() -> int", lambda one: one.numbers[1]),
    Overload("semver_patch", "Semver.patch() -> int", lambda one: one.numbers[2]),
)
