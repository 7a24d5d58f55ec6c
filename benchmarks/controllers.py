"""What an event costs each controller when there are 1,000 objects of every kind, and when there are 10,000.

The whole control plane runs in one process on virtual time: the API server over a store in memory, every controller of
the catalog, and a stand-in for kubelets that makes pods ready and lets them go. First the world is made: N of each
workload with its pods, Services, claims and so on, a tenth as many namespaces and nodes. When it has become quiet,
objects picked by chance are touched one at a time: relabelled, scaled, made unready, deleted. A controller's own
processor time is what its `reconcile` and its choice of keys take, step by step, less what the API server takes for its
requests. What must stay flat from the first size to the second is the time for each reconciliation and for each event;
a controller that looks at all objects for one of them shows here. `quiet` is how often a second a controller works
while nothing happens.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from benchmarks.sidebyside.populace import World, make, touches
from kijabi.api.flags import Seconds
from kijabi.apiserver.app import App, Settings, open_to_all
from kijabi.base import rand
from kijabi.client.client import Client
from kijabi.client.events import Recorder
from kijabi.client.informer import Informers
from kijabi.client.transport import Request, Response, Stream, Transport
from kijabi.cmd.component import GC_THRESHOLDS
from kijabi.controllers import runtime
from kijabi.controllers.catalog import CONTROLLERS
from kijabi.controllers.config import Config
from kijabi.controllers.discovery import discover
from kijabi.controllers.flags import Flags
from kijabi.controllers.runtime import Context, Controller, Source
from kijabi.store.memory import MemoryStore
from kijabi.testing import simloop
from kijabi.testing.direct import Direct

OPTION = "--sizes="
SIZES = (1_000, 10_000)
TOUCHES = 20  # of each kind
SETTLE = 2.0  # virtual seconds after each
QUIET = 30.0  # virtual seconds without a write, after which the world counts as made
T = TypeVar("T")


class Cost:
    """What one controller did: nanoseconds of its own, by what they were for, and how often."""

    def __init__(self) -> None:
        self.reconciling = self.choosing = 0
        self.reconciled = self.events = self.requests = 0


class Clock:
    """Attributes processor time to whoever runs: the innermost of nested steps is charged."""

    def __init__(self) -> None:
        self._inner = [0]

    def begin(self) -> int:
        """A step begins."""
        self._inner.append(0)
        return time.thread_time_ns()

    def end(self, began: int) -> int:
        """A step ends; its own nanoseconds, without those of steps within."""
        whole = time.thread_time_ns() - began
        inner = self._inner.pop()
        self._inner[-1] += whole
        return whole - inner


class Stepped(Awaitable[T]):
    """A coroutine whose every step is timed; `spend` is told."""

    def __init__(self, inner: Coroutine[Any, Any, T], clock: Clock, spend: Callable[[int], None]) -> None:
        self._inner, self._clock, self._spend = inner, clock, spend

    def __await__(self) -> Generator[Any, Any, T]:
        step: Callable[[Any], Any] = self._inner.send
        given: Any = None
        while True:
            began = self._clock.begin()
            try:
                waiting = step(given)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                self._spend(self._clock.end(began))
            try:
                given, step = (yield waiting), self._inner.send
            except BaseException as error:  # goes on into the coroutine, cancellation too
                given, step = error, self._inner.throw


class Measured:
    """A Transport whose requests are charged to the server."""

    def __init__(self, inner: Transport, clock: Clock) -> None:
        self._inner, self._clock = inner, clock

    async def request(self, request: Request) -> Response:
        """See Transport."""
        return await Stepped(self._inner.request(request), self._clock, lambda _: None)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        """See Transport."""
        async with self._inner.stream(request) as stream:
            yield stream

    async def close(self) -> None:
        """See Transport."""
        await self._inner.close()


class Watched:
    """A controller, with what it costs."""

    def __init__(self, inner: Controller, clock: Clock) -> None:
        self.name, self.workers = inner.name, inner.workers
        self.cost = Cost()
        self._inner, self._clock = inner, clock

    def sources(self) -> Sequence[Source]:
        """See Controller."""
        return [source._replace(keys=self._choosing(source.keys)) for source in self._inner.sources()]

    def _choosing(self, keys: Callable[[Any, Any], Iterable[str]]) -> Callable[[Any, Any], Iterable[str]]:
        def choose(old: Any, new: Any) -> Iterable[str]:
            began = self._clock.begin()
            try:
                return tuple(keys(old, new))
            finally:
                self.cost.choosing += self._clock.end(began)
                self.cost.events += 1

        return choose

    async def reconcile(self, key: str) -> float | None:
        """See Controller."""
        self.cost.reconciled += 1
        return await Stepped(self._inner.reconcile(key), self._clock, self._spend)

    def _spend(self, nanoseconds: int) -> None:
        self.cost.reconciling += nanoseconds


class Row(NamedTuple):
    """One controller at one size: µs of its own for a reconciliation and for an event, and how many there were."""

    reconcile: float
    event: float
    reconciled: int
    events: int
    quiet: float

    @classmethod
    def of(cls, cost: Cost, quiet: float) -> Row:
        per = cost.reconciling / 1000 / cost.reconciled if cost.reconciled else 0.0
        return cls(per, cost.choosing / 1000 / max(cost.events, 1), cost.reconciled, cost.events, quiet)


async def measure(size: int) -> dict[str, Row]:
    """All controllers in a world of a size."""
    app = App(MemoryStore(), Settings())
    await app.load()
    clock = Clock()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run())
        await app.start(open_to_all(app.caches))
        client = Client(Measured(Direct(lambda: app.api), clock), user_agent="controllers")
        informers = Informers(client)
        settings = Config(
            root_ca="CERTIFICATE", host="benchmark",
            flags=Flags(node_monitor_grace_period=Seconds(1e9), node_startup_grace_period=Seconds(1e9)),
            pod_cidrs=(("10.0.0.0/8", 24),), service_cidrs=("192.168.0.0/16",),
        )  # fmt: skip
        context = Context(settings, client, informers, await discover(client, "delete", "list", "watch"))
        watched = [Watched(build(context), clock) for build in CONTROLLERS]
        for beside in context.background:
            if not isinstance(getattr(beside, "__self__", None), Recorder):  # events would double the writes
                tasks.create_task(beside())
        for controller in watched:
            tasks.create_task(runtime.run(controller), name=controller.name)
        tasks.create_task(informers.run())
        world = World(Client(Direct(lambda: app.api)), size)
        tasks.create_task(world.kubelets())
        rows = await _watch(world, watched, lambda: app.caches.revision)
        for task in tasks._tasks:
            task.cancel()
    return rows


async def _watch(world: World, watched: list[Watched], revision: Callable[[], int]) -> dict[str, Row]:
    """Make the world, let it become quiet, touch it."""
    began = time.process_time()
    await make(world)
    while True:
        before = revision()
        await asyncio.sleep(QUIET)
        if revision() == before:
            break
    print(f"   {world.size} of each: made in {time.process_time() - began:.0f} s of processor", flush=True)
    gc.collect()
    gc.freeze()
    _forget(watched)
    await asyncio.sleep(QUIET)
    quiet = {each.name: each.cost.reconciled / QUIET for each in watched}
    _forget(watched)
    for _ in range(TOUCHES):
        for touch in touches(world):
            await touch(rand.rng().randrange(world.size))
            await asyncio.sleep(SETTLE)
    return {each.name: Row.of(each.cost, quiet[each.name]) for each in watched}


def _forget(watched: list[Watched]) -> None:
    for each in watched:
        each.cost = Cost()


def report(sizes: Sequence[int], found: Sequence[dict[str, Row]]) -> None:
    """One line for each controller, the first size beside the last."""
    small, large = found[0], found[-1]
    print(f"{'µs of processor':50}{'reconcile':>21}{'':8}{'keys of an event':>21}{'':8}   quiet")
    head = f"{sizes[0]:>10,}{sizes[-1]:>11,}   times"
    print(f"{'':50}{head}{head}     1/s")
    for name in sorted(large):
        one, other = small[name], large[name]
        cells = "".join(
            f"{before:10.0f}{after:11.0f}{after / before:8.2f}" if before else f"{'-':>29}"
            for before, after in ((one.reconcile, other.reconcile), (one.event, other.event))
        )
        print(f"{name:50}{cells}{other.quiet:8.2f}   {other.reconciled} reconciled, {other.events} events")


def main() -> None:
    gc.set_threshold(*GC_THRESHOLDS)
    given = [word[len(OPTION) :] for word in sys.argv if word.startswith(OPTION)]
    sizes = tuple(int(size) for word in given for size in word.split(",")) or SIZES
    report(sizes, [simloop.run(measure(size), 1, horizon=1e9) for size in sizes])


if __name__ == "__main__":
    main()
