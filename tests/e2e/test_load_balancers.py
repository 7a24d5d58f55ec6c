"""Services of type LoadBalancer on three nodes and a neighbour on their network, who has nothing but ARP to find them.

A cluster of its own, started by `kijabi up --nodes 3`; that it leaves nothing behind is checked at its end.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from kijabi.api.core.balancing import ANNOUNCED_BY, WANTED
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

    def hears(self, address: str, wanted: str) -> bool:
        """AssertionError, with what it heard from whom, if that is something else."""
        said = self.ask(address)
        assert said == wanted, (said, wanted, self.hardware(address), ip("-brief link"))
        return True

    def refused(self, address: str, port: int) -> bool:
        """Whether an address says at once that nobody is there (curl's exit code for that is 7)."""
        line = ["ip", "netns", "exec", NEIGHBOUR, "curl", "-s", "--max-time", "2", f"http://{address}:{port}/"]
        return subprocess.run(line, capture_output=True, timeout=30).returncode == 7

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


def _servers(replicas: int = 3) -> dict[str, Any]:
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
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
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
    assert (
        eventually(lambda: cluster3.run_here("curl", "-s", "--max-time", "3", f"http://{address}/")).split()[0] in nodes
    )
    assert eventually(partial(neighbour.ask, address)).split()[0] in nodes
    assert neighbour.hardware(address)
    second = expose(place, "second")
    assert second != address
    assert eventually(partial(neighbour.ask, second)).split()[0] in nodes

    assert neighbour.refused(second, 81), "other ports are refused, not lost"
    place.kubectl("delete", "service", "first")
    assert eventually(lambda: neighbour.ask(address) == "")
    third = expose(place, "third")
    assert third == address
    assert eventually(partial(neighbour.ask, third)).split()[0] in nodes
    place.kubectl("delete", "service", "second", "third")


def local(place: Namespace, name: str) -> None:
    place.kubectl("patch", "service", name, "-p", '{"spec":{"externalTrafficPolicy":"Local"}}')


def test_local_traffic_keeps_its_source_and_goes_where_the_pods_are(
    cluster3: Cluster, place: Namespace, neighbour: Neighbour
) -> None:
    address = expose(place, "near")
    assert neighbour.ask(address).split()[1] != neighbour.address, "by default the node stands between"
    local(place, "near")
    node = "node-2"  # its packets cross the bridge of node-1, which must not meddle with them
    (kept,) = (
        p["metadata"]["name"] for p in place.get("pods", "-l", "app=web")["items"] if p["spec"]["nodeName"] == node
    )
    place.kubectl("annotate", "pod", kept, "controller.kubernetes.io/pod-deletion-cost=100")
    place.kubectl("scale", "deployment", "web", "--replicas=1")
    (pod,) = eventually(lambda: one_pod(place))
    assert pod["metadata"]["name"] == kept
    eventually(lambda: announcer(place, "near") == node)
    assert eventually(lambda: neighbour.hears(address, f"{node} {neighbour.address}"), seconds=30)
    here = cluster3.run_here("curl", "-s", "--max-time", "3", f"http://{address}/")
    assert here.split()[0] == node, "who asks from within the cluster reaches it wherever it is"

    port = place.get("service/near")["spec"]["healthCheckNodePort"]
    for name in ("node-1", "node-2", "node-3"):
        link = layout(cluster3.config).node(name)  # type: ignore[union-attr]
        line = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %header{x-load-balancing-endpoint-weight}"]
        said = cluster3.run_here(*line, "--max-time", "3", f"http://{link.address}:{port}/healthz")
        assert said == ("200 1" if name == node else "503 0")
    place.kubectl("scale", "deployment", "web", "--replicas=3")
    place.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    place.kubectl("delete", "service", "near")


def one_pod(place: Namespace) -> list[dict[str, Any]]:
    pods = [pod for pod in place.get("pods", "-l", "app=web")["items"] if "deletionTimestamp" not in pod["metadata"]]
    return pods if len(pods) == 1 else []


def test_source_ranges_let_nobody_else_in(place: Namespace, neighbour: Neighbour) -> None:
    address = expose(place, "guarded")
    assert eventually(partial(neighbour.ask, address))
    ranges = '{"spec":{"loadBalancerSourceRanges":["192.0.2.0/24"]}}'
    place.kubectl("patch", "service", "guarded", "-p", ranges)
    assert eventually(lambda: neighbour.ask(address) == "")
    ranges = f'{{"spec":{{"loadBalancerSourceRanges":["{neighbour.address}/32"]}}}}'
    place.kubectl("patch", "service", "guarded", "-p", ranges)
    assert eventually(partial(neighbour.ask, address))
    place.kubectl("delete", "service", "guarded")


def test_an_address_can_be_asked_for_and_needs_no_node_ports(
    cluster3: Cluster, place: Namespace, neighbour: Neighbour
) -> None:
    wanted = str(ipaddress.ip_network(cluster3.config.node_cidr)[200])
    place.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "asked", "annotations": {WANTED: wanted}},
            "spec": {
                "type": "LoadBalancer",
                "allocateLoadBalancerNodePorts": False,
                "selector": {"app": "web"},
                "ports": [{"port": 80, "targetPort": 8000}],
            },
        }
    )
    assert eventually(lambda: place.field("service/asked", "{.status.loadBalancer.ingress[0].ip}")) == wanted
    assert "nodePort" not in place.get("service/asked")["spec"]["ports"][0]
    assert eventually(partial(neighbour.ask, wanted))
    place.kubectl("delete", "service", "asked")


def test_another_node_takes_over_for_one_that_is_cut_off(
    cluster3: Cluster, place: Namespace, neighbour: Neighbour
) -> None:
    """Its process is stopped, so it neither renews its lease nor answers; the neighbour must find another by itself."""
    for number in range(12):
        name = f"over-{number}"
        address = expose(place, name)
        first = eventually(partial(announcer, place, name))
        if first != "node-1":  # It has the machine's network, and with it the API server's.
            break
        place.kubectl("delete", "service", name)
    assert eventually(partial(neighbour.ask, address))
    hardware = neighbour.hardware(address)
    pid = cluster3.component(first)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        second = eventually(lambda: (now := announcer(place, name)) != first and now, seconds=120)
        assert second
        assert eventually(partial(neighbour.ask, address))
        assert neighbour.hardware(address) != hardware
    finally:
        os.kill(pid, signal.SIGCONT)
    cluster3.kubectl("wait", "--for=condition=Ready", f"node/{first}", "--timeout=60s")
    eventually(lambda: announcer(place, name) == first)
    assert eventually(lambda: neighbour.ask(address) and neighbour.hardware(address) == hardware)


def test_an_announcer_that_is_killed_answers_again(cluster3: Cluster, place: Namespace, neighbour: Neighbour) -> None:
    (service,) = [one["metadata"]["name"] for one in place.get("services")["items"]]
    address = place.field(f"service/{service}", "{.status.loadBalancer.ingress[0].ip}")
    node = announcer(place, service)
    cluster3.kill(node)
    ip(f"-n {NEIGHBOUR} neigh flush all")
    assert eventually(partial(neighbour.ask, address))
    assert announcer(place, service) == node


def test_a_cluster_of_one_node_is_reached_from_its_machine_and_its_pods(
    cluster: Cluster, namespace: Namespace, pod: Callable[..., str]
) -> None:
    """There is no network between nodes, and nobody to ask by ARP."""
    namespace.apply(_servers(1))
    namespace.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    address = expose(namespace, "alone")
    assert ipaddress.ip_address(address) in ipaddress.ip_network(cluster.config.balancer_cidr)
    line = ("curl", "-s", "--max-time", "3", f"http://{address}/")
    assert eventually(partial(cluster.run_here, *line)).startswith("node-1 ")
    client = pod("client", {"containers": [{"name": "main", "image": "python:3.11", "command": ["sleep", "infinity"]}]})
    ask = f"import urllib.request as u; print(u.urlopen('http://{address}/', timeout=3).read().decode())"
    assert eventually(lambda: namespace.exec(client, "python3", "-c", ask)).startswith("node-1 ")
    namespace.kubectl("delete", "service", "alone")
