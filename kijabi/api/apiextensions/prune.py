"""Pruning: members that a custom resource's schema does not name are dropped from an object that comes in.

The API server calls `prune` on every custom object that it decodes, and on what admission changed. Objects are JSON
values and are changed in place, so they must be fresh. The rules are those of structural schemas (apiextensions
documentation, "Field pruning"): `x-kubernetes-preserve-unknown-fields` stops it, a schema below starts it again, and
the metadata of every object and of embedded resources is left to its type (`embedded.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kijabi.api.apiextensions import embedded
from kijabi.base.errors import BadRequest

if TYPE_CHECKING:
    from kijabi.api.apiextensions.structural import Structural

# What every object has; the schema of a resource need not name it.
META_FIELDS = frozenset(("apiVersion", "kind", "metadata"))
TOO_DEEP = "exceeded max depth"


def prune(obj: dict[str, Any], schema: Structural) -> list[str]:
    """Drop what the schema does not know, in place; the paths of what was dropped, sorted (`spec.ports[0].x`).

    `apiVersion`, `kind` and `metadata` of the object itself are never touched. BadRequest if an embedded resource's
    metadata is malformed, or the object nests deeper than the interpreter can follow.
    """
    unknown: list[str] = []
    try:
        if schema.preserve:
            _follow_members(obj, schema, META_FIELDS, "", unknown)
        else:
            _prune_members(obj, schema, META_FIELDS, "", unknown)
        unknown.sort()
        if schema.embedded_below:
            unknown += sorted(embedded.coerce(obj, schema))
    except RecursionError:
        raise BadRequest(TOO_DEEP) from None
    return unknown


def pruned_default(value: Any, schema: Structural) -> Any:
    """A default without what its schema does not know, as a copy."""
    fresh = known_part(value, schema)
    if schema.embedded_below:
        embedded.drop_malformed(fresh, schema)
    return fresh


def known_part(value: Any, schema: Structural) -> Any:
    """A copy of a value without what its schema does not know; metadata is left alone."""
    fresh = copy(value)
    _prune(fresh, schema, "", [])
    return fresh


def copy(value: Any) -> Any:
    """A deep copy of a JSON value."""
    if type(value) is dict:
        return {name: copy(item) for name, item in value.items()}
    if type(value) is list:
        return [copy(item) for item in value]
    return value


def _prune(value: Any, schema: Structural | None, path: str, unknown: list[str]) -> None:
    if schema is not None and schema.preserve:
        _follow(value, schema, path, unknown)
    elif type(value) is dict:
        if schema is None:
            unknown += [f"{path}.{name}" if path else name for name in value]
            value.clear()
        else:
            _prune_members(value, schema, META_FIELDS if schema.embedded else frozenset(), path, unknown)
    elif type(value) is list:
        items = None if schema is None else schema.items
        for index, item in enumerate(value):
            if type(item) is dict or type(item) is list:
                _prune(item, items, f"{path}[{index}]", unknown)


def _prune_members(
    value: dict[str, Any], schema: Structural, kept: frozenset[str], path: str, unknown: list[str]
) -> None:
    properties = schema.properties
    if not schema.has_additional:
        surplus = value.keys() - properties.keys()
        if kept:
            surplus -= kept
        for name in surplus:
            del value[name]
            if path or name not in META_FIELDS:
                unknown.append(f"{path}.{name}" if path else name)
    for name, item in value.items():
        if (type(item) is dict or type(item) is list) and name not in kept:
            child = properties.get(name)
            _prune(item, schema.additional if child is None else child, f"{path}.{name}" if path else name, unknown)


def _follow(value: Any, schema: Structural | None, path: str, unknown: list[str]) -> None:
    """Unknown members stay, but where a schema is given below, pruning starts again."""
    if schema is None:
        return
    if type(value) is dict:
        _follow_members(value, schema, META_FIELDS if schema.embedded else frozenset(), path, unknown)
    elif type(value) is list and schema.items is not None:
        for index, item in enumerate(value):
            _follow(item, schema.items, f"{path}[{index}]", unknown)


def _follow_members(
    value: dict[str, Any], schema: Structural, kept: frozenset[str], path: str, unknown: list[str]
) -> None:
    for name, item in value.items():
        if (type(item) is dict or type(item) is list) and name not in kept:
            child = schema.properties.get(name)
            if child is not None or schema.has_additional:
                below = schema.additional if child is None else child
                _prune(item, below, f"{path}.{name}" if path else name, unknown)
