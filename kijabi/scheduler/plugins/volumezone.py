"""VolumeZone: volumes that carry zone or region labels are used from nodes of those zones and regions.

An older way than a volume's node affinity (`volumebinding`), kept for the volumes that have it. A label may name
several zones, parted by `__`. Nodes without any such label take every volume. Rules: the well-known labels of core/v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.storage.matching import class_of, delays
from kijabi.scheduler.framework import Change, Event, Mask, Refusal, Static
from kijabi.scheduler.nodestate import ABSENT, NodeState
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.storage import Storage

CONFLICT = "node(s) had no available volume zone"
# A volume's label, and the one that nodes have today for the same.
LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region": "topology.kubernetes.io/region",
}


def zones(volume: PersistentVolume) -> list[tuple[str, frozenset[str]]]:
    """The labels of a volume that say where it is, with their values; one that cannot be read says nothing."""
    found = []
    for key in LABELS:
        if key in volume.metadata.labels:
            values = [value.strip() for value in volume.metadata.labels[key].split("__")]
            if all(values):
                found.append((key, frozenset(values)))
    return found


def _claims(pod: PodInfo) -> Iterable[str]:
    return (key for key, own in pod.claims if not own)


class VolumeZone(Static):
    """Refuses nodes in other zones than the pod's bound volumes."""

    name = "VolumeZone"
    wakes = Change.STORAGE_CLASS | Change.NODE_ADDED | Change.NODE_LABELS | Change.CLAIM | Change.VOLUME

    def begin(self, pod: PodInfo, nodes: NodeState) -> str | Mask | None:
        """See Filter: claims and volumes must be there, or the claim must wait for a pod."""
        for key in _claims(pod):
            wrong = _missing(key, nodes.storage)
            if wrong:
                return wrong
        return None

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        if not pod.claims:
            return ()
        wanted = [place for key in _claims(pod) for place in _places(key, nodes.storage)]
        if not wanted:
            return ()
        labelled = np.zeros(nodes.capacity, dtype=np.bool_)
        for key in LABELS:
            labelled |= nodes.label(key)[1] != ABSENT
        wrong = np.zeros(nodes.capacity, dtype=np.bool_)
        for key, values in wanted:
            known, ids = nodes.label(key)
            today, today_ids = nodes.label(LABELS[key])
            own = np.isin(ids, [known.find(value) for value in values])
            instead = (ids == ABSENT) & np.isin(today_ids, [today.find(value) for value in values])
            wrong |= ~(own | instead)
        return (Refusal(wrong & labelled, CONFLICT, final=True),)

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: upstream's hints."""
        old, new = event.old, event.new
        match event.change:
            case Change.CLAIM:
                return f"{new.metadata.namespace}/{new.metadata.name}" in _claims(pod)
            case Change.STORAGE_CLASS:
                return old is None and delays(new)
            case Change.VOLUME:
                return old is None or zones(old) != zones(new)
            case _:
                return True


def _missing(key: str, storage: Storage) -> str:
    claim, name = storage.claims.get(key), key.partition("/")[2]
    if claim is None:
        return f'persistentvolumeclaim "{name}" not found'
    if claim.spec.volumeName:
        volume = claim.spec.volumeName
        return f'persistentvolume "{volume}" not found' if storage.volumes.get(volume) is None else ""
    wanted = class_of(claim)
    if not wanted:
        return "PersistentVolumeClaim had no pv name and storageClass name"
    found = storage.classes.get(wanted)
    if found is None:
        return f'storageclass.storage.k8s.io "{wanted}" not found'
    return "" if delays(found) else "PersistentVolume had no name"


def _places(key: str, storage: Storage) -> list[tuple[str, frozenset[str]]]:
    claim = storage.claims.get(key)
    volume = storage.volumes.get(claim.spec.volumeName) if claim is not None and claim.spec.volumeName else None
    return zones(volume) if volume is not None else []
