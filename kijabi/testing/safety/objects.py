"""Rules for objects of every kind: identity, finalizers, owners, what a status speaks of."""

from __future__ import annotations

from kijabi.api.apps.daemonset import DaemonSet
from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.api.meta import ObjectMeta
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.testing.history import GIVEN_UP, Change, Ledger, controller
from kijabi.testing.safety.facts import ADMIN, CONTROLLERS, LOCAL_PATH


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
    """An object goes only by the hand of those who owned its last finalizers: the system's are the controllers', that
    of local-path volumes their agents', all are the administrator's; and only after its deletion was asked for (API
    conventions, finalizers). The write that takes the last finalizer away is the deletion itself.
    """

    _OWNED = {
        CONTROLLERS: frozenset(
            (
                "foregroundDeletion",
                "orphan",
                "kubernetes",
                "batch.kubernetes.io/job-tracking",
                "kubernetes.io/pvc-protection",
                "kubernetes.io/pv-protection",
                "scheduling.k8s.io/podgroup-protection",
                "service.kubernetes.io/load-balancer-cleanup",
            )
        ),
        LOCAL_PATH: frozenset(("kijabi.dev/local-path",)),
    }

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
        foreign = left - self._OWNED.get(change.actor.removesuffix(GIVEN_UP), frozenset())
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


class ObservedGenerations:
    """A status never speaks of a generation that has not been, nor of an older one than before (API conventions)."""

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type not in _OBSERVED or change.new is None:
            return None
        seen, generation = change.new.status.observedGeneration or 0, change.new.metadata.generation
        if seen > generation:
            return f"generation {seen} observed, which is only {generation}"
        before = (change.old.status.observedGeneration or 0) if change.old is not None else 0
        return f"observed generation fell from {before} to {seen}" if seen < before else None


_OBSERVED = (Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, PodDisruptionBudget)
