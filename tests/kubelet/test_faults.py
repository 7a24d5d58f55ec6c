"""A kubelet among faults: lost requests, cut watches, its own crashes and the runtime's; healed, all must be well.

Each seed is another story. While it lasts, phases that are final stay, and no container runs twice.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress

import pytest

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.base.errors import NotFound
from kijabi.client.client import Client
from kijabi.kubelet import app as kubelet_app
from kijabi.testing import simloop
from kijabi.testing.faults import FaultyTransport
from tests.kubelet.world import World, inhabited


class Story:
    """Eight pods, and what befalls them."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)
        self.network = FaultyTransport(world.transport, seed=seed)
        self.phases: dict[str, str] = {}

    def begin(self) -> None:
        """Start the kubelet behind the bad network; again after a crash."""
        world = self.world
        world.kubelet = kubelet_app.make(world.config, Client(self.network), world.runtime)
        world._task = world.group.create_task(world.kubelet.run())

    async def happen(self) -> None:
        for number in range(8):
            policy = self.rng.choice(("Always", "Never", "OnFailure"))
            await self.world.create(Container(name="c", image="app:1"), name=f"p{number}", restartPolicy=policy)
            await self.check_for(self.rng.random() * 5)
            await self._befall(number)

    async def _befall(self, number: int) -> None:
        world, rng = self.world, self.rng
        alive = world.runtime.alive()
        if alive and rng.random() < 0.5:
            world.runtime.exit(rng.choice(alive), rng.choice((0, 1)))
        if rng.random() < 0.3:
            name, grace = f"p{rng.randint(0, number)}", rng.choice((None, 0, 1))
            with suppress(NotFound):
                await world.client.delete(Pod, name, "default", grace=grace)
        if rng.random() < 0.2:
            await world.stop_kubelet()
            self.begin()
        if rng.random() < 0.2:
            world.runtime.go_down()
            await self.check_for(rng.random() * 10)
            world.runtime.come_back()

    async def check_for(self, seconds: float) -> None:
        for _ in range(int(seconds) + 1):
            await asyncio.sleep(seconds / (int(seconds) + 1))
            for pod in (await self.world.client.list(Pod, "default")).items:
                before = self.phases.get(pod.metadata.uid, "")
                assert before not in ("Succeeded", "Failed") or pod.status.phase == before
                self.phases[pod.metadata.uid] = pod.status.phase
            running = (self.world.runtime.containers[each] for each in self.world.runtime.alive())
            owners = Counter(info.labels["io.kubernetes.pod.uid"] for info in running)
            assert not owners or max(owners.values()) == 1

    async def check_end(self) -> None:
        world = self.world
        pods = {pod.metadata.uid: pod for pod in (await world.client.list(Pod, "default")).items}
        alive = {world.runtime.containers[each].labels["io.kubernetes.pod.uid"] for each in world.runtime.alive()}
        for uid, pod in pods.items():
            assert pod.metadata.deletionTimestamp is None
            assert pod.status.phase in ("Running", "Succeeded", "Failed")
            assert (pod.status.phase == "Running") == (uid in alive)
            assert pod.status.phase != "Running" or all(c.ready for c in pod.status.containerStatuses)
        left = {info.labels["io.kubernetes.pod.uid"] for info in world.runtime.containers.values()}
        assert left | set(world.runtime.pods()) <= pods.keys()
        assert world.kubelet.workers.keys() == pods.keys()


@pytest.mark.parametrize("seed", range(8))
def test_story(seed: int) -> None:
    async def main() -> None:
        async with inhabited(start=False) as world:
            story = Story(world, seed)
            story.begin()
            await story.happen()
            story.network.heal()
            await story.check_for(400)
            await story.check_end()

    simloop.run(main(), seed)
