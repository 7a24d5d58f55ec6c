"""Types as OpenAPI v3 schemas: names, members, list types, merge keys, defaults.

Pure; `paths.py` collects what a document refers to. Everything is read off the annotations through `api/shape.py`;
the names of schemas are upstream's, because clients know some of them (k8s.io/kube-openapi).
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from kijabi.api import catalog, meta
from kijabi.api.custom import Custom
from kijabi.api.resource import Resource
from kijabi.api.shape import Field, Shape, fields, is_atomic
from kijabi.api.struct import Struct
from kijabi.apiserver.openapi import custom, texts

SLICE = 16  # types that are described between two looks at everything else
REF = "#/components/schemas/"
KINDS = "x-kubernetes-group-version-kind"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
RAW = "io.k8s.apimachinery.pkg.runtime.RawExtension"
TIME, MICRO_TIME = f"{_META}.Time", f"{_META}.MicroTime"
PATCH = f"{_META}.Patch"
OBJECT_META = f"{_META}.ObjectMeta"
# Where upstream keeps the types of a package, where it is not io.k8s.api.<package>.
_HOMES = {
    "dra": "io.k8s.api.resource",
    "apiextensions": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
    "metrics": "io.k8s.metrics.pkg.apis.metrics",
}
_PLAIN: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "double"},
    "bytes": {"type": "string", "format": "byte"},
    "any": {},
    "union": {},
}
_NAMED = {
    "time": TIME,
    "microtime": MICRO_TIME,
    "quantity": QUANTITY,
    "intstr": INT_OR_STRING,
    "raw": RAW,
}
# The schemas behind those names.
BASICS: dict[str, dict[str, Any]] = {
    QUANTITY: {
        "description": "A fixed-point number as text or number, with an SI suffix: 100m, 1.5Gi, 2e3.",
        "oneOf": [{"type": "string"}, {"type": "number"}],
    },
    INT_OR_STRING: {
        "description": "A number or a text, such as a port or a percentage.",
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
    TIME: {"description": "A moment to the second, as in RFC 3339.", "type": "string", "format": "date-time"},
    MICRO_TIME: {
        "description": "A moment to the microsecond, as in RFC 3339.", "type": "string", "format": "date-time",
    },
    RAW: {"description": "Any object.", "type": "object"},
    PATCH: {"description": "A change to an object, in the form that the content type says.", "type": "object"},
}  # fmt: skip
_IDS = {"apiVersion": texts.API_VERSION, "kind": texts.KIND}


class Names:
    """The schema names of types; a version comes from the resources whose files the types are in."""

    def __init__(self, resources: tuple[Resource, ...] = catalog.RESOURCES) -> None:
        self.versions = {resource.type.__module__: resource.version for resource in resources}

    def of(self, cls: type[Struct]) -> str:
        """`io.k8s.api.apps.v1.Deployment`."""
        parts = cls.__module__.split(".")
        package = parts[2] if len(parts) > 3 else ""
        if not package:
            return f"{_META}.{cls.__name__}"
        home = _HOMES.get(package, f"io.k8s.api.{package}")
        return f"{home}.{self.versions.get(cls.__module__, 'v1')}.{cls.__name__}"


class Schemas:
    """The schemas of one document: what was asked for, and everything that it refers to."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.texts = texts.Texts()
        self.found: dict[str, dict[str, Any]] = {}
        self._todo: list[tuple[type[Struct], dict[str, Any]]] = []  # types whose members are still to be described

    async def settle(self) -> None:
        """Describe the members of everything that was referred to. Other requests have their turn now and then."""
        while self._todo:
            for _ in range(min(SLICE, len(self._todo))):
                self._members(*self._todo.pop())
            await asyncio.sleep(0)

    def add(self, cls: type[Struct]) -> dict[str, Any]:
        """A reference to a type's schema, which is now in the document."""
        name = self.names.of(cls)
        if name not in self.found:
            schema: dict[str, Any] = {"description": describe(cls), "type": "object"}
            self.found[name] = schema
            self._todo.append((cls, schema))
            api_version, kind = catalog.identity(cls)
            if kind:
                group, _, version = api_version.rpartition("/")
                schema[KINDS] = [identity(group, version, kind)]
        return {"$ref": REF + name}

    def object(self, resource: Resource) -> dict[str, Any]:
        """A reference to the schema of a resource's objects."""
        if resource.type is not Custom:
            return self.add(resource.type)
        name = custom.model_name(resource)
        if name not in self.found:
            self.add(meta.ObjectMeta)
            self.found[name] = custom.schema(resource, REF + OBJECT_META)
        return {"$ref": REF + name}

    def list(self, resource: Resource) -> dict[str, Any]:
        """A reference to the schema of a resource's lists."""
        is_custom = resource.type is Custom
        name = custom.model_name(resource, resource.listed) if is_custom else f"{self.names.of(resource.type)}List"
        if name not in self.found:
            metadata = with_more(self.add(meta.ListMeta), {"default": {}, "description": texts.LIST_METADATA})
            self.found[name] = {
                "description": f"{resource.listed} is a list of {resource.kind}.",
                "type": "object",
                "required": ["items"],
                "properties": {
                    **{key: {"description": text, "type": "string"} for key, text in _IDS.items()},
                    "items": {
                        "description": f"List of {resource.plural}.", "type": "array", "items": self.object(resource),
                    },
                    "metadata": metadata,
                },
                KINDS: [identity(resource.group, resource.version, resource.listed)],
                **(custom.selectable(resource) if is_custom else {}),
            }  # fmt: skip
        return {"$ref": REF + name}

    def basic(self, name: str) -> dict[str, Any]:
        """A reference to one of the schemas that are no Struct."""
        self.found.setdefault(name, BASICS[name])
        return {"$ref": REF + name}

    def _members(self, cls: type[Struct], schema: dict[str, Any]) -> None:
        properties: dict[str, Any] = {}
        required: list[str] = []
        for name, member in fields(cls).items():
            properties[name] = self._member(cls, name, member)
            if member.tag.required:
                required.append(name)
        if properties:
            schema["properties"] = properties
        if required:
            schema["required"] = required
        if is_atomic(cls):
            schema["x-kubernetes-map-type"] = "atomic"

    def _member(self, cls: type[Struct], name: str, member: Field) -> dict[str, Any]:
        tag = member.tag
        text = self.texts.of(cls, name)
        more: dict[str, Any] = {"description": text} if text else {}
        if tag.default is not None:
            more["default"] = tag.default
        elif member.shape.kind == "struct" and not member.shape.nullable:
            more["default"] = {}
        if tag.listType:
            more["x-kubernetes-list-type"] = tag.listType
        if tag.keys:
            more["x-kubernetes-list-map-keys"] = list(tag.keys)
        if tag.mapType:
            more["x-kubernetes-map-type"] = tag.mapType
        if tag.strategy:
            more["x-kubernetes-patch-strategy"] = tag.strategy
        if tag.mergeKey:
            more["x-kubernetes-patch-merge-key"] = tag.mergeKey
        if name == "managedFields" and cls is meta.ObjectMeta:
            return {"type": "array", "items": self.add(meta.ManagedFieldsEntry), **more}
        return with_more(self._shape(member.shape), more)

    def _shape(self, shape: Shape) -> dict[str, Any]:
        if shape.kind in _PLAIN:
            return dict(_PLAIN[shape.kind])
        if shape.kind in _NAMED:
            return self.basic(_NAMED[shape.kind])
        if shape.kind == "struct" and shape.struct is not None:
            return self.add(shape.struct)
        assert shape.item is not None
        inner = self._shape(shape.item)
        return {"type": "array", "items": inner} if shape.kind == "list" else {
            "type": "object", "additionalProperties": inner,
        }  # fmt: skip


def identity(group: str, version: str, kind: str) -> dict[str, str]:
    """A group, version and kind as extensions carry them."""
    return {"group": group, "version": version, "kind": kind}


def with_more(schema: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """A schema with more members; a reference stands alone, so it moves into an `allOf`, where readers follow it."""
    return {"allOf": [schema], **more} if "$ref" in schema else {**schema, **more}


def describe(cls: type[Struct]) -> str:
    """A type's own docstring as one paragraph."""
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
