"""Names for priorities; resolved at admission, used by the scheduler."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column, number
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.struct import Int32, Tag


class PriorityClass(Object):
    """A priority by name, and whether its pods may push others aside."""

    value: Annotated[Int32, Tag(2)] = field(default_factory=int)
    globalDefault: Annotated[bool, Tag(3)] = False
    description: Annotated[str, Tag(4)] = ""
    preemptionPolicy: Annotated[str | None, Tag(5)] = None

    def set_defaults(self) -> None:
        """Pods of the class may push others out."""
        if self.preemptionPolicy is None:
            self.preemptionPolicy = "PreemptLowerPriority"


COLUMNS = (
    NAME,
    number("Value", lambda obj: obj.value, "The priority; larger goes first."),
    column("Global-Default", lambda obj: obj.globalDefault, "Whether pods without a class get it.", type="boolean"),
    AGE,
    column("PreemptionPolicy", lambda obj: obj.preemptionPolicy or "", "Whether its pods may push others out."),
)


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
    columns=COLUMNS,
)
