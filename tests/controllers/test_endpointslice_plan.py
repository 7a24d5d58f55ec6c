"""Slices: what an endpoint says, and that as few slices as possible change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kijabi.api.core.container import Container, ContainerPort
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodIP
from kijabi.api.core.service import Service, ServicePort
from kijabi.api.discovery.endpointslice import (
    EndpointConditions,
    EndpointHints,
    EndpointSlice,
    ForNode,
    ForZone,
)
from kijabi.api.meta import OwnerReference, Time
from kijabi.controllers import backends
from kijabi.controllers.endpointslice import MANAGER, MOST, Plan, plan
from tests.controllers.things import NOW, node, pod, service

NODES = {"n1": node("n1", zone="z1"), "n2": node("n2")}


def decide(svc: Service, pods: list[Pod], slices: list[EndpointSlice] | None = None, stamp: str = "") -> Plan:
    def node_of(name: str) -> Node | None:
        return NODES.get(name)

    return plan(svc, pods, node_of, slices or [], stamp)


def stored(todo: Plan, before: list[EndpointSlice] | None = None) -> list[EndpointSlice]:
    """The slices once the plan was carried out."""
    gone = {s.metadata.name for s in todo.delete}
    changed = {s.metadata.name: s for s in todo.update}
    kept = [changed.get(s.metadata.name, s) for s in before or [] if s.metadata.name not in gone]
    free = (f"s{n}" for n in range(1000) if f"s{n}" not in {s.metadata.name for s in kept})
    return kept + [replace(s, metadata=replace(s.metadata, name=next(free))) for s in todo.create]


def pods_of(count: int, start: int = 0) -> list[Pod]:
    return [pod(f"p{n:04}", ip=f"10.0.{n // 250}.{n % 250 + 1}") for n in range(start, start + count)]


def only(todo: Plan) -> EndpointSlice:
    assert (len(todo.create), todo.update, todo.delete) == (1, (), ())
    return todo.create[0]


def test_one_pod_one_slice() -> None:
    made = only(decide(service(), [pod("a")], stamp="2025-03-01T12:00:00Z"))
    assert made.metadata.generateName == "web-"
    assert made.metadata.labels == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": MANAGER,
    }
    assert made.metadata.annotations == {"endpoints.kubernetes.io/last-change-trigger-time": "2025-03-01T12:00:00Z"}
    assert made.metadata.ownerReferences == (
        OwnerReference(
            apiVersion="v1", kind="Service", name="web", uid="uid-web", controller=True, blockOwnerDeletion=True
        ),
    )
    assert made.addressType == "IPv4"
    assert [(p.name, p.protocol, p.port) for p in made.ports] == [("http", "TCP", 8080)]
    (endpoint,) = made.endpoints
    assert endpoint.addresses == ("10.0.0.1",)
    assert endpoint.conditions == EndpointConditions(ready=True, serving=True, terminating=False)
    assert (endpoint.nodeName, endpoint.zone, endpoint.hostname) == ("n1", "z1", None)
    assert endpoint.targetRef is not None
    assert (endpoint.targetRef.kind, endpoint.targetRef.name, endpoint.targetRef.uid) == ("Pod", "a", "uid-a")


@pytest.mark.parametrize(
    ("pod_is", "published", "conditions"),
    [
        ({}, False, (True, True, False)),
        ({"ready": None}, False, (False, False, False)),
        ({"ready": None}, True, (True, False, False)),
        ({"deleting": True}, False, (False, True, True)),
        ({"deleting": True, "ready": None}, False, (False, False, True)),
        ({"deleting": True}, True, (True, True, True)),
        ({"phase": "Succeeded"}, False, None),
        ({"ip": ""}, True, None),
        ({"node": "gone"}, False, None),
        ({"node": "gone"}, True, (True, True, False)),
        ({"node": ""}, False, None),
    ],
)
def test_conditions(pod_is: dict[str, Any], published: bool, conditions: tuple[bool, ...] | None) -> None:
    made = only(decide(service(publishNotReadyAddresses=published), [pod("a", **pod_is)]))
    got = [(e.conditions.ready, e.conditions.serving, e.conditions.terminating) for e in made.endpoints]
    assert got == ([conditions] if conditions else [])


def test_a_service_without_back_ends_keeps_one_empty_slice() -> None:
    empty = only(decide(service(), []))
    assert (empty.endpoints, empty.ports) == ((), ())
    (there,) = stored(decide(service(), []))
    assert decide(service(), [], [there]) == Plan()
    filled = decide(service(), [pod("a")], [there])
    assert [s.metadata.name for s in filled.update] == ["s0"], "it is filled rather than replaced"
    emptied = decide(service(), [], stored(filled, [there]))
    assert [s.metadata.name for s in emptied.update] == ["s0"]
    assert (emptied.update[0].endpoints, emptied.create, emptied.delete) == ((), (), ())


def test_headless_services() -> None:
    made = only(decide(service(clusterIP="None", ports=()), [pod("a", spec={"hostname": "h", "subdomain": "web"})]))
    assert made.metadata.labels["service.kubernetes.io/headless"] == ""
    assert (made.ports, made.endpoints[0].hostname) == ((), "h")
    other = only(decide(service(clusterIP="None"), [pod("a", spec={"hostname": "h", "subdomain": "db"})]))
    assert other.endpoints[0].hostname is None


def test_named_ports_may_differ_from_pod_to_pod() -> None:
    svc = service(ports=(ServicePort(name="http", protocol="TCP", port=80, targetPort="web"),))

    def listening(name: str, port: int, **where: Any) -> Pod:
        made = pod(name, ip=f"10.0.0.{port - 8000}")
        ports = (ContainerPort(name="web", containerPort=port, protocol="TCP"),)
        made.spec.containers = (Container(name="c", ports=ports, **where),)
        return made

    sidecar = pod("d", ip="10.0.0.9")
    sidecar.spec.initContainers = (
        Container(name="s", restartPolicy="Always", ports=(ContainerPort(name="web", containerPort=8001),)),
    )
    todo = decide(svc, [listening("a", 8001), listening("b", 8002), pod("c"), sidecar])
    found = {s.ports[0].port if s.ports else None: [e.addresses[0] for e in s.endpoints] for s in todo.create}
    assert found == {8001: ["10.0.0.1", "10.0.0.9"], 8002: ["10.0.0.2"], None: ["10.0.0.1"]}


def test_both_families() -> None:
    both = pod("a")
    both.status.podIPs = (PodIP(ip="10.0.0.1"), PodIP(ip="fd00::1"))
    todo = decide(service(ipFamilies=("IPv6", "IPv4")), [both, pod("b", ip="10.0.0.2")])
    found = {s.addressType: [e.addresses[0] for e in s.endpoints] for s in todo.create}
    assert found == {"IPv6": ["fd00::1"], "IPv4": ["10.0.0.1", "10.0.0.2"]}
    single = decide(service(), [both], stored(todo))
    assert [s.addressType for s in single.delete] == ["IPv6"]


def test_traffic_distribution_gives_hints() -> None:
    here, there = pod("a"), pod("b", node="n2", ip="10.0.0.2")
    near = only(decide(service(trafficDistribution="PreferClose"), [here, there]))
    assert [e.hints for e in near.endpoints] == [EndpointHints(forZones=(ForZone(name="z1"),)), None]
    same = only(decide(service(trafficDistribution="PreferSameNode"), [here]))
    assert same.endpoints[0].hints == EndpointHints(forZones=(ForZone(name="z1"),), forNodes=(ForNode(name="n1"),))


def test_many_pods_fill_slices_of_a_hundred() -> None:
    slices = stored(decide(service(), pods_of(250)))
    assert [len(s.endpoints) for s in slices] == [100, 100, 50]
    assert decide(service(), pods_of(250), slices) == Plan()


def test_one_pod_more_touches_one_slice() -> None:
    slices = stored(decide(service(), pods_of(250)))
    todo = decide(service(), pods_of(251), slices)
    assert [(s.metadata.name, len(s.endpoints)) for s in todo.update] == [("s2", 51)]
    assert (todo.create, todo.delete) == ((), ())


def test_a_replaced_pod_takes_the_place_of_the_old() -> None:
    slices = stored(decide(service(), pods_of(250)))
    todo = decide(service(), pods_of(250, start=1), slices)
    assert [(s.metadata.name, len(s.endpoints)) for s in todo.update] == [("s0", 100)]


def test_readiness_changes_in_place() -> None:
    pods = pods_of(150)
    slices = stored(decide(service(), pods))
    pods[120] = replace(pods[120], status=replace(pods[120].status, conditions=()))
    todo = decide(service(), pods, slices)
    assert [s.metadata.name for s in todo.update] == ["s1"]
    assert [e.addresses for e in todo.update[0].endpoints] == [e.addresses for e in slices[1].endpoints]


def test_labels_of_the_service_reach_every_slice() -> None:
    svc = service()
    slices = stored(decide(svc, pods_of(150)))
    svc.metadata.labels = {"team": "b"}
    todo = decide(svc, pods_of(150), slices)
    assert [s.metadata.labels["team"] for s in todo.update] == ["b", "b"]


def test_a_service_being_deleted_gets_no_new_slice() -> None:
    svc = service()
    svc.metadata.deletionTimestamp = Time.of(NOW)
    assert decide(svc, [pod("a")]) == Plan()


def test_a_slice_of_an_earlier_service_of_the_name_is_not_taken_over() -> None:
    (old,) = stored(decide(service(), [pod("a")]))
    old.metadata.ownerReferences = (replace(old.metadata.ownerReferences[0], uid="uid-earlier"),)
    svc = service(ports=(ServicePort(name="http", protocol="TCP", port=80, targetPort=9090),))
    todo = decide(svc, [pod("a")], [old])
    assert (len(todo.create), todo.update, [s.metadata.name for s in todo.delete]) == (1, (), ["s0"])
    old.metadata.ownerReferences = (replace(old.metadata.ownerReferences[0], uid="uid-web"),)
    todo = decide(svc, [pod("a")], [old])
    assert (todo.create, [s.metadata.name for s in todo.update], todo.delete) == ((), ["s0"], ())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 450), max_size=450), min_size=1, max_size=6))
def test_slices_say_exactly_what_the_pods_are(history: list[set[int]]) -> None:
    everything = pods_of(451)
    slices: list[EndpointSlice] = []
    for alive in history:
        pods = [everything[n] for n in alive]
        slices = stored(decide(service(), pods, slices), slices)
        said = [e.targetRef.name for s in slices for e in s.endpoints if e.targetRef is not None]
        assert sorted(said) == sorted(p.metadata.name for p in pods)
        assert all(len(s.endpoints) <= MOST for s in slices)
        assert len(slices) >= 1
        assert decide(service(), pods, slices) == Plan()


def test_trigger_times() -> None:
    times, svc = backends.TriggerTimes(), service()
    a, b = pod("a", ready=100), pod("b", ready=50)
    assert times.of(svc, [a, b]) == "2025-03-01T11:59:10Z", "at first the newest change"
    assert times.of(svc, [a, b]) == ""
    assert times.of(svc, [pod("a", ready=20), pod("b", ready=10)]) == "2025-03-01T11:59:40Z", "then the oldest new one"
    times.forget("ns/web")
    assert times.of(svc, []) == str(svc.metadata.creationTimestamp)
