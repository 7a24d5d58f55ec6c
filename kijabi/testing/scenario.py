"""One simulation: a user who changes things and a world in which things fail, then peace, then the end.

The seed of the loop decides everything. In the storm, faults of all sorts go on beside the user's doings, and the
safety checkers look at every write. Then everything is healed, and the cluster has to converge (`converge.problems`);
a rollout without faults must keep its promises; and deleting everything must leave nothing. `play` raises
`Violation`, `Stuck` or whatever a component failed with; `simulate` runs many seeds.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from kijabi.api.apps.deployment import Deployment
from kijabi.api.core.pod import Pod
from kijabi.base import rand
from kijabi.controllers.config import Config
from kijabi.kubelet.runtime.fake import FakeRuntime, Script
from kijabi.store.memory import MemoryStore
from kijabi.testing import converge
from kijabi.testing.checkers import standard
from kijabi.testing.cluster import World, cluster
from kijabi.testing.faults import Faults
from kijabi.testing.history import Violation, WatchedStore
from kijabi.testing.liveness import cloud as clouds
from kijabi.testing.liveness import pools
from kijabi.testing.meter import Meter
from kijabi.testing.safety.cloud import WatchedCloud
from kijabi.testing.safety.cloud import rules as in_cloud
from kijabi.testing.safety.facts import pods_of
from kijabi.testing.safety.pools import AnnouncersReady, BalancersUnique, ShownAreClaimed
from kijabi.testing.safety.volumes import WatchedDisk
from kijabi.testing.simloop import SimLoop
from kijabi.testing.trouble import Trouble
from kijabi.testing.user import THEMES, User
from kijabi.testing.wishes.autoscalers import Autoscalers
from kijabi.testing.wishes.budgets import Budgets
from kijabi.testing.wishes.claims import Claims
from kijabi.testing.wishes.clouds import Clouds, Pools
from kijabi.testing.wishes.deployments import Deployments
from kijabi.testing.wishes.gangs import SERVED, Gangs
from kijabi.testing.wishes.hand import Hand, Theme
from kijabi.testing.wishes.templates import MISSING
from kijabi.testing.wishes.zones import Zones

# Virtual seconds that a healed cluster may take. Waits after failures reach fifteen minutes (pods of a DaemonSet that a
# kubelet refused; crash loops: five), after as long together for the shorter ones before.
PATIENCE = 2400.0
# The worlds that there are, with how many of a hundred are so: many small ones find more than a few large ones.
SIZES = ((78, "small"), (19, "medium"), (3, "large"))
# Store writes and their news take up to so many seconds, by chance.
DISK = 0.02
# Computing takes time, too: so many seconds pass at each look at a clock.
SLOWNESS = (0.0, 0.0001, 0.001)
# The container that empties a volume for the next claim, and seconds that it takes.
EMPTIES, EMPTYING = "pv-recycler", 3.0


MILD = Faults(latency=(0.0, 0.01), lost_request=0.01, lost_reply=0.01, cut=0.002, expired=0.0, expired_event=0.0)
WEATHER = (
    Faults(),
    Faults(),
    Faults(lost_request=0.15, lost_reply=0.15, cut=0.05),
    Faults(stale=0.05, lost_request=0.02, lost_reply=0.02),
    MILD,
)

# Load balancers where there is no cloud.
BARE = Config(root_ca="test", cloud_provider="bare", load_balancer_pool=pools.POOL)


class Stuck(AssertionError):
    """A healed cluster did not become what it should be; the text says what is wrong."""


class Defect(AssertionError):
    """A component logged an error: something that it did not expect happened."""


@dataclass
class Result:
    """What a simulation did: its history's digest and size, the user's and the world's doings, virtual seconds, seconds
    of a processor, and how often each rule was put to the test."""

    digest: str = ""
    writes: int = 0
    seconds: float = 0.0
    converged: float = 0.0
    cpu: float = 0.0
    judged: dict[str, int] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)


class Setting(NamedTuple):
    """What a seed's world is like. themes: what its user is about; most: things of a kind; pace: mean seconds between
    wishes; storm: seconds; slowness: seconds that pass at each look at a clock."""

    size: str
    nodes: int
    themes: tuple[Callable[[Hand], Theme], ...]
    most: int
    pace: float
    storm: float
    faults: Faults
    slowness: float = 0.0

    def __str__(self) -> str:
        about = ", ".join(getattr(theme, "__name__", "") for theme in self.themes)
        slow = f", {1000 * self.slowness:g} ms a look" if self.slowness else ""
        return f"a {self.size} world: {self.nodes} nodes, {self.storm:.0f} s{slow}, {about}; {self.faults}"


def draw() -> Setting:
    """One by the loop's chance."""
    return _draw(rand.rng())._replace(slowness=rand.rng().choice(SLOWNESS))


def _draw(chance: random.Random) -> Setting:
    """A world. What is left out is as telling as what is there: fewer things meet more often."""
    size = chance.choices([name for _, name in SIZES], [weight for weight, _ in SIZES])[0]
    faults = chance.choice(WEATHER)
    other = chance.choice((Clouds, Pools))  # a cloud gives load balancers their addresses, or the cluster itself does
    themes = tuple(theme for theme in THEMES if theme is not other)
    some = chance.sample(themes, 1 if size == "small" else 3)
    if some[0] in (Budgets, Autoscalers, Zones):  # which are about the pods of others
        some.append(Deployments)
    if size != "large" and (Zones in some or Clouds in some):  # zones and machines are lost for minutes
        return Setting(size, 4 if Zones in some else 3, tuple(some), 2, 4.0, chance.uniform(80, 130), faults)
    if size == "small":
        return Setting(size, chance.choice((1, 2, 2, 3)), tuple(some), 2, 1.5, chance.uniform(15, 50), faults)
    if size == "medium":
        return Setting(size, chance.choice((2, 3, 3)), tuple(some), 3, 2.0, chance.uniform(25, 70), faults)
    return Setting(size, chance.choice((3, 4)), themes, 4, 2.0, chance.uniform(50, 100), faults)


class _Defects(logging.Handler):
    """Collects what components log as errors: in a simulation, nothing is unexpected."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """See Handler."""
        self.found.append(self.format(record))


class Scenario:
    """One play. trace: keep every write, for the eye; setting: what its world is like, None to draw one."""

    def __init__(self, seed: int, *, trace: bool = False, setting: Setting | None = None) -> None:
        self.store = WatchedStore(MemoryStore(), slow=DISK, seed=seed)
        self.store.trace = [] if trace else None
        self.result = Result()
        self._setting = setting
        self._defects = _Defects()
        self._runtimes: Mapping[str, FakeRuntime] = {}
        self._cloud: WatchedCloud | None = None
        self._pooled = False

    def _running(self, node: str, uid: str) -> bool:
        return bool(node) and bool(self._runtimes[node].alive(uid))

    def _disk(self, node: str) -> WatchedDisk:
        return WatchedDisk(node, self.store.ledger, self._running, self.store.broken)

    async def play(self) -> Result:
        """Run it; the loop must be a SimLoop of this scenario's seed."""
        setting = self._setting or draw()
        self._say(str(setting))
        loop = asyncio.get_running_loop()
        if isinstance(loop, SimLoop):
            loop.slowness = setting.slowness
        self._pooled = Pools in setting.themes
        if Clouds in setting.themes:
            self._cloud = WatchedCloud(self.store.ledger, self.store.broken)
            self._cloud.faults = setting.faults
        logger = logging.getLogger("kijabi")
        logger.addHandler(self._defects)
        try:
            async with cluster(
                setting.nodes,
                faults=setting.faults,
                store=self.store,
                volumes=self._disk if Claims in setting.themes else False,
                detect_mutations=True,
                cloud=self._cloud,
                config=BARE if self._pooled else None,
                settings=SERVED if Gangs in setting.themes else None,
            ) as world:
                self._runtimes = world.runtimes
                meter = Meter(self.store.ledger, self._running, world.reachable)
                world.dial = meter.dial
                self.store.checkers = standard(self._running, lambda: world.components["control"].started)
                if self._cloud is not None:
                    self.store.checkers += in_cloud(self._cloud)
                if self._pooled:
                    self.store.checkers += (BalancersUnique(), ShownAreClaimed(), AnnouncersReady())
                for runtime in world.runtimes.values():
                    runtime.missing.add(MISSING)
                    runtime.scripts[EMPTIES] = Script(run_for=EMPTYING)
                await self._acts(world, setting, meter)
        finally:
            logger.removeHandler(self._defects)
        self._check()
        return self._finish()

    def _finish(self) -> Result:
        result, store = self.result, self.store
        result.digest, result.writes = store.digest, store.writes
        result.seconds = asyncio.get_running_loop().time()
        result.judged = {type(one).__name__: one.judged for one in store.checkers if hasattr(one, "judged")}
        if self._cloud is not None:
            result.judged |= self._cloud.judged
        return result

    async def _acts(self, world: World, setting: Setting, meter: Meter) -> None:
        user = User(world.admin, self._say, setting.themes, most=setting.most, pace=setting.pace)
        meter.load = user.hand.load
        trouble = Trouble(world, self._say)
        loop = asyncio.get_running_loop()
        await self._storm(user, trouble, setting.storm)
        self._say("healing")
        await trouble.heal()
        healed = loop.time()
        await user.repair()
        await asyncio.sleep(60)
        if self._cloud is not None:
            await trouble.heal()  # Nodes whose deletion was under way when their machine came back.
        await user.repair()  # What was left behind meanwhile by deletions that were under way.
        await self._converged(world, "after the storm")
        self.result.converged = loop.time() - healed
        await self._rollout(world, user)
        world.verify_caches()
        await user.delete_everything()
        ledger = self.store.ledger
        left = lambda: [*converge.leftovers(ledger, world.runtimes, world.disks), *self._clouded()]  # noqa: E731
        await self._settled(left, "after deleting everything")
        await self._abandon(world)
        world.verify_caches()

    async def _storm(self, user: User, trouble: Trouble, seconds: float) -> None:
        async with self._watching():
            try:
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                    group.create_task(user.act(), name="user")
                    group.create_task(trouble.make(), name="trouble")
            except TimeoutError:
                return

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[None]:
        """Look every few seconds whether something was found, as long as the block lasts."""

        async def look() -> None:
            while True:
                await asyncio.sleep(3)
                self._check()

        async with asyncio.TaskGroup() as group:
            looking = group.create_task(look(), name="looking")
            yield
            looking.cancel()

    async def _rollout(self, world: World, user: User) -> None:
        """A new version of everything, without faults: the pods that come are told of, the promises are kept."""
        ledger = self.store.ledger
        before = {pod.metadata.uid for pod in ledger.of(Pod)}
        await user.update_everything()
        await self._converged(world, "after a rollout")
        deployments = [d for d in ledger.of(Deployment) if d.spec.replicas]
        fresh = [pod for d in deployments for pod in pods_of(d, ledger) if pod.metadata.uid not in before]
        await self._settled(lambda: converge.unrecorded(ledger, fresh, deployments), "events of a rollout")

    async def _converged(self, world: World, when: str) -> None:
        await self._settled(lambda: self._problems(world), when)

    def _problems(self, world: World) -> list[str]:
        return [*converge.problems(self.store.ledger, world.runtimes, world.disks), *self._clouded()]

    def _clouded(self) -> list[str]:
        """What is not yet right in the cloud or of the pool; nothing where there is none."""
        ledger, cloud = self.store.ledger, self._cloud
        return [
            *(clouds.problems(ledger, cloud) if cloud is not None else ()),
            *(pools.problems(ledger) if self._pooled else ()),
        ]

    async def _abandon(self, world: World) -> None:
        """Take all machines out of the cloud: nodes and routes go with them."""
        cloud = self._cloud
        if cloud is None:
            return
        for name in world.runtimes:
            cloud.lose(name)
            await world.components[name].crash()
        await self._settled(lambda: list(clouds.remains(self.store.ledger, cloud)), "without machines")

    async def _settled(self, problems: Callable[[], list[str]], when: str) -> None:
        """Wait until there are no problems, twice in a row, ten seconds apart."""
        loop = asyncio.get_running_loop()
        end, quiet = loop.time() + PATIENCE, 0
        while quiet < 2:
            await asyncio.sleep(10 if quiet else 2)
            self._check()
            found = problems()
            quiet = 0 if found else quiet + 1
            if found and loop.time() > end:
                waiting = loop.waiting() if isinstance(loop, SimLoop) else ""
                self._say(f"stuck; what every task waits for:\n{waiting}")
                raise Stuck(f"{when}, after {PATIENCE:.0f} s:\n" + "\n".join(found))
        self._say(f"well {when}")

    def _check(self) -> None:
        if self.store.violations:
            raise self.store.violations[0]
        if self._defects.found:
            raise Defect(self._defects.found[0])

    def _say(self, text: str) -> None:
        now = asyncio.get_running_loop().time()
        self.result.done.append(f"{now:9.3f} {text}")
        if self.store.trace is not None:
            self.store.trace.append(f"== {now:.3f} {text}")


async def play(seed: int, *, trace: bool = False) -> Result:
    """Run the scenario of a seed on this loop, which must be a `simloop.SimLoop(seed)`."""
    return await Scenario(seed, trace=trace).play()


__all__ = ["Defect", "Result", "Scenario", "Stuck", "Violation", "play"]
