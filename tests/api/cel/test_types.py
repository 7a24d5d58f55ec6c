"""What schemas and built-in types declare to expressions: fields, names, sizes."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.cel.environment import Budget, Environment
from kijabi.api.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Type,
    escape,
    from_schema,
    from_struct,
    list_of,
    map_of,
    struct,
)  # fmt: skip
from kijabi.api.core.pod import Pod

MOST = 3 * 1024 * 1024


@pytest.mark.parametrize(("schema", "kind", "most", "least"), [
    ({"type": "boolean"}, BOOL, 0, 4), ({"type": "integer"}, INT, 0, 1), ({"type": "number"}, DOUBLE, 0, 1),
    ({"type": "string"}, STRING, MOST - 2, 2), ({"type": "string", "maxLength": 5}, STRING, 20, 2),
    ({"type": "string", "enum": ["a", "abc"]}, STRING, 3, 2),
    ({"type": "string", "format": "byte", "maxLength": 5}, BYTES, 5, 2),
    ({"type": "string", "format": "date"}, TIMESTAMP, 12, 12),
    ({"type": "string", "format": "date-time"}, TIMESTAMP, 32, 21),
    ({"type": "string", "format": "duration"}, DURATION, 32, 3),
    ({"x-kubernetes-int-or-string": True}, DYN, MOST - 2, 1),
    ({"type": "array", "items": {"type": "integer"}}, list_of(INT), (MOST - 2) // 2, 2),
    ({"type": "array", "maxItems": 3, "items": {"type": "integer"}}, list_of(INT), 3, 2),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, map_of(STRING, INT), (MOST - 2) // 7, 2),
    ({"type": "object", "required": ["ab"], "properties": {"ab": {"type": "integer"}}}, struct("selfType"), 0, 9),
    ({"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "default": ""}}}, struct("selfType"),
     0, 2),
])  # fmt: skip
def test_sizes_follow_from_the_schema(schema: dict[str, Any], kind: Type, most: int, least: int) -> None:
    declared = from_schema(schema)
    assert declared is not None
    assert (declared, declared.max_elements, declared.min_size) == (kind, most, least)


@pytest.mark.parametrize("schema", [
    {"x-kubernetes-preserve-unknown-fields": True}, {"type": "array"},
    {"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": True}},
    {"type": "object", "additionalProperties": {"x-kubernetes-preserve-unknown-fields": True}},
])  # fmt: skip
def test_what_has_no_type_is_hidden(schema: dict[str, Any]) -> None:
    assert from_schema(schema) is None
    outer = from_schema({"type": "object", "properties": {"a": schema, "b": {"type": "string"}}})
    assert outer is not None
    assert set(outer.fields or {}) == {"b"}


@pytest.mark.parametrize(("name", "escaped"), [
    ("a", "a"), ("namespace", "__namespace__"), ("a.b", "a__dot__b"), ("a-b", "a__dash__b"), ("a/b", "a__slash__b"),
    ("a__b", "a__underscores__b"), ("int", "int"), ("9a", None), ("a b", None), ("é", None), ("", None),
])  # fmt: skip
def test_names_are_escaped(name: str, escaped: str | None) -> None:
    assert escape(name) == escaped


def test_a_resource_has_its_kind_and_name() -> None:
    declared = from_schema({"type": "object", "properties": {"metadata": {"type": "object"}}}, root=True)
    assert declared is not None
    environment = Environment({"self": declared})
    rule = "self.kind == 'A' && self.apiVersion == 'v1' && self.metadata.name == 'n'"
    program = environment.compile(rule, result=BOOL)
    self = {"kind": "A", "apiVersion": "v1", "metadata": {"name": "n", "labels": {}}}
    assert program.evaluate({"self": self}, Budget()) is True


def test_built_in_types_are_known() -> None:
    environment = Environment({"object": from_struct(Pod)})
    expression = "object.spec.containers.all(c, c.image.startsWith('a') && c.ports.all(p, p.containerPort > 0))"
    assert environment.compile(expression).result == BOOL
    spec = {"containers": [{"image": "abc", "ports": [{"containerPort": 1}]}]}
    assert environment.compile(expression).evaluate({"object": {"spec": spec}}, Budget()) is True


def test_hidden_properties_still_count_for_equality() -> None:
    hidden = {"x-kubernetes-preserve-unknown-fields": True}
    declared = from_schema({"type": "object", "properties": {"a": {"type": "string"}, "raw": hidden}})
    assert declared is not None
    environment = Environment({"self": declared, "oldSelf": declared})
    same = environment.compile("self == oldSelf")
    one, other = {"a": "x", "raw": {"b": 1}}, {"a": "x", "raw": {"b": 2}}
    assert same.evaluate({"self": one, "oldSelf": dict(one)}, Budget()) is True
    assert same.evaluate({"self": one, "oldSelf": other}, Budget()) is False


def test_an_unreadable_old_value_is_unequal() -> None:
    declared = from_schema({"type": "object", "additionalProperties": {"type": "string", "format": "date"}})
    assert declared is not None
    environment = Environment({"self": declared, "oldSelf": declared})
    bindings = {"self": {"a": "2021-01-02"}, "oldSelf": {"a": "x"}}
    assert environment.compile("self == oldSelf").evaluate(bindings, Budget()) is False
