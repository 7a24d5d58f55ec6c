"""A rolling update of a Deployment with 1,000 pods on 100 hollow nodes, by our controllers and by upstream's.

Our API server, our scheduler and the nodes are the same for both; the controllers are `kijabi controller-manager` or
kube-controller-manager (v1.37.0, built from the Go module proxy), started anew for each turn. Upstream's runs twice:
as it is by default, where its client sends 20 requests a second, and without that bound, which else is all that one
sees.
What counts is the time from the patch of the image until the Deployment's status says that all is new and available,
and the processor time that the controllers' process takes for it.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.sidebyside.servers import ROOT, Kijabi, free_port, processor_of
from kijabi.api import codec
from kijabi.api.apps.deployment import Deployment
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.client.client import Client
from kijabi.client.informer import Informers
from kijabi.cmd import component
from kijabi.cmd.config import ClusterConfig
from kijabi.cmd.keys import make_keys
from kijabi.testing.conformance.build import Builder, Program

CONTROLLER_MANAGER = Program("kube-controller-manager", "./cmd/kube-controller-manager")
NODES = 100
PODS = 1000
TURNS = 3
PATIENCE = 900.0  # seconds that anything may take
UNBOUND = ("--kube-api-qps=100000", "--kube-api-burst=100000")


class Turn(NamedTuple):
    """What one rolling update took: seconds by the clock and of the controllers' processor time."""

    seconds: float
    processor: float


class Cluster:
    """Our API server, scheduler and hollow nodes; controllers come and go."""

    def __init__(self, directory: Path, builder: Builder) -> None:
        path = directory / "cluster"
        path.mkdir()
        self.config = ClusterConfig(dir=str(path), port=free_port(), runtime="fake", nodes=NODES)
        self.config.save()
        make_keys(self.config)
        self.server = Kijabi(directory, self.config)
        self._directory = directory
        self._builder = builder

    def ours(self) -> list[str]:
        """The command of our controllers."""
        return self.part("controller-manager")

    def part(self, command: str) -> list[str]:
        """The command of a component of ours."""
        return [sys.executable, "-m", "kijabi.cmd.main", command, "--data-dir", self.config.dir]

    def theirs(self, *more: str) -> list[str]:
        """The command of upstream's controllers; kubeadm's flags, and `more`."""
        pki, file = self.config.pki, self.config.component_kubeconfig("controller-manager")
        flags = [f"--{name}={file}" for name in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")]
        return [
            str(self._builder.program(CONTROLLER_MANAGER)), *flags, "--secure-port=0", "--leader-elect=false",
            "--use-service-account-credentials=true", f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--root-ca-file={pki / 'ca.crt'}", f"--cluster-cidr={self.config.pod_cidr}",
            f"--service-cluster-ip-range={self.config.service_cidr}", "--allocate-node-cidrs=false", *more,
        ]  # fmt: skip

    @contextmanager
    def running(self, name: str, command: list[str]) -> Iterator[int]:
        """A process until the block ends; gives its pid."""
        with open(self._directory / f"{name}.log", "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Watcher:
    """Waits for what the API server tells."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.informers = Informers(client)
        self.deployments = self.informers.of(Deployment)
        self.nodes = self.informers.of(Node)
        self.pods = self.informers.of(Pod)
        self.accounts = self.informers.of(ServiceAccount)
        self._changed = asyncio.Event()
        for informer in (self.deployments, self.nodes, self.pods, self.accounts):
            informer.add_handler(self._tell)

    def _tell(self, old: Any, new: Any) -> None:
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition over the informers."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


def deployment(name: str) -> Deployment:
    """The Deployment that is updated: default strategy, a small pod."""
    container = {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "10m"}}}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    made = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": PODS, "selector": {"matchLabels": {"app": name}}, "template": template},
    }  # fmt: skip
    return codec.from_builtins(Deployment, made)


def complete(found: Deployment | None) -> bool:
    """Whether all pods are new and available, as `kubectl rollout status` decides it."""
    if found is None or found.status.observedGeneration < found.metadata.generation:
        return False
    status = found.status
    return status.updatedReplicas == status.replicas == status.availableReplicas == found.spec.replicas


async def turn(cluster: Cluster, watcher: Watcher, name: str, command: list[str]) -> Turn:
    """Create, update, delete, by the controllers of a command."""
    with cluster.running("controllers", command) as pid:
        await watcher.until(lambda: watcher.accounts.get("default/default") is not None)
        await watcher.client.create(deployment(name))
        await watcher.until(lambda: complete(watcher.deployments.get(f"default/{name}")))
        await asyncio.sleep(2)  # what creating leaves behind, such as events
        began, before = time.perf_counter(), processor_of(pid)
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "app:2"}]}}}}
        await watcher.client.patch(Deployment, name, patch, namespace="default", type="strategic")
        await watcher.until(lambda: _updated(watcher.deployments.get(f"default/{name}")))
        took = Turn(time.perf_counter() - began, processor_of(pid) - before)
        await watcher.client.delete(Deployment, name, "default")
        await watcher.until(lambda: not watcher.pods.items())
    return took


def _updated(found: Deployment | None) -> bool:
    return found is not None and found.spec.template.spec.containers[0].image == "app:2" and complete(found)


async def measure(directory: Path) -> None:
    builder = Builder(lambda text: print(text, flush=True))
    cluster = Cluster(directory, builder)
    contenders = {
        "kijabi": cluster.ours(),
        "upstream, unbound": cluster.theirs(*UNBOUND),
        "upstream": cluster.theirs(),
    }
    await cluster.server.start()
    hollow = [sys.executable, "-m", "benchmarks.sidebyside.hollow", cluster.config.dir]
    found: dict[str, list[Turn]] = {name: [] for name in contenders}
    try:
        with cluster.running("nodes", hollow), cluster.running("scheduler", cluster.part("scheduler")):
            await _turns(cluster, contenders, found)
    finally:
        cluster.server.stop()
    report(found)


async def _turns(cluster: Cluster, contenders: dict[str, list[str]], found: dict[str, list[Turn]]) -> None:
    client = component.client(cluster.config.kubeconfig, "benchmark")
    async with asyncio.TaskGroup() as tasks:
        watcher = Watcher(client)
        following = tasks.create_task(watcher.informers.run())
        await watcher.informers.wait_synced()
        await watcher.until(lambda: len(watcher.nodes.items()) == NODES)
        for number in range(TURNS):
            for name, command in contenders.items():
                if number and name == "upstream":
                    continue  # bound to so many requests a second, it takes minutes, and the same each time
                took = await turn(cluster, watcher, f"web-{number}-{name.replace(', ', '-')}", command)
                found[name].append(took)
                print(f"   {name}: {took.seconds:.1f} s, {took.processor:.1f} s of processor", flush=True)
        following.cancel()


def report(found: dict[str, list[Turn]]) -> None:
    """The medians, and how many times as long the others take."""
    ours = statistics.median(turn.seconds for turn in found["kijabi"])
    for name, turns in found.items():
        seconds = statistics.median(turn.seconds for turn in turns)
        cost = statistics.median(turn.processor for turn in turns)
        print(f"{name:20} {seconds:8.1f} s {cost:8.1f} s of processor   {seconds / ours:.2f} times ours")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="kijabi-bench-") as directory:
        asyncio.run(measure(Path(directory)))


if __name__ == "__main__":
    main()
