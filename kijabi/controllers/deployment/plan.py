"""All that one reconcile of a Deployment will write, computed from the Deployment and its ReplicaSets.

`plan` is the whole decision, pure; `controller.py` carries it out. The sets in the plan are fresh objects:
the cached ones are never written to.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from kijabi.api.apps.deployment import Deployment, DeploymentStatus
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.meta import OwnerReference
from kijabi.controllers.deployment import revision, scale, status
from kijabi.controllers.deployment.revision import Rollback, Sets
from kijabi.controllers.deployment.scale import Sizes, desired, replicas_of


class Change(NamedTuple):
    """One ReplicaSet as it is and as it is to be."""

    before: ReplicaSet
    after: ReplicaSet


class Plan(NamedTuple):
    """The writes of one reconcile, in this order: create, updates, delete, revision, status.

    revision: the Deployment's own revision annotation, to be written if it differs. rollback: what becomes of the
    Deployment itself, after all else. again: seconds until the rollout's progress must be looked at.
    """

    status: DeploymentStatus
    create: ReplicaSet | None = None
    updates: tuple[Change, ...] = ()
    delete: tuple[ReplicaSet, ...] = ()
    revision: str = ""
    rollback: Rollback | None = None
    again: float | None = None


def plan(d: Deployment, owned: Sequence[ReplicaSet], owner: OwnerReference, old_pods: bool, now: datetime) -> Plan:
    """Decide. old_pods: some pod of an old set has not ended yet (asked by Recreate only)."""
    sets = revision.find(d, owned)
    conditions = d.status.conditions
    if d.metadata.deletionTimestamp is None:
        conditions = status.pause_conditions(d, now)
    after = _synced(d, sets)
    if after.new is not None and status.condition(conditions, status.PROGRESSING) is None and status.has_deadline(d):
        text = f'Found new replica set "{after.new.metadata.name}"'
        conditions = status.put(conditions, status.made(status.PROGRESSING, "True", "FoundNewReplicaSet", text, now))
    if d.metadata.deletionTimestamp is not None:
        counts = status.counted(d, conditions, after.all, after.new, now)
        return Plan(counts, updates=_changes(sets, after), revision=_revision(after))
    if d.spec.paused:
        return _resize(d, sets, after, conditions, now)
    target = revision.rollback_target(d)
    if target is not None:
        return _roll_back(d, sets, after, owner, target, conditions, now)
    if _resized(d, after):
        return _resize(d, sets, after, conditions, now)
    return _roll(d, sets, after, owner, old_pods, conditions, now)


def _synced(d: Deployment, sets: Sets) -> Sets:
    """The present template's set with the Deployment's annotations and the newest revision on it."""
    if sets.new is None:
        return sets
    return Sets(revision.synced(d, sets.new, revision.next_number(sets.old)), sets.old)


def _roll_back(
    d: Deployment,
    before: Sets,
    sets: Sets,
    owner: OwnerReference,
    target: int,
    conditions: status.Conditions,
    now: datetime,
) -> Plan:
    """Serve the deprecated rollback annotation. First the present template gets its set: it may be asked for."""
    create = None
    if sets.new is None:
        create, conditions = _created(d, sets, owner, conditions, now)
        sets = Sets(create, sets.old)
    return Plan(
        replace(d.status, conditions=conditions),
        create=create,
        updates=_changes(before, sets),
        revision=_revision(sets),
        rollback=revision.rollback(d, sets, target),
    )


def _resized(d: Deployment, sets: Sets) -> bool:
    """`spec.replicas` changed since a live set was last sized: a scaling, not a rollout.

    But with Recreate several live sets (adopted, or from another strategy) have no shares to keep in proportion: then
    the rollout ends the old ones first, where upstream waits for ever.
    """
    live = [rs for rs in sets.all if replicas_of(rs) > 0]
    if len(live) > 1 and not scale.is_rolling(d):
        return False
    known = (revision.size_annotation(rs, revision.DESIRED) for rs in live)
    return any(size is not None and size != desired(d) for size in known)


def _resize(d: Deployment, before: Sets, sets: Sets, conditions: status.Conditions, now: datetime) -> Plan:
    """Scale every live set in proportion; a paused Deployment also drops old revisions."""
    new = sets.new
    saturated = (
        new is not None
        and replicas_of(new) == new.status.availableReplicas == desired(d)
        and revision.size_annotation(new, revision.DESIRED) == desired(d)
    )
    sizes = scale.proportional(d, new, sets.old, lambda rs: revision.size_annotation(rs, revision.MAXIMUM), saturated)
    after = _sized(d, sets, sizes)
    return Plan(
        status.counted(d, conditions, after.all, after.new, now),
        updates=_changes(before, after),
        delete=revision.expired(d, after.old) if d.spec.paused else (),
        revision=_revision(after),
    )


def _may_have_pods(rs: ReplicaSet) -> bool:
    """It says so, or has not yet seen that it is to have none and may be creating some."""
    return rs.status.replicas > 0 or rs.status.observedGeneration < rs.metadata.generation


def _roll(
    d: Deployment,
    before: Sets,
    sets: Sets,
    owner: OwnerReference,
    old_pods: bool,
    conditions: status.Conditions,
    now: datetime,
) -> Plan:
    """One step of the rollout, by the Deployment's strategy."""
    is_rolling = scale.is_rolling(d)
    down = {} if is_rolling else scale.recreate_down(sets.old)
    blocked = bool(down) or (not is_rolling and (old_pods or any(map(_may_have_pods, sets.old))))
    create = None
    if sets.new is None and not blocked:
        create, conditions = _created(d, sets, owner, conditions, now)
        sets = Sets(create, sets.old)
    sizes: Sizes = down
    if sets.new is not None and not blocked:
        if is_rolling:
            sizes = scale.rolling(d, sets.new, sets.old)
        elif replicas_of(sets.new) != desired(d):
            sizes = {sets.new.metadata.name: desired(d)}
    after = _sized(d, sets, sizes)
    counts = status.counted(d, conditions, after.all, after.new, now)
    final = status.progressed(d, counts, conditions, after.all, after.new, now)
    return Plan(
        final,
        create=create,
        updates=_changes(before, after),
        delete=revision.expired(d, after.old) if not (sizes or blocked) and status.complete(d, d.status) else (),
        revision=_revision(after),
        again=status.check_in(d, final, now),
    )


def _created(
    d: Deployment, sets: Sets, owner: OwnerReference, conditions: status.Conditions, now: datetime
) -> tuple[ReplicaSet, status.Conditions]:
    """The set that the present template has to get, and what that says about the rollout."""
    bare = revision.new_set(d, owner, sets.old)
    made = replace(bare, spec=replace(bare.spec, replicas=scale.new_size(d, bare, (*sets.old, bare))))
    if not status.has_deadline(d):
        return made, conditions
    text = f'Created new replica set "{made.metadata.name}"'
    return made, status.put(conditions, status.made(status.PROGRESSING, "True", "NewReplicaSetCreated", text, now))


def _sized(d: Deployment, sets: Sets, sizes: Sizes) -> Sets:
    """The sets with new sizes, and with the annotations that go with them."""

    def one(rs: ReplicaSet) -> ReplicaSet:
        size = sizes.get(rs.metadata.name)
        if size is None:
            return rs
        if size != replicas_of(rs):
            rs = replace(rs, spec=replace(rs.spec, replicas=size))
        return revision.with_sizes(rs, d)

    return Sets(one(sets.new) if sets.new is not None else None, tuple(one(rs) for rs in sets.old))


def _changes(before: Sets, after: Sets) -> tuple[Change, ...]:
    """The sets that exist and were changed; the present template's first when it grows, last when it shrinks."""
    known = {rs.metadata.uid: rs for rs in before.all}
    pairs = ((known.get(rs.metadata.uid), rs) for rs in after.all)
    return tuple(Change(old, new) for old, new in pairs if old is not None and old is not new)


def _revision(sets: Sets) -> str:
    """The revision that the Deployment shows: its present set's."""
    return sets.new.metadata.annotations.get(revision.REVISION, "") if sets.new is not None else ""
