"""The next steps of a StatefulSet. Pure; `controller.py` carries them out in the order they are given.

With OrderedReady a pod is made only when all before it are available, and deleted only when all after it are gone; with
Parallel nothing waits. Then a new template is rolled out from the highest number down to `partition`, at most
maxUnavailable at once (KEP-961). Source: apps/v1 StatefulSet; k8s.io/kubernetes `pkg/controller/statefulset`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from kijabi.api.apps.statefulset import StatefulSet, StatefulSetStatus
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.controllers import pods as podlib
from kijabi.controllers.deployment.scale import scaled
from kijabi.controllers.statefulset import claims
from kijabi.controllers.statefulset.identity import (
    claims_of,
    matches,
    ordinal_of,
    replicas_of,
    revision_of,
    start_of,
)

REPLACE_BROKEN = "statefulset.kijabi.io/replace-broken"
"""Annotation: "true" lets a rollout, or a rollback, replace pods of an earlier template that never became ready.

By default such a pod holds everything up until somebody deletes it (kubernetes/kubernetes issue 67250)."""

Claim = Callable[[str], PersistentVolumeClaim | None]


class View(NamedTuple):
    """What a StatefulSet is planned from. pods: its own; current, update: names of the revisions between which it is;
    claim: a claim of its namespace by name.
    """

    ss: StatefulSet
    pods: Sequence[Pod]
    current: str
    update: str
    now: datetime
    claim: Claim = lambda name: None

    @property
    def ordered(self) -> bool:
        """One pod after the other."""
        return self.ss.spec.podManagementPolicy != "Parallel"

    def available(self, pod: Pod) -> bool:
        """It has been ready for minReadySeconds and nobody wants it gone."""
        return self.settled(pod) and pod.metadata.deletionTimestamp is None

    def settled(self, pod: Pod) -> bool:
        """It has been ready for minReadySeconds."""
        return podlib.available(pod, self.ss.spec.minReadySeconds, self.now)


class Create(NamedTuple):
    """Make the pod with this number, from this revision."""

    ordinal: int
    revision: str


class Plan(NamedTuple):
    """Steps in order. claims: pods whose claims are to be made where missing; own: pods the owners of whose claims are
    to be put right; repair: pods to be relabelled or remounted.
    """

    claims: tuple[Pod, ...] = ()
    repair: tuple[Pod, ...] = ()
    own: tuple[Pod, ...] = ()
    create: tuple[Create, ...] = ()
    delete: tuple[Pod, ...] = ()


class _Steps:
    """A plan in the making."""

    def __init__(self) -> None:
        self.claims: list[Pod] = []
        self.repair: list[Pod] = []
        self.own: list[Pod] = []
        self.create: list[Create] = []
        self.delete: list[Pod] = []

    def done(self) -> Plan:
        return Plan(*map(tuple, (self.claims, self.repair, self.own, self.create, self.delete)))  # type: ignore[arg-type]


def plan(view: View) -> Plan:
    """What to do now; nothing for a set that is being deleted."""
    steps = _Steps()
    if view.ss.metadata.deletionTimestamp is None:
        members, condemned = split(view.ss, view.pods)
        if _fill(view, members, steps) and _shrink(view, members, condemned, steps):
            _roll(view, members, steps)
    return steps.done()


def split(ss: StatefulSet, pods: Iterable[Pod]) -> tuple[dict[int, Pod | None], list[Pod]]:
    """(wanted numbers with the pod that has each, pods beyond, the highest first)."""
    first = start_of(ss)
    members: dict[int, Pod | None] = dict.fromkeys(range(first, first + replicas_of(ss)))
    condemned: list[Pod] = []
    for pod in pods:
        ordinal = ordinal_of(pod)
        if ordinal in members:
            members[ordinal] = pod
        elif ordinal >= 0:
            condemned.append(pod)
    return members, sorted(condemned, key=ordinal_of, reverse=True)


def partition_of(ss: StatefulSet) -> int:
    """How many pods, from the lowest number, a rollout leaves as they are."""
    rolling = ss.spec.updateStrategy.rollingUpdate
    return (rolling.partition or 0) if rolling is not None else 0


def revision_for(view: View, ordinal: int) -> str:
    """The revision that a new pod with this number is made from."""
    strategy, status = view.ss.spec.updateStrategy, view.ss.status
    if strategy.rollingUpdate is not None:
        kept = partition_of(view.ss)
    else:
        kept = status.currentReplicas if strategy.type == "RollingUpdate" else 0
    return view.current if ordinal < start_of(view.ss) + kept else view.update


def _fill(view: View, members: dict[int, Pod | None], steps: _Steps) -> bool:
    """Make what is missing, replace what ended; whether there is nothing (more) to wait for."""
    for ordinal, pod in members.items():
        if pod is None:
            if _waits_for_claims(view, ordinal):
                if view.ordered:
                    return False
                continue
            steps.create.append(Create(ordinal, revision_for(view, ordinal)))
            if view.ordered:
                return False
        elif podlib.terminal(pod):
            if pod.metadata.deletionTimestamp is None:
                steps.delete.append(pod)
            if view.ordered:
                return False
        elif not _member_settled(view, ordinal, pod, steps):
            return False
    return True


def _member_settled(view: View, ordinal: int, pod: Pod, steps: _Steps) -> bool:
    """Look after a pod that exists; False if everything after it must wait."""
    if pod.status.phase == "Pending":
        steps.claims.append(pod)
    if view.ordered:
        if pod.metadata.deletionTimestamp is not None:
            return False
        if pod.status.phase != "Running" or not view.settled(pod):
            if _broken(view, ordinal, pod):
                steps.delete.append(pod)
            return False
    if not matches(view.ss, pod):
        steps.repair.append(pod)
    if not _owned_right(view, pod):
        steps.own.append(pod)
    return True


def _broken(view: View, ordinal: int, pod: Pod) -> bool:
    """Not ready, of a template that is no longer wanted, and the user lets such pods be replaced."""
    wanted = view.ss.metadata.annotations.get(REPLACE_BROKEN) == "true"
    rolls = view.ss.spec.updateStrategy.type == "RollingUpdate" and ordinal >= start_of(view.ss) + partition_of(view.ss)
    return wanted and rolls and not podlib.ready(pod) and revision_of(pod) != view.update


def _waits_for_claims(view: View, ordinal: int) -> bool:
    """A claim of the pod's is on its way out with an earlier pod of its name."""
    if not claims.policy(view.ss)[1]:
        return False
    nobody = Pod()
    nobody.metadata.name = f"{view.ss.metadata.name}-{ordinal}"
    names = (claim.metadata.name for claim in claims_of(view.ss, ordinal).values())
    return any(claim is not None and claims.stale(claim, nobody) for claim in map(view.claim, names))


def _owned_right(view: View, pod: Pod) -> bool:
    for wanted in claims_of(view.ss, ordinal_of(pod)).values():
        claim = view.claim(wanted.metadata.name)
        if claim is not None and claims.owners(view.ss, pod, claim) != claim.metadata.ownerReferences:
            return False
    return True


def _shrink(view: View, members: dict[int, Pod | None], condemned: Sequence[Pod], steps: _Steps) -> bool:
    """Delete pods beyond the replicas, the highest number first; whether there is nothing to wait for."""
    steps.own += [pod for pod in condemned if not _owned_right(view, pod)]
    every = [pod for pod in members.values() if pod is not None] + list(reversed(condemned))
    first = next((pod for pod in every if not view.available(pod)), None)
    for pod in condemned:
        if pod.metadata.deletionTimestamp is not None:
            if view.ordered:
                return False
            continue
        if view.ordered and not view.settled(pod) and pod is not first:
            return False
        steps.delete.append(pod)
        if view.ordered:
            return False
    return True


def _roll(view: View, members: dict[int, Pod | None], steps: _Steps) -> None:
    """Delete pods of earlier templates, to be made anew, as far as maxUnavailable allows."""
    if view.ss.spec.updateStrategy.type != "RollingUpdate":
        return
    rolling = view.ss.spec.updateStrategy.rollingUpdate
    limit = max(1, scaled(rolling.maxUnavailable if rolling else None, replicas_of(view.ss), up=False))
    down = sum(pod is None or not view.available(pod) for pod in members.values())
    least = start_of(view.ss) + partition_of(view.ss)
    old = [
        pod
        for ordinal, pod in reversed(members.items())
        if ordinal >= least
        and pod is not None
        and pod not in steps.delete
        and revision_of(pod) != view.update
        and pod.metadata.deletionTimestamp is None
    ]
    if not view.ordered:  # what is down anyway costs nothing
        steps.delete += [pod for pod in old if not view.settled(pod)]
        old = [pod for pod in old if view.settled(pod)]
    steps.delete += old[: max(0, limit - down)]


def status_of(view: View, collisions: int | None) -> StatefulSetStatus:
    """The status that these pods amount to; when all are of the new revision and ready, it becomes the current one."""
    before = view.ss.status
    created = [pod for pod in view.pods if pod.status.phase]
    staying = [pod for pod in created if pod.metadata.deletionTimestamp is None]
    ready = [pod for pod in view.pods if pod.status.phase == "Running" and podlib.ready(pod)]
    status = StatefulSetStatus(
        observedGeneration=view.ss.metadata.generation,
        replicas=len(created),
        readyReplicas=len(ready),
        availableReplicas=sum(view.settled(pod) for pod in ready),
        currentReplicas=sum(revision_of(pod) == view.current for pod in staying),
        updatedReplicas=sum(revision_of(pod) == view.update for pod in staying),
        currentRevision=view.current,
        updateRevision=view.update,
        collisionCount=collisions or 0,
        conditions=before.conditions,
    )
    if {status.updatedReplicas, status.readyReplicas, status.replicas} == {replicas_of(view.ss)}:
        status.currentReplicas, status.currentRevision = status.updatedReplicas, view.update
    return status
