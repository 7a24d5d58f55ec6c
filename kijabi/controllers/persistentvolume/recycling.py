"""Volumes with the (deprecated) policy Recycle are emptied by a pod and given to the next claim.

Receives Released volumes from `controller.py`, runs a pod over each, and hands back what came of it. A pod is believed
only if this process made it, for anybody may create one of that name that does nothing; one that is found from before
is deleted first (k8s.io/kubernetes `pkg/volume/util/recyclerclient` and `pkg/volume/plugins.go`).
"""

from __future__ import annotations

from typing import NamedTuple

from kijabi.api.core.affinity import Affinity, NodeAffinity
from kijabi.api.core.container import Container, VolumeMount
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.pod import Pod, PodSpec
from kijabi.api.core.volume import HostPathVolumeSource, NFSVolumeSource, Volume
from kijabi.api.meta import ObjectMeta
from kijabi.api.storage.matching import capacity
from kijabi.base.errors import Conflict, NotFound
from kijabi.client.client import Client
from kijabi.client.informer import Informer

NAMESPACE, PREFIX = "default", "recycler-for-"
IMAGE = "registry.k8s.io/build-image/debian-base:bookworm-v1.0.6"
SCRUB = 'test -e /scrub && find /scrub -mindepth 1 -delete && test -z "$(ls -A /scrub)" || exit 1'
LEAST_HOST_PATH, LEAST_NFS, PER_GIB = 60, 300, 30
"""Seconds that a pod has: at least so many, and so many for each GiB (flags of upstream's controller manager)."""
AGAIN = 15.0
"""Seconds until a volume that could not be emptied is tried again (upstream's sync period)."""


def recycler(volume: PersistentVolume) -> Pod:
    """The pod that empties a volume, on a node from which it can be reached. (Upstream's goes to any node, and empties
    whatever directory of that path is there.)"""
    host, nfs = volume.spec.hostPath, volume.spec.nfs
    least = LEAST_NFS if host is None else LEAST_HOST_PATH
    disk = Volume(
        name="vol",
        hostPath=HostPathVolumeSource(path=host.path) if host is not None else None,
        nfs=NFSVolumeSource(server=nfs.server, path=nfs.path) if nfs is not None else None,
    )
    where = volume.spec.nodeAffinity
    only = NodeAffinity(requiredDuringSchedulingIgnoredDuringExecution=where.required) if where is not None else None
    scrub = Container(
        name="pv-recycler",
        image=IMAGE,
        command=("/bin/sh",),
        args=("-c", SCRUB),
        volumeMounts=(VolumeMount(name="vol", mountPath="/scrub"),),
    )
    return Pod(
        metadata=ObjectMeta(name=PREFIX + volume.metadata.name, namespace=NAMESPACE),
        spec=PodSpec(
            activeDeadlineSeconds=max(least, capacity(volume).value() // 2**30 * PER_GIB),
            restartPolicy="Never",
            affinity=Affinity(nodeAffinity=only) if only is not None else None,
            volumes=(disk,),
            containers=(scrub,),
        ),
    )


def volume_of(pod: Pod) -> str:
    """The name of the volume that a pod may be emptying; empty if it is none of these pods."""
    own = pod.metadata
    return own.name.removeprefix(PREFIX) if own.namespace == NAMESPACE and own.name.startswith(PREFIX) else ""


class _Run(NamedTuple):
    """A pod of ours over a volume. left: uids of the volume and of the claim whose data is on it, for the next one's is
    not gone with that; version: of the pod's creation."""

    left: tuple[str, str]
    pod: str
    version: int
    done: bool = False


class Recycling:
    """Runs the pods; what is under way is known by the volume's name."""

    def __init__(self, client: Client, pods: Informer[Pod]) -> None:
        self._client = client
        self._pods = pods
        self._runs: dict[str, _Run] = {}

    async def step(self, volume: PersistentVolume) -> str | None:
        """Go on with a volume: empty text when it is emptied, what went wrong, or None to wait for the pod.

        Raises AlreadyExists where a pod is in the way that the informer does not show yet, and may never: it can be
        gone before.
        """
        name = volume.metadata.name
        run = self._runs.get(name)
        pod = self._pods.get(f"{NAMESPACE}/{PREFIX}{name}")
        if run is None or run.left != _left(volume):
            if pod is None:
                await self._start(volume)
            elif pod.metadata.deletionTimestamp is None:
                await self._delete(name, pod.metadata.uid)
            return None
        if not run.done:
            if pod is None and self.lags(name):
                return None
            verdict = _verdict(pod, run)
            if verdict is None:
                return None
            if verdict:
                await self._delete(name, run.pod)
                del self._runs[name]
                return verdict
            self._runs[name] = run = run._replace(done=True)
        await self._delete(name, run.pod)
        return ""

    def lags(self, name: str) -> bool:
        """Whether the informer is from before the volume's pod. It may be gone when the informer comes so far, and then
        nothing tells of it."""
        run = self._runs.get(name)
        return run is not None and int(self._pods.version or 0) < run.version

    async def forget(self, name: str) -> None:
        """The volume has gone, or is not to be emptied any more; so has its pod."""
        run = self._runs.get(name)
        if run is not None:
            await self._delete(name, run.pod)
            del self._runs[name]

    async def _start(self, volume: PersistentVolume) -> None:
        own = volume.metadata
        made = await self._client.create(recycler(volume))
        self._runs[own.name] = _Run(_left(volume), made.metadata.uid, int(made.metadata.resourceVersion))

    async def _delete(self, name: str, uid: str) -> None:
        try:
            await self._client.delete(Pod, PREFIX + name, NAMESPACE, uid=uid)
        except (NotFound, Conflict):
            return


def _left(volume: PersistentVolume) -> tuple[str, str]:
    ref = volume.spec.claimRef
    return volume.metadata.uid, ref.uid if ref is not None else ""


def _verdict(pod: Pod | None, run: _Run) -> str | None:
    """Empty if the pod has done its work, why it has not, None while it runs."""
    if pod is None or pod.metadata.uid != run.pod:
        return "failed to recycle volume: recycler pod was deleted"
    if pod.status.phase == "Succeeded":
        return ""
    if pod.status.phase != "Failed":
        return None
    return f"failed to recycle volume: {pod.status.message or 'pod failed, pod.Status.Message unknown'}"
