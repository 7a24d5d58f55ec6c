"""Whether a schema is structural: its structure stands outside allOf, anyOf, oneOf and not, and is complete.

`schemarules.py` calls `validate` on every schema of a CustomResourceDefinition (apiextensions documentation,
"Specifying a structural schema"). Schemas are JSON values, as `JSONSchemaProps` writes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kijabi.api import goregex, validation
from kijabi.api.resource import FieldError

Props = Mapping[str, Any]

_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_ROOT, _ITEM, _FIELD = "root", "item", "field"
_NO_TYPE = {
    _ROOT: "must not be empty at the root",
    _ITEM: "must not be empty for specified array items",
    _FIELD: "must not be empty for specified object fields",
}
# What may not be said below a logical junctor, and how it is refused there.
_FORBIDDEN_NESTED = (
    ("default", "must be undefined"),
    ("title", "must be empty"),
    ("description", "must be empty"),
    ("nullable", "must be false"),
    ("x-kubernetes-preserve-unknown-fields", "must be false"),
    ("x-kubernetes-embedded-resource", "must be false"),
    ("x-kubernetes-int-or-string", "must be false"),
    ("x-kubernetes-list-map-keys", "must be empty"),
    ("x-kubernetes-list-type", "must be undefined"),
    ("x-kubernetes-map-type", "must be undefined"),
    ("x-kubernetes-validations", "must be empty"),
)


def validate(props: Props, path: str) -> list[FieldError]:
    """Errors of a schema that is not structural, sorted by their texts."""
    errors: list[FieldError] = []
    _invariants(props, _ROOT, path, errors)
    _complete_values(props, props, path, path, errors)
    return sorted(errors, key=str)


def _invariants(props: Props, level: str, path: str, errors: list[FieldError]) -> None:
    kind = props.get("type", "")
    items = props.get("items")
    if kind == "array" and items is None:
        errors.append(validation.required(f"{path}.items", "must be specified"))
    if items is not None:
        _invariants(items, _ITEM, f"{path}.items", errors)
    for name, child in props.get("properties", {}).items():
        _invariants(child, _FIELD, f"{path}.properties[{name}]", errors)
    additional = props.get("additionalProperties")
    if additional is not None and level == _ROOT:
        errors.append(validation.forbidden(f"{path}.additionalProperties", "must not be used at the root"))
    if isinstance(additional, Mapping):
        _invariants(additional, _FIELD, f"{path}.additionalProperties", errors)
    _int_or_string(props, path, errors)
    first = props.get("allOf", [{}])[0].get("anyOf") == _INT_OR_STRING
    _values(props, props.get("anyOf") == _INT_OR_STRING, first, path, errors)
    _type(props, kind, level, path, errors)
    _meta(props, level, path, errors)
    preserve = props.get("x-kubernetes-preserve-unknown-fields")
    if props.get("x-kubernetes-embedded-resource") and not preserve and not props.get("properties"):
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        errors.append(validation.required(f"{path}.properties", detail))


def _int_or_string(props: Props, path: str, errors: list[FieldError]) -> None:
    if props.get("x-kubernetes-int-or-string"):
        for name in ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"):
            if props.get(name):
                detail = "must be false if x-kubernetes-int-or-string is true"
                errors.append(validation.invalid(f"{path}.{name}", True, detail))


def _type(props: Props, kind: str, level: str, path: str, errors: list[FieldError]) -> None:
    embedded = props.get("x-kubernetes-embedded-resource", False)
    free = props.get("x-kubernetes-int-or-string") or props.get("x-kubernetes-preserve-unknown-fields")
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        wrong = validation.invalid(f"{path}.type", kind, detail)
        errors.append(wrong if kind else validation.required(f"{path}.type", detail))
    elif not kind and not free:
        errors.append(validation.required(f"{path}.type", _NO_TYPE[level]))
    if embedded and "additionalProperties" in props:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        errors.append(validation.forbidden(f"{path}.additionalProperties", detail))
    if level == _ROOT and kind and kind != "object":
        errors.append(validation.invalid(f"{path}.type", kind, "must be object at the root"))


def _meta(props: Props, level: str, path: str, errors: list[FieldError]) -> None:
    """kind, apiVersion and metadata of objects: metadata at the root may restrict name and generateName only."""
    resource = level == _ROOT or props.get("x-kubernetes-embedded-resource", False)
    properties = props.get("properties", {})
    for name in ("kind", "apiVersion"):
        if resource and name in properties and properties[name].get("type", "") != "string":
            at = f"{path}.properties[{name}].type"
            errors.append(validation.invalid(at, properties[name].get("type", ""), "must be string"))
    if "metadata" not in properties:
        return
    metadata, at = properties["metadata"], f"{path}.properties[metadata]"
    if resource and metadata.get("type", "") != "object":
        errors.append(validation.invalid(f"{at}.type", metadata.get("type", ""), "must be object"))
    more = metadata.keys() - {"type", "default"}
    named = metadata.get("properties", {})
    if named and named.keys() <= {"name", "generateName"}:
        more -= {"properties"}
    if level == _ROOT and more:
        detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        errors.append(validation.forbidden(at, detail))


def _values(props: Props, skip_any_of: bool, skip_first: bool, path: str, errors: list[FieldError]) -> None:
    """skip_any_of: it is the pattern of int-or-string, where types may be nested; skip_first: that of allOf[0] is."""
    if not skip_any_of:
        for index, nested in enumerate(props.get("anyOf", ())):
            _nested(nested, False, f"{path}.anyOf[{index}]", errors)
    for index, nested in enumerate(props.get("allOf", ())):
        _nested(nested, skip_first and index == 0, f"{path}.allOf[{index}]", errors)
    for index, nested in enumerate(props.get("oneOf", ())):
        _nested(nested, False, f"{path}.oneOf[{index}]", errors)
    if "not" in props:
        _nested(props["not"], False, f"{path}.not", errors)
    pattern = props.get("pattern")
    if pattern:
        try:
            goregex.compile(pattern)
        except goregex.RegexError as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            errors.append(validation.invalid(f"{path}.pattern", pattern, detail))


def _nested(props: Props, skip_any_of: bool, path: str, errors: list[FieldError]) -> None:
    _values(props, skip_any_of, False, path, errors)
    if "items" in props:
        _nested(props["items"], False, f"{path}.items", errors)
    properties = props.get("properties", {})
    for name, child in properties.items():
        _nested(child, False, f"{path}.properties[{name}]", errors)
    if props.get("type"):
        errors.append(validation.forbidden(f"{path}.type", "must be empty to be structural"))
    if props.get("additionalProperties", False) is not False:
        errors.append(validation.forbidden(f"{path}.additionalProperties", "must be undefined to be structural"))
    for name, problem in _FORBIDDEN_NESTED:
        if props.get(name) or (name == "default" and props.get(name) is not None):
            errors.append(validation.forbidden(f"{path}.{name}", f"{problem} to be structural"))
    if "metadata" in properties:
        detail = "must not be specified in a nested context"
        errors.append(validation.forbidden(f"{path}.properties[metadata]", detail))


def _complete_values(props: Props, structure: Props, at: str, path: str, errors: list[FieldError]) -> None:
    """Every member that a nested schema constrains must be in the structure too. at: where that is."""
    if "not" in props:
        _complete(props["not"], structure, at, f"{path}.not", errors)
    for junctor in ("allOf", "anyOf", "oneOf"):
        for index, nested in enumerate(props.get(junctor, ())):
            _complete(nested, structure, at, f"{path}.{junctor}[{index}]", errors)


def _complete(nested: Props, structure: Props | None, at: str, path: str, errors: list[FieldError]) -> None:
    if structure is None:
        errors.append(validation.required(at, f"because it is defined in {path}"))
        return
    _complete_values(nested, structure, at, path, errors)
    if "items" in nested:
        _complete(nested["items"], structure.get("items"), f"{at}.items", f"{path}.items", errors)
    for name, child in nested.get("properties", {}).items():
        member = f".properties[{name}]"
        _complete(child, structure.get("properties", {}).get(name), at + member, path + member, errors)
