"""Pods that find their places together: who is in which PodGroup, and one decision for all pods of a group.

`loop` tells of every pod that names a group, lets only those into the queue whose group is complete, and hands all
pods of a group over at once when one of them is next. A gang is placed whole or not at all, so that two gangs never
hold half of the room each; a basic group is one with a least number of one. Sources: KEP-4671, and upstream's
`pkg/scheduler/schedule_one_podgroup.go` for the words.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from kijabi.api.core.pod import Pod
from kijabi.api.meta import Condition, time_now
from kijabi.api.scheduling.podgroup import INITIALLY_SCHEDULED, PodGroup
from kijabi.base.backoff import Backoff
from kijabi.base.errors import ApiError, ConnectionLost, KijabiError, NotFound
from kijabi.client import discovery
from kijabi.client.client import Client
from kijabi.client.informer import Informer, Informers
from kijabi.scheduler import podinfo
from kijabi.scheduler.catalog import FILTERS
from kijabi.scheduler.decide import Placed, Refused
from kijabi.scheduler.framework import Change, Event, Filter, Static
from kijabi.scheduler.nodestate import NodeState, Terms
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.queue import SchedulingQueue

log = logging.getLogger(__name__)

UNSCHEDULABLE, SCHEDULER_ERROR, SCHEDULED = "Unschedulable", "SchedulerError", "Scheduled"
GROUP_UNSCHEDULABLE = "pod group is unschedulable"
CLAIMS_DONE = "deallocation and deletion of ResourceClaims completed"  # upstream says so of groups without claims too


class Outcome(msgspec.Struct):
    """What became of a group: the pods that go to a node, and why each other pod does not.

    placed: empty if the group's policy cannot be met. why: then the words for the group, else empty. failed: it was an
    error, and trying again is all that helps. fitted: pods that would have had a place, had there been enough.
    """

    placed: list[tuple[PodInfo, str]]
    refused: dict[str, str]
    why: str = ""
    failed: bool = False
    fitted: frozenset[str] = frozenset()

    def with_preemption(
        self, words: str, *, waiting: bool = False, final: bool = False, failed: bool = False
    ) -> Outcome:
        """The same after preemption was tried, with what came of it. waiting: there will be room; final: never."""
        words = f"pod group preemption: {words}"
        if failed:
            why = f'error in "DefaultPreemption" PodGroupPostFilter plugins: {words}'
            return Outcome([], dict.fromkeys(self.refused, why), why, failed=True)
        why = ", ".join((self.why, *(() if waiting or final else (CLAIMS_DONE,)), words))
        told = why if waiting else f"{GROUP_UNSCHEDULABLE}, {why}"
        refused = {uid: told if uid in self.fitted else said for uid, said in self.refused.items()}
        return Outcome([], refused, why, fitted=self.fitted)


class _Shortfall(Exception):
    """The group cannot have enough pods with a node."""


def decide_together(
    pods: Sequence[PodInfo],
    least: int,
    scheduled: int,
    choose: Callable[[PodInfo], Placed | Refused],
    take: Callable[[PodInfo, str], None],
    give: Callable[[PodInfo, str], None],
) -> Outcome:
    """Place the pods one after the other, each as if those before it were there; all of them go back if too few fit.

    least, scheduled: how many must have a node, and how many have one already. choose: the decision for one pod. take,
    give: count a pod on a node, and undo that; `take` may raise KijabiError.
    """
    placed: list[tuple[PodInfo, str]] = []
    refused: dict[str, str] = {}
    why, failed = _short(least, scheduled, len(pods)), False
    words = f"{GROUP_UNSCHEDULABLE}, {why}" if why else ""
    for left, pod in enumerate(pods, 1 - len(pods)):
        if why:
            break
        match choose(pod):
            case Placed(node=node):
                try:
                    take(pod, node)
                except KijabiError as error:
                    refused[pod.uid] = str(error)
                    why = words = f"failed to schedule other pod from a pod group: {error}"
                    failed = True
                    break
                placed.append((pod, node))
            case Refused() as answer:
                refused[pod.uid] = answer.why
        why = words = _short(least, scheduled + len(placed), -left)
    if not why and not placed:
        why = words = GROUP_UNSCHEDULABLE
    if not why:
        return Outcome(placed, refused)
    for pod, node in reversed(placed):
        give(pod, node)
        told = words if words.startswith(GROUP_UNSCHEDULABLE) or failed else f"{GROUP_UNSCHEDULABLE}, {words}"
        refused[pod.uid] = told
    fitted = frozenset(pod.uid for pod, _ in placed)
    return Outcome([], {pod.uid: refused.get(pod.uid, words) for pod in pods}, words, failed, fitted)


def _short(least: int, scheduled: int, left: int) -> str:
    if scheduled + left >= least:
        return ""
    return f"minCount ({least}) cannot be satisfied: {scheduled} scheduled, {left} remaining"


def least_of(group: PodGroup) -> int:
    """How many pods of the group must have a node before any gets one."""
    gang = group.spec.schedulingPolicy.gang
    return gang.minCount if gang is not None else 1


def priority_of(group: PodGroup) -> int:
    """With what the group preempts others, and its pods withstand that."""
    return group.spec.priority or 0


def terms_of(group: PodGroup) -> Terms:
    """What a group means to preemption."""
    mode = group.spec.disruptionMode
    return Terms(priority_of(group), whole=mode is not None and mode.all is not None)


def never_preempts(pods: Sequence[PodInfo]) -> bool:
    """Whether the group is not to take the place of others."""
    return any(info.pod.spec.preemptionPolicy == "Never" for info in pods)


def mismatch(group: PodGroup, pods: Sequence[PodInfo]) -> str:
    """Why these pods cannot be one group, or empty; those that are to be placed come first."""
    name, policy = pods[0].pod.spec.schedulerName, _policy(pods[0])
    same = "all pods in a single pod group should have the same"
    for info in pods:
        spec = info.pod.spec
        if spec.schedulerName != name:
            return f'{same} .spec.schedulerName set, got: "{spec.schedulerName}" and "{name}"'
        if info.priority != priority_of(group):
            return f"{same} priority as the pod group's priority, got {info.priority} and {priority_of(group)}"
        if _policy(info) != policy:
            return f"{same} preemption policy, got {_policy(info)} and {policy}"
    return ""


def _policy(info: PodInfo) -> str:
    return info.pod.spec.preemptionPolicy or "PreemptLowerPriority"


class _Joined(Static):
    """Not a filter of nodes: what else a group waits for, a new member or a smaller least number."""

    name = "GangScheduling"
    wakes = Change.GROUP

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[object]:
        """See Filter."""
        return ()

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: it is about the pod's own group."""
        return bool(event.new == pod.group)


# Where one pod of a group can go depends on all others: what any filter waits for, for any pod of it, may help.
BLAMED: tuple[Filter, ...] = (*FILTERS, _Joined())  # type: ignore[arg-type]
WAKES = Change.NODE_ADDED
for _each in BLAMED:
    WAKES |= _each.wakes


class Gangs:
    """The pods of each group, and the groups themselves where the server has such a kind.

    Until that is known, pods that name a group wait. `start` finds out; if there are no groups the pods go on as any
    others.
    """

    def __init__(self, client: Client, informers: Informers, nodes: NodeState, queue: SchedulingQueue) -> None:
        self._client = client
        self._informers = informers
        self._nodes = nodes
        self._queue = queue
        self._groups: Informer[PodGroup] | None = None
        self._off = False
        self._pods: dict[str, dict[str, PodInfo]] = {}  # a group: its pods by uid, with a node or without
        self._group: dict[str, str] = {}  # a pod's uid: its group
        self._held: set[str] = set()  # pods with scheduling gates, for which their group waits
        self._told: set[str] = set()  # groups, by uid, of which it was said that they are scheduled
        self._telling: dict[str, Condition | None] = {}  # a group: what is to be written next, None while nothing is

    async def start(self) -> None:
        """Ask the server whether it has groups, and follow them if so."""
        backoff = Backoff(first=0.1, most=5.0)
        while True:
            try:
                served = await discovery.serves(self._client, PodGroup)
                break
            except (ApiError, ConnectionLost) as error:
                wait = backoff.next()
                log.info("no discovery yet", extra={"error": str(error), "retry_in": round(wait, 3)})
                await asyncio.sleep(wait)
        if served:
            self._nodes.groups = {}
            self._groups = self._informers.of(PodGroup)
            self._groups.add_handler(self._on_group)
            await self._groups.wait_synced()
            return
        self._off = True
        for members in self._pods.values():
            for info in members.values():
                if info.uid not in self._held and not self._nodes.node_of(info.uid):
                    self._queue.add(info)
        self._pods.clear()
        self._group.clear()
        self._held.clear()

    # ---- who is in a group

    def admit(self, info: PodInfo) -> bool:
        """A pod without a node: whether it may be in the queue now. If it completes its group, the others go in too."""
        key = info.group
        if not key or self._off:
            return True
        return self._join(key, info, freed=self._free(info.uid))

    def hold(self, pod: Pod) -> None:
        """A pod with scheduling gates: it counts, and its group waits until it has none."""
        key = podinfo.group_of(pod)
        if key and not self._off:
            self._held.add(pod.metadata.uid)
            self._join(key, podinfo.of(pod))

    def placed(self, pod: Pod) -> None:
        """A pod has a node."""
        key = podinfo.group_of(pod)
        if key and not self._off:
            self._free(pod.metadata.uid)
            if pod.metadata.uid not in self._group:
                self._join(key, podinfo.of(pod))

    def forget(self, uid: str) -> None:
        """A pod has ended, or is gone, or is none of ours."""
        key = self._group.pop(uid, "")
        freed = self._free(uid)
        if not key:
            return
        del self._pods[key][uid]
        if not self._pods[key]:
            del self._pods[key]
        elif not self._ready(key):
            self._withhold(key)
        elif freed:
            self._wake(key)

    def _free(self, uid: str) -> bool:
        """A pod has no scheduling gates; whether it had."""
        held = uid in self._held
        self._held.discard(uid)
        return held

    def _join(self, key: str, info: PodInfo, *, freed: bool = False) -> bool:
        members = self._pods.setdefault(key, {})
        news = freed or info.uid not in members
        members[info.uid] = info
        self._group[info.uid] = key
        ready = self._ready(key)
        if not ready:
            self._withhold(key)
        elif news:
            self._wake(key)
        return ready

    def _ready(self, key: str) -> bool:
        group = self._groups.get(key) if self._groups is not None else None
        members = self._pods.get(key, {})
        if group is None or len(members) < least_of(group):
            return False
        return not self._held or self._held.isdisjoint(members)

    def _wake(self, key: str) -> None:
        """A group has become worth a try."""
        for info in self._waiting(key):
            if info.uid not in self._queue:
                self._queue.add(info)
        self._queue.changed(Event(Change.GROUP, None, key))

    def _withhold(self, key: str) -> None:
        """A group is not worth a try any more: its pods are not in the queue, and no promise to them counts."""
        for info in self._waiting(key):
            self._queue.remove(info.uid)

    def _waiting(self, key: str) -> list[PodInfo]:
        members = self._pods.get(key, {}).values()
        return [info for info in members if not self._nodes.node_of(info.uid) and info.uid not in self._held]

    def _on_group(self, old: PodGroup | None, new: PodGroup | None) -> None:
        """Only what can help wakes a group; not the conditions that are written here."""
        meta = (new or old).metadata  # type: ignore[union-attr]
        self._nodes.set_group(f"{meta.namespace}/{meta.name}", terms_of(new) if new is not None else None)
        if new is None and old is not None:
            self._told.discard(old.metadata.uid)
        if new is not None and old is not None and least_of(new) == least_of(old):
            return
        key = f"{meta.namespace}/{meta.name}"
        if not self._ready(key):
            self._withhold(key)
        elif new is not None and (old is None or least_of(new) < least_of(old)):
            self._wake(key)

    # ---- decisions

    def grouped(self, info: PodInfo) -> bool:
        """Whether a pod out of the queue is to be decided with others."""
        return info.uid in self._group

    def decide(
        self,
        info: PodInfo,
        choose: Callable[[PodInfo], Placed | Refused],
        take: Callable[[PodInfo, str], None],
        give: Callable[[PodInfo, str], None],
    ) -> tuple[list[PodInfo], Outcome]:
        """Take all waiting pods of a pod's group out of the queue, and decide. No pods: the group is not complete."""
        key = self._group[info.uid]
        group = self._groups.get(key) if self._groups is not None else None
        if group is None or not self._ready(key):
            self._withhold(key)  # it was complete when they came in
            return [], Outcome([], {})
        waiting = self._waiting(key)
        for each in waiting:
            if each.uid not in self._queue:
                self._queue.add(each)
            self._queue.take(each.uid)
        there = [each for each in self._pods[key].values() if self._nodes.node_of(each.uid)]
        wrong = mismatch(group, [*waiting, *there])
        if wrong:
            return waiting, Outcome([], {each.uid: wrong for each in waiting}, wrong, failed=True)
        return waiting, self.attempt(waiting, choose, take, give)

    def group(self, info: PodInfo) -> PodGroup | None:
        """The group of a pod, if it is there."""
        return self._groups.get(info.group) if self._groups is not None else None

    def attempt(
        self,
        waiting: Sequence[PodInfo],
        choose: Callable[[PodInfo], Placed | Refused],
        take: Callable[[PodInfo, str], None],
        give: Callable[[PodInfo, str], None],
    ) -> Outcome:
        """Place the waiting pods of one group, which is there."""
        group = self.group(waiting[0])
        assert group is not None, "the group of pods that are decided on is known"
        there = sum(1 for uid in self._pods[waiting[0].group] if self._nodes.node_of(uid))
        return decide_together(waiting, least_of(group), there, choose, take, give)

    # ---- what is told of a group

    def untold(self) -> list[PodInfo]:
        """A pod each of the groups that are complete, of which nobody lived to say so."""
        return [
            next(iter(members.values()))
            for key, members in self._pods.items()
            if self._ready(key) and all(self._nodes.node_of(uid) for uid in members)
        ]

    def condition(self, key: str, outcome: Outcome) -> Condition | None:
        """The condition that a group is to get, None if the one it has is right. Once true it stays true."""
        group = self._groups.get(key) if self._groups is not None else None
        if group is None:
            return None
        reason = SCHEDULER_ERROR if outcome.failed else UNSCHEDULABLE if outcome.why else SCHEDULED
        made = Condition(
            type=INITIALLY_SCHEDULED,
            status="False" if outcome.why else "True",
            observedGeneration=group.metadata.generation,
            lastTransitionTime=time_now(),
            reason=reason,
            message=outcome.why,
        )
        if made.status == "True":
            self._told.add(group.metadata.uid)
        elif group.metadata.uid in self._told:
            return None
        had = next((each for each in group.status.conditions if each.type == INITIALLY_SCHEDULED), None)
        if had is None:
            return made
        if had.status == "True" and made.status != "True":
            return None
        if had.status == made.status:
            made.lastTransitionTime = had.lastTransitionTime
        return made if made != had else None

    async def tell(self, info: PodInfo, outcome: Outcome) -> None:
        """Write the condition of a pod's group, one write at a time and in the order of the decisions."""
        key = info.group
        condition = self.condition(key, outcome)
        if condition is None:
            return
        busy = key in self._telling
        self._telling[key] = condition
        if busy:
            return
        backoff = Backoff(first=0.1, most=30.0)
        namespace, _, name = key.partition("/")
        try:
            while (wanted := self._telling[key]) is not None:
                try:
                    patch = {"status": {"conditions": [msgspec.to_builtins(wanted, enc_hook=str)]}}
                    await self._client.patch(
                        PodGroup, name, patch, namespace=namespace, type="strategic", subresource="status"
                    )
                except NotFound:
                    return
                except (ApiError, ConnectionLost) as error:
                    log.warning("reporting failed", extra={"group": key, "error": str(error)})
                    await asyncio.sleep(backoff.next())
                    continue
                if self._telling[key] is wanted:
                    self._telling[key] = None
        finally:
            del self._telling[key]
