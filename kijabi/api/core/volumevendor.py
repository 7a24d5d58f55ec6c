"""The volumevendor types of the core group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.reference import LocalObjectReference, ObjectReference, SecretReference
from kijabi.api.struct import Int32, Struct, Tag, empty_list


class GCEPersistentDiskVolumeSource(Struct):
    """The API type GCEPersistentDiskVolumeSource."""

    pdName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    partition: Annotated[Int32, Tag(3)] = 0
    readOnly: Annotated[bool, Tag(4)] = False


class AWSElasticBlockStoreVolumeSource(Struct):
    """The API type AWSElasticBlockStoreVolumeSource."""

    volumeID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    partition: Annotated[Int32, Tag(3)] = 0
    readOnly: Annotated[bool, Tag(4)] = False


class GlusterfsPersistentVolumeSource(Struct):
    """The API type GlusterfsPersistentVolumeSource."""

    endpoints: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    path: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False
    endpointsNamespace: Annotated[str | None, Tag(4)] = None


class GlusterfsVolumeSource(Struct):
    """The API type GlusterfsVolumeSource."""

    endpoints: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    path: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False


class RBDPersistentVolumeSource(Struct):
    """The API type RBDPersistentVolumeSource."""

    monitors: Annotated[
        tuple[str, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    image: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(3)] = ""
    pool: Annotated[str, Tag(4, default="rbd")] = ""
    user: Annotated[str, Tag(5, default="admin")] = ""
    keyring: Annotated[str, Tag(6, default="/etc/ceph/keyring")] = ""
    secretRef: Annotated[SecretReference | None, Tag(7)] = None
    readOnly: Annotated[bool, Tag(8)] = False


class RBDVolumeSource(Struct):
    """The API type RBDVolumeSource."""

    monitors: Annotated[
        tuple[str, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    image: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(3)] = ""
    pool: Annotated[str, Tag(4, default="rbd")] = ""
    user: Annotated[str, Tag(5, default="admin")] = ""
    keyring: Annotated[str, Tag(6, default="/etc/ceph/keyring")] = ""
    secretRef: Annotated[LocalObjectReference | None, Tag(7)] = None
    readOnly: Annotated[bool, Tag(8)] = False


class ISCSIPersistentVolumeSource(Struct):
    """The API type ISCSIPersistentVolumeSource."""

    targetPortal: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    iqn: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lun: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)
    iscsiInterface: Annotated[str, Tag(4, default="default")] = ""
    fsType: Annotated[str, Tag(5)] = ""
    readOnly: Annotated[bool, Tag(6)] = False
    portals: Annotated[tuple[str, ...], Tag(7, listType="atomic")] = ()
    chapAuthDiscovery: Annotated[bool, Tag(8)] = False
    chapAuthSession: Annotated[bool, Tag(11)] = False
    secretRef: Annotated[SecretReference | None, Tag(10)] = None
    initiatorName: Annotated[str | None, Tag(12)] = None


class ISCSIVolumeSource(Struct):
    """The API type ISCSIVolumeSource."""

    targetPortal: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    iqn: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lun: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)
    iscsiInterface: Annotated[str, Tag(4, default="default")] = ""
    fsType: Annotated[str, Tag(5)] = ""
    readOnly: Annotated[bool, Tag(6)] = False
    portals: Annotated[tuple[str, ...], Tag(7, listType="atomic")] = ()
    chapAuthDiscovery: Annotated[bool, Tag(8)] = False
    chapAuthSession: Annotated[bool, Tag(11)] = False
    secretRef: Annotated[LocalObjectReference | None, Tag(10)] = None
    initiatorName: Annotated[str | None, Tag(12)] = None


class CinderPersistentVolumeSource(Struct):
    """The API type CinderPersistentVolumeSource."""

    volumeID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    readOnly: Annotated[bool, Tag(3)] = False
    secretRef: Annotated[SecretReference | None, Tag(4)] = None


class CinderVolumeSource(Struct):
    """The API type CinderVolumeSource."""

    volumeID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    readOnly: Annotated[bool, Tag(3)] = False
    secretRef: Annotated[LocalObjectReference | None, Tag(4)] = None


class CephFSPersistentVolumeSource(Struct):
    """The API type CephFSPersistentVolumeSource."""

    monitors: Annotated[
        tuple[str, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    path: Annotated[str, Tag(2)] = ""
    user: Annotated[str, Tag(3)] = ""
    secretFile: Annotated[str, Tag(4)] = ""
    secretRef: Annotated[SecretReference | None, Tag(5)] = None
    readOnly: Annotated[bool, Tag(6)] = False


class CephFSVolumeSource(Struct):
    """The API type CephFSVolumeSource."""

    monitors: Annotated[
        tuple[str, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    path: Annotated[str, Tag(2)] = ""
    user: Annotated[str, Tag(3)] = ""
    secretFile: Annotated[str, Tag(4)] = ""
    secretRef: Annotated[LocalObjectReference | None, Tag(5)] = None
    readOnly: Annotated[bool, Tag(6)] = False


class FCVolumeSource(Struct):
    """The API type FCVolumeSource."""

    targetWWNs: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    lun: Annotated[Int32 | None, Tag(2)] = None
    fsType: Annotated[str, Tag(3)] = ""
    readOnly: Annotated[bool, Tag(4)] = False
    wwids: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()


class FlockerVolumeSource(Struct):
    """The API type FlockerVolumeSource."""

    datasetName: Annotated[str, Tag(1)] = ""
    datasetUUID: Annotated[str, Tag(2)] = ""


class FlexPersistentVolumeSource(Struct):
    """The API type FlexPersistentVolumeSource."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    secretRef: Annotated[SecretReference | None, Tag(3)] = None
    readOnly: Annotated[bool, Tag(4)] = False
    options: Annotated[dict[str, str], Tag(5)] = {}


class FlexVolumeSource(Struct):
    """The API type FlexVolumeSource."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    secretRef: Annotated[LocalObjectReference | None, Tag(3)] = None
    readOnly: Annotated[bool, Tag(4)] = False
    options: Annotated[dict[str, str], Tag(5)] = {}


class AzureFilePersistentVolumeSource(Struct):
    """The API type AzureFilePersistentVolumeSource."""

    secretName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    shareName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False
    secretNamespace: Annotated[str | None, Tag(4)] = None


class AzureFileVolumeSource(Struct):
    """The API type AzureFileVolumeSource."""

    secretName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    shareName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False


class VsphereVirtualDiskVolumeSource(Struct):
    """The API type VsphereVirtualDiskVolumeSource."""

    volumePath: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    storagePolicyName: Annotated[str, Tag(3)] = ""
    storagePolicyID: Annotated[str, Tag(4)] = ""


class QuobyteVolumeSource(Struct):
    """The API type QuobyteVolumeSource."""

    registry: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    volume: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False
    user: Annotated[str, Tag(4)] = ""
    group: Annotated[str, Tag(5)] = ""
    tenant: Annotated[str, Tag(6)] = ""


class AzureDiskVolumeSource(Struct):
    """The API type AzureDiskVolumeSource."""

    diskName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    diskURI: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    cachingMode: Annotated[str | None, Tag(3, default="ReadWrite")] = None
    fsType: Annotated[str | None, Tag(4, default="ext4")] = None
    readOnly: Annotated[bool | None, Tag(5, default=False)] = None
    kind: Annotated[str | None, Tag(6, default="Shared")] = None


class PhotonPersistentDiskVolumeSource(Struct):
    """The API type PhotonPersistentDiskVolumeSource."""

    pdID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""


class PortworxVolumeSource(Struct):
    """The API type PortworxVolumeSource."""

    volumeID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    readOnly: Annotated[bool, Tag(3)] = False


class ScaleIOPersistentVolumeSource(Struct):
    """The API type ScaleIOPersistentVolumeSource."""

    gateway: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    system: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    secretRef: Annotated[SecretReference | None, Tag(3, required=True)] = None
    sslEnabled: Annotated[bool, Tag(4)] = False
    protectionDomain: Annotated[str, Tag(5)] = ""
    storagePool: Annotated[str, Tag(6)] = ""
    storageMode: Annotated[str, Tag(7, default="ThinProvisioned")] = ""
    volumeName: Annotated[str, Tag(8)] = ""
    fsType: Annotated[str, Tag(9, default="xfs")] = ""
    readOnly: Annotated[bool, Tag(10)] = False


class ScaleIOVolumeSource(Struct):
    """The API type ScaleIOVolumeSource."""

    gateway: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    system: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    secretRef: Annotated[LocalObjectReference | None, Tag(3, required=True)] = None
    sslEnabled: Annotated[bool, Tag(4)] = False
    protectionDomain: Annotated[str, Tag(5)] = ""
    storagePool: Annotated[str, Tag(6)] = ""
    storageMode: Annotated[str, Tag(7, default="ThinProvisioned")] = ""
    volumeName: Annotated[str, Tag(8)] = ""
    fsType: Annotated[str, Tag(9, default="xfs")] = ""
    readOnly: Annotated[bool, Tag(10)] = False


class StorageOSPersistentVolumeSource(Struct):
    """The API type StorageOSPersistentVolumeSource."""

    volumeName: Annotated[str, Tag(1)] = ""
    volumeNamespace: Annotated[str, Tag(2)] = ""
    fsType: Annotated[str, Tag(3)] = ""
    readOnly: Annotated[bool, Tag(4)] = False
    secretRef: Annotated[ObjectReference | None, Tag(5)] = None


class StorageOSVolumeSource(Struct):
    """The API type StorageOSVolumeSource."""

    volumeName: Annotated[str, Tag(1)] = ""
    volumeNamespace: Annotated[str, Tag(2)] = ""
    fsType: Annotated[str, Tag(3)] = ""
    readOnly: Annotated[bool, Tag(4)] = False
    secretRef: Annotated[LocalObjectReference | None, Tag(5)] = None


class GitRepoVolumeSource(Struct):
    """The API type GitRepoVolumeSource."""

    repository: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    revision: Annotated[str, Tag(2)] = ""
    directory: Annotated[str, Tag(3)] = ""
