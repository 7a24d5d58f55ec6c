"""The two servers of the side-by-side run: processes on free ports, with the same keys, measured from outside.

Kijabi is one process, `kijabi apiserver`. Upstream is kube-apiserver with an etcd of its own, both built from the Go
module proxy at the version whose API Kijabi serves; etcd speaks plain TCP, which spares upstream a second TLS. Both
write durably, to the same disk.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path

from benchmarks.sidebyside.load import Client, Failed, Line, get
from kijabi.apiserver import pki
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.keys import make_keys
from kijabi.testing.conformance.build import Builder, Program

KUBE_APISERVER = Program("kube-apiserver", "./cmd/kube-apiserver")
ETCD = Program("etcd", "go.etcd.io/etcd/server/v3")
START_SECONDS = 120.0
STOP_SECONDS = 20.0
POLL = 0.01  # seconds between two looks whether a server is ready
ROOT = Path(__file__).parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server(ABC):
    """One server: its processes, and the client that it is driven with."""

    name = ""

    def __init__(self, directory: Path, cluster: ClusterConfig) -> None:
        self.directory = directory
        self.cluster = cluster
        self.port = cluster.port
        keys = pki.Pki(cluster.pki)
        self.keys = keys
        self.context: ssl.SSLContext = pki.client_context(keys.ca.pair.cert, keys.client("admin", pki.ADMIN))
        self.client = Client(self.port, self.context)
        self._processes: list[subprocess.Popen[bytes]] = []

    @abstractmethod
    def commands(self) -> list[list[str]]:
        """What to start."""

    async def start(self) -> float:
        """Start; seconds until `/readyz` says ok."""
        began = time.perf_counter()
        for command in self.commands():
            self._launch(command)
        while not await self._ready():
            if time.perf_counter() - began > START_SECONDS or any(each.poll() is not None for each in self._processes):
                raise SystemExit(f"{self.name} did not start:\n{self._last_words()}")
            await asyncio.sleep(POLL)
        return time.perf_counter() - began

    def _launch(self, command: list[str]) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with open(self.directory / f"{Path(command[0]).name}.log", "ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory, env=environment
                )
            )

    async def _ready(self) -> bool:
        try:
            line = await self.client.connect()
        except OSError:
            return False
        try:
            return await line.ask(get("/readyz")) == 200
        except Failed:
            return False
        finally:
            line.transport.abort()

    def _last_words(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-1500:] for path in self.directory.glob("*.log"))

    def stop(self) -> None:
        """Stop, the last first; nothing of it runs after this."""
        self.client.close()
        while self._processes:
            process = self._processes.pop()
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    async def line(self) -> Line:
        """One more connection."""
        return await self.client.connect()

    def processor(self) -> float:
        """Processor seconds of its processes until now."""
        return sum(processor_of(process.pid) for process in self._processes)

    def memory(self) -> list[float]:
        """Resident MiB of each of its processes."""
        pages = (int(Path(f"/proc/{each.pid}/statm").read_text().split()[1]) for each in self._processes)
        return [count * PAGE / 2**20 for count in pages]


def processor_of(pid: int) -> float:
    """Processor seconds of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Kijabi(Server):
    """Ours: one process with its store."""

    name = "kijabi"

    def commands(self) -> list[list[str]]:
        """See Server."""
        command = [sys.executable, "-m", "kijabi.cmd.main", "apiserver", "--data-dir", str(self.cluster.path)]
        return [[*command, "--bind", "127.0.0.1"]]


class Upstream(Server):
    """kube-apiserver and etcd."""

    name = "upstream"

    def __init__(self, directory: Path, cluster: ClusterConfig, programs: tuple[Path, Path]) -> None:
        super().__init__(directory, cluster)
        self._apiserver, self._etcd = map(str, programs)
        self._etcd_port, self._peer_port = free_port(), free_port()

    def commands(self) -> list[list[str]]:
        """See Server. Beside what keys and ports need: kubeadm's flags, and else upstream's defaults."""
        client, peer = (f"http://127.0.0.1:{port}" for port in (self._etcd_port, self._peer_port))
        etcd = [
            self._etcd, f"--data-dir={self.directory / 'etcd'}", "--log-level=error",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        ]  # fmt: skip
        folder = self.keys.directory
        flags = {
            "etcd-servers": client,
            "bind-address": "127.0.0.1",
            "advertise-address": "192.0.2.1",  # loopback is refused; nobody comes this way here
            "secure-port": self.port,
            "tls-cert-file": folder / "apiserver.crt",
            "tls-private-key-file": folder / "apiserver.key",
            "client-ca-file": folder / "ca.crt",
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "allow-privileged": "true",
            "service-cluster-ip-range": self.cluster.service_cidr,
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": folder / "sa.pub",
            "service-account-signing-key-file": folder / "sa.key",
            "kubelet-client-certificate": folder / "apiserver-kubelet-client.crt",
            "kubelet-client-key": folder / "apiserver-kubelet-client.key",
            "proxy-client-cert-file": folder / "front-proxy-client.crt",
            "proxy-client-key-file": folder / "front-proxy-client.key",
            "requestheader-client-ca-file": folder / "front-proxy-ca.crt",
            "requestheader-allowed-names": pki.FRONT_PROXY.user,
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-username-headers": "X-Remote-User",
        }
        return [etcd, [self._apiserver, *(f"--{name}={value}" for name, value in flags.items())]]


def both(directory: Path) -> tuple[Kijabi, Upstream]:
    """The two, with everything made and built that they need; nothing runs yet."""
    builder = Builder(lambda text: print(text, flush=True))
    programs = (builder.program(KUBE_APISERVER), builder.program(ETCD))
    clusters = []
    for name in (Kijabi.name, Upstream.name):
        place = directory / name
        place.mkdir(parents=True)
        cluster = ClusterConfig(dir=str(place / "cluster"), port=free_port(), runtime="fake")
        cluster.path.mkdir()
        cluster.save()
        make_keys(cluster)
        clusters.append((place, cluster))
    return Kijabi(*clusters[0]), Upstream(*clusters[1], programs)


def forget(server: Server) -> None:
    """Delete what a stopped server stored, so that it begins anew."""
    for path in (server.directory / "etcd", server.cluster.path / "store"):
        shutil.rmtree(path, ignore_errors=True)
