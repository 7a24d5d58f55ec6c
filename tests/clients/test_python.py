"""The official Python client; what goes on until it is killed is in `python/official.py`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kubernetes
import pytest
from kubernetes import client, dynamic, watch
from kubernetes.stream import portforward, stream

from tests.clients.world import HERE, Running, elects, outlives, served
from tests.e2e.test_pods import one
from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = pytest.mark.clients

Make = Callable[..., str]


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[Any]:
    """The official Python client's connection."""
    configuration = kubernetes.client.Configuration()
    kubernetes.config.load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
    with kubernetes.client.ApiClient(configuration) as connection:
        yield connection


def test_objects_are_made_changed_watched_and_deleted(api: Any, namespace: Namespace) -> None:
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


def test_commands_run_in_pods_and_logs_are_read(api: Any, namespace: Namespace, pod: Make) -> None:
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


def test_the_dynamic_client_finds_its_way(api: Any, namespace: Namespace, tmp_path: Path) -> None:
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


def test_ports_are_forwarded(api: Any, namespace: Namespace, pod: Make) -> None:
    name = pod("forwarded", served("forwarded"))
    connect = client.CoreV1Api(api).connect_get_namespaced_pod_portforward
    ports = portforward(connect, name, namespace.name, ports="8000")
    socket = ports.socket(8000)
    socket.setblocking(True)
    socket.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while got := socket.recv(4096):
        answer += got
    assert answer.endswith(b"\r\n\r\nforwarded\n")
    assert ports.error(8000) is None


def start(namespace: Namespace, verb: str, name: str = "") -> Running:
    line = [sys.executable, HERE / "python" / "official.py", verb, namespace.name, name]
    return Running(line, namespace.cluster.environment)


def test_an_informer_outlives_the_server(namespace: Namespace) -> None:
    outlives(namespace, lambda: start(namespace, "inform"))


@pytest.mark.parametrize("verb", ["lead", "lead-by-configmap"])
def test_one_of_two_candidates_leads(namespace: Namespace, verb: str) -> None:
    elects(lambda identity: start(namespace, verb, identity))
