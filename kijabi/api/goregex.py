"""Regular expressions in Go's syntax, which is RE2's: matched in linear time, whatever the expression.

The rules of CustomResourceDefinitions (`pattern`) and CEL's `matches` call this. Python's own `re` is not used for
them: it knows other syntax and can take exponential time, and both the expression and the text come from clients.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import re2

# What RE2 for C++ calls an error, and how Go's regexp/syntax words the same.
_WORDS = {
    "invalid escape sequence": "invalid escape sequence",
    "invalid character class": "invalid character class",
    "invalid character class range": "invalid character class range",
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "unexpected )": "unexpected )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid UTF-8": "invalid UTF-8",
    "invalid named capture group": "invalid named capture",
}
_CACHED = 4096
_ANY_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")  # a single byte: RE2 knows it, Go does not

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


class RegexError(ValueError):
    """The expression is none; the text is Go's (`error parsing regexp: missing closing ]: `[a``)."""


@lru_cache(_CACHED)
def compile(pattern: str) -> Any:
    """The compiled expression, with re2's methods (`search`, `fullmatch`). RegexError if it is none."""
    if _ANY_BYTE.search(pattern):
        raise RegexError("error parsing regexp: invalid escape sequence: `\\C`")
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        raise RegexError(_worded(error)) from None


def _worded(error: re2.error) -> str:
    text = error.args[0]
    text = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
    for known, words in _WORDS.items():
        if text == known or text.startswith(f"{known}: "):
            return f"error parsing regexp: {words}: `{text[len(known) + 2 :]}`"
    return "error parsing regexp: expression too large"


def matches(pattern: str, text: str) -> bool:
    """Whether the expression matches anywhere in the text. RegexError if it is no expression."""
    return compile(pattern).search(text) is not None
