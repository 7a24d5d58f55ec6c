"""Definitions like those that people install, and what becomes of their objects."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from kijabi.api import codec, defaults, protobuf
from kijabi.api.apiextensions import definitionrules, definitionwarnings, structural, validation
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.apiextensions.defaulting import apply_defaults
from kijabi.api.apiextensions.jsonschema import JSONSchemaProps
from kijabi.api.apiextensions.prune import copy, prune
from kijabi.api.apiextensions.structural import Structural

WILD = Path(__file__).parent / "wild"
NAMES = sorted(path.stem for path in WILD.glob("*.yaml"))


@cache
def wild(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((WILD / f"{name}.yaml").read_text())
    return found


def decoded(document: dict[str, Any]) -> CustomResourceDefinition:
    crd = codec.from_builtins(CustomResourceDefinition, document)
    defaults.apply(crd)
    return crd


def schema(name: str) -> Structural:
    versions = wild(name)["definition"]["spec"]["versions"]
    return structural.compile(next(each["schema"]["openAPIV3Schema"] for each in versions if each["storage"]))


def whole(obj: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "a/v1", "kind": "B", "metadata": {"name": "c"}, **copy(obj)}


@pytest.mark.parametrize("name", NAMES)
def test_the_definition_is_accepted(name: str) -> None:
    crd = decoded(wild(name)["definition"])
    assert definitionrules.validate(crd) == []
    assert definitionrules.validate_update(crd, crd) == []


@pytest.mark.parametrize("name", NAMES)
def test_good_objects_are_accepted_and_nothing_is_pruned(name: str) -> None:
    compiled = schema(name)
    for each in wild(name)["good"]:
        obj = whole(each)
        assert prune(obj, compiled) == []
        assert obj == whole(each)
        apply_defaults(obj, compiled)
        assert validation.validate(obj, None, compiled) == []
        assert validation.validate(obj, obj, compiled) == []


@pytest.mark.parametrize("name", NAMES)
def test_bad_objects_are_refused(name: str) -> None:
    compiled = schema(name)
    for each in wild(name)["bad"]:
        obj, old = whole(each["object"]), whole(each["old"]) if "old" in each else None
        apply_defaults(obj, compiled)
        assert [str(error) for error in validation.validate(obj, old, compiled)] == each["errors"]


def test_defaults_and_pruning() -> None:
    compiled = schema("certificates")
    obj = whole({"spec": {"secretName": "s", "issuerRef": {"name": "x", "zone": 1}, "extra": [1]}, "other": {}})
    assert prune(obj, compiled) == ["other", "spec.extra", "spec.issuerRef.zone"]
    apply_defaults(obj, compiled)
    assert obj["spec"] == {
        "secretName": "s",
        "issuerRef": {"name": "x", "kind": "Issuer", "group": "pki.example.com"},
        "privateKey": {"algorithm": "RSA", "size": 2048},
    }


def test_names_follow_from_the_kind() -> None:
    crd = decoded(wild("monitors")["definition"])
    assert (crd.spec.names.singular, crd.spec.names.listKind) == ("monitor", "MonitorList")
    assert crd.spec.conversion is not None
    assert crd.spec.conversion.strategy == "None"
    assert crd.status.storedVersions == ("v1",)
    gateway = decoded(wild("gateways")["definition"]).spec.conversion
    assert gateway is not None
    assert gateway.webhook is not None
    client = gateway.webhook.clientConfig
    assert client is not None
    assert client.service is not None
    assert client.service.port == 443


def test_warnings() -> None:
    document = copy(wild("monitors")["definition"])
    spec = document["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["tier"]["format"] = "metal"
    spec["properties"]["endpoints"]["x-kubernetes-list-type"] = "set"
    new, old = decoded(document), decoded(wild("monitors")["definition"])
    found = [
        'unrecognized format "metal"',
        'x-kubernetes-list-type: set for items of type "object" is not supported by server-side apply or CEL '
        "validation rules",
    ]
    assert definitionwarnings.warnings(new) == found
    assert definitionwarnings.warnings_update(new, old) == found
    assert definitionwarnings.warnings_update(new, new) == []


def test_what_was_wrong_before_may_stay() -> None:
    compiled = schema("monitors")
    old = whole({"spec": {"endpoints": [{"port": "a"}], "retention": "soon", "tier": "gold"}})
    new = whole({"spec": {"endpoints": [{"port": "b"}], "retention": "soon", "tier": "gold"}})
    assert validation.validate(new, old, compiled) == []
    new["spec"]["retention"] = "later"
    assert [error.field for error in validation.validate(new, old, compiled)] == ["spec.retention"]


def test_null_in_an_enum_survives_both_forms() -> None:
    props = {"type": "string", "nullable": True, "enum": ["a", None]}
    schema = codec.from_builtins(JSONSchemaProps, props)
    assert codec.to_builtins(schema) == props
    body = protobuf.encode(schema)
    assert codec.to_builtins(protobuf.decode(JSONSchemaProps, body)) == props
    empty = body.replace(b"\x0a\x04null", b"").replace(b"\xa2\x01\x06", b"\xa2\x01\x00")
    assert codec.to_builtins(protobuf.decode(JSONSchemaProps, empty)) == props
