"""OpenAPI v3 as protobuf: gnostic's `openapi.v3.Document`, which Go's clients may ask for.

`serving.py` hands a document in as JSON values. Field numbers are those of gnostic-models `openapiv3/OpenAPIv3.proto`;
only what kube-openapi writes is known here. Between two paths or schemas other requests have their turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from kijabi.api.protobuf_write import delimited, varint
from kijabi.apiserver.openapi.gnostic_parts import (
    Members,
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

Value = Mapping[str, Any]


async def document(value: Value) -> bytes:
    """The whole message."""
    info = value["info"]
    about = delimited(1, info["title"].encode()) + delimited(6, info["version"].encode())
    paths = await _entries(value["paths"], lambda each: message(_PATH, 14, each))
    schemas = await _entries(value["components"]["schemas"], _schema)
    head = delimited(1, value["openapi"].encode()) + delimited(2, about)
    return head + delimited(4, paths) + delimited(5, delimited(1, schemas))


async def _entries(values: Value, write: Callable[[Any], bytes]) -> bytes:
    parts = []
    for name, each in values.items():
        parts.append(delimited(1, named(name, write(each))))
        await asyncio.sleep(0)
    return b"".join(parts)


def _named_all(values: Value, write: Callable[[Any], bytes], number: int = 1) -> bytes:
    """A map whose entries stand under a number."""
    return sized(b"".join(delimited(number, named(name, write(each))) for name, each in values.items()))


def _schema(value: Value) -> bytes:
    """A SchemaOrReference."""
    if "$ref" in value:
        return delimited(2, delimited(1, value["$ref"].encode()))
    return delimited(1, message(_SCHEMA, 36, value))


def _schema_sized(value: Value) -> bytes:
    return sized(_schema(value))


def _additional(value: Any) -> bytes:
    return sized(b"\x10" + varint(int(value)) if isinstance(value, bool) else delimited(1, _schema(value)))


def _default(value: Any) -> bytes:
    """A number, a boolean or a text; the message has no place for others."""
    if isinstance(value, bool):
        return sized(b"\x10" + varint(int(value)))
    if isinstance(value, int | float):
        return sized(b"\x09" + double(value))
    return sized(delimited(3, value.encode()) if isinstance(value, str) else b"")


def _content(value: Value) -> bytes:
    return _named_all(value, lambda each: delimited(1, _schema(each["schema"])) if "schema" in each else b"")


def _parameter(value: Value) -> bytes:
    return sized(delimited(1, message(_PARAMETER, 14, value)))


def _request(value: Value) -> bytes:
    return sized(delimited(1, message(_REQUEST, 4, value)))


def _responses(value: Value) -> bytes:
    return _named_all(value, lambda each: delimited(1, message(_RESPONSE, 5, each)), 2)


def _operation(value: Value) -> bytes:
    return sized(message(_OPERATION, 13, value))


_SCHEMA: Members = {
    "nullable": (1, whole), "readOnly": (3, whole), "writeOnly": (4, whole), "externalDocs": (6, external),
    "example": (7, free), "deprecated": (8, whole), "title": (9, text), "multipleOf": (10, double),
    "maximum": (11, double), "exclusiveMaximum": (12, whole), "minimum": (13, double), "exclusiveMinimum": (14, whole),
    "maxLength": (15, whole), "minLength": (16, whole), "pattern": (17, text), "maxItems": (18, whole),
    "minItems": (19, whole), "uniqueItems": (20, whole), "maxProperties": (21, whole), "minProperties": (22, whole),
    "required": (23, repeated(23, text)), "enum": (24, repeated(24, free)), "type": (25, text),
    "allOf": (26, repeated(26, _schema_sized)), "oneOf": (27, repeated(27, _schema_sized)),
    "anyOf": (28, repeated(28, _schema_sized)), "not": (29, lambda value: sized(message(_SCHEMA, 36, value))),
    "items": (30, lambda value: sized(delimited(1, _schema(value)))),
    "properties": (31, lambda value: _named_all(value, _schema)), "additionalProperties": (32, _additional),
    "default": (33, _default), "description": (34, text), "format": (35, text),
}  # fmt: skip
_PARAMETER: Members = {
    "name": (1, text), "in": (2, text), "description": (3, text), "required": (4, whole), "schema": (10, _schema_sized),
}  # fmt: skip
_REQUEST: Members = {"description": (1, text), "content": (2, _content), "required": (3, whole)}
_RESPONSE: Members = {"description": (1, text), "content": (3, _content)}
_OPERATION: Members = {
    "tags": (1, repeated(1, text)), "summary": (2, text), "description": (3, text), "operationId": (5, text),
    "parameters": (6, repeated(6, _parameter)), "requestBody": (7, _request), "responses": (8, _responses),
    "deprecated": (10, whole),
}  # fmt: skip
_PATH: Members = {
    "summary": (2, text), "description": (3, text), "get": (4, _operation), "put": (5, _operation),
    "post": (6, _operation), "delete": (7, _operation), "options": (8, _operation), "head": (9, _operation),
    "patch": (10, _operation), "parameters": (13, repeated(13, _parameter)),
}  # fmt: skip
