"""What gnostic's messages of OpenAPI v2 and v3 have in common: members by number, free values, extensions.

`gnostic.py` and `gnostic3.py` have the tables; `message` writes what a table knows and leaves out the rest.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from kijabi.api.protobuf_write import delimited, varint

Writer = Callable[[Any], bytes]
Members = Mapping[str, tuple[int, Writer]]


def named(name: str, body: bytes) -> bytes:
    """An entry of a map: its name and its value."""
    return delimited(1, name.encode()) + delimited(2, body)


def message(members: Members, vendor: int, value: Mapping[str, Any]) -> bytes:
    """A message. vendor: the number of its extensions; what is neither known nor one is left out."""
    parts = []
    for key, each in value.items():
        member = members.get(key)
        if member is not None and each != []:
            number, write = member
            parts.append(varint(number << 3 | WIRE.get(write, 2)) + write(each))
        elif key.startswith("x-"):
            parts.append(delimited(vendor, named(key, anything(each))))
    return b"".join(parts)


def anything(value: Any) -> bytes:
    """A free value: gnostic's Any has it as YAML, and JSON is YAML."""
    return delimited(2, msgspec.json.encode(value))


def sized(body: bytes) -> bytes:
    """A body behind its length."""
    return varint(len(body)) + body


def text(value: str) -> bytes:
    """A text behind its length."""
    return sized(value.encode())


def whole(value: Any) -> bytes:
    """A whole number or a boolean."""
    return varint(int(value))


def double(value: Any) -> bytes:
    """A number in eight bytes."""
    return struct.pack("<d", value)


WIRE: dict[Writer, int] = {whole: 0, double: 1}


def repeated(number: int, write: Writer) -> Writer:
    """A list: its first member's key has been written already."""
    key = varint(number << 3 | 2)
    return lambda values: key.join(map(write, values))


def free(value: Any) -> bytes:
    """A free value behind its length."""
    return sized(anything(value))


def external(value: Mapping[str, Any]) -> bytes:
    """Where more is to be read."""
    return sized(message({"description": (1, text), "url": (2, text)}, 3, value))
