"""Preemption for a whole pod group, the pure part: whom to evict so that all of it fits, or nobody.

`loop` asks `clear` when a group does not fit. All pods of lower priority are thought away, in the whole cluster, and
the group is placed as ever; if that does not do, nobody is evicted. Else those come back one by one who can stay beside
the group where it then is, the most important first. What pods take of nodes is thought away for all rows at once, with
`ranks`; only pods that matter to more than resources are taken off singly. Source: KEP-5710 and k8s.io/kubernetes
`pkg/scheduler/framework/preemption/podgrouppreemption.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.base.errors import KijabiError
from kijabi.scheduler.catalog import FILTERS
from kijabi.scheduler.decide import Promised, fits_on
from kijabi.scheduler.gangs import Outcome
from kijabi.scheduler.needs import Meant
from kijabi.scheduler.nodestate import PODS, NodeState
from kijabi.scheduler.plugins.noderesources import NodeResourcesFit
from kijabi.scheduler.plugins.volumerestrictions import disks_of
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.ranks import Ranks
from kijabi.scheduler.units import Unit, breaches, importance, priority_of, units

NO_VICTIMS = "No preemption victims found for incoming preemptor"

Place = Callable[[PodInfo, str], None]


class Clearing(NamedTuple):
    """Where the pods of the group go, and who leaves for them, the most important first.

    violations: how many of those are guarded by a budget that this breaks.
    """

    places: tuple[tuple[PodInfo, str], ...]
    victims: tuple[PodInfo, ...]
    violations: int


def clear(
    pods: Sequence[PodInfo],
    priority: int,
    nodes: NodeState,
    budgets: Sequence[PodDisruptionBudget],
    attempt: Callable[[], Outcome],
    take: Place,
    give: Place,
    promised: Callable[[PodInfo], Promised],
    ranks: Ranks | None = None,
) -> Clearing | Outcome | None:
    """Whom to evict for a group of this priority; what became of the attempt if it is too much; None if nobody may go.

    attempt: places the group, and counts it. take, give: see `decide_together`. promised: whom a pod must not displace.
    """
    low = [info for info in nodes.pods() if priority_of(info, nodes) < priority]
    if not low:
        return None
    concerned = _Concerned(pods, nodes)
    apart = {info.uid: (info, nodes.node_of(info.uid)) for info in low if concerned.by(info)}
    wholes = {unit.pods[0].group: unit for unit in units([info for info in low if info.group], nodes)}
    broken = breaches(low, nodes, budgets)
    alone, mine = _alone(pods, nodes), {pod.uid for pod in pods}
    ranks = ranks or Ranks(nodes)
    with nodes.missing([info for info, _ in apart.values()]), nodes.relieved(*ranks.below(priority)):
        outcome = attempt()
        if outcome.why:
            return outcome
        try:
            group = (_Beside if alone else _InTurn)(outcome.placed, nodes, take, give, promised)
            beside = (info for node in group.on for info in nodes.pods_on(node) if info.uid not in mine)
            here = [info for info in beside if priority_of(info, nodes) < priority]
            near = _near([*here, *(info for info, _ in apart.values())], nodes, wholes)
            return _reprieve(near, group, _Back(nodes, {uid: node for uid, (_, node) in apart.items()}), broken)
        except KijabiError as error:
            return Outcome([], {}, str(error), failed=True)
        finally:
            for pod, node in reversed(outcome.placed):
                give(pod, node)
            for uid in apart:
                nodes.remove_pod(uid)  # those that were put back


def _near(pods: Iterable[PodInfo], nodes: NodeState, wholes: Mapping[str, Unit]) -> list[Unit]:
    """The units of pods of which some may be thought away; all others could stay without being asked about."""
    found: dict[str, Unit] = {}
    for info in pods:
        terms = nodes.terms(info)
        unit = wholes[info.group] if terms is not None and terms.whole else units((info,), nodes)[0]
        found[unit.pods[0].uid] = unit
    return list(found.values())


def _reprieve(near: Iterable[Unit], group: _Beside, back: _Back, broken: Mapping[str, int]) -> Clearing:
    """Put those back who can stay beside the group."""
    victims: list[Unit] = []
    for unit in sorted(near, key=lambda one: (one.pods[0].uid not in broken, importance(one))):
        back.put(unit, 1)
        if not group.fits({back.where(info) for info in unit.pods}):
            back.put(unit, -1)
            victims.append(unit)
    leaving = tuple(info for unit in sorted(victims, key=importance) for info in unit.pods)
    return Clearing(tuple(group.placed), leaving, sum(broken.get(unit.pods[0].uid, 0) for unit in victims))


def _alone(pods: Sequence[PodInfo], nodes: NodeState) -> bool:
    """Whether nothing but resources depends on who else is there."""
    return all(
        isinstance(plugin, NodeResourcesFit) or plugin.trial(pod, nodes) is None for pod in pods for plugin in FILTERS
    )


class _Concerned:
    """Which other pods matter to the pods of a group beyond what they take of a node: to filters, and to scores."""

    def __init__(self, pods: Sequence[PodInfo], nodes: NodeState) -> None:
        self._namespaces = nodes.matchers.namespaces
        self._meant = {meant for pod in pods for meant in _meant(pod, nodes)}
        self._ports = any(pod.ports for pod in pods)
        self._volumes = any(pod.claims or disks_of(pod) for pod in pods)
        self._known: dict[object, bool] = {}

    def by(self, info: PodInfo) -> bool:
        """Whether this one does."""
        needs = info.needs
        if needs.near or needs.away or needs.wishes or (self._ports and info.ports):
            return True
        if self._volumes and (info.claims or disks_of(info)):
            return True
        if not self._meant:
            return False
        known = self._known.get(info.kind)
        if known is None:
            namespace, labels, _ = info.kind
            named = dict(labels)
            known = any(meant.has(namespace, named, self._namespaces) for meant in self._meant)
            self._known[info.kind] = known
        return known


def _meant(pod: PodInfo, nodes: NodeState) -> Iterable[Meant]:
    needs = pod.needs
    yield from (term.meant for term in (*needs.near, *needs.away))
    yield from (term.meant for _, term in needs.wishes)
    yield from (one.meant for one in (*needs.hard, *(needs.soft if needs.spreads else nodes.defaults(pod))))


class _Back:
    """Puts pods back that were thought away, and away again. apart: where those were that were taken off singly."""

    def __init__(self, nodes: NodeState, apart: Mapping[str, str]) -> None:
        self._nodes, self._apart = nodes, apart

    def single(self, info: PodInfo) -> bool:
        """Whether the pod was taken off singly."""
        return info.uid in self._apart

    def where(self, info: PodInfo) -> str:
        """The node that the pod is on in truth."""
        return self._apart.get(info.uid) or self._nodes.node_of(info.uid)

    def put(self, unit: Unit, sign: int) -> None:
        """Back (1), or away (-1)."""
        for info in unit.pods:
            if not self.single(info):
                self._nodes.weigh(info, sign)
            elif sign > 0:
                self._nodes.add_pod(info, self._apart[info.uid])
            else:
                self._nodes.remove_pod(info.uid)


class _Beside:
    """A group on its nodes, to whose pods nothing but resources matters: all are looked at together, node by node."""

    def __init__(
        self,
        placed: Sequence[tuple[PodInfo, str]],
        nodes: NodeState,
        take: Place,
        give: Place,
        promised: Callable[[PodInfo], Promised],
    ) -> None:
        self.placed, self.nodes, self.take, self.give, self.promised = placed, nodes, take, give, promised
        self.on: dict[str, set[str]] = {}
        for pod, node in placed:
            self.on.setdefault(node, {PODS}).update(name for name, amount in pod.requests.items() if amount)

    def fits(self, where: Iterable[str]) -> bool:
        """Whether the group still fits, now that somebody is back on these nodes."""
        promised = self.promised(self.placed[0][0])  # all have the same priority
        return all(self._enough(node, promised) for node in where if node in self.on)

    def _enough(self, node: str, promised: Promised) -> bool:
        nodes, row = self.nodes, self.nodes.rows[node]
        for name in self.on[node]:
            room = nodes.allocatable.get(name)
            held = sum(1 if name == PODS else one.requests.get(name, 0) for one, there in promised if there == node)
            if nodes.requested[name][row] + held > (room[row] if room is not None else 0):
                return False
        return True


class _InTurn(_Beside):
    """A group on its nodes, to whose pods others matter, also elsewhere: one after the other is looked at anew."""

    def fits(self, where: Iterable[str]) -> bool:
        """Whether each of the group still fits, with those before it there."""
        for pod, node in reversed(self.placed):
            self.give(pod, node)
        fits = True
        for pod, node in self.placed:  # all are there again in the end
            fits = fits and fits_on(pod, node, self.nodes, self.promised(pod))
            self.take(pod, node)
        return fits
