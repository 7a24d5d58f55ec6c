"""Networks that are cut: a zone, all zones, part of a zone. Nodes are evicted in turn, or not at all."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from kijabi.api.core.node import Node
from kijabi.api.meta import time_now
from kijabi.controllers.config import Config
from kijabi.controllers.flags import Flags
from tests.controllers.world import World, play

ZONE = "topology.kubernetes.io/zone"
UNREACHABLE = "node.kubernetes.io/unreachable"


async def zone(world: World, name: str, size: int) -> list[str]:
    """Nodes of a zone."""
    names = [f"{name}{number}" for number in range(size)]
    for one in names:
        await world.node(one, **{ZONE: name})
    return names


async def evicting(world: World) -> set[str]:
    """The nodes that have a taint which evicts."""
    nodes = (await world.client.list(Node)).items
    return {n.metadata.name for n in nodes if any(t.effect == "NoExecute" for t in n.spec.taints)}


async def shunned(world: World) -> set[str]:
    """The nodes to which nothing is scheduled for not being reachable."""
    nodes = (await world.client.list(Node)).items
    shunning = (UNREACHABLE, "NoSchedule")
    return {n.metadata.name for n in nodes if any((t.key, t.effect) == shunning for t in n.spec.taints)}


async def revive(world: World, *names: str) -> None:
    """Kubelets come back."""
    world.silent.difference_update(names)
    condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": str(time_now())}
    for name in names:
        patch = {"status": {"conditions": [condition]}}
        await world.client.patch(Node, name, patch, type="strategic", subresource="status")


def now() -> float:
    return asyncio.get_running_loop().time()


def test_a_zone_that_is_cut_off_is_evicted_a_node_at_a_time() -> None:
    async def story(world: World) -> None:
        await zone(world, "a", 3)
        names = set(await zone(world, "b", 6))
        await asyncio.sleep(5)
        world.silent.update(names)

        async def all_shunned() -> bool:
            return await shunned(world) == names

        await world.until(all_shunned)
        times = []
        for number in range(1, 7):

            async def so_many(number: int = number) -> bool:
                return len(await evicting(world)) >= number

            await world.until(so_many)
            times.append(now())
        assert all(9.5 < after - before < 11 for before, after in pairwise(times)), times
        assert await evicting(world) == names

    play(story, nodes=0)


def test_while_no_node_anywhere_is_ready_none_is_evicted_and_then_each_has_its_grace_anew() -> None:
    async def story(world: World) -> None:
        names = {*await zone(world, "a", 3), *await zone(world, "b", 3)}
        await asyncio.sleep(5)
        world.silent.add("a0")

        async def first() -> bool:
            return await evicting(world) == {"a0"}

        await world.until(first)
        world.silent.update(names)

        async def taken_back() -> bool:
            return await shunned(world) == names and not await evicting(world)

        await world.until(taken_back)
        await asyncio.sleep(1000)
        assert not await evicting(world)
        await revive(world, "b0")
        back = now()

        async def some() -> bool:
            return bool(await evicting(world))

        await world.until(some)
        assert now() - back > 9, "the first turn comes after a pause"
        await revive(world, *names)

        async def clean() -> bool:
            return not await evicting(world) and not await shunned(world)

        await world.until(clean)

    play(story, nodes=0)


def test_most_of_a_small_zone_is_not_evicted_and_of_a_large_one_slowly() -> None:
    async def story(world: World) -> None:
        small, large = await zone(world, "a", 5), await zone(world, "b", 6)
        await zone(world, "c", 1)
        await asyncio.sleep(5)
        world.silent.update(small[:3], large[:4])

        async def all_shunned() -> bool:
            return await shunned(world) == {*small[:3], *large[:4]}

        await world.until(all_shunned)
        await asyncio.sleep(310)
        gone = await evicting(world)
        (early,) = gone & set(small)  # one had its turn before the zone counted as disrupted
        assert 3 <= len(gone & set(large)) <= 4, "one at once, then one in 100 seconds"
        await revive(world, early)

        async def rest() -> bool:
            return {*small[:3]} - {early} <= await evicting(world)

        await world.until(rest)

    play(story, nodes=0, config=Config(root_ca="CERTIFICATE", host="test", flags=Flags(large_cluster_size_threshold=5)))
