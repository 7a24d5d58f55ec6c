"""Values written as Go writes them, because clients and tests read Kubernetes' messages word for word.

Pure functions. The builders of errors (`api/validation.py`, `api/status.py`, `api/selector.py`,
`api/patch.py`) call them; nothing here knows an API type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def _plain(value: Any) -> Any:
    """Times and quantities are texts; a zero time is null."""
    if isinstance(value, str):
        return str(value) or None
    raise TypeError(f"cannot encode {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain, order="deterministic")


def quote(text: str) -> str:
    """`text` as Go's %q writes it: in double quotes, with Go's escapes for what does not print."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(_escape(char) for char in text) + '"'


def _escape(char: str) -> str:
    known = _ESCAPES.get(char)
    if known is not None:
        return known
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(value: Any) -> str:
    """`value` as Go's json.Marshal writes it: compact, map keys sorted, `<`, `>` and `&` escaped."""
    text = _ENCODER.encode(value).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def bad_value(value: Any) -> str:
    """`value` as field errors show it (k8s.io/apimachinery `field.Error.ErrorBody`)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return quote(value)
    return json_text(value)


def display(value: Any) -> str:
    """`value`, made of builtins, as Go's %v writes it: `map[a:1 b:[x y]]`, `<nil>`, `true`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "map[" + " ".join(f"{key}:{display(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(display(item) for item in value) + "]"
    return str(value)
