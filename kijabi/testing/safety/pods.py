"""Rules for pods, wherever they come from: binding, capacity, priorities, phases, containers, addresses."""

from __future__ import annotations

from collections.abc import Iterable

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import ContainerStatus
from kijabi.testing.history import Change, Ledger
from kijabi.testing.safety.facts import ADMIN, ENDED, SCHEDULER, STALE, Running, lives, lost_its_node


class BoundOnce:
    """A pod is given one node, once, for ever, and by the scheduler only to a node that exists (core/v1 Binding)."""

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Pod or change.new is None or change.old is None:
            return None
        old, new = change.old.spec.nodeName, change.new.spec.nodeName
        if old and old != new:
            return f"moved from node {old} to {new!r}"
        if not old and new and change.new.metadata.deletionTimestamp is not None:
            return f"bound to {new} while it was being deleted"
        return None


class NodesNotOvercommitted:
    """The scheduler never gives a node more than it has (scheduler, NodeResourcesFit): the CPU asked for by a node's
    pods that have not ended fits into its allocatable when one more is bound.
    """

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Pod or change.actor != SCHEDULER or change.old is None or change.new is None:
            return None
        if change.old.spec.nodeName or not change.new.spec.nodeName:
            return None
        node = ledger.get(Node, change.new.spec.nodeName)
        if node is None or "cpu" not in node.status.allocatable:
            return None
        here = [p for p in ledger.of(Pod) if p.spec.nodeName == node.metadata.name and p.status.phase not in ENDED]
        asked = sum(_cpu(pod) for pod in here)
        most = node.status.allocatable["cpu"].milli()
        return f"{asked}m of {most}m CPU asked for on {node.metadata.name}" if asked > most else None


def _cpu(pod: Pod) -> int:
    """Thousandths of a CPU that the pod's containers ask for."""
    asked = (c.resources.requests.get("cpu") for c in pod.spec.containers if c.resources is not None)
    return sum(amount.milli() for amount in asked if amount is not None)


class EndsForGood:
    """A pod that has succeeded or failed stays so (core/v1 PodStatus.phase)."""

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Pod or change.new is None or change.old is None:
            return None
        old, new = change.old.status.phase, change.new.status.phase
        return f"its phase went from {old} to {new}" if old in ENDED and new != old else None


class RestartsCounted:
    """A container's restart count never falls (core/v1 ContainerStatus.restartCount)."""

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Pod or change.new is None or change.old is None:
            return None
        before = {status.name: status.restartCount for status in _containers(change.old)}
        for status in _containers(change.new):
            if status.restartCount < before.get(status.name, 0):
                return f"{status.name}: restarts fell from {before[status.name]} to {status.restartCount}"
        return None


def _containers(pod: Pod) -> Iterable[ContainerStatus]:
    return (*pod.status.initContainerStatuses, *pod.status.containerStatuses)


class PodsEndFirst:
    """A pod is removed from the API only when none of its containers runs any more (core/v1, termination of pods), but
    by force of the administrator, or with its node: a node that is not there any more runs nothing.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self._forced: set[str] = set()  # whose end is the administrator's will, whoever takes the last finalizer away

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Pod:
            return None
        if change.actor == ADMIN:
            if change.new is not None and change.new.metadata.deletionGracePeriodSeconds == 0:
                self._forced.add(change.new.metadata.uid)
            return None
        pod: Pod = change.old
        if change.new is not None or pod.metadata.uid in self._forced:
            return None
        if not self._running(pod.spec.nodeName, pod.metadata.uid) or lost_its_node(pod, ledger):
            return None
        return f"{change.actor} removed it while a container was running"


class VictimsAreLower:
    """The scheduler takes a pod away only for one that waits and has a higher priority (core/v1 PodSpec.priority;
    scheduler, DefaultPreemption).
    """

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Pod or change.actor != SCHEDULER or change.old is None:
            return None
        if change.old.metadata.deletionTimestamp is not None:
            return None
        if change.new is not None and change.new.metadata.deletionTimestamp is None:
            return None
        mine = change.old.spec.priority or 0
        waiting = [pod for pod in ledger.of(Pod) if not pod.spec.nodeName and (pod.spec.priority or 0) > mine]
        gone = (one for kept in ledger.recent.values() for one in kept if one.time > change.time - STALE)
        known = waiting or any(one.resource.type is Pod and (one.obj.spec.priority or 0) > mine for one in gone)
        return None if known else f"it was taken away with priority {mine}, and nothing more urgent waits"


class PodAddressesUnique:
    """No two pods that run on a node have one address (Kubernetes network model). running: see PodsEndFirst.

    A pod whose containers have ended may have lost its address, and another may have got it, before the API hears of
    the end, or even of the beginning: what a kubelet sends is what it knew when it began to send.
    """

    def __init__(self, running: Running) -> None:
        self._running = running

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        pod = change.new
        if change.resource.type is not Pod or pod is None or not self._has(pod):
            return None
        for other in ledger.of(Pod):
            same = other.status.podIP == pod.status.podIP and other.spec.nodeName == pod.spec.nodeName
            if same and other.metadata.uid != pod.metadata.uid and self._has(other):
                return f"it has address {pod.status.podIP}, as {other.metadata.namespace}/{other.metadata.name}"
        return None

    def _has(self, pod: Pod) -> bool:
        """Whether the pod has the address that it shows, and for itself."""
        if not pod.status.podIP or pod.spec.hostNetwork or not lives(pod):
            return False
        return self._running(pod.spec.nodeName, pod.metadata.uid)
