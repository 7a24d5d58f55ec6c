"""Which runtime runs a pod; read by the kubelet and at admission."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api import validation
from kijabi.api.columns import AGE, NAME, column
from kijabi.api.core.affinity import Toleration
from kijabi.api.core.affinity_rules import validate_tolerations
from kijabi.api.core.resources import ResourceList, ResourceRequirements
from kijabi.api.core.resources_rules import validate_requirements
from kijabi.api.defaults import round_up
from kijabi.api.formats import dns_label
from kijabi.api.meta import Object
from kijabi.api.resource import FieldError, Resource
from kijabi.api.struct import Struct, Tag


class Overhead(Struct):
    """What each pod costs besides its containers."""

    podFixed: Annotated[ResourceList, Tag(1)] = {}

    def set_defaults(self) -> None:
        """Amounts are counted in thousandths at the finest."""
        round_up(self.podFixed)


class Scheduling(Struct):
    """The nodes that support the class, and the tolerations to reach them."""

    nodeSelector: Annotated[dict[str, str], Tag(1, mapType="atomic")] = {}
    tolerations: Annotated[tuple[Toleration, ...], Tag(2, listType="atomic")] = ()


class RuntimeClass(Object):
    """A named runtime handler of the container runtime."""

    handler: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    overhead: Annotated[Overhead | None, Tag(3)] = None
    scheduling: Annotated[Scheduling | None, Tag(4)] = None


def validate(obj: RuntimeClass) -> Sequence[FieldError]:
    """Everything that is wrong with a class."""
    errors = [] if obj.handler else [validation.required("handler")]
    errors += validation.each("handler", obj.handler, dns_label(obj.handler)) if obj.handler else []
    if obj.overhead is not None:
        errors += validate_requirements("overhead", ResourceRequirements(limits=obj.overhead.podFixed))
    if obj.scheduling is not None:
        errors += validation.validate_labels(obj.scheduling.nodeSelector, "scheduling.nodeSelector")
        errors += _validate_tolerations(obj.scheduling.tolerations)
    return errors


def _validate_tolerations(tolerations: Sequence[Toleration]) -> list[FieldError]:
    path = "scheduling.tolerations"
    errors, seen = validate_tolerations(path, tolerations), set()
    for index, each in enumerate(tolerations):
        key = (each.key, each.operator, each.value, each.effect)
        if key in seen:
            errors.append(validation.duplicate(f"{path}[{index}]", each))
        seen.add(key)
    return errors


def validate_update(new: RuntimeClass, old: RuntimeClass) -> Sequence[FieldError]:
    """The handler stays."""
    return validation.immutable("handler", new.handler, old.handler)


COLUMNS = (NAME, column("Handler", lambda obj: obj.handler, "What the runtime calls it."), AGE)


RESOURCE = Resource(
    group="node.k8s.io",
    version="v1",
    kind="RuntimeClass",
    plural="runtimeclasses",
    type=RuntimeClass,
    namespaced=False,
    singular="runtimeclass",
    columns=COLUMNS,
    create_on_update=True,
    update_needs_version=True,
    validate=validate,
    validate_update=validate_update,
)
