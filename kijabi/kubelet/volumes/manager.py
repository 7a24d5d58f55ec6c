"""A pod's volumes: set up before its containers start, kept up to date while it runs, taken down after it.

`podworker.py` calls `setup` (again after every change of what the pod refers to), `actions.py` asks for a container's
mounts, `gc.py` for leftovers. Hands on to `payload.py` (what), `files.py` (the file system), `tokens.py`,
`certificates.py`, `references.py`, `persistent.py` (claims) and the runtime (the files of images). On disk:

    ROOT/<pod uid>/volumes/kubernetes.io~<kind>/<volume>   the volumes; those that outlive the pod: `persistent.py`
    ROOT/<pod uid>/volume-subpaths/<volume>/<container>/…  parts of volumes (`subpaths.py`)
    ROOT/<pod uid>/etc-hosts                               the managed hosts file
    ROOT/<pod uid>/containers/<container>/<attempt>        the termination message
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from kijabi.api.core.container import Container, VolumeMount
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import claim_of
from kijabi.api.core.volume import Volume
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.kubelet import references
from kijabi.kubelet.downward import Facts
from kijabi.kubelet.env import expand
from kijabi.kubelet.problems import ConfigProblem, VolumeProblem
from kijabi.kubelet.references import References
from kijabi.kubelet.runtime.interface import Device, Image, ImageViews, Mount, RuntimeFailure
from kijabi.kubelet.together import first, together
from kijabi.kubelet.volumes.certificates import Certificates
from kijabi.kubelet.volumes.files import Files
from kijabi.kubelet.volumes.payload import Sources, TokenWanted, is_payload, payload, tokens_of
from kijabi.kubelet.volumes.persistent import Persistent
from kijabi.kubelet.volumes.tokens import Tokens

IMAGE = "image"
HOSTS_PATH = "/etc/hosts"
PROPAGATION = {"HostToContainer": "rslave", "Bidirectional": "rshared"}


class Volumes:
    """The volumes of all pods on this node. root: the directory that holds a directory for each pod."""

    def __init__(
        self,
        files: Files,
        references: References,
        tokens: Tokens,
        certificates: Certificates,
        views: ImageViews,
        persistent: Persistent,
        root: str,
    ) -> None:
        self._files = files
        self._references = references
        self._tokens = tokens
        self._certificates = certificates
        self._views = views
        self._persistent = persistent
        self._root = root

    async def setup(self, pod: Pod, facts: Facts) -> None:
        """Make all volumes, or bring their content up to date. Raises VolumeProblem for the first that fails."""
        if not pod.spec.volumes:
            return
        sources = await self._gather(pod, facts)
        await together(self._one(pod, volume, sources) for volume in pod.spec.volumes)

    def renew_at(self, uid: str) -> float | None:
        """When `setup` is due again because a token or a certificate grows old, in seconds since the epoch."""
        times = (self._tokens.renew_at(uid), self._certificates.renew_at(uid))
        return min((at for at in times if at is not None), default=None)

    def mounts(
        self, pod: Pod, container: Container, attempt: int, env: Mapping[str, str], hosts: str
    ) -> tuple[tuple[Mount, ...], str]:
        """A container's mounts, and the file that takes its termination message ("" without one).

        hosts: the content of its /etc/hosts, "" to leave the image's. Raises ConfigProblem or VolumeProblem.
        """
        places = (f"{container.name}/{number}" for number in range(len(container.volumeMounts)))
        made = [self._mount(pod, *pair, env) for pair in zip(container.volumeMounts, places, strict=True)]
        paths = {mount.mountPath for mount in container.volumeMounts}
        home = f"{self._root}/{pod.metadata.uid}"
        if hosts and HOSTS_PATH not in paths:
            self._files.write_file(f"{home}/etc-hosts", hosts.encode(), 0o644)
            made.append(Mount(container_path=HOSTS_PATH, host_path=f"{home}/etc-hosts"))
        message = ""
        if container.terminationMessagePath:
            message = f"{home}/containers/{container.name}/{attempt}"
            self._files.write_file(message, b"", 0o666)
            made.append(Mount(container_path=container.terminationMessagePath, host_path=message))
        return tuple(made), message

    def devices(self, pod: Pod, container: Container) -> tuple[Device, ...]:
        """The block devices that a container is given. Raises VolumeProblem."""
        made = []
        for device in container.volumeDevices:
            place = self._persistent.place(pod.metadata.uid, device.name)
            if place is None:
                raise VolumeProblem(device.name, "the volume is not there yet")
            rights = "r" if place.read_only else "mrw"
            made.append(Device(container_path=device.devicePath, host_path=place.path, permissions=rights))
        return tuple(made)

    async def show_image(self, pod: Pod, volume: Volume, image: Image) -> None:
        """Make an `image` volume, once. Raises VolumeProblem."""
        path = self._path(pod, volume)
        try:
            await self._files.make_directory(path, 0o755, None, False)
            await self._views.show(image.id, path, pod.metadata.uid)
        except (RuntimeFailure, ConnectionLost, OSError) as problem:
            raise VolumeProblem(volume.name, str(problem)) from problem

    def leftovers(self) -> tuple[str, ...]:
        """The uids of pods that have something on disk."""
        return self._files.pods(self._root)

    async def teardown(self, uid: str) -> None:
        """Unmount and delete everything that the pod has on disk; repeatable. Raises OSError."""
        self._tokens.drop(uid)
        self._certificates.drop(uid)
        if f"kubernetes.io~{IMAGE}" in self._files.pods(f"{self._root}/{uid}/volumes"):
            try:
                await self._views.release(uid)
            except (RuntimeFailure, ConnectionLost) as problem:
                raise OSError(str(problem)) from problem
        await self._persistent.release(uid)
        await self._files.remove_tree(f"{self._root}/{uid}")

    async def _gather(self, pod: Pod, facts: Facts) -> Sources:
        """Everything that the payloads need, fetched side by side."""
        wanted = tuple({token: None for volume in pod.spec.volumes for token in tokens_of(volume)})
        try:
            async with asyncio.TaskGroup() as group:
                objects = group.create_task(self._references.get_all(references.of_volumes(pod)))
                tokens = group.create_task(self._all_tokens(pod, wanted))
                credentials = group.create_task(self._certificates.get(pod))
        except BaseExceptionGroup as errors:
            problem = first(errors)
            if not isinstance(problem, ApiError | ConnectionLost):
                raise problem from None
            name = next((v.name for v in pod.spec.volumes if is_payload(v)), pod.spec.volumes[0].name)
            raise VolumeProblem(name, str(problem)) from problem
        return Sources(objects=objects.result(), tokens=tokens.result(), credentials=credentials.result(), facts=facts)

    async def _all_tokens(self, pod: Pod, wanted: tuple[TokenWanted, ...]) -> dict[TokenWanted, str]:
        found = await together(self._tokens.get(pod, each) for each in wanted)
        return dict(zip(wanted, found, strict=True))

    async def _one(self, pod: Pod, volume: Volume, sources: Sources) -> None:
        path = self._path(pod, volume)
        whole = pod.spec.securityContext
        group = whole.fsGroup if whole is not None else None
        try:
            if (empty := volume.emptyDir) is not None:
                mode = 0o777 if empty.mode is None else empty.mode
                if empty.medium == "Memory":
                    size = empty.sizeLimit.value() if empty.sizeLimit is not None else 0
                    await self._files.mount_memory(path, size, mode, group)
                else:
                    lazy = whole is not None and whole.fsGroupChangePolicy == "OnRootMismatch"
                    await self._files.make_directory(path, mode, group, lazy)
            elif volume.hostPath is not None:
                self._files.check_host_path(volume.name, volume.hostPath.path, volume.hostPath.type or "")
            elif claim_of(pod, volume):
                await self._persistent.setup(pod, volume)
            elif volume.nfs is not None:
                await self._persistent.setup_nfs(pod, volume)
            elif volume.image is not None:
                return  # comes with its image, before the first container that mounts it
            elif is_payload(volume):
                await self._payload(pod, volume, path, sources, group)
            else:
                raise VolumeProblem(volume.name, "this node does not support volumes of this type")
        except OSError as problem:
            raise VolumeProblem(volume.name, str(problem)) from problem

    async def _payload(self, pod: Pod, volume: Volume, path: str, sources: Sources, group: int | None) -> None:
        """Secrets and tokens stay in memory, as they should never reach a disk."""
        files = payload(pod, volume, sources)
        if volume.secret is not None or volume.projected is not None:
            await self._files.mount_memory(path, 0, 0o777, None)
        else:
            await self._files.make_directory(path, 0o777, None, False)
        self._files.write_payload(path, files, group)

    def _path(self, pod: Pod, volume: Volume) -> str:
        if volume.hostPath is not None:
            return volume.hostPath.path
        return f"{self._root}/{pod.metadata.uid}/volumes/kubernetes.io~{_kind(volume)}/{volume.name}"

    def _mount(self, pod: Pod, mount: VolumeMount, which: str, env: Mapping[str, str]) -> Mount:
        """One mount; which: the container's and its number there."""
        volume = next((v for v in pod.spec.volumes if v.name == mount.name), None)
        if volume is None:
            raise ConfigProblem(f'cannot find volume "{mount.name}" to mount into container')
        place = self._persistent.place(pod.metadata.uid, volume.name)
        if place is None and (claim_of(pod, volume) or volume.nfs is not None):
            raise VolumeProblem(volume.name, "the volume is not there yet")
        path = place.path if place is not None else self._path(pod, volume)
        sub = self._sub_path(mount, env)
        if sub:
            part = f"{self._root}/{pod.metadata.uid}/volume-subpaths/{volume.name}/{which}"
            self._files.bind_sub_path(path, sub, part)
            path = part
        target = mount.mountPath if mount.mountPath.startswith("/") else f"/{mount.mountPath}"
        fixed = is_payload(volume) or volume.image is not None
        return Mount(
            container_path=target,
            host_path=path,
            read_only=mount.readOnly or fixed or (place is not None and place.read_only),
            propagation=PROPAGATION.get(mount.mountPropagation or "", "private"),  # type: ignore[arg-type]
        )

    def _sub_path(self, mount: VolumeMount, env: Mapping[str, str]) -> str:
        sub = mount.subPath
        if mount.subPathExpr:
            sub = expand(mount.subPathExpr, env)
            if "$(" in sub:
                raise ConfigProblem(f"missing value for {mount.subPathExpr!r}")
        if sub.startswith("/"):
            raise ConfigProblem(f"error SubPath `{sub}` must not be an absolute path")
        if ".." in sub.split("/"):
            raise ConfigProblem(f"unable to provision SubPath `{sub}`: must not contain '..'")
        return sub


def _kind(volume: Volume) -> str:
    for kind, source in (
        ("configmap", volume.configMap),
        ("secret", volume.secret),
        ("downward-api", volume.downwardAPI),
        ("projected", volume.projected),
        (IMAGE, volume.image),
    ):
        if source is not None:
            return kind
    return "empty-dir"
