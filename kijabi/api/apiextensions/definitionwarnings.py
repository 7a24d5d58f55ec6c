"""What a writer of a CustomResourceDefinition is warned of: formats that nobody checks, sets of what is no scalar.

`customresourcedefinition.py` names these functions in its Resource. An update is warned of what it adds only. Texts are
those of k8s.io/apiextensions-apiserver `pkg/registry/customresourcedefinition`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from kijabi.api import codec
from kijabi.api.apiextensions import stringformats
from kijabi.api.gotext import quote

if TYPE_CHECKING:
    from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition

Props = Mapping[str, Any]

_LISTS = ("allOf", "anyOf", "oneOf")
_MAPS = ("properties", "patternProperties", "definitions", "dependencies")
_SINGLE = ("items", "not", "additionalProperties", "additionalItems")


def warnings(crd: CustomResourceDefinition) -> list[str]:
    """Warnings of a new definition."""
    return _formats(crd) + _sets(crd)


def warnings_update(new: CustomResourceDefinition, old: CustomResourceDefinition) -> list[str]:
    """Warnings of a changed definition."""
    before = {*_formats(old), *_sets(old)}
    return [text for text in warnings(new) if text not in before]


def _formats(crd: CustomResourceDefinition) -> list[str]:
    found = []
    for props in _nodes(crd):
        form, kind = props.get("format", ""), props.get("type", "")
        if form and not stringformats.supported(form, (kind,)):
            found.append(f"unrecognized format {quote(form)}")
    return found


def _sets(crd: CustomResourceDefinition) -> list[str]:
    found = set()
    for props in _nodes(crd):
        items = props.get("items")
        if props.get("x-kubernetes-list-type") == "set" and isinstance(items, Mapping):
            kind = items.get("type")
            if kind in ("object", "array"):
                what = f"x-kubernetes-list-type: set for items of type {quote(kind)}"
                found.add(f"{what} is not supported by server-side apply or CEL validation rules")
    return sorted(found)


def _nodes(crd: CustomResourceDefinition) -> Iterator[Props]:
    """All nodes of all schemas; one that all versions share counts once."""
    seen = []
    for version in crd.spec.versions:
        if version.schema is not None and version.schema.openAPIV3Schema is not None and version.schema not in seen:
            seen.append(version.schema)
            yield from _walk(msgspec.json.decode(codec.encode_part(version.schema.openAPIV3Schema)))


def _walk(root: Props) -> Iterator[Props]:
    ahead: list[Any] = [root]
    while ahead:
        props = ahead.pop()
        if isinstance(props, list):
            ahead += reversed(props)
        elif isinstance(props, Mapping):
            yield props
            children = [props[name] for name in (*_SINGLE, *_LISTS) if name in props]
            ahead += reversed(children + [each for name in _MAPS for each in props.get(name, {}).values()])
