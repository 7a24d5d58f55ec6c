"""Regular expressions: `matches`, `find` and `findAll`, in Go's syntax and in linear time (`api/goregex.py`)."""

from __future__ import annotations

from typing import Any

from kijabi.api import goregex
from kijabi.api.cel.errors import CelError
from kijabi.api.cel.functions import Impl, Overload


def _pattern(pattern: str, prefix: str = "") -> Any:
    try:
        return goregex.compile(pattern)
    except goregex.RegexError as error:
        raise CelError(f"{prefix}{error}") from None


def matches(text: str, pattern: str) -> bool:
    """Whether a pattern matches anywhere in a text."""
    if not isinstance(pattern, str) or not isinstance(text, str):
        raise CelError("no such overload")
    return _pattern(pattern).search(text) is not None


def _find(text: str, pattern: str) -> str:
    if not isinstance(text, str):
        raise CelError("no such overload")
    found = _pattern(pattern, "Illegal regex: ").search(text)
    return found.group() if found is not None else ""


def _find_all(text: str, pattern: str, limit: int = -1) -> list[str]:
    found: list[str] = []
    if not isinstance(text, str) or limit.__class__ is not int:
        raise CelError("no such overload")
    if limit == 0:
        return found
    for match in _pattern(pattern, "Illegal regex: ").finditer(text):
        found.append(match.group())
        if len(found) == limit:
            break
    return found


# What searches with a constant pattern: it looks at its arguments itself.
FINDING: dict[str, Impl] = {"find": _find, "findAll": _find_all}

LIBRARY = (
    Overload("string_find_string", "string.find(string) -> string", _find),
    Overload("string_find_all_string", "string.findAll(string) -> list(string)", _find_all),
    Overload("string_find_all_string_int", "string.findAll(string, int) -> list(string)", _find_all),
)
