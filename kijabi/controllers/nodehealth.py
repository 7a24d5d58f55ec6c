"""Is a node alive, and what follows for its conditions, taints and pods. Pure decisions of `nodelifecycle.py`.

A node is judged by when this process last saw a sign of life change, never by the node's own clock (KEP-589, node
heartbeats; core/v1 Taint for the keys).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from msgspec.structs import replace

from kijabi.api.coordination.lease import Lease
from kijabi.api.core.node import Node, Taint
from kijabi.api.core.nodestatus import NodeCondition, NodeStatus
from kijabi.api.meta import Time

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_TAINTS: Mapping[tuple[str, str], str] = {
    ("Ready", "False"): NOT_READY,
    ("Ready", "Unknown"): UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
}
_OWN = frozenset((*_TAINTS.values(), UNSCHEDULABLE))
_JUDGED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
ZONE = ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone")
REGION = ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region")
OLD_LABELS: Mapping[str, str] = {
    "kubernetes.io/os": "beta.kubernetes.io/os",
    "kubernetes.io/arch": "beta.kubernetes.io/arch",
}
"""Labels that a node shows under an older name too."""
FEW = 2
"""So many nodes that are not ready disrupt no zone, whatever their share."""


class Signs(NamedTuple):
    """The last signs of life seen of a node, and the moment (monotonic seconds) at which they changed here."""

    lease: str
    heartbeat: str
    since: float


def ready_of(node: Node) -> NodeCondition | None:
    """The node's Ready condition."""
    return next((c for c in node.status.conditions if c.type == "Ready"), None)


def ready_status(node: Node) -> str:
    """True, False or Unknown; Unknown for a node that never said."""
    condition = ready_of(node)
    return condition.status if condition is not None else "Unknown"


def observe(before: Signs | None, node: Node, lease: Lease | None, now: float) -> Signs:
    """What is seen now: another renewal of the lease, or another heartbeat, counts as life at this moment.

    Another, not a later one: a node whose clock was ahead and is set right renews its lease in what seems the past.
    """
    renewed = str(lease.spec.renewTime or "") if lease is not None else ""
    condition = ready_of(node)
    heartbeat = str(condition.lastHeartbeatTime) if condition is not None else ""
    if before is None:
        return Signs(renewed, heartbeat, now)
    # A judgement of ours leaves the heartbeat as it was; a lease that vanished is no sign of life.
    alive = renewed not in ("", before.lease) or heartbeat not in ("", before.heartbeat)
    return Signs(renewed or before.lease, heartbeat, now if alive else before.since)


def overdue_in(node: Node, signs: Signs, grace: float, startup_grace: float, now: float) -> float:
    """Seconds until the node counts as unreachable; 0 or less: it does."""
    return signs.since + (grace if ready_of(node) is not None else startup_grace) - now


def unknown(node: Node, now: datetime) -> NodeStatus | None:
    """The status of a node that is not heard of any more: what its kubelet said is unknown; None if it says so."""
    at = Time.of(now)
    conditions = list(node.status.conditions)
    for kind in _JUDGED:
        place = next((n for n, c in enumerate(conditions) if c.type == kind), None)
        if place is None:
            conditions.append(
                NodeCondition(
                    type=kind,
                    status="Unknown",
                    reason="NodeStatusNeverUpdated",
                    message="Kubelet never posted node status.",
                    lastHeartbeatTime=node.metadata.creationTimestamp,
                    lastTransitionTime=at,
                )
            )
        elif conditions[place].status != "Unknown":
            conditions[place] = replace(
                conditions[place],
                status="Unknown",
                reason="NodeStatusUnknown",
                message="Kubelet stopped posting node status.",
                lastTransitionTime=at,
            )
    after = tuple(conditions)
    return replace(node.status, conditions=after) if after != node.status.conditions else None


class Taints(NamedTuple):
    """The taints that a node should have; `evicting` if one of them newly begins to evict pods."""

    wanted: tuple[Taint, ...]
    evicting: bool


def taints_of(node: Node, *, may_evict: bool, calm: bool, now: datetime) -> Taints:
    """The node's taints by its conditions: NoSchedule at once, NoExecute if `may_evict` (it is rate-limited).

    calm: no node anywhere is ready, so the fault is likely ours: nothing is evicted. One NoExecute taint turns into
    the other at once. Others' taints stay.
    """
    at = Time.of(now)
    keys = {_TAINTS[c.type, c.status] for c in node.status.conditions if (c.type, c.status) in _TAINTS}
    if node.spec.unschedulable:
        keys.add(UNSCHEDULABLE)
    if ready_of(node) is None:  # It has not said yet whether it is ready: what admission gave it stays.
        keys.update(t.key for t in node.spec.taints if (t.key, t.effect) == (NOT_READY, "NoSchedule"))
    evict = {"False": NOT_READY, "Unknown": UNREACHABLE}.get(ready_status(node)) if ready_of(node) is not None else None
    had = {t.key for t in node.spec.taints if t.effect == "NoExecute" and t.key in (NOT_READY, UNREACHABLE)}
    evicting = evict is not None and not calm and not had and may_evict
    keep = evict if evict is not None and not calm and (had or may_evict) else None
    wanted = [
        t
        for t in node.spec.taints
        if not (t.effect == "NoSchedule" and t.key in _OWN and t.key not in keys)
        and not (t.effect == "NoExecute" and t.key in (NOT_READY, UNREACHABLE) and t.key != keep)
    ]
    present = {(t.key, t.effect) for t in wanted}
    missing = [(key, "NoSchedule") for key in sorted(keys)] + ([(keep, "NoExecute")] if keep is not None else [])
    wanted += [Taint(key=k, effect=e, timeAdded=at) for k, e in missing if (k, e) not in present]
    return Taints(tuple(wanted), evicting)


def zone_of(node: Node) -> str:
    """What fails together: the node's region and zone in one key, the older labels before the newer; "" for neither."""
    labels = node.metadata.labels
    zone = labels.get(ZONE[0], labels.get(ZONE[1], ""))
    region = labels.get(REGION[0], labels.get(REGION[1], ""))
    return f"{region}:\0:{zone}" if region or zone else ""


def old_labels(node: Node) -> dict[str, str]:
    """The labels that are to be written so that the older names say what the newer do."""
    labels = node.metadata.labels
    return {old: labels[new] for new, old in OLD_LABELS.items() if new in labels and labels.get(old) != labels[new]}


class Zone(Enum):
    """How a zone is: how fast pods may be evicted there follows from it."""

    NORMAL = "normal"
    PARTIAL = "partially disrupted"
    FULL = "fully disrupted"


class Limits(NamedTuple):
    """How fast nodes may begin to be evicted: usually, and in a large zone of which a share is down."""

    usual: float
    slow: float
    large: int
    unhealthy: float


def zone_state(ready: int, unready: int, unhealthy: float) -> Zone:
    """By the numbers of its nodes; unhealthy: the share of those not ready from which it is partially disrupted."""
    if ready == 0 and unready > 0:
        return Zone.FULL
    if unready > FEW and unready / (ready + unready) >= unhealthy:
        return Zone.PARTIAL
    return Zone.NORMAL


def eviction_rate(ready: int, unready: int, limits: Limits) -> float:
    """Nodes a second that may begin to be evicted in a zone of so many nodes; 0 stops it.

    A zone that is down as a whole goes on at the usual rate, for the other zones can take its pods. When most of a
    zone is down the fault may be ours: a large one is evicted slowly, a small one not at all.
    """
    if zone_state(ready, unready, limits.unhealthy) is not Zone.PARTIAL:
        return limits.usual
    return limits.slow if ready + unready > limits.large else 0.0


class Line:
    """The nodes of a zone that wait to be evicted, and the pace at which they may: one at a time, in order.

    A new pace does not let anybody through sooner than it would after one who had just passed.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next = float("-inf")
        self._waiting: dict[str, None] = {}

    def set_rate(self, rate: float, now: float) -> bool:
        """Go on at another pace; whether it is another."""
        if rate == self._rate:
            return False
        held = self._rate <= 0 or now < self._next
        self._rate = rate
        self._next = now + 1 / rate if held and rate > 0 else float("-inf")
        return True

    def join(self, name: str) -> None:
        """Stand at the end, unless one stands there already."""
        self._waiting.setdefault(name)

    def leave(self, name: str) -> bool:
        """Wait no more; whether somebody else is first by that."""
        was_first = self.first() == name
        self._waiting.pop(name, None)
        return was_first and bool(self._waiting)

    def first(self) -> str | None:
        """Whose turn is next."""
        return next(iter(self._waiting), None)

    def wait(self, name: str, now: float) -> float | None:
        """Seconds until one may pass, 0 if it may now; None if others are before it, or nobody passes at this pace."""
        return max(0.0, self._next - now) if self._rate > 0 and self.first() == name else None

    def passed(self, now: float) -> None:
        """The first went through."""
        self._next = now + 1 / self._rate if self._rate > 0 else float("inf")
