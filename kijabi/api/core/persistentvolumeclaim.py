"""Requests for storage; bound to volumes by the volume controller."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, UNSET, column
from kijabi.api.core.persistentvolumeclaim_rules import (
    prepare,
    validate,
    validate_status,
    validate_update,
    warnings,
)
from kijabi.api.core.reference import TypedLocalObjectReference, TypedObjectReference
from kijabi.api.core.resources import ResourceList, VolumeResourceRequirements
from kijabi.api.meta import LabelSelector, Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class PersistentVolumeClaimSpec(Struct):
    """How much storage, of which class, with which access, from which source."""

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
    """Resizing, FileSystemResizePending and their like."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastProbeTime: Annotated[Time, Tag(3)] = Time()
    lastTransitionTime: Annotated[Time, Tag(4)] = Time()
    reason: Annotated[str, Tag(5)] = ""
    message: Annotated[str, Tag(6)] = ""


class ModifyVolumeStatus(Struct):
    """A change of a volume's attributes class under way."""

    targetVolumeAttributesClassName: Annotated[str, Tag(1)] = ""
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class VolumeHealthCondition(Struct):
    """One state that a storage driver reports of a volume."""

    status: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    reason: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    message: Annotated[str, Tag(3)] = ""


class VolumeHealthStatus(Struct):
    """What storage drivers report of the volume's health."""

    healthConditions: Annotated[
        tuple[VolumeHealthCondition, ...],
        Tag(1, listType="map", keys=("status", "reason"), strategy="merge", mergeKey="status"),
    ] = ()
    lastTransitionTime: Annotated[Time, Tag(2)] = Time()


class PersistentVolumeClaimStatus(Struct):
    """Phase, size and access of what was bound."""

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
    """Asks for a volume and holds it."""

    spec: Annotated[PersistentVolumeClaimSpec, Tag(2)] = field(default_factory=PersistentVolumeClaimSpec)
    status: Annotated[
        PersistentVolumeClaimStatus,
        Tag(3),
    ] = field(default_factory=PersistentVolumeClaimStatus)


def _modes(obj: PersistentVolumeClaim) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short[mode] for mode in short if mode in obj.status.accessModes) if obj.spec.volumeName else ""


def _class(obj: PersistentVolumeClaim) -> str:
    beta = obj.metadata.annotations.get("volume.beta.kubernetes.io/storage-class")
    return beta if beta is not None else obj.spec.storageClassName or ""


def _given(value: str | None) -> str:
    return UNSET if value is None else value


COLUMNS = (
    NAME,
    column("Status", lambda obj: "Terminating" if obj.metadata.deletionTimestamp else obj.status.phase, "Its phase."),
    column("Volume", lambda obj: obj.spec.volumeName, "The volume that it has."),
    column(
        "Capacity",
        lambda obj: str(obj.status.capacity.get("storage", "0")) if obj.spec.volumeName else "",
        "How much that holds.",
    ),
    column("Access Modes", _modes, "How it can be mounted."),
    column("StorageClass", _class, "StorageClass of the pvc."),
    column("VolumeAttributesClass", lambda obj: _given(obj.spec.volumeAttributesClassName), "Its attributes' class."),
    AGE,
    column("VolumeMode", lambda obj: _given(obj.spec.volumeMode), "File system or block device.", wide=True),
)


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
    columns=COLUMNS,
    prepare=prepare,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    warnings=warnings,
)
