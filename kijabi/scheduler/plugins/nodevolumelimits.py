"""NodeVolumeLimits: a node takes no more volumes of a CSI driver than the driver says it can attach there.

Counted are the volumes of the pods on the node and those attached to it, each once. A driver may also ask that pods do
not go where it is not installed. Source: KEP-554, CSINode of storage/v1, KEP-4876.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from kijabi.api.storage.csinode import CSINode
from kijabi.api.storage.matching import class_of
from kijabi.scheduler.framework import Change, Event, Refusal, Static, Trial
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.storage import BY_NODE, Storage

TOO_MANY = "node(s) exceed max volume count"

Volumes = dict[tuple[str, str], str]  # (driver, handle) → driver


class NodeVolumeLimits(Static):
    """Refuses nodes that cannot attach the pod's volumes."""

    name = "NodeVolumeLimits"
    wakes = Change.CSI_NODE | Change.POD_GONE | Change.CLAIM | Change.DETACHED

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        if not pod.claims:
            return ()
        wanted = volumes_of(pod, nodes.storage)
        if not wanted:
            return ()
        refusals = [_not_installed(driver, nodes) for driver in sorted(set(wanted.values())) if _picky(driver, nodes)]
        full = np.zeros(nodes.capacity, dtype=np.bool_)
        for known in nodes.storage.csi_nodes.items():  # no other node has a limit
            row = nodes.rows.get(known.metadata.name)
            if row is not None:
                full[row] = _exceeds(wanted, known, nodes, nodes.pods_on(known.metadata.name))
        left = nodes.live
        for one in refusals:
            left = left & ~one.rows
        return (*refusals, Refusal(full & left, TOO_MANY))

    def trial(self, pod: PodInfo, nodes: NodeState) -> Trial | None:
        """See Filter: volumes of those who would be gone are detached, unless others use them."""
        wanted = volumes_of(pod, nodes.storage) if pod.claims else {}
        if not wanted:
            return None
        picky = [driver for driver in sorted(set(wanted.values())) if _picky(driver, nodes)]

        def fits(row: int, gone: Sequence[PodInfo]) -> tuple[str, ...]:
            node = nodes.nodes[row]
            name = node.metadata.name if node is not None else ""
            for driver in picky:
                refusal = _not_installed(driver, nodes)
                if refusal.rows[row]:
                    return (refusal.reason,)
            leaving = {other.uid for other in gone}
            staying = (other for other in nodes.pods_on(name) if other.uid not in leaving)
            known = nodes.storage.csi_nodes.get(name)
            return (TOO_MANY,) if known is not None and _exceeds(wanted, known, nodes, staying) else ()

        return fits

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: upstream's hints."""
        old, new = event.old, event.new
        match event.change:
            case Change.CLAIM:
                key = f"{new.metadata.namespace}/{new.metadata.name}"
                return old is None and any(key == one for one, _ in pod.claims)
            case Change.POD_GONE:
                return old is None or bool(old.claims)
            case Change.CSI_NODE:
                before = limits(old)
                return old is None or any(count > before.get(driver, 0) for driver, count in limits(new).items())
            case _:
                return True


def limits(node: CSINode | None) -> dict[str, int]:
    """How many volumes of each driver a node can attach, for those that say so."""
    if node is None:
        return {}
    return {
        driver.name: driver.allocatable.count
        for driver in node.spec.drivers
        if driver.allocatable is not None and driver.allocatable.count is not None
    }


def volumes_of(pod: PodInfo, storage: Storage) -> Volumes:
    """The pod's CSI volumes; for claims that have none yet, the one that will be made."""
    found: Volumes = {}
    for key, _ in pod.claims:
        claim = storage.claims.get(key)
        if claim is None:
            continue
        volume = storage.volumes.get(claim.spec.volumeName) if claim.spec.volumeName else None
        if volume is not None:
            if volume.spec.csi is not None:
                found[volume.spec.csi.driver, volume.spec.csi.volumeHandle] = volume.spec.csi.driver
            continue
        made_by = storage.classes.get(class_of(claim))
        if made_by is not None:
            found[made_by.provisioner, f"to be made/{key}"] = made_by.provisioner
    return found


def _attached(name: str, storage: Storage) -> Volumes:
    found: Volumes = {}
    for one in storage.attachments.index(BY_NODE, name):
        volume_name = one.spec.source.persistentVolumeName
        volume = storage.volumes.get(volume_name) if volume_name else None
        if one.spec.attacher and volume is not None and volume.spec.csi is not None:
            found[one.spec.attacher, volume.spec.csi.volumeHandle] = one.spec.attacher
    return found


def _exceeds(wanted: Volumes, node: CSINode, nodes: NodeState, pods: Iterable[PodInfo]) -> bool:
    """Whether a node with these pods on it cannot attach the wanted volumes too."""
    most = limits(node)
    if not any(driver in most for driver in wanted.values()):
        return False
    used: Volumes = {}
    for other in pods:
        if other.claims:
            used.update(volumes_of(other, nodes.storage))
    new = Counter(driver for place, driver in wanted.items() if place not in used)
    used.update(_attached(node.metadata.name, nodes.storage))
    have = Counter(used.values())
    return any(have[driver] + count > most[driver] for driver, count in new.items() if driver in most)


def _picky(driver: str, nodes: NodeState) -> bool:
    """Whether a driver asks that pods do not go where it is not installed."""
    known = nodes.storage.drivers.get(driver)
    return known is not None and bool(known.spec.preventPodSchedulingIfMissing)


def _not_installed(driver: str, nodes: NodeState) -> Refusal:
    rows = np.zeros(nodes.capacity, dtype=np.bool_)
    for name, row in nodes.rows.items():
        known = nodes.storage.csi_nodes.get(name)
        rows[row] = known is None or all(one.name != driver for one in known.spec.drivers)
    return Refusal(rows, f"{driver} CSI driver is not installed on the node")
