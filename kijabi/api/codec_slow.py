"""The patient JSON reader behind `codec.py`: what Go's decoder forgives, what a strict one lists, the errors.

`clean` walks a parsed body beside its type. It drops nulls and unknown members, repairs base64 with line
breaks and lists every unknown and repeated member with its path, in upstream's words (sigs.k8s.io/json). A
value of the wrong type is a BadRequest whose text is Go's.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, NoReturn

from kijabi.api.shape import Shape, fields
from kijabi.api.struct import Struct
from kijabi.base.errors import BadRequest

_MAX_PROBLEMS = 100
_SUMMARY = 30
_INTS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_WORDS = {"bytes": "[]uint8", "bool": "bool", "float": "float64", "int32": "int32", "int64": "int64"}
_VERSION = re.compile(r"_?(v\d+\w*)$")


class _Members(dict[str, Any]):
    """A parsed JSON object that remembers which members came twice; the last one counts."""

    repeated: tuple[str, ...] = ()


class _Mismatch(Exception):
    """A value of the wrong type, worded as Go words it."""


def clean(cls: type[Struct], data: bytes) -> tuple[dict[str, Any], list[str]]:
    """The members of a JSON text that its type knows, and the strict problems. BadRequest for other texts."""
    try:
        walk = _Walk()
        text = data.decode("utf-8", "replace")
        value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
        cleaned = walk.value(Shape("struct", struct=cls), value, "", "")
    except RecursionError:
        raise bad_request(cls, data, "exceeded max depth") from None
    except json.JSONDecodeError as error:
        raise bad_request(cls, data, _syntax(error)) from None
    except (_Mismatch, ValueError) as error:
        raise bad_request(cls, data, str(error)) from None
    return (cleaned if cleaned is not None else {}), walk.problems


def bad_request(cls: type[Struct], data: bytes, reason: str) -> BadRequest:
    """The error of an unreadable body (k8s.io/apiserver `pkg/endpoints/handlers`, transformDecodeError)."""
    kind = re.search(rb'"kind"\s*:\s*"([^"\\]*)"', data)
    version = re.search(rb'"apiVersion"\s*:\s*"([^"\\]*)"', data)
    if kind is not None and version is not None:
        said, named = (found[1].decode("utf-8", "replace") for found in (kind, version))
        head = f'{said} in version "{named.rpartition("/")[2]}" cannot be handled as a {cls.__name__}'
        return BadRequest(f"{head}: {reason}")
    shown = data[:_SUMMARY].decode("utf-8", "replace")
    rest = " ..." if len(data) > _SUMMARY else ""
    quoted = json.dumps(shown, ensure_ascii=False)
    head = f"the object provided is unrecognized (must be of type {cls.__name__})"
    return BadRequest(f"{head}: {reason} ({quoted}{rest})")


class _Walk:
    """One pass over a body; `problems` fills on the way."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def value(self, shape: Shape, value: Any, path: str, owner: str) -> Any:
        """The cleaned value, or None for null; `owner` names the struct that Go would blame."""
        if value is None:
            return None
        match shape.kind:
            case "struct":
                return self._struct(shape, value, path, owner)
            case "list":
                if not isinstance(value, list):
                    self._wrong(shape, value, path, owner)
                assert shape.item is not None
                items = [self.value(shape.item, item, f"{path}[{i}]", owner) for i, item in enumerate(value)]
                return [zero(shape.item) if item is None else item for item in items]
            case "map":
                return self._map(shape, value, path, owner)
            case "union":
                return self._union(shape, value, path, owner)
            case "raw" | "any" | "quantity" | "time" | "microtime":
                return _plain(value)
            case _:
                return self._scalar(shape, value, path, owner)

    def _struct(self, shape: Shape, value: Any, path: str, owner: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(shape, value, path, owner)
        assert shape.struct is not None
        known = fields(shape.struct)
        self._repeated(value, path)
        cleaned = {}
        for name, item in value.items():
            where = f"{path}.{name}" if path else name
            field = known.get(name)
            if field is None:
                self._problem(f'unknown field "{where}"')
                continue
            kept = self.value(field.shape, item, where, shape.struct.__name__)
            if kept is not None:
                cleaned[name] = kept
        return cleaned

    def _map(self, shape: Shape, value: Any, path: str, owner: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(shape, value, path, owner)
        assert shape.item is not None
        self._repeated(value, path)
        cleaned = {key: self.value(shape.item, item, f"{path}.{key}", owner) for key, item in value.items()}
        return {key: zero(shape.item) if item is None else item for key, item in cleaned.items()}

    def _union(self, shape: Shape, value: Any, path: str, owner: str) -> Any:
        wanted = {dict: "struct", list: "list", bool: "bool"}.get(_python(value))
        for option in shape.options:
            if option.kind == wanted:
                return self.value(option, value, path, owner)
        return self._wrong(shape.options[0], value, path, owner)

    def _scalar(self, shape: Shape, value: Any, path: str, owner: str) -> Any:
        kind = shape.kind
        if kind == "string" and isinstance(value, str):
            return str(value)
        if kind == "bool" and isinstance(value, bool):
            return value
        if kind == "intstr" and isinstance(value, str | int) and not isinstance(value, bool):
            return value
        if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
            return value
        if kind in _INTS and isinstance(value, int) and not isinstance(value, bool):
            low, high = _INTS[kind]
            if low <= value <= high:
                return value
        if kind == "bytes" and isinstance(value, str):
            return _base64(value)
        return self._wrong(shape, value, path, owner)

    def _wrong(self, shape: Shape, value: Any, path: str, owner: str) -> NoReturn:
        path = re.sub(r"\[\d+\]", "", path)
        place = f"Go struct field {owner}.{path}" if path else "Go value"
        raise _Mismatch(f"json: cannot unmarshal {_json_name(value)} into {place} of type {go_type(shape)}")

    def _repeated(self, value: dict[str, Any], path: str) -> None:
        for name in getattr(value, "repeated", ()):
            self._problem(f'duplicate field "{path}.{name}"' if path else f'duplicate field "{name}"')

    def _problem(self, text: str) -> None:
        if len(self.problems) < _MAX_PROBLEMS and text not in self.problems:
            self.problems.append(text)


def zero(shape: Shape) -> Any:
    """What Go leaves where a list or a map holds null: the zero value, as JSON."""
    return _ZEROS.get(shape.kind, 0)


_ZEROS: dict[str, Any] = {
    "string": "", "bytes": "", "bool": False, "struct": {}, "list": [], "map": {}, "quantity": "0",
    "raw": None, "any": None, "time": None, "microtime": None,
}  # fmt: skip


def go_type(shape: Shape) -> str:
    """The Go name of a type, as it stands in upstream's messages."""
    if shape.item is not None:
        return ("[]" if shape.kind == "list" else "map[string]") + go_type(shape.item)
    if shape.struct is not None:
        found = _VERSION.search(shape.struct.__module__)
        return f"{found[1] if found else 'v1'}.{shape.struct.__name__}"
    return _WORDS.get(shape.kind, "string")


def _plain(value: Any) -> Any:
    """Raw JSON without our dict subclass."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _python(value: Any) -> type:
    return dict if isinstance(value, dict) else type(value)


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        # Go names the number where the kind fits but not the value, and just says "number" where it does not.
        return f"number {json.dumps(value)}"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _base64(text: str) -> str:
    plain = text.replace("\r", "").replace("\n", "")
    try:
        base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        alphabet = re.match(r"[A-Za-z0-9+/]*", plain)
        end = alphabet.end() if alphabet else 0
        raise ValueError(f"illegal base64 data at input byte {end}") from None
    return plain


def _pairs(pairs: list[tuple[str, Any]]) -> _Members:
    members = _Members(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        members.repeated = tuple(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    return members


def _constant(name: str) -> NoReturn:
    raise ValueError(f"invalid character '{name[0]}' looking for beginning of value")


def _syntax(error: json.JSONDecodeError) -> str:
    """A syntax error in Go's words."""
    if error.pos >= len(error.doc.rstrip()):
        return "unexpected end of JSON input"
    character = error.doc[error.pos]
    if error.msg.startswith("Extra data"):
        return f"invalid character '{character}' after top-level value"
    if error.msg.startswith("Expecting property name"):
        return f"invalid character '{character}' looking for beginning of object key string"
    if error.msg.startswith("Expecting ',' delimiter"):
        return f"invalid character '{character}' after object key:value pair"
    if error.msg.startswith("Expecting ':' delimiter"):
        return f"invalid character '{character}' after object key"
    if error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    return f"invalid character '{character}' looking for beginning of value"
