"""Safety: what must be true after every single write, whatever fails. `history.WatchedStore` asks after each.

A checker is a small class; its docstring says the rule and where it comes from. `standard()` gives all of them, new.
They know the API's types and nothing of the components that they judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.podstatus import ContainerStatus
from kijabi.api.core.service import Service
from kijabi.api.meta import ObjectMeta, OwnerReference
from kijabi.testing.history import Change, Checker, Ledger
from kijabi.testing.quotas import QuotasKept

CONTROLLERS = "system:kube-controller-manager"
ADMIN = "kubernetes-admin"
SCHEDULER = "system:kube-scheduler"
ENDED = ("Succeeded", "Failed")


def controller(meta: ObjectMeta) -> OwnerReference | None:
    """The owner that manages the object, if it has one."""
    return next((ref for ref in meta.ownerReferences if ref.controller), None)


def ready(pod: Pod) -> bool:
    """Its Ready condition is true and nobody asked for its end."""
    if pod.metadata.deletionTimestamp is not None or pod.status.phase in ENDED:
        return False
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)


def deployment_of(pod: Pod, ledger: Ledger) -> Deployment | None:
    """The Deployment that the pod belongs to through its ReplicaSet, both present."""
    ref = controller(pod.metadata)
    rs = ledger.get(ReplicaSet, ref.name, pod.metadata.namespace) if ref is not None else None
    owner = controller(rs.metadata) if rs is not None and ref is not None and rs.metadata.uid == ref.uid else None
    d = ledger.get(Deployment, owner.name, pod.metadata.namespace) if owner is not None else None
    return d if d is not None and owner is not None and d.metadata.uid == owner.uid else None


def sets_of(d: Deployment, ledger: Ledger) -> list[ReplicaSet]:
    """The ReplicaSets that a Deployment controls."""
    return [rs for rs in ledger.of(ReplicaSet) if (ref := controller(rs.metadata)) and ref.uid == d.metadata.uid]


def pods_of(d: Deployment, ledger: Ledger) -> list[Pod]:
    """The pods of a Deployment's ReplicaSets."""
    sets = {rs.metadata.uid for rs in sets_of(d, ledger)}
    return [pod for pod in ledger.of(Pod) if (ref := controller(pod.metadata)) and ref.uid in sets]


def bounds(d: Deployment) -> tuple[int, int]:
    """(most pods, fewest available pods) of a Deployment (apps/v1 RollingUpdateDeployment)."""
    want = d.spec.replicas if d.spec.replicas is not None else 1
    rolling = d.spec.strategy.rollingUpdate
    if d.spec.strategy.type != "RollingUpdate" or rolling is None:
        return want, 0
    surge = _amount(rolling.maxSurge, want, up=True)
    missing = _amount(rolling.maxUnavailable, want, up=False)
    if not surge and not missing:
        missing = 1
    return want + surge, max(0, want - missing)


def _amount(value: int | str | None, of: int, *, up: bool) -> int:
    if isinstance(value, str):
        product = int(value.rstrip("%")) * of
        return -(-product // 100) if up else product // 100
    return value or 0


class IdentityKept:
    """A name keeps its uid and its birth until the object is gone; a uid is never given again; a deletion asked for
    is not taken back, nor a generation (API conventions, metadata).
    """

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.new is None:
            return None
        new: ObjectMeta = change.new.metadata
        place = f"{new.namespace}/{new.name}" if new.namespace else new.name
        if place != change.key:
            return f"{place} is stored as {change.key}"
        if change.old is None:
            before = ledger.recent[f"{change.resource.qualified} {change.key}"]
            used = any(one.obj.metadata.uid == new.uid for one in before if one is not change)
            return "a uid was given twice" if used else None
        old: ObjectMeta = change.old.metadata
        for name in ("uid", "creationTimestamp", "name", "namespace"):
            if getattr(old, name) != getattr(new, name):
                return f"metadata.{name} changed from {getattr(old, name)} to {getattr(new, name)}"
        if old.deletionTimestamp is not None and new.deletionTimestamp is None:
            return "its deletion was taken back"
        return "its generation fell" if new.generation < old.generation else None


class FinalizersHonoured:
    """An object goes only by the hand of those who owned its last finalizers: the system's are the controllers',
    all are the administrator's; and only after its deletion was asked for (API conventions, finalizers). The write that
    takes the last finalizer away is the deletion itself.
    """

    _SYSTEM = frozenset(("foregroundDeletion", "orphan", "kubernetes"))

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.new is not None:
            return None
        meta = change.old.metadata
        spec = change.old.spec.finalizers if change.resource.kind == "Namespace" else ()
        left = {*meta.finalizers, *spec}
        if not left:
            return None
        if meta.deletionTimestamp is None:
            return f"it went at once, with finalizers {sorted(left)}"
        if change.actor == ADMIN:
            return None
        foreign = left - self._SYSTEM if change.actor.startswith(CONTROLLERS) else left
        return f"it went with finalizers {sorted(foreign)}, which {change.actor} does not own" if foreign else None


class OwnersExist:
    """What is created with a controller names one that there is or was, by kind, name and uid: nothing invents owners
    (KEP garbage collection; apps/v1 controllers).
    """

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.old is not None:
            return None
        meta: ObjectMeta = change.new.metadata
        ref = controller(meta)
        if ref is None or ref.kind == "Node":
            return None
        known = ledger.uids.get(ref.uid)
        if known != (ref.kind, meta.namespace, ref.name):
            return f"it is controlled by {ref.kind} {ref.name} ({ref.uid}), which never was: {known}"
        return None


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
    """A kubelet removes a pod from the API only when none of its containers runs any more (core/v1, termination of
    pods). running: asks the runtime of a node whether a container of this pod's uid runs.
    """

    def __init__(self, running: Callable[[str, str], bool]) -> None:
        self._running = running

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Pod or change.new is not None or not change.actor.startswith("system:node:"):
            return None
        if self._running(change.old.spec.nodeName, change.old.metadata.uid):
            return "the kubelet removed it while a container was running"
        return None


class SurgeBounded:
    """A write of the Deployment controller never raises the sum of its ReplicaSets above replicas + maxSurge, by any
    recent form of the Deployment, for its cache may lag (apps/v1 RollingUpdateDeployment.maxSurge).
    """

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not ReplicaSet or change.actor != CONTROLLERS or change.new is None:
            return None
        new, old = change.new, change.old
        ref = controller(new.metadata)
        if ref is None or (old is not None and (old.spec.replicas or 0) >= (new.spec.replicas or 0)):
            return None
        d = ledger.get(Deployment, ref.name, new.metadata.namespace)
        if d is None or d.metadata.uid != ref.uid:
            return None
        forms = ledger.recent[f"deployments.apps {d.metadata.namespace}/{d.metadata.name}"]
        most = max(bounds(one.new)[0] for one in forms if one.new is not None and one.new.metadata.uid == ref.uid)
        total = sum(rs.spec.replicas or 0 for rs in sets_of(d, ledger))
        return f"raised to {total} of {d.metadata.name}'s at most {most}" if total > most else None


class AvailabilityKept:
    """Controllers never delete a pod so that fewer than replicas - maxUnavailable stay available
    (apps/v1 RollingUpdateDeployment.maxUnavailable).

    The promise of a Deployment begins when its status says that it is complete and its pods agree; it ends when
    anybody else takes a pod away or makes it unready, and when its replicas or its strategy change, or it, its set or
    its namespace is being deleted. `judged` counts the deletions to which it applied.
    """

    def __init__(self) -> None:
        self.judged = 0
        self._promised: set[str] = set()

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is Deployment and change.new is not None:
            self._deployment(change, ledger)
        elif change.resource.type is Pod and change.old is not None and ready(change.old):
            return self._lost(change, ledger) if change.new is None or not ready(change.new) else None
        return None

    def _deployment(self, change: Change, ledger: Ledger) -> None:
        new: Deployment = change.new
        old: Deployment | None = change.old
        uid = new.metadata.uid
        if old is None or (old.spec.replicas, old.spec.strategy) != (new.spec.replicas, new.spec.strategy):
            self._promised.discard(uid)
            return
        status, want = new.status, new.spec.replicas
        said = status.observedGeneration == new.metadata.generation
        complete = status.replicas == status.updatedReplicas == status.availableReplicas == want
        if said and complete and len([pod for pod in pods_of(new, ledger) if ready(pod)]) == want:
            self._promised.add(uid)

    def _lost(self, change: Change, ledger: Ledger) -> str | None:
        d = deployment_of(change.old, ledger)
        if d is None or d.metadata.uid not in self._promised:
            return None
        rs = ledger.get(ReplicaSet, controller(change.old.metadata).name, d.metadata.namespace)  # type: ignore[union-attr]
        if any(one is None or one.metadata.deletionTimestamp for one in (d, rs, self._namespace(d, ledger))):
            self._promised.discard(d.metadata.uid)
            return None
        deleted = change.new is None or change.new.metadata.deletionTimestamp is not None
        if change.actor != CONTROLLERS or not deleted:
            self._promised.discard(d.metadata.uid)
            return None
        self.judged += 1
        left = len([pod for pod in pods_of(d, ledger) if ready(pod)])
        least = bounds(d)[1]
        return f"{d.metadata.name} is left with {left} available pods of at least {least}" if left < least else None

    def _namespace(self, d: Deployment, ledger: Ledger) -> Namespace | None:
        return ledger.get(Namespace, d.metadata.namespace)


class RecreatesInTurn:
    """A Deployment that recreates gives a set pods only when no pod of its other sets is left that has not ended
    (apps/v1 DeploymentStrategy, Recreate). A set that has pods already may get more. A pod whose creation came when
    nobody expected it any more is nobody's fault.
    """

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        new, old = change.new, change.old
        if change.resource.type is not ReplicaSet or change.actor != CONTROLLERS or new is None:
            return None
        if not new.spec.replicas or (old is not None and old.spec.replicas):
            return None
        ref = controller(new.metadata)
        d = ledger.get(Deployment, ref.name, new.metadata.namespace) if ref is not None else None
        if d is None or ref is None or d.metadata.uid != ref.uid or d.spec.strategy.type != "Recreate":
            return None
        for pod in pods_of(d, ledger):
            owner = controller(pod.metadata)
            if owner is None or owner.uid == new.metadata.uid or pod.status.phase in ENDED:
                continue
            if "late" not in ledger.recent[f"pods {pod.metadata.namespace}/{pod.metadata.name}"][0].actor:
                return f"it is given pods while {pod.metadata.name} is still there"
        return None


class PodAddressesUnique:
    """No two pods that live on a node have one address (Kubernetes network model). running: see PodsEndFirst; a pod
    whose containers have ended may have lost its address before the API hears of it.
    """

    def __init__(self, running: Callable[[str, str], bool]) -> None:
        self._running = running

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        pod = change.new
        if change.resource.type is not Pod or pod is None or not pod.status.podIP or pod.spec.hostNetwork:
            return None
        had = change.old is not None and change.old.status.podIP == pod.status.podIP
        if had or not _lives(pod):
            return None
        for other in ledger.of(Pod):
            same = other.status.podIP == pod.status.podIP and other.spec.nodeName == pod.spec.nodeName
            if not same or other.metadata.uid == pod.metadata.uid or not _lives(other) or other.spec.hostNetwork:
                continue
            if self._running(other.spec.nodeName, other.metadata.uid):
                return f"it has address {pod.status.podIP}, as {other.metadata.namespace}/{other.metadata.name}"
        return None


def _lives(pod: Pod) -> bool:
    return pod.status.phase not in ENDED and pod.metadata.deletionTimestamp is None


class ServiceAddressesUnique:
    """No two Services have one cluster IP or node port (core/v1 Service)."""

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        service = change.new
        if change.resource.type is not Service or service is None:
            return None
        mine = _claims(service)
        for other in ledger.of(Service):
            both = mine & _claims(other) if other.metadata.uid != service.metadata.uid else None
            if both:
                return f"{sorted(both)} are {other.metadata.namespace}/{other.metadata.name}'s too"
        return None


def _claims(service: Service) -> set[str]:
    addresses = {ip for ip in service.spec.clusterIPs if ip != "None"}
    return addresses | {f"{port.protocol} {port.nodePort}" for port in service.spec.ports if port.nodePort}


class ObservedGenerations:
    """A status never speaks of a generation that has not been, nor of an older one than before (API conventions)."""

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type not in (Deployment, ReplicaSet) or change.new is None:
            return None
        seen, generation = change.new.status.observedGeneration, change.new.metadata.generation
        if seen > generation:
            return f"generation {seen} observed, which is only {generation}"
        before = change.old.status.observedGeneration if change.old is not None else 0
        return f"observed generation fell from {before} to {seen}" if seen < before else None


def standard(running: Callable[[str, str], bool] = lambda node, uid: False) -> tuple[Checker, ...]:
    """All checkers, new. running: see PodsEndFirst. (That revisions go up by one, the store watcher itself sees.)"""
    return (
        IdentityKept(),
        FinalizersHonoured(),
        OwnersExist(),
        BoundOnce(),
        NodesNotOvercommitted(),
        EndsForGood(),
        RestartsCounted(),
        PodsEndFirst(running),
        SurgeBounded(),
        AvailabilityKept(),
        RecreatesInTurn(),
        PodAddressesUnique(running),
        ServiceAddressesUnique(),
        ObservedGenerations(),
        QuotasKept(),
    )
