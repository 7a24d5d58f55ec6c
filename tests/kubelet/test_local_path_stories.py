"""A StatefulSet with claims in a whole cluster, agents of local-path volumes included."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kijabi.api import codec
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.apiserver.attributes import UserInfo
from kijabi.client.informer import Informers
from kijabi.kubelet.localpath.agent import Agent
from kijabi.kubelet.localpath.disk import NullDisk
from kijabi.testing import simloop
from kijabi.testing.cluster import World, cluster

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


@asynccontextmanager
async def disks(world: World, nodes: int) -> AsyncIterator[dict[str, NullDisk]]:
    """The agents of all nodes, and their disks."""
    found = {f"node-{number + 1}": NullDisk() for number in range(nodes)}
    user = UserInfo("system:kijabi-local-path")

    def agent(node: str) -> Any:
        async def work() -> None:
            client = world.client(f"local-path-{node}", user)
            informers = Informers(client)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(informers.run())
                tasks.create_task(Agent(node, client, informers, found[node]).run())

        return work

    for node in found:
        world.add(f"local-path-{node}", agent(node))
    yield found


async def ready(world: World, count: int) -> list[Pod]:
    async def all_run() -> list[Pod]:
        pods = [pod for pod in (await world.admin.list(Pod, "default")).items if pod.status.phase == "Running"]
        return pods if len(pods) == count and all(p.metadata.deletionTimestamp is None for p in pods) else []

    found: list[Pod] = await world.until(all_run)
    return found


def test_a_stateful_set_with_claims() -> None:
    async def story() -> None:
        async with cluster(2) as world, disks(world, 2) as found:
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


def test_claims_that_go_with_their_pods_free_the_disk() -> None:
    async def story() -> None:
        async with cluster(2) as world, disks(world, 2) as found:
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
