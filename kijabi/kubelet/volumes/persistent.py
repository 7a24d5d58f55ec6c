"""Volumes that outlive their pods: from a pod's claim to the PersistentVolume behind it, to a place on this node.

`manager.py` calls `setup` before containers start and `release` when the pod is gone; what `place` gives is mounted
into containers. Receives claims and volumes from `references.py`; all effects go through `files.py`. A volume of kind
`local` or `nfs` is mounted below the pod's directory, so that whoever finds the directory after a crash finds the
mount; a `hostPath` and a block device are given to containers as they are. Steps, checks and texts are those of
k8s.io/kubernetes `pkg/kubelet/volumemanager/populator` and `pkg/volume/{local,nfs,hostpath}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import claim_of
from kijabi.api.core.volume import NFSVolumeSource, Volume
from kijabi.api.storage.matching import node_matches
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.kubelet import podspec
from kijabi.kubelet.problems import UnreadyVolume, VolumeProblem
from kijabi.kubelet.references import Ref, References
from kijabi.kubelet.reports import Reports
from kijabi.kubelet.volumes.files import Files

PROTECTION = "kubernetes.io/pvc-protection"
MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
# Directories below a pod's `volumes/` that hold mounts of what is not the pod's.
MOUNTED_KINDS = ("kubernetes.io~local-volume", "kubernetes.io~nfs")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a pod's volume is on this node. volume: the PersistentVolume. device: path is a block device."""

    volume: str
    path: str
    read_only: bool = False
    device: bool = False


def uses(pod: Pod, volume: Volume) -> tuple[bool, bool]:
    """Whether any container mounts the volume, and whether any has it as a device."""
    containers = [container for _, container in podspec.containers(pod.spec)]
    mounted = any(mount.name == volume.name for c in containers for mount in c.volumeMounts)
    return mounted, any(device.name == volume.name for c in containers for device in c.volumeDevices)


class Persistent:
    """The persistent volumes of this node's pods. labels(): of the node. root: holds a directory for each pod."""

    def __init__(
        self,
        files: Files,
        references: References,
        reports: Reports,
        labels: Callable[[], Mapping[str, str]],
        root: str,
    ) -> None:
        self._files = files
        self._references = references
        self._reports = reports
        self._labels = labels
        self._root = root
        self._places: dict[str, dict[str, Place]] = {}  # pod uid → name of the pod's volume → where it is

    async def setup(self, pod: Pod, volume: Volume) -> None:
        """Make the volume of a claim usable, once. Raises VolumeProblem."""
        mounted, device = uses(pod, volume)
        if volume.name in self._places.get(pod.metadata.uid, {}) or not (mounted or device):
            return
        claim = await self._claim(pod, volume)
        found = await self._volume(volume, claim)
        mode = found.spec.volumeMode or "Filesystem"
        for wanted, used, field in (("Filesystem", mounted, "Mounts"), ("Block", device, "Devices")):
            if used and mode != wanted:
                text = f"volume {volume.name} has volumeMode {mode}, but is specified in volume{field}"
                raise UnreadyVolume(volume.name, text)
        name = found.metadata.name
        read_only = volume.persistentVolumeClaim is not None and volume.persistentVolumeClaim.readOnly
        if not node_matches(found, self._labels()):
            raise VolumeProblem(name, "no matching NodeSelectorTerms", "MountVolume.NodeAffinity check failed")
        self._check_sharing(pod, found)
        try:
            place = self._device(found, read_only) if device else await self._mount(pod, found, read_only)
        except OSError as problem:
            raise VolumeProblem(name, str(problem)) from problem
        self._places.setdefault(pod.metadata.uid, {})[volume.name] = place

    async def setup_nfs(self, pod: Pod, volume: Volume) -> None:
        """Mount a pod's own volume of kind nfs, once. Raises VolumeProblem, OSError."""
        assert volume.nfs is not None
        path = await self._nfs(pod, volume.name, volume.nfs, volume.nfs.readOnly, ())
        place = Place(volume=volume.name, path=path, read_only=volume.nfs.readOnly)
        self._places.setdefault(pod.metadata.uid, {})[volume.name] = place

    def place(self, uid: str, volume: str) -> Place | None:
        """Where a pod's volume is; None before its `setup`."""
        return self._places.get(uid, {}).get(volume)

    async def release(self, uid: str) -> None:
        """Unmount what the pod has; repeatable, and for pods of an earlier kubelet too. Raises OSError."""
        home = f"{self._root}/{uid}/volumes"
        for kind in MOUNTED_KINDS:
            for name in self._files.pods(f"{home}/{kind}"):
                await self._files.unmount(f"{home}/{kind}/{name}")
        self._places.pop(uid, None)

    # From the claim to the volume

    async def _claim(self, pod: Pod, volume: Volume) -> PersistentVolumeClaim:
        namespace, name = pod.metadata.namespace, claim_of(pod, volume)
        try:
            claim: PersistentVolumeClaim | None = await self._references.get(Ref("claim", namespace, name))
        except (ApiError, ConnectionLost) as problem:
            text = f"failed to fetch PVC from API server: {problem}"
            raise _unready(pod, volume, text) from problem
        if claim is None:
            text = f'persistentvolumeclaims "{name}" not found'
            raise _unready(pod, volume, f"failed to fetch PVC from API server: {text}")
        if claim.metadata.deletionTimestamp is not None and PROTECTION not in claim.metadata.finalizers:
            raise _unready(pod, volume, "PVC is being deleted")
        if claim.status.phase != "Bound":
            raise _unready(pod, volume, "PVC is not bound")
        if not claim.spec.volumeName:
            raise _unready(pod, volume, "PVC has empty pvc.Spec.VolumeName")
        owner = next((o for o in claim.metadata.ownerReferences if o.controller), None)
        if volume.ephemeral is not None and (owner is None or owner.uid != pod.metadata.uid):
            text = f"PVC {namespace}/{name} was not created for pod {namespace}/{pod.metadata.name} (pod is not owner)"
            raise UnreadyVolume(volume.name, text)
        return claim

    async def _volume(self, volume: Volume, claim: PersistentVolumeClaim) -> PersistentVolume:
        own, name = claim.metadata, claim.spec.volumeName
        where = f"error processing PVC {own.namespace}/{own.name}: "
        try:
            found: PersistentVolume | None = await self._references.get(Ref("volume", "", name))
        except (ApiError, ConnectionLost) as problem:
            text = f"{where}failed to fetch PV {name} from API server: {problem}"
            raise UnreadyVolume(volume.name, text) from problem
        if found is None:
            text = f'{where}failed to fetch PV {name} from API server: persistentvolumes "{name}" not found'
            raise UnreadyVolume(volume.name, text)
        ref = found.spec.claimRef
        if ref is None:
            text = "it has a nil pv.Spec.ClaimRef indicating it is not yet bound to the claim"
            raise UnreadyVolume(volume.name, f"{where}found PV object {name} but {text}")
        if ref.uid != own.uid:
            text = f"its pv.Spec.ClaimRef.UID {ref.uid} does not point to claim.UID {own.uid}"
            raise UnreadyVolume(volume.name, f"{where}found PV object {name} but {text}")
        return found

    # From the volume to a place

    def _others(self, pod: Pod, name: str) -> bool:
        """Whether another pod here has the volume."""
        return any(
            place.volume == name
            for uid, places in self._places.items()
            if uid != pod.metadata.uid
            for place in places.values()
        )

    def _check_sharing(self, pod: Pod, volume: PersistentVolume) -> None:
        if volume.spec.accessModes == ("ReadWriteOncePod",) and self._others(pod, volume.metadata.name):
            text = "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
            raise VolumeProblem(volume.metadata.name, text)

    def _device(self, volume: PersistentVolume, read_only: bool) -> Place:
        name, local = volume.metadata.name, volume.spec.local
        if local is None:
            raise VolumeProblem(name, "no volume plugin matched", "MapVolume.FindMapperPluginBySpec failed")
        self._files.check_host_path(name, local.path, "BlockDevice")
        return Place(volume=name, path=local.path, read_only=read_only, device=True)

    async def _mount(self, pod: Pod, volume: PersistentVolume, read_only: bool) -> Place:
        name, spec = volume.metadata.name, volume.spec
        options = spec.mountOptions
        if beta := volume.metadata.annotations.get(MOUNT_OPTIONS):
            options = tuple(beta.split(","))
        if spec.hostPath is not None:
            if options:
                text = "mount options are not supported for this volume type"
                raise VolumeProblem(name, text, "MountVolume.MountOptionSupport check failed")
            self._files.check_host_path(name, spec.hostPath.path, spec.hostPath.type or "")
            path = spec.hostPath.path
        elif spec.nfs is not None:
            path = await self._nfs(pod, name, spec.nfs, read_only, options)
        elif spec.local is not None:
            path = await self._local(pod, name, spec.local.path, options, read_only)
        else:
            raise VolumeProblem(name, "no volume plugin matched", "MountVolume.FindPluginBySpec failed")
        return Place(volume=name, path=path, read_only=read_only)

    async def _nfs(self, pod: Pod, name: str, nfs: NFSVolumeSource, read_only: bool, options: tuple[str, ...]) -> str:
        path = f"{self._root}/{pod.metadata.uid}/volumes/kubernetes.io~nfs/{name}"
        await self._files.mount(f"{nfs.server}:{nfs.path}", path, "nfs", (*options, *(("ro",) if read_only else ())))
        return path

    async def _local(self, pod: Pod, name: str, source: str, options: tuple[str, ...], read_only: bool) -> str:
        """Containers are what is kept from writing: a pod may have one volume twice, and only once to read."""
        if not source:
            raise VolumeProblem(name, f'LocalVolume volume "{name}" path is empty')
        if ".." in source.split("/"):
            raise VolumeProblem(name, f"invalid path: {source} must not contain '..'")
        path = f"{self._root}/{pod.metadata.uid}/volumes/kubernetes.io~local-volume/{name}"
        fresh = await self._files.mount(source, path, "", ("bind", *options))
        whole = pod.spec.securityContext
        group = whole.fsGroup if whole is not None else None
        if whole is None or group is None or read_only or not fresh:
            return path
        if not self._others(pod, name):
            await self._files.own(path, group, whole.fsGroupChangePolicy == "OnRootMismatch")
        elif (held := self._files.group_of(path)) != group:
            text = f"The requested fsGroup is {group}, but the volume {name} has GID {held}. "
            self._reports.pod(pod, "Warning", "AlreadyMountedVolume", f"{text}The volume may not be shareable.")
        return path


def _unready(pod: Pod, volume: Volume, text: str) -> UnreadyVolume:
    claim = f"{pod.metadata.namespace}/{claim_of(pod, volume)}"
    return UnreadyVolume(volume.name, f"error processing PVC {claim}: {text}")
