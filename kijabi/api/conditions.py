"""Validation of conditions, as many kinds carry them in their status.

The rules of kinds call it. Texts are those of k8s.io/apimachinery `pkg/apis/meta/v1/validation` (ValidateConditions).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kijabi.api.formats import qualified_name, regex_problem
from kijabi.api.meta import Condition
from kijabi.api.resource import FieldError
from kijabi.api.validation import duplicate, each, invalid, not_supported, required, too_long

MAX_REASON, MAX_MESSAGE = 1024, 32 * 1024
_STATUSES = ("False", "True", "Unknown")
_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"


def validate_conditions(path: str, conditions: Sequence[Condition]) -> list[FieldError]:
    """Errors of a list of conditions, of which there may be one of each type."""
    errors: list[FieldError] = []
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        here = f"{path}[{index}]"
        if condition.type in seen:
            errors.append(duplicate(here, condition.type))
        seen.add(condition.type)
        errors += _validate(here, condition)
    return errors


def _validate(path: str, condition: Condition) -> list[FieldError]:
    errors: list[FieldError] = []
    if not condition.type:
        errors.append(required(f"{path}.type", "is required"))
    else:
        errors += each(f"{path}.type", condition.type, qualified_name(condition.type))
    if not condition.status:
        errors.append(required(f"{path}.status"))
    elif condition.status not in _STATUSES:
        errors.append(not_supported(f"{path}.status", condition.status, _STATUSES))
    if condition.observedGeneration < 0:
        text = "must be greater than or equal to zero"
        errors.append(invalid(f"{path}.observedGeneration", condition.observedGeneration, text))
    if not condition.lastTransitionTime:
        errors.append(required(f"{path}.lastTransitionTime"))
    if not condition.reason:
        errors.append(required(f"{path}.reason"))
    elif not re.fullmatch(_REASON, condition.reason, re.ASCII):
        examples = ("my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB")
        text = regex_problem(
            "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
            "characters or '_,:', and must end with an alphanumeric character or '_'",
            _REASON,
            *examples,
        )
        errors.append(invalid(f"{path}.reason", condition.reason, text))
    if len(condition.reason.encode()) > MAX_REASON:
        errors.append(too_long(f"{path}.reason", MAX_REASON))
    if len(condition.message.encode()) > MAX_MESSAGE:
        errors.append(too_long(f"{path}.message", MAX_MESSAGE))
    return errors
