"""What the conformance suite asks of namespaces and of the garbage collector, told small and in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

from kijabi.api import codec
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.pod import Pod
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.api.meta import ObjectMeta
from tests.controllers.world import World, play

CONTAINERS = [{"name": "c", "image": "app:1"}]


def pod(name: str, namespace: str = "ns", **meta: Any) -> Pod:
    own = {"name": name, "namespace": namespace, **meta}
    return codec.from_builtins(Pod, {"metadata": own, "spec": {"containers": CONTAINERS}})


def controller(name: str, replicas: int) -> ReplicationController:
    template = {"metadata": {"labels": {"rc": name}}, "spec": {"containers": CONTAINERS}}
    spec = {"replicas": replicas, "selector": {"rc": name}, "template": template}
    return codec.from_builtins(ReplicationController, {"metadata": {"name": name, "namespace": "ns"}, "spec": spec})


async def pods(world: World, namespace: str = "ns") -> tuple[Pod, ...]:
    return (await world.client.list(Pod, namespace)).items


async def started(world: World, name: str, replicas: int) -> ReplicationController:
    made = await world.client.create(controller(name, replicas))

    async def whole() -> bool:
        return (await world.client.get(ReplicationController, name, "ns")).status.replicas == replicas

    await world.until(whole)
    return made


def test_pods_go_first_when_a_namespace_is_deleted() -> None:
    async def story(world: World) -> None:
        await world.client.create(Namespace(metadata=ObjectMeta(name="going")))
        await asyncio.sleep(1)
        await world.client.create(pod("held", "going", finalizers=["example.com/hold"]))
        await world.client.create(ConfigMap(metadata=ObjectMeta(name="kept", namespace="going")))
        await world.client.delete(Namespace, "going")

        async def told() -> bool:
            status = (await world.client.get(Namespace, "going")).status
            named = {each.type for each in status.conditions}
            return status.phase == "Terminating" and "NamespaceDeletionContentFailure" in named

        await world.until(told)
        await asyncio.sleep(60)
        await world.client.get(ConfigMap, "kept", "going")
        assert (await world.client.get(Pod, "held", "going")).metadata.deletionTimestamp is not None
        conditions = {each.type: each for each in (await world.client.get(Namespace, "going")).status.conditions}
        assert conditions["NamespaceFinalizersRemaining"].message == (
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
        )
        await world.client.patch(Pod, "held", {"metadata": {"finalizers": None}}, namespace="going")
        await world.gone(Namespace, "going")

    play(story)


def test_dependents_with_another_owner_stay() -> None:
    async def story(world: World) -> None:
        first = await started(world, "first", 8)
        second = await started(world, "second", 0)
        half = (await pods(world))[:4]
        own = second.metadata
        ref = {"apiVersion": "v1", "kind": "ReplicationController", "name": own.name, "uid": own.uid}
        for each in half:
            patch = {"metadata": {"ownerReferences": [ref]}}
            await world.client.patch(Pod, each.metadata.name, patch, namespace="ns", type="strategic")
        await world.client.delete(
            ReplicationController, "first", "ns", uid=first.metadata.uid, propagation="Foreground"
        )
        await world.gone(ReplicationController, "first", "ns")
        left = await pods(world)
        assert {each.metadata.name for each in left} == {each.metadata.name for each in half}
        assert all(each.metadata.deletionTimestamp is None for each in left)
        assert all([ref.uid for ref in each.metadata.ownerReferences] == [own.uid] for each in left)

    play(story)


def test_pods_of_a_controller_go_with_it_or_stay_as_orphans() -> None:
    async def story(world: World) -> None:
        for how, left in (("Background", 0), ("Foreground", 0), ("Orphan", 5)):
            await started(world, "rc", 5)
            await world.client.delete(ReplicationController, "rc", "ns", propagation=how)
            await world.gone(ReplicationController, "rc", "ns")

            async def settled(left: int = left) -> bool:
                return len(await pods(world)) == left

            await world.until(settled)
            await asyncio.sleep(40)
            assert await settled()
        assert all(not each.metadata.ownerReferences for each in await pods(world))

    play(story)


def test_a_circle_of_pods_goes_as_a_whole() -> None:
    async def story(world: World) -> None:
        made = [await world.client.create(pod(f"pod{n}")) for n in (1, 2, 3)]
        for each, owner in zip(made, (made[2], made[0], made[1]), strict=True):
            own = owner.metadata
            ref = {"apiVersion": "v1", "kind": "Pod", "name": own.name, "uid": own.uid, "controller": True}
            patch = {"metadata": {"ownerReferences": [{**ref, "blockOwnerDeletion": True}]}}
            await world.client.patch(Pod, each.metadata.name, patch, namespace="ns", type="strategic")
        await world.client.delete(Pod, "pod1", "ns", uid=made[0].metadata.uid, propagation="Foreground")

        async def none() -> bool:
            return not await pods(world)

        await world.until(none, 90)

    play(story)
