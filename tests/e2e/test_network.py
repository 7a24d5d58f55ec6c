"""Services, DNS and node ports on real packets: what a pod and the machine see."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.test_pods import one
from tests.e2e.world import Cluster, Namespace, eventually

pytestmark = pytest.mark.e2e

Make = Callable[..., str]

# Answers TCP on 8000 and 8001 and UDP on 9000 with its name, its port and who asked.
SERVER = """
import os, signal, socket, socketserver, threading
name = os.environ["HOSTNAME"]
class Tcp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(f"{name} {self.server.server_address[1]} {self.client_address[0]}".encode())
class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(f"{name} udp {self.client_address[0]}".encode(), self.client_address)
socketserver.ThreadingTCPServer.allow_reuse_address = True
servers = [socketserver.ThreadingTCPServer(("", port), Tcp) for port in (8000, 8001)]
for server in [*servers, socketserver.ThreadingUDPServer(("", 9000), Udp)]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
signal.sigwait([signal.SIGTERM])
if os.environ.get("LINGER"): signal.sigtimedwait([signal.SIGINT], float(os.environ["LINGER"]))
"""

# ask(kind, host, port, times): what came back, or why not. Run in a pod by `ask`.
CLIENT = """
import json, socket, sys
kind, host, port, times = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
answers = []
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(2)
for _ in range(times):
    try:
        if kind == "tcp":
            with socket.create_connection((host, port), timeout=2) as link:
                answers.append(link.recv(100).decode())
        else:
            udp.connect((host, port))
            udp.send(b"?")
            answers.append(udp.recv(100).decode())
    except OSError as error:
        answers.append(type(error).__name__)
print(json.dumps(answers))
"""

# A resolver in a few lines: python3 -c RESOLVER type name → sorted data of the answers, or the error code.
RESOLVER = """
import json, re, socket, struct, sys
TYPES = {"A": 1, "CNAME": 5, "PTR": 12, "AAAA": 28, "SRV": 33}
kind, name = sys.argv[1:]
server = re.search(r"nameserver (\\S+)", open("/etc/resolv.conf").read()).group(1)
wire = lambda name: b"".join(bytes([len(p)]) + p.encode() for p in name.strip(".").split(".")) + b"\\0"
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
link.settimeout(3)
link.sendto(struct.pack("!6H", 7, 256, 1, 0, 0, 0) + wire(name) + struct.pack("!2H", TYPES[kind], 1), (server, 53))
data = link.recv(4096)
def read(at):
    parts, end = [], None
    while data[at]:
        if data[at] >= 192:
            end = end or at + 2
            at = (data[at] & 63) << 8 | data[at + 1]
        else:
            parts.append(data[at + 1:at + 1 + data[at]].decode()); at += 1 + data[at]
    return ".".join(parts), end or at + 1
code, count = data[3] & 15, struct.unpack("!H", data[6:8])[0]
at = read(12)[1] + 4
found = []
for _ in range(count):
    at = read(at)[1]
    rtype, _, _, size = struct.unpack("!2HIH", data[at:at + 10]); at += 10
    if rtype == 1: found.append(".".join(map(str, data[at:at + 4])))
    elif rtype in (5, 12): found.append(read(at)[0])
    elif rtype == 33: found.append("%d %d %d %s" % (*struct.unpack("!3H", data[at:at + 6]), read(at + 6)[0]))
    at += size
print(json.dumps(sorted(found) if not code else {2: "SERVFAIL", 3: "NXDOMAIN"}.get(code, code)))
"""


class Net:
    """A namespace with two servers behind Services, and a client."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace

    def service(self, name: str, **spec: Any) -> dict[str, Any]:
        """Make a Service over the servers and give it as it became."""
        ports = [
            {"name": "one", "port": 80, "targetPort": 8000},
            {"name": "two", "port": 81, "targetPort": "second"},
            {"name": "datagrams", "port": 90, "targetPort": 9000, "protocol": "UDP"},
        ]
        spec = {"selector": {"role": "server"}, "ports": ports, **spec}
        self.namespace.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
        return dict(self.namespace.get("service", name))

    def ask(self, host: str, port: int, *, kind: str = "tcp", times: int = 1, pod: str = "client") -> list[str]:
        return list(json.loads(self.namespace.exec(pod, "python3", "-c", CLIENT, kind, host, str(port), str(times))))

    def resolve(self, kind: str, name: str) -> Any:
        return json.loads(self.namespace.exec("client", "python3", "-c", RESOLVER, kind, name))

    def address(self, pod: str) -> str:
        return self.namespace.field(f"pod/{pod}", "{.status.podIP}")


def server(name: str, **more: Any) -> dict[str, Any]:
    ports = [{"containerPort": 8000}, {"name": "second", "containerPort": 8001}]
    spec = one(image="python:3.11", ports=ports, readinessProbe={"tcpSocket": {"port": 8000}, "periodSeconds": 1})
    spec["containers"][0]["command"] = ["python3", "-c", SERVER]
    meta = {"name": name, "labels": {"role": "server"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**spec, **more}}


@pytest.fixture(scope="module")
def net(namespace: Namespace) -> Net:
    client = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "client"}, "spec": one(image="python:3.11")}
    subdomain = {"hostname": "first", "subdomain": "headless"}
    namespace.apply(server("server-1", **subdomain), server("server-2"), client)
    namespace.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    return Net(namespace)


def who(answers: list[str]) -> set[str]:
    return {answer.split()[0] for answer in answers}


BOTH = {"first", "server-2"}  # their host names


def test_cluster_ip_with_many_ports_tcp_and_udp(net: Net) -> None:
    address = net.service("many")["spec"]["clusterIP"]
    eventually(lambda: who(net.ask(address, 80, times=30)) == BOTH)
    assert {answer.split()[1] for answer in net.ask(address, 81, times=5)} == {"8001"}
    eventually(lambda: net.ask(address, 90, kind="udp")[0].split()[1] == "udp")
    assert net.ask(address, 82) == ["ConnectionRefusedError"]  # a port that the Service does not have


def test_the_client_s_address_is_kept_inside_the_cluster(net: Net) -> None:
    address = net.service("many")["spec"]["clusterIP"]
    assert {answer.split()[2] for answer in net.ask(address, 80, times=5)} == {net.address("client")}


def test_hairpin(net: Net) -> None:
    net.namespace.apply({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "self"},
        "spec": {"selector": {"alone": "yes"}, "ports": [{"port": 80, "targetPort": 8000}]},
    })  # fmt: skip
    net.namespace.kubectl("label", "pod", "server-1", "alone=yes")
    address = net.namespace.field("service/self", "{.spec.clusterIP}")
    eventually(lambda: who(net.ask(address, 80, pod="server-1")) == {"first"})


def test_node_port_from_the_machine_and_from_a_pod(net: Net, cluster: Cluster) -> None:
    made = net.service("nodeport", type="NodePort")
    port = made["spec"]["ports"][0]["nodePort"]
    node = cluster.get("node", "node-1")["status"]["addresses"][0]["address"]
    eventually(lambda: who(net.ask(node, port, times=20)) == BOTH)
    for host in ("127.0.0.1", node):
        found = cluster.run_here("curl", "-s", "--http0.9", "--max-time", "3", f"http://{host}:{port}/")
        assert "8000" in found, host


def test_external_traffic_policy_local_keeps_the_client_s_address(net: Net, cluster: Cluster) -> None:
    made = net.service("local", type="NodePort", externalTrafficPolicy="Local")
    node = cluster.get("node", "node-1")["status"]["addresses"][0]["address"]
    port = made["spec"]["ports"][0]["nodePort"]
    eventually(lambda: who(net.ask(node, port, times=10)) <= BOTH)
    assert {answer.split()[2] for answer in net.ask(node, port, times=5)} == {net.address("client")}


def test_session_affinity_stays_with_one(net: Net) -> None:
    address = net.service("sticky", sessionAffinity="ClientIP")["spec"]["clusterIP"]
    eventually(lambda: who(net.ask(address, 80)) <= BOTH)
    assert len(who(net.ask(address, 80, times=30))) == 1


def test_no_endpoints_means_refused(net: Net) -> None:
    address = net.service("nobody", selector={"role": "nobody"})["spec"]["clusterIP"]
    eventually(lambda: net.ask(address, 80) == ["ConnectionRefusedError"])
    assert net.ask(address, 90, kind="udp") == ["ConnectionRefusedError"]


def test_endpoints_by_hand(net: Net) -> None:
    net.namespace.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "manual"}, "spec": {"ports": [{"port": 80}]}},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "manual-1", "labels": {"kubernetes.io/service-name": "manual"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [net.address("server-2")]}],
            "ports": [{"port": 8001}],
        },
    )
    address = net.namespace.field("service/manual", "{.spec.clusterIP}")
    eventually(lambda: net.ask(address, 80)[0].startswith("server-2 8001"))


def test_a_deleted_udp_backend_is_forgotten_at_once(net: Net) -> None:
    """Without a flush of conntrack, datagrams of one socket would go to the dead address for minutes."""
    net.namespace.apply(server("short-lived"))
    net.namespace.kubectl("wait", "--for=condition=Ready", "pod/short-lived", "--timeout=60s")
    net.namespace.kubectl("label", "pod", "short-lived", "--overwrite", "role=udp")
    address = net.service("flows", selector={"role": "udp"})["spec"]["clusterIP"]
    script = """
import socket, sys, time
link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); link.settimeout(0.5); link.connect((sys.argv[1], 90))
end, seen = time.monotonic() + 40, []
while time.monotonic() < end:
    try:
        link.send(b"?"); name = link.recv(99).decode().split()[0]
    except OSError: name = ""
    if name and name not in seen: seen.append(name); print(name, flush=True)
    if len(seen) == 2: break
    time.sleep(0.05)
"""
    eventually(lambda: who(net.ask(address, 90, kind="udp")) == {"short-lived"})
    command = ("-n", net.namespace.name, "exec", "client", "--", "python3", "-c", script, address)
    running = net.namespace.cluster.start(*command)
    assert running.stdout is not None
    assert running.stdout.readline().strip() == "short-lived"
    net.namespace.kubectl("label", "pod", "server-2", "--overwrite", "role=udp")
    net.namespace.kubectl("delete", "pod", "short-lived", "--wait=false")
    assert running.stdout.readline().strip() == "server-2"
    running.wait(60)
    net.namespace.kubectl("label", "pod", "server-2", "--overwrite", "role=server")


def test_a_terminating_pod_gets_no_new_connections(net: Net) -> None:
    lingering = server("lingers", terminationGracePeriodSeconds=8)
    lingering["spec"]["containers"][0]["env"] = [{"name": "LINGER", "value": "6"}]
    net.namespace.apply(lingering)
    net.namespace.kubectl("wait", "--for=condition=Ready", "pod/lingers", "--timeout=60s")
    address = net.service("draining")["spec"]["clusterIP"]
    eventually(lambda: "lingers" in who(net.ask(address, 80, times=30)))
    net.namespace.kubectl("delete", "pod", "lingers", "--wait=false")
    eventually(lambda: "lingers" not in who(net.ask(address, 80, times=30)), seconds=5)
    path = "{.items[*].endpoints[?(@.targetRef.name=='lingers')].conditions}"
    label = "kubernetes.io/service-name=draining"
    found = net.namespace.kubectl("get", "endpointslice", "-l", label, "-o", f"jsonpath={path}")
    assert json.loads(found) == {"ready": False, "serving": True, "terminating": True}
    assert who(net.ask(net.address("lingers"), 8000)) == {"lingers"}  # it still serves whom it has


def test_dns_of_services(net: Net) -> None:
    zone = f"{net.namespace.name}.svc.cluster.local"
    address = net.service("many")["spec"]["clusterIP"]
    assert eventually(lambda: net.resolve("A", f"many.{zone}")) == [address]
    assert net.resolve("AAAA", f"many.{zone}") == []
    assert net.resolve("SRV", f"_one._tcp.many.{zone}") == [f"0 100 80 many.{zone}"]
    assert net.resolve("SRV", f"_datagrams._udp.many.{zone}") == [f"0 100 90 many.{zone}"]
    backwards = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    assert net.resolve("PTR", backwards) == [f"many.{zone}"]
    assert net.resolve("A", f"nothing.{zone}") == "NXDOMAIN"


def test_dns_of_headless_services_and_their_pods(net: Net) -> None:
    zone = f"{net.namespace.name}.svc.cluster.local"
    net.service("headless", clusterIP="None")
    addresses = sorted((net.address("server-1"), net.address("server-2")))
    eventually(lambda: net.resolve("A", f"headless.{zone}") == addresses)
    assert net.resolve("A", f"first.headless.{zone}") == [net.address("server-1")]
    targets = net.resolve("SRV", f"_one._tcp.headless.{zone}")
    assert f"8000 first.headless.{zone}" in " ".join(targets)
    assert len(targets) == 2
    dashed = net.address("client").replace(".", "-")
    assert net.resolve("A", f"{dashed}.{net.namespace.name}.pod.cluster.local") == [net.address("client")]


def test_external_name(net: Net) -> None:
    spec = {"type": "ExternalName", "externalName": "elsewhere.example.org"}
    net.namespace.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "outside"}, "spec": spec})
    name = f"outside.{net.namespace.name}.svc.cluster.local"
    eventually(lambda: "elsewhere.example.org" in str(net.resolve("CNAME", name)))


def test_search_path_and_kubernetes_service(net: Net) -> None:
    script = "import socket; print(socket.gethostbyname('many'), socket.gethostbyname('kubernetes.default'))"
    found = net.namespace.exec("client", "python3", "-c", script).split()
    assert found[0] == net.namespace.field("service/many", "{.spec.clusterIP}")
    assert re.fullmatch(r"10\.\d+\.0\.1", found[1])


def test_port_forward_to_a_pod(net: Net) -> None:
    forward = net.namespace.cluster.start("-n", net.namespace.name, "port-forward", "pod/server-2", "18123:8000")
    try:
        assert forward.stdout is not None
        assert "Forwarding" in forward.stdout.readline()
        found = net.namespace.cluster.run_here("curl", "-s", "--http0.9", "--max-time", "5", "http://127.0.0.1:18123/")
        assert found.startswith("server-2 8000")
    finally:
        forward.terminate()
        forward.wait(10)
