"""Cuts the text of an expression into tokens, and reads the literals in it.

The parser takes the tokens. The words are those of the CEL language definition; what fits none of them is reported as
the upstream lexer reports it (`token recognition error at: '#'`) and left out. One pass, linear in the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kijabi.api.cel.errors import Issues
from kijabi.api.cel.values import Uint


class Token(NamedTuple):
    """One word. kind: `ident`, `int`, `uint`, `float`, `string`, `bytes`, `escaped`, `end`, or an operator's text."""

    kind: str
    text: str
    at: int


_ESCAPE = r"\\(?:[abfnrtv\"'\\?`]|[0-3][0-7][0-7]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"
_STRING = (
    r"[rR](?:\"\"\"[\s\S]*?\"\"\"|'''[\s\S]*?'''|\"[^\"\n\r]*\"|'[^'\n\r]*')"
    rf"|\"\"\"(?:{_ESCAPE}|[^\\])*?\"\"\"|'''(?:{_ESCAPE}|[^\\])*?'''"
    rf"|\"(?:{_ESCAPE}|[^\\\"\n\r])*\"|'(?:{_ESCAPE}|[^\\'\n\r])*'"
)
_WORDS = re.compile(
    rf"(?P<space>[\t \r\n\f]+|//[^\n]*)"
    r"|(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)"
    r"|(?P<uint>0x[0-9a-fA-F]+[uU]|\d+[uU])"
    r"|(?P<int>0x[0-9a-fA-F]+|\d+)"
    rf"|(?P<bytes>[bB](?:{_STRING}))"
    rf"|(?P<string>{_STRING})"
    r"|(?P<ident>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<escaped>`[A-Za-z0-9_.\-/ ]+`)"
    r"|(?P<operator>==|!=|<=|>=|&&|\|\||[\[\]{}()<>.,\-!?:+*/%])",
    re.ASCII,
)
_KEYWORDS = frozenset(("in", "true", "false", "null"))
_QUOTES = ("'''", '"""', "'", '"')
_BROKEN_ESCAPE = "unable to unescape string"


def tokens(text: str, issues: Issues) -> list[Token]:
    """The words of a text, the last one of kind `end`."""
    found: list[Token] = []
    at, end = 0, len(text)
    while at < end:
        match = _WORDS.match(text, at)
        if match is None:
            stop = _unreadable(text, at)
            issues.add(at, f"Syntax error: token recognition error at: '{shown(text[at:stop])}'")
            at = stop
            continue
        kind, word = match.lastgroup or "", match.group()
        if kind == "operator" or word in _KEYWORDS:
            kind = word
        if kind != "space":
            found.append(Token(kind, word, at))
        at = match.end()
    found.append(Token("end", "<EOF>", end))
    return found


def _unreadable(text: str, at: int) -> int:
    """Where the characters end that begin a word but do not make one."""
    first = text[at]
    if first in "=&|":
        return min(at + 2, len(text))
    start = at
    while text[start : start + 1] in tuple("rRbB"):
        start += 1
    if text[start] not in "'\"":
        return at + 2 if first == "`" else at + 1
    raw = start > at and text[start - 1] in "rR"
    stop = start + 1
    while stop < len(text):
        char = text[stop]
        if char in "\n\r":
            return stop + 1
        if char == "\\" and not raw:
            escape = re.compile(_ESCAPE).match(text, stop)
            if escape is None:
                return min(stop + 2, len(text))
            stop = escape.end()
            continue
        stop += 1
    return stop


def shown(text: str) -> str:
    """A word in an error message."""
    return text.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


_SIMPLE = {
    "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"',
    "`": "`", "?": "?",
}  # fmt: skip


def read_string(word: str) -> str:
    """The value of a string literal. ValueError with upstream's text where an escape is none."""
    body, raw = _inside(word)
    if raw or "\\" not in body:
        return body
    parts: list[str] = []
    at = 0
    while at < len(body):
        if body[at] != "\\":
            stop = body.find("\\", at)
            stop = len(body) if stop < 0 else stop
            parts.append(body[at:stop])
            at = stop
            continue
        code, at = _escape(body, at)
        if isinstance(code, int) and (code > 0x10FFFF or 0xD800 <= code < 0xE000):
            raise ValueError("invalid unicode code point")
        parts.append(chr(code) if isinstance(code, int) else code)
    return "".join(parts)


def read_bytes(word: str) -> bytes:
    """The value of a bytes literal (with its `b`). ValueError as for strings, and for `\\u` escapes."""
    body, raw = _inside(word[1:])
    if raw or "\\" not in body:
        return body.encode()
    value = bytearray()
    at = 0
    while at < len(body):
        if body[at] != "\\":
            value += body[at].encode()
            at += 1
            continue
        if body[at + 1] in "uU":
            raise ValueError(_BROKEN_ESCAPE)
        code, at = _escape(body, at)
        value += bytes((code,)) if isinstance(code, int) else code.encode()
    return bytes(value)


def _inside(word: str) -> tuple[str, bool]:
    """What stands between the quotes, with newlines normalised, and whether escapes are left alone in it."""
    raw = word[0] in "rR"
    word = word.replace("\r\n", "\n").replace("\r", "\n")[raw:]
    quote = next(mark for mark in _QUOTES if word.startswith(mark) and len(word) >= 2 * len(mark))
    return word[len(quote) : -len(quote)], raw


def _escape(body: str, at: int) -> tuple[int | str, int]:
    """The character that an escape stands for (a number where it was written as one), and where the text goes on."""
    letter = body[at + 1]
    if letter in _SIMPLE:
        return _SIMPLE[letter], at + 2
    if letter in "0123":
        return int(body[at + 1 : at + 4], 8), at + 4
    digits = {"x": 2, "X": 2, "u": 4, "U": 8}[letter]
    return int(body[at + 2 : at + 2 + digits], 16), at + 2 + digits


def read_int(word: str, *, negative: bool = False) -> int:
    """The value of an int literal. ValueError where it does not fit 64 bits."""
    if len(word) > 64:
        raise ValueError("invalid int literal")
    value = int(word, 16) if word.startswith("0x") else int(word)
    value = -value if negative else value
    if not -(2**63) <= value < 2**63:
        raise ValueError("invalid int literal")
    return value


def read_uint(word: str) -> Uint:
    """The value of a uint literal. ValueError where it does not fit 64 bits."""
    word = word[:-1]
    value = -1 if len(word) > 64 else int(word, 16) if word.startswith("0x") else int(word)
    if not 0 <= value < 2**64:
        raise ValueError("invalid uint literal")
    return Uint(value)


def read_float(word: str) -> float:
    """The value of a double literal. ValueError where it is beyond the range."""
    value = float(word)
    if value in (float("inf"), float("-inf")):
        raise ValueError("invalid double literal")
    return value
