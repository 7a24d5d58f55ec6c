"""Volumes of particular makers and protocols; most are gone upstream and kept for their objects' sake."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.reference import LocalObjectReference, ObjectReference, SecretReference
from kijabi.api.struct import Int32, Struct, Tag, empty_list


class GCEPersistentDiskVolumeSource(Struct):
    """A disk of Google Compute Engine."""

    pdName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    partition: Annotated[Int32, Tag(3)] = 0
    readOnly: Annotated[bool, Tag(4)] = False


class AWSElasticBlockStoreVolumeSource(Struct):
    """A disk of Amazon EBS."""

    volumeID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    partition: Annotated[Int32, Tag(3)] = 0
    readOnly: Annotated[bool, Tag(4)] = False


class GlusterfsPersistentVolumeSource(Struct):
    """A GlusterFS volume, with the namespace of its endpoints."""

    endpoints: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    path: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False
    endpointsNamespace: Annotated[str | None, Tag(4)] = None


class GlusterfsVolumeSource(Struct):
    """A GlusterFS volume."""

    endpoints: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    path: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False


class RBDPersistentVolumeSource(Struct):
    """A Ceph block image, with a secret from any namespace."""

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
    """A Ceph block image."""

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
    """An iSCSI disk, with a secret from any namespace."""

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
    """An iSCSI disk."""

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
    """An OpenStack disk, with a secret from any namespace."""

    volumeID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    readOnly: Annotated[bool, Tag(3)] = False
    secretRef: Annotated[SecretReference | None, Tag(4)] = None


class CinderVolumeSource(Struct):
    """An OpenStack disk."""

    volumeID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    readOnly: Annotated[bool, Tag(3)] = False
    secretRef: Annotated[LocalObjectReference | None, Tag(4)] = None


class CephFSPersistentVolumeSource(Struct):
    """A Ceph file system, with a secret from any namespace."""

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
    """A Ceph file system."""

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
    """A Fibre Channel disk."""

    targetWWNs: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    lun: Annotated[Int32 | None, Tag(2)] = None
    fsType: Annotated[str, Tag(3)] = ""
    readOnly: Annotated[bool, Tag(4)] = False
    wwids: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()


class FlockerVolumeSource(Struct):
    """A dataset of Flocker."""

    datasetName: Annotated[str, Tag(1)] = ""
    datasetUUID: Annotated[str, Tag(2)] = ""


class FlexPersistentVolumeSource(Struct):
    """A volume of a FlexVolume driver, with a secret from any namespace."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    secretRef: Annotated[SecretReference | None, Tag(3)] = None
    readOnly: Annotated[bool, Tag(4)] = False
    options: Annotated[dict[str, str], Tag(5)] = {}


class FlexVolumeSource(Struct):
    """A volume of a FlexVolume driver."""

    driver: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    secretRef: Annotated[LocalObjectReference | None, Tag(3)] = None
    readOnly: Annotated[bool, Tag(4)] = False
    options: Annotated[dict[str, str], Tag(5)] = {}


class AzureFilePersistentVolumeSource(Struct):
    """An Azure file share, with a secret from any namespace."""

    secretName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    shareName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False
    secretNamespace: Annotated[str | None, Tag(4)] = None


class AzureFileVolumeSource(Struct):
    """An Azure file share."""

    secretName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    shareName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False


class VsphereVirtualDiskVolumeSource(Struct):
    """A vSphere disk."""

    volumePath: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    storagePolicyName: Annotated[str, Tag(3)] = ""
    storagePolicyID: Annotated[str, Tag(4)] = ""


class QuobyteVolumeSource(Struct):
    """A Quobyte volume."""

    registry: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    volume: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False
    user: Annotated[str, Tag(4)] = ""
    group: Annotated[str, Tag(5)] = ""
    tenant: Annotated[str, Tag(6)] = ""


class AzureDiskVolumeSource(Struct):
    """An Azure disk."""

    diskName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    diskURI: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    cachingMode: Annotated[str | None, Tag(3, default="ReadWrite")] = None
    fsType: Annotated[str | None, Tag(4, default="ext4")] = None
    readOnly: Annotated[bool | None, Tag(5, default=False)] = None
    kind: Annotated[str | None, Tag(6, default="Shared")] = None


class PhotonPersistentDiskVolumeSource(Struct):
    """A Photon disk."""

    pdID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""


class PortworxVolumeSource(Struct):
    """A Portworx volume."""

    volumeID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    fsType: Annotated[str, Tag(2)] = ""
    readOnly: Annotated[bool, Tag(3)] = False


class ScaleIOPersistentVolumeSource(Struct):
    """A ScaleIO volume, with a secret from any namespace."""

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
    """A ScaleIO volume."""

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
    """A StorageOS volume, with a secret from any namespace."""

    volumeName: Annotated[str, Tag(1)] = ""
    volumeNamespace: Annotated[str, Tag(2)] = ""
    fsType: Annotated[str, Tag(3)] = ""
    readOnly: Annotated[bool, Tag(4)] = False
    secretRef: Annotated[ObjectReference | None, Tag(5)] = None


class StorageOSVolumeSource(Struct):
    """A StorageOS volume."""

    volumeName: Annotated[str, Tag(1)] = ""
    volumeNamespace: Annotated[str, Tag(2)] = ""
    fsType: Annotated[str, Tag(3)] = ""
    readOnly: Annotated[bool, Tag(4)] = False
    secretRef: Annotated[LocalObjectReference | None, Tag(5)] = None


class GitRepoVolumeSource(Struct):
    """A directory with a clone of a repository in it."""

    repository: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    revision: Annotated[str, Tag(2)] = ""
    directory: Annotated[str, Tag(3)] = ""
