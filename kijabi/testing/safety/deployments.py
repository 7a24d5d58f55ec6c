"""Rules for Deployments: surge, and recreation in turn. Availability is `availability.py`'s."""

from __future__ import annotations

from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.testing.history import Change, Ledger, controller
from kijabi.testing.safety.facts import CONTROLLERS, ENDED, amount, pods_of, sets_of


def bounds(d: Deployment) -> tuple[int, int]:
    """(most pods, fewest available pods) of a Deployment (apps/v1 RollingUpdateDeployment)."""
    want = d.spec.replicas if d.spec.replicas is not None else 1
    rolling = d.spec.strategy.rollingUpdate
    if d.spec.strategy.type != "RollingUpdate" or rolling is None:
        return want, 0
    surge = amount(rolling.maxSurge, want, up=True)
    missing = amount(rolling.maxUnavailable, want, up=False)
    if not surge and not missing:
        missing = 1
    return want + surge, max(0, want - missing)


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
        before = (old.spec.replicas or 0) if old is not None else 0
        if ref is None or before >= (new.spec.replicas or 0):
            return None
        d = ledger.get(Deployment, ref.name, new.metadata.namespace)
        if d is None or d.metadata.uid != ref.uid:
            return None
        most = max(bounds(form)[0] for form in ledger.forms("deployments.apps", d))
        total = sum(rs.spec.replicas or 0 for rs in sets_of(d, ledger))
        return f"raised to {total} of {d.metadata.name}'s at most {most}" if total > most else None


class RecreatesInTurn:
    """A Deployment that recreates gives a set pods only when no pod of its other sets is left that has not ended
    (apps/v1 DeploymentStrategy, Recreate). A set that has pods already may get more. A paused one is not rolled out but
    kept at its size: if no set has pods, the newest gets them (k8s.io/kubernetes `pkg/controller/deployment/sync.go`).
    A pod whose creation came when nobody expected it any more is nobody's fault.
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
        if any(form.spec.paused for form in ledger.forms("deployments.apps", d)):
            return None
        for pod in pods_of(d, ledger):
            owner = controller(pod.metadata)
            if owner is None or owner.uid == new.metadata.uid or pod.status.phase in ENDED:
                continue
            if pod.metadata.uid not in ledger.late:
                return f"it is given pods while {pod.metadata.name} is still there"
        return None
