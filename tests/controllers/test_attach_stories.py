"""Volumes of a driver follow their pods from node to node, as the driver's attacher and the kubelets let them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.storage.csidriver import CSIDriver
from kijabi.api.storage.volumeattachment import VolumeAttachment
from kijabi.base.errors import Conflict, NotFound
from kijabi.controllers.attachdetach.volumes import attachment_name
from kijabi.testing.faults import Faults
from tests.controllers.test_volume_stories import bound, claim, told, user, volume
from tests.controllers.world import World, play

NAME = "kubernetes.io/csi/d.example.com^1"
CSI = {"hostPath": None, "csi": {"driver": "d.example.com", "volumeHandle": "1"}}
HOLD = "external-attacher/d"


async def attacher(world: World) -> None:
    """The driver's: attaches and detaches what it is told, and never two nodes to one volume."""
    while True:
        await asyncio.sleep(0.2)
        found = (await world.client.list(VolumeAttachment)).items
        assert len(found) <= 1, [one.spec.nodeName for one in found]
        for one in found:
            own = one.metadata
            try:
                if own.deletionTimestamp is not None:
                    await world.client.patch(VolumeAttachment, own.name, {"metadata": {"finalizers": None}})
                elif HOLD not in own.finalizers:
                    await world.client.patch(VolumeAttachment, own.name, {"metadata": {"finalizers": [HOLD]}})
                elif not one.status.attached:
                    done = {"status": {"attached": True}}
                    await world.client.patch(VolumeAttachment, own.name, done, subresource="status")
            except (NotFound, Conflict):
                continue


async def prepare(world: World, *, attaching: bool = True) -> None:
    """Nodes that leave attaching to the controller, and a bound claim on a volume of the driver."""
    for name in ("n1", "n2"):
        managed = {"metadata": {"annotations": {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}}}
        await world.client.patch(Node, name, managed)
    if attaching:
        world.tasks.create_task(attacher(world))
    await world.client.create(volume("v", **CSI))
    await world.client.create(claim("c"))
    await bound(world, "c", 600)


async def reported(world: World, node: str, wanted: bool) -> None:
    """Wait until the node's status says that the volume is attached, or that it is not."""

    async def so() -> bool:
        listed = (await world.client.get(Node, node)).status.volumesAttached
        return any(one.name == NAME for one in listed) == wanted

    await world.until(so, 900)


async def using(world: World, node: str, names: list[str]) -> None:
    """What the kubelet says."""
    await world.client.patch(Node, node, {"status": {"volumesInUse": names}}, subresource="status")


def on(name: str, node: str) -> Pod:
    """A pod with the claim that must run on a node."""
    return user(name, "c", nodeName=node)


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_volume_follows_its_pod(seed: int) -> None:
    async def story(world: World) -> None:
        await prepare(world)
        await world.client.create(on("p", "n1"))
        await reported(world, "n1", True)
        await using(world, "n1", [NAME])
        await world.client.delete(Pod, "p", "ns", grace=0)
        await world.client.create(on("q", "n2"))
        await asyncio.sleep(60)
        (held,) = (await world.client.list(VolumeAttachment)).items
        assert held.spec.nodeName == "n1"
        await using(world, "n1", [])
        await reported(world, "n2", True)
        await reported(world, "n1", False)

    play(story, seed=seed, faults=Faults() if seed > 1 else None)


def test_what_an_earlier_process_left_is_taken_away() -> None:
    async def story(world: World) -> None:
        await prepare(world, attaching=False)
        left = {"attacher": "d.example.com", "nodeName": "n1", "source": {"persistentVolumeName": "v"}}
        csi = (await world.client.get(PersistentVolume, "v")).spec.csi
        assert csi is not None
        name = attachment_name(csi, "n1")
        body = {"metadata": {"name": name, "finalizers": [HOLD]}, "spec": left}
        await world.client.create(codec.from_builtins(VolumeAttachment, body))
        await world.client.create(codec.from_builtins(VolumeAttachment, {"metadata": {"name": "mine"}, "spec": left}))
        listed = {"status": {"volumesAttached": [{"name": NAME, "devicePath": ""}]}}
        await world.client.patch(Node, "n1", listed, subresource="status")

        async def going() -> bool:
            return (await world.client.get(VolumeAttachment, name)).metadata.deletionTimestamp is not None

        await world.until(going)
        await reported(world, "n1", False)
        await world.client.patch(VolumeAttachment, name, {"metadata": {"finalizers": None}})
        await world.gone(VolumeAttachment, name)
        other = await world.client.get(VolumeAttachment, "mine")
        assert other.metadata.deletionTimestamp is None, "what somebody else made is left alone"

    play(story)


def test_people_are_told_of_success_and_of_who_else_has_it() -> None:
    async def story(world: World) -> None:
        await prepare(world)
        await world.client.create(on("p", "n1"))
        assert await told(world, "SuccessfulAttachVolume", "p") == 'AttachVolume.Attach succeeded for volume "v" '
        await world.client.create(on("q", "n2"))
        wanted = 'Waiting for detach for volume "v" Volume is already used by pod(s) p'
        assert await told(world, "FailedAttachVolume", "q") == wanted

    play(story)


def test_a_node_that_died_loses_its_volume_after_six_minutes() -> None:
    async def story(world: World) -> None:
        await prepare(world)
        await world.client.create(on("p", "n1"))
        await reported(world, "n1", True)
        await using(world, "n1", [NAME])
        world.silent.add("n1")
        await asyncio.sleep(60)
        await world.client.delete(Pod, "p", "ns", grace=0)
        await world.client.create(on("q", "n2"))
        await asyncio.sleep(300)
        assert [one.spec.nodeName for one in (await world.client.list(VolumeAttachment)).items] == ["n1"]
        await reported(world, "n2", True)

    play(story)


def test_a_node_out_of_service_loses_it_at_once() -> None:
    async def story(world: World) -> None:
        await prepare(world)
        await world.client.create(on("p", "n1"))
        await reported(world, "n1", True)
        await using(world, "n1", [NAME])
        world.silent.add("n1")
        await asyncio.sleep(60)
        taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
        await world.client.patch(Node, "n1", {"spec": {"taints": [taint]}}, type="strategic")
        await world.client.delete(Pod, "p", "ns", grace=0)
        await world.client.create(on("q", "n2"))
        started = asyncio.get_running_loop().time()
        await reported(world, "n2", True)
        assert asyncio.get_running_loop().time() - started < 60

    play(story)


def test_a_driver_that_needs_no_attaching_gets_none_and_a_failure_is_told() -> None:
    async def story(world: World) -> None:
        body = {"metadata": {"name": "d.example.com"}, "spec": {"attachRequired": False}}
        made: Any = codec.from_builtins(CSIDriver, body)
        await world.client.create(made)
        await prepare(world, attaching=False)
        await world.client.create(on("p", "n1"))
        await asyncio.sleep(30)
        assert not (await world.client.list(VolumeAttachment)).items
        await world.client.delete(CSIDriver, "d.example.com")

        async def there() -> VolumeAttachment | None:
            return next(iter((await world.client.list(VolumeAttachment)).items), None)

        one = await world.until(there)
        failed = {"status": {"attached": False, "attachError": {"message": "no such disk", "time": None}}}
        await world.client.patch(VolumeAttachment, one.metadata.name, failed, subresource="status")
        wanted = 'AttachVolume.Attach failed for volume "v" : no such disk'
        assert await told(world, "FailedAttachVolume", "p") == wanted
        await world.client.delete(Pod, "p", "ns", grace=0)
        await world.gone(VolumeAttachment, one.metadata.name)
        assert (await world.client.get(PersistentVolumeClaim, "c", "ns")).status.phase == "Bound"

    play(story)
