"""What the cloud controllers decide, case by case."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kijabi.api.core.balancing import ANNOUNCED_BY, CLAIM, NETWORKS
from kijabi.api.core.cloud import PROVIDED_IP, SHUTDOWN, UNINITIALIZED
from kijabi.api.core.node import Node, NodeSpec, Taint
from kijabi.api.core.nodestatus import NodeAddress, NodeCondition, NodeStatus
from kijabi.api.core.service import (
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServicePort,
    ServiceSpec,
    ServiceStatus,
)
from kijabi.api.meta import ObjectMeta, time_now
from kijabi.api.networking.ipaddress import IPAddress, IPAddressSpec, ParentReference
from kijabi.base.errors import ConfigError
from kijabi.controllers.cloud import node as nodelib
from kijabi.controllers.cloud import nodelifecycle, providers, route, service
from kijabi.controllers.cloud.bare import announce, claims
from kijabi.controllers.cloud.bare.pool import Pool, ranges
from kijabi.controllers.cloud.interface import CloudError, InstanceMetadata, Route
from kijabi.controllers.cloud.nodes import EXCLUDED, TO_BE_DELETED, balanced
from kijabi.controllers.cloud.service import FINALIZER, Done, Todo


def make_node(name: str, *, ready: str = "True", labels: dict[str, str] | None = None, **spec: Any) -> Node:
    meta = ObjectMeta(name=name, uid=f"uid-{name}", labels=labels or {})
    status = NodeStatus(conditions=(NodeCondition(type="Ready", status=ready),) if ready else ())
    return Node(metadata=meta, spec=NodeSpec(**spec), status=status)


def make_service(name: str = "a", *, finalizers: tuple[str, ...] = (), going: bool = False, **spec: Any) -> Service:
    spec.setdefault("type", "LoadBalancer")
    meta = ObjectMeta(name=name, namespace="ns", uid=f"uid-{name}", finalizers=finalizers)
    meta.deletionTimestamp = time_now() if going else None
    return Service(metadata=meta, spec=ServiceSpec(ports=(ServicePort(port=80),), **spec))


def showing(one: Service, *addresses: str) -> Service:
    ingress = tuple(LoadBalancerIngress(ip=address, ipMode="VIP") for address in addresses)
    return msgspec.structs.replace(one, status=ServiceStatus(loadBalancer=LoadBalancerStatus(ingress=ingress)))


# ---- load balancers of Services

NODES = frozenset({("n1", ""), ("n2", "")})


def done(one: Service, nodes: frozenset[tuple[str, str]] = NODES) -> Done:
    return Done(one, service.asked(one), nodes)


def test_a_balancer_is_made_brought_before_other_nodes_and_removed() -> None:
    one = make_service()
    assert service.plan(one, None, NODES) is Todo.ENSURE
    assert service.plan(one, done(one), NODES) is Todo.NOTHING
    assert service.plan(one, done(one), frozenset({("n1", "")})) is Todo.UPDATE
    assert service.plan(one, done(one), frozenset({("n1", "other"), ("n2", "")})) is Todo.UPDATE
    assert service.plan(make_service(finalizers=(FINALIZER,), going=True), done(one), NODES) is Todo.DELETE
    assert service.plan(make_service(finalizers=(FINALIZER,), type="ClusterIP"), None, NODES) is Todo.DELETE
    assert service.plan(make_service(type="ClusterIP"), done(one), NODES) is Todo.DELETE
    assert service.plan(make_service(type="ClusterIP"), None, NODES) is Todo.NOTHING
    assert service.plan(make_service(loadBalancerClass="example.com/other"), None, NODES) is Todo.NOTHING


@pytest.mark.parametrize(
    "change",
    [
        {"loadBalancerSourceRanges": ("10.0.0.0/8",)},
        {"loadBalancerIP": "10.0.0.1"},
        {"externalIPs": ("10.0.0.1",)},
        {"externalTrafficPolicy": "Local"},
        {"healthCheckNodePort": 31000},
        {"sessionAffinity": "ClientIP"},
        {"ipFamilies": ("IPv4",)},
    ],
)
def test_what_a_balancer_is_made_by_makes_it_anew(change: dict[str, Any]) -> None:
    assert service.plan(make_service(**change), done(make_service()), NODES) is Todo.ENSURE


def test_who_announces_is_no_reason_to_make_it_anew() -> None:
    one = make_service()
    one.metadata.annotations = {ANNOUNCED_BY: "n1"}
    assert service.plan(one, done(make_service()), NODES) is Todo.NOTHING
    one.metadata.annotations = {"example.com/size": "large"}
    assert service.plan(one, done(make_service()), NODES) is Todo.ENSURE


def test_which_nodes_take_part() -> None:
    assert balanced(make_node("a"))
    assert balanced(make_node("a", ready="False"))
    assert balanced(make_node("a", labels={EXCLUDED: "false"}))
    assert not balanced(make_node("a", labels={EXCLUDED: ""}))
    assert not balanced(make_node("a", labels={EXCLUDED: "yes"}))
    assert not balanced(make_node("a", taints=(Taint(key=TO_BE_DELETED, effect="NoSchedule"),)))


# ---- nodes

FOUND = InstanceMetadata(
    provider_id="fake://1",
    instance_type="large",
    zone="z",
    region="r",
    addresses=(NodeAddress(type="InternalIP", address="10.0.0.1"), NodeAddress(type="InternalIP", address="10.0.0.2")),
    labels={"example.com/rack": "7", "kubernetes.io/hostname": "x", "a.k8s.io/b": "y", "mine": "theirs"},
)


def test_a_node_becomes_what_the_cloud_knows() -> None:
    taints = (Taint(key=UNINITIALIZED, effect="NoSchedule"), Taint(key="mine", effect="NoSchedule"))
    after = nodelib.initialised(make_node("a", labels={"mine": "ours"}, taints=taints), FOUND)
    assert after.spec.providerID == "fake://1"
    assert [taint.key for taint in after.spec.taints] == ["mine"]
    expected = {"mine": "ours", "example.com/rack": "7"}
    expected |= dict.fromkeys(nodelib.TYPE, "large") | dict.fromkeys(nodelib.ZONE, "z")
    assert after.metadata.labels == expected | dict.fromkeys(nodelib.REGION, "r")
    kept = nodelib.initialised(make_node("a", providerID="fake://0"), FOUND)
    assert kept.spec.providerID == "fake://0"


def test_addresses_are_the_clouds_with_the_nodes_own_name() -> None:
    node = make_node("a")
    name = NodeAddress(type="Hostname", address="a")
    node.status.addresses = (NodeAddress(type="InternalIP", address="1.1.1.1"), name)
    assert nodelib.addresses(node, FOUND) == (*FOUND.addresses, name)
    assert nodelib.addresses(node, InstanceMetadata()) == ()
    node.metadata.annotations = {PROVIDED_IP: "10.0.0.2"}
    assert nodelib.addresses(node, FOUND) == (FOUND.addresses[1], name)
    node.metadata.annotations = {PROVIDED_IP: "10.0.0.3"}
    with pytest.raises(
        CloudError, match=r"failed to get node address from cloud provider that matches ip: 10\.0\.0\.3"
    ):
        nodelib.initialised(node, FOUND)


def test_newer_labels_say_what_older_ones_do() -> None:
    old, new = nodelib.ZONE
    assert nodelib.mended_labels(make_node("a", labels={old: "z"})) == {new: "z"}
    assert nodelib.mended_labels(make_node("a", labels={old: "z", new: "y"})) == {new: "z"}
    assert nodelib.mended_labels(make_node("a", labels={new: "y"})) == {}


def test_nodes_without_a_machine_go() -> None:
    def plan(ready: str, *, exists: bool = True, off: bool = False, tainted: bool = False) -> nodelifecycle.Todo:
        taints = (Taint(key=SHUTDOWN, effect="NoSchedule"),) if tainted else ()
        return nodelifecycle.plan(make_node("a", ready=ready, taints=taints), exists=exists, off=off)

    todo = nodelifecycle.Todo
    assert plan("True", exists=False) is todo.NOTHING
    assert plan("True", tainted=True) is todo.UNTAINT
    for ready in ("False", "Unknown", ""):
        assert plan(ready, exists=False) is todo.DELETE
        assert plan(ready, off=True) is todo.TAINT
        assert plan(ready, off=True, tainted=True) is todo.NOTHING
        assert plan(ready) is todo.NOTHING


# ---- routes

HERE = (NodeAddress(type="InternalIP", address="10.0.0.1"),)
CIDRS = ("10.244.0.0/16",)


def routed(name: str, *cidrs: str) -> Node:
    node = make_node(name, podCIDRs=cidrs)
    node.status.addresses = HERE
    return node


def test_routes_follow_nodes() -> None:
    there = Route(destination="10.244.1.0/24", node="a")
    gone = Route(destination="10.244.9.0/24", node="gone")
    foreign = Route(destination="192.168.0.0/24", node="gone")
    found = route.plan([routed("a", "10.244.1.0/24"), routed("b", "10.244.2.0/24")], [there, gone, foreign], CIDRS)
    assert found.delete == (gone,)
    assert [(one.node, one.destination, one.addresses, hint) for one, hint in found.create] == [
        ("b", "10.244.2.0/24", HERE, "uid-b")
    ]
    assert found.kept == {"a": {"10.244.1.0/24"}, "b": frozenset()}


def test_routes_to_where_a_node_was_are_replaced_if_the_cloud_says_where_they_lead() -> None:
    node = routed("a", "10.244.1.0/24")
    moved = Route(
        destination="10.244.1.0/24", node="a", addresses=(NodeAddress(type="InternalIP", address="10.0.0.9"),)
    )
    assert (route.plan([node], [moved], CIDRS).delete, len(route.plan([node], [moved], CIDRS).create)) == ((moved,), 1)
    right = msgspec.structs.replace(moved, addresses=HERE)
    assert route.plan([node], [right], CIDRS)[:2] == ((), ())


def test_routes_that_lead_nowhere_go() -> None:
    hole = Route(destination="10.244.1.0/24", node="", blackhole=True)
    broken = Route(destination="nonsense", node="")
    assert route.plan([], [hole, broken], CIDRS).delete == (hole,)


def test_nodes_without_ranges_are_told_only_if_they_had_routes() -> None:
    stale = Route(destination="10.244.1.0/24", node="a")
    assert route.plan([routed("a"), routed("b")], [stale], CIDRS).kept == {"a": frozenset()}


# ---- the pool of the bare provider


def test_pools_are_ranges() -> None:
    assert ranges(["10.0.0.5"]) == ((0x0A000005, 0x0A000005),)
    assert ranges(["10.0.0.5 - 10.0.0.9", "10.0.1.0/30", "10.0.2.0/31"]) == (
        (0x0A000005, 0x0A000009),
        (0x0A000101, 0x0A000102),
        (0x0A000200, 0x0A000201),
    )
    for wrong in (["10.0.0.9-10.0.0.5"], ["10.0.0.0/7"], ["10.0.0.1-10.0.0.9", "10.0.0.9"], ["fd00::/64"], ["x"]):
        with pytest.raises(ConfigError):
            ranges(wrong)


def test_a_pool_gives_the_lowest_free_address() -> None:
    pool = Pool(["10.0.0.2-10.0.0.3", "10.0.0.9"])
    given = []
    while (address := pool.next()) is not None:
        pool.take(address)
        given.append(address)
    assert given == ["10.0.0.2", "10.0.0.3", "10.0.0.9"]
    pool.take("192.168.0.1")
    pool.give_back("192.168.0.1")
    assert pool.next() is None
    pool.give_back("10.0.0.3")
    assert pool.next() == "10.0.0.3"
    assert "10.0.0.9" in pool
    assert "10.0.0.4" not in pool


def claim(address: str, owner: Service) -> IPAddress:
    parent = ParentReference(resource="services", namespace="ns", name=owner.metadata.name)
    meta = ObjectMeta(name=address, labels={CLAIM: owner.metadata.uid})
    return IPAddress(metadata=meta, spec=IPAddressSpec(parentRef=parent))


def test_a_claim_stays_as_long_as_anybody_could_be_told_the_address() -> None:
    one = make_service()
    held = claim("10.0.0.2", one)
    assert claims.needed(held, one), "it is about to show it"
    assert claims.needed(held, showing(one, "10.0.0.2"))
    assert claims.needed(held, showing(make_service(type="ClusterIP"), "10.0.0.2"))
    assert claims.needed(held, showing(make_service(going=True), "10.0.0.2"))
    assert not claims.needed(held, showing(one, "10.0.0.3"))
    assert not claims.needed(held, make_service(type="ClusterIP"))
    assert not claims.needed(held, make_service(going=True))
    assert not claims.needed(held, None)
    assert claims.needed(held, showing(one, "10.0.0.3"), "10.0.0.2"), "it is about to show this one instead"
    assert not claims.needed(held, make_service(type="ClusterIP"), "10.0.0.2"), "it does not want to any more"
    other = make_service()
    other.metadata.uid = "another"
    assert not claims.needed(held, showing(other, "10.0.0.2"))


# ---- who announces

ADDRESSES = [f"10.0.0.{n}" for n in range(1, 201)]


def test_announcements_are_spread_and_a_node_that_goes_moves_its_own_only() -> None:
    four = [make_node(f"n{n}") for n in range(4)]
    before = {address: announce.plan(address, "", four, None) for address in ADDRESSES}
    shares = [list(before.values()).count(node.metadata.name) for node in four]
    assert min(shares) > 30, shares
    lost = replace_node(four, 1, make_node("n1", ready="Unknown"))
    after = {address: announce.plan(address, before[address], lost, None) for address in ADDRESSES}
    assert all(after[a] == before[a] for a in ADDRESSES if before[a] != "n1")
    assert "n1" not in after.values()
    assert {a: announce.plan(a, after[a], four, None) for a in ADDRESSES} == before


def replace_node(nodes: list[Node], index: int, node: Node) -> list[Node]:
    return [*nodes[:index], node, *nodes[index + 1 :]]


def test_who_may_announce() -> None:
    ready, excluded = make_node("a"), make_node("b", labels={EXCLUDED: ""})
    elsewhere = make_node("c")
    elsewhere.metadata.annotations = {NETWORKS: "172.30.0.0/24, 172.31.0.0/24"}
    assert announce.plan("10.0.0.1", "", [ready, excluded, elsewhere], None) == "a"
    assert announce.plan("10.0.0.1", "b", [excluded, elsewhere], None) == ""
    assert announce.plan("172.31.0.9", "", [elsewhere], None) == "c"
    assert announce.plan("10.0.0.1", "", [ready, make_node("d")], {"d"}) == "d"
    assert announce.plan("10.0.0.1", "d", [ready], set()) == ""


def test_if_nobody_is_ready_all_stays_as_it_is() -> None:
    nodes = [make_node("a", ready="Unknown"), make_node("b", ready="Unknown")]
    assert [announce.plan("10.0.0.1", now, nodes, None) for now in ("a", "b", "c", "")] == ["a", "b", "", ""]


# ---- finding providers


def test_providers_are_found_by_name_and_mistakes_are_told() -> None:
    assert providers.find("bare").__name__ == "Bare"
    assert providers.find("kijabi.testing.cloud:FakeProvider").__name__ == "FakeProvider"
    with pytest.raises(ConfigError, match=r"there is no cloud provider moon; there are: bare.*none"):
        providers.find("moon")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        providers.find("no_such_module:Cloud")
    assert [providers.external(name) for name in ("", "none", "bare", "mine", "m:C")] == [
        False,
        False,
        False,
        True,
        True,
    ]
