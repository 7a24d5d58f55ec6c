"""One step of a path to a field, in the text that FieldsV1 uses for it.

`f:name` is a member of an object, `k:{"name":"x"}` the item of a list with these keys, `v:"x"` the item of a set,
`i:0` a place in a list. The texts are canonical, so that equal steps are equal texts and a set of fields can be the
JSON value itself (`fieldset.py`). `typed.py` and `compare.py` make them; format and order are those of
sigs.k8s.io/structured-merge-diff `fieldpath`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec

from kijabi.api.gotext import display, quote

SEEN = 8192  # steps that are remembered in parsed form
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder(order="deterministic").encode
_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
_HTML_CHARS = frozenset("<>&\u2028\u2029")


def json_text(value: Any) -> str:
    """A value as it stands in a step: numbers without a needless fraction, HTML escaped, as Go writes it."""
    kind = value.__class__
    if kind is str:
        text = _encode(value).decode()
        return text if _HTML_CHARS.isdisjoint(text) else text.translate(_HTML)
    if kind is float and value.is_integer():
        return str(int(value))
    text = _encode(value).decode()
    return text if _HTML_CHARS.isdisjoint(text) else text.translate(_HTML)


def item(value: Any) -> str:
    """The step to the item of a set."""
    return f"v:{json_text(value)}"


@lru_cache(maxsize=SEEN)
def named(key: str, text: str) -> str:
    """The step to the item of a list whose one key is a text, as nearly all are."""
    return f"k:{{{json_text(key)}:{json_text(text)}}}"


def keyed(pairs: Iterable[tuple[str, Any]]) -> str:
    """The step to the item of a list with these keys; pairs: in order of their names."""
    return "k:{" + ",".join(f"{json_text(name)}:{json_text(value)}" for name, value in pairs) + "}"


@lru_cache(maxsize=SEEN)
def canonical(text: str) -> str | None:
    """A step that somebody else wrote, in the one text for it; None for a kind that is not known.

    Raises ValueError with what is wrong.
    """
    if len(text.encode()) < 2:
        raise ValueError("key must be 2 characters long:")
    if text[1] != ":":
        raise ValueError(f"missing colon: {text}")
    kind, rest = text[0], text[2:]
    if kind == "f":
        return text
    if kind == "v":
        return item(_read(rest))
    if kind == "k":
        pairs = _read(rest)
        if not isinstance(pairs, dict):
            raise ValueError(f"expected an object of keys, found {rest}")
        return keyed(sorted(pairs.items()))
    if kind == "i":
        if not rest.lstrip("+-").isdecimal() or not rest.isascii():
            raise ValueError(f"strconv.Atoi: parsing {quote(rest)}: invalid syntax")
        return f"i:{int(rest)}"
    return None


def _read(text: str) -> Any:
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError) as problem:
        raise ValueError(str(problem)) from None


@lru_cache(maxsize=SEEN)
def order(text: str) -> tuple[Any, ...]:
    """What to sort steps by: members by name, then keyed items by their keys, items of sets, places."""
    kind, rest = text[0], text[2:]
    if kind == "f":
        return (0, rest)
    if kind == "k":
        return (1, tuple((name, _rank(value)) for name, value in _decode(rest).items()))
    if kind == "v":
        return (2, _rank(_decode(rest)))
    return (3, int(rest))


def _rank(value: Any) -> tuple[Any, ...]:
    """A total order over JSON values: numbers, texts, booleans, lists, objects, null."""
    if isinstance(value, bool):
        return (2, value)
    if isinstance(value, int | float):
        return (0, value)
    if isinstance(value, str):
        return (1, value)
    if isinstance(value, list):
        return (3, tuple(map(_rank, value)))
    if isinstance(value, dict):
        return (4, tuple((name, _rank(value[name])) for name in sorted(value)))
    return (5,)


@lru_cache(maxsize=SEEN)
def shown(text: str) -> str:
    """A step as error messages show it: `.spec`, `[name="x"]`, `[="x"]`, `[0]`."""
    kind, rest = text[0], text[2:]
    if kind == "f":
        return f".{rest}"
    if kind == "k":
        return "[" + ",".join(f"{name}={_shown(value)}" for name, value in _decode(rest).items()) + "]"
    return f"[={_shown(_decode(rest))}]" if kind == "v" else f"[{rest}]"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_shown, value)) + "]"
    if isinstance(value, dict):
        return "".join(f"{name}={_shown(value[name])}" for name in sorted(value))
    return "null" if value is None else display(value)
