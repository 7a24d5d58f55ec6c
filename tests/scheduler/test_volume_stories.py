"""Pods with claims on a whole cluster in one process: the real API server, volume binder, scheduler and kubelets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kijabi.api import codec
from kijabi.api.core.event import Event
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.storage.matching import SELECTED_NODE
from kijabi.api.storage.storageclass import StorageClass
from kijabi.scheduler.volumes import LONGEST_BINDING
from kijabi.testing import simloop
from kijabi.testing.cluster import World, cluster


def play(story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with cluster(nodes=3, detect_mutations=True) as world:
            for name, provisioner in (("by-hand", "kubernetes.io/no-provisioner"), ("made", "example.com/made")):
                content = {
                    "metadata": {"name": name},
                    "provisioner": provisioner,
                    "volumeBindingMode": "WaitForFirstConsumer",
                }
                await world.admin.create(codec.from_builtins(StorageClass, content))
            await story(world)

    simloop.run(main(), 1)


def claim(name: str, storage_class: str, mode: str = "ReadWriteOnce") -> PersistentVolumeClaim:
    spec = {
        "accessModes": [mode],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return codec.from_builtins(
        PersistentVolumeClaim, {"metadata": {"name": name, "namespace": "default"}, "spec": spec}
    )


def volume(name: str, storage_class: str, node: str, size: str = "1Gi", **more: Any) -> PersistentVolume:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    spec = {
        "capacity": {"storage": size},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "local": {"path": f"/mnt/{name}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
        **more,
    }
    return codec.from_builtins(PersistentVolume, {"metadata": {"name": name}, "spec": spec})


def pod(name: str, *claims: str, **more: Any) -> Pod:
    container = {"name": "c", "image": "web:1"}
    volumes = [{"name": f"v{place}", "persistentVolumeClaim": {"claimName": one}} for place, one in enumerate(claims)]
    spec = {"containers": [container], "volumes": volumes, **more}
    return codec.from_builtins(Pod, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def node_of(world: World, name: str) -> str:
    return (await world.admin.get(Pod, name, "default")).spec.nodeName


async def said(world: World, name: str) -> str:
    """Why a pod waits."""
    waiting = await world.admin.get(Pod, name, "default")
    return next((one.message for one in waiting.status.conditions if one.type == "PodScheduled"), "")


async def bound(world: World, name: str) -> str:
    """The volume of a claim, once it is bound."""
    found = await world.admin.get(PersistentVolumeClaim, name, "default")
    return found.spec.volumeName if found.status.phase == "Bound" else ""


def test_pods_go_where_their_volumes_are_and_each_gets_its_own() -> None:
    async def story(world: World) -> None:
        for number in (2, 3):
            await world.admin.create(volume(f"disk-{number}", "by-hand", f"node-{number}"))
        for name in ("a", "b"):
            await world.admin.create(claim(name, "by-hand"))
            await world.admin.create(pod(name, name))
        nodes = [await world.until(lambda: node_of(world, "a")), await world.until(lambda: node_of(world, "b"))]
        assert sorted(nodes) == ["node-2", "node-3"]
        for name, node in zip(("a", "b"), nodes, strict=True):
            assert await bound(world, name) == node.replace("node", "disk")

    play(story)


def test_a_pod_waits_for_a_volume_and_goes_on_when_there_is_one() -> None:
    async def story(world: World) -> None:
        await world.admin.create(pod("a", "mine"))
        why = await world.until(lambda: said(world, "a"))
        assert why.startswith('0/3 nodes are available: persistentvolumeclaim "mine" not found. preemption: 0/3 nodes')
        assert why.endswith("3 Preemption is not helpful for scheduling.")
        await world.admin.create(claim("mine", "by-hand"))

        async def no_volume() -> bool:
            return "3 node(s) didn't find available persistent volumes to bind" in await said(world, "a")

        await world.until(no_volume)
        events = (await world.admin.list(Event, "default")).items
        assert any(one.reason == "FailedScheduling" and "persistent volumes" in one.message for one in events)
        await world.admin.create(volume("disk", "by-hand", "node-3"))
        assert await world.until(lambda: node_of(world, "a")) == "node-3"
        assert await bound(world, "mine") == "disk"

    play(story)


def test_the_smallest_volume_of_the_node_is_taken() -> None:
    async def story(world: World) -> None:
        for name, size in (("large", "9Gi"), ("small", "2Gi"), ("tiny", "100Mi")):
            await world.admin.create(volume(name, "by-hand", "node-1", size))
        await world.admin.create(claim("mine", "by-hand"))
        await world.admin.create(pod("a", "mine"))
        await world.until(lambda: node_of(world, "a"))
        assert await bound(world, "mine") == "small"

    play(story)


async def _selected(world: World, name: str) -> str:
    found = await world.admin.get(PersistentVolumeClaim, name, "default")
    return found.metadata.annotations.get(SELECTED_NODE, "")


def test_a_volume_is_made_on_the_node_that_was_chosen() -> None:
    async def story(world: World) -> None:
        await world.admin.create(claim("mine", "made"))
        await world.admin.create(pod("a", "mine", nodeSelector={"kubernetes.io/hostname": "node-2"}))
        assert await world.until(lambda: _selected(world, "mine")) == "node-2"
        await asyncio.sleep(60)
        assert not await node_of(world, "a"), "the pod is bound after its volume"
        own = await world.admin.get(PersistentVolumeClaim, "mine", "default")
        ref = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "mine", "uid": own.metadata.uid}
        await world.admin.create(volume("fresh", "made", "node-2", claimRef=ref))
        assert await world.until(lambda: node_of(world, "a")) == "node-2"
        assert await bound(world, "mine") == "fresh"

    play(story)


def test_a_provisioner_that_gives_up_makes_the_scheduler_choose_anew() -> None:
    async def story(world: World) -> None:
        await world.admin.create(claim("mine", "made"))
        await world.admin.create(pod("a", "mine"))
        await world.until(lambda: _selected(world, "mine"))
        patch = {"metadata": {"annotations": {SELECTED_NODE: None}}}
        await world.admin.patch(PersistentVolumeClaim, "mine", patch, namespace="default")

        wanted = 'running PreBind plugin "VolumeBinding": binding volumes: provisioning failed for PVC "mine"'

        async def failed() -> bool:
            events = (await world.admin.list(Event, "default")).items
            return any(one.message == wanted for one in events) and await said(world, "a") == wanted

        await world.until(failed)
        assert await world.until(lambda: _selected(world, "mine")), "tried again after the back-off"

    play(story)


def test_nobody_waits_for_a_volume_for_ever_and_others_need_not_wait() -> None:
    async def story(world: World) -> None:
        for number in range(70):  # more than are bound at a time
            await world.admin.create(claim(f"c{number}", "made"))
            await world.admin.create(pod(f"p{number}", f"c{number}"))
        await world.until(lambda: _selected(world, "c69"))
        await world.admin.create(pod("plain"))
        assert await world.until(lambda: node_of(world, "plain"), 10)
        await asyncio.sleep(LONGEST_BINDING)

        async def failed() -> bool:
            events = (await world.admin.list(Event, "default")).items
            return any("context deadline exceeded" in one.message for one in events)

        await world.until(failed)

    play(story)


def test_a_claim_for_one_pod_alone() -> None:
    async def story(world: World) -> None:
        await world.admin.create(volume("disk", "by-hand", "node-1", accessModes=["ReadWriteOncePod"]))
        await world.admin.create(claim("mine", "by-hand", "ReadWriteOncePod"))
        await world.admin.create(pod("first", "mine"))
        await world.until(lambda: node_of(world, "first"))
        await world.admin.create(pod("second", "mine"))
        why = await world.until(lambda: said(world, "second"))
        assert "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode" in why
        await world.admin.delete(Pod, "first", "default", grace=0)
        assert await world.until(lambda: node_of(world, "second")) == "node-1"

    play(story)


def test_a_claim_that_is_deleted_while_its_pod_is_being_bound() -> None:
    """Nobody waits for a volume that will never come: the pod is refused at once, and placed with the next claim."""

    async def story(world: World) -> None:
        await world.admin.create(claim("data", "made"))
        await world.admin.create(pod("p", "data"))

        async def chosen() -> bool:
            found = await world.admin.get(PersistentVolumeClaim, "data", "default")
            return SELECTED_NODE in found.metadata.annotations

        await world.until(chosen)
        await world.admin.delete(PersistentVolumeClaim, "data", "default")

        async def told() -> bool:
            events = (await world.admin.list(Event)).items
            return any("could not find persistentvolumeclaim" in event.message for event in events)

        await world.until(told, LONGEST_BINDING / 10)
        await world.admin.create(claim("data", "made"))
        await world.until(chosen, LONGEST_BINDING / 10)

    play(story)
