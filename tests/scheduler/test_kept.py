"""A node state that has lived through changes scores and counts as a new one that has the same nodes and pods."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from kijabi.api.core.node import Node
from kijabi.scheduler import nodestate, podinfo
from kijabi.scheduler.catalog import FILTERS, SCORES
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo
from tests.scheduler.test_decide import node, pod

TERM = {"labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "zone"}
SPECS: tuple[dict[str, Any], ...] = (
    {},
    {"ports": (80,)},
    {"topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", **TERM}]},
    {"topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway", **TERM}]},
    {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]}}},
    {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [TERM]}}},
    {
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 7, "podAffinityTerm": TERM}]
            }
        }
    },
)


def some_pod(rng: random.Random, name: str) -> PodInfo:
    spec = rng.choice(SPECS)
    made = pod(name, cpu=rng.choice(("", "500m", "1")), memory=rng.choice(("", "1Gi")), **spec)
    made.metadata.labels = {"app": rng.choice("ab")}
    return podinfo.of(made)


def seen(who: PodInfo, nodes: NodeState) -> dict[str, object]:
    """What filters and scores say of each node, by name."""
    found: dict[str, object] = {}
    for plugin in FILTERS:
        for rows, reason, final in plugin.filter(who, nodes):
            names = sorted(name for name, row in nodes.rows.items() if rows[row])
            found[f"{plugin.name} {reason} {final}"] = names
    feasible = nodes.live.copy()
    for score, _ in SCORES if feasible.any() else ():  # nobody asks a score about no node
        column = score.score(who, nodes, feasible)
        if column is not None and len(set(column[feasible].tolist())) > 1:
            found[score.name] = {name: float(column[row]) for name, row in sorted(nodes.rows.items())}
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize("seed", range(25))
def test_as_if_it_were_new(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodestate, "LONGEST_LOG", 40)
    rng = random.Random(seed)
    old, asked = NodeState(2), [some_pod(rng, f"asked{i}") for i in range(6)]
    nodes: dict[str, Node] = {}
    pods: dict[str, tuple[PodInfo, str]] = {}
    for step in range(150):
        choice = rng.random()
        name = f"n{rng.randrange(25)}"
        if choice < 0.2:
            labels = {"zone": rng.choice("xyz")} if rng.random() < 0.9 else {}
            nodes[name] = node(name, cpu=rng.choice("248"), labels=labels)
            old.set_node(nodes[name])
        elif choice < 0.25 and nodes:
            gone = rng.choice(sorted(nodes))
            old.remove_node(gone)
            del nodes[gone]
        elif choice < 0.4 and pods:
            uid = rng.choice(sorted(pods))
            old.remove_pod(uid)
            del pods[uid]
        else:
            made = some_pod(rng, f"p{rng.randrange(60)}")
            pods[made.uid] = (made, name)
            old.add_pod(made, name)
        if step % 5:
            continue
        new = NodeState(64)
        for each in nodes.values():
            new.set_node(each)
        for info, where in pods.values():
            new.add_pod(info, where)
        for who in asked:
            assert seen(who, old) == seen(who, new)
        held = {name: float(old.requested["cpu"][row]) for name, row in old.rows.items()}
        assert held == {name: float(new.requested["cpu"][row]) for name, row in new.rows.items()}
        assert not np.any(old.requested["cpu"][~old.live])
