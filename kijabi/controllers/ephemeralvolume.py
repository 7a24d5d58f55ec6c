"""Generic ephemeral volumes: a pod's volume is a claim of its own, made from the template in the pod.

Receives pods and claims from the informers; creates claims that the pod controls, so that the garbage collector takes
them with it. A claim of that name which the pod does not control is somebody's: the pod is told by an event, and waits
(core/v1 EphemeralVolumeSource, KEP-1698; k8s.io/kubernetes `pkg/controller/volume/ephemeral`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kijabi.api import codec
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import claim_of
from kijabi.api.core.volume import Volume
from kijabi.api.meta import ObjectMeta
from kijabi.base.errors import AlreadyExists, ApiError
from kijabi.client.cache import key_of
from kijabi.controllers.owners import controller_of, controller_ref
from kijabi.controllers.podclaims import CLAIM, indexed
from kijabi.controllers.runtime import Context, Source, namespace_terminating
from kijabi.controllers.sources import claims, pods


def claim_for(pod: Pod, volume: Volume) -> PersistentVolumeClaim | None:
    """The claim of a pod's volume; None for a volume that is no such."""
    template = volume.ephemeral.volumeClaimTemplate if volume.ephemeral is not None else None
    if template is None:
        return None
    return PersistentVolumeClaim(
        metadata=ObjectMeta(
            name=claim_of(pod, volume),
            namespace=pod.metadata.namespace,
            labels=template.metadata.labels,
            annotations=template.metadata.annotations,
            ownerReferences=(controller_ref(pod, "v1", "Pod"),),
        ),
        spec=codec.clone(template.spec),
    )


def stranger(pod: Pod, claim: PersistentVolumeClaim) -> str:
    """Why a claim that is there is not the pod's; empty if it is."""
    owner = controller_of(claim.metadata)
    if owner is not None and owner.uid == pod.metadata.uid:
        return ""
    return f"PVC {key_of(claim)} was not created for pod {key_of(pod)} (pod is not owner)"


class EphemeralVolumes:
    """A key is a pod's namespace and name."""

    name = "ephemeral-volume"
    workers = 5

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("ephemeral_volume")
        self.pods = indexed(pods(context.informers))
        self.claims = claims(context.informers)

    def sources(self) -> Sequence[Source]:
        return (Source(self.pods, self._keys), Source(self.claims, self._keys_of_claim))

    def _keys(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        if new is None or not _has_work(new):
            return ()
        return (key_of(new),) if old is None or old.metadata.uid != new.metadata.uid else ()

    def _keys_of_claim(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> Iterable[str]:
        """A claim that has gone leaves its place to that of a pod."""
        if new is not None or old is None:
            return ()
        return [key_of(pod) for pod in self.pods.index(CLAIM, key_of(old)) if _has_work(pod)]

    async def reconcile(self, key: str) -> float | None:
        pod = self.pods.get(key)
        if pod is None or not _has_work(pod):
            return None
        for volume in pod.spec.volumes:
            wanted = claim_for(pod, volume)
            if wanted is None:
                continue
            try:
                why = await self._ensure(pod, wanted)
            except ApiError as error:
                if namespace_terminating(error):
                    return None
                self._warn(pod, volume, f"create PVC {wanted.metadata.name}: {error}")
                raise
            if why:
                self._warn(pod, volume, why)
                return None  # Until that claim goes.
        return None

    async def _ensure(self, pod: Pod, wanted: PersistentVolumeClaim) -> str:
        """Create the claim if there is none; why the one that there is cannot be used."""
        there = self.claims.get(key_of(wanted))
        if there is None:
            try:
                await self.client.create(wanted)
            except AlreadyExists:
                there = await self.client.get(PersistentVolumeClaim, wanted.metadata.name, wanted.metadata.namespace)
        return stranger(pod, there) if there is not None else ""

    def _warn(self, pod: Pod, volume: Volume, why: str) -> None:
        self.recorder.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume.name}: {why}")


def _has_work(pod: Pod) -> bool:
    """A pod with such volumes that is not being deleted."""
    return pod.metadata.deletionTimestamp is None and any(one.ephemeral is not None for one in pod.spec.volumes)
