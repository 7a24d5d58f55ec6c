"""Our types against the published schemas of v1.37: names, types, what is required, lists and their merging."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from kijabi.api import catalog
from kijabi.api.shape import Field, Shape, fields, is_atomic
from kijabi.api.struct import Struct

SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.37.0-local" / "_definitions.json"
DEFINITIONS: dict[str, Any] = json.loads(SCHEMAS.read_text())["$defs"]
PREFIXES = {
    "dra": "io.k8s.api.resource.v1",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    "apiregistration": "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
}
SCALARS = {
    "string": ("string", None), "bool": ("boolean", None), "int32": ("integer", "int32"), "int64": ("integer", "int64"),
    "float": ("number", "double"), "bytes": ("string", "byte"),
}  # fmt: skip
NAMED = {
    "time": "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
    "microtime": "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime",
    "quantity": "io.k8s.apimachinery.pkg.api.resource.Quantity",
    "intstr": "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
}


def schema_name(cls: type[Struct]) -> str:
    """What the published definitions call a type."""
    _, _, package, *rest = cls.__module__.split(".")
    if not rest:
        return f"io.k8s.apimachinery.pkg.apis.meta.v1.{cls.__name__}"
    if package == "autoscaling":
        version = "v2" if rest[0] == "horizontalpodautoscaler" else "v1"
        return f"io.k8s.api.autoscaling.{version}.{cls.__name__}"
    if package == "scheduling" and rest[0] != "priorityclass":
        version = "v1alpha3" if rest[0] == "jobgroups" else "v1beta1"
        return f"io.k8s.api.scheduling.{version}.{cls.__name__}"
    return f"{PREFIXES.get(package, f'io.k8s.api.{package}.v1')}.{cls.__name__}"


@cache
def reachable() -> list[type[Struct]]:
    """Every type that a resource holds, at any depth."""
    found: dict[type[Struct], None] = {}

    def visit(shape: Shape) -> None:
        for part in (shape.item, *shape.options):
            if part is not None:
                visit(part)
        if shape.struct is not None and shape.struct not in found:
            found[shape.struct] = None
            for field in fields(shape.struct).values():
                visit(field.shape)

    for resource in catalog.RESOURCES:
        if resource.group != "metrics.k8s.io":  # the package has what the API server itself serves
            visit(Shape("struct", struct=resource.type))
    return list(found)


def mismatch(shape: Shape, schema: dict[str, Any]) -> str:
    """How a shape and a schema differ; empty if they do not."""
    listed = schema.get("type", [])
    kinds = [kind for kind in (listed if isinstance(listed, list) else [listed]) if kind != "null"]
    named = schema.get("$ref", "").rpartition("/")[2]
    told = f"{shape} is {kinds or named}"
    if shape.kind in SCALARS:
        kind, form = SCALARS[shape.kind]
        return "" if (kinds, schema.get("format")) == ([kind], form) else told
    if shape.kind in NAMED:
        return "" if named == NAMED[shape.kind] else told
    if shape.struct is not None:
        return "" if named == schema_name(shape.struct) else told
    if shape.kind == "list" and shape.item is not None:
        return mismatch(shape.item, schema["items"]) if kinds == ["array"] else told
    if shape.kind == "map" and shape.item is not None:
        return mismatch(shape.item, schema["additionalProperties"]) if kinds == ["object"] else told
    # Raw values and the unions of CRD schemas; managedFields is raw in memory only.
    return "" if "RawExtension" in named or "JSON" in named or "FieldsV1" in named or kinds == ["array"] else told


def merging(field: Field) -> tuple[object, ...]:
    tag = field.tag
    return tag.listType, tag.keys, tag.strategy, tag.mergeKey, tag.mapType or tag.structType


def published_merging(schema: dict[str, Any]) -> tuple[object, ...]:
    keys = ("list-type", "patch-strategy", "patch-merge-key", "map-type")
    listed, strategy, merge_key, mapped = (schema.get(f"x-kubernetes-{key}", "") for key in keys)
    return listed, tuple(schema.get("x-kubernetes-list-map-keys", ())), strategy, merge_key, mapped


@pytest.mark.parametrize("cls", reachable(), ids=schema_name)
def test_a_type_is_as_published(cls: type[Struct]) -> None:
    definition = DEFINITIONS[schema_name(cls)]
    published = definition.get("properties", {})
    ours = fields(cls)
    assert set(ours) == set(published)
    required = {name for name, field in ours.items() if field.tag.required}
    # The Event of the core group is the only object whose metadata counts as required.
    assert required == set(definition.get("required", ())) - {"metadata"}
    assert is_atomic(cls) == (definition.get("x-kubernetes-map-type") == "atomic")
    for name, field in ours.items():
        assert not mismatch(field.shape, published[name]), name
        assert merging(field) == published_merging(published[name]), name


def test_the_check_covers_what_there_is() -> None:
    assert len(reachable()) > 500
