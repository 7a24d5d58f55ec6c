"""The scheduler's decision by itself: pods a second at several sizes of cluster, each pod counted where it goes.

`python -m benchmarks scheduler`. Processor time, so a busy machine changes little; medians of `ROUNDS`, whose sizes
take turns. A second kind of pod has what makes filters work: a node selector, a toleration and a host port.
"""

from __future__ import annotations

import random
import statistics
import time

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.scheduler import podinfo
from kijabi.scheduler.decide import Placed, decide
from kijabi.scheduler.nodestate import NodeState

SIZES = (100, 1000, 5000)
PODS = 500
ROUNDS = 3
PLAIN: dict[str, object] = {}
PICKY: dict[str, object] = {
    "nodeSelector": {"zone": "z1"},
    "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
}


def cluster(size: int) -> NodeState:
    """Nodes in three zones, every tenth one tainted."""
    nodes = NodeState()
    for number in range(size):
        taints = [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}] if number % 10 == 0 else []
        content = {
            "metadata": {"name": f"n{number}", "labels": {"zone": f"z{number % 3}"}},
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
        meta = {"name": f"p{number}", "namespace": "default", "uid": f"u{number}"}
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


def main() -> None:
    """Measure and print."""
    costs: dict[tuple[str, int], list[float]] = {}
    kinds = (("plain", pods(PLAIN, False)), ("picky", pods(PICKY, True)))
    for _ in range(ROUNDS):
        for size in SIZES:
            for name, waiting in kinds:
                costs.setdefault((name, size), []).append(placed(cluster(size), waiting))
    print(f"{'pods':8} {'nodes':>6} {'µs each':>8} {'a second':>9} {'of 100 nodes':>13}")
    for (name, size), runs in sorted(costs.items(), key=lambda row: (row[0][0] != "plain", row[0][1])):
        each = statistics.median(runs)
        ratio = statistics.median(run / first for run, first in zip(runs, costs[name, SIZES[0]], strict=True))
        print(f"{name:8} {size:6,} {each:8.0f} {1e6 / each:9,.0f} {ratio:12.1f}x")


if __name__ == "__main__":
    main()
