"""What the proxy does for load balancers: who may come, who means the node, what is refused, what health checks say."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from typing import Any

from kijabi.api import codec
from kijabi.api.core.balancing import ANNOUNCED_BY
from kijabi.api.core.service import Service
from kijabi.client.client import Client
from kijabi.client.events import Recorder
from kijabi.client.transport import Transport
from kijabi.proxy.announcer import addresses_of
from kijabi.proxy.arp import ETHERTYPE, REPLY, REQUEST, Packet, announcement, answer, read
from kijabi.proxy.health import Check, HealthPorts
from kijabi.proxy.links import parse_routes
from kijabi.proxy.rules import ruleset
from kijabi.proxy.services import Frontend, Here, frontends, health_port, local_endpoints
from tests.proxy.test_rules import READY, STOPPING, slice_

MAC, OTHER = b"\x0a\x58\xac\x1e\x00\x0b", b"\x02\xfc\x00\x00\x00\x01"
HERE, THERE = b"\xac\x1e\x00\x82", b"\xac\x1e\x00\x05"
BOTH = slice_(("10.244.1.2", "n1", READY), ("10.244.2.2", "n2", READY))


def balanced(annotations: dict[str, str] | None = None, mode: str = "VIP", **spec: Any) -> Service:
    ports = [{"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}]
    ingress = [{"ip": "172.30.0.130", "ipMode": mode}, {"ip": "fd00::1", "ipMode": mode}]
    content = {
        "metadata": {"name": "web", "namespace": "shop", "annotations": annotations or {}},
        "spec": {"clusterIP": "10.96.0.9", "type": "LoadBalancer", "ports": ports, **spec},
        "status": {"loadBalancer": {"ingress": ingress}},
    }
    return codec.from_builtins(Service, content)


def at(address: str, service: Service, node: str = "n1") -> list[Frontend]:
    return [frontend for frontend in frontends(service, [BOTH], Here(node)) if frontend.address == address]


def test_local_means_the_node_for_the_world_and_the_service_for_those_inside() -> None:
    service = balanced(externalTrafficPolicy="Local")
    for address in ("172.30.0.130", ""):
        (frontend,) = at(address, service)
        assert [backend.address for backend in frontend.backends] == ["10.244.1.2"]
        assert [backend.address for backend in frontend.inside] == ["10.244.1.2", "10.244.2.2"]
        assert (frontend.masquerade, frontend.refuse) == (False, "drop")
    (empty,) = at("172.30.0.130", service, "n3")
    assert (empty.backends, len(empty.inside)) == ((), 2)
    rules = ruleset([empty]).elements
    key = "172.30.0.130 . tcp . 80"
    assert rules["address-refused"] == {key: "drop"}
    assert rules["address-inside"] == {key: "goto address-pick-2-inside"}
    assert set(rules["address-backends"]) == {f"{key} . 32768", f"{key} . 32769"}
    (cluster,) = at("172.30.0.130", balanced(externalTrafficPolicy="Cluster"))
    assert (len(cluster.backends), cluster.inside, cluster.masquerade) == (2, (), True)


def test_source_ranges_guard_the_balancer_and_not_the_node_port() -> None:
    service = balanced(loadBalancerSourceRanges=["192.168.0.0/16", "10.1.2.3/32", "fd00::/8"])
    (outside,), (port,) = at("172.30.0.130", service), at("", service)
    assert outside.sources == ("10.1.2.3/32", "192.168.0.0/16")
    assert port.sources == ()
    rules = ruleset([outside, port])
    (guard,) = rules.elements["address-guarded"].items()
    assert guard[0] == "172.30.0.130 . tcp . 80"
    assert rules.chains[guard[1].removeprefix("goto ")] == ("ip saddr { 10.1.2.3/32, 192.168.0.0/16 } return", "drop")
    for everybody in (["0.0.0.0/0", "10.0.0.0/8"], ["fd00::/8"], []):
        assert at("172.30.0.130", balanced(loadBalancerSourceRanges=everybody))[0].sources == ()


def test_an_address_that_is_announced_has_nothing_but_its_service() -> None:
    (announced,) = at("172.30.0.130", balanced({ANNOUNCED_BY: "n2"}))
    (foreign,) = at("172.30.0.130", balanced())
    assert ruleset([announced]).elements["whole"] == {"172.30.0.130": ""}
    assert ruleset([foreign]).elements["whole"] == {}


def test_a_balancer_that_proxies_is_not_short_circuited() -> None:
    assert at("172.30.0.130", balanced(mode="Proxy")) == []


def test_health_checks_are_for_local_balancers() -> None:
    assert health_port(balanced(externalTrafficPolicy="Local", healthCheckNodePort=31000)) == 31000
    assert health_port(balanced(externalTrafficPolicy="Cluster", healthCheckNodePort=31000)) == 0
    slices = [slice_(("10.244.1.2", "n1", READY), ("10.244.1.3", "n1", STOPPING), ("10.244.2.2", "n2", READY))]
    assert [local_endpoints(slices, node) for node in ("n1", "n2", "n3")] == [1, 1, 0]


class Nobody(Transport):
    """A server that is never asked."""


async def test_a_health_port_answers_as_upstreams_does() -> None:
    recorder = Recorder(Client(Nobody()), "kube-proxy", "n1")  # type: ignore[abstract]
    healthy = True
    ports = HealthPorts("n1", recorder, lambda: healthy)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    await ports.sync({port: Check("shop", "web", "u", 2)})
    status, headers, text = await asyncio.to_thread(_ask, port)
    assert (status, headers["X-Load-Balancing-Endpoint-Weight"], headers["X-Content-Type-Options"]) == (
        200,
        "2",
        "nosniff",
    )
    assert text == (
        '{\n\t"service": {\n\t\t"namespace": "shop",\n\t\t"name": "web"\n\t},\n'
        '\t"localEndpoints": 2,\n\t"serviceProxyHealthy": true\n}'
    )
    await ports.sync({port: Check("shop", "web", "u", 0)})
    assert (await asyncio.to_thread(_ask, port))[0] == 503
    healthy = False
    await ports.sync({port: Check("shop", "web", "u", 1)})
    assert (await asyncio.to_thread(_ask, port))[0] == 503
    await ports.sync({})
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    await ports.close()


class Told(Recorder):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(Client(Nobody()), "kube-proxy", "n1")  # type: ignore[abstract]
        self.told: list[tuple[str, str]] = []

    def event(self, obj: Any, type: str, reason: str, message: str, *, field_path: str = "") -> None:
        self.told.append((reason, message))


async def test_a_health_port_that_somebody_has_is_told_once() -> None:
    recorder = Told()
    ports = HealthPorts("n1", recorder, lambda: True)
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        for endpoints in (1, 2):
            await ports.sync({port: Check("shop", "web", "u", endpoints)})
    ((reason, message),) = recorder.told
    assert reason == "FailedToStartServiceHealthcheck"
    assert message.startswith(f'node n1 failed to start healthcheck "shop/web" on port {port}: ')
    await ports.close()


def _ask(port: int) -> tuple[int, Any, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def test_arp_is_read_answered_and_announced() -> None:
    asked = b"\xff" * 6 + OTHER + ETHERTYPE.to_bytes(2) + b"\0\1\x08\0\6\4\0\1" + OTHER + THERE + b"\0" * 6 + HERE
    packet = read(asked + b"\0" * 18)
    assert packet == Packet(REQUEST, OTHER, THERE, b"\0" * 6, HERE)
    told = answer(packet, MAC)
    assert (told[:6], told[6:12]) == (OTHER, MAC)
    assert read(told) == Packet(REPLY, MAC, HERE, OTHER, THERE)
    for frame in announcement(HERE, MAC):
        assert frame[:6] == b"\xff" * 6
        found = read(frame)
        assert found is not None
        assert (found.sender, found.sender_address, found.target_address) == (MAC, HERE, HERE)
    assert read(asked[:-1]) is None
    assert read(asked.replace(b"\x08\x06", b"\x86\xdd", 1)) is None


def test_the_smallest_network_on_a_link_has_an_address() -> None:
    table = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
kin0\t80001EAC\t00000000\t0001\t0\t0\t0\t80FFFFFF\t0\t0\t0
eth0\t0001F40A\t0B001EAC\t0003\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
    found = [(str(network), name) for network, name in parse_routes(table)]
    assert found == [("172.30.0.128/25", "kin0"), ("192.168.1.0/24", "eth0")]


def test_a_node_announces_what_it_is_told_to() -> None:
    told = balanced({ANNOUNCED_BY: "n2"})
    assert addresses_of(told, "n2") == ("172.30.0.130",)
    assert addresses_of(told, "n1") == ()
