"""Against the answers of Kubernetes v1.37: random schemas, objects, definitions and validation rules, and what it said.

Errors are compared as sets, for upstream gives those of maps in random order.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from kijabi.api import codec, defaults
from kijabi.api.apiextensions import definitionrules, schemarules, stringformats, structural, validation
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.apiextensions.defaulting import apply_defaults
from kijabi.api.apiextensions.prune import copy, prune
from kijabi.api.resource import FieldError

GOLDEN = Path(__file__).parents[2] / "golden/crd"


def lines(name: str) -> list[Any]:
    found = (GOLDEN / f"{name}.jsonl").read_text().splitlines()
    return [pytest.param(json.loads(line), id=f"{name}-{index}") for index, line in enumerate(found)]


def told(errors: Iterable[FieldError]) -> list[list[str]]:
    return sorted([error.field, error.reason, error.message] for error in errors)


@pytest.mark.parametrize("line", lines("objects"))
def test_objects(line: dict[str, Any]) -> None:
    schema = structural.compile(line["schema"])
    obj = copy(line["object"])
    assert sorted(prune(obj, schema)) == line["unknown"]
    apply_defaults(obj, schema)
    assert obj == line["defaulted"]
    assert told(validation.validate(obj, line["old"], schema)) == line["errors"]


def formats() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / "formats.json").read_text())
    return found


@pytest.mark.parametrize("name", formats()["accepted"])
def test_formats(name: str) -> None:
    check = stringformats.check(name)
    assert check is not None
    known = formats()
    texts: list[str] = known["texts"]
    assert [text for text in texts if check(text)] == [texts[index] for index in known["accepted"][name]]


def test_every_format_is_asked_about() -> None:
    assert {name.replace("-", "") for name in formats()["accepted"]} == set(stringformats.FORMATS)


@pytest.mark.parametrize("line", lines("rules"))
def test_validation_rules(line: dict[str, Any]) -> None:
    errors = validation.validate(line["object"], line["old"], structural.compile(line["schema"]))
    assert told(errors) == line["errors"]


@pytest.mark.parametrize("line", lines("schemas"))
def test_schemas_with_rules(line: dict[str, Any]) -> None:
    errors = schemarules.validate(line["schema"], "spec.validation.openAPIV3Schema", status=False)
    assert told(errors) == line["errors"]


@pytest.mark.parametrize("line", lines("definitions"))
def test_definitions(line: dict[str, Any]) -> None:
    def decoded(document: Any) -> CustomResourceDefinition:
        crd = codec.from_builtins(CustomResourceDefinition, document)
        defaults.apply(crd)
        return crd

    new = decoded(line["definition"])
    old = line["old"]
    errors = definitionrules.validate(new) if old is None else definitionrules.validate_update(new, decoded(old))
    # What every object's metadata must be is checked elsewhere.
    assert [error for error in told(errors) if not error[0].startswith("metadata.")] == line["errors"]
