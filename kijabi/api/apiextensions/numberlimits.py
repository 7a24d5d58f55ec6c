"""The limits of numbers in a custom resource's schema: range of the format, maximum, minimum, multipleOf.

`valuevalidation.py` calls `check` for each number. The rules and texts are those of the OpenAPI validator that
Kubernetes uses (k8s.io/kube-openapi `pkg/validation/validate`): integers are compared as integers, with the limit cut
to one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kijabi.api.apiextensions.structural import Structural
from kijabi.api.gotext import number

INT64 = range(-(2**63), 2**63)
_INT32 = range(-(2**31), 2**31)
_FLOAT32_LIMIT = 2.0**128 - 2.0**103
_JSON_INTEGER_LIMIT = 2.0**53 - 1
_EPSILON = 1e-9


class Problem(NamedTuple):
    """One thing wrong with a number. shown: the value in the error; None if the error is of the schema as a whole."""

    text: str
    shown: Any


def check(value: int | float, schema: Structural, path: str) -> list[Problem]:
    """Problems of a number by the limits of its schema."""
    limits = schema.limits
    kind = schema.type if len(schema.types) == 1 and schema.type in ("integer", "number") else ""
    problems = _range(value, kind, schema.format, "Checked", path)
    if limits.multiple_of is not None:
        wrong = _range(limits.multiple_of, kind, schema.format, "MultipleOf", path)
        problems += wrong + _multiple(value, limits.multiple_of, bool(wrong), path)
    if limits.minimum is not None:
        wrong = _range(limits.minimum, kind, schema.format, "Minimum boundary", path)
        problems += wrong + _minimum(value, limits.minimum, limits.exclusive_minimum, bool(wrong), path)
    if limits.maximum is not None:
        wrong = _range(limits.maximum, kind, schema.format, "Maximum boundary", path)
        problems += wrong + _maximum(value, limits.maximum, limits.exclusive_maximum, bool(wrong), path)
    return problems


def _range(value: int | float, kind: str, form: str, what: str, path: str) -> list[Problem]:
    """Whether a number, the value or a limit, fits into the type and format."""
    if kind == "integer":
        integral = isinstance(value, int) or value.is_integer()
        if integral and int(value) in (_INT32 if form == "int32" else INT64):
            return []
    elif form != "float" or abs(value) < _FLOAT32_LIMIT:
        return []
    of_form = f"with format {form} in {path}" if form else f"(default format) in {path}"
    return [Problem(f"{what} value must be of type {kind} {of_form}", None)]


def _integer(limit: float) -> int:
    """A limit as Go converts it to an integer: cut, and the lowest one if it does not fit."""
    return int(limit) if int(limit) in INT64 else INT64.start


def _multiple(value: int | float, factor: float, general: bool, path: str) -> list[Problem]:
    """general: compare as floats, because the limit does not fit the type."""
    if isinstance(value, int) and not general:
        cut = _integer(factor)
        if cut <= 0:
            return [Problem(f"factor MultipleOf declared for {path} must be positive: {cut}", cut)]
        text = f"{path} in body should be a multiple of {cut}"
        return [] if value % cut == 0 else [Problem(text, value)]
    if factor <= 0:
        return [Problem(f"factor MultipleOf declared for {path} must be positive: {number(factor)}", float(factor))]
    ratio = 1 / factor * value if factor < 1 else value / factor
    text = f"{path} in body should be a multiple of {number(float(factor))}"
    return [] if whole(ratio) else [Problem(text, float(value))]


def whole(ratio: float) -> bool:
    """Whether a float is an integer, but for rounding, and one that JSON can carry exactly."""
    if not abs(ratio) <= _JSON_INTEGER_LIMIT:
        return False
    nearest = float(round(ratio))
    return ratio == nearest or (nearest != 0 and abs(ratio - nearest) < _EPSILON * abs(nearest))


def _maximum(value: int | float, limit: float, exclusive: bool, general: bool, path: str) -> list[Problem]:
    left, right, shown = _sides(value, limit, general)
    if left < right or (left == right and not exclusive):
        return []
    words = "less than" if exclusive else "less than or equal to"
    return [Problem(f"{path} in body should be {words} {shown}", left)]


def _minimum(value: int | float, limit: float, exclusive: bool, general: bool, path: str) -> list[Problem]:
    left, right, shown = _sides(value, limit, general)
    if left > right or (left == right and not exclusive):
        return []
    words = "greater than" if exclusive else "greater than or equal to"
    return [Problem(f"{path} in body should be {words} {shown}", left)]


def _sides(value: int | float, limit: float, general: bool) -> tuple[int | float, int | float, str]:
    """Value and limit as they are compared, and the limit in words."""
    if isinstance(value, int) and not general:
        cut = _integer(limit)
        return value, cut, str(cut)
    return float(value), float(limit), number(float(limit))
