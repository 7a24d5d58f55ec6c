"""The volumeattachment types of the storage group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.persistentvolume import PersistentVolumeSpec
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag


class VolumeAttachmentSource(Struct):
    """The API type VolumeAttachmentSource."""

    persistentVolumeName: Annotated[str | None, Tag(1)] = None
    inlineVolumeSpec: Annotated[PersistentVolumeSpec | None, Tag(2)] = None


class VolumeAttachmentSpec(Struct):
    """What is asked of a Volume Attachment."""

    attacher: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    source: Annotated[
        VolumeAttachmentSource,
        Tag(2, required=True),
    ] = field(default_factory=VolumeAttachmentSource)
    nodeName: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class VolumeError(Struct):
    """The API type VolumeError."""

    time: Annotated[Time, Tag(1)] = Time()
    message: Annotated[str, Tag(2)] = ""
    errorCode: Annotated[Int32 | None, Tag(3, gate="MutableCSINodeAllocatableCount")] = None


class VolumeAttachmentStatus(Struct):
    """What was last seen of a Volume Attachment."""

    attached: Annotated[bool, Tag(1, required=True)] = field(default_factory=bool)
    attachmentMetadata: Annotated[dict[str, str], Tag(2)] = {}
    attachError: Annotated[VolumeError | None, Tag(3)] = None
    detachError: Annotated[VolumeError | None, Tag(4)] = None


class VolumeAttachment(Object):
    """The API type VolumeAttachment."""

    spec: Annotated[VolumeAttachmentSpec, Tag(2, required=True)] = field(default_factory=VolumeAttachmentSpec)
    status: Annotated[VolumeAttachmentStatus, Tag(3)] = field(default_factory=VolumeAttachmentStatus)


RESOURCE = Resource(
    group="storage.k8s.io",
    version="v1",
    kind="VolumeAttachment",
    plural="volumeattachments",
    type=VolumeAttachment,
    namespaced=False,
    singular="volumeattachment",
    subresources=(
        Subresource(
            name="status",
            kind="VolumeAttachment",
            verbs=("get", "patch", "update"),
            type=VolumeAttachment,
        ),
    ),
)
