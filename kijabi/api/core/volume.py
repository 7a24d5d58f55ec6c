"""The volume types of the core group."""

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
    """The API type EmptyDirVolumeSource."""

    medium: Annotated[str, Tag(1)] = ""
    sizeLimit: Annotated[Quantity | None, Tag(2)] = None
    mode: Annotated[Int32 | None, Tag(3, gate="EmptyDirVolumeMode")] = None


class HostPathVolumeSource(Struct):
    """The API type HostPathVolumeSource."""

    path: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    type: Annotated[str | None, Tag(2)] = None

    def set_defaults(self) -> None:
        """Unset, nothing is checked before the mount."""
        self.type = self.type or ""


class KeyToPath(Struct):
    """The API type KeyToPath."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    path: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    mode: Annotated[Int32 | None, Tag(3)] = None
    user: Annotated[Int64 | None, Tag(4, gate="AtomicWriteVolumeUserFields")] = None


class SecretVolumeSource(Struct):
    """The API type SecretVolumeSource."""

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
    """The API type ConfigMapVolumeSource."""

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
    """The API type DownwardAPIVolumeFile."""

    path: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fieldRef: Annotated[ObjectFieldSelector | None, Tag(2)] = None
    resourceFieldRef: Annotated[ResourceFieldSelector | None, Tag(3)] = None
    mode: Annotated[Int32 | None, Tag(4)] = None
    user: Annotated[Int64 | None, Tag(5, gate="AtomicWriteVolumeUserFields")] = None


class DownwardAPIVolumeSource(Struct):
    """The API type DownwardAPIVolumeSource."""

    items: Annotated[tuple[DownwardAPIVolumeFile, ...], Tag(1, listType="atomic")] = ()
    defaultMode: Annotated[Int32 | None, Tag(2)] = None
    defaultUser: Annotated[Int64 | None, Tag(3, gate="AtomicWriteVolumeUserFields")] = None

    def set_defaults(self) -> None:
        """Files are 0644."""
        if self.defaultMode is None:
            self.defaultMode = 0o644


class SecretProjection(LocalObjectReference):
    """The API type SecretProjection."""

    INLINE: ClassVar[int] = 1

    items: Annotated[tuple[KeyToPath, ...], Tag(2, listType="atomic")] = ()
    optional: Annotated[bool | None, Tag(4)] = None


class DownwardAPIProjection(Struct):
    """The API type DownwardAPIProjection."""

    items: Annotated[tuple[DownwardAPIVolumeFile, ...], Tag(1, listType="atomic")] = ()


class ConfigMapProjection(LocalObjectReference):
    """The API type ConfigMapProjection."""

    INLINE: ClassVar[int] = 1

    items: Annotated[tuple[KeyToPath, ...], Tag(2, listType="atomic")] = ()
    optional: Annotated[bool | None, Tag(4)] = None


class ServiceAccountTokenProjection(Struct):
    """The API type ServiceAccountTokenProjection."""

    audience: Annotated[str, Tag(1)] = ""
    expirationSeconds: Annotated[Int64 | None, Tag(2)] = None
    path: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    user: Annotated[Int64 | None, Tag(4, gate="AtomicWriteVolumeUserFields")] = None

    def set_defaults(self) -> None:
        """A token lasts an hour."""
        if self.expirationSeconds is None:
            self.expirationSeconds = 3600


class ClusterTrustBundleProjection(Struct):
    """The API type ClusterTrustBundleProjection."""

    name: Annotated[str | None, Tag(1)] = None
    signerName: Annotated[str | None, Tag(2)] = None
    labelSelector: Annotated[LabelSelector | None, Tag(3)] = None
    optional: Annotated[bool | None, Tag(5)] = None
    path: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    user: Annotated[Int64 | None, Tag(6, gate="AtomicWriteVolumeUserFields")] = None


class PodCertificateProjection(Struct):
    """The API type PodCertificateProjection."""

    signerName: Annotated[str, Tag(1, required=True)] = ""
    keyType: Annotated[str, Tag(2, required=True)] = ""
    maxExpirationSeconds: Annotated[Int32 | None, Tag(3)] = None
    credentialBundlePath: Annotated[str, Tag(4)] = ""
    keyPath: Annotated[str, Tag(5)] = ""
    certificateChainPath: Annotated[str, Tag(6)] = ""
    userAnnotations: Annotated[dict[str, str], Tag(7)] = {}
    user: Annotated[Int64 | None, Tag(8, gate="AtomicWriteVolumeUserFields")] = None


class VolumeProjection(Struct):
    """The API type VolumeProjection."""

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
    """The API type ProjectedVolumeSource."""

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
    """The API type PersistentVolumeClaimVolumeSource."""

    claimName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(2)] = False


class PersistentVolumeClaimTemplate(Struct):
    """The API type PersistentVolumeClaimTemplate."""

    metadata: Annotated[ObjectMeta, Tag(1)] = field(default_factory=ObjectMeta)
    spec: Annotated[
        PersistentVolumeClaimSpec,
        Tag(2, required=True),
    ] = field(default_factory=PersistentVolumeClaimSpec)


class EphemeralVolumeSource(Struct):
    """The API type EphemeralVolumeSource."""

    volumeClaimTemplate: Annotated[PersistentVolumeClaimTemplate | None, Tag(1)] = None


class ImageVolumeSource(Struct):
    """The API type ImageVolumeSource."""

    reference: Annotated[str, Tag(1)] = ""
    pullPolicy: Annotated[str, Tag(2)] = ""

    def set_defaults(self) -> None:
        """As a container's image."""
        self.pullPolicy = self.pullPolicy or pull_policy(self.reference)


class NFSVolumeSource(Struct):
    """The API type NFSVolumeSource."""

    server: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    path: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False


class CSIVolumeSource(Struct):
    """The API type CSIVolumeSource."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool | None, Tag(2)] = None
    fsType: Annotated[str | None, Tag(3)] = None
    volumeAttributes: Annotated[dict[str, str], Tag(4)] = {}
    nodePublishSecretRef: Annotated[LocalObjectReference | None, Tag(5)] = None


class VolumeSource(Struct):
    """The API type VolumeSource."""

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
    """The API type Volume."""

    INLINE: ClassVar[int] = 2

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)

    def set_defaults(self) -> None:
        """A volume without a source is an empty directory."""
        if all(getattr(self, source) is None for source in VolumeSource.__struct_fields__):
            self.emptyDir = EmptyDirVolumeSource()
