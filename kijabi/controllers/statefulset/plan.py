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
from kijabi.controllers.statefulset import broken, claims
from kijabi.controllers.statefulset.identity import (
    claims_of,
    matches,
    ordinal_of,
    replicas_of,
    revision_of,
    start_of,
)

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
    """Make the pod with this number, from this revision, and its claims before it."""

    ordinal: int
    revision: str


class Delete(NamedTuple):
    """Delete this pod."""

    pod: Pod


class Furnish(NamedTuple):
    """Make the claims that this pod waits for, and put their owners right."""

    pod: Pod


class Repair(NamedTuple):
    """Put right the pod's labels, its volumes, and (own) the owners of its claims."""

    pod: Pod
    own: bool


class Own(NamedTuple):
    """Put right the owners of the claims of a pod beyond the replicas."""

    pod: Pod


Step = Create | Delete | Furnish | Repair | Own
Turn = tuple[Step, ...]
"""What is done for one pod, one after the other."""


class Plan(NamedTuple):
    """What to do, in this order; a failure ends it. Turns go one after the other, with Parallel many at a time.

    members: for the pods that are wanted; owning, surplus: for those beyond the replicas; outdated: pods to be made
    anew from the new template.
    """

    members: tuple[Turn, ...] = ()
    owning: tuple[Turn, ...] = ()
    surplus: tuple[Turn, ...] = ()
    outdated: tuple[Delete, ...] = ()

    @property
    def steps(self) -> list[Step]:
        """All of it in one row."""
        turns = (*self.members, *self.owning, *self.surplus, self.outdated)
        return [step for turn in turns for step in turn]


def plan(view: View) -> Plan:
    """What to do now; nothing for a set that is being deleted."""
    if view.ss.metadata.deletionTimestamp is not None:
        return Plan()
    members, condemned = split(view.ss, view.pods)
    turns, waits = _fill(view, members)
    if waits:
        return Plan(turns)
    owning = tuple((Own(pod),) for pod in condemned if not _owned_right(view, pod))
    surplus, waits = _shrink(view, members, condemned)
    if waits:
        return Plan(turns, owning, surplus)
    ended = {step.pod.metadata.uid for turn in turns for step in turn if isinstance(step, Delete)}
    return Plan(turns, owning, surplus, _outdated(view, members, ended))


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


def _fill(view: View, members: dict[int, Pod | None]) -> tuple[tuple[Turn, ...], bool]:
    """Make what is missing, replace what ended; with OrderedReady up to the first that must be waited for, and whether
    there is one.
    """
    turns: list[Turn] = []
    for ordinal, pod in members.items():
        turn, waits = _turn(view, ordinal, pod)
        turns.append(turn)
        if waits and view.ordered:
            return tuple(turns), True
    return tuple(turns), False


def _turn(view: View, ordinal: int, pod: Pod | None) -> tuple[Turn, bool]:
    """What a wanted pod needs, and whether those after it must wait."""
    if pod is None:
        return (() if _waits_for_claims(view, ordinal) else (Create(ordinal, revision_for(view, ordinal)),)), True
    if podlib.terminal(pod):
        return ((Delete(pod),) if pod.metadata.deletionTimestamp is None else ()), True
    turn: Turn = (Furnish(pod),) if pod.status.phase == "Pending" else ()
    if view.ordered:
        if pod.metadata.deletionTimestamp is not None:
            return turn, True
        if pod.status.phase != "Running" or not view.settled(pod):
            return ((Delete(pod),) if _replaceable(view, ordinal, pod) else turn), True
    owned = _owned_right(view, pod)
    if not owned or not matches(view.ss, pod):
        turn = (*turn, Repair(pod, own=not owned))
    return turn, False


def _replaceable(view: View, ordinal: int, pod: Pod) -> bool:
    """It is broken, the rollout would replace it anyway, and the user lets it do so now; see `broken.py`."""
    rolls = view.ss.spec.updateStrategy.type == "RollingUpdate" and ordinal >= start_of(view.ss) + partition_of(view.ss)
    return rolls and broken.allowed(view.ss) and revision_of(pod) != view.update and broken.broken(pod)


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


def _shrink(view: View, members: dict[int, Pod | None], condemned: Sequence[Pod]) -> tuple[tuple[Turn, ...], bool]:
    """Delete pods beyond the replicas, the highest number first; and whether the rollout must wait for that."""
    if not view.ordered:
        return tuple((Delete(pod),) for pod in condemned if pod.metadata.deletionTimestamp is None), False
    if not condemned:
        return (), False
    pod = condemned[0]
    if pod.metadata.deletionTimestamp is not None:
        return (), True
    every = [one for one in members.values() if one is not None] + list(reversed(condemned))
    first = next((one for one in every if not view.available(one)), None)
    healthy = pod.status.phase == "Running" and view.settled(pod)
    return (((Delete(pod),),) if healthy or pod is first else ()), True


def _outdated(view: View, members: dict[int, Pod | None], ended: set[str]) -> tuple[Delete, ...]:
    """Pods of earlier templates, to be deleted and made anew, as far as maxUnavailable allows."""
    if view.ss.spec.updateStrategy.type != "RollingUpdate":
        return ()
    rolling = view.ss.spec.updateStrategy.rollingUpdate
    limit = max(1, scaled(rolling.maxUnavailable if rolling else None, replicas_of(view.ss), up=False))
    down = sum(pod is None or not view.available(pod) for pod in members.values())
    least = start_of(view.ss) + partition_of(view.ss)
    old = [
        pod
        for ordinal, pod in reversed(members.items())
        if ordinal >= least
        and pod is not None
        and pod.metadata.uid not in ended
        and revision_of(pod) != view.update
        and pod.metadata.deletionTimestamp is None
    ]
    broken_ones: list[Pod] = []
    if not view.ordered:  # what is down anyway costs nothing
        broken_ones = [pod for pod in old if not view.settled(pod)]
        old = [pod for pod in old if view.settled(pod)]
    return tuple(map(Delete, (*broken_ones, *old[: max(0, limit - down)])))


def status_of(view: View, collisions: int | None, outdated: int = 0) -> StatefulSetStatus:
    """The status that these pods amount to; when all are of the new revision and ready, it becomes the current one.

    outdated: how many pods were deleted just now to be made anew; they do not count as of the current revision.
    """
    before = view.ss.status
    created = [pod for pod in view.pods if pod.status.phase and ordinal_of(pod) >= 0]
    staying = [pod for pod in created if pod.metadata.deletionTimestamp is None]
    ready = [pod for pod in created if pod.status.phase == "Running" and podlib.ready(pod)]
    status = StatefulSetStatus(
        observedGeneration=view.ss.metadata.generation,
        replicas=len(created),
        readyReplicas=len(ready),
        availableReplicas=sum(view.settled(pod) for pod in ready),
        currentReplicas=max(0, sum(revision_of(pod) == view.current for pod in staying) - outdated),
        updatedReplicas=sum(revision_of(pod) == view.update for pod in staying),
        currentRevision=view.current,
        updateRevision=view.update,
        collisionCount=collisions or 0,
        conditions=before.conditions,
    )
    if {status.updatedReplicas, status.readyReplicas, status.replicas} == {replicas_of(view.ss)}:
        status.currentReplicas, status.currentRevision = status.updatedReplicas, view.update
    return status
