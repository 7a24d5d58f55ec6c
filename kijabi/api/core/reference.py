"""The reference types of the core group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.meta import TypeMeta
from kijabi.api.struct import Struct, Tag


class ObjectReference(Struct):
    """The API type ObjectReference."""

    ATOMIC: ClassVar[bool] = True

    kind: Annotated[str, Tag(1)] = ""
    namespace: Annotated[str, Tag(2)] = ""
    name: Annotated[str, Tag(3)] = ""
    uid: Annotated[str, Tag(4)] = ""
    apiVersion: Annotated[str, Tag(5)] = ""
    resourceVersion: Annotated[str, Tag(6)] = ""
    fieldPath: Annotated[str, Tag(7)] = ""


class LocalObjectReference(Struct):
    """The API type LocalObjectReference."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1, default="")] = ""


class SecretReference(Struct):
    """The API type SecretReference."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1)] = ""
    namespace: Annotated[str, Tag(2)] = ""


class TypedLocalObjectReference(Struct):
    """The API type TypedLocalObjectReference."""

    ATOMIC: ClassVar[bool] = True

    apiGroup: Annotated[str | None, Tag(1)] = None
    kind: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class TypedObjectReference(Struct):
    """The API type TypedObjectReference."""

    apiGroup: Annotated[str | None, Tag(1)] = None
    kind: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    namespace: Annotated[str | None, Tag(4, gate="CrossNamespaceVolumeDataSource")] = None


class SerializedReference(TypeMeta):
    """The API type SerializedReference."""

    reference: Annotated[ObjectReference, Tag(1)] = field(default_factory=ObjectReference)
