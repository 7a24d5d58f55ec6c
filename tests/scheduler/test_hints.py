"""Which events wake a pod that was refused: its filters know (upstream's queueing hints)."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.storage.csinode import CSINode
from kijabi.api.storage.csistoragecapacity import CSIStorageCapacity
from kijabi.api.storage.storageclass import StorageClass
from kijabi.scheduler import podinfo
from kijabi.scheduler.catalog import FILTERS
from kijabi.scheduler.framework import Change, Event, Filter
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.queue import SchedulingQueue
from kijabi.testing import simloop
from tests.scheduler.test_decide import node, pod

BY_NAME: dict[str, Filter] = {one.name: one for one in FILTERS}
WEB = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "zone"}


def labelled(name: str, **more: Any) -> PodInfo:
    made = pod(name, **more)
    made.metadata.labels = {"app": name}
    return podinfo.of(made)


NEAR = {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [WEB]}}}
APART = {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [WEB]}}}
SPREAD = {"topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", **WEB}]}
CLAIM = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "mine"}}]}


def claim(name: str) -> PersistentVolumeClaim:
    return codec.from_builtins(PersistentVolumeClaim, {"metadata": {"name": name, "namespace": "default"}})


def capacity(size: str) -> CSIStorageCapacity:
    content = {"metadata": {"name": "c", "namespace": "default"}, "storageClassName": "s", "capacity": size}
    return codec.from_builtins(CSIStorageCapacity, content)


def csi_node(count: int) -> CSINode:
    drivers = [{"name": "d", "nodeID": "n", "allocatable": {"count": count}}]
    return codec.from_builtins(CSINode, {"metadata": {"name": "n"}, "spec": {"drivers": drivers}})


def storage_class(*zones: str) -> StorageClass:
    topology = [{"matchLabelExpressions": [{"key": "zone", "values": list(zones)}]}]
    return codec.from_builtins(StorageClass, {"metadata": {"name": "s"}, "allowedTopologies": topology})


web, other = labelled("web"), labelled("other")
zone_a, zone_b, none = (node("n", labels=labels) for labels in ({"zone": "a"}, {"zone": "b"}, {}))


@pytest.mark.parametrize(
    ("plugin", "spec", "event", "helps"),
    [
        ("NodeResourcesFit", {"cpu": "8"}, Event(Change.NODE_ADDED, None, node("n", cpu="4")), False),
        ("NodeResourcesFit", {"cpu": "8"}, Event(Change.NODE_ADDED, None, node("n", cpu="16")), True),
        ("NodeAffinity", {"nodeSelector": {"zone": "a"}}, Event(Change.NODE_LABELS, none, zone_b), False),
        ("NodeAffinity", {"nodeSelector": {"zone": "a"}}, Event(Change.NODE_LABELS, zone_b, zone_a), True),
        ("NodeAffinity", {"nodeSelector": {"zone": "a"}}, Event(Change.NODE_ADDED, None, zone_a), True),
        ("NodePorts", {"ports": (80,)}, Event(Change.POD_GONE, labelled("x", ports=(81,)), None), False),
        ("NodePorts", {"ports": (80,)}, Event(Change.POD_GONE, labelled("x", ports=(80,)), None), True),
        ("InterPodAffinity", NEAR, Event(Change.POD_PLACED, None, web), True),
        ("InterPodAffinity", NEAR, Event(Change.POD_PLACED, None, other), False),
        ("InterPodAffinity", NEAR, Event(Change.POD_GONE, web, None), False),
        ("InterPodAffinity", APART, Event(Change.POD_GONE, web, None), True),
        ("InterPodAffinity", APART, Event(Change.POD_GONE, other, None), False),
        ("InterPodAffinity", {}, Event(Change.POD_GONE, labelled("web", **APART), None), False),
        ("InterPodAffinity", APART, Event(Change.POD_LABELS, web, other), True),
        ("InterPodAffinity", NEAR, Event(Change.POD_LABELS, web, other), False),
        ("InterPodAffinity", NEAR, Event(Change.NODE_LABELS, zone_a, zone_b), True),
        ("InterPodAffinity", NEAR, Event(Change.NODE_LABELS, zone_a, none), False),
        ("InterPodAffinity", APART, Event(Change.NODE_LABELS, zone_a, none), True),
        ("PodTopologySpread", SPREAD, Event(Change.POD_GONE, web, None), True),
        ("PodTopologySpread", SPREAD, Event(Change.POD_GONE, other, None), False),
        ("PodTopologySpread", SPREAD, Event(Change.POD_PLACED, None, web), True),
        ("PodTopologySpread", SPREAD, Event(Change.NODE_GONE, zone_a, None), True),
        ("PodTopologySpread", SPREAD, Event(Change.NODE_GONE, none, None), False),
        ("PodTopologySpread", SPREAD, Event(Change.NODE_LABELS, zone_a, zone_a), False),
        ("PodTopologySpread", SPREAD, Event(Change.NODE_LABELS, zone_a, zone_b), True),
        ("VolumeBinding", CLAIM, Event(Change.CLAIM, None, claim("mine")), True),
        ("VolumeBinding", CLAIM, Event(Change.CLAIM, None, claim("theirs")), False),
        ("VolumeBinding", CLAIM, Event(Change.STORAGE_CLASS, storage_class("a"), storage_class("a")), False),
        ("VolumeBinding", CLAIM, Event(Change.STORAGE_CLASS, storage_class("a"), storage_class("a", "b")), True),
        ("VolumeBinding", CLAIM, Event(Change.STORAGE_CAPACITY, capacity("1Gi"), capacity("2Gi")), True),
        ("VolumeBinding", CLAIM, Event(Change.STORAGE_CAPACITY, capacity("2Gi"), capacity("1Gi")), False),
        ("NodeVolumeLimits", CLAIM, Event(Change.CSI_NODE, csi_node(1), csi_node(2)), True),
        ("NodeVolumeLimits", CLAIM, Event(Change.CSI_NODE, csi_node(2), csi_node(1)), False),
        ("NodeVolumeLimits", CLAIM, Event(Change.POD_GONE, web, None), False),
        ("VolumeRestrictions", CLAIM, Event(Change.POD_GONE, labelled("x", **CLAIM), None), True),
        ("VolumeRestrictions", CLAIM, Event(Change.POD_GONE, web, None), False),
    ],
)
def test_worth_another_try(plugin: str, spec: dict[str, Any], event: Event, helps: bool) -> None:
    filter_ = BY_NAME[plugin]
    assert event.change & filter_.wakes, "the filter waits for events of this kind"
    assert filter_.worth(labelled("waiting", **spec), event) is helps


def test_only_those_wake_whom_an_event_helps() -> None:
    async def go() -> dict[str, int]:
        queue = SchedulingQueue()
        for name, spec in (("near", NEAR), ("apart", APART)):
            queue.add(labelled(name, **spec))
        for _ in range(2):
            await queue.pop()
        for name in ("near", "apart"):
            queue.refused(name, BY_NAME["InterPodAffinity"].wakes, (BY_NAME["InterPodAffinity"],))
        queue.changed(Event(Change.POD_PLACED, None, web))
        return queue.statistics()

    found = simloop.run(go())
    assert (found["backoff"], found["unschedulable"]) == (1, 1)
