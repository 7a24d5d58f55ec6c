"""What reading and writing protobuf share: wire types, and where Kubernetes' messages depart from the types."""

from __future__ import annotations

from datetime import UTC, datetime

from kijabi.api.meta import ObjectMeta
from kijabi.api.shape import Field, Shape

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The wire type of every kind of number.
NUMBERS = {"int32": VARINT, "int64": VARINT, "bool": VARINT, "float": FIXED64}


class Malformed(Exception):
    """Bytes that are no message of the wanted type."""


def is_managed(field: Field) -> bool:
    """`managedFields` is a list of messages in protobuf, but one raw JSON value in memory."""
    return field.owner is ObjectMeta and field.name == "managedFields"


def union_numbers(shape: Shape) -> tuple[int, int]:
    """The field numbers of the struct and of the other form; only JSONSchemaPropsOrBool has its struct second."""
    return (2, 1) if shape.options[1].kind == "bool" else (1, 2)
