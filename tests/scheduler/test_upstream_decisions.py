"""Decisions that upstream's own scheduler (v1.37) took on random small clusters, taken by ours.

`tests/golden/scheduler/decisions.jsonl` has a cluster, a pod and what came out of upstream's plugin framework on each
line: the scores of each plugin by node; or the words of the refusal, the victims and broken budgets of each node where
preemption helps, and why it does not on others.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from kijabi.api import codec
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.node import Node
from kijabi.api.core.persistentvolume import PersistentVolume
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.api.core.service import Service
from kijabi.api.meta import Object
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.storage.csidriver import CSIDriver
from kijabi.api.storage.csinode import CSINode
from kijabi.api.storage.csistoragecapacity import CSIStorageCapacity
from kijabi.api.storage.storageclass import StorageClass
from kijabi.api.storage.volumeattachment import VolumeAttachment
from kijabi.client.cache import Cache, Index, key_of
from kijabi.scheduler import podinfo
from kijabi.scheduler.catalog import SCORES
from kijabi.scheduler.decide import Placed, Refused, decide
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.preempt import choose, cost
from kijabi.scheduler.spreading import BY_NAMESPACE, Spreading, by_namespace
from kijabi.scheduler.storage import BY_CLASS, BY_NODE, Storage, by_class, by_node

T = TypeVar("T", bound=Object)

RECORDED = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "golden/scheduler/decisions.jsonl").read_text().splitlines()
]


class Known(Cache[T]):
    """Objects as a scenario has them, asked as an informer is."""

    def __init__(self, cls: type[T], contents: Sequence[Any], indexes: Mapping[str, Index[T]] | None = None) -> None:
        super().__init__(indexes or {})
        for content in contents:
            obj = codec.from_builtins(cls, content)
            self.put(key_of(obj), obj)

    def get(self, key: str) -> T | None:
        return self.objects.get(key)

    def items(self) -> Collection[T]:
        return self.objects.values()


def cluster(scenario: dict[str, Any]) -> NodeState:
    """The node state of a scenario."""

    def given(what: str) -> Sequence[Any]:
        found: Sequence[Any] = scenario.get(what, ())
        return found

    nodes = NodeState(
        capacity=4,
        storage=Storage(
            claims=Known(PersistentVolumeClaim, given("Claims")),
            volumes=Known(PersistentVolume, given("Volumes"), {BY_CLASS: by_class}),
            classes=Known(StorageClass, given("Classes")),
            csi_nodes=Known(CSINode, given("CSINodes")),
            drivers=Known(CSIDriver, given("Drivers")),
            capacities=Known(CSIStorageCapacity, given("Capacities")),
            attachments=Known(VolumeAttachment, given("Attachments"), {BY_NODE: by_node}),
        ),
    )
    nodes.defaults = Spreading(
        Known(Service, given("Services"), {BY_NAMESPACE: by_namespace}),
        Known(ReplicationController, ()),
        Known(ReplicaSet, given("ReplicaSets")),
        Known(StatefulSet, ()),
    )
    for content in given("Namespaces"):
        nodes.matchers.set_namespace(content["metadata"]["name"], content["metadata"].get("labels", {}))
    for content in given("Nodes"):
        nodes.set_node(codec.from_builtins(Node, content))
    for content in given("Pods"):
        info = podinfo.of(codec.from_builtins(Pod, content))
        nodes.add_pod(info, info.node)
    return nodes


def scores_are_upstreams(pod: podinfo.PodInfo, nodes: NodeState, expected: dict[str, dict[str, int]]) -> None:
    """Each plugin's score, weight and all; what is the same on all nodes may be left out by us."""
    feasible = np.zeros(nodes.capacity, dtype=np.bool_)
    feasible[[nodes.rows[name] for name in expected]] = True
    for plugin, weight in SCORES:
        wanted = {name: scores.get(plugin.name, 0) for name, scores in expected.items()}
        found = plugin.score(pod, nodes, feasible)
        if found is None:
            assert len(set(wanted.values())) == 1, plugin.name
        else:
            assert {name: weight * found[nodes.rows[name]] for name in wanted} == wanted, plugin.name


def evictions_are_upstreams(
    pod: podinfo.PodInfo, nodes: NodeState, refused: Refused, budgets: Any, upstream: dict[str, Any]
) -> None:
    """On each node the same victims; of the nodes one that costs as little; else the same words."""
    found = {}
    for name, row in nodes.rows.items():
        only = np.zeros(nodes.capacity, dtype=np.bool_)
        only[row] = refused.helpful[row]
        candidate = choose(pod, nodes, only, budgets, random.Random(1)).candidate
        if candidate is not None:
            found[name] = candidate
    assert {
        name: {"Victims": [victim.pod.metadata.name for victim in one.victims], "Violations": one.violations}
        for name, one in found.items()
    } == upstream.get("Candidates", {})
    chosen, stay = choose(pod, nodes, refused.helpful, budgets, random.Random(1))
    if not found:
        assert chosen is None
        assert +stay == Counter(reason for reasons in upstream.get("Stay", {}).values() for reason in reasons)
        return
    assert chosen is not None
    assert cost(chosen) == cost(found[upstream["Best"]]) == min(cost(one) for one in found.values())


@pytest.mark.parametrize("line", range(len(RECORDED)), ids=[f"{one['about']}-{i}" for i, one in enumerate(RECORDED)])
def test_decisions_are_upstreams(line: int) -> None:
    scenario, upstream = RECORDED[line]["scenario"], RECORDED[line]["upstream"]
    nodes, pod = cluster(scenario), podinfo.of(codec.from_builtins(Pod, scenario["Pod"]))
    outcome = decide(pod, nodes, random.Random(1))
    if "Scores" in upstream:
        assert isinstance(outcome, Placed)
        assert outcome.feasible == len(upstream["Scores"])
        totals = {name: sum(scores.values()) for name, scores in upstream["Scores"].items()}
        assert totals[outcome.node] == max(totals.values())
        scores_are_upstreams(pod, nodes, upstream["Scores"])
        return
    assert isinstance(outcome, Refused)
    assert outcome.why == upstream["Message"]
    if not upstream.get("PreFilter"):
        budgets = [codec.from_builtins(PodDisruptionBudget, one) for one in scenario.get("Budgets", ())]
        evictions_are_upstreams(pod, nodes, outcome, budgets, upstream)


def test_every_kind_of_decision_is_recorded() -> None:
    kinds = Counter(
        "placed" if "Scores" in one["upstream"] else "evicted" if "Candidates" in one["upstream"] else "refused"
        for one in RECORDED
    )
    assert min(kinds["placed"], kinds["evicted"], kinds["refused"]) >= 10, kinds
