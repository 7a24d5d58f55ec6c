"""Lists of type `set` and `map`: their items must be unique, as a whole or by their keys.

`validation.py` calls `validate` on every custom object (KEP-1027 of associative lists, apiextensions documentation
"x-kubernetes-list-type"). Objects are JSON values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kijabi.api import validation
from kijabi.api.apiextensions.structural import MISSING, Structural
from kijabi.api.apiextensions.valuevalidation import ERROR_LIMIT
from kijabi.api.gotext import json_text
from kijabi.api.resource import FieldError


def validate(obj: Any, schema: Structural) -> list[FieldError]:
    """Errors of all such lists in an object."""
    errors: list[FieldError] = []
    _validate(obj, schema, "", errors)
    return errors


def _validate(value: Any, schema: Structural, path: str, errors: list[FieldError]) -> None:
    if type(value) is dict:
        for name, item in value.items():
            if type(item) is not dict and type(item) is not list:
                continue
            if schema.additional is not None:
                _validate(item, schema.additional, f"{path}[{name}]" if path else name, errors)
            if name in schema.properties:
                _validate(item, schema.properties[name], f"{path}.{name}" if path else name, errors)
    elif type(value) is list:
        if schema.list_type == "set":
            errors += [validation.duplicate(f"{path}[{index}]", value[index]) for index in _repeated(value)]
        elif schema.list_type == "map":
            errors += _validate_map(value, schema.list_map_keys, path)
        if schema.items is not None and schema.items.deep:
            for index, item in enumerate(value):
                _validate(item, schema.items, f"{path}[{index}]", errors)


def _validate_map(value: list[Any], keys: Sequence[str], path: str) -> list[FieldError]:
    for index, item in enumerate(value):
        if item is not None and type(item) is not dict:
            detail = "must be an object for an array of list-type map"
            return [validation.invalid(f"{path}[{index}]", item, detail)]
    if len(keys) == 1:
        single = [(item or {}).get(keys[0], MISSING) for item in value]
        shown = [{} if key is MISSING else {keys[0]: key} for key in single]
        repeated = _repeated(single)
    else:
        shown = [{key: item[key] for key in keys if key in item} if item else {} for item in value]
        repeated = _repeated(shown)
    return [validation.duplicate(f"{path}[{index}]", shown[index]) for index in repeated]


def _repeated(values: Iterable[Any]) -> list[int]:
    """Where a value comes for the second time; later ones are not named again."""
    seen: dict[Any, int] = {}
    found = []
    for index, value in enumerate(values):
        compound = type(value) is dict or type(value) is list
        key = (None, json_text(value)) if compound else (type(value), value)
        seen[key] = times = seen.get(key, 0) + 1
        if times == 2:
            found.append(index)
            if len(found) == ERROR_LIMIT:
                break
    return found
