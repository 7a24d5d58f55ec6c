"""A StatefulSet with claims in a whole cluster, agents of local-path volumes included."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.event import Event
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.base.errors import NotFound
from kijabi.testing import simloop
from kijabi.testing.cluster import World, cluster
from kijabi.testing.faults import Faults

LABELS = {"app": "db"}


def stateful(replicas: int, **retention: str) -> StatefulSet:
    mount = {"name": "data", "mountPath": "/data"}
    template = {
        "metadata": {"labels": LABELS},
        "spec": {"containers": [{"name": "c", "image": "app:1", "volumeMounts": [mount]}]},
    }
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    spec: dict[str, Any] = {
        "serviceName": "db", "replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template,
        "volumeClaimTemplates": [claim],
    }  # fmt: skip
    if retention:
        spec["persistentVolumeClaimRetentionPolicy"] = retention
    return codec.from_builtins(StatefulSet, {"metadata": {"name": "db", "namespace": "default"}, "spec": spec})


async def ready(world: World, count: int) -> list[Pod]:
    async def all_run() -> list[Pod]:
        pods = [pod for pod in (await world.admin.list(Pod, "default")).items if pod.status.phase == "Running"]
        return pods if len(pods) == count and all(p.metadata.deletionTimestamp is None for p in pods) else []

    found: list[Pod] = await world.until(all_run)
    return found


def test_a_stateful_set_with_claims() -> None:
    async def story() -> None:
        async with cluster(2, volumes=True) as world:
            found = world.disks
            await world.admin.create(stateful(4))
            pods = await ready(world, 4)
            for pod in pods:
                claim = await world.admin.get(PersistentVolumeClaim, f"data-{pod.metadata.name}", "default")
                assert claim.status.phase == "Bound"
                assert claim.spec.volumeName in found[pod.spec.nodeName].volumes
            assert sum(len(disk.volumes) for disk in found.values()) == 4
            # A pod that is made anew is where its data is.
            where = {pod.metadata.name: pod.spec.nodeName for pod in pods}
            for pod in pods:
                await world.admin.delete(Pod, pod.metadata.name, "default", grace=0)
            again = await ready(world, 4)
            assert {pod.metadata.name: pod.spec.nodeName for pod in again} == where

    simloop.run(story(), 1)


def test_a_pod_whose_claim_cannot_be_served_says_so() -> None:
    async def story() -> None:
        async with cluster(1, volumes=True) as world:
            wanted = stateful(1)
            wanted.spec.volumeClaimTemplates[0].spec.accessModes = ("ReadWriteMany",)
            await world.admin.create(wanted)

            async def told() -> bool:
                said: list[str] = [one.message for one in (await world.admin.list(Event, "default")).items]
                return any(text.endswith('provisioning failed for PVC "data-db-0"') for text in said)

            await world.until(told)

    simloop.run(story(), 1)


def test_claims_that_go_with_their_pods_free_the_disk() -> None:
    async def story() -> None:
        async with cluster(2, volumes=True) as world:
            found = world.disks
            await world.admin.create(stateful(3, whenScaled="Delete", whenDeleted="Delete"))
            await ready(world, 3)
            await world.admin.patch(StatefulSet, "db", {"spec": {"replicas": 1}}, namespace="default")

            async def left(count: int) -> bool:
                volumes = (await world.admin.list(PersistentVolume)).items
                return len(volumes) == count == sum(len(disk.volumes) for disk in found.values())

            await world.until(lambda: left(1))
            await world.admin.delete(StatefulSet, "db", "default")
            await world.until(lambda: left(0))

    simloop.run(story(), 2)


def test_a_pod_that_waits_for_its_own_claim_to_go() -> None:
    """Deleted in the foreground, it stays until its claim has gone, and its claim until its kubelet is done with it."""

    async def story() -> None:
        async with cluster(1, volumes=True) as world:
            spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            container = {"name": "c", "image": "app:1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
            disk = {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": spec}}}
            given = {"containers": [container], "volumes": [disk]}
            pod = {"metadata": {"name": "p", "namespace": "default"}, "spec": given}
            await world.admin.create(codec.from_builtins(Pod, pod))
            await ready(world, 1)
            await world.admin.delete(Pod, "p", "default", propagation="Foreground")

            async def gone() -> bool:
                left = [(await world.admin.list(cls)).items for cls in (Pod, PersistentVolumeClaim, PersistentVolume)]
                return not any(left) and not any(disk.volumes for disk in world.disks.values())

            await world.until(gone)

    simloop.run(story(), 3)


class Trouble:
    """What befalls a StatefulSet with claims and its cluster."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)
        self.replicas = 3

    async def go_on(self) -> None:
        """Twelve misfortunes, some seconds apart."""
        for _ in range(12):
            await asyncio.sleep(self.rng.random() * 8)
            await self.rng.choice((self._scale, self._delete, self._delete, self._crash, self._crash))()

    async def _scale(self) -> None:
        self.replicas = self.rng.randint(0, 4)
        await self.world.admin.patch(StatefulSet, "db", {"spec": {"replicas": self.replicas}}, namespace="default")

    async def _delete(self) -> None:
        """Of pods, claims and volumes, one. A volume that dies before its claim knows of it is upstream's deadlock."""
        cls = self.rng.choice((Pod, PersistentVolumeClaim, PersistentVolume))
        there = sorted((await self.world.admin.list(cls)).items, key=lambda each: each.metadata.name)
        if cls is PersistentVolume:
            known = {c.spec.volumeName for c in (await self.world.admin.list(PersistentVolumeClaim)).items}
            there = [each for each in there if each.metadata.name in known]
        if there:
            meta = self.rng.choice(there).metadata
            grace = self.rng.choice((0, None)) if cls is Pod else None
            with contextlib.suppress(NotFound):
                await self.world.admin.delete(cls, meta.name, meta.namespace, grace=grace)

    async def _crash(self) -> None:
        await self.world.restart(self.rng.choice(("node-1", "node-2", "control")), self.rng.random() * 5)


@pytest.mark.parametrize("seed", range(1, 21))
def test_no_directory_is_lost_or_leaked(seed: int) -> None:
    """Whatever happened: healed, pods run with their claims, and disks and API agree; without claims nothing."""

    async def story() -> None:
        async with cluster(2, faults=Faults(), volumes=True) as world:
            await world.admin.create(stateful(3, whenScaled="Delete", whenDeleted="Delete"))
            trouble = Trouble(world, seed)
            await trouble.go_on()
            world.heal()

            async def agree() -> bool:
                volumes = {v.metadata.name: v for v in (await world.admin.list(PersistentVolume)).items}
                where = {name: node for node, disk in world.disks.items() for name in disk.volumes}
                home = {name: v.metadata.labels["kijabi.dev/local-path-node"] for name, v in volumes.items()}
                return where == home

            async def well() -> bool:
                pods = (await world.admin.list(Pod, "default")).items
                claims = (await world.admin.list(PersistentVolumeClaim, "default")).items
                bound = {c.metadata.name for c in claims if c.status.phase == "Bound"}
                return all(pod.status.phase == "Running" and f"data-{pod.metadata.name}" in bound for pod in pods)

            await world.until(lambda: _both(well, agree), 600.0)
            await world.admin.delete(StatefulSet, "db", "default")
            await world.admin.delete_collection(PersistentVolumeClaim, "default")

            async def empty() -> bool:
                return not (await world.admin.list(PersistentVolume)).items and await agree()

            await world.until(empty, 600.0)

    simloop.run(story(), seed)


async def _both(one: Any, other: Any) -> bool:
    return await one() and await other()
