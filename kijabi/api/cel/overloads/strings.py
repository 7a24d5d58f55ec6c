"""cel-go's string extension, version 2: positions, cutting, joining, case, `format`, `strings.quote`.

Positions count characters. Go's meaning of edge cases (empty separators, negative counts) is kept.
"""

from __future__ import annotations

from typing import Any

from kijabi.api.cel.costs import MAX_TEXT
from kijabi.api.cel.errors import EXCEEDED, CelError, CostExceeded
from kijabi.api.cel.functions import Overload
from kijabi.api.cel.overloads.textformat import format_text
from kijabi.api.cel.values import shown

_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029"
    "\u202f\u205f\u3000"
)
_QUOTED = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"',
}  # fmt: skip
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def bound(size: int) -> None:
    """Stop before a text is made that is larger than anything that can be stored."""
    if size > MAX_TEXT:
        raise CostExceeded(EXCEEDED)


def _out_of_range(index: int) -> CelError:
    return CelError(f"index out of range: {index}")


def _char_at(text: str, index: int) -> str:
    if not 0 <= index <= len(text):
        raise _out_of_range(index)
    return text[index : index + 1]


def _index_of(text: str, part: str, start: int = 0) -> int:
    if start < 0:
        raise _out_of_range(start)
    if not part:
        return min(start, len(text))
    return text.find(part, start)


def _last_index_of(text: str, part: str, start: int | None = None) -> int:
    if start is None:
        return text.rfind(part) if part else len(text)
    if start < 0:
        raise _out_of_range(start)
    if not part:
        return min(start, len(text))
    return -1 if start >= len(text) else text.rfind(part, 0, start + len(part))


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    found = text.count(old) if count < 0 else min(text.count(old), count)
    bound(len(text) + found * (len(new) - len(old)))
    return text.replace(old, new, count if count >= 0 else -1)


def _split(text: str, separator: str, count: int = -1) -> list[str]:
    if count == 0:
        return []
    if separator:
        return text.split(separator, count - 1 if count > 0 else -1)
    if count < 0 or count >= len(text):
        return list(text)
    return [*text[: count - 1], text[count - 1 :]]


def _substring(text: str, start: int, end: int | None = None) -> str:
    if end is not None and start > end:
        raise CelError(f"invalid substring range. start: {start}, end: {end}")
    for index in (start, end):
        if index is not None and not 0 <= index <= len(text):
            raise _out_of_range(index)
    return text[start:end]


def _join(items: Any, separator: str = "") -> str:
    texts = list(items)
    for item in texts:
        if not isinstance(item, str):
            raise CelError(f"join: invalid input: {shown(item)}")
    bound(sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _quote(text: str) -> str:
    return '"' + "".join(_QUOTED.get(char, char) for char in text) + '"'


LIBRARY = (
    Overload("string_char_at_int", "string.charAt(int) -> string", _char_at),
    Overload("string_index_of_string", "string.indexOf(string) -> int", _index_of),
    Overload("string_index_of_string_int", "string.indexOf(string, int) -> int", _index_of),
    Overload("string_last_index_of_string", "string.lastIndexOf(string) -> int", _last_index_of),
    Overload("string_last_index_of_string_int", "string.lastIndexOf(string, int) -> int", _last_index_of),
    Overload("string_lower_ascii", "string.lowerAscii() -> string", lambda text: text.translate(_LOWER)),
    Overload("string_replace_string_string", "string.replace(string, string) -> string", _replace),
    Overload("string_replace_string_string_int", "string.replace(string, string, int) -> string", _replace),
    Overload("string_split_string", "string.split(string) -> list(string)", _split),
    Overload("string_split_string_int", "string.split(string, int) -> list(string)", _split),
    Overload("string_substring_int", "string.substring(int) -> string", _substring),
    Overload("string_substring_int_int", "string.substring(int, int) -> string", _substring),
    Overload("string_trim", "string.trim() -> string", lambda text: text.strip(_SPACE)),
    Overload("string_upper_ascii", "string.upperAscii() -> string", lambda text: text.translate(_UPPER)),
    Overload("string_format", "string.format(list(dyn)) -> string", format_text),
    Overload("strings_quote", "strings.quote(string) -> string", _quote),
    Overload("list_join", "list(string).join() -> string", _join),
    Overload("list_join_string", "list(string).join(string) -> string", _join),
)
