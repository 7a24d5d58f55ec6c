"""What others feel while somebody lists everything: a server with many pods, gets of one of them all the while.

`python -m benchmarks lists [PODS]`. The server has a core and a process of its own and keeps its store in memory. One
process gets a pod every few milliseconds and notes how long it took; another lists, in one form after the other. Beside
the waits stand how many lists were served in that time, how many MB a second that was, and the server's memory. The
difference to the first line is what the lists cost others, on a machine with nothing else to do.

The second table says the same whatever else the machine does: without sockets, the processor time between two looks at
them, at worst. That is what a list adds to somebody else's wait.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec
import uvloop

from benchmarks.apiserver import Meter
from kijabi.apiserver import pki
from kijabi.apiserver.app import App, Settings, open_to_all, secured, tune_memory
from kijabi.apiserver.attributes import Peer
from kijabi.apiserver.http import Http
from kijabi.apiserver.watch import WatchAnswer
from kijabi.client.transport import Request, Response
from kijabi.cmd.apiserver import files_of
from kijabi.store.interface import Op
from kijabi.store.memory import MemoryStore

PORT = 17947
PODS = 150_000
NAMESPACES = 50
SECONDS = 8.0  # of each kind of list
PAUSE = 0.003  # between two gets
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
PROTOBUF = "application/vnd.kubernetes.protobuf"
INITIAL = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=60"


class Kind(NamedTuple):
    """A way to list. clients: how many do it at once; paged: until there is no `continue` any more."""

    name: str
    query: str = ""
    accept: str = "application/json"
    gzip: bool = False
    clients: int = 1
    paged: bool = False
    until: bytes = b""  # what ends a watch's first events


KINDS = (
    Kind("nobody lists", clients=0),
    Kind("all"),
    Kind("all, gzip", gzip=True),
    Kind("all, eight at once", clients=8),
    Kind("by pages of 500", query="limit=500", paged=True),
    Kind("by label, 1 %", query="labelSelector=hundredth%3Dn7"),
    Kind("by label, none", query="labelSelector=hundredth%3Dnone"),
    Kind("as a Table", accept=TABLE),
    Kind("metadata only", accept=PARTIAL),
    Kind("in protobuf", accept=PROTOBUF),
    Kind("indented", query="pretty=1"),
    Kind("watch with initial events", query=INITIAL, until=b"k8s.io/initial-events-end"),
)


def pod(number: int) -> bytes:
    """A pod as it is stored, of about 3 KB."""
    name, namespace = f"web-{number:06d}", f"team-{number % NAMESPACES:02d}"
    stamp = "2026-01-01T00:00:00Z"
    image = "registry.example/team/web@sha256:" + f"{number:064x}"
    condition = {"status": "True", "lastProbeTime": None, "lastTransitionTime": stamp}
    probe = {"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10}
    managed = ("containers", "dnsPolicy", "restartPolicy", "schedulerName", "volumes")
    fields: dict[str, dict[str, str]] = {f"f:{key}": {} for key in managed}
    return msgspec.json.encode({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": name, "generateName": "web-", "namespace": namespace, "creationTimestamp": stamp, "generation": 1,
            "uid": f"00000000-0000-4000-8000-{number:012d}",
            "labels": {"app": "web", "hundredth": f"n{number % 100}", "pod-template-hash": "5d9c7c9b8"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d9c7c9b8",
                                 "uid": "00000000-0000-4000-9000-000000000001", "controller": True}],
            "managedFields": [
                {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": stamp, "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:app": {}}}, "f:spec": fields}}
                for manager in ("kube-controller-manager", "kubelet")
            ],
        },
        "spec": {
            "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
            "containers": [{
                "name": "web", "image": image, "ports": [{"containerPort": 8080, "protocol": "TCP"}],
                "env": [{"name": f"SETTING_{each}", "value": "x" * 20} for each in range(6)],
                "resources": {"limits": {"memory": "256Mi"}, "requests": {"cpu": "50m", "memory": "64Mi"}},
                "volumeMounts": [{"name": "token", "readOnly": True, "mountPath": "/var/run/secrets"}],
                "livenessProbe": probe, "readinessProbe": probe, "imagePullPolicy": "IfNotPresent",
            }],
            "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default", "nodeName": f"node-{number % 1500}", "schedulerName": "default-scheduler",
        },
        "status": {
            "phase": "Running", "podIP": "10.1.2.3", "startTime": stamp,
            "conditions": [{"type": kind, **condition} for kind in ("PodScheduled", "Initialized", "Ready")],
            "containerStatuses": [{
                "name": "web", "state": {"running": {"startedAt": stamp}}, "ready": True, "restartCount": 0,
                "image": image, "imageID": image, "containerID": f"containerd://{number:064x}", "started": True,
            }],
        },
    })  # fmt: skip


def serve(directory: Path, core: int, pods: int, ready: Any) -> None:
    """The server's process."""
    os.sched_setaffinity(0, {core})
    uvloop.run(_serve(directory, pods, ready))


async def _serve(directory: Path, pods: int, ready: Any) -> None:
    keys = pki.Pki(directory / "pki")
    settings = Settings(port=PORT)
    app = App(await filled(pods), settings)
    await app.load()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(app.run())
        await app.start(secured(app.caches, settings, files_of(keys)))
        http = Http(app.api)
        context = pki.server_context(keys.apiserver(settings.service_ip), keys.ca.pair.cert)
        tasks.create_task(http.run("127.0.0.1", PORT, context))
        await http.ready.wait()
        tune_memory()
        ready.set()


async def filled(pods: int) -> MemoryStore:
    """A store with so many pods."""
    store = MemoryStore()
    for number in range(pods):
        key = f"/registry/core/pods/team-{number % NAMESPACES:02d}/web-{number:06d}"
        await store.txn((), (Op(key, pod(number)),))
    await store.compact(store.revision)
    return store


def look(pods: int) -> None:
    """The second table, in a process of its own."""
    uvloop.run(_look(pods))


async def _look(pods: int) -> None:
    app = App(await filled(pods), Settings())
    await app.load()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(app.run())
        await app.start(open_to_all(app.caches))
        tune_memory()
        print(f"{'processor ms at a time':28} {'p99':>8} {'worst':>8}   seconds each")
        for kind in KINDS:
            if kind.clients and not kind.paged:
                await passes(app, kind)
        running.cancel()


async def passes(app: App, kind: Kind) -> None:
    """A line: how long a pass of the event loop takes while such lists are made."""
    times: list[float] = []
    clock, began = time.thread_time, time.process_time()
    lists = asyncio.gather(*(take(app, kind) for _ in range(kind.clients)))
    while not lists.done():
        before = clock()
        await asyncio.sleep(0)
        times.append((clock() - before) * 1000)
    spent = (time.process_time() - began) / kind.clients
    times.sort()
    print(f"{kind.name:28} {times[int(len(times) * 0.99)]:8.2f} {times[-1]:8.2f} {spent:8.2f}")
    await lists


async def take(app: App, kind: Kind) -> None:
    """Read one list to its end, as fast as it comes."""
    headers = {"accept": kind.accept, **({"accept-encoding": "gzip"} if kind.gzip else {})}
    query = tuple(parse_qsl(kind.query, keep_blank_values=True))
    answer = await app.api.handle(Request(method="GET", path="/api/v1/pods", query=query, headers=headers), Peer())
    if isinstance(answer, Response):
        return
    async for chunk in answer.chunks() if isinstance(answer, WatchAnswer) else answer.chunks:  # type: ignore[union-attr]
        if kind.until and kind.until in chunk:
            answer.watcher.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)


class Client:
    """One connection that asks and reads, and looks at nothing but what it must."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, path: str, kind: Kind) -> tuple[int, bytes, bytes]:
        """(bytes, the first, the last of them) of an answer; of a watch up to what ends its first events."""
        more = "Accept-Encoding: gzip\r\n" if kind.gzip else ""
        self.writer.write(f"GET {path} HTTP/1.1\r\nHost: kijabi\r\nAccept: {kind.accept}\r\n{more}\r\n".encode())
        head = await self.reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        if status == 406:
            raise LookupError(kind.accept)
        assert status == 200, head
        size, first, last = 0, b"", b""
        async for data in self._body(head):
            size += len(data)
            first, last = first or data, (last + data)[-4096:]
            if kind.until and kind.until in last:
                break
        return size, first, last

    async def _body(self, head: bytes) -> Any:
        reader = self.reader
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                yield await reader.readexactly(int(line.split(b":")[1]))
                return
        while True:
            left = int(await reader.readuntil(b"\r\n"), 16)
            done = left == 0
            while left:
                data = await reader.read(left)
                left -= len(data)
                yield data
            await reader.readexactly(2)
            if done:
                return


async def connect(directory: Path) -> Client:
    keys = pki.Pki(directory / "pki")
    context: ssl.SSLContext = pki.client_context(keys.ca.pair.cert, keys.client("admin", pki.ADMIN))
    return Client(*await asyncio.open_connection("127.0.0.1", PORT, ssl=context, limit=4 * 1024 * 1024))


def load(directory: Path, kind: Kind, until: float, results: Any) -> None:
    """A process that lists."""
    os.nice(5)
    results.put(uvloop.run(_load(directory, kind, until)))


async def _load(directory: Path, kind: Kind, until: float) -> tuple[int, int]:
    """(lists begun and ended, bytes) until then."""
    done = size = 0

    async def one() -> None:
        nonlocal done, size
        client = await connect(directory)
        while time.monotonic() < until:
            path, token = "/api/v1/pods?" + kind.query, "begin"
            while token and time.monotonic() < until:
                got, first, _ = await client.ask(path, kind)
                size += got
                token = continues(first) if kind.paged else ""
                path = f"/api/v1/pods?{kind.query}&continue={token}"
            done += not token
            if kind.until:
                client.writer.close()
                client = await connect(directory)

    try:
        await asyncio.gather(*(one() for _ in range(kind.clients)))
    except LookupError:
        return -1, 0
    return done, size


def continues(data: bytes) -> str:
    """The continue token of a list, from its first bytes."""
    _, found, rest = data[:4096].partition(b'"continue":"')
    return rest[: rest.index(b'"')].decode() if found else ""


async def probe(directory: Path, until: float) -> list[float]:
    """How long each get took, in ms, in order."""
    client, kind, times = await connect(directory), Kind("get"), []
    path = "/api/v1/namespaces/team-07/pods/web-000007"
    while time.monotonic() < until:
        began = time.perf_counter()
        await client.ask(path, kind)
        times.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(PAUSE)
    return sorted(times)


def measure(directory: Path, meter: Meter, kind: Kind) -> None:
    """One line."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    start = time.monotonic() + 1.0  # the process that lists needs as long to begin
    until = start + SECONDS
    loader = context.Process(target=load, args=(directory, kind, until, results), daemon=True)
    loader.start()
    time.sleep(max(0.0, start - time.monotonic()))
    spent = meter.read()
    times = uvloop.run(probe(directory, until))
    lists, size = results.get(timeout=120)
    spent = meter.read() - spent
    loader.join(5)
    if lists < 0:
        print(f"{kind.name:28} not offered")
        return
    p50, p99, worst = times[len(times) // 2], times[int(len(times) * 0.99)], times[-1]
    each = f"{spent / lists:6.2f} s CPU each" if lists else ""
    print(
        f"{kind.name:28} get p50 {p50:5.2f}   p99 {p99:6.2f}   worst {worst:6.1f} ms   {lists:5} lists  "
        f"{size / SECONDS / 1e6:7.1f} MB/s  {each:16}  {meter.memory():5.0f} MiB"
    )


def main() -> None:
    pods = int(sys.argv[2]) if len(sys.argv) == 3 and sys.argv[2].isdigit() else PODS
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="kijabi-bench-") as name:
        directory = Path(name)
        context = multiprocessing.get_context("spawn")
        ready = context.Event()
        process = context.Process(target=serve, args=(directory, cores[0], pods, ready), daemon=True)
        process.start()
        try:
            if not ready.wait(180):
                raise SystemExit("the server did not start")
            os.sched_setaffinity(0, set(cores[1:]) or set(cores))
            meter = Meter(process.pid or 0)
            print(f"{pods:,} pods; load average {os.getloadavg()[0]:.1f}; server {meter.memory():.0f} MiB")
            for kind in KINDS:
                measure(directory, meter, kind)
        finally:
            process.terminate()
            process.join(5)
            os.sched_setaffinity(0, set(cores))
    second = context.Process(target=look, args=(pods,), daemon=True)
    second.start()
    second.join()


if __name__ == "__main__":
    main()
