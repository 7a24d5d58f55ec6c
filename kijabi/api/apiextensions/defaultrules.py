"""The defaults in a schema must be valid themselves: known to it, well-formed, and within its limits and rules.

`schemarules.py` calls `validate` once a schema is known to be structural (apiextensions documentation, "Defaulting").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api import validation
from kijabi.api.apiextensions import celrules, embedded, valuevalidation
from kijabi.api.apiextensions.celrules import Meter
from kijabi.api.apiextensions.prune import META_FIELDS, copy, known_part
from kijabi.api.apiextensions.ratcheting import identical
from kijabi.api.apiextensions.structural import Structural
from kijabi.api.resource import FieldError

# The object that a default inside metadata is tried in.
_TYPE_META = {"kind": "Validation", "apiVersion": "validation/v1"}
_INDEX = None


class _Place:
    """Where a schema is: below which resource, by which names (_INDEX: an item), and whether inside its metadata."""

    __slots__ = ("inside_meta", "names", "resource")

    def __init__(self, resource: Structural, names: Sequence[str | None], inside_meta: bool) -> None:
        self.resource = resource
        self.names = tuple(names)
        self.inside_meta = inside_meta

    def surround(self, value: Any) -> dict[str, Any]:
        """The smallest object with the value at this place."""
        for name in reversed(self.names):
            value = [value] if name is _INDEX else {name: value}
        return {**_TYPE_META, **value}


def validate(schema: Structural, path: str) -> list[FieldError]:
    """Errors of all defaults in a resource's schema."""
    errors: list[FieldError] = []
    _validate(schema, _Place(schema, (), False), path, True, errors, Meter())
    return errors


def _validate(
    schema: Structural, place: _Place, path: str, resource: bool, errors: list[FieldError], meter: Meter
) -> None:
    """resource: the schema is of a whole resource, at the root or embedded."""
    if resource:
        place = _Place(schema, (), False)
    default = schema.props.get("default")
    if default is not None:
        at = f"{path}.default"
        if not place.inside_meta and not identical(known_part(default, schema), default):
            errors.append(validation.invalid(at, default, "must not have unknown fields"))
        found = _meta(default, schema, place, at) if place.inside_meta else _embedded(default, schema, at)
        errors += found or _values(default, schema, at, meter)
        if meter.exhausted:
            return
    if schema.items is not None:
        inside = _Place(place.resource, (*place.names, _INDEX), place.inside_meta)
        _validate(schema.items, inside, f"{path}.items", schema.items.embedded, errors, meter)
    for name, child in schema.properties.items():
        meta = place.inside_meta or (resource and name in META_FIELDS)
        inside = _Place(place.resource, (*place.names, name), meta)
        _validate(child, inside, f"{path}.properties[{name}]", child.embedded, errors, meter)
        if meter.exhausted:
            return


def _embedded(default: Any, schema: Structural, path: str) -> list[FieldError]:
    """Errors of embedded objects in a default."""
    if not schema.embedded_below:
        return []
    wrong = embedded.malformed(copy(default), schema, path)
    return [wrong] if wrong is not None else embedded.validate(default, schema, path)


def _meta(default: Any, schema: Structural, place: _Place, path: str) -> list[FieldError]:
    """Errors of a default inside the kind or metadata of an embedded resource."""
    whole = place.surround(copy(default))
    wrong = embedded.malformed(whole, place.resource, "")
    errors = [wrong] if wrong is not None else embedded.validate(whole, place.resource)
    if not errors:
        return []
    return [validation.invalid(path, default, f"must result in valid metadata: {validation.aggregate(errors)}")]


def _values(default: Any, schema: Structural, path: str, meter: Meter) -> list[FieldError]:
    errors = valuevalidation.validate(default, schema, path=path)
    if errors or not schema.rules_below:
        return errors
    # As if it came in a new object, and as if it had been there before: rules may tell the two apart.
    before = meter.left
    errors = celrules.validate(default, default, schema, meter, path=path)
    if not errors:
        again = Meter(before)
        errors = celrules.validate(default, None, schema, again, path=path)
        meter.left = min(meter.left, again.left)
    return errors
