"""Schemas and objects made to hurt: refused as Kubernetes refuses them, or done within bounds."""

import time
from typing import Any

import pytest

from kijabi.api.apiextensions import schemarules, structural, validation, valuevalidation
from kijabi.api.apiextensions.defaulting import apply_defaults
from kijabi.api.apiextensions.prune import prune
from kijabi.base.errors import BadRequest

PATH = "spec.validation.openAPIV3Schema"


def refused(props: dict[str, Any]) -> list[str]:
    began = time.monotonic()
    errors = [str(error) for error in schemarules.validate(props, PATH, status=False)]
    assert time.monotonic() - began < 5
    return errors


def object_of(props: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": props}}


def nested(depth: int) -> dict[str, Any]:
    props: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        props = {"type": "object", "properties": {"a": props}}
    return props


def test_a_schema_may_be_deep_but_not_bottomless() -> None:
    assert refused(nested(structural.DEPTH_LIMIT - 10)) == []
    assert refused(nested(440)) == [
        f"{PATH}: Invalid value: null: must not nest schemas more than {structural.DEPTH_LIMIT} deep"
    ]


def test_references_are_refused() -> None:
    props = object_of({"type": "object", "properties": {"self": {"$ref": "#/properties/spec"}}})
    assert f"{PATH}.properties[spec].properties[self].$ref: Forbidden: $ref is not supported" in refused(props)


def test_a_wide_schema_takes_its_time_only() -> None:
    wide = {f"p{index}": {"type": "string", "pattern": "^a+$", "default": "a"} for index in range(5_000)}
    assert refused(object_of({"type": "object", "properties": wide})) == []


def test_expensive_rules_are_refused() -> None:
    names = {"type": "array", "items": {"type": "string"}}
    rule = {"rule": "self.all(a, self.all(b, self.all(c, a + b + c != '')))"}
    errors = refused(object_of({**names, "x-kubernetes-validations": [rule]}))
    at = f"{PATH}.properties[spec].x-kubernetes-validations[0].rule: Forbidden: "
    assert errors[0].startswith(f"{at}estimated rule cost exceeds budget by factor of more than 100x")
    assert errors[-1].startswith(f"{PATH}: Forbidden: x-kubernetes-validations estimated rule cost total")


def test_rules_that_turn_out_expensive_are_stopped() -> None:
    rule = {"rule": "self.all(a, self.all(b, self.all(c, a + b + c >= 0)))"}
    props = {"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [rule]}
    schema = structural.compile(object_of(props))
    began = time.monotonic()
    errors = validation.validate({"spec": list(range(1_000))}, None, schema)
    assert time.monotonic() - began < 5
    assert [str(error) for error in errors] == [
        "spec: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation "
        f"rules will be run due to call cost exceeds limit for rule: {rule['rule']}"
    ]


def test_no_pattern_is_exponential() -> None:
    schema = structural.compile(object_of({"type": "string", "pattern": "^(a+)+$"}))
    began = time.monotonic()
    errors = validation.validate({"spec": "a" * 100_000 + "b"}, None, schema)
    assert time.monotonic() - began < 2
    assert [error.reason for error in errors] == ["FieldValueInvalid"]


def test_endless_alternatives_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valuevalidation, "STEP_LIMIT", 50_000)
    alternatives = [{"minimum": 1_000 + index} for index in range(1_000)]
    schema = structural.compile(object_of({"type": "array", "items": {"type": "integer", "anyOf": alternatives}}))
    errors = validation.validate({"spec": [1] * 1_000}, None, schema)
    assert len(errors) < 200
    assert str(errors[-1]) == '<nil>: Invalid value: "": validation takes too long, because of the schema or its errors'


def test_not_all_errors_are_told() -> None:
    schema = structural.compile(object_of({"type": "array", "items": {"type": "string"}}))
    began = time.monotonic()
    errors = validation.validate({"spec": [1] * 500_000}, None, schema)
    assert time.monotonic() - began < 3
    assert len(errors) == valuevalidation.ERROR_LIMIT + 1
    assert errors[-1].message.endswith("validation takes too long, because of the schema or its errors")


def test_a_bottomless_object_is_a_bad_request() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    schema = structural.compile(object_of({"type": "array", "items": {"type": "string"}}))
    apply_defaults({"spec": deep}, schema)
    assert [error.field for error in validation.validate({"spec": deep}, None, schema)] == ["spec[0]"]
    with pytest.raises(BadRequest, match="exceeded max depth"):
        prune({"spec": deep}, schema)


def test_many_equal_errors_are_said_once() -> None:
    schema = structural.compile(object_of({"allOf": [{"minLength": 3}] * 200, "type": "string"}))
    errors = validation.validate({"spec": ""}, None, schema)
    assert [error.field for error in errors] == ["spec", "<nil>"]
