"""The rules of a schema in a CustomResourceDefinition: what OpenAPI v3 allows there, list and map types, CEL rules.

`definitionrules.py` calls `validate` for each version's schema; `structuralrules.py` and `defaultrules.py` are asked
first, `celcontext.py` for each node with validation rules. Schemas are JSON values, as `JSONSchemaProps` writes them;
order, paths and texts of errors are those of k8s.io/apiextensions-apiserver `pkg/apis/apiextensions/validation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kijabi.api import validation
from kijabi.api.apiextensions import celcontext, defaultrules, fieldpath, goschema, structural, structuralrules
from kijabi.api.resource import FieldError

Props = Mapping[str, Any]

TYPES = ("array", "boolean", "integer", "number", "object", "string")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_ROOT = "at the root of the schema if the status subresource is enabled"
_META_FIELDS = ("metadata", "kind", "apiVersion")
# What may stand at the root where `/status` is served, by the names of Go's fields, as the error lists them.
_AT_ROOT = (
    "Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum", "MaxLength",
    "MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items", "Properties",
    "ExternalDocs", "Example", "XPreserveUnknownFields", "XValidations",
)  # fmt: skip


class _Place(msgspec.Struct, frozen=True):
    """Where in a schema we are. no_defaults: why defaults are forbidden here. uncorrelated: the path of the closest
    ancestor below which an old value cannot be found for a new one."""

    inside_meta: bool = False
    no_defaults: str = ""
    uncorrelated: str = ""

    def without_old_self(self, path: str) -> _Place:
        """The same place, inside something whose parts have no old selves."""
        return self if self.uncorrelated else msgspec.structs.replace(self, uncorrelated=path)


class _Errors:
    """Errors of the schema and of its CEL rules: the latter are looked for only where the former are none."""

    __slots__ = ("cel", "schema")

    def __init__(self) -> None:
        self.schema: list[FieldError] = []
        self.cel: list[FieldError] = []

    def add(self, more: _Errors) -> None:
        self.schema += more.schema
        self.cel += more.cel


def validate(props: Props, path: str, *, status: bool, known_schema: bool = False) -> list[FieldError]:
    """Errors of one version's schema, at path (`spec.validation.openAPIV3Schema`).

    status: whether `/status` is served. known_schema: the stored definition has the very same schema, so that the cost
    of its rules, which an older server may have estimated lower, is not held against it.
    """
    if not structural.depth(props):
        detail = f"must not nest schemas more than {structural.DEPTH_LIMIT} deep"
        return [validation.invalid(path, None, detail)]
    errors = _status_root(props, path) if status else []
    if props.get("nullable"):
        errors.append(validation.forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    context: celcontext.Context | None = None
    unsupported = ""
    try:
        compiled = structural.compile(props)
    except structural.SchemaError as error:
        unsupported = str(error)
    else:
        found = structuralrules.validate(props, path) or defaultrules.validate(compiled, path)
        errors += found
        if not found:
            context = celcontext.root(props)
    walked = _validate(props, path, _Place(), True, context, known_schema)
    errors += walked.schema + walked.cel
    if unsupported and not errors:
        errors.append(validation.invalid(path, "", unsupported))
    return errors + (context.total.errors(path) if context is not None else [])


def _status_root(props: Props, path: str) -> list[FieldError]:
    """Where `/status` is served, the root says little more than its properties, so that `status` stands by itself."""
    for name in goschema.present(props):
        if name == "Type" and props["type"] != "object":
            detail = (
                'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
            )
            return [validation.invalid(f"{path}.type", props["type"], detail)]
        if name not in _AT_ROOT:
            detail = f"only [{' '.join(_AT_ROOT)}] fields are allowed {_ROOT}"
            return [validation.invalid(path, goschema.schema(props), detail)]
    return []


def _validate(
    props: Props, path: str, place: _Place, root: bool, context: celcontext.Context | None, known: bool
) -> _Errors:
    errors = _Errors()
    errors.schema += _openapi(props, path, place)
    errors.add(_children(props, path, place, root, context, known))
    errors.schema += _kubernetes(props, path)
    rules = props.get("x-kubernetes-validations", ())
    for index, rule in enumerate(rules):
        errors.schema += _rule(rule, props, f"{path}.x-kubernetes-validations[{index}]")
    if rules and not errors.schema and context is not None:
        errors.cel += context.check(path, place.uncorrelated, suppress_cost=known)
    return errors


def _children(
    props: Props, path: str, place: _Place, root: bool, context: celcontext.Context | None, known: bool
) -> _Errors:
    errors = _Errors()
    additional, properties = props.get("additionalProperties"), props.get("properties", {})
    if additional is not None and properties and additional is not True:
        detail = "additionalProperties and properties are mutual exclusive"
        errors.schema.append(validation.forbidden(f"{path}.additionalProperties", detail))
    if isinstance(additional, Mapping):
        inside = place
        if place.inside_meta:
            reason = "inside additionalProperties applying to object metadata"
            inside = msgspec.structs.replace(place, no_defaults=reason)
        child = context.additional(additional) if context is not None else None
        errors.add(_validate(additional, f"{path}.additionalProperties", inside, False, child, known))
    for name, value in properties.items():
        inside = place
        if props.get("x-kubernetes-map-type", "granular") not in ("granular", "atomic"):
            inside = inside.without_old_self(path)
        if (root or props.get("x-kubernetes-embedded-resource")) and name in _META_FIELDS:
            reason = f"in top-level {name}" if root else inside.no_defaults
            inside = msgspec.structs.replace(inside, inside_meta=True, no_defaults=reason)
        child = context.member(name, value) if context is not None else None
        errors.add(_validate(value, f"{path}.properties[{name}]", inside, False, child, known))
    if "not" in props:
        errors.add(_validate(props["not"], f"{path}.not", place, False, None, known))
    for junctor in ("allOf", "oneOf", "anyOf"):
        for index, value in enumerate(props.get(junctor, ())):
            errors.add(_validate(value, f"{path}.{junctor}[{index}]", place, False, None, known))
    for name, value in props.get("definitions", {}).items():
        errors.add(_validate(value, f"{path}.definitions[{name}]", place, False, None, known))
    inside = place if props.get("x-kubernetes-list-type") == "map" else place.without_old_self(path)
    items = props.get("items")
    if isinstance(items, Mapping):
        child = context.item(items) if context is not None else None
        errors.add(_validate(items, f"{path}.items", inside, False, child, known))
    elif items is not None:
        for index, value in enumerate(items):
            errors.add(_validate(value, f"{path}.items[{index}]", inside, False, None, known))
    for name, value in props.get("dependencies", {}).items():
        if isinstance(value, Mapping):
            errors.add(_validate(value, f"{path}.dependencies[{name}]", place, False, None, known))
    return errors


def _openapi(props: Props, path: str, place: _Place) -> list[FieldError]:
    """What of OpenAPI v3 is not for custom resources."""
    errors = []
    kind = props.get("type", "")
    if kind and kind not in TYPES:
        errors.append(validation.not_supported(f"{path}.type", kind, TYPES))
    if "default" in props and place.no_defaults:
        errors.append(validation.forbidden(f"{path}.default", f"must not be set {place.no_defaults}"))
    for name in ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"):
        if name in props:
            errors.append(validation.forbidden(f"{path}.{name}", f"{name} is not supported"))
    if kind == "null":
        detail = "type cannot be set to null, use nullable as an alternative"
        errors.append(validation.forbidden(f"{path}.type", detail))
    if isinstance(props.get("items"), list) and props["items"]:
        errors.append(validation.forbidden(f"{path}.items", "items must be a schema object and not an array"))
    if place.inside_meta and props.get("x-kubernetes-embedded-resource"):
        detail = "must not be used inside of resource meta"
        errors.append(validation.forbidden(f"{path}.x-kubernetes-embedded-resource", detail))
    if props.get("uniqueItems"):
        detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        errors.append(validation.forbidden(f"{path}.uniqueItems", detail))
    return errors


def _kubernetes(props: Props, path: str) -> list[FieldError]:
    """The extensions: preserve-unknown-fields, list and map types."""
    errors = []
    if props.get("x-kubernetes-preserve-unknown-fields") is False:
        at = f"{path}.x-kubernetes-preserve-unknown-fields"
        errors.append(validation.invalid(at, False, "must be true or undefined"))
    kind, map_type = props.get("type", ""), props.get("x-kubernetes-map-type")
    if map_type is not None:
        if kind != "object":
            errors.append(_must_be(path, kind, "must be object if x-kubernetes-map-type is specified"))
        errors += validation.one_of(f"{path}.x-kubernetes-map-type", map_type, ("atomic", "granular"))
    list_type = props.get("x-kubernetes-list-type")
    if list_type is not None:
        if kind != "array":
            errors.append(_must_be(path, kind, "must be array if x-kubernetes-list-type is specified"))
        elif list_type == "set":
            errors += _set_items(props.get("items"), path)
        errors += validation.one_of(f"{path}.x-kubernetes-list-type", list_type, ("atomic", "set", "map"))
    if props.get("x-kubernetes-list-map-keys") and list_type != "map":
        detail = "must be map if x-kubernetes-list-map-keys is non-empty"
        at = f"{path}.x-kubernetes-list-type"
        wrong = validation.required(at, detail) if list_type is None else validation.invalid(at, list_type, detail)
        errors.append(wrong)
    if list_type == "map":
        errors += _map_items(props, path)
    return errors + _unique_items(props, list_type, path)


def _must_be(path: str, kind: str, detail: str) -> FieldError:
    at = f"{path}.type"
    return validation.invalid(at, kind, detail) if kind else validation.required(at, detail)


def _set_items(items: Any, path: str) -> list[FieldError]:
    if not isinstance(items, Mapping):
        return []
    kind = items.get("type", "")
    list_type = items.get("x-kubernetes-list-type")
    detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
    if kind == "array" and list_type not in (None, "atomic"):
        return [validation.invalid(f"{path}.items.x-kubernetes-list-type", list_type, detail)]
    if kind == "object" and items.get("x-kubernetes-map-type") != "atomic":
        # Upstream shows the list type here.
        return [validation.invalid(f"{path}.items.x-kubernetes-map-type", list_type, detail)]
    return []


def _map_items(props: Props, path: str) -> list[FieldError]:
    errors = []
    keys = props.get("x-kubernetes-list-map-keys", ())
    if not keys:
        detail = "must not be empty if x-kubernetes-list-type is map"
        errors.append(validation.required(f"{path}.x-kubernetes-list-map-keys", detail))
    items = props.get("items")
    if items is None:
        errors.append(validation.required(f"{path}.items", "must have a schema if x-kubernetes-list-type is map"))
        return errors
    if not isinstance(items, Mapping):
        detail = "must only have a single schema if x-kubernetes-list-type is map"
        errors.append(validation.invalid(f"{path}.items", goschema.items(items), detail))
        return errors
    kind = items.get("type", "")
    if kind != "object":
        detail = "must be object if parent array's x-kubernetes-list-type is map"
        errors.append(validation.invalid(f"{path}.items.type", kind, detail))
        return errors
    seen: set[str] = set()
    at = f"{path}.x-kubernetes-list-map-keys"
    for key in keys:
        child = items.get("properties", {}).get(key)
        if child is None:
            errors.append(validation.invalid(at, keys, "entries must all be names of item properties"))
        elif child.get("type") in ("array", "object"):
            detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            errors.append(validation.invalid(f"{path}.items.properties[{key}].type", kind, detail))
        if key in seen:
            errors.append(validation.invalid(at, keys, "must not contain duplicate entries"))
        seen.add(key)
    return errors


def _unique_items(props: Props, list_type: str | None, path: str) -> list[FieldError]:
    """Items of sets and maps, and the keys of the latter, are never null; a key is always there."""
    items = props.get("items")
    if list_type not in ("set", "map") or not isinstance(items, Mapping):
        return []
    errors = []
    if items.get("nullable"):
        detail = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        errors.append(validation.forbidden(f"{path}.items.nullable", detail))
    for key in props.get("x-kubernetes-list-map-keys", ()) if list_type == "map" else ():
        child = items.get("properties", {}).get(key)
        if child is None:
            continue
        at, why = f"{path}.items.properties[{key}]", "this property is in x-kubernetes-list-map-keys, so it"
        if key not in items.get("required", ()) and "default" not in child:
            errors.append(validation.required(f"{at}.default", f"{why} must have a default or be a required property"))
        if child.get("nullable"):
            errors.append(validation.forbidden(f"{at}.nullable", f"{why} cannot be nullable"))
    return errors


def _rule(rule: Mapping[str, Any], props: Props, path: str) -> list[FieldError]:
    """The form of a validation rule; its expression is compiled later."""
    errors = []
    text, message = rule.get("rule", ""), rule.get("message", "")
    if not text.strip():
        errors.append(validation.required(f"{path}.rule", "rule is not specified"))
    elif message and not message.strip():
        errors.append(validation.invalid(f"{path}.message", message, "must be non-empty if specified"))
    elif _broken(message.strip()):
        errors.append(validation.invalid(f"{path}.message", message, "must not contain line breaks"))
    elif _broken(text.strip()) and not message.strip():
        detail = "message must be specified if rule contains line breaks"
        errors.append(validation.required(f"{path}.message", detail))
    expression = rule.get("messageExpression", "")
    if expression and not expression.strip():
        detail = "messageExpression must be non-empty if specified"
        errors.append(validation.required(f"{path}.messageExpression", detail))
    if rule.get("reason") is not None:
        errors += validation.one_of(f"{path}.reason", rule["reason"], _REASONS)
    field_path = rule.get("fieldPath", "")
    if field_path and not field_path.strip():
        errors.append(validation.invalid(f"{path}.fieldPath", field_path, "must be non-empty if specified"))
    if _broken(field_path):
        errors.append(validation.invalid(f"{path}.fieldPath", field_path, "must not contain line breaks"))
    if field_path and not _leads_somewhere(props, field_path):
        errors.append(validation.invalid(f"{path}.fieldPath", field_path, "must be a valid path"))
    return errors


def _broken(text: str) -> bool:
    return "\n" in text or "\r" in text


def _leads_somewhere(props: Props, field_path: str) -> bool:
    try:
        fieldpath.resolve(field_path, structural.compile(props))
    except structural.SchemaError:
        return True  # said elsewhere
    except fieldpath.PathError:
        return False
    return True
