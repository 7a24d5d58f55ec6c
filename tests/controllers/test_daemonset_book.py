"""A book that is kept up node by node says what one made afresh says, whatever happens in between."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from msgspec.structs import replace

from kijabi.api.core.node import Node, Taint
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import PodCondition
from kijabi.api.meta import Time
from kijabi.controllers.daemonset import place
from kijabi.controllers.daemonset import pod as daemon
from kijabi.controllers.daemonset.book import Book, Terms, group
from kijabi.controllers.daemonset.place import View, features, reach
from kijabi.controllers.daemonset.plan import plan, status_of
from tests.controllers.test_daemonset_plan import NEW, OLD, a_node, daemon_set, on
from tests.controllers.things import NOW

NODES = tuple(f"n{number}" for number in range(6))
TAINTS = ((), (), (Taint(key="x", effect="NoSchedule"),), (Taint(key="x", effect="NoExecute"),))


class Cluster:
    """Nodes and pods that change by chance, and a book that is told on which node."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        surge = self.chance.choice((0, 1, "40%"))
        self.ds = daemon_set(surge=surge, down=0 if surge else self.chance.choice((1, "50%")))
        self.ds.spec.minReadySeconds = self.chance.choice((0, 20))
        self.now = NOW
        self.held = {name: NOW.timestamp() + self.chance.choice((0, 15)) for name in NODES}
        self.nodes: dict[str, Node] = {}
        self.pods: dict[str, Pod] = {}
        self.made = 0
        self.book = self.afresh()

    @property
    def view(self) -> View:
        now = self.now.timestamp()
        return View(self.ds, NEW, self.now, lambda name: max(0.0, self.held.get(name, 0.0) - now))

    def afresh(self) -> Book:
        book, owned = Book(Terms.of(self.view)), group(self.pods.values())
        book.judge(self.view, sorted({*self.nodes, *owned}), self.nodes.get, owned)
        return book

    def catch_up(self) -> None:
        self.book.judge(self.view, self.book.outdated(self.now), self.nodes.get, group(self.pods.values()))

    def happen(self) -> None:
        """One thing, of all that may."""
        name = self.chance.choice(NODES)
        match self.chance.randrange(7):
            case 0:
                self.nodes[name] = a_node(name, *self.chance.choice(TAINTS))
            case 1 if self.chance.random() < 0.3:
                self.nodes.pop(name, None)
            case 2 | 3:
                self.made += 1
                code, bound = self.chance.choice((NEW, OLD)), self.chance.random() < 0.8
                self.pods[f"p{self.made}"] = on(name, code, name=f"p{self.made}", bound=bound, age=self.made)
            case 4 | 5 if self.pods:
                pod = self.pods[self.chance.choice(sorted(self.pods))]
                name = daemon.target(pod)
                self.pods[pod.metadata.name] = self.changed(pod)
            case 6 if self.pods:
                name = daemon.target(self.pods.pop(self.chance.choice(sorted(self.pods))))
            case _:
                self.now += timedelta(seconds=self.chance.choice((1, 10)))
                return
        self.book.changed.add(name)

    def changed(self, pod: Pod) -> Pod:
        phase = self.chance.choice(("Running", "Running", "Failed", "Succeeded"))
        since = Time.of(self.now - timedelta(seconds=self.chance.choice((0, 5, 30))))
        ready = PodCondition(type="Ready", status=self.chance.choice(("True", "False")), lastTransitionTime=since)
        going = Time.of(self.now) if self.chance.random() < 0.2 else None
        return replace(
            pod,
            metadata=replace(pod.metadata, deletionTimestamp=going),
            status=replace(pod.status, phase=phase, conditions=(ready,)),
        )


@pytest.mark.parametrize("seed", range(30))
def test_a_book_kept_up_is_a_book_made_afresh(seed: int) -> None:
    cluster = Cluster(seed)
    for _ in range(150):
        cluster.happen()
        cluster.catch_up()
        kept, fresh = cluster.book, cluster.afresh()
        assert kept.places == fresh.places
        assert kept.kinds == fresh.kinds
        assert plan(cluster.view, kept) == plan(cluster.view, fresh)
        assert status_of(cluster.view, kept, 1) == status_of(cluster.view, fresh, 1)
        assert kept.turn(cluster.now) == fresh.turn(cluster.now)


def test_an_event_has_one_node_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster(1)
    cluster.nodes = {f"n{number}": a_node(f"n{number}") for number in range(300)}
    cluster.book = cluster.afresh()
    asked: list[str] = []
    right = place.belongs

    def belongs(ds: object, node: Node | None) -> tuple[bool, bool]:
        asked.append(node.metadata.name if node is not None else "")
        return right(cluster.ds, node)

    monkeypatch.setattr(place, "belongs", belongs)
    cluster.pods["p"] = on("n7", name="p")
    cluster.book.changed.add("n7")
    cluster.catch_up()
    assert asked == ["n7"]
    assert cluster.book.places["n7"].kind.oldest is not None


def test_a_clock_set_back_and_another_template_make_a_book_worthless() -> None:
    cluster = Cluster(2)
    view = cluster.view
    assert cluster.book.good(view)
    assert not cluster.book.good(view._replace(now=view.now - timedelta(seconds=1)))
    assert not cluster.book.good(view._replace(code=OLD))
    view.ds.metadata.generation += 1
    assert not cluster.book.good(view)


def test_a_held_pod_has_its_turn_however_short_the_wait() -> None:
    cluster = Cluster(3)
    cluster.nodes, cluster.pods = {"n1": a_node("n1")}, {"p": on("n1", phase="Failed", name="p")}
    owned = group(cluster.pods.values())
    cluster.book.judge(cluster.view._replace(held=lambda name: 1e-9), ["n1"], cluster.nodes.get, owned)
    assert not plan(cluster.view, cluster.book).failed
    assert 0 < (cluster.book.turn(NOW) or 0) < 1e-3
    cluster.now, cluster.held = NOW + timedelta(milliseconds=1), {}
    cluster.catch_up()
    assert [pod.metadata.name for pod in plan(cluster.view, cluster.book).failed] == ["p"]


def test_a_set_reaches_no_other_nodes_than_those_where_its_pods_may_be() -> None:
    ds, ssd, hdd = daemon_set(), a_node("a", disk="ssd", zone="z"), a_node("b", disk="hdd", zone="z")
    assert reach(ds)[0] in features(ssd)
    ds.spec.template.spec.nodeSelector = {"zone": "z", "disk": "ssd"}
    assert reach(ds)[0] in features(ssd)
    assert reach(ds)[0] not in features(hdd)
    ds.spec.template.spec.nodeName = "b"
    assert reach(ds)[0] in features(hdd)
    assert reach(ds)[0] not in features(ssd)
