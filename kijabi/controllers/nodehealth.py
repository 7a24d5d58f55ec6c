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
LARGE_ZONE = 50
"""A zone of more nodes than this goes on evicting, slowly, when most of it is down; a smaller one stops."""
UNHEALTHY = 0.55
"""The share of nodes that are not ready from which a zone counts as partially disrupted."""
SLOW = 0.1
"""What part of the usual rate a large, partially disrupted zone evicts at."""


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
    """What is seen now: a renewed lease or a newer heartbeat counts as life at this moment."""
    renewed = str(lease.spec.renewTime or "") if lease is not None else ""
    condition = ready_of(node)
    heartbeat = str(condition.lastHeartbeatTime) if condition is not None else ""
    if before is None:
        return Signs(renewed, heartbeat, now)
    # A judgement of ours leaves the heartbeat as it was; a lease that vanished is no sign of life.
    alive = renewed > before.lease or (heartbeat != before.heartbeat and heartbeat != "")
    return Signs(max(renewed, before.lease), heartbeat, now if alive else before.since)


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


class Zone(Enum):
    """How a zone is: how fast pods may be evicted there follows from it."""

    NORMAL = "normal"
    PARTIAL = "partially disrupted"
    FULL = "fully disrupted"


def zone_state(ready: int, unready: int) -> Zone:
    """By the numbers of its nodes."""
    if ready == 0 and unready > 0:
        return Zone.FULL
    if unready > 2 and unready / (ready + unready) >= UNHEALTHY:
        return Zone.PARTIAL
    return Zone.NORMAL


def eviction_rate(state: Zone, nodes: int, usual: float) -> float:
    """Nodes a second that may begin to be evicted in a zone; 0 stops it.

    A zone that is down as a whole goes on at the usual rate, for the other zones can take its pods.
    """
    if state is not Zone.PARTIAL:
        return usual
    return usual * SLOW if nodes > LARGE_ZONE else 0.0


class Pace:
    """Lets one node through, then makes the next wait: a rate limit of burst one."""

    def __init__(self) -> None:
        self._next = float("-inf")

    def wait(self, rate: float, now: float) -> float | None:
        """Seconds until the next may pass, 0 if it may now; None if none may at this rate."""
        return max(0.0, self._next - now) if rate > 0 else None

    def passed(self, rate: float, now: float) -> None:
        """One went through."""
        self._next = now + 1 / rate
