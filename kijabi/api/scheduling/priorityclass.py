"""The priorityclass types of the scheduling group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Int32, Tag


class PriorityClass(Object):
    """The API type PriorityClass."""

    value: Annotated[Int32, Tag(2)] = field(default_factory=int)
    globalDefault: Annotated[bool, Tag(3)] = False
    description: Annotated[str, Tag(4)] = ""
    preemptionPolicy: Annotated[str | None, Tag(5)] = None

    def set_defaults(self) -> None:
        """Pods of the class may push others out."""
        if self.preemptionPolicy is None:
            self.preemptionPolicy = "PreemptLowerPriority"


RESOURCE = Resource(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    type=PriorityClass,
    namespaced=False,
    singular="priorityclass",
    short=("pc",),
    has_generation=True,
)
