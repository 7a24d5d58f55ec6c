"""The health of control plane parts, as old clients ask for it; nothing is stored."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import NAME, column
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class ComponentCondition(Struct):
    """Healthy or not, and why."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    message: Annotated[str, Tag(3)] = ""
    error: Annotated[str, Tag(4)] = ""


class ComponentStatus(Object):
    """The health of one part of the control plane."""

    conditions: Annotated[
        tuple[ComponentCondition, ...],
        Tag(2, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


def _healthy(obj: ComponentStatus) -> ComponentCondition | None:
    return next((each for each in obj.conditions if each.type == "Healthy"), None)


def _status(obj: ComponentStatus) -> str:
    found = _healthy(obj)
    return "Unknown" if found is None else "Healthy" if found.status == "True" else "Unhealthy"


def _message(obj: ComponentStatus) -> str:
    found = _healthy(obj)
    return found.message if found else ""


def _error(obj: ComponentStatus) -> str:
    found = _healthy(obj)
    return found.error if found else ""


COLUMNS = (
    NAME,
    column("Status", _status, "Whether it is healthy."),
    column("Message", _message, "What it says."),
    column("Error", _error, "What is wrong."),
)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="ComponentStatus",
    plural="componentstatuses",
    type=ComponentStatus,
    namespaced=False,
    singular="componentstatus",
    short=("cs",),
    verbs=("get", "list"),
    storage=False,
    columns=COLUMNS,
)
