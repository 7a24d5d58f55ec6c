"""Tables, as `kubectl get` prints them: column definitions and cells of any resource.

`forms.py` asks for both. A resource's file declares its columns (`api/columns.py`); a resource without any gets the
two that upstream's default convertor gives (k8s.io/apiserver `pkg/registry/rest/table.go`).
"""

from __future__ import annotations

from typing import Any

from kijabi.api.resource import Column, Resource

INCLUDE = ("", "Metadata", "Object", "None")

_NAME = Column(
    name="Name",
    cell=lambda obj: str(obj.metadata.name),
    format="name",
    description="The name of the object, unique within its namespace and resource.",
)
_CREATED = Column(
    name="Created At",
    cell=lambda obj: str(obj.metadata.creationTimestamp),
    type="date",
    description="When the server accepted the object, in UTC.",
)
DEFAULT = (_NAME, _CREATED)


def columns(resource: Resource) -> tuple[Column, ...]:
    """A resource's columns in order."""
    return resource.columns or DEFAULT


def definitions(found: tuple[Column, ...]) -> list[dict[str, Any]]:
    """Their TableColumnDefinitions."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        }
        for column in found
    ]


def cells(found: tuple[Column, ...], obj: Any) -> list[str | int | float | bool | None]:
    """One row's cells."""
    return [column.cell(obj) for column in found]
