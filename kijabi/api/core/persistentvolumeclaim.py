"""The persistentvolumeclaim types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.reference import TypedLocalObjectReference, TypedObjectReference
from kijabi.api.core.resources import ResourceList, VolumeResourceRequirements
from kijabi.api.meta import LabelSelector, Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class PersistentVolumeClaimSpec(Struct):
    """What is asked of a Persistent Volume Claim."""

    accessModes: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    selector: Annotated[LabelSelector | None, Tag(4)] = None
    resources: Annotated[
        VolumeResourceRequirements,
        Tag(2),
    ] = field(default_factory=VolumeResourceRequirements)
    volumeName: Annotated[str, Tag(3)] = ""
    storageClassName: Annotated[str | None, Tag(5)] = None
    volumeMode: Annotated[str | None, Tag(6)] = None
    dataSource: Annotated[TypedLocalObjectReference | None, Tag(7)] = None
    dataSourceRef: Annotated[TypedObjectReference | None, Tag(8)] = None
    volumeAttributesClassName: Annotated[str | None, Tag(9, gate="VolumeAttributesClass")] = None

    def set_defaults(self) -> None:
        """A claim wants a file system."""
        if self.volumeMode is None:
            self.volumeMode = "Filesystem"


class PersistentVolumeClaimCondition(Struct):
    """One condition of a Persistent Volume Claim."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastProbeTime: Annotated[Time, Tag(3)] = Time()
    lastTransitionTime: Annotated[Time, Tag(4)] = Time()
    reason: Annotated[str, Tag(5)] = ""
    message: Annotated[str, Tag(6)] = ""


class ModifyVolumeStatus(Struct):
    """What was last seen of a Modify Volume."""

    targetVolumeAttributesClassName: Annotated[str, Tag(1)] = ""
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class VolumeHealthCondition(Struct):
    """One condition of a Volume Health."""

    status: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    reason: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    message: Annotated[str, Tag(3)] = ""


class VolumeHealthStatus(Struct):
    """What was last seen of a Volume Health."""

    healthConditions: Annotated[
        tuple[VolumeHealthCondition, ...],
        Tag(1, listType="map", keys=("status", "reason"), strategy="merge", mergeKey="status"),
    ] = ()
    lastTransitionTime: Annotated[Time, Tag(2)] = Time()


class PersistentVolumeClaimStatus(Struct):
    """What was last seen of a Persistent Volume Claim."""

    phase: Annotated[str, Tag(1)] = ""
    accessModes: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    capacity: Annotated[ResourceList, Tag(3)] = {}
    conditions: Annotated[
        tuple[PersistentVolumeClaimCondition, ...],
        Tag(4, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()
    allocatedResources: Annotated[ResourceList, Tag(5)] = {}
    allocatedResourceStatuses: Annotated[dict[str, str], Tag(7, mapType="granular")] = {}
    currentVolumeAttributesClassName: Annotated[str | None, Tag(8, gate="VolumeAttributesClass")] = None
    modifyVolumeStatus: Annotated[ModifyVolumeStatus | None, Tag(9, gate="VolumeAttributesClass")] = None
    healthStatus: Annotated[VolumeHealthStatus | None, Tag(10, gate="CSIVolumeHealth")] = None

    def set_defaults(self) -> None:
        """Not yet bound."""
        self.phase = self.phase or "Pending"


class PersistentVolumeClaim(Object):
    """The API type PersistentVolumeClaim."""

    spec: Annotated[PersistentVolumeClaimSpec, Tag(2)] = field(default_factory=PersistentVolumeClaimSpec)
    status: Annotated[
        PersistentVolumeClaimStatus,
        Tag(3),
    ] = field(default_factory=PersistentVolumeClaimStatus)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    type=PersistentVolumeClaim,
    singular="persistentvolumeclaim",
    short=("pvc",),
    subresources=(
        Subresource(
            name="status",
            kind="PersistentVolumeClaim",
            verbs=("get", "patch", "update"),
            type=PersistentVolumeClaim,
        ),
    ),
)
