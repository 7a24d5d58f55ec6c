"""The API server on one core, over TLS with client certificates: creates, gets, lists, a watch fanned out.

`python -m benchmarks apiserver`. The server runs in a process of its own on one core with the embedded store (every
acknowledged create is on the disk), the clients on another. Beside each rate stands the processor time that the server
spent on one request: on a busy machine that is the figure to compare. The kinds of request take turns, and each is the
median of `ROUNDS`; the ratio to a get is taken within each round, so that a slow moment hits both.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import ssl
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import uvloop

from kijabi.apiserver import pki
from kijabi.apiserver.app import App, Settings, secured, tune_memory
from kijabi.apiserver.http import Http
from kijabi.cmd.apiserver import files_of
from kijabi.store.embedded import EmbeddedStore

PORT = 17946
CLIENTS = 64
REQUESTS = 2000  # of each kind in a round; a list counts as ten
OBJECT_BYTES = 2048
WATCHERS = 1000
ROUNDS = 3
EVENTS = 5
CMS = "/api/v1/namespaces/default/configmaps"


def serve(directory: Path, core: int, ready: Any) -> None:
    """The server's process."""
    os.sched_setaffinity(0, {core})
    uvloop.run(serve_app(directory, Settings(port=PORT), ready))


async def serve_app(directory: Path, settings: Settings, ready: Any) -> None:
    """An API server with the embedded store, until it is ended. ready: set when it answers."""
    keys = pki.Pki(directory / "pki")
    ca = keys.ca.pair.cert
    app = App(EmbeddedStore.open(directory / "store"), settings)
    await app.load()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run())
        await app.start(secured(app.caches, settings, files_of(keys)))
        http = Http(app.api)
        context = pki.server_context(keys.apiserver(settings.service_ip), ca)
        tasks.create_task(http.run("127.0.0.1", settings.port, context))
        await http.ready.wait()
        tune_memory()
        ready.set()


class Meter:
    """Processor seconds of the server."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def read(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident MiB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Runs(NamedTuple):
    """What the rounds of one kind of request gave: rates, µs of the server's processor each, and waits in ms."""

    rates: list[float]
    costs: list[float]
    p50: list[float]
    p99: list[float]


async def run(meter: Meter, runs: Runs, count: int, step: Callable[[int], Awaitable[None]]) -> None:
    """One round: so many requests by all clients."""
    times: list[float] = []
    numbers = iter(range(count))

    async def client() -> None:
        for number in numbers:
            began = time.perf_counter()
            await step(number)
            times.append(time.perf_counter() - began)

    spent, began = meter.read(), time.perf_counter()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    seconds, spent = time.perf_counter() - began, meter.read() - spent
    times.sort()
    runs.rates.append(count / seconds)
    runs.costs.append(spent / count * 1e6)
    runs.p50.append(statistics.median(times) * 1000)
    runs.p99.append(times[int(count * 0.99)] * 1000)


def show(name: str, runs: Runs, gets: Runs) -> None:
    """A line of medians."""
    rate, cost, p50, p99 = map(statistics.median, runs)
    ratio = statistics.median(own / get for own, get in zip(runs.costs, gets.costs, strict=True))
    print(
        f"{name:28} {rate:8,.0f}/s   {cost:6.0f} µs CPU each (one core: {1e6 / cost:,.0f}/s; {ratio:.1f} gets)   "
        f"p50 {p50:.1f} ms   p99 {p99:.1f} ms"
    )


async def fan_out(session: aiohttp.ClientSession, meter: Meter) -> None:
    """One event to many watchers: from sending the write to the last byte at the last watcher."""
    answers = [await session.get(f"{CMS}?watch=1&labelSelector=fan%3Dout") for _ in range(WATCHERS)]
    delays: list[float] = []
    spent = 0.0
    for number in range(EVENTS):
        before, began = meter.read(), time.perf_counter()
        body = {"metadata": {"name": f"fan-{number}", "labels": {"fan": "out"}}, "data": {"k": "x" * OBJECT_BYTES}}
        readers = asyncio.gather(*(answer.content.readline() for answer in answers))
        await (await session.post(CMS, json=body)).read()
        await readers
        delays.append(time.perf_counter() - began)
        spent += meter.read() - before
    for answer in answers:
        answer.close()
    print(
        f"{'event to 1,000 watchers':28} median {statistics.median(delays) * 1000:.0f} ms, worst "
        f"{max(delays) * 1000:.0f} ms (client included); server {spent / EVENTS * 1000:.0f} ms CPU an event"
    )


async def drive(directory: Path, meter: Meter) -> None:
    keys = pki.Pki(directory / "pki")
    context: ssl.SSLContext = pki.client_context(keys.ca.pair.cert, keys.client("admin", pki.ADMIN))
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(f"https://127.0.0.1:{PORT}", connector=connector, timeout=timeout) as session:
        filler = "x" * (OBJECT_BYTES - 300)

        created = 0

        async def create(_: int) -> None:
            nonlocal created
            created += 1
            name = f"c{created}"
            body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}, "data": {"k": filler}}
            async with session.post(CMS, json=body) as answer:
                await answer.read()
                assert answer.status == 201, await answer.text()

        async def get(number: int) -> None:
            async with session.get(f"{CMS}/c{1 + number % 1000}") as answer:
                await answer.read()
                assert answer.status == 200

        async def patch(number: int) -> None:
            change = b'{"data":{"n":"%d"}}' % number
            headers = {"Content-Type": "application/merge-patch+json"}
            async with session.patch(f"{CMS}/c{1 + number % 1000}", data=change, headers=headers) as answer:
                await answer.read()

        async def page(_: int) -> None:
            async with session.get(f"{CMS}?limit=100") as answer:
                await answer.read()

        kinds = {
            "create 2 KB, durable": (create, REQUESTS),
            "get 2 KB": (get, REQUESTS),
            "merge patch, durable": (patch, REQUESTS),
            "list 100 of 2 KB": (page, REQUESTS // 10),
        }
        found = {name: Runs([], [], [], []) for name in kinds}
        for _ in range(ROUNDS):
            for name, (step, count) in kinds.items():
                await run(meter, found[name], count, step)
        for name, runs in found.items():
            show(name, runs, found["get 2 KB"])
        await fan_out(session, meter)
        print(f"{'resident memory':28} {meter.memory():.0f} MiB")


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="kijabi-bench-") as name:
        directory = Path(name)
        context = multiprocessing.get_context("spawn")
        ready = context.Event()
        process = context.Process(target=serve, args=(directory, cores[0], ready), daemon=True)
        process.start()
        try:
            if not ready.wait(20):
                raise SystemExit("the server did not start")
            os.sched_setaffinity(0, set(cores[1:]) or set(cores))
            uvloop.run(drive(directory, Meter(process.pid or 0)))
        finally:
            process.terminate()
            process.join(5)
            os.sched_setaffinity(0, set(cores))


if __name__ == "__main__":
    main()
