"""Storage of the cluster; bound to claims by the volume controller."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.columns import AGE, NAME, UNSET, column
from kijabi.api.core.nodeselector import NodeSelector
from kijabi.api.core.persistentvolume_rules import prepare, prepare_status, validate, validate_update
from kijabi.api.core.reference import ObjectReference, SecretReference
from kijabi.api.core.resources import ResourceList
from kijabi.api.core.volume import HostPathVolumeSource, NFSVolumeSource
from kijabi.api.core.volumevendor import (
    AWSElasticBlockStoreVolumeSource,
    AzureDiskVolumeSource,
    AzureFilePersistentVolumeSource,
    CephFSPersistentVolumeSource,
    CinderPersistentVolumeSource,
    FCVolumeSource,
    FlexPersistentVolumeSource,
    FlockerVolumeSource,
    GCEPersistentDiskVolumeSource,
    GlusterfsPersistentVolumeSource,
    ISCSIPersistentVolumeSource,
    PhotonPersistentDiskVolumeSource,
    PortworxVolumeSource,
    QuobyteVolumeSource,
    RBDPersistentVolumeSource,
    ScaleIOPersistentVolumeSource,
    StorageOSPersistentVolumeSource,
    VsphereVirtualDiskVolumeSource,
)
from kijabi.api.defaults import round_up
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class LocalVolumeSource(Struct):
    """A disk or directory of one node."""

    path: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str | None, Tag(2)] = None


class CSIPersistentVolumeSource(Struct):
    """A volume of a CSI driver."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    volumeHandle: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False
    fsType: Annotated[str, Tag(4)] = ""
    volumeAttributes: Annotated[dict[str, str], Tag(5)] = {}
    controllerPublishSecretRef: Annotated[SecretReference | None, Tag(6)] = None
    nodeStageSecretRef: Annotated[SecretReference | None, Tag(7)] = None
    nodePublishSecretRef: Annotated[SecretReference | None, Tag(8)] = None
    controllerExpandSecretRef: Annotated[SecretReference | None, Tag(9)] = None
    nodeExpandSecretRef: Annotated[SecretReference | None, Tag(10)] = None


class PersistentVolumeSource(Struct):
    """The storage behind a volume; one member is set."""

    gcePersistentDisk: Annotated[GCEPersistentDiskVolumeSource | None, Tag(1)] = None
    awsElasticBlockStore: Annotated[AWSElasticBlockStoreVolumeSource | None, Tag(2)] = None
    hostPath: Annotated[HostPathVolumeSource | None, Tag(3)] = None
    glusterfs: Annotated[GlusterfsPersistentVolumeSource | None, Tag(4)] = None
    nfs: Annotated[NFSVolumeSource | None, Tag(5)] = None
    rbd: Annotated[RBDPersistentVolumeSource | None, Tag(6)] = None
    iscsi: Annotated[ISCSIPersistentVolumeSource | None, Tag(7)] = None
    cinder: Annotated[CinderPersistentVolumeSource | None, Tag(8)] = None
    cephfs: Annotated[CephFSPersistentVolumeSource | None, Tag(9)] = None
    fc: Annotated[FCVolumeSource | None, Tag(10)] = None
    flocker: Annotated[FlockerVolumeSource | None, Tag(11)] = None
    flexVolume: Annotated[FlexPersistentVolumeSource | None, Tag(12)] = None
    azureFile: Annotated[AzureFilePersistentVolumeSource | None, Tag(13)] = None
    vsphereVolume: Annotated[VsphereVirtualDiskVolumeSource | None, Tag(14)] = None
    quobyte: Annotated[QuobyteVolumeSource | None, Tag(15)] = None
    azureDisk: Annotated[AzureDiskVolumeSource | None, Tag(16)] = None
    photonPersistentDisk: Annotated[PhotonPersistentDiskVolumeSource | None, Tag(17)] = None
    portworxVolume: Annotated[PortworxVolumeSource | None, Tag(18)] = None
    scaleIO: Annotated[ScaleIOPersistentVolumeSource | None, Tag(19)] = None
    local: Annotated[LocalVolumeSource | None, Tag(20)] = None
    storageos: Annotated[StorageOSPersistentVolumeSource | None, Tag(21)] = None
    csi: Annotated[CSIPersistentVolumeSource | None, Tag(22)] = None


class VolumeNodeAffinity(Struct):
    """The nodes from which a volume can be reached."""

    required: Annotated[NodeSelector | None, Tag(1)] = None


class PersistentVolumeSpec(PersistentVolumeSource):
    """Size, access, storage, claim, and what becomes of it after release."""

    INLINE: ClassVar[int] = 2

    capacity: Annotated[ResourceList, Tag(1)] = {}
    accessModes: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    claimRef: Annotated[ObjectReference | None, Tag(4, structType="granular")] = None
    persistentVolumeReclaimPolicy: Annotated[str, Tag(5)] = ""
    storageClassName: Annotated[str, Tag(6)] = ""
    mountOptions: Annotated[tuple[str, ...], Tag(7, listType="atomic")] = ()
    volumeMode: Annotated[str | None, Tag(8)] = None
    nodeAffinity: Annotated[VolumeNodeAffinity | None, Tag(9)] = None
    volumeAttributesClassName: Annotated[str | None, Tag(10, gate="VolumeAttributesClass")] = None

    def set_defaults(self) -> None:
        """A volume is a file system, and stays when its claim goes."""
        round_up(self.capacity)
        self.persistentVolumeReclaimPolicy = self.persistentVolumeReclaimPolicy or "Retain"
        if self.volumeMode is None:
            self.volumeMode = "Filesystem"


class PersistentVolumeStatus(Struct):
    """Pending, Available, Bound, Released or Failed, and why."""

    phase: Annotated[str, Tag(1)] = ""
    message: Annotated[str, Tag(2)] = ""
    reason: Annotated[str, Tag(3)] = ""
    lastPhaseTransitionTime: Annotated[Time | None, Tag(4)] = None

    def set_defaults(self) -> None:
        """Not yet available."""
        self.phase = self.phase or "Pending"


class PersistentVolume(Object):
    """A piece of storage that outlives pods."""

    spec: Annotated[PersistentVolumeSpec, Tag(2)] = field(default_factory=PersistentVolumeSpec)
    status: Annotated[PersistentVolumeStatus, Tag(3)] = field(default_factory=PersistentVolumeStatus)


def access_modes(modes: tuple[str, ...]) -> str:
    """Access modes as people abbreviate them, in a fixed order: `RWO,ROX,RWX,RWOP`."""
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short[mode] for mode in short if mode in modes)


def _claim(obj: PersistentVolume) -> str:
    claim = obj.spec.claimRef
    return f"{claim.namespace}/{claim.name}" if claim else ""


def _class(obj: PersistentVolume) -> str:
    return obj.metadata.annotations.get("volume.beta.kubernetes.io/storage-class", obj.spec.storageClassName)


COLUMNS = (
    NAME,
    column("Capacity", lambda obj: str(obj.spec.capacity.get("storage", "0")), "How much it holds."),
    column("Access Modes", lambda obj: access_modes(obj.spec.accessModes), "How it can be mounted."),
    column("Reclaim Policy", lambda obj: obj.spec.persistentVolumeReclaimPolicy, "What happens after its claim."),
    column("Status", lambda obj: "Terminating" if obj.metadata.deletionTimestamp else obj.status.phase, "Its phase."),
    column("Claim", _claim, "The claim that has it."),
    column("StorageClass", _class, "StorageClass of the pv."),
    column("VolumeAttributesClass", lambda obj: _given(obj.spec.volumeAttributesClassName), "Its attributes' class."),
    column("Reason", lambda obj: obj.status.reason, "Why it is so."),
    AGE,
    column("VolumeMode", lambda obj: _given(obj.spec.volumeMode), "File system or block device.", wide=True),
)


def _given(value: str | None) -> str:
    return UNSET if value is None else value


RESOURCE = Resource(
    group="",
    version="v1",
    kind="PersistentVolume",
    plural="persistentvolumes",
    type=PersistentVolume,
    namespaced=False,
    singular="persistentvolume",
    short=("pv",),
    subresources=(
        Subresource(
            name="status",
            kind="PersistentVolume",
            verbs=("get", "patch", "update"),
            type=PersistentVolume,
        ),
    ),
    columns=COLUMNS,
    prepare=prepare,
    prepare_status=prepare_status,
    validate=validate,
    validate_update=validate_update,
)
