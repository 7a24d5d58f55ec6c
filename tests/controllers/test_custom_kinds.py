"""Custom resources that come while the controllers run: garbage collection, namespaces, and clients of them."""

from __future__ import annotations

import asyncio
from typing import Any

from kijabi.api import codec
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.namespace import Namespace
from kijabi.api.custom import Custom
from kijabi.api.meta import Object, ObjectMeta, OwnerReference
from kijabi.client.client import Client
from kijabi.client.discovery import find
from kijabi.client.informer import Informer
from tests.apiserver.crd.definitions import definition
from tests.controllers.world import World, play

NAME = "widgets.example.com"


async def install(world: World) -> Client:
    """The definition, established, and a client of its objects."""
    await world.client.create(codec.from_builtins(CustomResourceDefinition, definition()))

    async def established() -> bool:
        crd = await world.client.get(CustomResourceDefinition, NAME)
        return any(each.type == "Established" and each.status == "True" for each in crd.status.conditions)

    await world.until(established)
    return world.client.of(await find(world.client, "example.com", "widget"))


def widget(name: str, *owners: Object, finalizers: tuple[str, ...] = ()) -> Custom:
    meta = ObjectMeta(name=name, namespace="ns", ownerReferences=refs(*owners), finalizers=finalizers)
    return Custom(metadata=meta, content={"spec": {"size": 1}})


def refs(*owners: Object) -> tuple[OwnerReference, ...]:
    return tuple(
        OwnerReference(
            apiVersion=o.apiVersion, kind=o.kind, name=o.metadata.name, uid=o.metadata.uid, blockOwnerDeletion=True
        )
        for o in owners
    )


def test_owners_and_dependents_may_be_custom_and_new() -> None:
    async def story(world: World) -> None:
        mine = await install(world)
        root = await mine.create(widget("root"))
        await world.client.create(
            ConfigMap(metadata=ObjectMeta(name="child", namespace="ns", ownerReferences=refs(root)))
        )
        owner = await world.client.create(ConfigMap(metadata=ObjectMeta(name="owner", namespace="ns")))
        await mine.create(widget("owned", owner))
        await mine.create(widget("waiting", root))
        await world.client.delete(ConfigMap, "owner", "ns")
        await world.until(lambda: _absent(mine, "owned"), 30)
        await mine.delete(Custom, "root", "ns", propagation="Foreground")
        await world.gone(ConfigMap, "child", "ns", 30)
        await world.until(lambda: _absent(mine, "root"), 30)
        assert await _absent(mine, "waiting")

    play(story)


async def _absent(client: Client, name: str) -> bool:
    return name not in {one.metadata.name for one in (await client.list(Custom, "ns")).items}


def test_a_namespace_takes_custom_objects_along_and_waits_for_their_finalizers() -> None:
    async def story(world: World) -> None:
        mine = await install(world)
        await mine.create(widget("a"))
        await mine.create(widget("b", finalizers=("example.com/wait",)))
        await world.client.delete(Namespace, "ns")
        await world.until(lambda: _absent(mine, "a"), 30)

        async def told() -> bool:
            namespace = await world.client.get(Namespace, "ns")
            texts = {each.type: each.message for each in namespace.status.conditions}
            return "widgets.example.com has 1 resource instances" in texts.get("NamespaceContentRemaining", "")

        await world.until(told, 30)
        await mine.patch(Custom, "b", {"metadata": {"finalizers": None}}, namespace="ns")
        await world.gone(Namespace, "ns", 60)

    play(story)


def test_an_informer_of_a_custom_resource() -> None:
    async def story(world: World) -> None:
        mine = await install(world)
        informer = Informer(mine, Custom)
        seen: list[tuple[Any, Any]] = []
        informer.add_handler(lambda old, new: seen.append((old and old.content, new and new.content)))
        task = asyncio.create_task(informer.run())
        await informer.wait_synced()
        made = await mine.create(widget("a"))
        assert (made.kind, made.apiVersion) == ("Widget", "example.com/v1")
        made.content["spec"]["size"] = 2
        assert (await mine.update(made)).metadata.generation == 2
        await mine.delete(Custom, "a", "ns")
        await asyncio.sleep(1)
        sizes = [tuple(each and each["spec"]["size"] for each in pair) for pair in seen]
        assert sizes == [(None, 1), (1, 2), (2, None)]
        task.cancel()

    play(story)
