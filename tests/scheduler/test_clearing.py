"""Whom to evict for a whole gang, over whole node states; and what pods of groups are to preemption by single pods."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from kijabi.api.core.pod import Pod, PodSchedulingGroup
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.base.errors import KijabiError
from kijabi.scheduler import podinfo
from kijabi.scheduler.clearing import Clearing, clear
from kijabi.scheduler.decide import decide, fits_on
from kijabi.scheduler.gangs import Outcome, decide_together
from kijabi.scheduler.nodestate import NodeState, Terms
from kijabi.scheduler.plugins.noderesources import NodeResourcesFit
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.ranks import Ranks
from kijabi.scheduler.units import breaches, importance, units
from tests.scheduler.test_decide import node, pod, state
from tests.scheduler.test_preempt import budget, evict, running

APART = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": "a"}}, "topologyKey": "zone"}
        ]
    }
}


def member(nodes: NodeState, where: str, name: str, of: str, *, priority: int = 0, started: int = 0) -> None:
    """A pod of a group that runs on a node."""
    running(nodes, where, name, priority=priority, started=started)
    info = nodes.get_pod(name)
    assert info is not None
    info.pod.spec.schedulingGroup = PodSchedulingGroup(podGroupName=of)
    nodes.add_pod(podinfo.of(info.pod), where)


class Gang:
    """A gang that waits, and what preemption finds for it. fails: the pod that cannot get what it needs besides."""

    def __init__(self, nodes: NodeState, pods: Sequence[Pod], least: int, fails: str = "") -> None:
        self.nodes, self.least, self.fails = nodes, least, fails
        self.pods = [podinfo.of(one) for one in pods]
        self.rng = random.Random(1)

    def take(self, info: PodInfo, where: str) -> None:
        if info.uid == self.fails:
            raise KijabiError("the disk is gone")
        self.nodes.add_pod(info, where)

    def give(self, info: PodInfo, where: str) -> None:
        self.nodes.remove_pod(info.uid)

    def attempt(self) -> Outcome:
        return decide_together(
            self.pods, self.least, 0, lambda info: decide(info, self.nodes, self.rng), self.take, self.give
        )

    def clear(self, *budgets: PodDisruptionBudget, priority: int = 10) -> Clearing | Outcome | None:
        return clear(self.pods, priority, self.nodes, budgets, self.attempt, self.take, self.give, lambda info: ())

    def slowly(self, at: dict[str, str], *budgets: PodDisruptionBudget, priority: int = 10) -> set[str]:
        """The victims for a gang on these nodes, found by really taking each pod off and trying it back."""
        low = [unit for unit in units(list(self.nodes.pods()), self.nodes) if unit.priority < priority]
        broken = breaches([info for unit in low for info in unit.pods], self.nodes, budgets)
        home = {info.uid: self.nodes.node_of(info.uid) for unit in low for info in unit.pods}
        victims: set[str] = set()
        with ExitStack() as stack:
            stack.enter_context(self.nodes.missing([info for unit in low for info in unit.pods]))
            for unit in sorted(low, key=lambda one: (one.pods[0].uid not in broken, importance(one))):
                for info in unit.pods:
                    self.nodes.add_pod(info, home[info.uid])
                fits = True
                with ExitStack() as placed:
                    for info in self.pods:
                        if info.uid in at:
                            fits = fits and fits_on(info, at[info.uid], self.nodes, ())
                            placed.enter_context(self.nodes.supposed([(info, at[info.uid])]))
                if not fits:
                    victims |= {info.uid for info in unit.pods}
                    for info in unit.pods:
                        self.nodes.remove_pod(info.uid)
        return victims


def names(found: Clearing | Outcome | None) -> list[str]:
    assert isinstance(found, Clearing), found
    return [one.pod.metadata.name for one in found.victims]


def columns(nodes: NodeState) -> dict[str, list[float]]:
    """What of a node state must be as before."""
    found = {name: column.tolist() for name, column in nodes.requested.items()}
    return found | {"score": NodeResourcesFit().score(podinfo.of(pod("one", cpu="1")), nodes, nodes.live).tolist()}


def some_pod(rng: random.Random, name: str, *, rich: bool) -> Pod:
    made = pod(name, cpu=rng.choice("12"), ports=(80,) if rich and rng.random() < 0.3 else ())
    made.metadata.labels = {"app": rng.choice("ab")}
    made.spec.priority = rng.choice((0, 0, 5, 8, 20))
    if rich and rng.random() < 0.2:
        made.spec.affinity = pod(affinity=APART).spec.affinity
    if rng.random() < 0.5:
        made.spec.schedulingGroup = PodSchedulingGroup(podGroupName=f"g{rng.randrange(3)}")
    return made


@pytest.mark.parametrize("rich", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_all_thought_away_at_once_is_as_one_by_one(seed: int, rich: bool) -> None:
    rng = random.Random(seed)
    labels = ({"zone": "x"}, {"zone": "y"})
    nodes = state(
        *(node(f"n{i}", cpu=rng.choice("246"), pods=rng.choice("46"), labels=labels[i % 2]) for i in range(5))
    )
    for number in range(3):
        nodes.set_group(f"default/g{number}", Terms(rng.choice((0, 5, 8)), whole=rng.random() < 0.5))
    for number in range(25):
        info = podinfo.of(some_pod(rng, f"p{number}", rich=rich))
        where = f"n{rng.randrange(5)}"
        if fits_on(info, where, nodes, ()):
            nodes.add_pod(info, where)
    first = some_pod(rng, "w", rich=rich)
    first.spec.schedulingGroup = None
    waiting = []
    for number in range(rng.randint(1, 5)):
        one = pod(f"w{number}", cpu=rng.choice("123"))  # the score of those that ask for 1 is kept meanwhile
        one.metadata.labels, one.spec.affinity = first.metadata.labels, first.spec.affinity
        waiting.append(one)
    gang = Gang(nodes, waiting, len(waiting) - rng.randrange(2) or 1)
    budgets = [budget(rng.randrange(2), app="a")] if rng.random() < 0.5 else []
    before = columns(nodes)
    found = gang.clear(*budgets)
    assert columns(nodes) == before
    if isinstance(found, Clearing):
        at = {info.uid: where for info, where in found.places}
        assert set(names(found)) == gang.slowly(at, *budgets)
        assert all(nodes.get_pod(uid) is not None for uid in names(found)), "it was only thought"
        assert columns(nodes) == before


def test_a_gang_goes_whole_if_it_says_so_wherever_its_pods_are() -> None:
    nodes = state(node("a", cpu="1"), node("b", cpu="1"), node("c", cpu="1", unschedulable=True))
    for where in "abc":
        member(nodes, where, f"g-{where}", "g", started=ord(where) - 90)
    nodes.set_group("default/g", Terms(0, whole=True))
    waiting = pod("w", cpu="1", priority=10)
    assert names(Gang(nodes, [waiting], 1).clear()) == ["g-a", "g-b", "g-c"]
    found = evict(waiting, nodes)
    assert found is not None
    assert found[1] == ["g-a", "g-b", "g-c"]
    nodes.set_group("default/g", Terms(0, whole=False))
    assert evict(waiting, nodes) == ("b", ["g-b"]), "the younger of those that may go"
    nodes.set_group("default/g", Terms(10, whole=True))
    assert evict(waiting, nodes) is None, "the priority of the group counts"
    assert Gang(nodes, [waiting], 1).clear() is None
    nodes.set_group("default/g", None)
    assert evict(waiting, nodes) == ("b", ["g-b"]), "a group that is gone makes nothing of its pods"


def test_those_of_a_whole_that_are_elsewhere_may_be_what_is_in_the_way() -> None:
    zone = {"zone": "x"}
    nodes = state(node("a", cpu="1", labels=zone), node("b", labels=zone, unschedulable=True))
    member(nodes, "a", "g-a", "g")
    running(nodes, "b", "g-b", labels={"app": "a"})
    waiting = pod("w", cpu="1", priority=10, affinity=APART)
    assert evict(waiting, nodes) is None, "the pod on b keeps it away from the zone"
    info = nodes.get_pod("g-b")
    assert info is not None
    info.pod.spec.schedulingGroup = PodSchedulingGroup(podGroupName="g")
    nodes.add_pod(podinfo.of(info.pod), "b")
    nodes.set_group("default/g", Terms(0, whole=True))
    assert evict(waiting, nodes) == ("a", ["g-a", "g-b"])
    assert names(Gang(nodes, [waiting], 1).clear()) == ["g-a", "g-b"]


def test_of_equals_the_pod_of_no_group_goes_then_the_smaller_group() -> None:
    nodes = state(node("a", cpu="4"))
    member(nodes, "a", "large-0", "large", started=9)
    member(nodes, "a", "large-1", "large", started=9)
    member(nodes, "a", "small-0", "small", started=1)
    running(nodes, "a", "lone", started=0)
    for name in ("large", "small"):
        nodes.set_group(f"default/{name}", Terms(0, whole=True))
    assert evict(pod("w", cpu="1", priority=10), nodes) == ("a", ["lone"])
    assert evict(pod("w", cpu="2", priority=10), nodes) == ("a", ["small-0", "lone"])
    assert names(Gang(nodes, [pod("w", cpu="2")], 1).clear()) == ["small-0", "lone"]


def test_the_oldest_of_the_dearest_counts_wherever_it_stands_among_the_victims() -> None:
    """Pods of groups come before older ones that are in none; of two nodes the one goes whose oldest is the younger."""
    nodes = state(node("a", cpu="2"), node("b", cpu="2"))
    nodes.groups = {}
    running(nodes, "a", "a-lone", started=1)
    member(nodes, "a", "a-group", "g", started=9)
    running(nodes, "b", "b-lone", started=2)
    member(nodes, "b", "b-group", "g", started=3)
    assert evict(pod("w", cpu="2", priority=10), nodes) == ("b", ["b-group", "b-lone"])


def test_a_pod_of_a_group_that_goes_pod_by_pod_stays_before_one_of_no_group() -> None:
    nodes = state(node("a", cpu="2"))
    nodes.groups = {}
    running(nodes, "a", "lone", started=0)
    member(nodes, "a", "g-0", "g", started=9)
    assert evict(pod("w", cpu="1", priority=10), nodes) == ("a", ["lone"]), "the older, and the group is not even there"
    nodes.groups = None
    assert evict(pod("w", cpu="1", priority=10), nodes) == ("a", ["g-0"]), "where there are no groups age decides"


def test_a_budget_is_broken_by_all_pods_of_a_whole_at_once() -> None:
    nodes = state(node("a", cpu="2"), node("b", cpu="2"))
    for where in "ab":
        running(nodes, where, f"other-{where}", priority=5)
        running(nodes, where, f"g-{where}", labels={"app": "db"})
        info = nodes.get_pod(f"g-{where}")
        assert info is not None
        info.pod.spec.schedulingGroup = PodSchedulingGroup(podGroupName="g")
        nodes.add_pod(podinfo.of(info.pod), where)
    nodes.set_group("default/g", Terms(0, whole=True))
    gang = Gang(nodes, [pod("w", cpu="1")], 1)
    assert names(gang.clear(budget(2, app="db"))) == ["g-a", "g-b"]
    kept = gang.clear(budget(1, app="db"))
    assert len(names(kept)) == 1, "one of the whole would break it, so all of it stays"
    assert isinstance(kept, Clearing)
    assert kept.violations == 0
    nodes.remove_pod("other-a")
    nodes.remove_pod("other-b")
    forced = Gang(nodes, [pod("w", cpu="2")], 1).clear(budget(0, app="db"))
    assert names(forced) == ["g-a", "g-b"]
    assert isinstance(forced, Clearing)
    assert forced.violations == 2


def test_an_error_with_one_pod_evicts_nobody() -> None:
    nodes = state(node("a", cpu="1"))
    running(nodes, "a", "low")
    before = columns(nodes)
    found = Gang(nodes, [pod("w", cpu="1")], 1, fails="w").clear()
    assert isinstance(found, Outcome)
    assert (found.why, found.failed) == ("failed to schedule other pod from a pod group: the disk is gone", True)
    assert columns(nodes) == before


def test_what_ranks_say_is_below_a_priority() -> None:
    nodes = state(node("a"), node("b"))
    running(nodes, "a", "low", cpu="1")
    running(nodes, "a", "high", cpu="2", priority=9)
    member(nodes, "b", "g", "g", priority=9)
    nodes.set_group("default/g", Terms(3, whole=False))
    requested, nonzero = Ranks(nodes).below(9)
    rows = [nodes.rows[name] for name in "ab"]
    assert requested["cpu"][rows].tolist() == [1000, 1000]
    assert requested["pods"][rows].tolist() == [1, 1]
    assert nonzero["cpu"][rows].tolist() == [1000, 1000]
