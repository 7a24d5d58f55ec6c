"""OpenAPI v2 as protobuf: the form in which Go's clients ask for it, gnostic's `openapi.v2.Document`.

`merge.py` hands named paths and definitions in, as JSON values, and joins what comes out: a message's repeated
members may be written one after the other, so pieces are encoded once and kept. Field numbers are those of
gnostic-models `openapiv2/OpenAPIv2.proto`; only what kube-openapi writes is known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kijabi.api.protobuf_write import delimited, varint
from kijabi.apiserver.openapi.gnostic_parts import (
    Members,
    Writer,
    double,
    external,
    free,
    message,
    named,
    repeated,
    sized,
    text,
    whole,
)


def document(swagger: str, info: Mapping[str, str], paths: bytes, definitions: bytes) -> bytes:
    """The whole message around its paths and definitions."""
    about = delimited(1, info["title"].encode()) + delimited(2, info["version"].encode())
    return delimited(1, swagger.encode()) + delimited(2, about) + delimited(8, paths) + delimited(9, definitions)


def path(name: str, value: Mapping[str, Any]) -> bytes:
    """One of the `Paths`."""
    return delimited(2, named(name, message(_PATH, 10, value)))


def definition(name: str, value: Mapping[str, Any]) -> bytes:
    """One of the `Definitions`."""
    return delimited(1, named(name, _schema(value)))


def _schema(value: Mapping[str, Any]) -> bytes:
    return message(_SCHEMA, 31, value)


def _schema_sized(value: Mapping[str, Any]) -> bytes:
    return sized(_schema(value))


def _additional(value: Any) -> bytes:
    return sized(b"\x10" + varint(int(value)) if isinstance(value, bool) else delimited(1, _schema(value)))


def _type(value: Any) -> bytes:
    names = [value] if isinstance(value, str) else value
    return sized(b"".join(delimited(1, name.encode()) for name in names))


def _properties(value: Mapping[str, Any]) -> bytes:
    return sized(b"".join(delimited(1, named(name, _schema(each))) for name, each in value.items()))


def _item(value: Mapping[str, Any]) -> bytes:
    return sized(delimited(1, _schema(value)))


_SCHEMA: dict[str, tuple[int, Writer]] = {
    "$ref": (1, text), "format": (2, text), "title": (3, text), "description": (4, text), "default": (5, free),
    "multipleOf": (6, double), "maximum": (7, double), "exclusiveMaximum": (8, whole), "minimum": (9, double),
    "exclusiveMinimum": (10, whole), "maxLength": (11, whole), "minLength": (12, whole), "pattern": (13, text),
    "maxItems": (14, whole), "minItems": (15, whole), "uniqueItems": (16, whole), "maxProperties": (17, whole),
    "minProperties": (18, whole), "required": (19, repeated(19, text)), "enum": (20, repeated(20, free)),
    "additionalProperties": (21, _additional), "type": (22, _type), "items": (23, _item),
    "allOf": (24, repeated(24, _schema_sized)), "properties": (25, _properties), "readOnly": (27, whole),
    "externalDocs": (29, external), "example": (30, free),
}  # fmt: skip
_BODY: Members = {
    "description": (1, text), "name": (2, text), "in": (3, text), "required": (4, whole),
    "schema": (5, _schema_sized),
}  # fmt: skip
# Parameters in the path and in the query have the same members under different numbers.
_IN_PATH: Members = {
    "required": (1, whole), "in": (2, text), "description": (3, text), "name": (4, text), "type": (5, text),
    "format": (6, text), "uniqueItems": (19, whole),
}  # fmt: skip
_IN_QUERY: Members = {
    "required": (1, whole), "in": (2, text), "description": (3, text), "name": (4, text), "type": (6, text),
    "format": (7, text), "uniqueItems": (20, whole),
}  # fmt: skip


def _parameter(value: Mapping[str, Any]) -> bytes:
    """A ParametersItem around a Parameter around the one of its place."""
    match value.get("in"):
        case "body":
            found = delimited(1, message(_BODY, 6, value))
        case "path":
            found = delimited(2, delimited(4, message(_IN_PATH, 22, value)))
        case _:
            found = delimited(2, delimited(3, message(_IN_QUERY, 23, value)))
    return sized(delimited(1, found))


def _answers(value: Mapping[str, Any]) -> bytes:
    return sized(b"".join(delimited(1, named(code, delimited(1, _answer(each)))) for code, each in value.items()))


def _answer(value: Mapping[str, Any]) -> bytes:
    found = delimited(1, value["description"].encode())
    return found + delimited(2, delimited(1, _schema(value["schema"]))) if "schema" in value else found


def _operation(value: Mapping[str, Any]) -> bytes:
    return sized(message(_OPERATION, 13, value))


_OPERATION: Members = {
    "tags": (1, repeated(1, text)), "summary": (2, text), "description": (3, text), "operationId": (5, text),
    "produces": (6, repeated(6, text)), "consumes": (7, repeated(7, text)),
    "parameters": (8, repeated(8, _parameter)), "responses": (9, _answers), "schemes": (10, repeated(10, text)),
    "deprecated": (11, whole),
}  # fmt: skip
_PATH: Members = {
    "get": (2, _operation), "put": (3, _operation), "post": (4, _operation), "delete": (5, _operation),
    "options": (6, _operation), "head": (7, _operation), "patch": (8, _operation),
    "parameters": (9, repeated(9, _parameter)),
}  # fmt: skip
