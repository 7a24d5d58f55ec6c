"""Claims, volumes and attribute classes go when nothing uses them any more: their finalizers are taken off.

The finalizers come at creation (`apiserver/admission/storageprotection.py`), and here to what is older. A claim is
used by pods that have a node, for a kubelet starts no pod with a claim that is being deleted; a volume while it is
bound; an attribute class by claims and volumes that name it. Bound claims tell by a condition since when no pod has
them (KEP-5541). The rules are pure; Source: k8s.io/kubernetes `pkg/controller/volume/{pvc,pv,vac}protection`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from kijabi.api import codec
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim, PersistentVolumeClaimCondition
from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import claim_of
from kijabi.api.meta import Object, Time, time_now
from kijabi.api.storage.volumeattributesclass import VolumeAttributesClass
from kijabi.base.errors import NotFound
from kijabi.client.cache import key_of
from kijabi.client.client import Client
from kijabi.controllers.owners import controller_of
from kijabi.controllers.podclaims import CLAIM as BY_CLAIM
from kijabi.controllers.podclaims import by_claim, ended, indexed
from kijabi.controllers.runtime import Context, Source
from kijabi.controllers.sources import claims, pods

CLAIM = "kubernetes.io/pvc-protection"
VOLUME = "kubernetes.io/pv-protection"
ATTRIBUTES = "kubernetes.io/vac-protection"
UNUSED = "Unused"
"""The condition of a claim; its transition says since when."""
CLASS = "attributes"
"""The index of claims and volumes by the attribute classes that they name."""
GOING = "going"
"""The index of claims that wait to be deleted, by namespace."""


def refers(pod: Pod, claim: PersistentVolumeClaim) -> bool:
    """Whether a volume of the pod is of the claim."""
    owner = controller_of(claim.metadata)
    mine = owner is not None and owner.uid == pod.metadata.uid
    for volume in pod.spec.volumes:
        if volume.persistentVolumeClaim is not None:
            if volume.persistentVolumeClaim.claimName == claim.metadata.name:
                return True
        elif volume.ephemeral is not None and mine and claim_of(pod, volume) == claim.metadata.name:
            return True
    return False


def down(pod: Pod) -> bool:
    """Its kubelet is done with it, or it was deleted by force: only finalizers keep it."""
    return pod.metadata.deletionTimestamp is not None and pod.metadata.deletionGracePeriodSeconds == 0


def uses(pod: Pod, claim: PersistentVolumeClaim) -> bool:
    """Whether a claim must stay for a pod's sake.

    A pod that is down may itself wait for the claims that it owns to go: its ephemeral ones, and those that a
    StatefulSet which is scaled down does not retain. (Of the latter upstream says that it uses them: where such a pod
    is deleted in the foreground, both stay for ever.)
    """
    owned = any(ref.uid == pod.metadata.uid for ref in claim.metadata.ownerReferences)
    return bool(pod.spec.nodeName) and refers(pod, claim) and not (owned and down(pod))


def unused_condition(claim: PersistentVolumeClaim, used: bool, now: Time) -> PersistentVolumeClaimCondition | None:
    """The condition that a bound claim gets, None if the one it has is right."""
    status = "False" if used else "True"
    if any(one.type == UNUSED and one.status == status for one in claim.status.conditions):
        return None
    reason = "PodUsingPVC" if used else "NoPodsUsingPVC"
    message = "A pod is currently referencing this PVC" if used else "No pods are currently referencing this PVC"
    return PersistentVolumeClaimCondition(
        type=UNUSED, status=status, lastTransitionTime=now, reason=reason, message=message
    )


def protected(obj: Object, finalizer: str) -> bool:
    """Whether the object waits for us to be deleted."""
    return obj.metadata.deletionTimestamp is not None and finalizer in obj.metadata.finalizers


def going(claim: PersistentVolumeClaim) -> tuple[str, ...]:
    """The index function of `GOING`."""
    return (claim.metadata.namespace,) if protected(claim, CLAIM) else ()


def unguarded(obj: Object, finalizer: str) -> bool:
    """Whether the object should have the finalizer and has not."""
    return obj.metadata.deletionTimestamp is None and finalizer not in obj.metadata.finalizers


def concerned(new: Any, finalizer: str) -> tuple[str, ...]:
    """The key of an object that has changed, if there is anything to do about its finalizer."""
    return (key_of(new),) if new is not None and (protected(new, finalizer) or unguarded(new, finalizer)) else ()


async def release(client: Client, obj: Any, finalizer: str) -> None:
    """Take the finalizer off the version that was judged. Raises Conflict if there is a newer one."""
    await _finalize(client, obj, [name for name in obj.metadata.finalizers if name != finalizer])


async def guard(client: Client, obj: Any, finalizer: str) -> None:
    """Put the finalizer on."""
    await _finalize(client, obj, [*obj.metadata.finalizers, finalizer])


async def _finalize(client: Client, obj: Any, finalizers: list[str]) -> None:
    own = obj.metadata
    patch = {"metadata": {"uid": own.uid, "resourceVersion": own.resourceVersion, "finalizers": finalizers}}
    try:
        await client.patch(type(obj), own.name, patch, namespace=own.namespace)
    except NotFound:
        return


def _standing(pod: Pod) -> tuple[str, bool, bool]:
    return pod.metadata.uid, ended(pod), down(pod)


class ClaimProtection:
    """A key is a claim's namespace and name."""

    name = "pvc-protection"
    workers = 3

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.claims = claims(context.informers)
        self.pods = indexed(pods(context.informers))
        self.claims.add_index(GOING, going)

    def sources(self) -> Sequence[Source]:
        return (Source(self.claims, self._keys), Source(self.pods, self._keys_of_pod))

    def _keys(self, old: PersistentVolumeClaim | None, new: PersistentVolumeClaim | None) -> Iterable[str]:
        return (key_of(new),) if new is not None else ()

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """A pod that comes makes its claims used; one that ended, is down or has gone may have been the last."""
        if old is not None and new is not None and _standing(old) == _standing(new):
            return ()
        return {key for pod in (old, new) if pod is not None for key in by_claim(pod)}

    async def reconcile(self, key: str) -> float | None:
        claim = self.claims.get(key)
        if claim is None:
            return None
        if protected(claim, CLAIM):
            await self._release(claim.metadata.namespace)
        elif unguarded(claim, CLAIM):
            await guard(self.client, claim, CLAIM)
        elif claim.metadata.deletionTimestamp is None and claim.status.phase == "Bound":
            await self._tell(claim)
        return None

    async def _release(self, namespace: str) -> None:
        """Let go what waits in a namespace, unless it is used.

        Of that the live pods tell, for the informer may not show one yet; one list serves all claims that wait.
        """
        waiting = [claim for claim in self.claims.index(GOING, namespace) if not self._used(claim)]
        if not waiting:
            return
        there = (await self.client.list(Pod, namespace)).items
        for claim in waiting:
            if not any(uses(pod, claim) for pod in there):
                await release(self.client, claim, CLAIM)

    def _used(self, claim: PersistentVolumeClaim) -> bool:
        return any(uses(pod, claim) for pod in self.pods.index(BY_CLAIM, key_of(claim)))

    async def _tell(self, claim: PersistentVolumeClaim) -> None:
        used = any(refers(pod, claim) and not ended(pod) for pod in self.pods.index(BY_CLAIM, key_of(claim)))
        condition = unused_condition(claim, used, time_now())
        if condition is not None:
            changed = codec.clone(claim)
            others = tuple(one for one in claim.status.conditions if one.type != UNUSED)
            changed.status.conditions = (*others, condition)
            await self.client.update_status(changed)


class VolumeProtection:
    """A key is a volume's name."""

    name = "pv-protection"
    workers = 1

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.volumes = context.informers.of(PersistentVolume)

    def sources(self) -> Sequence[Source]:
        return (Source(self.volumes, lambda old, new: concerned(new, VOLUME)),)

    async def reconcile(self, key: str) -> float | None:
        volume = self.volumes.get(key)
        if volume is not None and unguarded(volume, VOLUME):
            await guard(self.client, volume, VOLUME)
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
        self.claims.add_index(CLASS, attribute_classes)
        self.volumes.add_index(CLASS, attribute_class)

    def sources(self) -> Sequence[Source]:
        changed = Source(self.classes, lambda old, new: concerned(new, ATTRIBUTES))
        return (changed, Source(self.claims, self._left), Source(self.volumes, self._left))

    def _left(self, old: Any, new: Any) -> Iterable[str]:
        """The classes that something named, and does not any more."""
        named = attribute_classes if isinstance(old, PersistentVolumeClaim) else attribute_class
        return set(named(old)) - set(named(new) if new is not None else ()) if old is not None else ()

    async def reconcile(self, key: str) -> float | None:
        found = self.classes.get(key)
        if found is not None and unguarded(found, ATTRIBUTES):
            await guard(self.client, found, ATTRIBUTES)
        if found is None or not protected(found, ATTRIBUTES):
            return None
        if not self.claims.index(CLASS, key) and not self.volumes.index(CLASS, key):
            await release(self.client, found, ATTRIBUTES)
        return None


def attribute_classes(claim: PersistentVolumeClaim) -> set[str]:
    """The attribute classes that a claim has, had a moment ago, or is to have."""
    modifying = claim.status.modifyVolumeStatus
    target = modifying.targetVolumeAttributesClassName if modifying is not None else None
    names = (claim.spec.volumeAttributesClassName, claim.status.currentVolumeAttributesClassName, target)
    return {name for name in names if name}


def attribute_class(volume: PersistentVolume) -> tuple[str, ...]:
    """The attribute class of a volume."""
    name = volume.spec.volumeAttributesClassName
    return (name,) if name else ()
