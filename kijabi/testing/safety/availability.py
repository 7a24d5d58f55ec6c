"""The rule about availability, of all that is rolled out: Deployments, StatefulSets and DaemonSets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kijabi.api.apps.daemonset import DaemonSet
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.testing.history import Change, Ledger, controller
from kijabi.testing.safety.deployments import bounds
from kijabi.testing.safety.facts import CONTROLLERS, amount, deployment_of, disrupted, pods_of, ready


class AvailabilityKept:
    """Controllers never delete a pod so that fewer stay available than maxUnavailable allows (apps/v1
    RollingUpdateDeployment, RollingUpdateStatefulSetStrategy (KEP-961), RollingUpdateDaemonSet).

    The promise begins when the status says that the rollout is complete and the pods agree; it ends when anybody else
    takes a pod away or makes it unready, when the number or the strategy changes, when what is chosen changes (a
    DaemonSet's nodes), or when it, its set or its namespace is being deleted. `judged` counts the deletions to which it
    applied.
    """

    def __init__(self) -> None:
        self.judged = 0
        self._promised: set[str] = set()
        self._since: dict[str, float] = {}  # when a pod became ready

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        cls = change.resource.type
        if cls in (Deployment, StatefulSet, DaemonSet) and change.new is not None:
            self._workload(change, ledger)
        elif cls is Node and _place(change.old) != _place(change.new):
            self._promised -= {ds.metadata.uid for ds in ledger.of(DaemonSet)}
        elif cls is Pod:
            return self._pod(change, ledger)
        return None

    def _pod(self, change: Change, ledger: Ledger) -> str | None:
        old, new = change.old, change.new
        uid = change.obj.metadata.uid
        if new is not None and ready(new):
            self._since.setdefault(uid, change.time)
            stays = old is None or controller(old.metadata) == controller(new.metadata)
            return None if stays else self._lost(change, ledger)
        since = self._since.pop(uid, None)
        return self._lost(change, ledger, since) if since is not None and old is not None else None

    def _workload(self, change: Change, ledger: Ledger) -> None:
        old, new = change.old, change.new
        uid = new.metadata.uid
        if old is None or _terms(old) != _terms(new):
            self._promised.discard(uid)
        want = _complete(new)
        said = new.status.observedGeneration == new.metadata.generation
        if said and want is not None and sum(map(ready, _pods(new, ledger))) == want:
            self._promised.add(uid)

    def _lost(self, change: Change, ledger: Ledger, since: float = 0.0) -> str | None:
        one = _workload_of(change.old, ledger)
        if one is None or one.metadata.uid not in self._promised:
            return None
        leaving = any(each is None or each.metadata.deletionTimestamp for each in _above(change.old, one, ledger))
        asked = change.new is None or change.new.metadata.deletionTimestamp is not None
        if leaving or not asked or change.actor != CONTROLLERS or disrupted(change.obj):
            self._promised.discard(one.metadata.uid)
            return None
        if change.time - since < one.spec.minReadySeconds:
            return None  # It was not available yet.
        self.judged += 1
        left, least = sum(map(ready, _pods(one, ledger))), _least(one)
        return f"{one.metadata.name} is left with {left} available pods of at least {least}" if left < least else None


def _place(node: Node | None) -> Any:
    """What of a node decides about daemon pods."""
    return (node.metadata.labels, node.spec) if node is not None else None


def _terms(one: Any) -> Any:
    """What must not change as long as the promise holds."""
    if isinstance(one, Deployment):
        return one.spec.replicas, one.spec.strategy
    if isinstance(one, StatefulSet):
        return one.spec.replicas, one.spec.updateStrategy
    asked = one.spec.updateStrategy, one.spec.template.spec.nodeSelector, one.spec.template.spec.tolerations
    return (*asked, one.status.desiredNumberScheduled)  # which may be counted late after a change of the nodes


def _complete(one: Any) -> int | None:
    """How many pods it has, if its status says that all are there, new and available; None if not."""
    status = one.status
    if isinstance(one, DaemonSet):
        counts = {status.desiredNumberScheduled, status.currentNumberScheduled, status.updatedNumberScheduled}
        counts |= {status.numberAvailable, status.numberReady}
        return status.desiredNumberScheduled if len(counts) == 1 and not status.numberMisscheduled else None
    counts = {status.replicas, status.updatedReplicas, status.availableReplicas, one.spec.replicas}
    return status.replicas if len(counts) == 1 else None


def _least(one: Any) -> int:
    """How many available pods must be left."""
    if isinstance(one, Deployment):
        return bounds(one)[1]
    rolling, kind = one.spec.updateStrategy.rollingUpdate, one.spec.updateStrategy.type
    if isinstance(one, StatefulSet):
        want = 1 if one.spec.replicas is None else one.spec.replicas
        missing = max(1, amount(rolling.maxUnavailable if rolling else None, want, up=False))
        return want - missing if kind == "RollingUpdate" else want
    want = int(one.status.desiredNumberScheduled)
    surge = amount(rolling.maxSurge, want, up=True) if rolling else 0
    missing = amount(rolling.maxUnavailable, want, up=True) if rolling else 0
    if not surge and not missing:
        missing = 1
    return want - missing if kind == "RollingUpdate" else want


def _pods(one: Any, ledger: Ledger) -> list[Pod]:
    return pods_of(one, ledger) if isinstance(one, Deployment) else list(ledger.owned(Pod, one.metadata.uid))


def _workload_of(pod: Pod, ledger: Ledger) -> Any:
    return deployment_of(pod, ledger) or ledger.owner(StatefulSet, pod) or ledger.owner(DaemonSet, pod)


def _above(pod: Pod, one: Any, ledger: Ledger) -> Iterator[Any]:
    """All that a pod goes with."""
    yield one
    yield ledger.get(Namespace, one.metadata.namespace)
    if isinstance(one, Deployment):
        yield ledger.owner(ReplicaSet, pod)
