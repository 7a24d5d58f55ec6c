"""The protobuf forms of OpenAPI v2 and v3, against what gnostic's own writer makes of the same documents."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec

from kijabi.apiserver.openapi import gnostic, gnostic3
from kijabi.apiserver.openapi.merge import PROTOBUF, merge, part
from kijabi.apiserver.openapi.version2 import Pieces

GOLDEN = Path(__file__).parents[2] / "golden"


async def test_a_document_is_written_as_gnostic_does() -> None:
    document: Any = msgspec.json.decode((GOLDEN / "openapi-v2.json").read_bytes())
    wanted = base64.b64decode((GOLDEN / "openapi-v2.protobuf.base64").read_text().replace("\n", ""))
    made = merge(PROTOBUF, [await part(PROTOBUF, Pieces(document["paths"], document["definitions"]))])
    assert fields(made.body) == fields(wanted)


async def test_a_document_of_version_3_is_written_as_gnostic_does() -> None:
    document: Any = msgspec.json.decode((GOLDEN / "openapi-v3.json").read_bytes())
    wanted = base64.b64decode((GOLDEN / "openapi-v3.protobuf.base64").read_text().replace("\n", ""))
    assert fields(await gnostic3.document(document)) == fields(wanted)


def fields(data: bytes, depth: int = 12) -> Any:
    """A message as its fields in the order of their numbers, as deep as it parses: order is free in protobuf."""
    found, at = [], 0
    try:
        while at < len(data):
            key, at = varint(data, at)
            number, wire = key >> 3, key & 7
            if wire == 0:
                value, at = varint(data, at)
            elif wire == 1:
                value, at = data[at : at + 8], at + 8
            elif wire == 2:
                size, at = varint(data, at)
                value, at = data[at : at + size], at + size
                if len(value) != size:
                    return data
                value = fields(value, depth - 1) if depth else value
            else:
                return data
            found.append((number, value))
    except IndexError:
        return data
    return sorted(found, key=lambda each: each[0]) if found and all(number for number, _ in found) else data


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def test_extensions_carry_yaml_of_which_json_is_a_part() -> None:
    made = gnostic.definition("A", {"x-kubernetes-list-type": "set", "required": [], "unknown": 7})
    extension = b'\x0a\x16x-kubernetes-list-type\x12\x07\x12\x05"set"'
    assert made == b"\x0a\x29\x0a\x01A\x12\x24\xfa\x01\x21" + extension
