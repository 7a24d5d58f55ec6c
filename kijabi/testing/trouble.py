"""What goes wrong in a simulation besides the network: crashes, partitions, runtimes, containers, clocks.

`make` starts one trouble after another until it is cancelled; `heal` ends them all and starts what lies crashed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from kijabi.api.core.node import Node
from kijabi.base import rand
from kijabi.base.errors import ConnectionLost
from kijabi.controllers.cloud.interface import CloudError, RetryAfter
from kijabi.kubelet.runtime.interface import RuntimeFailure
from kijabi.testing.cluster import World
from kijabi.testing.faults import NONE
from kijabi.testing.safety.zones import ZONE
from kijabi.testing.simloop import SimLoop

# Mean virtual seconds between troubles.
PAUSE = 8.0
# A clock may be so many seconds wrong, to either side.
HOURS = 3 * 3600.0


class Trouble:
    """See the module. say: told what is done, in words."""

    def __init__(self, world: World, say: Callable[[str], None]) -> None:
        self.world = world
        self._say = say
        self._busy: set[str] = set()  # what is in trouble already
        self._kinds: tuple[tuple[int, Callable[[], Awaitable[None]]], ...] = (
            (4, self.partition),
            (1, self.silence),
            (3, self.crash_server),
            (3, self.crash_control),
            (4, self.crash_kubelet),
            (3, self.stop_runtime),
            (3, self.fail_runtime),
            (8, self.kill_container),
            (3, self.jump),
            (3, self.lag),
            (2, self.lose_zone),
        )
        if world.cloud is not None:
            self._kinds += ((6, self.lose_machine), (3, self.fail_cloud), (3, self.slow_cloud))

    async def make(self) -> None:
        """One trouble after another, some at the same time, until cancelled."""
        weights = [weight for weight, _ in self._kinds]
        kinds = [kind for _, kind in self._kinds]
        chance = rand.rng()
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(chance.expovariate(1 / PAUSE))
                kind = chance.choices(kinds, weights)[0]
                group.create_task(_run(kind), name=f"trouble {kind.__name__}")

    async def heal(self) -> None:
        """No trouble from now on; clocks are right, what was crashed runs again, nodes that were deleted are there."""
        self.world.heal()
        if self.world.cloud is not None:
            self.world.cloud.heal()
        loop = asyncio.get_running_loop()
        if isinstance(loop, SimLoop):
            loop.correct()
        self._busy.clear()
        for runtime in self.world.runtimes.values():
            runtime.fault = None
            runtime.delay = 0.0
            runtime.come_back()
        for name, component in self.world.components.items():
            if not component.running:
                self._say(f"start {name}")
                component.start()
        await self.world.up.wait()
        present = {node.metadata.name for node in (await self.world.admin.list(Node)).items}
        for name in self.world.runtimes:
            if name not in present:
                self._say(f"restart {name}, which was taken out of the cluster")
                await self.world.restart(name)

    # ---- troubles

    async def partition(self) -> None:
        """A component's connection breaks for some seconds."""
        await self._cut(rand.rng().choice(list(self.world.links)), rand.rng().uniform(1, 30))

    async def silence(self) -> None:
        """A node is away for so long that it counts as lost, perhaps until its pods are evicted."""
        await self._cut(rand.rng().choice(list(self.world.runtimes)), rand.rng().choice((60.0, 100.0, 400.0)))

    async def lose_zone(self) -> None:
        """All nodes of a zone are away for so long that they count as lost; now and then those of every zone are."""
        chance = rand.rng()
        try:
            nodes = (await self.world.admin.list(Node)).items
        except ConnectionLost:
            return
        zones = sorted({node.metadata.labels[ZONE] for node in nodes if ZONE in node.metadata.labels})
        if zones:
            lost = {chance.choice(zones)} if chance.random() < 0.8 else set(zones)
            seconds = chance.choice((70.0, 100.0, 150.0))
            async with asyncio.TaskGroup() as group:
                for node in nodes:
                    if node.metadata.labels.get(ZONE) in lost:
                        group.create_task(self._cut(node.metadata.name, seconds), name="trouble lose_zone")

    async def _cut(self, name: str, seconds: float) -> None:
        link = self.world.links.get(name)
        if link is None or not self._take(f"link {name}"):
            return
        self._say(f"cut off {name} for {seconds:.1f} s")
        link.partition()
        await asyncio.sleep(seconds)
        link.reconnect()
        self._busy.discard(f"link {name}")

    async def crash_server(self) -> None:
        """The API server dies and starts again over what the store has."""
        await self._crash("apiserver", rand.rng().choice((0.0, 1.0, 10.0)))

    async def crash_control(self) -> None:
        """Controllers and scheduler die and start with empty caches."""
        await self._crash("control", rand.rng().choice((0.0, 3.0, 20.0)))

    async def crash_kubelet(self) -> None:
        """A kubelet dies; its containers go on."""
        await self._crash(rand.rng().choice(list(self.world.runtimes)), rand.rng().choice((0.0, 5.0, 20.0, 100.0)))

    async def _crash(self, name: str, pause: float) -> None:
        if self._take(name):
            self._say(f"crash {name} for {pause} s")
            await self.world.restart(name, pause)
            self._busy.discard(name)

    async def lose_machine(self) -> None:
        """A machine is switched off, or vanishes from the cloud, with all that runs there; after a while it is back."""
        cloud, chance = self.world.cloud, rand.rng()
        name = chance.choice(list(self.world.runtimes))
        if cloud is None or not self._take(name):
            return
        off, seconds = chance.random() < 0.4, chance.choice((10.0, 65.0, 80.0))
        self._say(f"the machine of {name} is {'off' if off else 'lost'} for {seconds:.0f} s")
        (cloud.switch_off if off else cloud.lose)(name)
        await self.world.components[name].crash()
        for container in self.world.runtimes[name].alive():
            self.world.runtimes[name].exit(container, 137)
        await asyncio.sleep(seconds)
        (cloud.switch_on if off else cloud.restore)(name)
        self.world.components[name].start()
        self._busy.discard(name)

    async def fail_cloud(self) -> None:
        """The cloud refuses everything for some seconds."""
        cloud, seconds = self.world.cloud, rand.rng().choice((1.0, 10.0, 40.0))
        if cloud is not None and self._take("cloud"):
            self._say(f"the cloud is down for {seconds:.0f} s")
            cloud.down = rand.rng().choice((CloudError("out of service"), RetryAfter("too many requests", 5.0)))
            await asyncio.sleep(seconds)
            cloud.down = None
            self._busy.discard("cloud")

    async def slow_cloud(self) -> None:
        """Answers of the cloud take long."""
        cloud = self.world.cloud
        if cloud is not None and self._take("cloud"):
            self._say("the cloud is slow")
            before, cloud.faults = cloud.faults, msgspec.structs.replace(cloud.faults, latency=(0.5, 4.0))
            await asyncio.sleep(rand.rng().uniform(5, 40))
            if cloud.faults is not NONE:
                cloud.faults = before
            self._busy.discard("cloud")

    async def stop_runtime(self) -> None:
        """A container runtime answers nobody for some seconds."""
        name = rand.rng().choice(list(self.world.runtimes))
        if self._take(f"runtime {name}"):
            self._say(f"runtime of {name} stops")
            self.world.runtimes[name].go_down()
            await asyncio.sleep(rand.rng().uniform(1, 40))
            self.world.runtimes[name].come_back()
            self._busy.discard(f"runtime {name}")

    async def fail_runtime(self) -> None:
        """A container runtime is slow and fails now and then."""
        name = rand.rng().choice(list(self.world.runtimes))
        if not self._take(f"runtime {name}"):
            return
        self._say(f"runtime of {name} fails now and then")
        runtime = self.world.runtimes[name]
        runtime.fault = lambda method, subject: _failure(method)
        runtime.delay = rand.rng().choice((0.0, 0.1, 2.0))
        await asyncio.sleep(rand.rng().uniform(1, 20))
        runtime.fault, runtime.delay = None, 0.0
        self._busy.discard(f"runtime {name}")

    async def kill_container(self) -> None:
        """A container ends by itself, well or not, or for its memory."""
        runtime = self.world.runtimes[rand.rng().choice(list(self.world.runtimes))]
        alive = runtime.alive()
        if alive:
            victim = rand.rng().choice(alive)
            self._say(f"container {victim[-4:]} dies")
            if rand.rng().random() < 0.3:
                runtime.oom(victim)
            else:
                runtime.exit(victim, rand.rng().choice((0, 1, 137)))

    async def jump(self) -> None:
        """Somebody sets the clock of a machine: the server's, the controllers' or a node's."""
        loop = asyncio.get_running_loop()
        chance = rand.rng()
        machine = chance.choice(("apiserver", "control", *self.world.runtimes))
        seconds = chance.choice((-90.0, -2.0, 2.0, 90.0)) if chance.random() < 0.6 else chance.uniform(-HOURS, HOURS)
        if isinstance(loop, SimLoop):
            self._say(f"the clock of {machine} jumps by {seconds:.0f} s")
            loop.jump(machine, seconds)

    async def lag(self) -> None:
        """A component hears of everything late for some seconds, while its own requests are answered at once."""
        name = rand.rng().choice(list(self.world.links))
        if self._take(f"link {name}"):
            seconds = rand.rng().uniform(3, 20)
            self._say(f"{name} lags for {seconds:.1f} s")
            link = self.world.links[name]
            before = link.faults
            link.faults = msgspec.structs.replace(before, stale=0.3, stale_seconds=(1.0, 12.0))
            await asyncio.sleep(seconds)
            if link.faults is not NONE:
                link.faults = before
            self._busy.discard(f"link {name}")

    def _take(self, what: str) -> bool:
        if what in self._busy:
            return False
        self._busy.add(what)
        return True


async def _run(kind: Callable[[], Awaitable[None]]) -> None:
    await kind()


def _failure(method: str) -> Exception | None:
    if rand.rng().random() < 0.2:
        return RuntimeFailure("Unknown", f"{method} failed in the simulation")
    return None
