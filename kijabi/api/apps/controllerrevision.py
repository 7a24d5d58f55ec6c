"""The controllerrevision types of the apps group."""

from typing import Annotated

from msgspec import Raw, field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import NO_JSON, Int64, Tag


class ControllerRevision(Object):
    """The API type ControllerRevision."""

    data: Annotated[Raw, Tag(2, required=True)] = NO_JSON
    revision: Annotated[Int64, Tag(3)] = field(default_factory=int)


RESOURCE = Resource(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    type=ControllerRevision,
    singular="controllerrevision",
)
