"""Schemas and versions as errors of CustomResourceDefinitions show them: the JSON of Go's internal types, by its names.

`schemarules.py` and `definitionrules.py` put them into the few errors that show a whole schema or all versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from kijabi.api import codec
from kijabi.api.gotext import json_text

if TYPE_CHECKING:
    from kijabi.api.apiextensions.customresourcedefinition import (
        CustomResourceColumnDefinition,
        CustomResourceDefinitionVersion,
        CustomResourceSubresources,
    )

# Field of Go's type, member of the schema in JSON, value where it is absent.
_FIELDS: tuple[tuple[str, str, Any], ...] = (
    ("ID", "id", ""),
    ("Schema", "$schema", ""),
    ("Ref", "$ref", None),
    ("Description", "description", ""),
    ("Type", "type", ""),
    ("Nullable", "nullable", False),
    ("Format", "format", ""),
    ("Title", "title", ""),
    ("Default", "default", None),
    ("Maximum", "maximum", None),
    ("ExclusiveMaximum", "exclusiveMaximum", False),
    ("Minimum", "minimum", None),
    ("ExclusiveMinimum", "exclusiveMinimum", False),
    ("MaxLength", "maxLength", None),
    ("MinLength", "minLength", None),
    ("Pattern", "pattern", ""),
    ("MaxItems", "maxItems", None),
    ("MinItems", "minItems", None),
    ("UniqueItems", "uniqueItems", False),
    ("MultipleOf", "multipleOf", None),
    ("Enum", "enum", None),
    ("MaxProperties", "maxProperties", None),
    ("MinProperties", "minProperties", None),
    ("Required", "required", None),
    ("Items", "items", None),
    ("AllOf", "allOf", None),
    ("OneOf", "oneOf", None),
    ("AnyOf", "anyOf", None),
    ("Not", "not", None),
    ("Properties", "properties", None),
    ("AdditionalProperties", "additionalProperties", None),
    ("PatternProperties", "patternProperties", None),
    ("Dependencies", "dependencies", None),
    ("AdditionalItems", "additionalItems", None),
    ("Definitions", "definitions", None),
    ("ExternalDocs", "externalDocs", None),
    ("Example", "example", None),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", None),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", False),
    ("XIntOrString", "x-kubernetes-int-or-string", False),
    ("XListMapKeys", "x-kubernetes-list-map-keys", None),
    ("XListType", "x-kubernetes-list-type", None),
    ("XMapType", "x-kubernetes-map-type", None),
    ("XValidations", "x-kubernetes-validations", None),
)
_RULE_FIELDS = ("rule", "message", "messageExpression", "reason", "fieldPath", "optionalOldSelf")


def present(props: Mapping[str, Any]) -> list[str]:
    """The names of Go's fields that are set, in Go's order."""
    return [field for field, name, _ in _FIELDS if name in props]


def schema(props: Mapping[str, Any]) -> msgspec.Raw:
    """A whole schema, as JSON."""
    return msgspec.Raw(msgspec.json.encode(_schema(props)))


def items(value: Any) -> msgspec.Raw:
    """`items`, as JSON: one schema, or a list of them."""
    return msgspec.Raw(msgspec.json.encode(_items(value)))


def rule(value: Mapping[str, Any]) -> msgspec.Raw:
    """A validation rule, as JSON."""
    return msgspec.Raw(msgspec.json.encode(_rule(value)))


def versions(values: Iterable[CustomResourceDefinitionVersion]) -> msgspec.Raw:
    """`spec.versions`, as JSON."""
    return msgspec.Raw(msgspec.json.encode([_version(value) for value in values]))


def _version(value: CustomResourceDefinitionVersion) -> dict[str, Any]:
    schema = None
    if value.schema is not None:
        props = value.schema.openAPIV3Schema
        shown = None if props is None else _schema(msgspec.json.decode(codec.encode_part(props)))
        schema = {"OpenAPIV3Schema": shown}
    return {
        "Name": value.name,
        "Served": value.served,
        "Storage": value.storage,
        "Deprecated": value.deprecated,
        "DeprecationWarning": value.deprecationWarning,
        "Schema": schema,
        "Subresources": _subresources(value.subresources),
        "AdditionalPrinterColumns": [_column(each) for each in value.additionalPrinterColumns] or None,
        "SelectableFields": [{"JSONPath": each.jsonPath} for each in value.selectableFields] or None,
    }


def _subresources(value: CustomResourceSubresources | None) -> dict[str, Any] | None:
    if value is None:
        return None
    scale = None
    if value.scale is not None:
        scale = {
            "SpecReplicasPath": value.scale.specReplicasPath,
            "StatusReplicasPath": value.scale.statusReplicasPath,
            "LabelSelectorPath": value.scale.labelSelectorPath,
        }
    return {"Status": None if value.status is None else {}, "Scale": scale}


def _column(value: CustomResourceColumnDefinition) -> dict[str, Any]:
    return {
        "Name": value.name,
        "Type": value.type,
        "Format": value.format,
        "Description": value.description,
        "Priority": value.priority,
        "JSONPath": value.jsonPath,
    }


def _schema(props: Mapping[str, Any]) -> dict[str, Any]:
    return {field: _value(field, props[name]) if name in props else absent for field, name, absent in _FIELDS}


def _items(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return {"Schema": _schema(value), "JSONSchemas": None}
    return {"Schema": None, "JSONSchemas": [_schema(each) for each in value]}


def _rule(value: Mapping[str, Any]) -> dict[str, Any]:
    absent = {"reason": None, "optionalOldSelf": None}
    return {name[0].upper() + name[1:]: value.get(name, absent.get(name, "")) for name in _RULE_FIELDS}


def _value(field: str, value: Any) -> Any:
    if field == "Items":
        return _items(value)
    if field in ("AllOf", "OneOf", "AnyOf"):
        return [_schema(each) for each in value]
    if field == "Not":
        return _schema(value)
    if field in ("Properties", "PatternProperties", "Definitions"):
        return {name: _schema(value[name]) for name in sorted(value)}
    if field in ("AdditionalProperties", "AdditionalItems"):
        whole = isinstance(value, Mapping)
        return {"Allows": whole or value, "Schema": _schema(value) if whole else None}
    if field == "Dependencies":
        return {name: _dependency(value[name]) for name in sorted(value)}
    if field == "ExternalDocs":
        return {"Description": value.get("description", ""), "URL": value.get("url", "")}
    if field == "XValidations":
        return [_rule(each) for each in value]
    return msgspec.Raw(json_text(value).encode())


def _dependency(value: Any) -> dict[str, Any]:
    if isinstance(value, Sequence):
        return {"Schema": None, "Property": list(value)}
    return {"Schema": _schema(value), "Property": None}
