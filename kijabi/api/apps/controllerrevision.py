"""Snapshots of a template; the StatefulSet and DaemonSet controllers keep their history in them."""

from typing import Annotated

from msgspec import Raw, field

from kijabi.api.columns import AGE, NAME, NONE, column
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import NO_JSON, Int64, Tag


class ControllerRevision(Object):
    """An immutable snapshot of state with a revision number that only grows."""

    data: Annotated[Raw, Tag(2, required=True)] = NO_JSON
    revision: Annotated[Int64, Tag(3)] = field(default_factory=int)


def _controller(obj: ControllerRevision) -> str:
    owner = next((owner for owner in obj.metadata.ownerReferences if owner.controller), None)
    if owner is None:
        return NONE
    group = owner.apiVersion.rpartition("/")[0]
    return f"{owner.kind}.{group}".rstrip(".").lower() + f"/{owner.name}"


COLUMNS = (
    NAME,
    column("Controller", _controller, "The object whose template this is."),
    column("Revision", lambda obj: obj.revision, "Its number; larger is later."),
    AGE,
)


RESOURCE = Resource(
    group="apps",
    version="v1",
    kind="ControllerRevision",
    plural="controllerrevisions",
    type=ControllerRevision,
    singular="controllerrevision",
    columns=COLUMNS,
)
