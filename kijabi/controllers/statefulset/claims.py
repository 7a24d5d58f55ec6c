"""Who owns a StatefulSet's claims, and so what becomes of them when it shrinks or goes (KEP-1847). Pure.

Retain both: nobody. Delete with the set: the set. Delete when scaled down: the pod, once its number is beyond the
replicas. `controller.py` writes the owners; the garbage collector does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable

from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.meta import OwnerReference
from kijabi.controllers.owners import controller_ref
from kijabi.controllers.statefulset.identity import ordinal_of, replicas_of, start_of

SET, POD = ("apps/v1", "StatefulSet"), ("v1", "Pod")


def policy(ss: StatefulSet) -> tuple[bool, bool]:
    """(delete the claims with the set, delete them when scaled down)."""
    stated = ss.spec.persistentVolumeClaimRetentionPolicy
    if stated is None:
        return False, False
    return stated.whenDeleted == "Delete", stated.whenScaled == "Delete"


def in_range(ss: StatefulSet, pod: Pod) -> bool:
    """Whether the set wants a pod of this number."""
    return start_of(ss) <= ordinal_of(pod) < start_of(ss) + replicas_of(ss)


def stale(claim: PersistentVolumeClaim, pod: Pod) -> bool:
    """The claim belongs to an earlier pod of this name, and goes with it: a new pod must wait for that."""
    return any(_names(ref, POD, pod.metadata.name) and ref.uid != pod.metadata.uid
               for ref in claim.metadata.ownerReferences)  # fmt: skip


def owners(ss: StatefulSet, pod: Pod, claim: PersistentVolumeClaim) -> tuple[OwnerReference, ...]:
    """The owners that the claim of this pod should have; the ones it has where it is not ours to change."""
    present = claim.metadata.ownerReferences
    if any(_stale(present, *each) for each in _both(ss, pod)):
        return present
    ours = {ss.metadata.uid, pod.metadata.uid}
    others = tuple(ref for ref in present if ref.uid not in ours)
    with_set, with_scale = policy(ss)
    if (with_set or with_scale) and any(ref.controller for ref in others):
        return others if len(others) < len(present) else present  # somebody else controls it: hands off
    wanted: list[OwnerReference] = []
    scaled_down = with_scale and not in_range(ss, pod)
    if with_set and not scaled_down:
        wanted.append(controller_ref(ss, *SET))
    if scaled_down:
        wanted.append(controller_ref(pod, *POD))
    found = (*others, *wanted)
    return present if _same(present, found) else found


def conflicting(ss: StatefulSet, pod: Pod, claim: PersistentVolumeClaim) -> bool:
    """Somebody else controls the claim, or an earlier set or pod of the name owns it, so that the retention policy
    cannot be followed.
    """
    present, ours = claim.metadata.ownerReferences, {ss.metadata.uid, pod.metadata.uid}
    others = any(ref.controller and ref.uid not in ours for ref in present)
    return any(policy(ss)) and (others or any(_stale(present, *each) for each in _both(ss, pod)))


def _both(ss: StatefulSet, pod: Pod) -> tuple[tuple[tuple[str, str], str, str], ...]:
    return (SET, ss.metadata.name, ss.metadata.uid), (POD, pod.metadata.name, pod.metadata.uid)


def _names(ref: OwnerReference, kind: tuple[str, str], name: str) -> bool:
    return (ref.apiVersion, ref.kind) == kind and ref.name == name


def _stale(refs: Iterable[OwnerReference], kind: tuple[str, str], name: str, uid: str) -> bool:
    """One names this object, but means an earlier one."""
    return any(_names(ref, kind, name) and ref.uid != uid for ref in refs)


def _same(a: Iterable[OwnerReference], b: Iterable[OwnerReference]) -> bool:
    return {(ref.uid, ref.controller or False) for ref in a} == {(ref.uid, ref.controller or False) for ref in b}
