"""VolumeRestrictions: volumes that only one pod may use (ReadWriteOncePod), or one node's pods under conditions.

A claim with the access mode ReadWriteOncePod that another pod on any node uses refuses the pod, unless that pod is
evicted. Disks named in the pod itself (GCE, AWS, iSCSI, RBD) are not mounted twice on a node. Rules: KEP-2485 and
core/v1 Volume.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kijabi.api.core.volume import Volume
from kijabi.scheduler.framework import Change, Event, Mask, Refusal, Static, Trial
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo

DISK = "node(s) had no available disk"
IN_USE = (
    "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
)
SOLE = "ReadWriteOncePod"


def disks_of(pod: PodInfo) -> list[Volume]:
    """The volumes of a pod that are a disk by its own name."""
    return [
        one
        for one in pod.pod.spec.volumes
        if one.gcePersistentDisk is not None
        or one.awsElasticBlockStore is not None
        or one.iscsi is not None
        or one.rbd is not None
    ]


def clash(one: Volume, other: Volume) -> bool:
    """Whether two pods of a node cannot have these at once."""
    disk, second = one.gcePersistentDisk, other.gcePersistentDisk
    if disk is not None and second is not None and disk.pdName == second.pdName:
        return not (disk.readOnly and second.readOnly)
    store, another = one.awsElasticBlockStore, other.awsElasticBlockStore
    if store is not None and another is not None and store.volumeID == another.volumeID:
        return True
    target, same = one.iscsi, other.iscsi
    if target is not None and same is not None and target.iqn == same.iqn:
        return not (target.readOnly and same.readOnly)
    image, twin = one.rbd, other.rbd
    if image is None or twin is None or not set(image.monitors) & set(twin.monitors):
        return False
    return (image.pool, image.image) == (twin.pool, twin.image) and not (image.readOnly and twin.readOnly)


def _conflict(disks: Sequence[Volume], other: PodInfo) -> bool:
    return any(clash(mine, theirs) for mine in disks for theirs in other.pod.spec.volumes)


class VolumeRestrictions(Static):
    """Refuses nodes whose pods, or all if other pods, have what the pod must have alone."""

    name = "VolumeRestrictions"
    wakes = Change.POD_GONE | Change.NODE_ADDED | Change.CLAIM

    def begin(self, pod: PodInfo, nodes: NodeState) -> str | Mask | None:
        """See Filter: the claims must be there, for their access modes matter."""
        for key, own in pod.claims:
            if not own and nodes.storage.claims.get(key) is None:
                return f'persistentvolumeclaim "{key.partition("/")[2]}" not found'
        return None

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        refusals = []
        left: Mask = nodes.live
        disks = disks_of(pod) if pod.pod.spec.volumes else []
        if disks:
            taken = np.zeros(nodes.capacity, dtype=np.bool_)
            for name, row in nodes.rows.items():
                taken[row] = any(_conflict(disks, other) for other in nodes.pods_on(name))
            refusals.append(Refusal(taken, DISK))
            left = left & ~taken
        if pod.claims and any(nodes.users(key) for key in _sole(pod, nodes)):
            refusals.append(Refusal(left, IN_USE))
        return refusals

    def trial(self, pod: PodInfo, nodes: NodeState) -> Trial | None:
        """See Filter: those who stay have their disks, and whoever uses a claim that must be used alone."""
        disks = disks_of(pod)
        users = {uid for key in _sole(pod, nodes) for uid in nodes.users(key)}
        if not disks and not users:
            return None

        def fits(row: int, gone: Sequence[PodInfo]) -> tuple[str, ...]:
            leaving = {other.uid for other in gone}
            node = nodes.nodes[row]
            staying = nodes.pods_on(node.metadata.name) if disks and node is not None else ()
            if any(other.uid not in leaving and _conflict(disks, other) for other in staying):
                return (DISK,)
            return (IN_USE,) if users - leaving else ()

        return fits

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: upstream's hints."""
        if event.change is Change.CLAIM:
            new = event.new.metadata
            return event.old is None and any(key == f"{new.namespace}/{new.name}" for key, _ in pod.claims)
        if event.change is Change.POD_GONE and event.old is not None:
            mine, theirs = ({key for key, own in one.claims if not own} for one in (pod, event.old))
            return bool(mine & theirs) or _conflict(disks_of(pod), event.old)
        return True


def _sole(pod: PodInfo, nodes: NodeState) -> Iterator[str]:
    """The pod's claims that only one pod may use."""
    for key, own in pod.claims:
        claim = nodes.storage.claims.get(key) if not own else None
        if claim is not None and SOLE in claim.spec.accessModes:
            yield key
