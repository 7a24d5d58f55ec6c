"""What Kubernetes' own controllers (v1.37) made of random worlds, made by ours; see `recorded.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pytest

from kijabi.api import codec
from kijabi.api.apps.daemonset import DaemonSet
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.controllers.cronjob import CronJobs
from kijabi.controllers.daemonset.controller import DaemonSets
from kijabi.controllers.deployment.controller import Deployments
from kijabi.controllers.deployment.revision import template_hash
from kijabi.controllers.disruption import Disruptions
from kijabi.controllers.job.controller import Jobs
from kijabi.controllers.replicaset import ReplicaSets
from kijabi.controllers.replicationcontroller import ReplicationControllers
from kijabi.controllers.revisions import data_of, hash_of
from kijabi.controllers.runtime import Context, Controller
from kijabi.controllers.statefulset.controller import StatefulSets
from tests.controllers.recorded import Codes, lines, no_codes, replay

COLLISIONS = 2


class Played(NamedTuple):
    """A controller of ours, and how it names what it derives from a template.

    looks: it wants to look again when upstream's does; else it may do so at another time.
    """

    make: Callable[[Context], Controller]
    codes: Codes = no_codes
    looks: bool = True


def of_sets(objects: Mapping[str, Any]) -> Iterable[str]:
    """The names of a Deployment's ReplicaSets."""
    d = codec.from_builtins(Deployment, objects["Deployment"][0])
    counted = d.status.collisionCount or 0
    return [template_hash(d.spec.template, counted + more or None) for more in range(COLLISIONS)]


def of_revisions(cls: type[StatefulSet] | type[DaemonSet]) -> Codes:
    """The names of the revisions of a StatefulSet or DaemonSet."""

    def codes(objects: Mapping[str, Any]) -> Iterable[str]:
        owner = codec.from_builtins(cls, objects[cls.__name__][0])
        counted = owner.status.collisionCount or 0
        return [hash_of(data_of(owner.spec.template), counted + more) for more in range(COLLISIONS)]

    return codes


PLAYED = {
    "deployment": Played(Deployments, of_sets, looks=False),
    "replicaset": Played(ReplicaSets),
    "replicationcontroller": Played(ReplicationControllers),
    "statefulset": Played(StatefulSets, of_revisions(StatefulSet)),
    "daemonset": Played(DaemonSets, of_revisions(DaemonSet)),
    "job": Played(Jobs),
    "cronjob": Played(CronJobs),
    "poddisruptionbudget": Played(Disruptions),
}


RECORDED = [(name, number) for name in PLAYED for number in range(len(lines(name)))]


@pytest.mark.parametrize(("name", "number"), RECORDED, ids=[f"{name}-{number + 1}" for name, number in RECORDED])
def test_a_world_becomes_what_it_becomes_upstream(name: str, number: int) -> None:
    played = PLAYED[name]
    line = lines(name)[number]
    found = replay(line["world"], played.make, played.codes)
    if not played.looks:
        found.pop("again", None)
    assert found == line["upstream"]


@pytest.mark.parametrize("name", PLAYED)
def test_the_worlds_of_a_controller_differ(name: str) -> None:
    """A recording in which nothing changes, nobody fails or nobody is told would prove little."""
    upstream = [line["upstream"] for line in lines(name)]
    assert len(upstream) >= 15
    assert sum("changed" in one for one in upstream) >= 10
    assert len({event.split()[1] for one in upstream for event in one.get("events", ())}) >= 2
