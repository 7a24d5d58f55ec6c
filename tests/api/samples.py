"""Random objects of any API type, made by its shapes: JSON values for the round trips of codecs."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

from kijabi.api.meta import ObjectMeta
from kijabi.api.shape import Field, Shape, fields
from kijabi.api.struct import Struct

_DEEPEST = 7
_TEXT = st.sampled_from(["a", "x-1", "größe", "<&>\u2028", 'q"\\', "long" * 50])
_MANAGED = [{"manager": "m", "operation": "Apply", "fieldsV1": {"f:a": {}}}, {"manager": "n"}]

_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": _TEXT,
    "bool": st.just(True),
    "int32": st.sampled_from([1, 127, 128, 300, -1, 2**31 - 1, -(2**31)]),
    "int64": st.sampled_from([1, 127, 128, 300, -1, 2**63 - 1, -(2**63)]),
    "float": st.sampled_from([1.5, -2.25, 1e-9]),
    "bytes": st.binary(min_size=1, max_size=300).map(lambda data: base64.b64encode(data).decode()),
    "time": st.sampled_from(["2026-03-04T05:06:07Z", "1960-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]),
    "microtime": st.sampled_from(["2026-03-04T05:06:07.123456Z", "1969-12-31T23:59:59.999999Z"]),
    "quantity": st.sampled_from(["100m", "1Gi", "5", "1500m", "2k", "1e3", "3n", "-1"]),
    "intstr": st.sampled_from([80, "http", "25%", -3]),
    "raw": st.sampled_from([{"a": [1, 2.50, {"b": None}]}, [1], "text", True, 0]),
}


def values(cls: type[Struct], depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """JSON values of a type, with a random part of its members; deep ones get few."""

    def build(draw: Any) -> dict[str, Any]:
        found = {}
        for name, field in fields(cls).items():
            if not field.tag.number or depth > _DEEPEST or draw(st.integers(0, 2 + 2 * depth)) > 1:
                continue
            found[name] = draw(_member(field, depth))
        return found

    return st.composite(build)()


def _member(field: Field, depth: int) -> st.SearchStrategy[Any]:
    if field.owner is ObjectMeta and field.name == "managedFields":
        return st.just(_MANAGED)
    return _value(field.shape, depth + 1)


def _value(shape: Shape, depth: int) -> st.SearchStrategy[Any]:
    if shape.struct is not None:
        return values(shape.struct, depth)
    if shape.kind == "list" and shape.item is not None:
        return st.lists(_value(shape.item, depth), min_size=1, max_size=2)
    if shape.kind == "map" and shape.item is not None:
        return st.dictionaries(_TEXT, _value(shape.item, depth), min_size=1, max_size=2)
    if shape.kind == "union":
        return st.one_of([_value(option, depth) for option in shape.options])
    return _SCALARS[shape.kind]
