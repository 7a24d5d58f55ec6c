"""Schemas of custom resources, as they are published: what a CRD's author wrote, and what every object has.

`schema.py` asks for version 3, `version2.py` for the older version, which can say less: kubectl's old validation must
not refuse what the server takes. The rules are those of k8s.io/apiextensions-apiserver `pkg/controller/openapi`
(builder, v2). Everything here is pure and leaves the CRD's own schema alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kijabi.api.resource import Resource
from kijabi.apiserver.openapi import texts

PRESERVE = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
INT_OR_STRING = "x-kubernetes-int-or-string"
_EITHER = [{"type": "integer"}, {"type": "string"}]
_VALUES = ("additionalProperties", "default", "example")  # whose false differs from absence
_JUNCTIONS = ("allOf", "anyOf", "oneOf", "not")
Schema = dict[str, Any]
Change = Callable[[Schema], None]


def model_name(resource: Resource, kind: str = "") -> str:
    """`com.example.stable.v1.CronTab`."""
    parts = resource.group.split(".")[::-1]
    return ".".join((*parts, resource.version, kind or resource.kind))


def schema(resource: Resource, metadata: str) -> Schema:
    """The version 3 schema. metadata: where that of ObjectMeta is."""
    return _published(resource, metadata, _unfold, old=False)


def schema_v2(resource: Resource, metadata: str) -> Schema:
    """The version 2 schema."""
    given = resource.schema or {}
    if given.get(PRESERVE):
        # kubectl would take any property named here for the only ones
        return {"type": "object", **_extensions(resource)}
    return _published(resource, metadata, _lower, old=True)


def selectable(resource: Resource) -> Schema:
    """The extension that names the fields which field selectors know."""
    found = [{"fieldPath": name} for name, _ in resource.fields]
    return {"x-kubernetes-selectable-fields": found} if found else {}


def _extensions(resource: Resource) -> Schema:
    identity = {"group": resource.group, "version": resource.version, "kind": resource.kind}
    return {"x-kubernetes-group-version-kind": [identity], **selectable(resource)}


def _published(resource: Resource, metadata: str, change: Change, old: bool) -> Schema:
    if not resource.schema:
        return {"type": "object", **_extensions(resource)}
    found = _copy(resource.schema, change)
    found.setdefault("properties", {})["metadata"] = _metadata(metadata, old)
    _identify(found)
    _embed(found, metadata, old)
    return {**found, **_extensions(resource)}


def _copy(given: Mapping[str, Any], change: Change) -> Schema:
    """A copy of a schema, deep as far as schemas go, with `change` made to each from the top down."""
    found = {
        key: value for key, value in given.items() if key in _VALUES or (value not in ([], None) and value is not False)
    }
    change(found)
    properties = found.get("properties")
    if properties is not None:
        found["properties"] = {name: _copy(each, change) for name, each in properties.items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), Mapping):
            found[key] = _copy(found[key], change)
    return found


def _unfold(found: Schema) -> None:
    """Say in plain OpenAPI what int-or-string means."""
    if not found.get(INT_OR_STRING):
        return
    every = found.get("allOf")
    if found.get("anyOf") == _EITHER or (every and every[0].get("anyOf") == _EITHER):
        return
    if "anyOf" in found:
        found["allOf"] = [{"anyOf": _EITHER}, *(every or ())]
    else:
        found["anyOf"] = _EITHER


def _lower(found: Schema) -> None:
    """Drop what version 2 cannot say, or what kubectl would read too narrowly in it."""
    for key in (*_JUNCTIONS, "default"):
        found.pop(key, None)
    _relax_required(found)
    if found.pop("nullable", False):
        for key in ("type", "items", "properties"):
            found.pop(key, None)
    if found.get(PRESERVE):
        found.pop("items", None)
        found.pop("properties", None)
        if found.get("type") == "object":
            del found["type"]
    if found.get("type") == "array" and "items" not in found:
        del found["type"]


def _relax_required(found: Schema) -> None:
    """What may be null cannot be required."""
    more = found.get("additionalProperties")
    if isinstance(more, Mapping) and more.get("nullable"):
        found.pop("required", None)
    if "required" in found and not found.get(PRESERVE) and not found.get("nullable"):
        members = found.get("properties", {})
        needed = [name for name in found["required"] if not members.get(name, {}).get("nullable")]
        found["required"] = needed
        if not needed:
            del found["required"]


def _metadata(place: str, old: bool) -> Schema:
    """A reference with a description; in version 3 it must not stand beside it."""
    reference = {"$ref": place}
    return {"description": texts.METADATA, **(reference if old else {"allOf": [reference]})}


def _identify(found: Schema) -> None:
    properties = found["properties"]
    properties["apiVersion"] = {"description": texts.API_VERSION, "type": "string"}
    properties["kind"] = {"description": texts.KIND, "type": "string"}


def _embed(found: Schema, metadata: str, old: bool) -> None:
    """Give embedded resources the members that every object has."""
    for each in found.get("properties", {}).values():
        _embed(each, metadata, old)
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            _embed(found[key], metadata, old)
    if not found.get(EMBEDDED) or (old and found.get(PRESERVE)):
        return
    found["properties"] = {**found.get("properties", {}), "metadata": _metadata(metadata, old)}
    _identify(found)
    needed = found.get("required", [])
    found["required"] = [*needed, *(name for name in ("kind", "apiVersion") if name not in needed)]
