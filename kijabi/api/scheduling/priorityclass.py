"""Names for priorities; resolved at admission, used by the scheduler."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column, number
from kijabi.api.core.podspec_rules import validate_preemption
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Int32, Tag
from kijabi.api.validation import forbidden, immutable


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


HIGHEST_OF_USERS = 1_000_000_000
_SYSTEM = {"system-cluster-critical": 2 * HIGHEST_OF_USERS, "system-node-critical": 2 * HIGHEST_OF_USERS + 1000}


def prepare(new: PriorityClass, old: PriorityClass | None) -> None:
    """Its generation never changes."""
    if old is None:
        new.metadata.generation = 1


def validate(obj: PriorityClass) -> Sequence[FieldError]:
    """The highest priorities are the system's own."""
    errors: list[FieldError] = []
    name = obj.metadata.name
    if name.startswith("system-"):
        if not obj.metadata.resourceVersion:
            problem = _system_problem(obj)
            reserved = "priority class names with 'system-' prefix are reserved for system use only. error: "
            errors += [forbidden("metadata.name", f"{reserved}{problem}")] if problem else []
    elif obj.value > HIGHEST_OF_USERS and not obj.metadata.resourceVersion:
        detail = f"maximum allowed value of a user defined priority is {HIGHEST_OF_USERS}"
        errors.append(forbidden("value", detail))
    if obj.preemptionPolicy is not None and not obj.metadata.resourceVersion:
        errors += validate_preemption("preemptionPolicy", obj.preemptionPolicy)
    return errors


def _system_problem(obj: PriorityClass) -> str:
    name = obj.metadata.name
    value = _SYSTEM.get(name)
    if value is None:
        return f"{name} is not a known system priority class"
    if obj.value != value:
        return f"value of {name} PriorityClass must be {value}"
    return f"globalDefault of {name} PriorityClass must be false" if obj.globalDefault else ""


def validate_update(new: PriorityClass, old: PriorityClass) -> Sequence[FieldError]:
    """Its value and policy stay."""
    errors = [] if new.value == old.value else [forbidden("value", "may not be changed in an update.")]
    return errors + immutable("preemptionPolicy", new.preemptionPolicy, old.preemptionPolicy)


RESOURCE = Resource(
    group="scheduling.k8s.io",
    version="v1",
    kind="PriorityClass",
    plural="priorityclasses",
    type=PriorityClass,
    namespaced=False,
    singular="priorityclass",
    short=("pc",),
    columns=COLUMNS,
    prepare=prepare,
    validate=validate,
    validate_update=validate_update,
)
