"""How core objects point to others."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.meta import TypeMeta
from kijabi.api.struct import Struct, Tag


class ObjectReference(Struct):
    """Any object by kind, name, namespace and uid, or a part of it by fieldPath."""

    ATOMIC: ClassVar[bool] = True

    kind: Annotated[str, Tag(1)] = ""
    namespace: Annotated[str, Tag(2)] = ""
    name: Annotated[str, Tag(3)] = ""
    uid: Annotated[str, Tag(4)] = ""
    apiVersion: Annotated[str, Tag(5)] = ""
    resourceVersion: Annotated[str, Tag(6)] = ""
    fieldPath: Annotated[str, Tag(7)] = ""


class LocalObjectReference(Struct):
    """An object of a known kind by name, in the same namespace."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1, default="")] = ""


class SecretReference(Struct):
    """A Secret by name and namespace."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1)] = ""
    namespace: Annotated[str, Tag(2)] = ""


class TypedLocalObjectReference(Struct):
    """An object by group, kind and name, in the same namespace."""

    ATOMIC: ClassVar[bool] = True

    apiGroup: Annotated[str | None, Tag(1)] = None
    kind: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class TypedObjectReference(Struct):
    """An object by group, kind and name, perhaps in another namespace."""

    apiGroup: Annotated[str | None, Tag(1)] = None
    kind: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    namespace: Annotated[str | None, Tag(4, gate="CrossNamespaceVolumeDataSource")] = None


class SerializedReference(TypeMeta):
    """A reference wrapped as an object of its own."""

    reference: Annotated[ObjectReference, Tag(1)] = field(default_factory=ObjectReference)
