"""JSON paths that must lead somewhere in a schema: `fieldPath` of validation rules and `selectableFields`.

`schemarules.py` and `definitionrules.py` check them with `resolve`, `celrules.py` asks for the path that an error is
reported at. Only members are named, as `.spec.name` or `['a.b']`; items of lists cannot be.
"""

from __future__ import annotations

import re

from kijabi.api.apiextensions.structural import Structural

_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}


class PathError(ValueError):
    """The path is none, or leads nowhere; the text is upstream's."""


def resolve(text: str, root: Structural, *, brackets: bool = True) -> tuple[list[str], str, Structural | None]:
    """The names along the path, the path as errors show it (`spec.labels[x]`), and the schema it leads to.

    The schema is None for a member of a map without one. brackets: whether `['name']` may be used. PathError if the
    path leads nowhere.
    """
    tokens = _tokens(text)
    names: list[str] = []
    shown = ""
    schema: Structural | None = root
    while tokens:
        token = tokens.pop(0)
        if token == "[":
            if not brackets:
                raise PathError("array notation is not allowed")
            name = _quoted(_next(tokens))
            shown, schema = _step(name, shown, schema)
            if (close := _next(tokens)) != "]":
                raise PathError(f"expected ] but got {close}")
        elif token == ".":
            name = _next(tokens)
            shown, schema = _step(name, shown, schema)
        else:
            raise PathError(f"expected [ or . but got: {token}")
        names.append(name)
    return names, shown, schema


def _tokens(text: str) -> list[str]:
    tokens = []
    at = 0
    while at < len(text):
        if text[at] == "'":
            end = at + 1
            while end < len(text) and not (text[end] == "'" and text[end - 1] != "\\"):
                end += 1
            end = min(end + 1, len(text))
        elif text[at] in ".[]":
            end = at + 1
        else:
            end = at
            while end < len(text) and text[end] not in ".[]":
                end += 1
        tokens.append(text[at:end])
        at = end
    return tokens


def _next(tokens: list[str]) -> str:
    if not tokens:
        raise PathError("unexpected end of JSON path")
    return tokens.pop(0)


def _quoted(token: str) -> str:
    if len(token) < 2 or token[0] != "'" or token[-1] != "'":
        raise PathError(f"expected single quoted string but got {token}")

    def unescape(found: re.Match[str]) -> str:
        if found[0][1] not in _ESCAPES:
            raise PathError(f"invalid string literal: invalid escape char {found[0]}")
        return _ESCAPES[found[0][1]]

    return re.sub(r"\\.", unescape, token[1:-1])


def _step(name: str, shown: str, schema: Structural | None) -> tuple[str, Structural | None]:
    if schema is not None and schema.properties:
        child = schema.properties.get(name)
        if child is None:
            raise PathError("does not refer to a valid field")
        return (f"{shown}.{name}" if shown else name), child
    if schema is None or not schema.has_additional:
        raise PathError("does not refer to a valid field")
    return f"{shown}[{name}]", schema.additional
