"""Rules for pods that are placed and displaced together (KEP-4671, KEP-5710), and for the groups that they name.

Bindings are requests for one pod each, so a crash may leave a gang half bound; it then goes on when there is room for
the rest. What holds at every write is that nothing is begun, and nobody displaced, for a gang that has no room.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.scheduling.podgroup import INITIALLY_SCHEDULED, PodGroup
from kijabi.testing.history import Change, Ledger
from kijabi.testing.safety.facts import ADMIN, ENDED, SCHEDULER, STALE

UNDER_WAY = 10.0
"""Virtual seconds from a decision of the scheduler to the last of its writes, and until it hears of them."""


def group_of(pod: Pod) -> str:
    """Namespace and name of the group that a pod names, or empty."""
    named = pod.spec.schedulingGroup
    return f"{pod.metadata.namespace}/{named.podGroupName}" if named is not None and named.podGroupName else ""


def least_of(group: PodGroup) -> int:
    """How many pods of the group must have a node before any gets one."""
    gang = group.spec.schedulingPolicy.gang
    return gang.minCount if gang is not None else 1


def cpu_of(pod: Pod) -> int:
    """Thousandths of a CPU that the pod's containers ask for."""
    asked = (c.resources.requests.get("cpu") for c in pod.spec.containers if c.resources is not None)
    return sum(amount.milli() for amount in asked if amount is not None)


def displaced(pod: Pod) -> str:
    """With what words the scheduler marked the pod as one that makes room, empty if it did not."""
    for one in pod.status.conditions:
        if (one.type, one.status, one.reason) == ("DisruptionTarget", "True", "PreemptionByScheduler"):
            return one.message
    return ""


def members(key: str, ledger: Ledger) -> list[Pod]:
    """The pods of a group that have not ended."""
    return [pod for pod in ledger.of(Pod) if group_of(pod) == key and pod.status.phase not in ENDED]


def room(ledger: Ledger, size: int, taken: Iterable[Pod]) -> int:
    """How many pods of a size the nodes take beside those that are there."""
    if not size:
        return 1_000_000
    free = {node.metadata.name: _allocatable(node) for node in ledger.of(Node)}
    for pod in taken:
        if pod.spec.nodeName in free and pod.status.phase not in ENDED:
            free[pod.spec.nodeName] -= cpu_of(pod)
    return sum(max(0, left // size) for left in free.values())


def _allocatable(node: Node) -> int:
    amount = node.status.allocatable.get("cpu")
    return amount.milli() if amount is not None else 0


@dataclass
class _Known:
    """What a group was within the time that a cache may lag. least: the numbers with the time until which each was
    right; pods: those that are there, and the times at which others went."""

    least: list[tuple[float, int]] = field(default_factory=list)
    pods: dict[str, Pod] = field(default_factory=dict)
    gone: dict[str, float] = field(default_factory=dict)


class _Memory:
    """Follows groups and their pods, and which node went when."""

    def __init__(self) -> None:
        self.groups: dict[str, _Known] = {}
        self.node_lost = float("-inf")
        self.bound: dict[str, float] = {}  # when each pod got its node

    def follow(self, change: Change) -> None:
        """Take a write in."""
        cls = change.resource.type
        if cls is Node and change.new is None:
            self.node_lost = change.time
        elif cls is PodGroup:
            known = self.groups.setdefault(change.key, _Known())
            if change.old is not None:
                known.least[-1] = (change.time, least_of(change.old))
            if change.new is not None:
                known.least.append((float("inf"), least_of(change.new)))
        elif cls is Pod:
            self._pod(change)

    def _pod(self, change: Change) -> None:
        pod: Pod = change.obj
        uid = pod.metadata.uid
        if change.new is None:
            self.bound.pop(uid, None)
        elif pod.spec.nodeName:
            self.bound.setdefault(uid, change.time)
        if group_of(pod):
            known = self.groups.setdefault(group_of(pod), _Known())
            known.pods[uid] = pod
            if change.new is None or pod.status.phase in ENDED:
                known.gone.setdefault(uid, change.time)

    def least(self, key: str, now: float) -> int | None:
        """The smallest number that a scheduler could take for a gang's; None if there can be no such group."""
        known = self.groups.get(key, _Known())
        return min((least for until, least in known.least if until > now - STALE), default=None)

    def members(self, key: str, now: float) -> list[Pod]:
        """The pods that a scheduler could take for members: those that are there, and those that just were."""
        known = self.groups.get(key, _Known())
        return [pod for uid, pod in known.pods.items() if known.gone.get(uid, now) > now - STALE]

    def settled(self, ledger: Ledger, now: float) -> list[Pod]:
        """The pods with nodes of which any scheduler knows that has begun to write lately."""
        return [pod for pod in ledger.of(Pod) if self.bound.get(pod.metadata.uid, now) < now - UNDER_WAY]


class GangsBegunWhole:
    """The scheduler gives a pod of a gang a node only where the gang has minCount pods, and those of them that have no
    node yet have room for it (scheduling/v1beta1 GangSchedulingPolicy). Where nodes are lost meanwhile nobody can
    answer for that. `judged` counts pods whose gang was not complete with them.
    """

    def __init__(self) -> None:
        self.judged = 0
        self._memory = _Memory()

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        self._memory.follow(change)
        old, new = change.old, change.new
        if change.resource.type is not Pod or change.actor != SCHEDULER or old is None or new is None:
            return None
        key = group_of(new)
        if not key or old.spec.nodeName or not new.spec.nodeName:
            return None
        least, there = self._memory.least(key, change.time), self._memory.members(key, change.time)
        if least is None:
            return f"it has a node, and group {key} is not there"
        if len(there) < least:
            return f"it has a node, and gang {key} has {len(there)} pods of {least}"
        missing = least - sum(1 for pod in there if pod.spec.nodeName)
        if missing <= 0 or change.time - self._memory.node_lost < STALE:
            return None
        self.judged += 1
        others = [pod for pod in self._memory.settled(ledger, change.time) if group_of(pod) != key]
        mine = [pod for pod in there if pod.spec.nodeName]
        size = min(cpu_of(pod) for pod in there)
        free = room(ledger, size, (*others, *mine))
        return f"it has a node, and {missing} more of gang {key} have room for {free}" if free < missing else None


class NobodyLeavesInVain:
    """The scheduler displaces pods for a group only if all that the group needs then fits (KEP-5710). Where nodes are
    lost meanwhile nobody can answer for that. `judged` counts pods that were marked.
    """

    def __init__(self) -> None:
        self.judged = 0
        self._memory = _Memory()

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        self._memory.follow(change)
        old, new = change.old, change.new
        if change.resource.type is not Pod or change.actor != SCHEDULER or old is None or new is None:
            return None
        if displaced(old) or not displaced(new).endswith("podgroup"):
            return None
        mine = members(group_of(new), ledger) if group_of(new) else ()
        if any(displaced(pod) for pod in mine if pod.metadata.uid != new.metadata.uid):
            return None  # It goes with the others of its group, which was decided at the first of them.
        if change.time - self._memory.node_lost < STALE:
            return None
        self.judged += 1
        if any(self._fits(key, new.spec.priority or 0, change.time, ledger) for key in self._memory.groups):
            return None
        return "it is to make room for a group, and there is none that would fit then"

    def _fits(self, key: str, above: int, now: float, ledger: Ledger) -> bool:
        least, there = self._memory.least(key, now), self._memory.members(key, now)
        if least is None or not there or len(there) < least:
            return False
        priority = there[0].spec.priority or 0
        if priority <= above:
            return False
        stay = [pod for pod in self._memory.settled(ledger, now) if (pod.spec.priority or 0) >= priority]
        missing = max(1, least - sum(1 for pod in there if pod.spec.nodeName))
        return room(ledger, min(cpu_of(pod) for pod in there), stay) >= missing


class GangsGoWhole:
    """A group that is disrupted as a whole goes as a whole (scheduling/v1beta1 DisruptionMode): when the scheduler
    deletes one of its pods, all others that have a node are deleted or marked to be, and by the time that a mark is
    taken for stale (two minutes, KEP-3329) they are deleted. Those that got their node so lately that the scheduler may
    not know are none of them. `judged` counts pods that had others.
    """

    def __init__(self) -> None:
        self.judged = 0
        self._memory = _Memory()
        self._marked: dict[str, float] = {}  # when a pod was marked
        self._begun: dict[str, float] = {}  # when the scheduler last deleted a pod of a group

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        self._memory.follow(change)
        old, new = change.old, change.new
        if change.resource.type is not Pod or old is None or not group_of(old):
            return None
        if old.metadata.deletionTimestamp is not None or not _goes_whole(old, ledger):
            return None
        uid, key = old.metadata.uid, group_of(old)
        if new is not None and new.metadata.deletionTimestamp is None:
            if displaced(new) and not displaced(old):
                self._marked[uid] = change.time
            return self._keeps(uid, key, change.time) if displaced(old) and not displaced(new) else None
        return self._goes(old, change.time, ledger) if change.actor == SCHEDULER else None

    def _keeps(self, uid: str, key: str, now: float) -> str | None:
        """What is wrong when the mark is taken off a pod; a clock that jumps lets that be too early."""
        since = self._marked.get(uid, now)
        went = now - since > STALE and self._begun.get(key, float("-inf")) >= since
        return "it stays, and others of its group went" if went else None

    def _goes(self, pod: Pod, now: float, ledger: Ledger) -> str | None:
        self._begun[group_of(pod)] = now
        others = [
            one
            for one in members(group_of(pod), ledger)
            if self._memory.bound.get(one.metadata.uid, now) < now - STALE and one.metadata.uid != pod.metadata.uid
        ]
        self.judged += bool(others)
        stay = [one for one in others if one.metadata.deletionTimestamp is None and not displaced(one)]
        return f"it is displaced without {stay[0].metadata.name} of its group" if stay else None


def _goes_whole(pod: Pod, ledger: Ledger) -> bool:
    """Whether a pod is displaced with all others of its group."""
    namespace, _, name = group_of(pod).partition("/")
    group = ledger.get(PodGroup, name, namespace)
    mode = group.spec.disruptionMode if group is not None else None
    return mode is not None and mode.all is not None


class ScheduledForGood:
    """Once a group is said to have been scheduled that is never unsaid (scheduling/v1beta1 PodGroupStatus.conditions).
    `judged` counts writes to groups of which it was said.
    """

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not PodGroup or change.old is None or change.new is None or change.actor == ADMIN:
            return None
        if not scheduled(change.old):
            return None
        self.judged += 1
        return None if scheduled(change.new) else "it was scheduled, and says otherwise now"


def scheduled(group: PodGroup) -> bool:
    """Whether it is said that the group was scheduled."""
    return any(one.type == INITIALLY_SCHEDULED and one.status == "True" for one in group.status.conditions)


class GroupsInUseStay:
    """A group is not removed while pods name it that have not ended (scheduling, protection of pod groups), but by the
    administrator's hand. Pods that came so lately that nobody has heard of them do not keep it. `judged` counts groups
    that went.
    """

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not PodGroup or change.new is not None or change.actor == ADMIN:
            return None
        self.judged += 1
        for pod in members(change.key, ledger):
            if change.time - ledger.born[pod.metadata.uid].time > STALE:
                return f"removed while {pod.metadata.name} is in it"
        return None
