"""A custom object against its schema, as a whole: values, embedded objects, lists of sets and maps, CEL rules.

The API server's registry of custom resources calls `validate` before it stores an object, and `validate_status` for
`/status`. It is the order in which Kubernetes checks; the metadata of the object itself is checked before, as of every
object.
"""

from __future__ import annotations

from typing import Any

from kijabi.api import validation
from kijabi.api.apiextensions import celrules, embedded, listtypes, valuevalidation
from kijabi.api.apiextensions.celrules import Meter
from kijabi.api.apiextensions.ratcheting import Ratchet
from kijabi.api.apiextensions.structural import MISSING, Structural
from kijabi.api.resource import FieldError
from kijabi.base.errors import BadRequest

_BLOCKING = frozenset((
    "FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid",
))  # fmt: skip
_NOT_CHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete "
    "validation"
)


def validate(
    obj: dict[str, Any], old: dict[str, Any] | None, schema: Structural, *, hurry: bool = False
) -> list[FieldError]:
    """Errors of a whole custom object as JSON values; old: the stored one on an update.

    hurry: whether rules that would take more than some milliseconds end in `celrules.TooMuch`.
    """
    ratchet = Ratchet()
    try:
        before = MISSING if old is None else old
        errors = valuevalidation.validate(obj, schema, before, ratchet=ratchet)
        if schema.embedded_below:
            errors += embedded.validate(obj, schema)
        errors += _lists(obj, old, schema)
        return errors + _rules(obj, old, schema, ratchet, errors, hurry)
    except RecursionError:
        raise BadRequest("exceeded max depth") from None


def validate_status(
    obj: dict[str, Any], old: dict[str, Any], schema: Structural, *, hurry: bool = False
) -> list[FieldError]:
    """Errors of a write to `/status`: values are checked below `status` only, rules everywhere. hurry: as above."""
    ratchet = Ratchet()
    errors: list[FieldError] = []
    try:
        status = schema.properties.get("status")
        if "status" in obj and status is not None:
            before = old.get("status")
            errors += valuevalidation.validate(obj["status"], status, before, path="status", ratchet=ratchet)
        errors += _lists(obj, old, schema)
        return errors + _rules(obj, old, schema, ratchet, errors, hurry)
    except RecursionError:
        raise BadRequest("exceeded max depth") from None


def _lists(obj: dict[str, Any], old: dict[str, Any] | None, schema: Structural) -> list[FieldError]:
    """Errors of lists, unless the stored object has some already."""
    errors = listtypes.validate(obj, schema)
    return [] if errors and old is not None and listtypes.validate(old, schema) else errors


def _rules(
    obj: dict[str, Any],
    old: dict[str, Any] | None,
    schema: Structural,
    ratchet: Ratchet,
    found: list[FieldError],
    hurry: bool,
) -> list[FieldError]:
    if not schema.rules_below:
        return []
    if any(error.reason in _BLOCKING for error in found):
        return [validation.invalid("<nil>", None, _NOT_CHECKED)]
    return celrules.validate(obj, old, schema, Meter(hurry=hurry), ratchet=None if old is None else ratchet)
