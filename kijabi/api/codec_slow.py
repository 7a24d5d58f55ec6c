"""The patient JSON reader behind `codec.py`: what Go's decoder forgives, what a strict one lists, the errors.

`clean` walks a parsed body beside its type, in the order of the text. It drops nulls and unknown members, repairs
base64 with line breaks, merges repeated members as Go does, and lists every unknown and repeated member with its
path, in upstream's words (sigs.k8s.io/json). A value of the wrong type is a BadRequest whose text is Go's.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Container
from typing import Any, NoReturn

import msgspec

from kijabi.api.meta import ManagedFieldsEntry, MicroTime, ObjectMeta, Time
from kijabi.api.quantity import Quantity
from kijabi.api.shape import Field, Shape, fields
from kijabi.api.struct import Struct
from kijabi.base.errors import BadRequest

# How the reason begins if a text is no JSON at all, so that not even its kind is known.
UNREADABLE = "couldn't get version/kind; json parse error: "

_MAX_PROBLEMS = 100
_INTS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}
_WORDS = {"bytes": "[]uint8", "bool": "bool", "float": "float64", "int32": "int32", "int64": "int64", "intstr": "int32"}
_TEXTS: dict[str, type[Time | MicroTime | Quantity]] = {"time": Time, "microtime": MicroTime, "quantity": Quantity}
_VERSION = re.compile(r"_(v\d+\w*)$")
_MANAGED = Shape("list", item=Shape("struct", struct=ManagedFieldsEntry))


class _Pairs(list[tuple[str, Any]]):
    """A parsed JSON object as its members in order, repeated ones included."""


class _Number(str):
    """A parsed JSON number as its text: what goes through unchanged must not change."""


class _Wrong(Exception):
    """A body that cannot be read; the text is Go's."""


def clean(cls: type[Struct], data: bytes) -> tuple[dict[str, Any], list[str]]:
    """The members of a JSON text that its type knows, and the strict problems. BadRequest for other texts."""
    value, problem = _parse(data)
    if problem:
        raise BadRequest(UNREADABLE + problem)
    walk = _Walk()
    try:
        cleaned = walk.value(Shape("struct", struct=cls), value, _ROOT, None)
    except (_Wrong, ValueError) as error:
        raise BadRequest(str(error)) from None
    return (cleaned if cleaned is not None else {}), walk.problems


def clean_custom(data: bytes) -> tuple[dict[str, Any], list[str]]:
    """A custom object with its metadata cleaned, all else as it is, and the strict problems.

    BadRequest for other texts. Members that came twice are told of first, wherever they are, then what metadata does
    not know.
    """
    value, problem = _parse(data)
    if problem:
        raise BadRequest(UNREADABLE + problem)
    if not isinstance(value, _Pairs):
        raise BadRequest(f"json: cannot unmarshal {_json_name(value)} into Go value of type map[string]interface {{}}")
    walk = _Walk()
    walk.untyped(value, _ROOT)
    cleaned: dict[str, Any] = _plain(value)
    try:
        metadata = next((item for name, item in reversed(value) if name == "metadata"), None)
        if metadata is not None:
            cleaned["metadata"] = walk.value(Shape("struct", struct=ObjectMeta), metadata, _Place("metadata"), None)
        else:
            cleaned.pop("metadata", None)
        for name in ("apiVersion", "kind"):
            if not isinstance(cleaned.setdefault(name, ""), str):
                found = cleaned[name]
                kind = _go_value(found)
                raise _Wrong(f".{name} accessor error: {_shown(found)} is of the type {kind}, expected string")
    except (_Wrong, ValueError) as error:
        raise BadRequest(str(error)) from None
    return cleaned, walk.problems


def _shown(value: Any) -> str:
    return "<nil>" if value is None else msgspec.json.encode(value).decode()


def _go_value(value: Any) -> str:
    """The Go type that a value of no type is decoded into."""
    if value is None:
        return "<nil>"
    if isinstance(value, dict):
        return "map[string]interface {}"
    return "[]interface {}" if isinstance(value, list) else "bool" if isinstance(value, bool) else "int64"


def _parse(data: bytes) -> tuple[Any, str]:
    """(the parsed text, why it is no JSON in Go's words or an empty text)."""
    try:
        text = data.decode("utf-8", "replace")
        return json.loads(
            text, object_pairs_hook=_Pairs, parse_float=_Number, parse_int=_Number, parse_constant=_constant
        ), ""
    except RecursionError:
        return None, "exceeded max depth"
    except json.JSONDecodeError as error:
        return None, _syntax(error)
    except _Wrong as error:
        return None, str(error)


def syntax_problem(data: bytes) -> str:
    """Why a text is no JSON, in Go's words; empty if it is."""
    return _parse(data)[1]


def json_kind(data: bytes) -> str:
    """What a JSON text is, in Go's words: object, array, string, number or bool."""
    return _json_name(_parse(data)[0])


def repeated(data: bytes, known: Container[str] = ()) -> list[str]:
    """The strict problems of a JSON text of no type: repeated members; known: all that a list's objects may have."""
    walk = _Walk()
    walk.untyped(_parse(data)[0], _ROOT, known)
    return walk.problems


class _Place(msgspec.Struct, frozen=True):
    """Where a value stands, as a strict decoder says it (keys, indices) and as Go's type errors say it (neither)."""

    path: str = ""
    go_path: str = ""
    owner: str = ""

    def member(self, field: Field, cls: type[Struct]) -> _Place:
        """The place of a struct's member; Go names the embedded struct on the way to an inlined one."""
        between = "".join(f"{base}." for base in reversed(_embedded(cls, field.owner)))
        go_path = f"{self.go_path}." if self.go_path else ""
        return _Place(self.named(field.name), f"{go_path}{between}{field.name}", cls.__name__)

    def item(self, index: int) -> _Place:
        """The place of a list's item."""
        return _Place(f"{self.path}[{index}]", self.go_path, self.owner)

    def key(self, key: str) -> _Place:
        """The place of a map's item."""
        return _Place(self.named(key), self.go_path, self.owner)

    def named(self, name: str) -> str:
        """The strict path of a member, known or not."""
        return f"{self.path}.{name}" if self.path else name


_ROOT = _Place()


def _embedded(cls: type[Struct], owner: type[Struct]) -> list[str]:
    """The structs that Go embeds between a type and the owner of a member, innermost first."""
    chain: list[str] = []
    while cls is not owner and vars(cls).get("INLINE"):
        cls = cls.__bases__[0]
        chain.insert(0, cls.__name__)
    return chain


class _Walk:
    """One pass over a body; `problems` fills on the way."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def value(self, shape: Shape, value: Any, place: _Place, before: Any) -> Any:
        """The cleaned value; null leaves what was there before, which only a repeated member has."""
        if value is None:
            return before
        match shape.kind:
            case "struct":
                return self._struct(shape, value, place, before)
            case "list":
                return self._list(shape, value, place, before)
            case "map":
                return self._map(shape, value, place, before)
            case "union":
                return self._union(shape, value, place)
            case "raw" | "any":
                return _plain(value)
            case "time" | "microtime" | "quantity":
                return self._text(shape, value, place)
            case _:
                return self._scalar(shape, value, place)

    def untyped(self, value: Any, place: _Place, known: Container[str] = ()) -> None:
        """List what is repeated in a value of no type; known: the only members of the objects of a list."""
        if isinstance(value, _Pairs):
            seen = set()
            for name, item in value:
                if name in seen:
                    self._problem("duplicate", place.named(name))
                seen.add(name)
                self.untyped(item, place.key(name))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                inner = place.item(index)
                for name, _ in item if known and isinstance(item, _Pairs) else ():
                    if name not in known:
                        self._problem("unknown", inner.named(name))
                self.untyped(item, inner)

    def _struct(self, shape: Shape, value: Any, place: _Place, before: Any) -> dict[str, Any]:
        assert shape.struct is not None
        if not isinstance(value, _Pairs):
            self._mismatch(shape, value, place)
        known = fields(shape.struct)
        cleaned: dict[str, Any] = before or {}
        seen = set()
        for name, item in value:
            field = known.get(name)
            if field is None:
                self._problem("unknown", place.named(name))
                continue
            if name in seen:
                self._problem("duplicate", place.named(name))
            seen.add(name)
            wanted = _MANAGED if field.owner is ObjectMeta and name == "managedFields" else field.shape
            kept = self.value(wanted, item, place.member(field, shape.struct), cleaned.get(name))
            if kept is not None:
                cleaned[name] = kept
        return cleaned

    def _list(self, shape: Shape, value: Any, place: _Place, before: Any) -> list[Any]:
        item_shape = shape.item
        assert item_shape is not None
        if not isinstance(value, list) or isinstance(value, _Pairs):
            self._mismatch(shape, value, place)
        old = before or []
        items = []
        for index, item in enumerate(value):
            kept = self.value(item_shape, item, place.item(index), old[index] if index < len(old) else None)
            items.append(_ZEROS.get(item_shape.kind, 0) if kept is None else kept)
        return items

    def _map(self, shape: Shape, value: Any, place: _Place, before: Any) -> dict[str, Any]:
        item_shape = shape.item
        assert item_shape is not None
        if not isinstance(value, _Pairs):
            self._mismatch(shape, value, place)
        cleaned: dict[str, Any] = before or {}
        seen = set()
        for name, item in value:
            key = _whole(name)
            if key in seen:
                self._problem("duplicate", place.named(key))
            seen.add(key)
            kept = self.value(item_shape, item, place.key(key), None)
            cleaned[key] = _ZEROS.get(item_shape.kind, 0) if kept is None else kept
        return cleaned

    def _union(self, shape: Shape, value: Any, place: _Place) -> Any:
        kind = "struct" if isinstance(value, _Pairs) else "list" if isinstance(value, list) else "bool"
        for option in shape.options:
            if option.kind == kind and (kind != "bool" or isinstance(value, bool)):
                return self.value(option, value, place, None)
        return self._mismatch(shape.options[0], value, place)

    def _text(self, shape: Shape, value: Any, place: _Place) -> str:
        if shape.kind != "quantity" and (type(value) is not str):
            self._mismatch(shape, value, place)
        text = str(value).strip() if isinstance(value, str) else "?"
        return str.__str__(_TEXTS[shape.kind].parse(text))

    def _scalar(self, shape: Shape, value: Any, place: _Place) -> Any:
        kind = shape.kind
        if type(value) is str:
            if kind in ("string", "intstr"):
                return _whole(value)
            if kind == "bytes":
                return _base64(value)
        elif kind == "bool" and isinstance(value, bool):
            return value
        elif isinstance(value, _Number):
            if kind == "float":
                return float(value)
            if kind in ("int32", "int64", "intstr"):
                low, high = _INTS["int64" if kind == "int64" else "int32"]
                if value.lstrip("-").isdigit() and low <= int(value[:_MAX_DIGITS]) <= high:
                    return int(value)
        return self._mismatch(shape, value, place)

    def _mismatch(self, shape: Shape, value: Any, place: _Place) -> NoReturn:
        found = _json_name(value)
        if found == "number" and shape.kind in ("int32", "int64", "intstr"):
            found = f"number {value}"
        where = f"Go struct field {place.owner}.{place.go_path}" if place.owner else "Go value"
        raise _Wrong(f"json: cannot unmarshal {found} into {where} of type {go_type(shape)}")

    def _problem(self, sort: str, path: str) -> None:
        text = f"{sort} field {json.dumps(path, ensure_ascii=False)}"
        if len(self.problems) < _MAX_PROBLEMS and text not in self.problems:
            self.problems.append(text)


_MAX_DIGITS = 40

# What Go leaves where a list or a map holds null: the zero value, as JSON. Numbers are zero.
_ZEROS: dict[str, Any] = {
    "string": "", "bytes": "", "bool": False, "struct": {}, "list": [], "map": {}, "quantity": "0",
    "raw": None, "any": None, "time": None, "microtime": None,
}  # fmt: skip


def go_type(shape: Shape) -> str:
    """The Go name of a type, as it stands in upstream's messages."""
    if shape.item is not None:
        if shape.kind == "map" and shape.item.kind == "quantity":
            return "v1.ResourceList"
        return ("[]" if shape.kind == "list" else "map[string]") + go_type(shape.item)
    if shape.struct is not None:
        found = _VERSION.search(shape.struct.__module__)
        return f"{found[1] if found else 'v1'}.{shape.struct.__name__}"
    return _WORDS.get(shape.kind, "string")


def _plain(value: Any) -> Any:
    """Raw JSON as builtins that encode to the text that came, numbers digit by digit."""
    if isinstance(value, _Pairs):
        return {_whole(key): _plain(item) for key, item in value}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, _Number):
        return msgspec.Raw(value.encode())
    return _whole(value) if isinstance(value, str) else value


def _whole(text: str) -> str:
    """The text without lone surrogates, which Go replaces."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "number" if isinstance(value, _Number) else "string"
    return "object" if isinstance(value, _Pairs) else "array"


def _base64(text: str) -> str:
    plain = text.replace("\r", "").replace("\n", "")
    try:
        base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        raise _Wrong(f"illegal base64 data at input byte {_illegal(plain)}") from None
    return plain


def _illegal(text: str) -> int:
    """The byte that Go complains of: a foreign one, what follows the padding, or the last group if it is short."""
    groups = re.match(r"([A-Za-z0-9+/]{4})*", text)
    whole = groups.end() if groups else 0
    padded = re.match(r"[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=", text[whole:])
    if padded:
        return whole + 4
    letters = re.match(r"[A-Za-z0-9+/]*(?<=[A-Za-z0-9+/]{2})=?|[A-Za-z0-9+/]*", text[whole:])
    end = whole + (letters.end() if letters else 0)
    return end if end < len(text) or text.endswith("=") else whole


def _constant(name: str) -> NoReturn:
    raise _Wrong(f"invalid character '{name[0]}' looking for beginning of value")


def _syntax(error: json.JSONDecodeError) -> str:
    """A syntax error in Go's words."""
    if error.pos >= len(error.doc.rstrip()) or error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    position = error.pos + error.msg.startswith("Invalid \\escape")
    character = error.doc[position : position + 1]
    shown = "\\'" if character == "'" else '"' if character == '"' else json.dumps(character, ensure_ascii=False)[1:-1]
    found = f"invalid character '{shown}'"
    for start, place in _SYNTAX.items():
        if error.msg.startswith(start):
            return f"{found} {place}"
    return f"{found} looking for beginning of value"


_SYNTAX = {
    "Extra data": "after top-level value",
    "Expecting property name": "looking for beginning of object key string",
    "Expecting ',' delimiter": "after object key:value pair",
    "Expecting ':' delimiter": "after object key",
    "Invalid control character": "in string literal",
    "Invalid \\escape": "in string escape code",
}
