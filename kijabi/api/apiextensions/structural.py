"""A custom resource's schema, compiled once: what pruning, defaulting and validation walk along with an object.

`compile` takes one version's OpenAPI v3 schema as JSON values (`JSONSchemaProps`, decoded) and gives the tree of
`Structural` nodes (KEP "structural schemas", apiextensions.k8s.io/v1 documentation). `prune.py`, `defaulting.py`,
`valuevalidation.py`, `listtypes.py`, `ratcheting.py` and `celrules.py` are functions over it. That a schema may be
stored at all is decided before, by `schemarules.py`.

Nodes are written once and shared, so that hundreds of definitions stay small: a leaf that says only its type exists
once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kijabi.api.apiextensions import prune, stringformats

# Stands for a value that is not there, where null is a value.
MISSING: Any = msgspec.UNSET
# A schema deeper than this is refused: every walk over schema and object is bounded by it.
DEPTH_LIMIT = 150

_UNSUPPORTED = ("id", "$schema", "$ref", "patternProperties", "dependencies", "additionalItems", "definitions")
_SHOWN = {"$schema": "schema"}
_LEAF_KEYS = frozenset(("type", "description", "title", "example", "externalDocs"))


class SchemaError(ValueError):
    """The schema says something that has no structural form; the text is upstream's."""


class Rule(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of `x-kubernetes-validations`, as `JSONSchemaProps` writes it."""

    rule: str = ""
    message: str = ""
    messageExpression: str = ""
    reason: str | None = None
    fieldPath: str = ""
    optionalOldSelf: bool | None = None


def rule_props(rule: Rule) -> dict[str, Any]:
    """A rule as JSON values."""
    props: dict[str, Any] = msgspec.to_builtins(rule)
    return props


class Limits:
    """What a node says about values besides their structure. Most nodes say nothing and share NO_LIMITS."""

    __slots__ = (
        "all_of", "any_of", "enum", "exclusive_maximum", "exclusive_minimum", "max_items", "max_length",
        "max_properties", "maximum", "min_items", "min_length", "min_properties", "minimum", "multiple_of", "not_",
        "one_of", "pattern", "required",
    )  # fmt: skip

    def __init__(self, props: Mapping[str, Any]) -> None:
        self.maximum: float | None = props.get("maximum")
        self.exclusive_maximum: bool = props.get("exclusiveMaximum", False)
        self.minimum: float | None = props.get("minimum")
        self.exclusive_minimum: bool = props.get("exclusiveMinimum", False)
        self.multiple_of: float | None = props.get("multipleOf")
        self.max_length: int | None = props.get("maxLength")
        self.min_length: int | None = props.get("minLength")
        self.pattern: str = props.get("pattern", "")
        self.max_items: int | None = props.get("maxItems")
        self.min_items: int | None = props.get("minItems")
        self.max_properties: int | None = props.get("maxProperties")
        self.min_properties: int | None = props.get("minProperties")
        self.enum: tuple[Any, ...] = tuple(props.get("enum") or ())
        self.required: tuple[str, ...] = tuple(props.get("required") or ())
        self.all_of: tuple[Structural, ...] = _nodes(props.get("allOf"))
        self.any_of: tuple[Structural, ...] = _nodes(props.get("anyOf"))
        self.one_of: tuple[Structural, ...] = _nodes(props.get("oneOf"))
        self.not_: Structural | None = _node(props["not"]) if props.get("not") is not None else None

    @property
    def composed(self) -> bool:
        """Whether other schemas take part: allOf, anyOf, oneOf, not."""
        return bool(self.all_of or self.any_of or self.one_of or self.not_ is not None)


class Structural:
    """One node of a schema.

    types: the JSON types that a value may have; two for int-or-string, none where any will do. type: as the schema
    states it. additional: the schema of members that `properties` does not name; has_additional: whether
    `additionalProperties` is there, be it a boolean; allows_additional: whether such members may be.
    props: the node as JSON values. checks: its CEL rules once they are compiled, which `celrules.py` does when first
    needed. default: MISSING if there is none. defaults: the members of `properties` with a default. deep: whether
    pruning and defaulting must look into values at all. embedded_below, rules_below: whether an embedded resource or
    CEL rules are at this node or below.
    """

    __slots__ = (
        "additional", "allows_additional", "checks", "composed", "deep", "default", "defaults", "embedded",
        "embedded_below", "format", "has_additional", "int_or_string", "items", "limits", "list_map_keys", "list_type",
        "map_type", "nullable", "preserve", "properties", "props", "rules", "rules_below", "type", "types",
    )  # fmt: skip

    def __init__(self, props: Mapping[str, Any]) -> None:
        _refuse_unsupported(props)
        self.props = props
        self.checks: Any = None
        self.type: str = props.get("type", "")
        self.int_or_string: bool = props.get("x-kubernetes-int-or-string", False)
        self.types = ("integer", "string") if self.int_or_string else (self.type,) if self.type else ()
        self.format = stringformats.supported(props.get("format", ""), self.types)
        self.nullable: bool = props.get("nullable", False)
        self.preserve: bool = props.get("x-kubernetes-preserve-unknown-fields", False)
        self.embedded: bool = props.get("x-kubernetes-embedded-resource", False)
        self.list_type: str = props.get("x-kubernetes-list-type") or ""
        self.list_map_keys: tuple[str, ...] = tuple(props.get("x-kubernetes-list-map-keys") or ())
        self.map_type: str = props.get("x-kubernetes-map-type") or ""
        default = props.get("default")
        self.default: Any = MISSING if default is None else default
        self.rules: tuple[Rule, ...] = _rules(props)
        self._compile_children(props)
        plain = not any(key in _LIMIT_KEYS for key in props)
        self.limits = NO_LIMITS if plain else Limits(props)
        self.composed = self.limits.composed
        self._sum_up()

    def _compile_children(self, props: Mapping[str, Any]) -> None:
        self.properties: dict[str, Structural] = {
            name: _node(value) for name, value in (props.get("properties") or {}).items()
        }
        items = props.get("items")
        self.items: Structural | None = None if items is None else _node(items)
        additional = props.get("additionalProperties")
        self.has_additional = additional is not None
        self.additional: Structural | None = _node(additional) if isinstance(additional, Mapping) else None
        self.allows_additional: bool = additional is not False

    def _sum_up(self) -> None:
        children = [*self.properties.values(), *(child for child in (self.items, self.additional) if child is not None)]
        self.defaults: tuple[tuple[str, Any], ...] = tuple(
            (name, child.default) for name, child in self.properties.items() if child.default is not MISSING
        )
        self.deep = bool(children) or self.has_additional or self.preserve or self.embedded
        self.embedded_below: bool = self.embedded or any(child.embedded_below for child in children)
        nested = any(child.rules_below for child in self.limits.all_of)
        self.rules_below: bool = bool(self.rules) or nested or any(child.rules_below for child in children)
        if self.default is not MISSING:
            self.default = prune.pruned_default(self.default, self)

    def below(self, name: str) -> Structural | None:
        """The schema of the member of that name, None if there is none."""
        return self.properties.get(name) or self.additional


def compile(props: Mapping[str, Any] | None) -> Structural:
    """The compiled schema of one version, from `openAPIV3Schema` as JSON values. SchemaError if it has no such form."""
    return Structural(props or {})


def depth(props: Any, limit: int = DEPTH_LIMIT) -> bool:
    """Whether JSON values nest at most `limit` schemas deep (every schema is two levels of JSON at most)."""
    level = [props]
    for _ in range(2 * limit):
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, Mapping) else value)
            if isinstance(item, (Mapping, list))
        ]
        if not level:
            return True
    return False


_LEAVES: dict[str, Structural] = {}
_LIMIT_KEYS = frozenset((
    "maximum", "minimum", "multipleOf", "maxLength", "minLength", "pattern", "maxItems", "minItems", "maxProperties",
    "minProperties", "enum", "required", "allOf", "anyOf", "oneOf", "not",
))  # fmt: skip


def _node(props: Any) -> Structural:
    if isinstance(props, list):
        raise SchemaError("OpenAPIV3Schema 'items' must be a schema, but is an array")
    kind = props.get("type", "")
    if not _LEAF_KEYS.issuperset(props):
        return Structural(props)
    leaf = _LEAVES.get(kind)
    if leaf is None:
        leaf = Structural({"type": kind})
        if kind in ("array", "boolean", "integer", "number", "object", "string", ""):
            _LEAVES[kind] = leaf
    return leaf


def _nodes(values: Any) -> tuple[Structural, ...]:
    return tuple([_node(value) for value in values or ()])


def _rules(props: Mapping[str, Any]) -> tuple[Rule, ...]:
    rules = props.get("x-kubernetes-validations")
    return tuple(msgspec.convert(rules, list[Rule])) if rules else ()


def _refuse_unsupported(props: Mapping[str, Any]) -> None:
    for name in _UNSUPPORTED:
        if name in props and (props[name] or name == "additionalItems"):
            raise SchemaError(f"OpenAPIV3Schema '{_SHOWN.get(name, name)}' is not supported")
    if props.get("x-kubernetes-preserve-unknown-fields") is False:
        raise SchemaError("internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined")


NO_LIMITS = Limits({})
