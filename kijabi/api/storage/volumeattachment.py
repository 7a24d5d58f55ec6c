"""A volume that is to be attached to a node; written by the attach controller."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.core.persistentvolume import PersistentVolumeSpec
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Column, Resource, Subresource
from kijabi.api.storage.rules import validate_attachment, validate_attachment_update
from kijabi.api.struct import Int32, Struct, Tag


class VolumeAttachmentSource(Struct):
    """The volume, by name or spelled out."""

    persistentVolumeName: Annotated[str | None, Tag(1)] = None
    inlineVolumeSpec: Annotated[PersistentVolumeSpec | None, Tag(2)] = None


class VolumeAttachmentSpec(Struct):
    """The driver, the volume and the node."""

    attacher: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    source: Annotated[
        VolumeAttachmentSource,
        Tag(2, required=True),
    ] = field(default_factory=VolumeAttachmentSource)
    nodeName: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class VolumeError(Struct):
    """An error, its code, and when it came."""

    time: Annotated[Time, Tag(1)] = Time()
    message: Annotated[str, Tag(2)] = ""
    errorCode: Annotated[Int32 | None, Tag(3, gate="MutableCSINodeAllocatableCount")] = None


class VolumeAttachmentStatus(Struct):
    """Whether it is attached, and the last errors."""

    attached: Annotated[bool, Tag(1, required=True)] = field(default_factory=bool)
    attachmentMetadata: Annotated[dict[str, str], Tag(2)] = {}
    attachError: Annotated[VolumeError | None, Tag(3)] = None
    detachError: Annotated[VolumeError | None, Tag(4)] = None


class VolumeAttachment(Object):
    """The wish to attach a volume to a node, and whether it is."""

    spec: Annotated[VolumeAttachmentSpec, Tag(2, required=True)] = field(default_factory=VolumeAttachmentSpec)
    status: Annotated[VolumeAttachmentStatus, Tag(3)] = field(default_factory=VolumeAttachmentStatus)


COLUMNS = (
    NAME,
    Column(name="Attacher", cell=lambda obj: obj.spec.attacher, format="name", description="Who attaches it."),
    column("PV", lambda obj: obj.spec.source.persistentVolumeName or "", "The volume."),
    column("Node", lambda obj: obj.spec.nodeName, "The node."),
    column("Attached", lambda obj: obj.status.attached, "Whether it is attached.", type="boolean"),
    AGE,
)


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
    columns=COLUMNS,
    validate=validate_attachment,
    validate_update=validate_attachment_update,
    update_needs_version=True,
)
