"""`decide` over whole node states: what fits where, what is better, and what is said when nothing fits."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.scheduler import podinfo
from kijabi.scheduler.decide import Placed, Refused, decide
from kijabi.scheduler.framework import Change
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.preempt import choose


def node(name: str, *, cpu: str = "4", memory: str = "8Gi", pods: str = "110", **more: Any) -> Node:
    content = {
        "metadata": {"name": name, "labels": more.pop("labels", {})},
        "spec": more,
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}},
    }
    return codec.from_builtins(Node, content)


def pod(name: str = "p", *, cpu: str = "", memory: str = "", ports: tuple[int, ...] = (), **spec: Any) -> Pod:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    container = {
        "name": "c",
        "image": "i",
        "resources": {"requests": requests},
        "ports": [{"containerPort": port, "hostPort": port, "protocol": "TCP"} for port in ports],
    }
    meta = {"name": name, "namespace": "default", "uid": name}
    return codec.from_builtins(Pod, {"metadata": meta, "spec": {"containers": [container], **spec}})


def state(*nodes: Node) -> NodeState:
    nodes_ = NodeState(capacity=2)
    for each in nodes:
        nodes_.set_node(each)
    return nodes_


def outcome(who: Pod, nodes: NodeState) -> Placed | Refused:
    return decide(podinfo.of(who), nodes, random.Random(1))


def place(who: Pod, nodes: NodeState) -> str:
    result = outcome(who, nodes)
    assert isinstance(result, Placed), result
    nodes.add_pod(podinfo.of(who), result.node)
    return result.node


def refusal(who: Pod, nodes: NodeState) -> str:
    result = outcome(who, nodes)
    assert isinstance(result, Refused)
    _, stay = choose(podinfo.of(who), nodes, result.helpful, (), random.Random(1))
    return result.message(stay=stay)


def test_the_emptier_node_is_better() -> None:
    nodes = state(node("a"), node("b"), node("c"))
    assert {place(pod(f"p{i}", cpu="1", memory="1Gi"), nodes) for i in range(3)} == {"a", "b", "c"}


def test_pods_without_requests_spread_too() -> None:
    nodes = state(node("a"), node("b"))
    assert {place(pod(f"p{i}"), nodes) for i in range(2)} == {"a", "b"}


def test_ties_are_broken_by_chance_and_replay_with_the_seed() -> None:
    nodes = state(*(node(f"n{i}") for i in range(8)))
    picks = [decide(podinfo.of(pod()), nodes, random.Random(seed)) for seed in range(40)]
    assert len({pick.node for pick in picks if isinstance(pick, Placed)}) > 3
    assert picks == [decide(podinfo.of(pod()), nodes, random.Random(seed)) for seed in range(40)]


def test_a_refusal_counts_the_nodes_by_reason() -> None:
    nodes = state(
        node("small", cpu="500m", memory="1Gi"),
        node("little", cpu="8", memory="1Gi"),
        node("full", cpu="4"),
        node("cordoned", unschedulable=True),
        node("tainted", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]),
    )
    nodes.add_pod(podinfo.of(pod("big", cpu="3")), "full")
    assert refusal(pod(cpu="2", memory="2Gi"), nodes) == (
        "0/5 nodes are available: 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable, "
        "2 Insufficient cpu, 2 Insufficient memory. preemption: 0/5 nodes are available: "
        "1 No preemption victims found for incoming pod, 4 Preemption is not helpful for scheduling."
    ), "where a node is too small altogether, no eviction helps"


def test_without_nodes() -> None:
    assert refusal(pod(), state()) == "no nodes available to schedule pods"


def test_what_is_on_a_node_counts_and_is_given_back() -> None:
    nodes = state(node("a", cpu="1"))
    assert place(pod("first", cpu="600m"), nodes) == "a"
    assert "1 Insufficient cpu" in refusal(pod("second", cpu="600m"), nodes)
    assert nodes.remove_pod("first")
    assert place(pod("second", cpu="600m"), nodes) == "a"


def test_too_many_pods() -> None:
    nodes = state(node("a", pods="1"))
    place(pod("first"), nodes)
    assert "1 Too many pods" in refusal(pod("second"), nodes)


def test_extended_resources() -> None:
    nodes = state(node("a"))
    wanted = codec.from_builtins(
        Pod,
        {
            "metadata": {"name": "p", "namespace": "d", "uid": "p"},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"example.com/gpu": "1"}}}]},
        },
    )
    assert "1 Insufficient example.com/gpu" in refusal(wanted, nodes)


def test_host_ports_collide_on_a_node_and_not_between_nodes() -> None:
    nodes = state(node("a"), node("b"))
    assert {place(pod(f"p{i}", ports=(80,)), nodes) for i in range(2)} == {"a", "b"}
    assert "2 node(s) didn't have free ports for the requested pod ports" in refusal(pod("third", ports=(80,)), nodes)


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "gpu", "value": "no", "effect": "NoSchedule"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: dict[str, str], fits: bool) -> None:
    nodes = state(node("a", taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]))
    assert isinstance(outcome(pod(tolerations=[toleration]), nodes), Placed) is fits


def test_soft_taints_are_avoided_while_there_is_another_node() -> None:
    soft = [{"key": "slow", "effect": "PreferNoSchedule"}]
    nodes = state(node("a", taints=soft), node("b"))
    assert {place(pod(f"p{i}", cpu="100m"), nodes) for i in range(5)} == {"b"}


def _required(*expressions: dict[str, Any]) -> dict[str, Any]:
    terms = {"nodeSelectorTerms": [{"matchExpressions": list(expressions)}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"nodeSelector": {"zone": "x"}}, {"a"}),
        ({"nodeSelector": {"zone": "z"}}, set()),
        ({"nodeSelector": {"zone": "x", "disk": "ssd"}}, set()),
        (_required({"key": "zone", "operator": "In", "values": ["x", "y"]}), {"a", "b"}),
        (_required({"key": "zone", "operator": "NotIn", "values": ["x"]}), {"b", "c"}),
        (_required({"key": "zone", "operator": "Exists"}), {"a", "b"}),
        (_required({"key": "zone", "operator": "DoesNotExist"}), {"c"}),
        (_required({"key": "size", "operator": "Gt", "values": ["3"]}), {"b"}),
        (_required({"key": "size", "operator": "Lt", "values": ["3"]}), {"a"}),
        (_required({"key": "zone", "operator": "Exists"}, {"key": "size", "operator": "Gt", "values": ["3"]}), {"b"}),
    ],
)
def test_node_affinity(spec: dict[str, Any], expected: set[str]) -> None:
    labels: dict[str, dict[str, str]] = {"a": {"zone": "x", "size": "1"}, "b": {"zone": "y", "size": "5"}, "c": {}}
    found = set()
    for name, own in labels.items():
        if isinstance(outcome(pod(**spec), state(node(name, labels=own))), Placed):
            found.add(name)
    assert found == expected


def test_preferred_affinity_wins_over_room() -> None:
    preferred = {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 10, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["x"]}]}}
        ]
    }
    nodes = state(node("a", labels={"zone": "x"}, cpu="2"), node("b", cpu="64", memory="64Gi"))
    assert place(pod(cpu="100m", affinity={"nodeAffinity": preferred}), nodes) == "a"


def test_a_refusal_waits_for_what_could_help() -> None:
    full = outcome(pod(cpu="8"), state(node("a")))
    assert isinstance(full, Refused)
    assert full.wakes & Change.POD_GONE
    assert full.wakes & Change.NODE_ALLOCATABLE
    assert not full.wakes & Change.NODE_TAINTS
    tainted = outcome(pod(), state(node("a", taints=[{"key": "k", "effect": "NoSchedule"}])))
    assert isinstance(tainted, Refused)
    assert tainted.wakes & Change.NODE_TAINTS
    assert not tainted.wakes & Change.POD_GONE


def test_rows_are_used_again_and_labels_follow_the_node() -> None:
    nodes = state(node("a", labels={"zone": "x"}))
    assert isinstance(outcome(pod(nodeSelector={"zone": "x"}), nodes), Placed)
    nodes.remove_node("a")
    nodes.set_node(node("b", labels={"zone": "y"}))
    assert isinstance(outcome(pod(nodeSelector={"zone": "x"}), nodes), Refused)
    assert place(pod(nodeSelector={"zone": "y"}), nodes) == "b"
    for i in range(20):
        nodes.set_node(node(f"n{i}", labels={"zone": "x"}))
    assert len(nodes) == 21
    assert isinstance(outcome(pod("q", nodeSelector={"zone": "x"}), nodes), Placed)


def test_pods_seen_before_their_node_count_once_it_comes() -> None:
    nodes = NodeState()
    nodes.add_pod(podinfo.of(pod("early", cpu="3")), "a")
    nodes.set_node(node("a"))
    assert "1 Insufficient cpu" in refusal(pod("late", cpu="2"), nodes)


def test_room_that_is_promised_is_left_alone() -> None:
    nodes = state(node("a", cpu="2"), node("b", cpu="2"))
    vip = podinfo.of(pod("vip", cpu="2", priority=10))
    for _ in range(20):
        found = decide(podinfo.of(pod(cpu="1")), nodes, random.Random(), promised=[(vip, "a")])
        assert isinstance(found, Placed)
        assert found.node == "b"
    assert nodes.requested["cpu"].sum() == 0, "it was only supposed"


def test_nobody_builds_on_a_promise() -> None:
    near = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "zone"}
    affinity = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]}}
    nodes = state(node("a", labels={"zone": "z"}))
    db = pod("db")
    db.metadata.labels = {"app": "db"}
    promised = [(podinfo.of(db), "a")]
    found = decide(podinfo.of(pod(affinity=affinity)), nodes, random.Random(1), promised=promised)
    assert isinstance(found, Refused), "the promised pod may come to be elsewhere"
    assert "1 node(s) didn't match pod affinity rules" in found.why
    nodes.add_pod(podinfo.of(db), "a")
    assert isinstance(decide(podinfo.of(pod(affinity=affinity)), nodes, random.Random(1)), Placed)


def test_pods_of_daemon_sets_are_about_one_node() -> None:
    terms = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]
    required = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    nodes = state(node("a", cpu="1"), node("b"), node("c"))
    assert refusal(pod(cpu="2", affinity=required), nodes).startswith(
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
    )
    assert place(pod(cpu="1", affinity=required), nodes) == "a"


def test_the_node_that_a_pod_is_promised_is_the_best_if_it_will_do() -> None:
    nodes = state(node("a"), node("b"))
    place(pod("there", cpu="2", nodeName="b"), nodes)

    def chosen(cpu: str, preferred: str) -> str:
        found = decide(podinfo.of(pod(cpu=cpu)), nodes, random.Random(1), preferred=preferred)
        assert isinstance(found, Placed)
        return found.node

    assert chosen("1", "") == "a"
    assert chosen("1", "b") == "b", "it is fuller, and room was made there for this pod"
    assert chosen("3", "b") == "a", "there is no room any more"
    assert chosen("1", "gone") == "a"
