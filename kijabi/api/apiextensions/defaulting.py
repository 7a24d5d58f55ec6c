"""Defaulting: members that a client left out, and nulls that may not be, get what the schema says.

The API server calls `apply_defaults` on every custom object that it decodes, reads from the store or gets back from
admission (apiextensions documentation, "Defaulting and Nullable"). Objects are JSON values and are changed in place, so
they must be fresh; the defaults themselves are copied.
"""

from __future__ import annotations

from typing import Any

from kijabi.api.apiextensions.prune import TOO_DEEP, copy
from kijabi.api.apiextensions.structural import MISSING, Structural
from kijabi.base.errors import BadRequest


def apply_defaults(obj: dict[str, Any], schema: Structural) -> None:
    """Fill in place what is missing and has a default. A null that is not nullable gets the default, or goes.

    BadRequest if the object nests deeper than the interpreter can follow.
    """
    try:
        _fill_members(obj, schema, own=True)
    except RecursionError:
        raise BadRequest(TOO_DEEP) from None


def _fill(value: Any, schema: Structural | None, own: bool) -> None:
    if type(value) is dict:
        if schema is not None:
            _fill_members(value, schema, own)
    elif type(value) is list and schema is not None and schema.items is not None:
        items = schema.items
        for index, item in enumerate(value):
            if item is None:
                if not items.nullable and items.default is not MISSING:
                    value[index] = copy(items.default)
                    _fill(value[index], items, own=False)
            elif type(item) is dict or type(item) is list:
                _fill(item, items, own)


def _fill_members(value: dict[str, Any], schema: Structural, own: bool) -> None:
    """own: the value is the client's, whose nulls may be dropped; a default's may not."""
    properties = schema.properties
    dropped: list[str] = []
    fresh: list[str] = []
    for name, item in value.items():
        if item is not None and type(item) is not dict and type(item) is not list:
            continue
        child = properties.get(name)
        if child is None and (child := schema.additional) is None:
            continue
        if item is not None:
            _fill(item, child, own)
        elif not child.nullable and child.default is not MISSING:
            fresh.append(name)
        elif not child.nullable and own:
            dropped.append(name)
    for name in dropped:
        del value[name]
    for name, _ in schema.defaults:
        if name not in value:
            fresh.append(name)
    for name in fresh:
        child = properties.get(name) or schema.additional
        assert child is not None  # it was found above by the same name
        value[name] = item = copy(child.default)
        _fill(item, child, own=False)
