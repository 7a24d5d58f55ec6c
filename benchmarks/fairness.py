"""Polite clients beside an abusive one: what they wait with and without flow control, over TLS, in real processes.

`python -m benchmarks fairness`. Four users ask for a ConfigMap every 20 ms and write one every 100 ms; a fifth, of the
same priority level, holds 200 connections and on each asks again as soon as it has its answer: for one object, for a
list of everything (10 MB), or for a new object. The server has one core; the clients share the other, the abuser's
process with less priority. Beside what a request took stands how much of the server's processor time passed
meanwhile: the work that was done before it and for it, which a busy machine does not change.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import uvloop

from benchmarks.apiserver import serve_app
from kijabi.apiserver import pki
from kijabi.apiserver.app import Settings
from kijabi.apiserver.flags import Flags

PORT = 17956
POLITE = 4
READ_SECONDS, WRITE_SECONDS = 0.02, 0.1
CONNECTIONS = 200
OBJECTS = 5000
OBJECT_BYTES = 2048
SECONDS = 8.0
WARM_SECONDS = 2.0  # that the abuser has had before anything is measured
LONGEST = 120.0  # seconds for any of it
CMS = "/api/v1/namespaces/default/configmaps"
PATH = CMS.encode()
KINDS = ("gets", "lists", "creates")


def serve(directory: Path, core: int, fair: bool, ready: Any) -> None:
    """The server's process."""
    os.sched_setaffinity(0, {core})
    flags = Flags(enable_priority_and_fairness=fair)
    uvloop.run(serve_app(directory, Settings(port=PORT, flags=flags), ready))


def session(directory: Path, user: str, groups: tuple[str, ...] = ("tenants",)) -> aiohttp.ClientSession:
    """A client with a certificate."""
    keys = pki.Pki(directory / "pki")
    identity = pki.ADMIN if user == "admin" else pki.Identity(user, groups)
    context: ssl.SSLContext = pki.client_context(keys.ca.pair.cert, keys.client(user, identity))
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    timeout = aiohttp.ClientTimeout(total=None)
    return aiohttp.ClientSession(f"https://127.0.0.1:{PORT}", connector=connector, timeout=timeout)


async def prepare(directory: Path) -> None:
    """Objects, and the right to everything for everybody."""
    async with session(directory, "admin") as admin:
        binding = {
            "metadata": {"name": "tenants"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "tenants"}],
        }
        await (await admin.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", json=binding)).read()
        numbers = iter(range(OBJECTS))

        async def maker() -> None:
            for number in numbers:
                body = {"metadata": {"name": f"c{number}"}, "data": {"k": "x" * OBJECT_BYTES}}
                await (await admin.post(CMS, json=body)).read()

        await asyncio.gather(*(maker() for _ in range(32)))


Pair = tuple[float, float]  # ms by the clock, and of the server's processor


class Waits(NamedTuple):
    """What the polite ones waited."""

    reads: list[Pair]
    writes: list[Pair]
    refused: int


def polite(directory: Path, core: int, server: int, start: Any, answer: Any) -> None:
    """The polite clients' process. server: its process id."""
    os.sched_setaffinity(0, {core})
    start.wait()
    answer.put(uvloop.run(_polite(directory, server)))


def processor_clock(pid: int) -> int:
    """The clock that counts a process's processor time (clock_getcpuclockid(3))."""
    return (~pid << 3) | 2


async def _polite(directory: Path, server: int) -> Waits:
    waits = Waits([], [], 0)
    clock = processor_clock(server)
    refused = 0

    async def client(number: int) -> None:
        nonlocal refused
        async with session(directory, f"polite-{number}") as own:
            await (await own.get(f"{CMS}/c0")).read()  # the handshake is not what is measured
            end = time.perf_counter() + SECONDS

            async def repeat(pause: float, times: list[Pair], step: Callable[[int], Awaitable[Any]]) -> None:
                nonlocal refused
                count = 0
                while (began := time.perf_counter()) < end:
                    spent = time.clock_gettime(clock)
                    answer = await step(count)
                    await answer.read()
                    spent = time.clock_gettime(clock) - spent
                    times.append(((time.perf_counter() - began) * 1000, spent * 1000))
                    refused += answer.status >= 400
                    count += 1
                    await asyncio.sleep(max(0.0, began + pause - time.perf_counter()))

            def read(count: int) -> Awaitable[Any]:
                return own.get(f"{CMS}/c{count % OBJECTS}")

            def write(count: int) -> Awaitable[Any]:
                name = f"p{number}-{time.perf_counter_ns()}"
                return own.post(CMS, json={"metadata": {"name": name}, "data": {"k": "v"}})

            await asyncio.gather(repeat(READ_SECONDS, waits.reads, read), repeat(WRITE_SECONDS, waits.writes, write))

    await asyncio.gather(*(client(number) for number in range(POLITE)))
    return waits._replace(refused=refused)


def abuse(directory: Path, core: int, kind: str, events: Any, answer: Any) -> None:
    """The abuser's process."""
    os.sched_setaffinity(0, {core})
    os.nice(5)
    answer.put(uvloop.run(_abuse(directory, kind, *events)))


class Hammer(asyncio.Protocol):
    """A connection that asks again as soon as it has its answer; no client library is fast enough to be a nuisance."""

    def __init__(self, kind: str, counts: dict[str, int], number: int) -> None:
        self.kind = kind
        self.counts = counts
        self.number = number
        self.asked = 0
        self.tail = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.asked += 1
        self.tail, self.left = b"", -1
        if self.kind == "creates":
            body = b'{"metadata":{"name":"a-%d-%d"},"data":{"k":"%s"}}' % (self.number, self.asked, b"x" * OBJECT_BYTES)
            head = b"POST %s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d" % (PATH, len(body))
        else:
            body, head = b"", b"GET %s%s HTTP/1.1" % (PATH, b"/c1" if self.kind == "gets" else b"")
        self.transport.write(head + b"\r\nHost: x\r\n\r\n" + body)

    def data_received(self, data: bytes) -> None:
        if self.left < 0:
            self.tail += data
            head, end, body = self.tail.partition(b"\r\n\r\n")
            if not end:
                return
            self.counts["refused" if head.startswith(b"HTTP/1.1 429") else "answered"] += 1
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            self.left = int(lines.get(b"content-length", b"%d" % (1 << 40)))
            data = body
        self.left -= len(data)
        self.tail = (self.tail + data)[-5:]
        if self.left == 0 or (self.left > 1 << 30 and self.tail == b"0\r\n\r\n"):
            self.ask()


async def _abuse(directory: Path, kind: str, begun: Any, stop: Any) -> tuple[float, float]:
    """Answers a second, and the part of them that were refusals."""
    counts = {"answered": 0, "refused": 0}
    keys = pki.Pki(directory / "pki")
    identity = pki.Identity("abuser", ("tenants",))
    context = pki.client_context(keys.ca.pair.cert, keys.client("abuser", identity))
    loop, made = asyncio.get_running_loop(), []
    for number in range(CONNECTIONS):
        transport, _ = await loop.create_connection(
            lambda number=number: Hammer(kind, counts, number),  # type: ignore[misc]
            "127.0.0.1",
            PORT,
            ssl=context,
        )
        made.append(transport)
    await asyncio.sleep(WARM_SECONDS)
    begun.set()
    counts.update(answered=0, refused=0)
    began = time.perf_counter()
    await asyncio.to_thread(stop.wait, LONGEST)
    seconds = time.perf_counter() - began
    for transport in made:
        transport.abort()
    total = counts["answered"] + counts["refused"]
    return total / seconds, counts["refused"] / max(1, total)


def percentiles(pairs: list[Pair]) -> str:
    """Of a list that is not empty."""
    clock, processor = (sorted(each) for each in zip(*pairs, strict=True))
    half, most = len(pairs) // 2, min(len(pairs) - 1, int(len(pairs) * 0.99))
    return f"{clock[half]:5.1f} {clock[most]:6.1f} ({processor[half]:5.1f} {processor[most]:5.1f})"


def round_of(directory: Path, cores: list[int], server: int, kind: str) -> tuple[Waits, tuple[float, float]]:
    """One measurement, beside an abuser of this kind, or of none."""
    context = multiprocessing.get_context("spawn")
    start, begun, stop, answers, abused = *(context.Event() for _ in range(3)), context.Queue(), context.Queue()
    client = context.Process(target=polite, args=(directory, cores[-1], server, start, answers), daemon=True)
    client.start()
    abuser = None
    if kind:
        more = (directory, cores[-1], kind, (begun, stop), abused)
        abuser = context.Process(target=abuse, args=more, daemon=True)
        abuser.start()
        if not begun.wait(LONGEST):
            raise SystemExit("the abuser could not begin")
    start.set()
    waits: Waits = answers.get(timeout=LONGEST)
    stop.set()
    rate = (0.0, 0.0)
    if abuser is not None:
        rate = abused.get(timeout=LONGEST)
        abuser.join(5)
        abuser.kill()
    client.join(5)
    return waits, rate


def show(name: str, waits: Waits, rate: tuple[float, float]) -> None:
    """A line."""
    abuser = f"{rate[0]:9,.0f}/s, {rate[1]:.0%} refused" if rate[0] else ""
    print(f"{name:34} {percentiles(waits.reads)} {percentiles(waits.writes)}  {waits.refused:5} {abuser}", flush=True)


def run(fair: bool, cores: list[int]) -> None:
    """All measurements with or without flow control."""
    with tempfile.TemporaryDirectory(prefix="kijabi-bench-") as name:
        directory = Path(name)
        context = multiprocessing.get_context("spawn")
        ready = context.Event()
        server = context.Process(target=serve, args=(directory, cores[0], fair, ready), daemon=True)
        server.start()
        try:
            if not ready.wait(30):
                raise SystemExit("the server did not start")
            uvloop.run(prepare(directory))
            words = "with" if fair else "without"
            for kind in ("", *KINDS):
                waits, rate = round_of(directory, cores, server.pid or 0, kind)
                show(f"{words} flow control, {'beside ' + kind if kind else 'alone'}", waits, rate)
        finally:
            server.terminate()
            server.join(5)


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))
    print(f"load average before: {os.getloadavg()[0]:.1f}; ms p50 p99 (of the server's processor p50 p99)")
    print(f"{'':34} {'get':26} {'create':26} refused abuser")
    for fair in (False, True):
        run(fair, cores)


if __name__ == "__main__":
    main()
