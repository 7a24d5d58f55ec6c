"""The scheduler's decision by itself: pods a second at several sizes of cluster, each pod counted where it goes.

`python -m benchmarks scheduler`. Processor time, so a busy machine changes little; medians of `ROUNDS`, whose sizes
take turns. A second kind of pod has what makes filters work: a node selector, a toleration and a host port; others are
spread over zones, keep away from their like, or want to be near. Then preemption on a full cluster: the search for
victims over all nodes, and the decisions before and after it.
"""

from __future__ import annotations

import random
import statistics
import time

import numpy as np

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.scheduler import podinfo
from kijabi.scheduler.decide import Placed, Refused, decide
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.preempt import choose
from kijabi.scheduler.ranks import Ranks

SIZES = (100, 1000, 5000)
PODS = 500
ROUNDS = 3
HOSTNAME = "kubernetes.io/hostname"
PLAIN: dict[str, object] = {}
PICKY: dict[str, object] = {
    "nodeSelector": {"zone": "z1"},
    "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
}
LIKE = {"labelSelector": {"matchLabels": {"app": "web"}}}
SPREAD: dict[str, object] = {
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", **LIKE},
        {"maxSkew": 3, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", **LIKE},
    ]
}
APART: dict[str, object] = {
    "affinity": {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 10, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", **LIKE}}
            ]
        }
    }
}
NEAR: dict[str, object] = {
    "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone", **LIKE}]}}
}
FULL = 30  # pods on each node that preemption looks at
PREEMPTORS = 100


def cluster(size: int) -> NodeState:
    """Nodes in three zones, every tenth one tainted."""
    nodes = NodeState()
    for number in range(size):
        taints = [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}] if number % 10 == 0 else []
        content = {
            "metadata": {"name": f"n{number}", "labels": {"zone": f"z{number % 3}", HOSTNAME: f"n{number}"}},
            "spec": {"taints": taints},
            "status": {"allocatable": {"cpu": "32", "memory": "64Gi", "pods": "110"}},
        }
        nodes.set_node(codec.from_builtins(Node, content))
    return nodes


def pods(kind: dict[str, object], ports: bool) -> list[podinfo.PodInfo]:
    """What the scheduler knows of the pods to place."""
    found = []
    for number in range(PODS):
        container = {
            "name": "c",
            "image": "i",
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            "ports": [{"containerPort": 80, "hostPort": 20_000 + number, "protocol": "TCP"}] if ports else [],
        }
        meta = {"name": f"p{number}", "namespace": "default", "uid": f"u{number}", "labels": {"app": "web"}}
        content = {"metadata": meta, "spec": {"containers": [container], **kind}}
        found.append(podinfo.of(codec.from_builtins(Pod, content)))
    return found


def placed(nodes: NodeState, waiting: list[podinfo.PodInfo]) -> float:
    """Microseconds of processor time for one decision and its booking."""
    rng = random.Random(1)
    began = time.process_time()
    for pod in waiting:
        result = decide(pod, nodes, rng)
        assert isinstance(result, Placed), result
        nodes.add_pod(pod, result.node)
    return (time.process_time() - began) / len(waiting) * 1e6


def pod(name: str, cpu: str, priority: int) -> podinfo.PodInfo:
    """A pod that asks for so much, of a priority."""
    content = {
        "metadata": {"name": name, "namespace": "default", "uid": name},
        "spec": {"priority": priority, "containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]},
    }
    return podinfo.of(codec.from_builtins(Pod, content))


def preempted(size: int) -> tuple[float, float, float]:
    """Microseconds of processor time: the first search for victims on a full cluster, the next, a whole preemption.

    The whole: a refusal, the search, the victims gone, the pod placed.
    """
    nodes = cluster(size)
    for number in range(size * FULL):
        nodes.add_pod(pod(f"low{number}", "1060m", number % 3), f"n{number // FULL}")
    ranks, rng = Ranks(nodes), random.Random(1)
    searches: list[float] = []
    began = time.process_time()
    for number in range(PREEMPTORS):
        high = pod(f"high{number}", "4", 100)
        refused = decide(high, nodes, rng)
        assert isinstance(refused, Refused)
        before = time.process_time()
        found = choose(high, nodes, refused.helpful, (), rng, ranks=ranks).candidate
        searches.append((time.process_time() - before) * 1e6)
        assert found is not None
        for victim in found.victims:
            nodes.remove_pod(victim.uid)
        result = decide(high, nodes, rng)
        assert isinstance(result, Placed)
        nodes.add_pod(high, result.node)
    whole = (time.process_time() - began) / PREEMPTORS * 1e6
    return searches[0], float(np.median(searches[1:])), whole


def main() -> None:
    """Measure and print."""
    costs: dict[tuple[str, int], list[float]] = {}
    kinds = (
        ("plain", pods(PLAIN, False)),
        ("picky", pods(PICKY, True)),
        ("spread", pods(SPREAD, False)),
        ("apart", pods(APART, False)),
        ("near", pods(NEAR, False)),
    )
    for _ in range(ROUNDS):
        for size in SIZES:
            for name, waiting in kinds:
                costs.setdefault((name, size), []).append(placed(cluster(size), waiting))
    print(f"{'pods':8} {'nodes':>6} {'µs each':>8} {'a second':>9} {'of 100 nodes':>13}")
    order = [name for name, _ in kinds]
    for (name, size), runs in sorted(costs.items(), key=lambda row: (order.index(row[0][0]), row[0][1])):
        each = statistics.median(runs)
        ratio = statistics.median(run / first for run, first in zip(runs, costs[name, SIZES[0]], strict=True))
        print(f"{name:8} {size:6,} {each:8.0f} {1e6 / each:9,.0f} {ratio:12.1f}x")
    print(f"preemption, {FULL} pods a node: µs of the first search, of the next, of a whole one")
    for size in SIZES[1:]:
        first, following, whole = preempted(size)
        print(f"{size:15,} {first:10,.0f} {following:10,.0f} {whole:10,.0f}")


if __name__ == "__main__":
    main()
