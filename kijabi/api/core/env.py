"""The environment of containers: values, and where else they come from; read by the kubelet."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.core.reference import LocalObjectReference
from kijabi.api.quantity import Quantity
from kijabi.api.struct import Struct, Tag


class ConfigMapEnvSource(LocalObjectReference):
    """All of a ConfigMap as variables."""

    INLINE: ClassVar[int] = 1

    optional: Annotated[bool | None, Tag(2)] = None


class SecretEnvSource(LocalObjectReference):
    """All of a Secret as variables."""

    INLINE: ClassVar[int] = 1

    optional: Annotated[bool | None, Tag(2)] = None


class EnvFromSource(Struct):
    """Many variables at once, with an optional prefix."""

    prefix: Annotated[str, Tag(1)] = ""
    configMapRef: Annotated[ConfigMapEnvSource | None, Tag(2)] = None
    secretRef: Annotated[SecretEnvSource | None, Tag(3)] = None


class ConfigMapKeySelector(LocalObjectReference):
    """One key of a ConfigMap."""

    ATOMIC: ClassVar[bool] = True
    INLINE: ClassVar[int] = 1

    key: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    optional: Annotated[bool | None, Tag(3)] = None


class SecretKeySelector(LocalObjectReference):
    """One key of a Secret."""

    ATOMIC: ClassVar[bool] = True
    INLINE: ClassVar[int] = 1

    key: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    optional: Annotated[bool | None, Tag(3)] = None


class FileKeySelector(Struct):
    """One key of a file in a volume that an init container wrote."""

    ATOMIC: ClassVar[bool] = True

    volumeName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    path: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    key: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    optional: Annotated[bool | None, Tag(4, default=False)] = None


class ObjectFieldSelector(Struct):
    """A field of the pod itself, such as `metadata.name`."""

    ATOMIC: ClassVar[bool] = True

    apiVersion: Annotated[str, Tag(1)] = ""
    fieldPath: Annotated[str, Tag(2, required=True)] = field(default_factory=str)

    def set_defaults(self) -> None:
        """Paths are those of the core group."""
        self.apiVersion = self.apiVersion or "v1"


class ResourceFieldSelector(Struct):
    """A container's own request or limit, in units of a divisor."""

    ATOMIC: ClassVar[bool] = True

    containerName: Annotated[str, Tag(1)] = ""
    resource: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    divisor: Annotated[Quantity, Tag(3)] = field(default_factory=Quantity)


class EnvVarSource(Struct):
    """Where a variable's value comes from; one member is set."""

    fieldRef: Annotated[ObjectFieldSelector | None, Tag(1)] = None
    resourceFieldRef: Annotated[ResourceFieldSelector | None, Tag(2)] = None
    configMapKeyRef: Annotated[ConfigMapKeySelector | None, Tag(3)] = None
    secretKeyRef: Annotated[SecretKeySelector | None, Tag(4)] = None
    fileKeyRef: Annotated[FileKeySelector | None, Tag(5, gate="EnvFiles")] = None


class EnvVar(Struct):
    """A variable, with its value or the source of it."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[str, Tag(2)] = ""
    valueFrom: Annotated[EnvVarSource | None, Tag(3)] = None
