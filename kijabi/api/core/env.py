"""The env types of the core group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.core.reference import LocalObjectReference
from kijabi.api.quantity import Quantity
from kijabi.api.struct import Struct, Tag


class ConfigMapEnvSource(LocalObjectReference):
    """The API type ConfigMapEnvSource."""

    INLINE: ClassVar[int] = 1

    optional: Annotated[bool | None, Tag(2)] = None


class SecretEnvSource(LocalObjectReference):
    """The API type SecretEnvSource."""

    INLINE: ClassVar[int] = 1

    optional: Annotated[bool | None, Tag(2)] = None


class EnvFromSource(Struct):
    """The API type EnvFromSource."""

    prefix: Annotated[str, Tag(1)] = ""
    configMapRef: Annotated[ConfigMapEnvSource | None, Tag(2)] = None
    secretRef: Annotated[SecretEnvSource | None, Tag(3)] = None


class ConfigMapKeySelector(LocalObjectReference):
    """The API type ConfigMapKeySelector."""

    ATOMIC: ClassVar[bool] = True
    INLINE: ClassVar[int] = 1

    key: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    optional: Annotated[bool | None, Tag(3)] = None


class SecretKeySelector(LocalObjectReference):
    """The API type SecretKeySelector."""

    ATOMIC: ClassVar[bool] = True
    INLINE: ClassVar[int] = 1

    key: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    optional: Annotated[bool | None, Tag(3)] = None


class FileKeySelector(Struct):
    """The API type FileKeySelector."""

    ATOMIC: ClassVar[bool] = True

    volumeName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    path: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    key: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    optional: Annotated[bool | None, Tag(4, default=False)] = None


class ObjectFieldSelector(Struct):
    """The API type ObjectFieldSelector."""

    ATOMIC: ClassVar[bool] = True

    apiVersion: Annotated[str, Tag(1)] = ""
    fieldPath: Annotated[str, Tag(2, required=True)] = field(default_factory=str)

    def set_defaults(self) -> None:
        """Paths are those of the core group."""
        self.apiVersion = self.apiVersion or "v1"


class ResourceFieldSelector(Struct):
    """The API type ResourceFieldSelector."""

    ATOMIC: ClassVar[bool] = True

    containerName: Annotated[str, Tag(1)] = ""
    resource: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    divisor: Annotated[Quantity, Tag(3)] = field(default_factory=Quantity)


class EnvVarSource(Struct):
    """The API type EnvVarSource."""

    fieldRef: Annotated[ObjectFieldSelector | None, Tag(1)] = None
    resourceFieldRef: Annotated[ResourceFieldSelector | None, Tag(2)] = None
    configMapKeyRef: Annotated[ConfigMapKeySelector | None, Tag(3)] = None
    secretKeyRef: Annotated[SecretKeySelector | None, Tag(4)] = None
    fileKeyRef: Annotated[FileKeySelector | None, Tag(5, gate="EnvFiles")] = None


class EnvVar(Struct):
    """The API type EnvVar."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[str, Tag(2)] = ""
    valueFrom: Annotated[EnvVarSource | None, Tag(3)] = None
