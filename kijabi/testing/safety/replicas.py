"""Rules for those who keep so many pods: ReplicaSets, ReplicationControllers, DaemonSets, StatefulSets."""

from __future__ import annotations

from typing import Any

from kijabi.api.apps.daemonset import DaemonSet
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.pod import Pod
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.testing.history import Change, Ledger
from kijabi.testing.safety.facts import (
    ADMIN,
    CONTROLLERS,
    Running,
    amount,
    created,
    disrupted,
    lives,
    lost_its_node,
    on_time,
    owner_kind,
    ready,
)


class NoneTooMany:
    """A ReplicaSet or ReplicationController is never given a pod more than it was asked for, by any recent form of it,
    for a cache may lag (apps/v1 ReplicaSetSpec.replicas): with `SurgeBounded` the pods of a Deployment are bounded.
    """

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        for cls, resource in _COUNTED:
            pod = created(change, cls.__name__)
            owner: Any = ledger.owner(cls, pod) if pod is not None else None
            if owner is None:
                continue
            there = [one for one in ledger.owned(Pod, owner.metadata.uid) if lives(one)]
            most = max(form.spec.replicas or 0 for form in ledger.forms(resource, owner))
            self.judged += 1
            if len(there) > most and on_time(there, ledger):
                return f"{owner.metadata.name} has {len(there)} pods now of at most {most}"
        return None


_COUNTED = ((ReplicaSet, "replicasets.apps"), (ReplicationController, "replicationcontrollers"))


class OnePerNode:
    """A node has one pod of a DaemonSet that is not about to go, and one more where a rollout surges (apps/v1
    RollingUpdateDaemonSet.maxSurge, KEP-1591).
    """

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        pod = created(change, "DaemonSet")
        owner = ledger.owner(DaemonSet, pod) if pod is not None else None
        if owner is None or pod is None:
            return None
        here = [one for one in ledger.owned(Pod, owner.metadata.uid) if lives(one) and _node(one) == _node(pod)]
        surges = any(_surge(form) for form in ledger.forms("daemonsets.apps", owner))
        self.judged += 1
        if len(here) > 1 + surges and on_time(here, ledger):
            return f"{_node(pod)} has {len(here)} pods of {owner.metadata.name}"
        return None


def _surge(ds: DaemonSet) -> bool:
    rolling = ds.spec.updateStrategy.rollingUpdate
    return rolling is not None and amount(rolling.maxSurge, 100, up=True) > 0


def _node(pod: Pod) -> str:
    """The node that a daemon pod is on or meant for."""
    affinity = pod.spec.affinity.nodeAffinity if pod.spec.affinity is not None else None
    required = affinity.requiredDuringSchedulingIgnoredDuringExecution if affinity is not None else None
    terms = required.nodeSelectorTerms if required is not None else ()
    meant = [value for term in terms for one in term.matchFields for value in one.values]
    return pod.spec.nodeName or (meant[0] if meant else "")


class OneOfEachIdentity:
    """Of the pods that have had one identity of a StatefulSet, one at most runs containers, on whatever nodes: the next
    comes only when the last is known to have stopped (apps/v1 StatefulSet; "StatefulSet Considerations", forced
    deletion: whoever deletes a pod by force, or its node, vouches for it). running: asks the runtime of a node.
    """

    def __init__(self, running: Running) -> None:
        self.judged = 0
        self._running = running
        self._seen: dict[str, dict[str, str]] = {}  # identity: uid: node

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Pod:
            return None
        if change.key not in self._seen and owner_kind(change.obj) != "StatefulSet":
            return None  # One that was let go holds its identity all the same.
        pod: Pod = change.obj
        seen = self._seen.setdefault(change.key, {})
        if pod.spec.nodeName:
            seen[pod.metadata.uid] = pod.spec.nodeName
        if change.new is None and (change.actor == ADMIN or lost_its_node(pod, ledger)):
            seen.pop(pod.metadata.uid, None)
        if len(seen) < 2:
            return None
        self.judged += 1
        alive = [uid for uid, node in seen.items() if self._running(node, uid)]
        for uid in [uid for uid in seen if uid not in alive and uid != pod.metadata.uid]:
            del seen[uid]
        return f"{sorted(alive)} run at once" if len(alive) > 1 else None


class StartedInOrder:
    """With OrderedReady a pod is made only when each before it has been ready lately, for a cache may lag, and one that
    is too many is deleted only when all after it are gone (apps/v1 StatefulSetSpec.podManagementPolicy).
    """

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Pod or change.actor != CONTROLLERS:
            return None
        owner = ledger.owner(StatefulSet, change.obj)
        if owner is None or owner.spec.podManagementPolicy == "Parallel":
            return None
        if change.old is None:
            return self._made(change, owner, ledger)
        asked = change.new is None or change.new.metadata.deletionTimestamp is not None
        if asked and change.old.metadata.deletionTimestamp is None and not disrupted(change.obj):
            return self._given_up(change, owner, ledger)
        return None

    def _made(self, change: Change, owner: StatefulSet, ledger: Ledger) -> str | None:
        space = owner.metadata.namespace
        for ordinal in range(_start(owner), _ordinal(change.new)):
            before = ledger.recent.get(f"pods {space}/{owner.metadata.name}-{ordinal}", ())
            self.judged += 1
            if not any(one.new is not None and ready(one.new) for one in before):
                return f"it is made though {owner.metadata.name}-{ordinal} has not been ready"
        return None

    def _given_up(self, change: Change, owner: StatefulSet, ledger: Ledger) -> str | None:
        mine, forms = _ordinal(change.old), ledger.forms("statefulsets.apps", owner)
        if mine < max(_start(owner) + (form.spec.replicas or 0) for form in forms):
            return None
        self.judged += 1
        after = [pod for pod in ledger.owned(Pod, owner.metadata.uid) if _ordinal(pod) > mine]
        if after and on_time(after, ledger):
            return f"it is deleted while {after[0].metadata.name} is still there"
        return None


def _start(ss: StatefulSet) -> int:
    return ss.spec.ordinals.start if ss.spec.ordinals is not None else 0


def _ordinal(pod: Pod) -> int:
    return int(pod.metadata.name.rpartition("-")[2])
