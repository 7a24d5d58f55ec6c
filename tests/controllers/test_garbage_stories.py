"""What is deleted with what, against the real API server."""

from __future__ import annotations

import asyncio

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.event import Event
from kijabi.api.core.namespace import Namespace
from kijabi.api.meta import ObjectMeta, OwnerReference
from tests.controllers.stories import complete, fresh, pods_of
from tests.controllers.world import World, play


def owned(name: str, *owners: ConfigMap, blocks: bool = True) -> ConfigMap:
    refs = tuple(
        OwnerReference(
            apiVersion="v1", kind="ConfigMap", name=o.metadata.name, uid=o.metadata.uid, blockOwnerDeletion=blocks
        )
        for o in owners
    )
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="ns", ownerReferences=refs))


async def maps(world: World) -> set[str]:
    return {m.metadata.name for m in (await world.client.list(ConfigMap, "ns")).items} - {"kube-root-ca.crt"}


def test_garbage_in_the_background_in_the_foreground_and_not_at_all() -> None:
    async def story(world: World) -> None:
        for policy, left in (("Background", set()), ("Foreground", set()), ("Orphan", {"child", "grandchild"})):
            root = await world.client.create(owned("root"))
            other = await world.client.create(owned("other"))
            child = await world.client.create(owned("child", root))
            await world.client.create(owned("grandchild", child))
            await world.client.create(owned("shared", root, other))
            await asyncio.sleep(1)
            await world.client.delete(ConfigMap, "root", "ns", propagation=policy)

            async def settled(left: set[str] = left) -> bool:
                return await maps(world) == {"other", "shared", *left}

            await world.until(settled)
            await asyncio.sleep(60)
            assert await settled()

            async def unreferenced() -> bool:
                shared = await world.client.get(ConfigMap, "shared", "ns")
                return [ref.uid for ref in shared.metadata.ownerReferences] == [other.metadata.uid]  # noqa: B023

            await world.until(unreferenced)
            await world.client.delete_collection(ConfigMap, "ns", fields="metadata.name!=kube-root-ca.crt")

            async def empty() -> bool:
                return not await maps(world)

            await world.until(empty)

    play(story)


def test_a_circle_of_owners_deleted_in_the_foreground_goes() -> None:
    async def story(world: World) -> None:
        a = await world.client.create(owned("a"))
        b = await world.client.create(owned("b", a))
        c = await world.client.create(owned("c", b))
        refs = [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": c.metadata.uid, "blockOwnerDeletion": True}
        ]
        await world.client.patch(ConfigMap, "a", {"metadata": {"ownerReferences": refs}}, namespace="ns")
        await asyncio.sleep(1)
        await world.client.delete(ConfigMap, "a", "ns", propagation="Foreground")

        async def empty() -> bool:
            return not await maps(world)

        await world.until(empty)

    play(story)


def test_owners_that_cannot_be_are_absent_but_never_mistaken() -> None:
    async def story(world: World) -> None:
        await world.namespace("elsewhere")
        owner = await world.client.create(owned("owner"))
        foreign = owned("foreign", owner)
        foreign.metadata.namespace = "elsewhere"
        await world.client.create(foreign)
        await world.gone(ConfigMap, "foreign", "elsewhere")
        cluster = Namespace(metadata=ObjectMeta(name="odd", ownerReferences=owned("x", owner).metadata.ownerReferences))
        await world.client.create(cluster)
        later = owned("later", owner)
        later.metadata.ownerReferences[0].uid = "an-earlier-uid"
        await world.client.create(later)
        await world.gone(ConfigMap, "later", "ns")
        await asyncio.sleep(120)
        assert (await world.client.get(Namespace, "odd")).metadata.deletionTimestamp is None
        assert await maps(world) == {"owner"}

    play(story)


def test_an_orphan_that_was_seen_late_is_left_alone() -> None:
    async def story(world: World) -> None:
        root = await world.client.create(owned("root"))
        await asyncio.sleep(1)
        await world.client.delete(ConfigMap, "root", "ns", propagation="Orphan")
        await world.client.create(owned("late", root))
        await asyncio.sleep(60)
        assert await maps(world) == {"late"}

    play(story)


def test_a_namespace_goes_with_all_that_is_in_it() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(3))
        await world.client.create(ConfigMap(metadata=ObjectMeta(name="kept", namespace="ns", finalizers=("x.io/y",))))
        await world.until(lambda: complete(world))
        await world.client.delete(Namespace, "ns")

        async def stuck() -> bool:
            conditions = {c.type: c for c in (await world.client.get(Namespace, "ns")).status.conditions}
            found = conditions.get("NamespaceFinalizersRemaining")
            return found is not None and found.status == "True" and "x.io/y in 1" in found.message

        await world.until(stuck)
        assert not await pods_of(world)
        patch = {"metadata": {"finalizers": []}}
        await world.client.patch(ConfigMap, "kept", patch, namespace="ns")
        await world.gone(Namespace, "ns")

    play(story)


def test_an_owner_in_another_namespace_is_none_and_an_event_says_so() -> None:
    async def story(world: World) -> None:
        await world.namespace("other")
        owner = await world.client.create(ConfigMap(metadata=ObjectMeta(name="owner", namespace="ns")))
        await asyncio.sleep(5)
        ref = OwnerReference(apiVersion="v1", kind="ConfigMap", name="owner", uid=owner.metadata.uid)
        far = ConfigMap(metadata=ObjectMeta(name="owned", namespace="other", ownerReferences=(ref,)))
        await world.client.create(far)
        await world.gone(ConfigMap, "owned", "other")
        assert await world.client.get(ConfigMap, "owner", "ns")

        async def told() -> list[str]:
            events = (await world.client.list(Event, "other")).items
            return [event.message for event in events if event.reason == "OwnerRefInvalidNamespace"]

        (text,) = await world.until(told)
        assert text.endswith('does not exist in namespace "other"')

    play(story)
