"""VolumeBinding: a pod goes where its volumes are, or where volumes for its claims can be found or made.

Bound claims pin the pod to nodes from which their volumes can be reached. Claims whose class waits for a consumer are
matched with volumes node by node; where there is none, the class must be able to make one there: allowed topology, and
room as far as the driver tells. Any other unbound claim refuses the pod until the volume binder has bound it. What is
chosen for a node, `plan` says again, and `kijabi/scheduler/volumes.py` carries it out. Rules: KEP-490, KEP-1472
(capacity), KEP-4049 (scores).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from kijabi.api.core.nodefit import matches
from kijabi.api.core.nodeselector import NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, TopologySelectorTerm
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.selector import from_label_selector
from kijabi.api.storage.csistoragecapacity import CSIStorageCapacity
from kijabi.api.storage.matching import (
    BIND_COMPLETED,
    NO_PROVISIONER,
    SELECTED_NODE,
    capacity,
    class_of,
    delays,
    find_matching,
    has_modes,
    possible,
    requested,
)
from kijabi.api.storage.storageclass import StorageClass
from kijabi.scheduler.framework import MAX_SCORE, Change, Event, Mask, Refusal, Scores, Static
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.plugins.nodeaffinity import matches_any
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.storage import Storage

NOT_FOUND = "node(s) didn't find available persistent volumes to bind"
ELSEWHERE = "node(s) didn't match PersistentVolume's node affinity"
TOO_SMALL = "node(s) did not have enough free storage"
VOLUME_GONE = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


class Claims(NamedTuple):
    """A pod's claims, by what is still to do for them."""

    bound: tuple[PersistentVolumeClaim, ...] = ()
    delayed: tuple[PersistentVolumeClaim, ...] = ()
    immediate: tuple[PersistentVolumeClaim, ...] = ()


class Plan(NamedTuple):
    """What a node asks for: volumes to bind to claims, and claims for which volumes are to be made.

    rooms: the capacity objects that said there is room, one for each claim of `provision`, if any.
    """

    bind: tuple[tuple[PersistentVolumeClaim, PersistentVolume], ...] = ()
    provision: tuple[PersistentVolumeClaim, ...] = ()
    rooms: tuple[CSIStorageCapacity | None, ...] = ()


def fully_bound(claim: PersistentVolumeClaim) -> bool:
    """The claim has its volume, and the volume binder has confirmed it."""
    return bool(claim.spec.volumeName) and BIND_COMPLETED in claim.metadata.annotations


def missing(pod: PodInfo, storage: Storage) -> str:
    """What is wrong with the pod's claims themselves; empty if nothing."""
    for key, own in pod.claims:
        claim, name = storage.claims.get(key), key.partition("/")[2]
        if claim is None:
            if own:
                return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
            return f'persistentvolumeclaim "{name}" not found'
        if claim.status.phase == "Lost":
            volume = claim.spec.volumeName
            return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{volume}"'
        if claim.metadata.deletionTimestamp is not None:
            return f'persistentvolumeclaim "{name}" is being deleted'
        if own and not any(owner.controller and owner.uid == pod.uid for owner in claim.metadata.ownerReferences):
            return f"PVC {key} was not created for pod {pod.key} (pod is not owner)"
    return ""


def sorted_claims(pod: PodInfo, storage: Storage) -> Claims:
    """The pod's claims by what is still to do; those that are not there are left out."""
    bound, delayed, immediate = [], [], []
    for key, _ in pod.claims:
        claim = storage.claims.get(key)
        if claim is None:
            continue
        if fully_bound(claim):
            bound.append(claim)
        elif not claim.spec.volumeName and delays(storage.classes.get(class_of(claim))):
            delayed.append(claim)
        else:
            immediate.append(claim)
    return Claims(tuple(bound), tuple(delayed), tuple(immediate))


class VolumeBinding(Static):
    """Refuses nodes that the pod's volumes cannot come to; prefers those whose storage is used least."""

    name = "VolumeBinding"
    wakes = (
        Change.STORAGE_CLASS
        | Change.CLAIM
        | Change.VOLUME
        | Change.NODE_ADDED
        | Change.NODE_LABELS
        | Change.CSI_NODE
        | Change.CSI_DRIVER
        | Change.STORAGE_CAPACITY
    )

    def begin(self, pod: PodInfo, nodes: NodeState) -> str | Mask | None:
        """See Filter: claims must be there, and those that do not wait for a pod must be bound."""
        if not pod.claims:
            return None
        wrong = missing(pod, nodes.storage)
        if wrong:
            return wrong
        if sorted_claims(pod, nodes.storage).immediate:
            return "pod has unbound immediate PersistentVolumeClaims"
        return None

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        if not pod.claims:
            return ()
        claims = sorted_claims(pod, nodes.storage)
        return (*_bound(claims.bound, nodes), *_unbound(claims.delayed, nodes))

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores | None:
        if not pod.claims or not sorted_claims(pod, nodes.storage).delayed:
            return None
        total = np.zeros(nodes.capacity, dtype=np.float64)
        for row in np.flatnonzero(feasible).tolist():
            total[row] = usage_score(plan(pod, nodes, row))
        return total

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: upstream's hints."""
        old, new = event.old, event.new
        match event.change:
            case Change.CLAIM:
                return any(key == f"{new.metadata.namespace}/{new.metadata.name}" for key, _ in pod.claims)
            case Change.STORAGE_CLASS:
                return old is None or old.allowedTopologies != new.allowedTopologies
            case Change.CSI_NODE:
                return old is None
            case Change.CSI_DRIVER:
                named = any(one.csi is not None and one.csi.driver == new.metadata.name for one in pod.pod.spec.volumes)
                return old is not None and named and bool(old.spec.storageCapacity) and not new.spec.storageCapacity
            case Change.STORAGE_CAPACITY:
                return old is None or _limit(new) > _limit(old)
            case _:
                return True


def _limit(room: CSIStorageCapacity) -> int:
    """The largest volume for which there is room; -1 if that is not known."""
    limit = room.maximumVolumeSize if room.maximumVolumeSize is not None else room.capacity
    return limit.value() if limit is not None else -1


# ---- all nodes at once


def _reachable(volume: PersistentVolume, nodes: NodeState) -> Mask:
    """Rows from which a volume can be reached."""
    affinity = volume.spec.nodeAffinity
    if affinity is None or affinity.required is None:
        return nodes.live
    return matches_any(affinity.required.nodeSelectorTerms, nodes)


def _bound(claims: Iterable[PersistentVolumeClaim], nodes: NodeState) -> Iterable[Refusal]:
    left: Mask = nodes.live
    for claim in claims:
        volume = nodes.storage.volumes.get(claim.spec.volumeName)
        if volume is None:
            yield Refusal(left, VOLUME_GONE, final=True)
            return
        rows = _reachable(volume, nodes)
        yield Refusal(left & ~rows, ELSEWHERE, final=True)
        left = left & rows


def _unbound(claims: Sequence[PersistentVolumeClaim], nodes: NodeState) -> Iterable[Refusal]:
    """Where no volumes are for delayed claims, and none can be made."""
    left: Mask = nodes.live
    for claim in claims:
        selected = claim.metadata.annotations.get(SELECTED_NODE)
        if selected is not None:
            elsewhere = nodes.live.copy()
            if selected in nodes.rows:
                elsewhere[nodes.rows[selected]] = False
            yield Refusal(left & elsewhere, NOT_FOUND, final=True)
            left = left & ~elsewhere
    taken: dict[str, Mask] = {}  # rows on which a volume is given to an earlier claim
    waiting = []
    for claim in _to_match(claims):
        waiting.append((claim, left & ~_matched(claim, nodes, taken)))
    for claim in claims:
        if SELECTED_NODE in claim.metadata.annotations:
            waiting.insert(0, (claim, left))
    for claim, rows in waiting:
        rows = rows & left
        if not rows.any():
            continue
        found = nodes.storage.classes.get(class_of(claim))
        cannot = rows if found is None or not _provisions(found) else rows & ~_allowed(found.allowedTopologies, nodes)
        yield Refusal(cannot, NOT_FOUND, final=True)
        left = left & ~cannot
        small = rows & ~cannot & ~_roomy(claim, found, nodes) if found is not None else cannot
        yield Refusal(small, TOO_SMALL, final=True)
        left = left & ~small


def _to_match(claims: Sequence[PersistentVolumeClaim]) -> list[PersistentVolumeClaim]:
    """The claims for which volumes may be found, the smallest first, so that it gets the smallest."""
    return sorted(
        (claim for claim in claims if SELECTED_NODE not in claim.metadata.annotations),
        key=lambda claim: requested(claim).exact(),
    )


def _candidates(claim: PersistentVolumeClaim, storage: Storage) -> list[PersistentVolume]:
    """The volumes of its class that it may have on some node, the reserved and the smallest first."""
    found = [volume for volume in storage.volumes_of(class_of(claim)) if possible(claim, volume)]
    return sorted(
        found,
        key=lambda one: (one.spec.claimRef is None, capacity(one).exact(), one.metadata.name),
    )


def _matched(claim: PersistentVolumeClaim, nodes: NodeState, taken: dict[str, Mask]) -> Mask:
    """Rows on which there is a volume for a claim; notes in `taken` which one is given where."""
    done = np.zeros(nodes.capacity, dtype=np.bool_)
    for volume in _candidates(claim, nodes.storage):
        name = volume.metadata.name
        if not has_modes(volume, claim) and volume.spec.claimRef is None:
            continue
        if find_matching(claim, (volume,)) is None:
            continue
        rows = _reachable(volume, nodes) & nodes.live
        if name in taken:
            rows = rows & ~taken[name]
        taken[name] = taken.get(name, np.zeros_like(done)) | (rows & ~done)
        done |= rows
        if volume.spec.claimRef is not None or done.sum() == len(nodes):
            break  # a claim with a volume reserved for it gets that one or none
    return done


def _provisions(found: StorageClass) -> bool:
    return bool(found.provisioner) and found.provisioner != NO_PROVISIONER


def _allowed(terms: Sequence[TopologySelectorTerm], nodes: NodeState) -> Mask:
    """Rows in a class's topology; all, if it names none."""
    return matches_any(_as_selector(terms), nodes) if terms else nodes.live


def _as_selector(terms: Sequence[TopologySelectorTerm]) -> tuple[NodeSelectorTerm, ...]:
    return tuple(
        NodeSelectorTerm(
            matchExpressions=tuple(
                NodeSelectorRequirement(key=one.key, operator="In", values=one.values)
                for one in term.matchLabelExpressions
            )
        )
        for term in terms
    )


def _rooms(claim: PersistentVolumeClaim, found: StorageClass, storage: Storage) -> list[CSIStorageCapacity] | None:
    """What the driver says of room for a claim; None if it says nothing, and room is taken for granted."""
    driver = storage.drivers.get(found.provisioner)
    if driver is None or not driver.spec.storageCapacity or "storage" not in claim.spec.resources.requests:
        return None
    size = requested(claim).value()
    return [
        one
        for one in storage.capacities.items()
        if one.storageClassName == found.metadata.name and one.nodeTopology is not None and _limit(one) >= size
    ]


def _roomy(claim: PersistentVolumeClaim, found: StorageClass, nodes: NodeState) -> Mask:
    """Rows from which there is room for a claim's volume."""
    rooms = _rooms(claim, found, nodes.storage)
    if rooms is None:
        return nodes.live
    rows = np.zeros(nodes.capacity, dtype=np.bool_)
    selectors = [from_label_selector(room.nodeTopology) for room in rooms]
    for row in nodes.rows.values():
        node = nodes.nodes[row]
        labels = node.metadata.labels if node is not None else {}
        rows[row] = any(selector.matches(labels) for selector in selectors)
    return rows


# ---- one node


def plan(pod: PodInfo, nodes: NodeState, row: int) -> Plan | None:
    """What is to be done for the pod's claims on one node; None if it cannot be."""
    claims, node, storage = sorted_claims(pod, nodes.storage), nodes.nodes[row], nodes.storage
    if node is None or claims.immediate:
        return None
    bind: list[tuple[PersistentVolumeClaim, PersistentVolume]] = []
    provision = [claim for claim in claims.delayed if SELECTED_NODE in claim.metadata.annotations]
    if any(claim.metadata.annotations[SELECTED_NODE] != node.metadata.name for claim in provision):
        return None
    for claim in _to_match(claims.delayed):
        excluded = {volume.metadata.name for _, volume in bind}
        volume = find_matching(claim, _candidates(claim, storage), node.metadata.labels, excluded)
        if volume is not None:
            bind.append((claim, volume))
        else:
            provision.append(claim)
    rooms: list[CSIStorageCapacity | None] = []
    for claim in provision:
        found = storage.classes.get(class_of(claim))
        if found is None or not _provisions(found):
            return None
        allowed = NodeSelector(nodeSelectorTerms=_as_selector(found.allowedTopologies))
        if allowed.nodeSelectorTerms and not matches(allowed, node):
            return None
        known = _rooms(claim, found, storage)
        if known is None:
            rooms.append(None)
            continue
        labels = node.metadata.labels
        near = [one for one in known if from_label_selector(one.nodeTopology).matches(labels)]
        if not near:
            return None
        rooms.append(near[0])
    return Plan(tuple(bind), tuple(provision), tuple(rooms))


def usage_score(found: Plan | None) -> float:
    """100 for storage of which nothing will be used, less the more; by class, rounded as upstream rounds."""
    if found is None:
        return 0.0
    classes: dict[str, tuple[int, int]] = {}
    if found.bind:
        for claim, volume in found.bind:
            wanted, size = classes.get(volume.spec.storageClassName, (0, 0))
            classes[volume.spec.storageClassName] = (
                wanted + requested(claim).value(),
                size + capacity(volume).value(),
            )
    else:
        for claim, room in zip(found.provision, found.rooms, strict=True):
            if room is not None:
                wanted, _ = classes.get(class_of(claim), (0, 0))
                size = room.capacity.value() if room.capacity is not None else 0
                classes[class_of(claim)] = (wanted + requested(claim).value(), size)
    if not classes:
        return 0.0
    used = [wanted * 100 // size if size and wanted <= size else 100 for wanted, size in classes.values()]
    return float(np.floor(sum(MAX_SCORE - share for share in used) / len(used) + 0.5))
