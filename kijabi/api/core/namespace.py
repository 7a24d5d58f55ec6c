"""The namespace types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class NamespaceSpec(Struct):
    """What is asked of a Namespace."""

    finalizers: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class NamespaceCondition(Struct):
    """One condition of a Namespace."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(4)] = Time()
    reason: Annotated[str, Tag(5)] = ""
    message: Annotated[str, Tag(6)] = ""


class NamespaceStatus(Struct):
    """What was last seen of a Namespace."""

    phase: Annotated[str, Tag(1)] = ""
    conditions: Annotated[
        tuple[NamespaceCondition, ...],
        Tag(2, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()

    def set_defaults(self) -> None:
        """A namespace is in use until it goes."""
        self.phase = self.phase or "Active"


class Namespace(Object):
    """The API type Namespace."""

    spec: Annotated[NamespaceSpec, Tag(2)] = field(default_factory=NamespaceSpec)
    status: Annotated[NamespaceStatus, Tag(3)] = field(default_factory=NamespaceStatus)

    def set_defaults(self) -> None:
        """Each namespace carries its name as a label, so that selectors can name it."""
        if self.metadata.name:
            self.metadata.labels["kubernetes.io/metadata.name"] = self.metadata.name


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
)
