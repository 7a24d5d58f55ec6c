"""The life of clusters: side by side, up again, wrong ports, the fake runtime, logs, the foreground."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.conftest import fresh_cluster
from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = pytest.mark.e2e

PORT = 17445
FAKE_PORT = 17446


@pytest.fixture(scope="module")
def second(request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Cluster]:
    """A second cluster beside the first."""
    yield from fresh_cluster(request, PORT)


def test_two_clusters_do_not_meet(cluster: Cluster, second: Cluster) -> None:
    assert cluster.config.service_cidr != second.config.service_cidr
    assert cluster.config.pod_cidr != second.config.pod_cidr
    for each, word in ((cluster, "one"), (second, "two")):
        namespace = Namespace(each, "beside")
        each.kubectl("create", "namespace", "beside")
        namespace.has_account()
        line = f"cd /tmp; echo {word} > index.html; exec python3 -m http.server 8000"
        namespace.kubectl("create", "deployment", "web", "--image=python:3.11", "--", "sh", "-c", line)
        namespace.kubectl("expose", "deployment", "web", "--port=80", "--target-port=8000")
        namespace.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    for each, word in ((cluster, "one"), (second, "two")):
        address = Namespace(each, "beside").field("service/web", "{.spec.clusterIP}")
        eventually(partial(_says, each, f"http://{address}/", word))
        each.kubectl("delete", "namespace", "beside", "--wait=false")


def _says(cluster: Cluster, url: str, word: str) -> bool:
    return cluster.run_here("curl", "-s", "--max-time", "3", url).strip() == word


def test_data_is_there_after_down_and_up(second: Cluster) -> None:
    second.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    second.kubectl("create", "deployment", "kept", "--image=busybox:1.35", "--", "sleep", "infinity")
    second.kubectl("rollout", "status", "deployment/kept", "--timeout=60s")
    second.kijabi("down")
    stopped = second.kijabi("status", check=False)
    assert stopped.returncode == 1
    assert "the cluster is not running: `kijabi up` starts it" in stopped.stdout
    second.kijabi("up")
    assert second.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "b"
    second.kubectl("rollout", "status", "deployment/kept", "--timeout=60s")
    pods = "{.items[0].status.containerStatuses[0].ready}"
    eventually(lambda: second.kubectl("get", "pods", "-l", "app=kept", "-o", f"jsonpath={pods}") == "true")


def test_up_again_finds_it_running(second: Cluster) -> None:
    assert f"The cluster in {second.directory} is running" in second.kijabi("up").stdout
    said = second.kijabi("up", "--port", "17999", check=False)
    assert said.returncode == 1
    assert "runs with --port 17445" in said.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as busy:
        other = Cluster(tmp_path / "taken", busy.getsockname()[1])
        said = other.kijabi("up", "--port", str(other.port), "--runtime", "fake", check=False)
        assert said.returncode == 1
        assert f"port {other.port} is in use" in said.stderr
        other.kijabi("down", "--purge")


def test_logs_are_readable_and_followed(second: Cluster) -> None:
    shown = second.kijabi("logs", "apiserver", "-n", "3").stdout
    assert re.match(r"\d{4}-\d\d-\d\dT\S+ +[A-Z]+ +\S+: ", shown), shown
    unknown = second.kijabi("logs", "nobody", check=False)
    assert unknown.returncode == 1
    assert "there are: apiserver, control, node-1" in unknown.stderr


def test_kubeconfig_and_status(second: Cluster) -> None:
    assert second.kijabi("kubeconfig").stdout == second.kubeconfig.read_text()
    assert second.kijabi("kubeconfig", "--path").stdout.strip() == str(second.kubeconfig)
    status = second.kijabi("status").stdout
    assert re.search(r"^apiserver +ready +\d+ +0 +-$", status, re.M), status
    assert re.search(r"^node-1 +True +v1\.37\.0 ", status, re.M), status
    assert status.rstrip().endswith("All is well.")


def test_the_fake_runtime_in_the_foreground(tmp_path: Path) -> None:
    fake = Cluster(tmp_path / "fake", FAKE_PORT)
    line = [sys.executable, "-m", "kijabi.cmd.main", "up", "--foreground", "--runtime", "fake", "--nodes", "3"]
    arguments = ["--data-dir", str(fake.directory), "--port", str(FAKE_PORT)]
    running = subprocess.Popen([*line, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        eventually(lambda: fake.kubeconfig.exists() and fake.kijabi("status", check=False).returncode == 0)
        fake.kubectl("create", "deployment", "pretend", "--image=anything", "--replicas=5")
        fake.kubectl("rollout", "status", "deployment/pretend", "--timeout=60s")
        assert fake.kubectl("get", "nodes", "-o", "name").split() == ["node/node-1", "node/node-2", "node/node-3"]
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(60) == 0
        assert running.stdout is not None
        assert "Traceback" not in running.stdout.read()
    finally:
        running.kill()
        fake.kijabi("down", "--purge", check=False)
