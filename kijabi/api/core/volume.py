"""Volumes of pods: what can be mounted, and from where; set up by the kubelet."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.core.env import ObjectFieldSelector, ResourceFieldSelector
from kijabi.api.core.image import pull_policy
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaimSpec
from kijabi.api.core.reference import LocalObjectReference
from kijabi.api.core.volumevendor import (
    AWSElasticBlockStoreVolumeSource,
    AzureDiskVolumeSource,
    AzureFileVolumeSource,
    CephFSVolumeSource,
    CinderVolumeSource,
    FCVolumeSource,
    FlexVolumeSource,
    FlockerVolumeSource,
    GCEPersistentDiskVolumeSource,
    GitRepoVolumeSource,
    GlusterfsVolumeSource,
    ISCSIVolumeSource,
    PhotonPersistentDiskVolumeSource,
    PortworxVolumeSource,
    QuobyteVolumeSource,
    RBDVolumeSource,
    ScaleIOVolumeSource,
    StorageOSVolumeSource,
    VsphereVirtualDiskVolumeSource,
)
from kijabi.api.meta import LabelSelector, ObjectMeta
from kijabi.api.quantity import Quantity
from kijabi.api.struct import Int32, Int64, Struct, Tag, empty_list


class EmptyDirVolumeSource(Struct):
    """An empty directory that lives as long as the pod, on disk or in memory."""

    medium: Annotated[str, Tag(1)] = ""
    sizeLimit: Annotated[Quantity | None, Tag(2)] = None
    mode: Annotated[Int32 | None, Tag(3, gate="EmptyDirVolumeMode")] = None


class HostPathVolumeSource(Struct):
    """A path of the node."""

    path: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    type: Annotated[str | None, Tag(2)] = None

    def set_defaults(self) -> None:
        """Unset, nothing is checked before the mount."""
        self.type = self.type or ""


class KeyToPath(Struct):
    """A key, the file it becomes, and its mode."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    path: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    mode: Annotated[Int32 | None, Tag(3)] = None
    user: Annotated[Int64 | None, Tag(4, gate="AtomicWriteVolumeUserFields")] = None


class SecretVolumeSource(Struct):
    """A Secret as files."""

    secretName: Annotated[str, Tag(1)] = ""
    items: Annotated[tuple[KeyToPath, ...], Tag(2, listType="atomic")] = ()
    defaultMode: Annotated[Int32 | None, Tag(3)] = None
    optional: Annotated[bool | None, Tag(4)] = None
    defaultUser: Annotated[Int64 | None, Tag(5, gate="AtomicWriteVolumeUserFields")] = None

    def set_defaults(self) -> None:
        """Files are 0644."""
        if self.defaultMode is None:
            self.defaultMode = 0o644


class ConfigMapVolumeSource(LocalObjectReference):
    """A ConfigMap as files."""

    INLINE: ClassVar[int] = 1

    items: Annotated[tuple[KeyToPath, ...], Tag(2, listType="atomic")] = ()
    defaultMode: Annotated[Int32 | None, Tag(3)] = None
    optional: Annotated[bool | None, Tag(4)] = None
    defaultUser: Annotated[Int64 | None, Tag(5, gate="AtomicWriteVolumeUserFields")] = None

    def set_defaults(self) -> None:
        """Files are 0644."""
        if self.defaultMode is None:
            self.defaultMode = 0o644


class DownwardAPIVolumeFile(Struct):
    """A file with a field of the pod or a container's resources."""

    path: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fieldRef: Annotated[ObjectFieldSelector | None, Tag(2)] = None
    resourceFieldRef: Annotated[ResourceFieldSelector | None, Tag(3)] = None
    mode: Annotated[Int32 | None, Tag(4)] = None
    user: Annotated[Int64 | None, Tag(5, gate="AtomicWriteVolumeUserFields")] = None


class DownwardAPIVolumeSource(Struct):
    """The pod's own fields as files."""

    items: Annotated[tuple[DownwardAPIVolumeFile, ...], Tag(1, listType="atomic")] = ()
    defaultMode: Annotated[Int32 | None, Tag(2)] = None
    defaultUser: Annotated[Int64 | None, Tag(3, gate="AtomicWriteVolumeUserFields")] = None

    def set_defaults(self) -> None:
        """Files are 0644."""
        if self.defaultMode is None:
            self.defaultMode = 0o644


class SecretProjection(LocalObjectReference):
    """A Secret's keys within a projected volume."""

    INLINE: ClassVar[int] = 1

    items: Annotated[tuple[KeyToPath, ...], Tag(2, listType="atomic")] = ()
    optional: Annotated[bool | None, Tag(4)] = None


class DownwardAPIProjection(Struct):
    """The pod's own fields within a projected volume."""

    items: Annotated[tuple[DownwardAPIVolumeFile, ...], Tag(1, listType="atomic")] = ()


class ConfigMapProjection(LocalObjectReference):
    """A ConfigMap's keys within a projected volume."""

    INLINE: ClassVar[int] = 1

    items: Annotated[tuple[KeyToPath, ...], Tag(2, listType="atomic")] = ()
    optional: Annotated[bool | None, Tag(4)] = None


class ServiceAccountTokenProjection(Struct):
    """A service account token, renewed in time, within a projected volume."""

    audience: Annotated[str, Tag(1)] = ""
    expirationSeconds: Annotated[Int64 | None, Tag(2)] = None
    path: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    user: Annotated[Int64 | None, Tag(4, gate="AtomicWriteVolumeUserFields")] = None

    def set_defaults(self) -> None:
        """A token lasts an hour."""
        if self.expirationSeconds is None:
            self.expirationSeconds = 3600


class ClusterTrustBundleProjection(Struct):
    """Trust anchors within a projected volume."""

    name: Annotated[str | None, Tag(1)] = None
    signerName: Annotated[str | None, Tag(2)] = None
    labelSelector: Annotated[LabelSelector | None, Tag(3)] = None
    optional: Annotated[bool | None, Tag(5)] = None
    path: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    user: Annotated[Int64 | None, Tag(6, gate="AtomicWriteVolumeUserFields")] = None


class PodCertificateProjection(Struct):
    """A key and a certificate for the pod, renewed in time, within a projected volume."""

    signerName: Annotated[str, Tag(1, required=True)] = ""
    keyType: Annotated[str, Tag(2, required=True)] = ""
    maxExpirationSeconds: Annotated[Int32 | None, Tag(3)] = None
    credentialBundlePath: Annotated[str, Tag(4)] = ""
    keyPath: Annotated[str, Tag(5)] = ""
    certificateChainPath: Annotated[str, Tag(6)] = ""
    userAnnotations: Annotated[dict[str, str], Tag(7)] = {}
    user: Annotated[Int64 | None, Tag(8, gate="AtomicWriteVolumeUserFields")] = None


class VolumeProjection(Struct):
    """One source of a projected volume; one member is set."""

    secret: Annotated[SecretProjection | None, Tag(1)] = None
    downwardAPI: Annotated[DownwardAPIProjection | None, Tag(2)] = None
    configMap: Annotated[ConfigMapProjection | None, Tag(3)] = None
    serviceAccountToken: Annotated[ServiceAccountTokenProjection | None, Tag(4)] = None
    clusterTrustBundle: Annotated[
        ClusterTrustBundleProjection | None,
        Tag(5, gate="ClusterTrustBundleProjection"),
    ] = None
    podCertificate: Annotated[PodCertificateProjection | None, Tag(6, gate="PodCertificateProjection")] = None


class ProjectedVolumeSource(Struct):
    """Several sources as files in one directory."""

    sources: Annotated[
        tuple[VolumeProjection, ...],
        Tag(1, listType="atomic"),
    ] = field(default_factory=empty_list)
    defaultMode: Annotated[Int32 | None, Tag(2)] = None
    defaultUser: Annotated[Int64 | None, Tag(3, gate="AtomicWriteVolumeUserFields")] = None

    def set_defaults(self) -> None:
        """Files are 0644."""
        if self.defaultMode is None:
            self.defaultMode = 0o644


class PersistentVolumeClaimVolumeSource(Struct):
    """A claim of the same namespace."""

    claimName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(2)] = False


class PersistentVolumeClaimTemplate(Struct):
    """The claim that an ephemeral volume creates."""

    metadata: Annotated[ObjectMeta, Tag(1)] = field(default_factory=ObjectMeta)
    spec: Annotated[
        PersistentVolumeClaimSpec,
        Tag(2, required=True),
    ] = field(default_factory=PersistentVolumeClaimSpec)


class EphemeralVolumeSource(Struct):
    """A claim that lives as long as the pod."""

    volumeClaimTemplate: Annotated[PersistentVolumeClaimTemplate | None, Tag(1)] = None


class ImageVolumeSource(Struct):
    """The files of an image or artifact, read only."""

    reference: Annotated[str, Tag(1)] = ""
    pullPolicy: Annotated[str, Tag(2)] = ""

    def set_defaults(self) -> None:
        """As a container's image."""
        self.pullPolicy = self.pullPolicy or pull_policy(self.reference)


class NFSVolumeSource(Struct):
    """A path of an NFS server."""

    server: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    path: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False


class CSIVolumeSource(Struct):
    """A volume of a CSI driver that lives as long as the pod."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool | None, Tag(2)] = None
    fsType: Annotated[str | None, Tag(3)] = None
    volumeAttributes: Annotated[dict[str, str], Tag(4)] = {}
    nodePublishSecretRef: Annotated[LocalObjectReference | None, Tag(5)] = None


class VolumeSource(Struct):
    """What a volume is; one member is set."""

    hostPath: Annotated[HostPathVolumeSource | None, Tag(1)] = None
    emptyDir: Annotated[EmptyDirVolumeSource | None, Tag(2)] = None
    gcePersistentDisk: Annotated[GCEPersistentDiskVolumeSource | None, Tag(3)] = None
    awsElasticBlockStore: Annotated[AWSElasticBlockStoreVolumeSource | None, Tag(4)] = None
    gitRepo: Annotated[GitRepoVolumeSource | None, Tag(5)] = None
    secret: Annotated[SecretVolumeSource | None, Tag(6)] = None
    nfs: Annotated[NFSVolumeSource | None, Tag(7)] = None
    iscsi: Annotated[ISCSIVolumeSource | None, Tag(8)] = None
    glusterfs: Annotated[GlusterfsVolumeSource | None, Tag(9)] = None
    persistentVolumeClaim: Annotated[PersistentVolumeClaimVolumeSource | None, Tag(10)] = None
    rbd: Annotated[RBDVolumeSource | None, Tag(11)] = None
    flexVolume: Annotated[FlexVolumeSource | None, Tag(12)] = None
    cinder: Annotated[CinderVolumeSource | None, Tag(13)] = None
    cephfs: Annotated[CephFSVolumeSource | None, Tag(14)] = None
    flocker: Annotated[FlockerVolumeSource | None, Tag(15)] = None
    downwardAPI: Annotated[DownwardAPIVolumeSource | None, Tag(16)] = None
    fc: Annotated[FCVolumeSource | None, Tag(17)] = None
    azureFile: Annotated[AzureFileVolumeSource | None, Tag(18)] = None
    configMap: Annotated[ConfigMapVolumeSource | None, Tag(19)] = None
    vsphereVolume: Annotated[VsphereVirtualDiskVolumeSource | None, Tag(20)] = None
    quobyte: Annotated[QuobyteVolumeSource | None, Tag(21)] = None
    azureDisk: Annotated[AzureDiskVolumeSource | None, Tag(22)] = None
    photonPersistentDisk: Annotated[PhotonPersistentDiskVolumeSource | None, Tag(23)] = None
    projected: Annotated[ProjectedVolumeSource | None, Tag(26)] = None
    portworxVolume: Annotated[PortworxVolumeSource | None, Tag(24)] = None
    scaleIO: Annotated[ScaleIOVolumeSource | None, Tag(25)] = None
    storageos: Annotated[StorageOSVolumeSource | None, Tag(27)] = None
    csi: Annotated[CSIVolumeSource | None, Tag(28)] = None
    ephemeral: Annotated[EphemeralVolumeSource | None, Tag(29)] = None
    image: Annotated[ImageVolumeSource | None, Tag(30)] = None


class Volume(VolumeSource):
    """A volume of a pod, by the name its containers mount."""

    INLINE: ClassVar[int] = 2

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)

    def set_defaults(self) -> None:
        """A volume without a source is an empty directory."""
        if all(getattr(self, source) is None for source in VolumeSource.__struct_fields__):
            self.emptyDir = EmptyDirVolumeSource()
