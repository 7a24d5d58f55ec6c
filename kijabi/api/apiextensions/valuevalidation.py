"""Values against a custom resource's schema: types, limits, patterns, formats, enums, allOf, anyOf, oneOf, not.

`validation.py` calls `validate` on every custom object that is written, `defaultrules.py` on the defaults of a schema.
Rules, texts and order are those of the OpenAPI validator that Kubernetes uses (k8s.io/kube-openapi
`pkg/validation/validate`), and so is the count of matches by which anyOf and oneOf choose whose errors to show. On an
update, what did not change is not blamed (`ratcheting.py`).

Objects and schemas both come from clients, so the work is bounded: STEP_LIMIT and ERROR_LIMIT.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from kijabi.api import goregex, validation
from kijabi.api.apiextensions import numberlimits, stringformats
from kijabi.api.apiextensions.ratcheting import Ratchet, correlate, identical
from kijabi.api.apiextensions.structural import MISSING, NO_LIMITS, Structural
from kijabi.api.gotext import json_text, quote
from kijabi.api.resource import FieldError

# Values looked at in one validation, each kilobyte of text counting as one more. About two seconds; real objects take
# thousands, and only schemas made to waste time take more.
STEP_LIMIT = 2_000_000
# Errors that one answer names; then validation ends.
ERROR_LIMIT = 5_000

_JSON_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
# What the validator calls the format of a value it finds.
_FOUND_FORMATS = {"integer": "int64", "number": "float64"}


class _Found(NamedTuple):
    """An error before its path is known as a whole. path: None if it is said of no value in particular."""

    path: str | None
    reason: str
    value: Any
    detail: Any


_Errors = dict[str, _Found]  # by their texts: the same is said once


class TooMuch(Exception):
    """The validation of this object takes too long, or has found enough."""


class _Run:
    """One validation: how much has been done, and the comparisons with the old object."""

    __slots__ = ("ratchet", "steps")

    def __init__(self) -> None:
        self.steps = 0
        self.ratchet = Ratchet()


def validate(
    value: Any, schema: Structural, old: Any = MISSING, *, path: str = "", ratchet: Ratchet | None = None
) -> list[FieldError]:
    """Errors of a JSON value; old: its stored self on an update, of which unchanged parts are not blamed.

    path: of the value in its object. ratchet: comparisons already made of the same two objects.
    """
    found: _Errors = {}
    run = _Run()
    if ratchet is not None:
        run.ratchet = ratchet
    try:
        _validate(value, schema, "", found, old, run)
    except TooMuch:
        cut = validation.invalid(path or "<nil>", "", "validation takes too long, because of the schema or its errors")
        return [*(_finish(text, error, path) for text, error in found.items()), cut]
    return [_finish(text, error, path) for text, error in found.items()] if found else []


def _finish(text: str, found: _Found, root: str) -> FieldError:
    """The error as clients see it."""
    name = (found.path or "").removeprefix(".")
    path = f"{root}.{name}" if root and name else root or name or "<nil>"
    match found.reason:
        case "required":
            return validation.required(path)
        case "enum":
            return validation.not_supported(path, found.value, found.detail)
        case "long":
            return validation.too_long(path, found.detail)
        case "many":
            return validation.too_many(path, found.value, found.detail)
        case "type":
            return validation.type_invalid(path, found.value, text)
        case _:
            return validation.invalid(path, found.value, text)


def _validate(value: Any, schema: Structural, path: str, errors: _Errors, old: Any, run: _Run) -> int:
    """Find the errors of a value; how many of the validator's checks it passed.

    old is MISSING where there is nothing to compare with.
    """
    run.steps += 1
    before = len(errors)
    if run.steps > STEP_LIMIT or before >= ERROR_LIMIT:
        raise TooMuch
    if value is None:
        matches = _null(schema, path, errors)
    else:
        matches = _some(value, schema, path, errors, old, run)
    if len(errors) > before and old is not MISSING and run.ratchet.same(schema, value, old):
        while len(errors) > before:
            errors.popitem()
    return matches


def _null(schema: Structural, path: str, errors: _Errors) -> int:
    matches = 1
    if schema.types and not schema.nullable:
        _wrong_type(errors, path, ",".join(schema.types), "null")
        matches = 0
    if schema.limits.enum:
        _no_member(errors, path, None, schema.limits.enum)
    return matches


def _some(value: Any, schema: Structural, path: str, errors: _Errors, old: Any, run: _Run) -> int:
    kind = _JSON_TYPES[type(value)]
    if kind == "integer" and value not in numberlimits.INT64:
        value, kind = float(value), "number"
    matches = 4  # of allOf and its like, of the enum and of the whole, which always apply
    if schema.types or schema.format:
        matches += 1 + (kind in schema.types or _fits(value, kind, schema, path, errors))
    limits = schema.limits
    if schema.composed:
        matches += _compose(value, schema, path, errors, run)
    if kind == "string":
        matches += 1
        if limits is not NO_LIMITS or schema.format:
            matches += _text(value, schema, path, errors, run)
    elif kind == "array":
        matches += 2 + _items(value, schema, path, errors, old, run)
    elif kind != "object" and kind != "boolean":
        matches += 2
        if limits is not NO_LIMITS or schema.types:
            for text, shown in numberlimits.check(value, schema, path):
                errors.setdefault(text, _Found(None if shown is None else path, "", "" if shown is None else shown, ""))
    if limits.enum and not any(_equals(value, choice) for choice in limits.enum):
        _no_member(errors, path, value, limits.enum)
    if kind == "object":
        matches += 1 + _members(value, schema, path, errors, old, run)
    return matches


def _fits(value: Any, kind: str, schema: Structural, path: str, errors: _Errors) -> bool:
    """Whether a value of another type than the schema's passes for one: 1.0 for an integer, 1 for a number."""
    numeric = "number" in schema.types or "integer" in schema.types
    as_number = kind == "integer" and "number" in schema.types
    as_integer = kind == "number" and "integer" in schema.types and numberlimits.whole(value)
    if schema.format:
        if kind in ("string", "array"):
            if not numeric:
                return True  # a format says what a text is, and lists are let through
        elif not (_FOUND_FORMATS.get(kind) == schema.format or as_number or as_integer):
            _wrong_type(errors, path, schema.format, _FOUND_FORMATS.get(kind, ""))
            return False
    if as_number or as_integer:
        return True
    _wrong_type(errors, path, ",".join(schema.types), kind)
    return False


def _wrong_type(errors: _Errors, path: str, wanted: str, found: str) -> None:
    text = f"{path} in body must be of type {wanted}: {quote(found)}"
    errors.setdefault(text, _Found(path, "type", found, ""))


def _no_member(errors: _Errors, path: str, value: Any, enum: Iterable[Any]) -> None:
    known = [choice if isinstance(choice, str) else json_text(choice) for choice in enum]
    errors.setdefault(f"{path} in body should be one of [{' '.join(known)}]", _Found(path, "enum", value, known))


def _equals(value: Any, choice: Any) -> bool:
    """Whether a value is a member of an enum: numbers are converted to the type of the member."""
    if type(value) is float and type(choice) is int:
        return int(value) == choice
    if type(value) is int and type(choice) is float:
        return float(value) == choice
    return choice is not None and identical(value, choice)


def _text(value: str, schema: Structural, path: str, errors: _Errors, run: _Run) -> int:
    limits = schema.limits
    if limits.max_length is not None and len(value) > limits.max_length:
        text = f"{path} in body should be at most {limits.max_length} chars long"
        errors.setdefault(text, _Found(path, "long", value, limits.max_length))
    elif limits.min_length is not None and len(value) < limits.min_length:
        text = f"{path} in body should be at least {limits.min_length} chars long"
        errors.setdefault(text, _Found(path, "", value, ""))
    elif limits.pattern:
        run.steps += len(value) >> 10
        problem = _pattern(limits.pattern, value)
        if problem is not None:
            errors.setdefault(f"{path} in body should match '{problem}'", _Found(path, "", value, ""))
    check = stringformats.check(schema.format) if schema.format else None
    if check is None:
        return 0
    run.steps += len(value) >> 10
    if not check(value):
        text = f"{path} in body must be of type {schema.format}: {quote(value)}"
        errors.setdefault(text, _Found(path, "type", value, ""))
    return 1


def _pattern(pattern: str, value: str) -> str | None:
    """What to blame if a text does not match."""
    try:
        return None if goregex.matches(pattern, value) else pattern
    except goregex.RegexError as error:
        return f"{pattern}, but pattern is invalid: {error}"


def _items(value: list[Any], schema: Structural, path: str, errors: _Errors, old: Any, run: _Run) -> int:
    matches = 0
    if schema.items is not None:
        items = schema.items
        if old is MISSING:
            for index, item in enumerate(value):
                matches += _validate(item, items, f"{path}[{index}]", errors, MISSING, run)
        else:
            for index, (item, before) in enumerate(zip(value, correlate(schema, value, old), strict=True)):
                matches += _validate(item, items, f"{path}[{index}]", errors, before, run)
    limits = schema.limits
    if limits.min_items is not None and len(value) < limits.min_items:
        text = f"{path} in body should have at least {limits.min_items} items"
        errors.setdefault(text, _Found(path, "", len(value), ""))
    if limits.max_items is not None and len(value) > limits.max_items:
        text = f"{path} in body should have at most {limits.max_items} items"
        errors.setdefault(text, _Found(path, "many", len(value), limits.max_items))
    return matches


def _members(value: dict[str, Any], schema: Structural, path: str, errors: _Errors, old: Any, run: _Run) -> int:
    limits = schema.limits
    if limits is not NO_LIMITS:
        _count_members(value, schema, path, errors)
    matches = 0
    properties = schema.properties
    if not schema.allows_additional:
        for name in value:
            if name not in properties:
                errors.setdefault(f"{path}.{name} in body is a forbidden property", _Found(path, "", name, ""))
    elif schema.additional is not None:
        for name, item in value.items():
            if name not in properties:
                before = _before(old, name, path)
                matches += _validate(item, schema.additional, f"{path}.{name}", errors, before, run)
    for name, item in value.items():
        child = properties.get(name)
        if child is not None:
            before = MISSING if old is MISSING else _before(old, name, path)
            matches += _validate(item, child, f"{path}.{name}" if path else name, errors, before, run)
    for name in limits.required:
        if name not in value:
            errors.setdefault(f"{path}.{name} in body is required", _Found(f"{path}.{name}", "required", "", ""))
    return matches


def _count_members(value: dict[str, Any], schema: Structural, path: str, errors: _Errors) -> None:
    limits = schema.limits
    if limits.min_properties is not None and len(value) < limits.min_properties:
        text = f"{path} in body should have at least {limits.min_properties} properties"
        errors.setdefault(text, _Found(path, "", len(value), ""))
    if limits.max_properties is not None and len(value) > limits.max_properties:
        text = f"{path} in body should have at most {limits.max_properties} properties"
        errors.setdefault(text, _Found(path, "many", len(value), limits.max_properties))


def _before(old: Any, name: str, path: str) -> Any:
    """The old self of a member. A resource's own kind and version are not seen to change, so they do not count."""
    if type(old) is not dict or (not path and name in ("apiVersion", "kind")):
        return MISSING
    return old.get(name, MISSING)


def _compose(value: Any, schema: Structural, path: str, errors: _Errors, run: _Run) -> int:
    """allOf, anyOf, oneOf and not. Nothing below them is compared with the old object."""
    limits = schema.limits
    matches = 0
    if limits.any_of:
        matches += _any(value, limits.any_of, path, errors, run)
    if limits.one_of:
        matches += _one(value, limits.one_of, path, errors, run)
    if limits.all_of:
        valid = 0
        for each in limits.all_of:
            own: _Errors = {}
            matches += _validate(value, each, path, own, MISSING, run)
            valid += not own
            _merge(errors, own)
        if valid != len(limits.all_of):
            more = "" if valid else ". None validated"
            _composite(errors, f"{quote(path)} must validate all the schemas (allOf){more}")
    if limits.not_ is not None:
        own = {}
        _validate(value, limits.not_, path, own, MISSING, run)
        if not own:
            _composite(errors, f"{quote(path)} must not validate the schema (not)")
    return matches


def _composite(errors: _Errors, text: str) -> None:
    errors.setdefault(text, _Found(None, "", "", ""))


def _merge(errors: _Errors, more: _Errors) -> None:
    for text, error in more.items():
        errors.setdefault(text, error)


def _any(value: Any, schemas: Iterable[Structural], path: str, errors: _Errors, run: _Run) -> int:
    best: tuple[int, _Errors] | None = None
    for schema in schemas:
        own: _Errors = {}
        matches = _validate(value, schema, path, own, MISSING, run)
        if not own:
            return matches
        if best is None or matches > best[0]:
            best = (matches, own)
    _composite(errors, f"{quote(path)} must validate at least one schema (anyOf)")
    assert best is not None  # there is at least one schema, or nobody asked
    _merge(errors, best[1])
    return best[0]


def _one(value: Any, schemas: Iterable[Structural], path: str, errors: _Errors, run: _Run) -> int:
    best: tuple[int, _Errors] | None = None
    passed: list[int] = []
    for schema in schemas:
        own: _Errors = {}
        matches = _validate(value, schema, path, own, MISSING, run)
        if not own:
            passed.append(matches)
        elif not passed and (best is None or matches > best[0]):
            best = (matches, own)
    if len(passed) == 1:
        return passed[0]
    if passed:
        found = f"Found {len(passed)} valid alternatives"
        _composite(errors, f"{quote(path)} must validate one and only one schema (oneOf). {found}")
        return 0
    _composite(errors, f"{quote(path)} must validate one and only one schema (oneOf). Found none valid")
    assert best is not None  # there is at least one schema, or nobody asked
    _merge(errors, best[1])
    return best[0]
