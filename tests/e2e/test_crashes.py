"""kill -9 of every process of a cluster: acknowledged writes are there, running containers go on."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tests.e2e.test_pods import one
from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.last]

STATUS = ".status.containerStatuses[0]"
PATH = f"{{range .items[*]}}{{.metadata.name}} {{{STATUS}.containerID}} {{{STATUS}.restartCount}} {{end}}"


@pytest.fixture(scope="module")
def web(namespace: Namespace) -> Namespace:
    """Two pods that count how often they were started."""
    for name in ("first", "second"):
        meta = {"name": name, "labels": {"role": "web"}}
        namespace.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": one("sleep infinity")})
    namespace.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    return namespace


def containers(namespace: Namespace) -> str:
    return namespace.kubectl("get", "pods", "-l", "role=web", "-o", f"jsonpath={PATH}")


@pytest.mark.parametrize("name", ["apiserver", "control", "node-1"])
def test_a_killed_component_comes_back_with_its_reason_and_containers_go_on(
    web: Namespace, cluster: Cluster, name: str
) -> None:
    before = containers(web)
    assert cluster.kill(name)["last_exit"] == "killed by SIGKILL"
    assert "killed by SIGKILL" in cluster.kijabi("status", check=False).stdout
    assert web.shell("first", "echo here") == "here"
    web.kubectl("create", "deployment", f"after-{name}", "--image=busybox:1.35", "--", "sleep", "infinity")
    web.kubectl("rollout", "status", f"deployment/after-{name}", "--timeout=60s")
    assert containers(web) == before
    eventually(lambda: "All is well" in cluster.kijabi("status", check=False).stdout)


def test_a_killed_containerd_comes_back_and_containers_go_on(web: Namespace, cluster: Cluster) -> None:
    before = containers(web)
    config = cluster.config.node_run("node-1") / "config.toml"
    pid = next(pid for pid, words in _processes() if words[-1] == str(config) and words[0].endswith("containerd"))
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: web.shell("first", "echo here") == "here")
    web.kubectl("create", "deployment", "after-containerd", "--image=busybox:1.35", "--", "sleep", "infinity")
    web.kubectl("rollout", "status", "deployment/after-containerd", "--timeout=60s")
    assert containers(web) == before


def _processes() -> list[tuple[int, list[str]]]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline") as file:
                    found.append((int(name), file.read().rstrip("\0").split("\0")))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


class Writer(threading.Thread):
    """Creates config maps one after another, and remembers which were acknowledged."""

    def __init__(self, namespace: Namespace, number: int) -> None:
        super().__init__()
        self.namespace = namespace
        self.number = number
        self.acknowledged: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        count = 0
        while not self.stopping.is_set():
            count += 1
            name = f"w{self.number}-{count}"
            if self.namespace.try_kubectl("create", "configmap", name).returncode == 0:
                self.acknowledged.append(name)


def test_acknowledged_writes_survive_a_killed_api_server(web: Namespace, cluster: Cluster) -> None:
    writers = [Writer(web, number) for number in range(3)]
    for writer in writers:
        writer.start()
    for _ in range(3):
        goal = sum(len(writer.acknowledged) for writer in writers) + 5
        eventually(lambda: sum(len(writer.acknowledged) for writer in writers) >= goal)  # noqa: B023
        cluster.kill("apiserver")
    for writer in writers:
        writer.stopping.set()
    for writer in writers:
        writer.join()
    there = {item["metadata"]["name"] for item in web.get("configmaps")["items"]}
    acknowledged = {name for writer in writers for name in writer.acknowledged}
    assert len(acknowledged) >= 15
    assert acknowledged <= there


def test_a_killed_supervisor_takes_its_components_along_and_up_starts_again(web: Namespace, cluster: Cluster) -> None:
    before = containers(web)
    pid = int((cluster.directory / "run" / "supervisor.lock").read_text())
    pids = [cluster.component(name)["pid"] for name in ("apiserver", "control", "node-1")]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(os.path.exists(f"/proc/{each}") for each in pids))
    said = cluster.kijabi("status", check=False)
    assert said.returncode == 1
    assert "the cluster is not running: `kijabi up` starts it" in said.stdout
    cluster.kijabi("up")
    assert containers(web) == before
    assert web.shell("second", "echo here") == "here"
    assert "running" in cluster.kijabi("up").stdout
