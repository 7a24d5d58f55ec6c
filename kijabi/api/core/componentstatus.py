"""The componentstatus types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct, Tag


class ComponentCondition(Struct):
    """One condition of a Component."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    message: Annotated[str, Tag(3)] = ""
    error: Annotated[str, Tag(4)] = ""


class ComponentStatus(Object):
    """What was last seen of a Component."""

    conditions: Annotated[
        tuple[ComponentCondition, ...],
        Tag(2, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


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
)
