"""Claims, volumes and attribute classes go when nothing uses them any more: their finalizers are taken off.

The finalizers come at creation (`apiserver/admission/storageprotection.py`). A claim is used by pods that have a node,
for a kubelet starts no pod with a claim that is being deleted; a volume while it is bound; an attribute class by claims
and volumes that name it. The rules are pure; Source: k8s.io/kubernetes `pkg/controller/volume/{pvc,pv,vac}protection`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.meta import Object
from kijabi.api.storage.volumeattributesclass import VolumeAttributesClass
from kijabi.base.errors import NotFound
from kijabi.client.cache import key_of
from kijabi.client.client import Client
from kijabi.controllers.owners import controller_of
from kijabi.controllers.podclaims import claims_of
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import claims, pods

CLAIM = "kubernetes.io/pvc-protection"
VOLUME = "kubernetes.io/pv-protection"
ATTRIBUTES = "kubernetes.io/vac-protection"


def uses(pod: Pod, claim: PersistentVolumeClaim) -> bool:
    """Whether a claim must stay for a pod's sake."""
    if not pod.spec.nodeName:
        return False
    own = pod.metadata
    down = own.deletionTimestamp is not None and own.deletionGracePeriodSeconds == 0
    owner = controller_of(claim.metadata)
    mine = owner is not None and owner.uid == own.uid and not down
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            if volume.persistentVolumeClaim.claimName == claim.metadata.name:
                return True
        elif volume.ephemeral is not None and mine and f"{own.name}-{volume.name}" == claim.metadata.name:
            return True
    return False


def protected(obj: Object, finalizer: str) -> bool:
    """Whether the object waits for us to be deleted."""
    return obj.metadata.deletionTimestamp is not None and finalizer in obj.metadata.finalizers


async def release(client: Client, obj: Any, finalizer: str) -> None:
    """Take the finalizer off the version that was judged. Raises Conflict if there is a newer one."""
    own = obj.metadata
    left = [name for name in own.finalizers if name != finalizer]
    patch = {"metadata": {"uid": own.uid, "resourceVersion": own.resourceVersion, "finalizers": left}}
    try:
        await client.patch(type(obj), own.name, patch, namespace=own.namespace)
    except NotFound:
        return


class ClaimProtection:
    """A key is a claim's namespace and name."""

    name = "pvc-protection"
    workers = 3

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.claims = claims(context.informers)
        self.pods = pods(context.informers)

    def sources(self) -> Sequence[Source]:
        return (Source(self.claims, self._keys), Source(self.pods, self._keys_of_pod))

    def _keys(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> Iterable[str]:
        return (key_of(new),) if new is not None and protected(new, CLAIM) else ()

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """A pod that has gone, or is about to, may have been the last."""
        pod = new if new is not None else old
        if pod is None or (new is not None and new.metadata.deletionTimestamp is None):
            return ()
        return [f"{pod.metadata.namespace}/{name}" for name in claims_of(pod)]

    async def reconcile(self, key: str) -> float | None:
        claim = self.claims.get(key)
        if claim is None or not protected(claim, CLAIM):
            return None
        # The live pods, for one that the informer does not show yet may have the claim.
        there = (await self.client.list(Pod, claim.metadata.namespace)).items
        if not any(uses(pod, claim) for pod in there):
            await release(self.client, claim, CLAIM)
        return None


class VolumeProtection:
    """A key is a volume's name."""

    name = "pv-protection"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.volumes = context.informers.of(PersistentVolume)

    def sources(self) -> Sequence[Source]:
        return (Source(self.volumes, self._keys),)

    def _keys(self, old: PersistentVolume | None, new: PersistentVolume | None) -> Iterable[str]:
        return (new.metadata.name,) if new is not None and protected(new, VOLUME) else ()

    async def reconcile(self, key: str) -> float | None:
        volume = self.volumes.get(key)
        if volume is not None and protected(volume, VOLUME) and volume.status.phase != "Bound":
            await release(self.client, volume, VOLUME)
        return None


class AttributesProtection:
    """A key is the name of an attribute class."""

    name = "vac-protection"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.classes = context.informers.of(VolumeAttributesClass)
        self.claims = claims(context.informers)
        self.volumes = context.informers.of(PersistentVolume)

    def sources(self) -> Sequence[Source]:
        users = (Source(self.claims, self._waiting), Source(self.volumes, self._waiting))
        return (Source(self.classes, self._keys), *users)

    def _keys(self, old: VolumeAttributesClass | None, new: VolumeAttributesClass | None) -> Iterable[str]:
        return (new.metadata.name,) if new is not None and protected(new, ATTRIBUTES) else ()

    def _waiting(self, old: Object | None, new: Object | None) -> Iterable[str]:
        """What may have been used by something that has changed."""
        return [each.metadata.name for each in self.classes.items() if old is not None and protected(each, ATTRIBUTES)]

    async def reconcile(self, key: str) -> float | None:
        found = self.classes.get(key)
        if found is None or not protected(found, ATTRIBUTES):
            return None
        users = (attribute_classes(each) for each in self.claims.items())
        more = ({each.spec.volumeAttributesClassName} for each in self.volumes.items())
        if not any(key in names for names in (*users, *more)):
            await release(self.client, found, ATTRIBUTES)
        return None


def attribute_classes(claim: PersistentVolumeClaim) -> set[str | None]:
    """The attribute classes that a claim has, had a moment ago, or is to have."""
    modifying = claim.status.modifyVolumeStatus
    target = modifying.targetVolumeAttributesClassName if modifying is not None else None
    return {claim.spec.volumeAttributesClassName, claim.status.currentVolumeAttributesClassName, target}
