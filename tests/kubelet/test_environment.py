"""Environment, downward API, resolver and hosts file."""

from __future__ import annotations

import pytest

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.env import (
    ConfigMapEnvSource,
    ConfigMapKeySelector,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    ObjectFieldSelector,
    ResourceFieldSelector,
    SecretEnvSource,
    SecretKeySelector,
)
from kijabi.api.core.pod import HostAlias, Pod, PodDNSConfig, PodDNSConfigOption
from kijabi.api.core.secret import Secret
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.meta import ObjectMeta
from kijabi.api.quantity import Quantity
from kijabi.kubelet import dns, downward
from kijabi.kubelet.downward import Facts
from kijabi.kubelet.env import environment, expand, service_variables
from kijabi.kubelet.problems import ConfigProblem
from tests.kubelet.things import c, needs, pod

MAPS = {"cm": ConfigMap(data={"A": "1", "b": "2"})}
SECRETS = {"s": Secret(data={"P": b"word"})}
FACTS = Facts(pod_ips=("10.0.0.1", "fd::1"), host_ips=("192.168.0.1",), allocatable={"cpu": Quantity("4")})


def env(
    *variables: EnvVar, sources: tuple[EnvFromSource, ...] = (), services: dict[str, str] | None = None
) -> dict[str, str]:
    container = c(env=variables, envFrom=sources, resources=needs({"cpu": "250m", "memory": "64Mi"}))
    return environment(pod(container), container, services or {}, MAPS.get, SECRETS.get, FACTS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)-$(B)", "1-2"),
        ("$(NO)", "$(NO)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A", "$A"),
        ("$(A", "$(A"),
        ("a$", "a$"),
        ("$()", "$()"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


def test_order_and_precedence() -> None:
    found = env(
        EnvVar(name="A", value="own"),
        EnvVar(name="C", value="$(A) $(b) $(X) $(D)"),
        EnvVar(name="D", value="late"),
        sources=(EnvFromSource(configMapRef=ConfigMapEnvSource(name="cm")),),
        services={"X": "svc", "A": "not this"},
    )
    assert found == {"A": "own", "b": "2", "C": "own 2 svc $(D)", "D": "late", "X": "svc"}


def test_sources() -> None:
    found = env(
        EnvVar(name="K", valueFrom=EnvVarSource(configMapKeyRef=ConfigMapKeySelector(name="cm", key="A"))),
        EnvVar(name="S", valueFrom=EnvVarSource(secretKeyRef=SecretKeySelector(name="s", key="P"))),
        EnvVar(name="N", valueFrom=EnvVarSource(fieldRef=ObjectFieldSelector(fieldPath="metadata.name"))),
        EnvVar(name="IP", valueFrom=EnvVarSource(fieldRef=ObjectFieldSelector(fieldPath="status.podIPs"))),
        EnvVar(name="CPU", valueFrom=EnvVarSource(resourceFieldRef=ResourceFieldSelector(resource="requests.cpu"))),
        EnvVar(name="L", valueFrom=EnvVarSource(resourceFieldRef=ResourceFieldSelector(resource="limits.cpu"))),
        EnvVar(
            name="O", valueFrom=EnvVarSource(configMapKeyRef=ConfigMapKeySelector(name="no", key="x", optional=True))
        ),
        sources=(
            EnvFromSource(prefix="p_", secretRef=SecretEnvSource(name="s")),
            EnvFromSource(configMapRef=ConfigMapEnvSource(name="no", optional=True)),
        ),
    )
    assert found == {
        "p_P": "word", "K": "1", "S": "word", "N": "web", "IP": "10.0.0.1,fd::1", "CPU": "1", "L": "4",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (EnvVarSource(configMapKeyRef=ConfigMapKeySelector(name="no", key="x")), 'configmap "no" not found'),
        (EnvVarSource(secretKeyRef=SecretKeySelector(name="no", key="x")), 'secret "no" not found'),
        (
            EnvVarSource(configMapKeyRef=ConfigMapKeySelector(name="cm", key="x")),
            "couldn't find key x in ConfigMap ns/cm",
        ),
        (EnvVarSource(secretKeyRef=SecretKeySelector(name="s", key="x")), "couldn't find key x in Secret ns/s"),
        (EnvVarSource(fieldRef=ObjectFieldSelector(fieldPath="spec.bad")), "unsupported fieldPath: spec.bad"),
    ],
)
def test_what_is_missing(source: EnvVarSource, text: str) -> None:
    with pytest.raises(ConfigProblem) as caught:
        env(EnvVar(name="X", valueFrom=source))
    assert str(caught.value) == text


def service(
    name: str, ip: str, namespace: str = "ns", ports: tuple[ServicePort, ...] = (ServicePort(port=80),)
) -> Service:
    return Service(metadata=ObjectMeta(name=name, namespace=namespace), spec=ServiceSpec(clusterIP=ip, ports=ports))


def test_service_variables() -> None:
    services = (
        service("kubernetes", "10.96.0.1", "default", (ServicePort(name="https", port=443),)),
        service(
            "my-db",
            "10.96.0.7",
            ports=(ServicePort(name="pg", port=5432), ServicePort(name="m", port=9, protocol="UDP")),
        ),
        service("headless", "None"),
        service("elsewhere", "10.96.0.9", "other"),
    )
    found = service_variables(services, "ns", True)
    assert found["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert found["KUBERNETES_SERVICE_PORT_HTTPS"] == "443"
    assert found["MY_DB_SERVICE_PORT"] == "5432"
    assert found["MY_DB_SERVICE_PORT_M"] == "9"
    assert found["MY_DB_PORT"] == "tcp://10.96.0.7:5432"
    assert found["MY_DB_PORT_9_UDP"] == "udp://10.96.0.7:9"
    assert not any(name.startswith(("HEADLESS", "ELSEWHERE")) for name in found)
    assert set(service_variables(services, "ns", False)) == {n for n in found if n.startswith("KUBERNETES")}


@pytest.mark.parametrize(
    ("resource", "divisor", "expected"),
    [
        ("requests.cpu", "0", "1"),
        ("requests.cpu", "1m", "250"),
        ("requests.memory", "1", "67108864"),
        ("requests.memory", "1Mi", "64"),
        ("requests.memory", "1G", "1"),
        ("limits.memory", "1Mi", "0"),
    ],
)
def test_resources_are_divided_and_rounded_up(resource: str, divisor: str, expected: str) -> None:
    container = c(resources=needs({"cpu": "250m", "memory": "64Mi"}))
    selector = ResourceFieldSelector(resource=resource, divisor=Quantity(divisor))
    assert downward.resource(selector, pod(container), container, FACTS) == expected


def test_labels_as_text() -> None:
    given = pod(meta={"labels": {"b": 'say "hi"', "a": "1"}, "annotations": {"k/x": "v"}})
    assert downward.field(ObjectFieldSelector(fieldPath="metadata.labels"), given, FACTS) == 'a="1"\nb="say \\"hi\\""'
    assert downward.field(ObjectFieldSelector(fieldPath="metadata.annotations['k/x']"), given, FACTS) == "v"
    assert downward.field(ObjectFieldSelector(fieldPath="metadata.labels['no']"), given, FACTS) == ""


HOST = dns.Resolver(("1.1.1.1",), ("corp.example",), ("timeout:2",))
CLUSTER = dns.Resolver(
    ("10.96.0.10",),
    ("ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example"),
    ("ndots:5",),
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (pod(dnsPolicy="ClusterFirst"), CLUSTER),
        (pod(dnsPolicy="ClusterFirst", hostNetwork=True), HOST),
        (pod(dnsPolicy="ClusterFirstWithHostNet", hostNetwork=True), CLUSTER),
        (pod(dnsPolicy="Default"), HOST),
        (pod(dnsPolicy="None", dnsConfig=PodDNSConfig(nameservers=("9.9.9.9",))), dns.Resolver(("9.9.9.9",))),
        (
            pod(
                dnsPolicy="Default",
                dnsConfig=PodDNSConfig(
                    nameservers=("1.1.1.1", "2.2.2.2"),
                    searches=("x",),
                    options=(PodDNSConfigOption(name="timeout", value="9"), PodDNSConfigOption(name="edns0")),
                ),
            ),
            dns.Resolver(("1.1.1.1", "2.2.2.2"), ("corp.example", "x"), ("timeout:9", "edns0")),
        ),
    ],
)
def test_resolver(given: Pod, expected: dns.Resolver) -> None:
    assert dns.resolver(given, HOST, ("10.96.0.10",), "cluster.local") == (expected, ())


def test_resolver_limits() -> None:
    config = PodDNSConfig(nameservers=tuple(f"1.1.1.{i}" for i in range(5)), searches=tuple(f"s{i}" for i in range(40)))
    found, warnings = dns.resolver(pod(dnsPolicy="None", dnsConfig=config), HOST, (), "")
    assert len(found.servers) == 3
    assert len(found.searches) == 32
    assert len(warnings) == 2


def test_reading_resolv_conf() -> None:
    text = "# c\nnameserver 1.1.1.1\nsearch a. b .\nsearch corp.example\noptions timeout:2\nnameserver\n"
    assert dns.parse_resolv_conf(text) == HOST


def test_hosts_file() -> None:
    given = pod(hostname="h", subdomain="sub", hostAliases=(HostAlias(ip="1.2.3.4", hostnames=("x", "y")),))
    text = dns.hosts_file(given, ("10.0.0.1",), "cluster.local", "")
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert "10.0.0.1\th.sub.ns.svc.cluster.local\th\n" in text
    assert text.endswith("\n# Entries added by HostAliases.\n1.2.3.4\tx\ty\n")
    host = dns.hosts_file(pod(hostNetwork=True), ("192.168.0.1",), "cluster.local", "127.0.0.1 me\n")
    assert host == "# Kubernetes-managed hosts file (host network).\n127.0.0.1 me\n"


def test_host_names() -> None:
    given = pod(setHostnameAsFQDN=True, subdomain="sub")
    assert dns.sandbox_hostname(given, "cluster.local") == "web.sub.ns.svc.cluster.local"
    given.metadata.name = "a" * 62 + ".b"
    assert dns.host_name(given, "cluster.local")[0] == "a" * 62
