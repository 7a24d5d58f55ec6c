"""Random objects of any API type, made by its shapes: JSON values for the round trips of codecs."""

from __future__ import annotations

import base64
from random import Random
from typing import Any

from kijabi.api.meta import ObjectMeta
from kijabi.api.shape import Shape, fields
from kijabi.api.struct import Struct

_DEEPEST = 7
_TEXTS = ["a", "x-1", "größe", "<&>\u2028", 'q"\\', "long" * 50]
_MANAGED = [{"manager": "m", "operation": "Apply", "fieldsV1": {"f:a": {}}}, {"manager": "n"}]
_SCALARS: dict[str, list[Any]] = {
    "string": _TEXTS,
    "bool": [True],
    "int32": [1, 127, 128, 300, -1, 2**31 - 1, -(2**31)],
    "int64": [1, 127, 128, 300, -1, 2**63 - 1, -(2**63)],
    "float": [1.5, -2.25, 1e-9],
    "bytes": [base64.b64encode(data).decode() for data in (b"\x00", b"\xff\xfe", bytes(300))],
    "time": ["2026-03-04T05:06:07Z", "1960-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
    "microtime": ["2026-03-04T05:06:07.123456Z", "1969-12-31T23:59:59.999999Z"],
    "quantity": ["100m", "1Gi", "5", "1500m", "2k", "1e3", "3n", "-1"],
    "intstr": [80, "http", "25%", -3],
    "raw": [{"a": [1, 2.5, {"b": None}]}, [1], "text", True, 0],
}


def sample(cls: type[Struct], chance: Random, depth: int = 0) -> dict[str, Any]:
    """A JSON value of a type with a random part of its members; the deeper, the fewer."""
    found: dict[str, Any] = {}
    for name, field in fields(cls).items():
        if not field.tag.number or depth > _DEEPEST or chance.random() * (1 + depth) > 0.8:
            continue
        managed = field.owner is ObjectMeta and name == "managedFields"
        if field.tag.message == "duration":
            found[name] = chance.choice(["1m0s", "15.123s", "250ms"])
        else:
            found[name] = _MANAGED if managed else _value(field.shape, chance, depth + 1)
    return found


def _value(shape: Shape, chance: Random, depth: int) -> Any:
    if shape.struct is not None:
        return sample(shape.struct, chance, depth)
    if shape.kind == "list" and shape.item is not None:
        return [_value(shape.item, chance, depth) for _ in range(chance.randint(1, 2))]
    if shape.kind == "map" and shape.item is not None:
        return {chance.choice(_TEXTS): _value(shape.item, chance, depth) for _ in range(chance.randint(1, 2))}
    if shape.kind == "union":
        return _value(chance.choice(shape.options), chance, depth)
    return chance.choice(_SCALARS[shape.kind])
