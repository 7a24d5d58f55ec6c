"""Bindings whose answers are lost, on a whole cluster in one process."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.testing.cluster import World
from kijabi.testing.faults import NONE
from tests.scheduler.test_preemption_stories import play, pod, room

LATE = msgspec.structs.replace(NONE, stale=1.0, stale_seconds=(3.0, 3.0))


@pytest.mark.parametrize("lost", ["lost_request", "lost_reply"])
def test_room_is_not_given_twice_when_nobody_hears_of_a_binding(lost: str) -> None:
    """The news of the binding comes seconds later; the other pod waits for its place meanwhile, and after."""

    async def story(world: World) -> None:
        size = await room(world)
        await world.admin.patch(Node, "node-2", {"spec": {"unschedulable": True}})
        await asyncio.sleep(10)
        world.links["controllers"].faults = LATE
        for name in ("a", "b"):
            await world.admin.create(pod(name, str(size), "low"))
        await asyncio.sleep(2.9)
        world.links["scheduler"].faults = msgspec.structs.replace(NONE, loss_seconds=(0.0, 0.0), **{lost: 1.0})
        await asyncio.sleep(8)
        world.heal()
        await asyncio.sleep(60)
        pods = (await world.admin.list(Pod, "default")).items
        assert sorted((one.spec.nodeName, one.status.phase) for one in pods) == [("", "Pending"), ("node-1", "Running")]

    play(story)
