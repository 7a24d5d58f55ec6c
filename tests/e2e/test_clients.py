"""Clients as they are in the world: Debian's kubectl 1.20, and the official Python client."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_pods import one
from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = pytest.mark.e2e

Make = Callable[..., str]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, namespace: Namespace) -> Callable[..., str]:
    """Debian's kubectl, fetched and unpacked but not installed."""
    place = tmp_path_factory.mktemp("kubectl")
    download = ["apt-get", "download", "-q", "kubernetes-client"]
    if subprocess.run(download, cwd=place, capture_output=True).returncode:
        pytest.skip("this distribution has no package kubernetes-client (Debian 12 has it)")
    package = next(place.glob("kubernetes-client_*.deb"))
    subprocess.run(["dpkg-deb", "-x", str(package), str(place)], check=True)
    program = str(place / "usr" / "bin" / "kubectl")

    def run(*arguments: str, text: str | None = None) -> str:
        line = [program, "-n", namespace.name, *arguments]
        environment = namespace.cluster.environment
        done = subprocess.run(line, input=text, capture_output=True, text=True, env=environment, timeout=90)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    run.program = program  # type: ignore[attr-defined]
    return run


def test_old_kubectl_makes_scales_and_deletes(old: Callable[..., str]) -> None:
    assert "v1.20" in old("version", "--short")
    old("create", "deployment", "old", "--image=busybox:1.35", "--", "sh", "-c", "echo from old; sleep infinity")
    old("rollout", "status", "deployment/old", "--timeout=60s")
    old("scale", "deployment", "old", "--replicas=2")
    eventually(lambda: old("get", "deployment", "old", "-o", "jsonpath={.status.readyReplicas}") == "2")
    assert "old" in old("get", "deployments")
    assert "node-1" in old("get", "pods", "-o", "wide")
    assert "StrategyType" in old("describe", "deployment", "old")
    assert old("logs", "deployment/old") == "from old\n"
    assert old("exec", "deploy/old", "--", "echo", "hello") == "hello\n"
    assert old("exec", "-i", "deploy/old", "--", "cat", text="in and out") == "in and out"
    pod = old("get", "pods", "-o", "name").split()[0]
    assert "Started" in old("describe", pod)
    old("label", pod, "seen=yes")
    old("delete", "deployment", "old")
    old("delete", "pod", "-l", "app=old", "--force", "--grace-period=0")


def test_old_kubectl_forwards_ports(old: Callable[..., str], namespace: Namespace, pod: Make) -> None:
    name = pod(
        "forwarded", one("cd /tmp; echo forwarded > index.html; python3 -m http.server 8000", image="python:3.11")
    )
    line = [old.program, "-n", namespace.name, "port-forward", f"pod/{name}", "18124:8000"]  # type: ignore[attr-defined]
    running = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, env=namespace.cluster.environment)
    try:
        assert running.stdout is not None
        assert "Forwarding" in running.stdout.readline()

        def fetched() -> str:
            try:
                with urllib.request.urlopen("http://127.0.0.1:18124/", timeout=5) as answer:
                    return str(answer.read().decode())
            except OSError as error:
                raise AssertionError(error) from error

        assert eventually(fetched) == "forwarded\n"
    finally:
        running.send_signal(signal.SIGINT)
        running.wait(10)


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[Any]:
    """The official Python client's connection."""
    kubernetes = pytest.importorskip("kubernetes")
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
    with kubernetes.client.ApiClient(configuration) as connection:
        yield connection


def test_python_client_lists_watches_and_patches(api: Any, namespace: Namespace) -> None:
    from kubernetes import client, watch

    core = client.CoreV1Api(api)
    assert "node-1" in [node.metadata.name for node in core.list_node().items]
    start = core.list_namespaced_config_map(namespace.name).metadata.resource_version
    seen: list[tuple[str, str]] = []

    def follow() -> None:
        stream = watch.Watch().stream(
            core.list_namespaced_config_map, namespace.name, resource_version=start, timeout_seconds=30
        )
        for event in stream:
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                return

    follower = threading.Thread(target=follow)
    follower.start()
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="py"), data={"a": "1"})
    core.create_namespaced_config_map(namespace.name, body)
    patched = core.patch_namespaced_config_map("py", namespace.name, {"data": {"b": "2"}})
    assert patched.data == {"a": "1", "b": "2"}
    core.delete_namespaced_config_map("py", namespace.name)
    follower.join(40)
    assert seen == [("ADDED", "py"), ("MODIFIED", "py"), ("DELETED", "py")]
    with pytest.raises(client.ApiException) as refused:
        core.read_namespaced_config_map("py", namespace.name)
    assert refused.value.status == 404


def test_python_client_runs_commands_and_reads_logs(api: Any, namespace: Namespace, pod: Make) -> None:
    from kubernetes import client
    from kubernetes.stream import stream

    core = client.CoreV1Api(api)
    name = pod("streams", one("echo a line; sleep infinity"))
    assert core.read_namespaced_pod_log(name, namespace.name) == "a line\n"
    run = core.connect_get_namespaced_pod_exec
    out = stream(run, name, namespace.name, command=["echo", "hi"], stdout=True, stderr=True, stdin=False, tty=False)
    assert out == "hi\n"
    talk = stream(
        run,
        name,
        namespace.name,
        command=["cat"],
        stdout=True,
        stderr=True,
        stdin=True,
        tty=False,
        _preload_content=False,
    )
    talk.write_stdin("echoed\n")
    assert talk.readline_stdout(timeout=10) == "echoed"
    talk.close()
    failed = stream(
        run, name, namespace.name, command=["sh", "-c", "exit 3"], stdout=True, stderr=True, stdin=False, tty=False,
        _preload_content=False,
    )  # fmt: skip
    failed.run_forever(timeout=10)
    assert failed.returncode == 3


def test_python_dynamic_client(api: Any, namespace: Namespace, tmp_path: Path) -> None:
    from kubernetes import dynamic

    os.environ["TMPDIR"] = str(tmp_path)  # where it keeps what it discovered
    found = dynamic.DynamicClient(api)
    deployments = found.resources.get(api_version="apps/v1", kind="Deployment")
    labels = {"app": "dynamic"}
    template = {"metadata": {"labels": labels}, "spec": one("sleep infinity")}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    deployments.create(body={"metadata": {"name": "dynamic"}, "spec": spec}, namespace=namespace.name)
    assert eventually(lambda: deployments.get("dynamic", namespace.name).status.readyReplicas) == 1
    deployments.patch({"spec": {"replicas": 0}}, name="dynamic", namespace=namespace.name)
    deployments.delete("dynamic", namespace.name)
