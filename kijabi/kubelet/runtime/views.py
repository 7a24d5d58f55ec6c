"""The files of images at directories of this machine, for `image` volumes (KEP-4639).

The CRI of containerd before 2.1 mounts no images, so this takes a read-only view of the image's snapshot from
containerd's own services and mounts it; a lease keeps the files as long as the pod is there, whatever becomes of the
image. `cri.CriRuntime` makes it; the kubelet's volume manager asks it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Annotated

from kijabi.api.struct import Struct, Tag
from kijabi.kubelet.runtime import cri_convert, linux
from kijabi.kubelet.runtime import cri_image_messages as im
from kijabi.kubelet.runtime import cri_messages as m
from kijabi.kubelet.runtime.interface import RuntimeFailure
from kijabi.kubelet.runtime.rpc import Channel, RpcError

NAMESPACE = ("containerd-namespace", "k8s.io")
IMAGES = "runtime.v1.ImageService"
LEASES = "containerd.services.leases.v1.Leases"
SNAPSHOTS = "containerd.services.snapshots.v1.Snapshots"
OWNER = "io.kijabi.owner"  # the label of a lease
REASON = "ImageMountError"
KIND = ".snapshotter.v1."  # what containerd's directory of snapshots is called by, before the snapshotter's name
LONGEST = 4095  # bytes of mount options; the kernel takes one page


class VerboseRequest(Struct):
    """ImageStatusRequest for everything that containerd knows."""

    image: Annotated[m.ImageSpec | None, Tag(1)] = None
    verbose: Annotated[bool, Tag(2)] = False


class VerboseResponse(Struct):
    """What it knows, each value JSON."""

    info: Annotated[dict[str, str], Tag(2)] = {}


class Lease(Struct):
    """A lease, and the request for one."""

    id: Annotated[str, Tag(1)] = ""
    labels: Annotated[dict[str, str], Tag(3)] = {}


class LeasesRequest(Struct):
    """Which leases."""

    filters: Annotated[tuple[str, ...], Tag(1)] = ()


class LeasesResponse(Struct):
    """The leases."""

    leases: Annotated[tuple[Lease, ...], Tag(1)] = ()


class LeaseRequest(Struct):
    """The lease to end. sync: with what it alone kept."""

    id: Annotated[str, Tag(1)] = ""
    sync: Annotated[bool, Tag(2)] = False


class ViewRequest(Struct):
    """A read-only snapshot on top of another; and (without a parent) the request for its mounts."""

    snapshotter: Annotated[str, Tag(1)] = ""
    key: Annotated[str, Tag(2)] = ""
    parent: Annotated[str, Tag(3)] = ""


class SnapshotMount(Struct):
    """How to mount it."""

    type: Annotated[str, Tag(1)] = ""
    source: Annotated[str, Tag(2)] = ""
    options: Annotated[tuple[str, ...], Tag(4)] = ()


class MountsResponse(Struct):
    """How to mount a snapshot."""

    mounts: Annotated[tuple[SnapshotMount, ...], Tag(1)] = ()


class Nothing(Struct):
    """An answer that nobody reads."""


class SnapshotViews:
    """containerd's. Messages are those of its `api/services/{leases,snapshots}/v1`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._showing = asyncio.Lock()  # several containers of a pod may ask for one path

    async def show(self, image_id: str, path: str, owner: str) -> None:
        """See interface.ImageViews."""
        async with self._showing:
            if any(point.path == path for point in linux.mounts()):
                return
            try:
                [mount] = (await self._view(image_id, path, owner)).mounts
            except RpcError as error:
                raise cri_convert.failure(REASON, error.code, error.message) from error
            except ValueError as error:
                raise RuntimeFailure(REASON, str(error)) from error
            await asyncio.to_thread(_mount, mount, path)

    async def release(self, owner: str) -> None:
        """See interface.ImageViews."""
        try:
            wanted = LeasesRequest(filters=(f'labels."{OWNER}"=={owner}',))
            found = await self._channel.call(f"{LEASES}/List", wanted, LeasesResponse, metadata=(NAMESPACE,))
            for lease in found.leases:
                gone = LeaseRequest(id=lease.id, sync=True)
                await self._channel.call(f"{LEASES}/Delete", gone, Nothing, metadata=(NAMESPACE,))
        except RpcError as error:
            raise cri_convert.failure(REASON, error.code, error.message) from error

    async def _view(self, image_id: str, path: str, owner: str) -> MountsResponse:
        """The mounts of the view for a path, made if it is not there yet. Raises RpcError, ValueError."""
        chain, snapshotter = await self._chain(image_id), await self._snapshotter()
        key = f"kijabi-{hashlib.sha256(path.encode()).hexdigest()}"
        leased = (NAMESPACE, ("containerd-lease", key))
        await self._unless_there(f"{LEASES}/Create", Lease(id=key, labels={OWNER: owner}), (NAMESPACE,))
        view = ViewRequest(snapshotter=snapshotter, key=key, parent=chain)
        await self._unless_there(f"{SNAPSHOTS}/View", view, leased)
        asked = ViewRequest(snapshotter=snapshotter, key=key)
        return await self._channel.call(f"{SNAPSHOTS}/Mounts", asked, MountsResponse, metadata=(NAMESPACE,))

    async def _unless_there(self, method: str, request: Struct, metadata: tuple[tuple[str, str], ...]) -> None:
        try:
            await self._channel.call(method, request, Nothing, metadata=metadata)
        except RpcError as error:
            if error.code != "ALREADY_EXISTS":
                raise

    async def _chain(self, image_id: str) -> str:
        """The name of the snapshot of an image's layers."""
        asked = VerboseRequest(image=m.ImageSpec(image=image_id), verbose=True)
        answer = await self._channel.call(f"{IMAGES}/ImageStatus", asked, VerboseResponse)
        if "info" not in answer.info:
            raise ValueError(f"image {image_id} is not there")
        return str(json.loads(answer.info["info"])["chainID"])

    async def _snapshotter(self) -> str:
        answer = await self._channel.call(f"{IMAGES}/ImageFsInfo", m.Empty(), im.ImageFsInfoResponse)
        for usage in answer.image_filesystems:
            _, found, name = (usage.fs_id.mountpoint if usage.fs_id is not None else "").partition(KIND)
            if found:
                return name
        raise ValueError("containerd names no snapshotter")


def _mount(mount: SnapshotMount, path: str) -> None:
    """Mount a view; raises RuntimeFailure where it has too many layers, OSError."""
    if mount.type == "bind":
        linux.mount(mount.source, path, linux.MS_BIND)
        linux.mount("", path, linux.MS_BIND | linux.MS_REMOUNT | linux.MS_RDONLY | linux.MS_NOEXEC)
        return
    options = ",".join(option for option in mount.options if option not in ("ro", "rbind"))
    if len(options) > LONGEST:
        raise RuntimeFailure(REASON, f"the image has more layers than can be mounted at {path}")
    linux.mount(mount.source, path, linux.MS_RDONLY | linux.MS_NOEXEC, mount.type, options)
