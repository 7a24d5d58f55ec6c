"""The store by itself: durable writes with more and more writers, and what a write costs the event loop.

Run it alone on a machine: `python -m benchmarks store`. Each line is the median of `ROUNDS` runs; the engines take
turns, so that a slow moment of the machine hits all of them. "loop" is the CPU time of the event loop's thread a write.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import uvloop

from kijabi.store.embedded import EmbeddedStore
from kijabi.store.encrypted import EncryptedStore, Keyring
from kijabi.store.interface import Guard, Op, Store
from kijabi.store.keys import prefix_end
from kijabi.store.memory import MemoryStore

ROUNDS = 3
SIZE = 2048
CREATES = 3_000
OBJECTS = 20_000
WATCHERS = 1000
PREFIX = "/registry/core/configmaps/"


class Run(NamedTuple):
    """One run: writes a second, loop CPU in µs a write, 50th and 99th percentile of a write in ms."""

    rate: float
    cpu: float
    p50: float
    p99: float


def engines(place: str) -> dict[str, Store]:
    """An empty store of each kind."""
    return {
        "memory": MemoryStore(),
        "embedded": EmbeddedStore.open(f"{place}/plain"),
        "embedded, encrypted": EncryptedStore(EmbeddedStore.open(f"{place}/sealed"), Keyring.fresh(), (PREFIX,)),
    }


async def creates(store: Store, writers: int, count: int) -> Run:
    """So many creates of new objects by so many writers."""
    value = os.urandom(SIZE)
    numbers = iter(range(count))
    waits: list[float] = []

    async def write() -> None:
        for number in numbers:
            began = time.perf_counter()
            key = f"{PREFIX}default/object-{number:07}"
            done = await store.txn((Guard(key, 0),), (Op(key, value),))
            assert done.ok
            waits.append(time.perf_counter() - began)

    began, cpu = time.perf_counter(), time.thread_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(writers):
            group.create_task(write())
    taken, used = time.perf_counter() - began, time.thread_time() - cpu
    waits.sort()
    return Run(count / taken, used / count * 1e6, waits[count // 2] * 1e3, waits[count * 99 // 100] * 1e3)


def in_a_folder(work: Callable[[str], Awaitable[None]]) -> None:
    """Run something with a folder on a real disk, gone afterwards."""
    place = tempfile.mkdtemp(prefix="kijabi-bench-", dir="/var/tmp")
    try:
        uvloop.run(work(place))  # type: ignore[arg-type]
    finally:
        shutil.rmtree(place)


def measure_creates() -> None:
    """The table of creates."""
    runs: dict[tuple[str, int], list[Run]] = {}

    async def once(place: str) -> None:
        for writers in (1, 8, 64):
            count = CREATES // 10 if writers == 1 else CREATES
            for name, store in engines(f"{place}/{writers}").items():
                runs.setdefault((name, writers), []).append(await creates(store, writers, count))
                await store.close()

    for _ in range(ROUNDS):
        in_a_folder(once)
    base = statistics.median(run.rate for run in runs["embedded", 64])
    titles = ("writers", "a second", "ratio", "loop µs", "p50 ms", "p99 ms")
    print(f"{'creates of 2 KiB':22}" + "".join(f"{title:>9}" for title in titles))
    for (name, writers), found in runs.items():
        run = Run(*(statistics.median(column) for column in zip(*found, strict=True)))
        numbers = f"{run.rate:9.0f}{run.rate / base:9.2f}{run.cpu:9.1f}{run.p50:9.2f}{run.p99:9.2f}"
        print(f"{name:22}{writers:9}{numbers}")


def measure_reads() -> None:
    """Opening, ranges and watchers over many objects, once each."""

    async def fill(place: str) -> None:
        store = EmbeddedStore.open(place)
        await creates(store, 256, OBJECTS)
        await store.close()

    async def read(place: str) -> None:
        await asyncio.to_thread(lambda: uvloop.run(fill(place)))
        began = time.perf_counter()
        store = EmbeddedStore.open(place)
        print(f"open {OBJECTS} objects: {(time.perf_counter() - began) * 1e3:.0f} ms")
        for limit in (500, 0):
            began = time.perf_counter()
            found = await store.range(PREFIX, prefix_end(PREFIX), limit=limit)
            print(f"range of {len(found.entries)}: {(time.perf_counter() - began) * 1e3:.2f} ms")
        await watchers(store)
        began = time.perf_counter()
        await store.compact(store.revision)
        print(f"compact everything: {(time.perf_counter() - began) * 1e3:.0f} ms")
        await store.close()

    in_a_folder(read)


async def watchers(store: Store) -> None:
    """How long an event takes to the last of many watchers of its prefix, beside as many of other prefixes."""
    rounds = 100
    waits: list[float] = []
    began = 0.0

    async def watch(prefix: str) -> None:
        async for batch in store.watch(prefix, store.revision):
            waits.extend([time.perf_counter() - began] * len(batch))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(watch(PREFIX)) for _ in range(WATCHERS)]
        tasks += [group.create_task(watch(f"/registry/core/pods/ns-{i}/")) for i in range(WATCHERS)]
        await asyncio.sleep(0)
        for number in range(rounds):
            before = len(waits)
            began = time.perf_counter()
            await store.txn((), (Op(f"{PREFIX}watched", str(number).encode()),))
            while len(waits) < before + WATCHERS:  # noqa: ASYNC110  what is measured is the wait itself
                await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
    last = [max(waits[i : i + WATCHERS]) for i in range(0, len(waits), WATCHERS)]
    print(f"write to the last of {WATCHERS} watchers: {statistics.median(last) * 1e3:.1f} ms, sync included")


def main() -> None:
    """Print the tables."""
    measure_creates()
    measure_reads()


if __name__ == "__main__":
    main()
