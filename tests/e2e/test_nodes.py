"""Two nodes on one machine, the second in a network namespace: pods, Services, DNS, logs and exec across them.

A cluster of its own, started by `kijabi up --nodes 2`; that it leaves nothing behind is checked at its end.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import borrowed, fresh_cluster
from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = pytest.mark.e2e

PORT = 17444
SERVER = "import http.server as h, os; h.test(HandlerClass=h.SimpleHTTPRequestHandler, port=8000)"


@pytest.fixture(scope="module")
def nodes(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    yield from borrowed("KIJABI_E2E_NODES_DIR") or fresh_cluster(request, PORT, "--nodes", "2")


@pytest.fixture(scope="module")
def place(nodes: Cluster) -> Iterator[Namespace]:
    """A namespace with a web server and a client on each node, and a Service over both servers."""
    made = Namespace(nodes, "across")
    nodes.kubectl("create", "namespace", made.name)
    made.has_account()
    for node in ("node-1", "node-2"):
        made.apply(_server(node), _client(node))
    made.apply(_service("web", {}))
    made.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    yield made
    nodes.kubectl("delete", "namespace", made.name, "--timeout=80s", "--ignore-not-found")


def _pod(name: str, node: str, container: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"role": name.split("-")[0]}},
        "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [{"name": "main", **container}]},
    }


def _server(node: str) -> dict[str, Any]:
    start = f"cd /tmp; echo {node} > index.html; exec python3 -m http.server 8000"
    probe = {"tcpSocket": {"port": 8000}, "periodSeconds": 1}
    shape = {"image": "python:3.11", "command": ["sh", "-c", start], "readinessProbe": probe}
    return _pod(f"web-{node}", node, {**shape, "ports": [{"containerPort": 8000}]})


def _client(node: str) -> dict[str, Any]:
    return _pod(f"client-{node}", node, {"image": "python:3.11", "command": ["sleep", "infinity"]})


def _service(name: str, more: dict[str, Any]) -> dict[str, Any]:
    spec = {"type": "NodePort", "selector": {"role": "web"}, "ports": [{"port": 80, "targetPort": 8000}], **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def _fetch(place: Namespace, pod: str, url: str, times: int = 1) -> set[str]:
    once = f"print(u.urlopen('{url}', timeout=5).read().decode())"
    script = f"import urllib.request as u\nfor _ in range({times}): {once}"
    return set(place.exec(pod, "python3", "-c", script).split())


def test_both_nodes_are_ready_with_their_own_addresses(nodes: Cluster) -> None:
    nodes.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=30s")
    items = nodes.get("nodes")["items"]
    assert [item["metadata"]["name"] for item in items] == ["node-1", "node-2"]
    assert len({item["status"]["addresses"][0]["address"] for item in items}) == 2
    assert "All is well" in nodes.kijabi("status").stdout


@pytest.mark.parametrize("source", ["node-1", "node-2"])
@pytest.mark.parametrize("target", ["node-1", "node-2"])
def test_pod_to_pod(place: Namespace, source: str, target: str) -> None:
    address = place.field(f"pod/web-{target}", "{.status.podIP}")
    assert _fetch(place, f"client-{source}", f"http://{address}:8000/") == {target}


@pytest.mark.parametrize("source", ["node-1", "node-2"])
def test_service_by_name_reaches_both_nodes(place: Namespace, source: str) -> None:
    assert _fetch(place, f"client-{source}", "http://web.across.svc.cluster.local/", 40) == {"node-1", "node-2"}


@pytest.mark.parametrize("source", ["node-1", "node-2"])
def test_node_ports_of_every_node(place: Namespace, nodes: Cluster, source: str) -> None:
    port = place.field("service/web", "{.spec.ports[0].nodePort}")
    for item in nodes.get("nodes")["items"]:
        address = item["status"]["addresses"][0]["address"]
        assert _fetch(place, f"client-{source}", f"http://{address}:{port}/", 30) == {"node-1", "node-2"}


def test_external_traffic_policy_local_stays_on_the_node(place: Namespace, nodes: Cluster) -> None:
    place.apply(_service("local", {"externalTrafficPolicy": "Local"}))
    port = place.field("service/local", "{.spec.ports[0].nodePort}")
    address = nodes.get("node", "node-2")["status"]["addresses"][0]["address"]
    host = ["curl", "-s", "--max-time", "5", f"http://{address}:{port}/"]

    def answers() -> set[str]:
        return {nodes.run_here(*host).strip() for _ in range(10)}

    assert eventually(lambda: found if (found := answers()) == {"node-2"} else None) == {"node-2"}


def test_logs_and_exec_reach_the_second_node(place: Namespace) -> None:
    assert place.shell("web-node-2", "cat /tmp/index.html") == "node-2"
    eventually(lambda: "GET / HTTP" in place.kubectl("logs", "web-node-2"))


def test_kubernetes_service_from_the_second_node(place: Namespace) -> None:
    script = (
        "import ssl, urllib.request as u; d='/var/run/secrets/kubernetes.io/serviceaccount/';"
        "r=u.Request('https://kubernetes.default/api/v1/namespaces/across/pods',"
        "headers={'Authorization': 'Bearer '+open(d+'token').read()});\n"
        "try: u.urlopen(r, context=ssl.create_default_context(cafile=d+'ca.crt'))\n"
        "except u.HTTPError as e: print(e.read().decode())"
    )
    said = json.loads(place.exec("client-node-2", "python3", "-c", script))
    assert said["code"] == 403
    assert "system:serviceaccount:across:default" in said["message"]


def test_a_killed_node_process_comes_back_and_adopts_its_containers(place: Namespace, nodes: Cluster) -> None:
    path = "{.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}"
    before = place.field("pod/web-node-2", path)
    component = nodes.component("node-2")
    restarts = component["restarts"] + 1
    os.kill(component["pid"], signal.SIGKILL)
    address = place.field("pod/web-node-2", "{.status.podIP}")
    assert _fetch(place, "client-node-1", f"http://{address}:8000/") == {"node-2"}
    eventually(lambda: _ready(nodes.component("node-2"), restarts))
    assert "SIGKILL" in nodes.component("node-2")["last_exit"]
    assert place.shell("web-node-2", "cat /tmp/index.html") == "node-2"
    assert place.field("pod/web-node-2", path) == before


def _ready(component: dict[str, Any], restarts: int) -> bool:
    return component["state"] == "ready" and component["restarts"] == restarts
