"""Kijabi's API server beside the upstream kube-apiserver on etcd: same machine, same client, same objects, in turns.

`python -m benchmarks upstream [--large]`. Both servers run all the time and take turns, round by round, so that what is
compared was measured within seconds; a ratio is the median of the ratios within the rounds. Nothing is pinned: upstream
may use every core that the client leaves, Kijabi's loop uses one. So beside each rate stands the processor time of the
server's processes for one request, which is what a busier machine would run out of. `--large` fills both with 100,000
pods for the rows of memory, and takes some minutes more.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import uvloop

from benchmarks.sidebyside.load import JSON, PROTOBUF, Client, Failed, Watch, get, send
from benchmarks.sidebyside.objects import config_map, named, pod, pod_in_protobuf, pod_name
from benchmarks.sidebyside.servers import Server, both, forget
from kijabi.testing import programs

ROUNDS = 5
CLIENTS = 64
PODS = 10_000
LARGE = 100_000
REQUESTS = 2_000  # of each kind in a round
LISTS = 3  # of each kind in a round, one at a time
PAGE = 500
WATCHERS = (1_000, 5_000)
OPENING = 32  # watches that are opened at once
EVENTS = 5
STARTS = 3
POD_PATH = "/api/v1/namespaces/bench/pods"
GO_SPACE = "bench-protobuf"  # where pods are created as Go's clients do, apart from those that are listed
CM_PATH = "/api/v1/namespaces/bench/configmaps"
CONTINUE = re.compile(rb'"continue": ?"([^"]+)"')


Step = Callable[[Server, int], Awaitable["Turn"]]  # a server's part in a round, by the round's number


class Turn(NamedTuple):
    """One round of one server. figure: a rate, or milliseconds; cost: µs of its processors; p99: ms, or 0."""

    figure: float
    cost: float
    p99: float = 0.0


class Row:
    """One line of the result: the rounds of both servers. unit: of the figure; more: whether more of it is better."""

    def __init__(self, name: str, unit: str) -> None:
        self.name = name
        self.unit = unit
        self.more = unit == "/s"
        self.turns: tuple[list[Turn], list[Turn]] = ([], [])
        self.client: list[float] = []  # share of one core that the client used

    def show(self) -> None:
        """Print it; the ratios say how many times better Kijabi is."""
        ours, theirs = self.turns
        pairs = list(zip(ours, theirs, strict=True))
        better = statistics.median(a.figure / b.figure if self.more else b.figure / a.figure for a, b in pairs)
        cheaper = statistics.median(b.cost / max(a.cost, 1e-9) for a, b in pairs)
        cells = [f"{self._figures(turns):>34}" for turns in self.turns]
        used = f"   client {statistics.median(self.client):.0%}" if self.client else ""
        gain = f"{better:5.2f}x{self.unit:>3} {cheaper:6.2f}x CPU{used}"
        print(f"{self.name:34}{cells[0]} |{cells[1]} | {gain}", flush=True)

    def _figures(self, turns: Sequence[Turn]) -> str:
        figure, cost, p99 = (statistics.median(column) for column in zip(*turns, strict=True))
        late = f" p99 {p99:.0f} ms" if p99 else ""
        spent = f"{cost:,.0f} µs" if cost < 10_000 else f"{cost / 1000:,.0f} ms"
        return f"{figure:,.0f} {self.unit}{late}, {spent}"


async def measured(server: Server, row: Row, place: int, number: int, step: Step, share: int) -> None:
    """One turn of one server; `step` gives the turn without its cost."""
    own, spent, began = time.process_time(), server.processor(), time.perf_counter()
    turn = await step(server, number)
    seconds = time.perf_counter() - began
    row.turns[place].append(turn._replace(cost=(server.processor() - spent) / share * 1e6))
    row.client.append((time.process_time() - own) / seconds)


class Bench:
    """The two servers, and how rows are made of them."""

    def __init__(self, ours: Server, theirs: Server) -> None:
        self.servers = (ours, theirs)

    async def row(self, name: str, unit: str, rounds: int, share: int, step: Step) -> None:
        """So many rounds, the servers taking turns at going first. share: requests that a step makes."""
        row = Row(name, unit)
        for number in range(rounds):
            for place in (0, 1) if number % 2 == 0 else (1, 0):
                await measured(self.servers[place], row, place, number, step, share)
        row.show()


async def requests(server: Server, these: Sequence[bytes], status: int) -> Turn:
    """Requests by all clients at once."""
    await server.client.open(CLIENTS)
    began = time.perf_counter()
    times = await server.client.run(these, status, CLIENTS)
    seconds = time.perf_counter() - began
    return Turn(len(these) / seconds, 0.0, times[int(len(times) * 0.99)] * 1000)


async def one_at_a_time(server: Server, step: Callable[[Client], Awaitable[None]]) -> Turn:
    """Lists, one after the other: the median in ms."""
    await server.client.open(1)
    times = []
    for _ in range(LISTS):
        began = time.perf_counter()
        await step(server.client)
        times.append((time.perf_counter() - began) * 1000)
    return Turn(statistics.median(times), 0.0)


async def starts(bench: Bench, name: str, *, afresh: bool) -> None:
    """Start-up until /readyz; the servers run afterwards. The cost is all that was spent until then."""
    row = Row(name, "ms")
    for _ in range(STARTS):
        for place, server in enumerate(bench.servers):
            server.stop()
            if afresh:
                forget(server)
            seconds = await server.start()
            row.turns[place].append(Turn(seconds * 1000, server.processor() * 1e6))
    row.show()


async def prepare(server: Server) -> None:
    """The namespaces, and in each the service account that a controller would make."""
    await server.client.open(1)
    line = server.client.lines[0]
    for name in ("bench", GO_SPACE):
        await line.expect(send("POST", "/api/v1/namespaces", named("Namespace", name)), 201)
        accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
        await line.expect(send("POST", accounts, named("ServiceAccount", "default")), 201)


async def writes(bench: Bench) -> None:
    """Durable creates and patches; the pods are those that the lists are of."""
    maps = [send("POST", CM_PATH, config_map("bench", f"c{number}")) for number in range(ROUNDS * REQUESTS)]
    pods = [send("POST", POD_PATH, pod("bench", number)) for number in range(PODS)]
    kind = "application/merge-patch+json"

    async def create_maps(server: Server, number: int) -> Turn:
        return await requests(server, maps[number * REQUESTS : (number + 1) * REQUESTS], 201)

    async def create_pods(server: Server, number: int) -> Turn:
        return await requests(server, pods[number * share : (number + 1) * share], 201)

    async def patch(server: Server, number: int) -> Turn:
        body = b'{"metadata":{"annotations":{"round":"%d"}}}' % number
        return await requests(server, [send("PATCH", f"{CM_PATH}/c{n}", body, kind) for n in range(REQUESTS)], 200)

    share = PODS // ROUNDS
    await bench.row("create ConfigMaps, durable", "/s", ROUNDS, REQUESTS, create_maps)
    await bench.row("create pods, durable", "/s", ROUNDS, share, create_pods)
    await bench.row("merge-patch ConfigMaps, durable", "/s", ROUNDS, REQUESTS, patch)
    memory(bench, f"memory, {PODS:,} pods and ConfigMaps")


async def writes_in_protobuf(bench: Bench) -> None:
    """Creates as Go's clients send them and have them answered."""
    path, each = f"/api/v1/namespaces/{GO_SPACE}/pods", REQUESTS // 2
    bodies = [pod_in_protobuf(GO_SPACE, number) for number in range(ROUNDS * each)]
    these = [send("POST", path, body, PROTOBUF, PROTOBUF) for body in bodies]

    async def create(server: Server, number: int) -> Turn:
        return await requests(server, these[number * each : (number + 1) * each], 201)

    await bench.row("create pods, durable, protobuf", "/s", ROUNDS, each, create)


async def gets(bench: Bench) -> None:
    """Gets of pods: the newest, in JSON and as Go clients ask for them; and from upstream's cache."""
    kinds = (
        ("get pods, JSON", "", JSON),
        ("get pods, protobuf", "", PROTOBUF),
        ("get pods, JSON, resourceVersion=0", "?resourceVersion=0", JSON),
        ("get pods, protobuf, resourceVersion=0", "?resourceVersion=0", PROTOBUF),
    )
    for name, query, accept in kinds:
        these = [get(f"{POD_PATH}/{pod_name(number * 3 % PODS)}{query}", accept) for number in range(REQUESTS)]

        async def step(server: Server, _: int, these: Sequence[bytes] = these) -> Turn:
            return await requests(server, these, 200)

        await bench.row(name, "/s", ROUNDS, REQUESTS, step)


async def lists(bench: Bench) -> None:
    """Lists of all pods: whole, in pages, by label, from the cache as informers ask."""

    def whole(query: str, accept: str = JSON) -> Callable[[Client], Awaitable[None]]:
        return lambda client: client.lines[0].expect(get(f"{POD_PATH}{query}", accept), 200)

    async def pages(client: Client) -> None:
        line, token, count = client.lines[0], b"", 0
        while True:
            query = f"?limit={PAGE}" + (f"&continue={token.decode()}" if token else "")
            if await line.ask(get(f"{POD_PATH}{query}"), keep=True) != 200:
                raise Failed(line.answer[:500].decode(errors="replace"))
            count += 1
            found = CONTINUE.search(line.answer)
            if found is None:
                break
            token = found[1]
        if count != PODS // PAGE:
            raise Failed(f"{count} pages")

    kinds = {
        f"list {PODS:,} pods, JSON": whole(""),
        f"list {PODS:,} pods, protobuf": whole("", PROTOBUF),
        f"list {PODS:,} pods, resourceVersion=0": whole("?resourceVersion=0"),
        f"list {PODS:,} pods, pages of {PAGE}": pages,
        f"list 100 of {PODS:,} by label": whole("?labelSelector=app%3Dweb-7"),
    }
    for name, step in kinds.items():

        async def turn(server: Server, _: int, step: Callable[[Client], Awaitable[None]] = step) -> Turn:
            return await one_at_a_time(server, step)

        await bench.row(name, "ms", ROUNDS, LISTS, turn)


class Crowd:
    """Watchers of one namespace of one server."""

    def __init__(self, server: Server, namespace: str, count: int) -> None:
        self.server = server
        self.path = f"/api/v1/namespaces/{namespace}/configmaps"
        self.namespace = namespace
        self.count = count
        self._left = 0
        self._all = asyncio.Event()
        self._watches: list[Watch] = []

    def _told(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._all.set()

    async def open(self) -> Turn:
        """Open all the watches."""
        line = await self.server.line()
        await line.expect(send("POST", "/api/v1/namespaces", named("Namespace", self.namespace)), 201)
        line.transport.abort()
        request = get(f"{self.path}?watch=1&resourceVersion=0")
        numbers = iter(range(self.count))

        async def some() -> None:
            for _ in numbers:
                watch = await self.server.client.connect(lambda: Watch(self._told))
                assert isinstance(watch, Watch)
                self._watches.append(watch)
                watch.transport.write(request)
                await watch.open

        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(OPENING):
                tasks.create_task(some())
        return Turn((time.perf_counter() - began) * 1000, 0.0)

    async def event(self, number: int) -> Turn:
        """One write, until the last watcher has it."""
        await self.server.client.open(1)
        self._left = self.count
        self._all.clear()
        began = time.perf_counter()
        await self.server.client.lines[0].expect(send("POST", self.path, config_map(self.namespace, f"e{number}")), 201)
        async with asyncio.timeout(60):
            await self._all.wait()
        return Turn((time.perf_counter() - began) * 1000, 0.0)

    async def close(self) -> None:
        """Hang up, and let the server notice."""
        for watch in self._watches:
            watch.transport.abort()
        self._watches.clear()
        await asyncio.sleep(1)


async def watches(bench: Bench) -> None:
    """One event to many watchers."""
    for count in WATCHERS:
        crowds = {server.name: Crowd(server, f"fan-{count}", count) for server in bench.servers}

        async def open_(server: Server, _: int, crowds: Mapping[str, Crowd] = crowds) -> Turn:
            return await crowds[server.name].open()

        async def event(server: Server, number: int, crowds: Mapping[str, Crowd] = crowds) -> Turn:
            return await crowds[server.name].event(number)

        before = [sum(server.memory()) for server in bench.servers]
        await bench.row(f"open {count:,} watches", "ms", 1, count, open_)
        sizes = [(sum(server.memory()) - was) * 1024 / count for server, was in zip(bench.servers, before, strict=True)]
        print(f"{'  memory of each':34}{sizes[0]:>30,.0f} KiB |{sizes[1]:>30,.0f} KiB |")
        await bench.row(f"one event to {count:,} watchers", "ms", EVENTS, 1, event)
        for crowd in crowds.values():
            await crowd.close()


def memory(bench: Bench, name: str) -> None:
    """A row of resident memory."""
    ours, theirs = (server.memory() for server in bench.servers)
    parts = " + ".join(f"{part:,.0f}" for part in theirs)
    ratio = sum(theirs) / sum(ours)
    print(f"{name:34}{sum(ours):>30,.0f} MiB |{sum(theirs):>12,.0f} MiB ({parts:>11}) | {ratio:5.2f}x", flush=True)


async def fill(bench: Bench, first: int, last: int) -> None:
    """Many more pods."""

    async def create(server: Server, _: int) -> Turn:
        bodies = (send("POST", POD_PATH, pod("bench", number)) for number in range(first, last))
        began = time.perf_counter()
        while batch := list(islice(bodies, REQUESTS)):
            await requests(server, batch, 201)
        return Turn((last - first) / (time.perf_counter() - began), 0.0)

    await bench.row(f"create {last - first:,} more pods", "/s", 1, last - first, create)


async def drive(bench: Bench, large: bool) -> None:
    """All rows."""
    print(f"{'':34}{'kijabi (one process)':>34} |{'kube-apiserver + etcd':>34} | kijabi is better by")
    await starts(bench, "start, empty disk", afresh=True)
    for server in bench.servers:
        await prepare(server)
    memory(bench, "memory, empty")
    await writes(bench)
    await writes_in_protobuf(bench)
    await gets(bench)
    await lists(bench)
    memory(bench, "memory, after the lists")
    await watches(bench)
    if large:
        await fill(bench, PODS, LARGE)
        memory(bench, f"memory, {LARGE:,} pods")
    await starts(bench, f"start with {LARGE if large else PODS:,} pods", afresh=False)
    memory(bench, "memory, started anew")


def main() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cache = programs.cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers go, too
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"load average before: {load}; {len(os.sched_getaffinity(0))} cores", flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=cache) as name:  # not /tmp, which may not be on a disk
        servers = both(Path(name))
        try:
            uvloop.run(drive(Bench(*servers), "--large" in sys.argv))
        finally:
            for server in servers:
                server.stop()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


if __name__ == "__main__":
    main()
