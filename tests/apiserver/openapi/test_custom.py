"""What is published of a CRD's schema (k8s.io/apiextensions-apiserver `pkg/controller/openapi`)."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api.custom import Custom
from kijabi.api.resource import Resource
from kijabi.apiserver.openapi import custom

META = "#/definitions/ObjectMeta"


def resource(schema: dict[str, Any] | None, **more: Any) -> Resource:
    return Resource(group="example.com", version="v1", kind="Foo", plural="foos", type=Custom, schema=schema, **more)


def spec(schema: dict[str, Any], old: bool) -> Any:
    """What becomes of a schema as that of `spec`."""
    publish = custom.schema_v2 if old else custom.schema
    whole = publish(resource({"type": "object", "properties": {"spec": schema}}), META)
    return whole["properties"]["spec"]


INT_OR_STRING = {"x-kubernetes-int-or-string": True}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"type": "string", "nullable": True}, {}),
        ({"type": "object", "nullable": True, "properties": {"a": {"type": "string"}}}, {}),
        ({"type": "array", "items": {"type": "string"}, "nullable": True}, {}),
        ({"type": "string", "default": "x", "enum": ["x"]}, {"type": "string", "enum": ["x"]}),
        ({"type": "object", "oneOf": [{}], "anyOf": [{}], "allOf": [{}], "not": {}}, {"type": "object"}),
        (
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"type": "string"}}},
            {"x-kubernetes-preserve-unknown-fields": True},
        ),
        (
            {
                "type": "object", "required": ["a", "b"],
                "properties": {"a": {"type": "string", "nullable": True}, "b": {"type": "string"}},
            },
            {"type": "object", "required": ["b"], "properties": {"a": {}, "b": {"type": "string"}}},
        ),
        (
            {
                "type": "object", "required": ["a"],
                "additionalProperties": {"type": "string", "nullable": True},
            },
            {"type": "object", "additionalProperties": {}},
        ),
        (INT_OR_STRING, INT_OR_STRING),
        (
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        ),
    ],
)  # fmt: skip
def test_version_2_drops_what_it_cannot_say(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert spec(given, old=True) == wanted


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (INT_OR_STRING, {**INT_OR_STRING, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (
            {**INT_OR_STRING, "anyOf": [{"pattern": "x"}]},
            {
                **INT_OR_STRING, "anyOf": [{"pattern": "x"}],
                "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}],
            },
        ),
        ({"type": "string", "nullable": True, "default": None}, {"type": "string", "nullable": True, "default": None}),
        ({"type": "boolean", "default": False, "uniqueItems": False}, {"type": "boolean", "default": False}),
    ],
)  # fmt: skip
def test_version_3_keeps_it(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert spec(given, old=False) == wanted


def test_every_object_has_what_every_object_has() -> None:
    found = custom.schema(resource({"type": "object", "properties": {"metadata": {"type": "object"}}}), META)
    assert found["properties"]["metadata"]["allOf"] == [{"$ref": META}]
    assert set(found["properties"]) == {"apiVersion", "kind", "metadata"}
    kinds = found["x-kubernetes-group-version-kind"]
    assert kinds == [{"group": "example.com", "version": "v1", "kind": "Foo"}]


def test_embedded_objects_are_objects_too() -> None:
    embedded = {"type": "object", "x-kubernetes-embedded-resource": True}
    found = spec(embedded, old=True)
    assert found["required"] == ["kind", "apiVersion"]
    assert set(found["properties"]) == {"apiVersion", "kind", "metadata"}
    unknown = {**embedded, "x-kubernetes-preserve-unknown-fields": True}
    assert "properties" not in spec(unknown, old=True)
    assert set(spec(unknown, old=False)["properties"]) == {"apiVersion", "kind", "metadata"}


@pytest.mark.parametrize("schema", [None, {"type": "object", "x-kubernetes-preserve-unknown-fields": True}])
def test_without_a_schema_nothing_is_named_lest_kubectl_refuses_the_rest(schema: dict[str, Any] | None) -> None:
    found = custom.schema_v2(resource(schema), META)
    assert {key for key in found if not key.startswith("x-")} == {"type"}


def test_the_schema_itself_is_left_alone() -> None:
    given = {"type": "object", "properties": {"spec": {"type": "string", "nullable": True}}, "required": ["spec"]}
    before = str(given)
    custom.schema_v2(resource(given), META)
    custom.schema(resource(given), META)
    assert str(given) == before


def test_selectable_fields_are_named() -> None:
    found = custom.schema(resource({"type": "object"}, fields=(("spec.color", str),)), META)
    assert found["x-kubernetes-selectable-fields"] == [{"fieldPath": "spec.color"}]
