"""The rooms of the cluster; emptied and removed by the namespace controller."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.formats import qualified_name
from kijabi.api.meta import Object, Time
from kijabi.api.resource import FieldError, Resource, Subresource
from kijabi.api.struct import Struct, Tag
from kijabi.api.validation import each, invalid


class NamespaceSpec(Struct):
    """The finalizers that hold a terminating namespace back."""

    finalizers: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class NamespaceCondition(Struct):
    """What keeps a namespace from going away."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(4)] = Time()
    reason: Annotated[str, Tag(5)] = ""
    message: Annotated[str, Tag(6)] = ""


class NamespaceStatus(Struct):
    """Active or Terminating, and the conditions."""

    phase: Annotated[str, Tag(1)] = ""
    conditions: Annotated[
        tuple[NamespaceCondition, ...],
        Tag(2, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()

    def set_defaults(self) -> None:
        """A namespace is in use until it goes."""
        self.phase = self.phase or "Active"


class Namespace(Object):
    """A scope for names; what is in it goes with it."""

    spec: Annotated[NamespaceSpec, Tag(2)] = field(default_factory=NamespaceSpec)
    status: Annotated[NamespaceStatus, Tag(3)] = field(default_factory=NamespaceStatus)

    def set_defaults(self) -> None:
        """Each namespace carries its name as a label, so that selectors can name it."""
        if self.metadata.name:
            self.metadata.labels["kubernetes.io/metadata.name"] = self.metadata.name


COLUMNS = (NAME, column("Status", lambda obj: obj.status.phase, "Active, or Terminating while it is emptied."), AGE)


def prepare(new: Namespace, old: Namespace | None) -> None:
    """A namespace begins in use and with the finalizer that empties it; only `finalize` changes finalizers."""
    if old is not None:
        new.spec.finalizers = old.spec.finalizers
        return
    new.status.phase = "Active"
    if "kubernetes" not in new.spec.finalizers:
        new.spec.finalizers = (*new.spec.finalizers, "kubernetes")


def validate(obj: Namespace) -> Sequence[FieldError]:
    """Finalizers have full names, or are the one of the system."""
    errors: list[FieldError] = []
    for name in obj.spec.finalizers:
        errors += each("spec.finalizers", name, qualified_name(name))
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            detail = "name is neither a standard finalizer name nor is it fully qualified"
            errors.append(invalid("spec.finalizers", name, detail))
    return errors


_STANDARD_FINALIZERS = ("kubernetes", "orphan", "foregroundDeletion")


def validate_status(new: Namespace, _: Namespace) -> Sequence[FieldError]:
    """The phase says whether the namespace is being deleted."""
    phase, deleted = new.status.phase, new.metadata.deletionTimestamp is not None
    wanted, when = ("Terminating", "not empty") if deleted else ("Active", "empty")
    detail = f"may only be '{wanted}' if `deletionTimestamp` is {when}"
    return [] if phase == wanted else [invalid("status.Phase", phase, detail)]


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Namespace",
    plural="namespaces",
    type=Namespace,
    namespaced=False,
    singular="namespace",
    short=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=(
        Subresource(name="finalize", kind="Namespace", verbs=("update",), type=Namespace),
        Subresource(name="status", kind="Namespace", verbs=("get", "patch", "update"), type=Namespace),
    ),
    name_rule="label",
    columns=COLUMNS,
    prepare=prepare,
    fields=(("status.phase", lambda namespace: namespace.status.phase),),
    validate=validate,
    validate_status=validate_status,
)
