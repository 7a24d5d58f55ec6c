"""OpenAPI v2 as protobuf: the form in which Go's clients ask for it, gnostic's `openapi.v2.Document`.

`merge.py` hands named paths and definitions in, as JSON values, and joins what comes out: a message's repeated
members may be written one after the other, so pieces are encoded once and kept. Field numbers are those of
gnostic-models `openapiv2/OpenAPIv2.proto`; only what kube-openapi writes is known here.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kijabi.api.protobuf_write import delimited, varint

Writer = Callable[[Any], bytes]
Members = Mapping[str, tuple[int, Writer]]


def document(swagger: str, info: Mapping[str, str], paths: bytes, definitions: bytes) -> bytes:
    """The whole message around its paths and definitions."""
    about = delimited(1, info["title"].encode()) + delimited(2, info["version"].encode())
    return delimited(1, swagger.encode()) + delimited(2, about) + delimited(8, paths) + delimited(9, definitions)


def path(name: str, value: Mapping[str, Any]) -> bytes:
    """One of the `Paths`."""
    return delimited(2, _named(name, _message(_PATH, 10, value)))


def definition(name: str, value: Mapping[str, Any]) -> bytes:
    """One of the `Definitions`."""
    return delimited(1, _named(name, _schema(value)))


def _named(name: str, body: bytes) -> bytes:
    return delimited(1, name.encode()) + delimited(2, body)


def _message(members: Members, vendor: int, value: Mapping[str, Any]) -> bytes:
    """A message. vendor: the number of its extensions; what is neither known nor one is left out."""
    parts = []
    for key, each in value.items():
        member = members.get(key)
        if member is not None and each != []:
            number, write = member
            parts.append(varint(number << 3 | _WIRE.get(write, 2)) + write(each))
        elif key.startswith("x-"):
            parts.append(delimited(vendor, _named(key, _any(each))))
    return b"".join(parts)


def _any(value: Any) -> bytes:
    """A free value: gnostic's Any has it as YAML, and JSON is YAML."""
    return delimited(2, msgspec.json.encode(value))


def _sized(body: bytes) -> bytes:
    return varint(len(body)) + body


def _text(value: str) -> bytes:
    return _sized(value.encode())


def _whole(value: Any) -> bytes:
    return varint(int(value))


def _double(value: Any) -> bytes:
    return struct.pack("<d", value)


_WIRE: dict[Writer, int] = {_whole: 0, _double: 1}


def _repeated(number: int, write: Writer) -> Writer:
    """A list: its first member's key has been written already."""
    key = varint(number << 3 | 2)
    return lambda values: key.join(map(write, values))


def _schema(value: Mapping[str, Any]) -> bytes:
    return _message(_SCHEMA, 31, value)


def _schema_sized(value: Mapping[str, Any]) -> bytes:
    return _sized(_schema(value))


def _additional(value: Any) -> bytes:
    return _sized(b"\x10" + varint(int(value)) if isinstance(value, bool) else delimited(1, _schema(value)))


def _type(value: Any) -> bytes:
    names = [value] if isinstance(value, str) else value
    return _sized(b"".join(delimited(1, name.encode()) for name in names))


def _properties(value: Mapping[str, Any]) -> bytes:
    return _sized(b"".join(delimited(1, _named(name, _schema(each))) for name, each in value.items()))


def _external(value: Mapping[str, Any]) -> bytes:
    return _sized(_message({"description": (1, _text), "url": (2, _text)}, 3, value))


def _free(value: Any) -> bytes:
    return _sized(_any(value))


def _item(value: Mapping[str, Any]) -> bytes:
    return _sized(delimited(1, _schema(value)))


_SCHEMA: dict[str, tuple[int, Writer]] = {
    "$ref": (1, _text), "format": (2, _text), "title": (3, _text), "description": (4, _text), "default": (5, _free),
    "multipleOf": (6, _double), "maximum": (7, _double), "exclusiveMaximum": (8, _whole), "minimum": (9, _double),
    "exclusiveMinimum": (10, _whole), "maxLength": (11, _whole), "minLength": (12, _whole), "pattern": (13, _text),
    "maxItems": (14, _whole), "minItems": (15, _whole), "uniqueItems": (16, _whole), "maxProperties": (17, _whole),
    "minProperties": (18, _whole), "required": (19, _repeated(19, _text)), "enum": (20, _repeated(20, _free)),
    "additionalProperties": (21, _additional), "type": (22, _type), "items": (23, _item),
    "allOf": (24, _repeated(24, _schema_sized)), "properties": (25, _properties), "readOnly": (27, _whole),
    "externalDocs": (29, _external), "example": (30, _free),
}  # fmt: skip
_BODY: Members = {
    "description": (1, _text), "name": (2, _text), "in": (3, _text), "required": (4, _whole),
    "schema": (5, _schema_sized),
}  # fmt: skip
# Parameters in the path and in the query have the same members under different numbers.
_IN_PATH: Members = {
    "required": (1, _whole), "in": (2, _text), "description": (3, _text), "name": (4, _text), "type": (5, _text),
    "format": (6, _text), "uniqueItems": (19, _whole),
}  # fmt: skip
_IN_QUERY: Members = {
    "required": (1, _whole), "in": (2, _text), "description": (3, _text), "name": (4, _text), "type": (6, _text),
    "format": (7, _text), "uniqueItems": (20, _whole),
}  # fmt: skip


def _parameter(value: Mapping[str, Any]) -> bytes:
    """A ParametersItem around a Parameter around the one of its place."""
    match value.get("in"):
        case "body":
            found = delimited(1, _message(_BODY, 6, value))
        case "path":
            found = delimited(2, delimited(4, _message(_IN_PATH, 22, value)))
        case _:
            found = delimited(2, delimited(3, _message(_IN_QUERY, 23, value)))
    return _sized(delimited(1, found))


def _answers(value: Mapping[str, Any]) -> bytes:
    return _sized(b"".join(delimited(1, _named(code, delimited(1, _answer(each)))) for code, each in value.items()))


def _answer(value: Mapping[str, Any]) -> bytes:
    found = delimited(1, value["description"].encode())
    return found + delimited(2, delimited(1, _schema(value["schema"]))) if "schema" in value else found


def _operation(value: Mapping[str, Any]) -> bytes:
    return _sized(_message(_OPERATION, 13, value))


_OPERATION: Members = {
    "tags": (1, _repeated(1, _text)), "summary": (2, _text), "description": (3, _text), "operationId": (5, _text),
    "produces": (6, _repeated(6, _text)), "consumes": (7, _repeated(7, _text)),
    "parameters": (8, _repeated(8, _parameter)), "responses": (9, _answers), "schemes": (10, _repeated(10, _text)),
    "deprecated": (11, _whole),
}  # fmt: skip
_PATH: Members = {
    "get": (2, _operation), "put": (3, _operation), "post": (4, _operation), "delete": (5, _operation),
    "options": (6, _operation), "head": (7, _operation), "patch": (8, _operation),
    "parameters": (9, _repeated(9, _parameter)),
}  # fmt: skip
