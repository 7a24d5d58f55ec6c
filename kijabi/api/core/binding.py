"""The verdict of the scheduler: this pod goes to that node. Posted to `pods/NAME/binding`."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Tag


class Binding(Object):
    """Ties a pod to a node."""

    target: Annotated[ObjectReference, Tag(2, required=True)] = field(default_factory=ObjectReference)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Binding",
    plural="bindings",
    type=Binding,
    singular="binding",
    verbs=("create",),
    storage=False,
)
