"""The records of Services and pods, by the examples of the Kubernetes DNS specification."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.dns.records import EMPTY, NOTHING, Records, service_records

DOMAIN = "cluster.local"


def service(name: str, **spec: Any) -> Service:
    return codec.from_builtins(Service, {"metadata": {"name": name, "namespace": "ns"}, "spec": spec})


def slice_(*endpoints: dict[str, Any]) -> EndpointSlice:
    content = {
        "addressType": "IPv4",
        "ports": [{"name": "https", "port": 443, "protocol": "TCP"}],
        "endpoints": list(endpoints),
    }
    return codec.from_builtins(EndpointSlice, content)


@pytest.fixture
def records() -> Records:
    zone = Records(DOMAIN)
    ports = [{"name": "https", "port": 443, "protocol": "TCP"}]
    web = service("web", clusterIP="10.96.0.7", clusterIPs=["10.96.0.7"], ports=ports)
    db = service("db", clusterIP="None", ports=ports)
    out = service("out", type="ExternalName", externalName="www.example.org")
    members = slice_(
        {"addresses": ["10.244.1.5"], "hostname": "db-0", "conditions": {"ready": True}},
        {"addresses": ["10.244.2.6"], "conditions": {"ready": True}},
        {"addresses": ["10.244.3.7"], "conditions": {"ready": False}},
    )
    zone.set_service("ns/web", service_records(web, [], DOMAIN))
    zone.set_service("ns/db", service_records(db, [members], DOMAIN))
    zone.set_service("ns/out", service_records(out, [], DOMAIN))
    return zone


def data(zone: Records, name: str, type_: str) -> list[str]:
    return [record.data for record in zone.lookup(name, type_).records]


def test_cluster_ip(records: Records) -> None:
    assert data(records, "web.ns.svc.cluster.local", "A") == ["10.96.0.7"]
    assert data(records, "7.0.96.10.in-addr.arpa", "PTR") == ["web.ns.svc.cluster.local."]
    answer = records.lookup("_https._tcp.web.ns.svc.cluster.local", "SRV")
    assert [r.data for r in answer.records] == ["0 100 443 web.ns.svc.cluster.local."]
    assert [r.data for r in answer.extra] == ["10.96.0.7"]


def test_headless(records: Records) -> None:
    assert data(records, "db.ns.svc.cluster.local", "A") == ["10.244.1.5", "10.244.2.6"]
    assert data(records, "db-0.db.ns.svc.cluster.local", "A") == ["10.244.1.5"]
    assert data(records, "10-244-2-6.db.ns.svc.cluster.local", "A") == ["10.244.2.6"]
    assert data(records, "_https._tcp.db.ns.svc.cluster.local", "SRV") == [
        "0 100 443 db-0.db.ns.svc.cluster.local.",
        "0 100 443 10-244-2-6.db.ns.svc.cluster.local.",
    ]
    assert data(records, "5.1.244.10.in-addr.arpa", "PTR") == ["db-0.db.ns.svc.cluster.local."]


def test_external_name(records: Records) -> None:
    assert data(records, "out.ns.svc.cluster.local", "A") == ["www.example.org."]


def test_pod_records(records: Records) -> None:
    assert data(records, "10-244-1-5.ns.pod.cluster.local", "A") == ["10.244.1.5"]
    assert records.lookup("nonsense.ns.pod.cluster.local", "A") == NOTHING


def test_version(records: Records) -> None:
    assert data(records, "dns-version.cluster.local", "TXT") == ['"1.1.0"']


@pytest.mark.parametrize("name", ["cluster.local", "svc.cluster.local", "ns.svc.cluster.local"])
def test_names_in_between_exist_without_records(records: Records, name: str) -> None:
    assert records.lookup(name, "A") == EMPTY


def test_no_ipv6_is_not_no_name(records: Records) -> None:
    assert records.lookup("web.ns.svc.cluster.local", "AAAA") == EMPTY
    assert records.lookup("nobody.ns.svc.cluster.local", "A") == NOTHING


def test_removal_leaves_nothing(records: Records) -> None:
    for key in ("ns/web", "ns/db", "ns/out"):
        records.remove_service(key)
    assert records.lookup("ns.svc.cluster.local", "A") == NOTHING
    assert not records.covers("7.0.96.10.in-addr.arpa")
    assert records.lookup("svc.cluster.local", "A") == EMPTY


def test_covers(records: Records) -> None:
    assert records.covers("web.ns.svc.cluster.local")
    assert records.covers("7.0.96.10.in-addr.arpa")
    assert not records.covers("8.8.8.8.in-addr.arpa")
    assert not records.covers("example.org")
