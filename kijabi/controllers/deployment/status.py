"""A Deployment's status: counts, whether it is available, whether its rollout makes progress. Pure functions.

`plan.py` calls them with the ReplicaSets as they will be after the plan. Reasons and texts are upstream's,
which `kubectl rollout status` and `kubectl describe` show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from kijabi.api.apps.deployment import Deployment, DeploymentCondition, DeploymentStatus
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.meta import Time
from kijabi.controllers.deployment.scale import desired, max_unavailable, total

PROGRESSING = "Progressing"
AVAILABLE = "Available"
FAILURE = "ReplicaFailure"
_NO_LIMIT = 2**31 - 1

Conditions = tuple[DeploymentCondition, ...]


def condition(conditions: Conditions, kind: str) -> DeploymentCondition | None:
    """The condition of a type."""
    return next((c for c in conditions if c.type == kind), None)


def without(conditions: Conditions, kind: str) -> Conditions:
    """The conditions but for one type."""
    return tuple(c for c in conditions if c.type != kind)


def made(kind: str, value: str, reason: str, message: str, now: datetime) -> DeploymentCondition:
    """A condition that changes now."""
    at = Time.of(now)
    return DeploymentCondition(
        type=kind, status=value, reason=reason, message=message, lastUpdateTime=at, lastTransitionTime=at
    )


def put(conditions: Conditions, one: DeploymentCondition) -> Conditions:
    """Add or replace; a condition of the same status and reason stays, one of the same status keeps its time."""
    before = condition(conditions, one.type)
    if before is not None and before.status == one.status:
        if before.reason == one.reason:
            return conditions
        one = replace(one, lastTransitionTime=before.lastTransitionTime)
    return (*without(conditions, one.type), one)


def has_deadline(d: Deployment) -> bool:
    """It wants to hear when its rollout makes no progress."""
    return d.spec.progressDeadlineSeconds not in (None, _NO_LIMIT)


def pause_conditions(d: Deployment, now: datetime) -> Conditions:
    """Progressing while paused, and once resumed: the time in between does not count against the deadline."""
    before = d.status.conditions
    known = condition(before, PROGRESSING)
    if not has_deadline(d) or (known is not None and known.reason == "ProgressDeadlineExceeded"):
        return before
    was_paused = known is not None and known.reason == "DeploymentPaused"
    if d.spec.paused and not was_paused:
        return put(before, made(PROGRESSING, "Unknown", "DeploymentPaused", "Deployment is paused", now))
    if was_paused and not d.spec.paused:
        return put(before, made(PROGRESSING, "Unknown", "DeploymentResumed", "Deployment is resumed", now))
    return before


def counted(
    d: Deployment, conditions: Conditions, sets: Sequence[ReplicaSet], new: ReplicaSet | None, now: datetime
) -> DeploymentStatus:
    """The status with the counts of these sets and the Available condition."""
    ready_for_use = sum(rs.status.availableReplicas for rs in sets)
    if ready_for_use >= desired(d) - max_unavailable(d):
        verdict = made(AVAILABLE, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now)
    else:
        verdict = made(
            AVAILABLE, "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.", now
        )
    return DeploymentStatus(
        observedGeneration=d.metadata.generation,
        replicas=sum(rs.status.replicas for rs in sets),
        updatedReplicas=new.status.replicas if new is not None else 0,
        readyReplicas=sum(rs.status.readyReplicas for rs in sets),
        availableReplicas=ready_for_use,
        unavailableReplicas=max(0, total(sets) - ready_for_use),
        terminatingReplicas=_terminating(sets),
        collisionCount=d.status.collisionCount,
        conditions=put(conditions, verdict),
    )


def _terminating(sets: Iterable[ReplicaSet]) -> int | None:
    """Pods being deleted; None if a set that was synced does not say."""
    count = 0
    for rs in sets:
        if rs.status.terminatingReplicas is not None:
            count += rs.status.terminatingReplicas
        elif rs.status.observedGeneration != 0:
            return None
    return count


def complete(d: Deployment, status: DeploymentStatus) -> bool:
    """All pods are of the present template and available, and no old one is left."""
    want = desired(d)
    return (
        status.updatedReplicas == status.replicas == status.availableReplicas == want
        and status.observedGeneration >= d.metadata.generation
    )


def progressed(
    d: Deployment,
    status: DeploymentStatus,
    before: Conditions,
    sets: Sequence[ReplicaSet],
    new: ReplicaSet | None,
    now: datetime,
) -> DeploymentStatus:
    """The status with what can be said about the rollout; `before`: the conditions that this reconcile began
    with.

    Complete, or further than the last status said, or beyond the deadline: the first that holds.
    """
    conditions = status.conditions
    if not has_deadline(d):
        conditions = without(conditions, PROGRESSING)
    known = condition(before, PROGRESSING)
    done = status.replicas == status.updatedReplicas and known is not None and known.reason == "NewReplicaSetAvailable"
    if has_deadline(d) and not done:
        what = f'ReplicaSet "{new.metadata.name}"' if new is not None else f'Deployment "{d.metadata.name}"'
        if complete(d, status):
            text = f"{what} has successfully progressed."
            conditions = put(conditions, made(PROGRESSING, "True", "NewReplicaSetAvailable", text, now))
        elif _advanced(d.status, status):
            one = made(PROGRESSING, "True", "ReplicaSetUpdated", f"{what} is progressing.", now)
            if known is not None and known.status == "True":
                one = replace(one, lastTransitionTime=known.lastTransitionTime)
            conditions = (*without(conditions, PROGRESSING), one)  # Renews lastUpdateTime, unlike `put`.
        elif _overdue(d, conditions, now):
            text = f"{what} has timed out progressing."
            conditions = put(conditions, made(PROGRESSING, "False", "ProgressDeadlineExceeded", text, now))
    failure = _failure(sets, new)
    conditions = put(conditions, failure) if failure is not None else without(conditions, FAILURE)
    return replace(status, conditions=conditions)


def _advanced(before: DeploymentStatus, after: DeploymentStatus) -> bool:
    """More new pods, fewer old ones, or more that are ready or available."""
    return (
        after.updatedReplicas > before.updatedReplicas
        or after.replicas - after.updatedReplicas < before.replicas - before.updatedReplicas
        or after.readyReplicas > before.readyReplicas
        or after.availableReplicas > before.availableReplicas
    )


def _overdue(d: Deployment, conditions: Conditions, now: datetime) -> bool:
    known = condition(conditions, PROGRESSING)
    if known is None or known.reason == "NewReplicaSetAvailable":
        return False
    return known.reason == "ProgressDeadlineExceeded" or _seconds_left(d, known, now) < 0


def _seconds_left(d: Deployment, known: DeploymentCondition, now: datetime) -> float:
    since = known.lastUpdateTime.timestamp() if known.lastUpdateTime else 0.0
    return since + (d.spec.progressDeadlineSeconds or 0) - now.timestamp()


def check_in(d: Deployment, status: DeploymentStatus, now: datetime) -> float | None:
    """Seconds after which to look whether the rollout is stuck; None if nobody asks or it is over."""
    known = condition(status.conditions, PROGRESSING)
    if not has_deadline(d) or known is None or complete(d, status) or known.reason == "ProgressDeadlineExceeded":
        return None
    if d.spec.paused:
        return None
    return max(0.0, _seconds_left(d, known, now)) + 1


def _failure(sets: Iterable[ReplicaSet], new: ReplicaSet | None) -> DeploymentCondition | None:
    """Why pods cannot be created or deleted: the new set's reason, else the first of any set."""
    for rs in (*((new,) if new is not None else ()), *sets):
        for c in rs.status.conditions:
            if c.type == FAILURE:
                return DeploymentCondition(
                    type=FAILURE,
                    status=c.status,
                    reason=c.reason,
                    message=c.message,
                    lastUpdateTime=c.lastTransitionTime,
                    lastTransitionTime=c.lastTransitionTime,
                )
    return None
