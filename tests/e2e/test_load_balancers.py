"""Services of type LoadBalancer on three nodes and a neighbour on their network, who has nothing but ARP to find them.

A cluster of its own, started by `kijabi up --nodes 3`; that it leaves nothing behind is checked at its end.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from kijabi.api.core.balancing import ANNOUNCED_BY
from kijabi.cmd.addresses import layout
from tests.e2e.conftest import fresh_cluster
from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = pytest.mark.e2e

PORT = 17446
NEIGHBOUR = "kijabi-e2e-lan"
# Says which node it is on, and who asked.
SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{os.environ['NODE']} {self.client_address[0]}".encode())
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def cluster3(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    yield from fresh_cluster(request, PORT, "--nodes", "3")


class Neighbour:
    """A machine on the nodes' network that is no node: a network namespace with a cable to their bridge."""

    def __init__(self, cluster: Cluster) -> None:
        plan = layout(cluster.config)
        assert plan is not None
        self.address = str(ipaddress.ip_address(plan.address) + 4)
        ip(f"netns add {NEIGHBOUR}")
        ip(f"link add kijabi-e2e-lan type veth peer name eth0 netns {NEIGHBOUR}")
        ip(f"link set kijabi-e2e-lan master {plan.bridge} up")
        ip(f"-n {NEIGHBOUR} address add {self.address}/{plan.prefix} dev eth0")
        ip(f"-n {NEIGHBOUR} link set eth0 up")

    def remove(self) -> None:
        ip(f"netns delete {NEIGHBOUR}")

    def ask(self, address: str, port: int = 80) -> str:
        """What a server says to it, or nothing."""
        line = ["ip", "netns", "exec", NEIGHBOUR, "curl", "-s", "--max-time", "3", f"http://{address}:{port}/"]
        return subprocess.run(line, capture_output=True, text=True, timeout=30).stdout

    def hardware(self, address: str) -> str:
        """Whom it believes to have an address."""
        found = ip(f"-n {NEIGHBOUR} neigh show {address}").split()
        return found[found.index("lladdr") + 1] if "lladdr" in found else ""


def ip(command: str) -> str:
    return subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def neighbour(cluster3: Cluster) -> Iterator[Neighbour]:
    made = Neighbour(cluster3)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def place(cluster3: Cluster) -> Iterator[Namespace]:
    """A namespace with a server on every node."""
    made = Namespace(cluster3, "balanced")
    cluster3.kubectl("create", "namespace", made.name)
    made.has_account()
    made.apply(_servers())
    made.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    yield made
    cluster3.kubectl("delete", "namespace", made.name, "--timeout=80s")


def _servers() -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "python:3.11",
        "command": ["python3", "-c", SERVER],
        "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
    }
    apart = {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}}
    pod = {"affinity": affinity, "terminationGracePeriodSeconds": 1, "containers": [container]}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod}
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def expose(place: Namespace, name: str, *arguments: str) -> str:
    """`kubectl expose`, and the address that `kubectl get` shows then."""
    place.kubectl(
        "expose", "deployment", "web", f"--name={name}", "--type=LoadBalancer", "--port=80", "--target-port=8000",
        *arguments,
    )  # fmt: skip
    path = "{.status.loadBalancer.ingress[0].ip}"
    address = eventually(lambda: place.field(f"service/{name}", path))
    assert place.kubectl("get", "service", name, "--no-headers").split()[3] == address
    return address


def announcer(place: Namespace, name: str) -> str:
    annotations = place.get(f"service/{name}")["metadata"].get("annotations", {})
    return str(annotations.get(ANNOUNCED_BY, ""))


def test_a_service_is_reached_from_the_machine_and_by_a_neighbour(
    cluster3: Cluster, place: Namespace, neighbour: Neighbour
) -> None:
    address = expose(place, "first")
    network = ipaddress.ip_network(cluster3.config.node_cidr)
    assert ipaddress.ip_address(address) in network
    nodes = {"node-1", "node-2", "node-3"}
    assert announcer(place, "first") in nodes
    assert eventually(lambda: cluster3.run_here("curl", "-s", "--max-time", "3", f"http://{address}/")).split()[0] in nodes
    assert eventually(partial(neighbour.ask, address)).split()[0] in nodes
    assert neighbour.hardware(address)
    second = expose(place, "second")
    assert second != address
    assert eventually(partial(neighbour.ask, second)).split()[0] in nodes

    place.kubectl("delete", "service", "first")
    assert eventually(lambda: neighbour.ask(address) == "")
    third = expose(place, "third")
    assert third == address
    assert eventually(partial(neighbour.ask, third)).split()[0] in nodes
    place.kubectl("delete", "service", "second", "third")
