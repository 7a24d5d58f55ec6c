"""The columns and field selectors of custom resources, which are JSON paths into their objects.

`definition.py` puts them into a version's Resource. Cells follow apiextensions' table convertor: one value for each
column, nothing where it does not fit the column's type (apiextensions.k8s.io/v1 CustomResourceColumnDefinition).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kijabi.api import codec, jsonpath
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceColumnDefinition, SelectableField
from kijabi.api.columns import since
from kijabi.api.custom import Custom
from kijabi.api.jsonpath import PathError
from kijabi.api.meta import Time
from kijabi.api.resource import Column

NAME = Column(
    name="Name",
    cell=lambda obj: str(obj.metadata.name),
    format="name",
    description="The name of the object, unique within its namespace and resource.",
)
_AGE = CustomResourceColumnDefinition(
    name="Age", type="date", description="When the server accepted the object, in UTC.",
    jsonPath=".metadata.creationTimestamp",
)  # fmt: skip


class Place:
    """A place in custom objects, read when first asked for."""

    __slots__ = ("_path", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._path: jsonpath.Path | None = None

    def values(self, obj: Custom) -> list[Any]:
        """What is there. Raises PathError."""
        if self._path is None:
            self._path = jsonpath.compile(self.text)
        return self._path.find(self._whole(obj))

    def _whole(self, obj: Custom) -> dict[str, Any]:
        """The object as JSON values; its metadata only if the path may ask for it."""
        ids = {"apiVersion": obj.apiVersion, "kind": obj.kind}
        if self.text.startswith((".spec", ".status")):
            return obj.content
        return {**ids, "metadata": codec.to_builtins(obj.metadata), **obj.content}


def of(declared: Sequence[CustomResourceColumnDefinition]) -> tuple[Column, ...]:
    """The columns of a table: the name, then those declared, or the age. A path that no one can read ends it."""
    found = [NAME]
    for column in declared or (_AGE,):
        try:
            jsonpath.compile(column.jsonPath)
        except PathError:
            break
        found.append(_column(column))
    return tuple(found)


def _column(declared: CustomResourceColumnDefinition) -> Column:
    path = declared.jsonPath
    return Column(
        name=declared.name,
        cell=_cell(Place(path), declared.type),
        type=declared.type,
        format=declared.format,
        description=declared.description or f"Custom resource definition column (in JSONPath format): {path}",
        priority=declared.priority,
    )


def _cell(place: Place, kind: str) -> Callable[[Custom], str | int | float | bool | None]:
    convert = _KINDS.get(kind, _nothing)

    def cell(obj: Custom) -> str | int | float | bool | None:
        try:
            found = place.values(obj)
        except PathError:
            return None
        return convert(found[0]) if found else None

    return cell


def _nothing(_: Any) -> None:
    return None


def _integer(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _date(value: Any) -> str | None:
    if not isinstance(value, str):
        return None
    if value in ("", "null"):
        return since(None)
    try:
        return since(Time.parse(value))
    except ValueError:
        return "<invalid>"


def _text(value: Any) -> str:
    return "<no value>" if value is None else jsonpath.printed(value)


_KINDS: dict[str, Callable[[Any], str | int | float | bool | None]] = {
    "string": _text, "integer": _integer, "number": _number, "boolean": _boolean, "date": _date,
}  # fmt: skip


def selectable(declared: Sequence[SelectableField]) -> tuple[tuple[str, Callable[[Any], str]], ...]:
    """The field selector labels of a version: `spec.color` for `.spec.color`."""
    return tuple((field.jsonPath.removeprefix("."), _getter(Place(field.jsonPath))) for field in declared)


def _getter(place: Place) -> Callable[[Any], str]:
    def get(obj: Any) -> str:
        try:
            found = place.values(obj)
        except PathError:
            return ""
        return jsonpath.printed(found[0]) if found and found[0] is not None else ""

    return get
