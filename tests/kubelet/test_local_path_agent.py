"""The agent of local-path volumes beside a real API server; and that no crash loses or leaks a directory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kijabi.api.core.event import Event
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.meta import ObjectMeta
from kijabi.api.storage.storageclass import StorageClass
from kijabi.base.errors import NotFound
from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.client.transport import Request, Response
from kijabi.kubelet.localpath.agent import Agent
from kijabi.kubelet.localpath.disk import Directories, NullDisk
from tests.kubelet.test_local_path import NAME, claim, storage_class, volume
from tests.kubelet.world import Direct, World, play


@asynccontextmanager
async def agent(world: World, disk: Any, node: str = "n1", client: Client | None = None) -> AsyncIterator[None]:
    """An agent of a node beside the block; it is cut off at the end, as by kill -9."""
    client = client or world.client
    informers = Informers(client)
    made = Agent(node, client, informers, disk)
    tasks = [world.group.create_task(informers.run()), world.group.create_task(made.run())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def ask(world: World, wanted: PersistentVolumeClaim) -> PersistentVolumeClaim:
    return await world.client.create(wanted)


async def settled(check: Any, seconds: float = 60.0) -> Any:
    """What the check gives once it is true."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await check():
                return found
            await asyncio.sleep(0.05)


PROTECTION = "kubernetes.io/pv-protection"


async def volumes(world: World) -> list[PersistentVolume]:
    """All but those that only wait for the controller that protects volumes, which these tests do without."""
    every = (await world.client.list(PersistentVolume)).items
    return [v for v in every if v.metadata.deletionTimestamp is None or v.metadata.finalizers != (PROTECTION,)]


async def events(world: World, reason: str) -> list[str]:
    return [e.message for e in (await world.client.list(Event)).items if e.reason == reason]


async def bind(world: World, name: str) -> None:
    """As the volume binder does."""
    ref = (await world.client.get(PersistentVolume, name)).spec.claimRef
    assert ref is not None
    await world.client.patch(PersistentVolume, name, {"status": {"phase": "Bound"}}, subresource="status")
    change = {"spec": {"volumeName": name}}
    await world.client.patch(PersistentVolumeClaim, ref.name, change, namespace=ref.namespace)


async def release(world: World, name: str) -> None:
    """The claim is deleted, and the binder says so."""
    ref = (await world.client.get(PersistentVolume, name)).spec.claimRef
    assert ref is not None
    change: dict[str, Any] = {"metadata": {"finalizers": None}}
    await world.client.patch(PersistentVolumeClaim, ref.name, change, namespace=ref.namespace)
    await world.client.delete(PersistentVolumeClaim, ref.name, ref.namespace)
    await world.client.patch(PersistentVolume, name, {"status": {"phase": "Released"}}, subresource="status")


def test_a_volumes_life() -> None:
    async def scene(world: World) -> None:
        disk = NullDisk()
        async with agent(world, disk):
            asked = await ask(world, claim())
            name = f"pvc-{asked.metadata.uid}"
            (made,) = await settled(lambda: volumes(world))
            assert made.metadata.name == name
            assert made.spec.local is not None
            assert made.spec.local.path == f"/volumes/{name}"
            assert disk.volumes == {name}
            assert await settled(lambda: events(world, "ProvisioningSucceeded")) == [
                f"Successfully provisioned volume {name}"
            ]
            await bind(world, name)
            await release(world, name)
            await settled(lambda: _none(world))
            assert disk.volumes == set()

    play(scene)


async def _none(world: World) -> bool:
    return not await volumes(world)


async def grow(world: World, size: str) -> None:
    """The claim asks for more."""
    change = {"spec": {"resources": {"requests": {"storage": size}}}}
    await world.client.patch(PersistentVolumeClaim, "data", change, namespace="default")


async def bound_claim(world: World) -> str:
    """The binder has done its work on both sides; the volume's name."""
    (made,) = await settled(lambda: volumes(world))
    name: str = made.metadata.name
    await bind(world, name)
    status = {"status": {"phase": "Bound", "capacity": {"storage": "1Gi"}}}
    await world.client.patch(PersistentVolumeClaim, "data", status, namespace="default", subresource="status")
    return name


async def sizes(world: World) -> tuple[str, str]:
    """Of the claim and of its volume, as they are."""
    own = await world.client.get(PersistentVolumeClaim, "data", "default")
    (made,) = await volumes(world)
    return str(own.status.capacity["storage"]), str(made.spec.capacity["storage"])


def test_a_claim_that_asks_for_more_gets_it() -> None:
    async def scene(world: World) -> None:
        async with agent(world, NullDisk()):
            await ask(world, claim())
            await bound_claim(world)
            for size in ("2Gi", "3Gi"):
                await grow(world, size)
                await settled(lambda: _grown(world, size))  # noqa: B023
            assert await settled(lambda: events(world, "VolumeResizeSuccessful")) == ["Resize volume succeeded"]
            own = await world.client.get(PersistentVolumeClaim, "data", "default")
            assert own.status.conditions == ()
            assert own.status.allocatedResourceStatuses == {}

    play(scene)


async def _grown(world: World, size: str) -> bool:
    return await sizes(world) == (size, size)


def test_a_claim_that_asks_for_more_than_there_is_may_ask_for_less() -> None:
    async def scene(world: World) -> None:
        async with agent(world, NullDisk(1 << 30)):
            await ask(world, claim())
            name = await bound_claim(world)
            await grow(world, "4Gi")
            (text,) = await settled(lambda: events(world, "VolumeResizeFailed"))
            why = "the claim asks for 3Gi more, and the disk of the node has 1024Mi free"
            assert text == f'resize volume "{name}" by resizer "kijabi.dev/local-path" failed: {why}'
            assert await sizes(world) == ("1Gi", "1Gi")
            await grow(world, "2Gi")
            await settled(lambda: _grown(world, "2Gi"))

    play(scene)


def test_retained_data_outlives_its_volume() -> None:
    async def scene(world: World) -> None:
        disk = NullDisk()
        await world.client.delete(StorageClass, "local-path")
        kept = storage_class(reclaimPolicy="Retain")
        await world.client.create(kept)
        async with agent(world, disk):
            asked = await ask(world, claim())
            name = f"pvc-{asked.metadata.uid}"
            await settled(lambda: volumes(world))
            await bind(world, name)
            await release(world, name)
            await asyncio.sleep(30)
            assert [v.metadata.name for v in await volumes(world)] == [name]
            await world.client.delete(PersistentVolume, name)
            await settled(lambda: _none(world))
            assert disk.volumes == {name}

    play(scene)


def test_another_nodes_claim_and_a_claim_without_a_node() -> None:
    async def scene(world: World) -> None:
        disk = NullDisk()
        async with agent(world, disk):
            await ask(world, claim("theirs", node="n2"))
            await ask(world, claim("waits", node=""))
            await asyncio.sleep(60)
            assert await volumes(world) == []
            assert disk.volumes == set()
            note = {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "n1"}}}
            await world.client.patch(PersistentVolumeClaim, "waits", note, namespace="default")
            assert len(await settled(lambda: volumes(world))) == 1

    play(scene)


def test_where_no_node_is_chosen_the_fastest_serves() -> None:
    async def scene(world: World) -> None:
        await world.client.create(Node(metadata=ObjectMeta(name="n2", labels={"kubernetes.io/hostname": "n2"})))
        now = storage_class(volumeBindingMode="Immediate")
        now.metadata.name = "now"
        await world.client.create(now)
        first, second = NullDisk(), NullDisk()
        async with agent(world, first), agent(world, second, "n2"):
            for number in range(5):
                await ask(world, claim(f"c{number}", node="", storageClassName="now"))

            async def served() -> bool:
                return len(await volumes(world)) == 5 and len(first.volumes) + len(second.volumes) == 5

            await settled(served)
            for each in await volumes(world):
                holder = first if each.metadata.labels["kijabi.dev/local-path-node"] == "n1" else second
                assert each.metadata.name in holder.volumes

    play(scene)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (claim(size="2Gi"), "the claim asks for 2Gi, and the disk of the node has 1024Mi free"),
        (claim(volumeMode="Block"), "volumes are directories: volumeMode Block is not supported"),
    ],
)
def test_who_is_refused_may_go_elsewhere(wanted: PersistentVolumeClaim, why: str) -> None:
    async def scene(world: World) -> None:
        async with agent(world, NullDisk(1 << 30)):
            await ask(world, wanted)

            async def unchosen() -> bool:
                found = await world.client.get(PersistentVolumeClaim, "data", "default")
                return "volume.kubernetes.io/selected-node" not in found.metadata.annotations

            await settled(unchosen)
            (text,) = await settled(lambda: events(world, "ProvisioningFailed"))
            assert text == f'failed to provision volume with StorageClass "local-path": {why}'
            assert await volumes(world) == []

    play(scene)


class BrokenDisk(NullDisk):
    """Fails as long as it is told to."""

    broken = True

    async def make(self, name: str) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")
        await super().make(name)

    async def remove(self, name: str) -> None:
        if self.broken:
            raise OSError(5, "Input/output error")
        await super().remove(name)


def test_a_disk_that_fails_is_tried_again() -> None:
    async def scene(world: World) -> None:
        disk = BrokenDisk()
        async with agent(world, disk):
            asked = await ask(world, claim())
            name = f"pvc-{asked.metadata.uid}"
            (text,) = await settled(lambda: events(world, "ProvisioningFailed"))
            assert text.endswith("[Errno 28] No space left on device")
            assert await volumes(world) == []
            disk.broken = False
            await settled(lambda: volumes(world))
            await bind(world, name)
            disk.broken = True
            await release(world, name)
            assert await settled(lambda: events(world, "VolumeFailedDelete")) == ["[Errno 5] Input/output error"]
            assert disk.volumes == {name}
            disk.broken = False
            await settled(lambda: _none(world))
            assert disk.volumes == set()

    play(scene)


def test_a_volume_made_by_hand_does_not_make_us_delete_a_path() -> None:
    async def scene(world: World) -> None:
        disk = NullDisk()
        async with agent(world, disk):
            evil = volume("Released")
            assert evil.spec.local is not None
            evil.spec.local.path = "/etc"
            await world.client.create(evil)
            await world.client.patch(PersistentVolume, NAME, {"status": {"phase": "Released"}}, subresource="status")
            assert await settled(lambda: events(world, "VolumeFailedDelete")) == [
                f"{NAME} is not a directory of this node's volumes"
            ]
            assert [v.metadata.name for v in await volumes(world)] == [NAME]

    play(scene)


# Killed at any point


class Killed(Exception):
    """The agent ends here, as by kill -9."""


class Mortal:
    """Counts every effect of an agent, on the disk or in the API, and ends it before or after the one it is told."""

    def __init__(self, last: int, *, after: bool) -> None:
        self.left, self.after = last, after
        self.dead = asyncio.Event()

    async def effect(self, act: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            self.dead.set()
        if self.dead.is_set():
            await asyncio.Event().wait()
        done = await act()
        if self.left == 0:
            self.dead.set()
            await asyncio.Event().wait()
        return done


class MortalTransport(Direct):
    """The API as an agent that will be killed has it."""

    def __init__(self, world: World, mortal: Mortal) -> None:
        super().__init__(world.app)
        self.mortal = mortal

    async def request(self, request: Request) -> Response:
        if request.method == "GET":
            return await super().request(request)
        done: Response = await self.mortal.effect(lambda: Direct.request(self, request))
        return done


class MortalDisk(Directories):
    """A real disk, in the hands of an agent that will be killed."""

    def __init__(self, root: Path, mortal: Mortal) -> None:
        super().__init__(root)
        self.mortal = mortal

    async def make(self, name: str) -> None:
        await self.mortal.effect(lambda: self._now(self._make, name))

    async def remove(self, name: str) -> None:
        await self.mortal.effect(lambda: self._now(self._remove, name))

    async def discard(self, name: str) -> None:
        await self.mortal.effect(lambda: Directories.discard(self, name))

    async def names(self) -> tuple[str, ...]:
        return self._names()

    async def _now(self, act: Any, name: str) -> None:
        act(self.path(name))


@pytest.mark.parametrize("last", range(1, 9))
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("story", ["served", "unwanted", "released", "grown"])
def test_killed_at_any_effect(tmp_path: Path, last: int, after: bool, story: str) -> None:
    """Then the next agent finishes: a claim has its volume and directory, and what nobody wants is gone from both."""
    root = tmp_path / "volumes"

    async def scene(world: World) -> None:
        asked = await ask(world, claim())
        name = f"pvc-{asked.metadata.uid}"
        if story == "released":
            async with agent(world, MortalDisk(root, Mortal(0, after=False))):
                await settled(lambda: volumes(world))
            (root / name / "data").write_text("x")
            await bind(world, name)
            await release(world, name)
        if story == "grown":
            async with agent(world, MortalDisk(root, Mortal(0, after=False))):
                await bound_claim(world)
            await grow(world, "2Gi")
        mortal = Mortal(last, after=after)
        async with agent(world, MortalDisk(root, mortal), client=Client(MortalTransport(world, mortal))):
            await asyncio.sleep(30)
        if story == "unwanted":
            await withdraw(world, name)
        async with agent(world, MortalDisk(root, Mortal(0, after=False))):
            await asyncio.sleep(60)
        present = [v.metadata.name for v in await volumes(world)]
        expected = [name] if story in ("served", "grown") else []
        assert present == expected
        assert os.listdir(root) == expected
        if story == "grown":
            assert await sizes(world) == ("2Gi", "2Gi")

    play(scene)


async def withdraw(world: World, name: str) -> None:
    """The claim is deleted while nobody serves; the binder releases what was made for it."""
    change: dict[str, Any] = {"metadata": {"finalizers": None}}
    await world.client.patch(PersistentVolumeClaim, "data", change, namespace="default")
    await world.client.delete(PersistentVolumeClaim, "data", "default")
    try:
        await world.client.patch(PersistentVolume, name, {"status": {"phase": "Released"}}, subresource="status")
    except NotFound:
        return
