"""OpenAPI v2 (Swagger) out of v3: what kubectl before 1.29, older Helm and `explain` with old templates read.

`serving.py` hands the version 3 document of a group and version in and gets paths and definitions. What version 2
cannot say is dropped, as kube-openapi does it (`pkg/openapiconv`, `pkg/handler` PruneDefaults). Definitions of custom
resources follow rules of their own (`custom.py`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kijabi.api.custom import Custom
from kijabi.api.resource import Resource
from kijabi.apiserver.openapi import custom
from kijabi.apiserver.openapi.schema import INT_OR_STRING, OBJECT_META, QUANTITY, REF

OLD_REF = "#/definitions/"
# What has two forms in JSON is a text here: clients send either.
_SPECIAL = {
    INT_OR_STRING: {"type": "string", "format": "int-or-string"},
    QUANTITY: {"type": "string"},
}
_DROPPED = frozenset(("oneOf", "anyOf", "not", "nullable", "default"))
Document = dict[str, Any]


class Pieces(NamedTuple):
    """What one group and version adds to the version 2 document, by path and by name."""

    paths: dict[str, Document]
    definitions: dict[str, Document]


def convert(document: Document, resources: list[Resource]) -> Pieces:
    """The pieces of a version 3 document. resources: what it is about."""
    definitions = {name: _definition(name, each) for name, each in document["components"]["schemas"].items()}
    for resource in resources:
        if resource.type is Custom:
            definitions[custom.model_name(resource)] = custom.schema_v2(resource, OLD_REF + OBJECT_META)
    return Pieces({path: _path(each) for path, each in document["paths"].items()}, definitions)


def _definition(name: str, schema: Document) -> Document:
    special = _SPECIAL.get(name)
    if special is not None:
        return {"description": schema["description"], **special}
    return _schema(schema)


def _schema(given: Document) -> Document:
    found = {key: value for key, value in given.items() if key not in _DROPPED}
    every = found.pop("allOf", None)
    if every:
        found.update(every[0])  # version 3 wraps a reference that has siblings
    if "$ref" in found:
        found["$ref"] = OLD_REF + found["$ref"].removeprefix(REF)
    if "properties" in found:
        found["properties"] = {name: _schema(each) for name, each in found["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = _schema(found[key])
    return found


def _path(given: Document) -> Document:
    return {
        key: [_parameter(each) for each in value] if key == "parameters" else _operation(value)
        for key, value in given.items()
    }


def _parameter(given: Document) -> Document:
    return {**{key: value for key, value in given.items() if key != "schema"}, **given["schema"]}


def _operation(given: Document) -> Document:
    found = {key: value for key, value in given.items() if key not in ("requestBody", "responses", "parameters")}
    parameters = [_parameter(each) for each in given["parameters"]]
    body = given.get("requestBody")
    if body is not None:
        medias = list(body["content"])
        schema = _schema(body["content"][medias[0]]["schema"])
        required = {"required": True} if body.get("required") else {}
        parameters.insert(0, {"name": "body", "in": "body", **required, "schema": schema})
        found["consumes"] = medias if len(medias) > 1 else ["*/*"]
    found["parameters"] = parameters
    found["produces"] = list(given["responses"]["200"]["content"])
    found["schemes"] = ["https"]
    found["responses"] = {code: _answer(each) for code, each in given["responses"].items()}
    return found


def _answer(given: Document) -> Document:
    found: Document = {"description": given["description"]}
    for each in given.get("content", {}).values():
        found["schema"] = _schema(each["schema"])
    return found
