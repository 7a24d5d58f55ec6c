"""The next step of a job: what its status says, which pods are made, deleted and let go. Pure.

Counting is exact through crashes (KEP-2307): a pod that ended keeps the tracking finalizer until its uid is written
into `status.uncountedTerminatedPods`; only then it is let go; only when it is seen to be let go, its uid leaves the
list and the count goes up, in one write. `controller.py` makes pods and gives surplus ones up, then writes the status,
then lets pods go; where it could not do all, it plans again knowing that, so that the status tells what is. That a job
is over is written before its pods are deleted: their end must not be taken for more failures after a crash. Indexed
successes need no uids: `completedIndexes` is the count. Source: batch/v1 Job; k8s.io/kubernetes `pkg/controller/job`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from kijabi.api.batch.job import Job, JobCondition, JobStatus, UncountedTerminatedPods
from kijabi.api.core.pod import Pod
from kijabi.api.meta import Time
from kijabi.controllers import pods as podlib
from kijabi.controllers.job.history import Record, ended_at, wait
from kijabi.controllers.job.indexes import Indexes, index_of
from kijabi.controllers.job.pod import FAILURES, count_in, failures_of, tracked
from kijabi.controllers.job.policy import enough, judge
from kijabi.controllers.job.surplus import surplus

BURST = 500
"""Pods made or deleted in one step at most, and uids that wait to be counted."""
COMPLETE, FAILED = "Complete", "Failed"
TARGET, MET = "FailureTarget", "SuccessCriteriaMet"  # decided, while pods still end
SUSPENDED = "Suspended"


class Undone(NamedTuple):
    """What of a plan could not be carried out: uids of pods that could not be given up, and how many were not made."""

    kept: frozenset[str] = frozenset()
    unmade: int = 0


class View(NamedTuple):
    """What a job is planned from: its pods, the record of failures as of its last write, and what was tried in vain."""

    job: Job
    pods: Sequence[Pod]
    now: datetime
    record: Record = Record()
    undone: Undone = Undone()


class Plan(NamedTuple):
    """What to do, in this order.

    `drop` pods lose the tracking finalizer and are deleted without being counted; a pod is made for each of `create`
    (its index, or None); the status is written; `delete` pods, for the job is over, are deleted; `release` pods lose
    the finalizer. replaced: the failed pods that new ones come after, by index. events: (type, reason, text). record:
    the failures to remember once the status is written. again: seconds until it is worth looking again.
    """

    status: JobStatus
    drop: tuple[Pod, ...] = ()
    create: tuple[int | None, ...] = ()
    delete: tuple[Pod, ...] = ()
    release: tuple[Pod, ...] = ()
    replaced: Mapping[int, Pod] = {}
    events: tuple[tuple[str, str, str], ...] = ()
    record: Record = Record()
    again: float | None = None


def finished(job: Job) -> bool:
    """It is Complete or Failed, for good."""
    return any(one.type in (COMPLETE, FAILED) and one.status == "True" for one in job.status.conditions)


def plan(view: View) -> Plan:
    """What to do now with a job that is not finished."""
    return _Step(view).plan()


def failed(job: Job, pod: Pod) -> bool:
    """It counts as failed; with podReplacementPolicy Failed only once its containers have ended."""
    if pod.status.phase == "Failed":
        return True
    deleted = pod.metadata.deletionTimestamp is not None and pod.status.phase != "Succeeded"
    return deleted and job.spec.podReplacementPolicy != "Failed"


class _Step:
    """One plan in the making."""

    def __init__(self, view: View) -> None:
        self.view, self.job, self.now = view, view.job, view.now
        self.status = replace(view.job.status)
        self.indexed = self.job.spec.completionMode == "Indexed"
        self.completions = self.job.spec.completions
        self.active = [pod for pod in view.pods if podlib.active(pod)]
        self.terminating = sum(podlib.terminating(pod) for pod in view.pods)
        self.again: list[float] = []
        self.events: list[tuple[str, str, str]] = []
        self._settle()
        uncounted = self.status.uncountedTerminatedPods or UncountedTerminatedPods()
        self.counted = {*uncounted.succeeded, *uncounted.failed}
        fresh = [pod for pod in view.pods if tracked(pod) and pod.metadata.uid not in self.counted and self._valid(pod)]
        self.won = [pod for pod in fresh if pod.status.phase == "Succeeded"]
        self.lost = [pod for pod in fresh if failed(self.job, pod)]
        self.failures = self.status.failed + len(uncounted.failed)
        self.failures += sum(judge(self.job, pod).counted for pod in self.lost)
        self._count_indexes()
        if not self.indexed:
            self.succeeded = self.status.succeeded + len(uncounted.succeeded) + len(self.won)

    # What happened

    def _settle(self) -> None:
        """Uids of pods that are let go, or gone, move from the list into the counts."""
        listed = self.status.uncountedTerminatedPods or UncountedTerminatedPods()
        held = {pod.metadata.uid for pod in self.view.pods if tracked(pod)}
        self.status.succeeded += sum(uid not in held for uid in listed.succeeded)
        self.status.failed += sum(uid not in held for uid in listed.failed)
        self.status.uncountedTerminatedPods = UncountedTerminatedPods(
            succeeded=tuple(uid for uid in listed.succeeded if uid in held),
            failed=tuple(uid for uid in listed.failed if uid in held),
        )

    def _index(self, pod: Pod) -> int | None:
        """A pod's index, of those that the job has."""
        index = index_of(pod.metadata.annotations)
        return index if index is not None and index < (self.completions or 0) else None

    def _valid(self, pod: Pod) -> bool:
        return not self.indexed or self._index(pod) is not None

    def _indexes(self, pods: Iterable[Pod]) -> set[int]:
        return {index for pod in pods if (index := self._index(pod)) is not None}

    def _count_indexes(self) -> None:
        """Which indexes have succeeded and failed, and the failed pods whose successors will say so."""
        self.done = self.broken = Indexes()
        self.waiting: dict[int, Pod] = {}
        if not self.indexed:
            return
        of, limit = self.completions or 0, self.job.spec.backoffLimitPerIndex
        self.broken = Indexes.parse(self.status.failedIndexes or "", of)
        won = self._indexes(filter(self._wins, self.view.pods))
        self.done = Indexes.parse(self.status.completedIndexes, of).union(won)
        self.succeeded = self.done.total
        if limit is None:
            return
        lost = [pod for pod in self.view.pods if tracked(pod) and failed(self.job, pod)]
        # An index that has succeeded has not failed; the API refuses a status that says both.
        beyond = [pod for pod in lost if self._breaks_index(pod, limit) and not self.done.has(self._index(pod) or 0)]
        self.broken = self.broken.union(self._indexes(beyond))
        taken = self._indexes(self.active)
        for pod in sorted(lost, key=lambda one: (failures_of(one), ended_at(one))):
            index = self._index(pod)
            if index is not None and index not in taken and not self.done.has(index) and not self.broken.has(index):
                self.waiting[index] = pod

    def _wins(self, pod: Pod) -> bool:
        """Its index is done, also if the pod was given up before; not one of which the status says that it failed."""
        index = self._index(pod)
        return tracked(pod) and pod.status.phase == "Succeeded" and index is not None and not self.broken.has(index)

    def _breaks_index(self, pod: Pod, limit: int) -> bool:
        failure = judge(self.job, pod)
        counts = failure.counted and count_in(pod, FAILURES) >= limit
        return failure.fails_index or counts

    # What it amounts to

    def _verdict(self) -> JobCondition | None:
        """Why the job is over, if it is: decided before, or now; failures come before successes."""
        for kind in (MET, TARGET):
            found = next((one for one in self.status.conditions if one.type == kind and one.status == "True"), None)
            if found is not None:
                return found
        fatal = (judge(self.job, pod).message for pod in self.view.pods if failed(self.job, pod))
        text = next(filter(None, fatal), "")
        if text:
            return self._condition(TARGET, "PodFailurePolicy", text)
        why = self._exceeded()
        if why is not None:
            return self._condition(TARGET, *why)
        rule = enough(self.job, self.done) if self.indexed else ""
        return self._condition(MET, "SuccessPolicy", rule) if rule else None

    def _exceeded(self) -> tuple[str, str] | None:
        """(reason, text) of the limit that is exceeded, if one is."""
        spec = self.job.spec
        limit = 6 if spec.backoffLimit is None else spec.backoffLimit
        if self.failures > limit or self._restarted_too_often(limit):
            return "BackoffLimitExceeded", "Job has reached the specified backoff limit"
        if spec.activeDeadlineSeconds is not None and self.status.startTime is not None and not spec.suspend:
            left = self.status.startTime.timestamp() + spec.activeDeadlineSeconds - self.now.timestamp()
            if left <= 0:
                return "DeadlineExceeded", "Job was active longer than specified deadline"
            self.again.append(left)
        if spec.backoffLimitPerIndex is None:
            return None
        if spec.maxFailedIndexes is not None and self.broken.total > spec.maxFailedIndexes:
            text = "Job has exceeded the specified maximal number of failed indexes"
            return "MaxFailedIndexesExceeded", text
        if self.broken.total and self.broken.total + self.done.total >= (self.completions or 0):
            return "FailedIndexes", "Job has failed indexes"
        return None

    def _restarted_too_often(self, limit: int) -> bool:
        """With restartPolicy OnFailure, restarts of containers count."""
        if self.job.spec.template.spec.restartPolicy != "OnFailure":
            return False
        going = [pod for pod in self.view.pods if pod.status.phase in ("Running", "Pending")]
        restarts = sum(
            one.restartCount
            for pod in going
            for one in (*pod.status.initContainerStatuses, *pod.status.containerStatuses)
        )
        return restarts > 0 if limit == 0 else restarts >= limit

    def _condition(self, kind: str, reason: str, text: str, status: str = "True") -> JobCondition:
        now = Time.of(self.now)
        return JobCondition(
            type=kind, status=status, lastProbeTime=now, lastTransitionTime=now, reason=reason, message=text
        )

    def _put(self, condition: JobCondition) -> bool:
        """Set a condition; whether that changed anything. One that is False is not added."""
        before = {one.type: one for one in self.status.conditions}
        old = before.get(condition.type)
        same = old is not None and (old.status, old.reason, old.message) == (
            condition.status, condition.reason, condition.message,
        )  # fmt: skip
        if same or (old is None and condition.status == "False"):
            return False
        self.status.conditions = tuple({**before, condition.type: condition}.values())
        return True

    # What to do

    def plan(self) -> Plan:
        self._start()
        verdict = self._verdict()
        todo = Plan(self.status)
        if verdict is not None:
            todo = todo._replace(delete=tuple(self.active))
            active = 0
        else:
            todo, active = self._manage(todo) if self.job.metadata.deletionTimestamp is None else (
                todo, len(self.active))  # fmt: skip
            enough_done = self.succeeded > 0 if self.completions is None else self.succeeded >= self.completions
            if enough_done and not active:
                text = "Reached expected number of succeeded pods"
                verdict = self._condition(MET, "CompletionsReached", text)
            elif self.job.metadata.deletionTimestamp is None:
                self._note_suspension()
        gone = {pod.metadata.uid for pod in (*todo.delete, *todo.drop)} - self.view.undone.kept
        staying = [pod for pod in self.active if pod.metadata.uid not in gone]
        release = self._count(verdict)
        self.status.active = active
        self.status.ready = sum(podlib.ready(pod) for pod in staying)
        self.status.terminating = self.terminating + len(gone)
        if verdict is not None:
            self._finish(verdict, bool(release) or bool(active))
        again = min(self.again, default=None)
        record = self._record()
        return todo._replace(release=release, events=tuple(self.events), record=record, again=again)

    def _start(self) -> None:
        going = self.job.metadata.deletionTimestamp is not None
        if self.status.startTime is None and not self.job.spec.suspend and not going:
            self.status.startTime = Time.of(self.now)

    def _note_suspension(self) -> None:
        if self.job.spec.suspend:
            if self._put(self._condition(SUSPENDED, "JobSuspended", "Job suspended")):
                self.events.append(("Normal", "Suspended", "Job suspended"))
                self.status.startTime = None
        elif self._put(self._condition(SUSPENDED, "JobResumed", "Job resumed", "False")):
            self.events.append(("Normal", "Resumed", "Job resumed"))
            self.status.startTime = Time.of(self.now)

    def _wanted(self) -> int:
        """How many pods should be active."""
        parallelism = 1 if self.job.spec.parallelism is None else self.job.spec.parallelism
        if self.job.spec.suspend:
            return 0
        if self.completions is None:
            return len(self.active) if self.succeeded else parallelism
        return max(0, min(self.completions - self.succeeded, parallelism))

    def _manage(self, todo: Plan) -> tuple[Plan, int]:
        """Drop pods that are too many, or make those that are missing; how many are active then."""
        wanted, active = self._wanted(), len(self.active)
        drop = surplus(self.active, max(0, active - wanted), (self.completions or 0) if self.indexed else None)[:BURST]
        if drop:
            return todo._replace(drop=tuple(drop)), active - len(drop) + len(self.view.undone.kept)
        waiting = self.terminating if self.job.spec.podReplacementPolicy == "Failed" else 0
        missing = min(BURST, wanted - waiting - active)
        if missing <= 0 or self.job.spec.suspend:
            return todo, active
        create = self._places(missing)
        return todo._replace(create=create, replaced=self.waiting), active + len(create) - self.view.undone.unmade

    def _places(self, missing: int) -> tuple[int | None, ...]:
        """For which indexes (or None) pods are made now, those that failed lately later."""
        per_index = self.job.spec.backoffLimitPerIndex is not None
        if not per_index:
            delay = self._record().wait(self.now.timestamp())
            if delay:
                self.again.append(delay)
                return ()
        if not self.indexed:
            return (None,) * missing
        taken = self._indexes(self.active)
        if self.job.spec.podReplacementPolicy == "Failed":
            taken |= self._indexes(pod for pod in self.view.pods if podlib.terminating(pod))
        busy = self.done.union(taken).union(self.broken.ranges)
        free = [index for _, index in zip(range(missing), busy.missing(self.completions or 0), strict=False)]
        if not per_index:
            return tuple(free)
        delays = {index: self._delay(index) for index in free}
        now = tuple(index for index in free if not delays[index])
        if not now and delays:
            self.again.append(min(delays.values()))
        return now

    def _delay(self, index: int) -> float:
        """Seconds until an index may be tried again."""
        pod = self.waiting.get(index)
        return wait(failures_of(pod) + 1, ended_at(pod), self.now.timestamp()) if pod is not None else 0.0

    def _record(self) -> Record:
        return self.view.record.after(self.won, self.lost, self.now.timestamp())

    # Counting

    def _count(self, verdict: JobCondition | None) -> tuple[Pod, ...]:
        """List the pods that ended; those to let go once the list is written."""
        listed = self.status.uncountedTerminatedPods or UncountedTerminatedPods()
        succeeded, lost = list(listed.succeeded), list(listed.failed)
        done = Indexes.parse(self.status.completedIndexes, self.completions or 0)
        indexes: set[int] = set()
        release: list[Pod] = []
        given_up = verdict is not None and verdict.type == TARGET
        for pod in self.view.pods:
            uid = pod.metadata.uid
            if not tracked(pod) or not self._may_go(pod, verdict):
                continue
            if uid not in self.counted and len(succeeded) + len(lost) + len(indexes) >= BURST:
                self.again.append(0.0)
                break
            release.append(pod)
            if self.indexed and pod.status.phase == "Succeeded":
                indexes |= self._indexes(filter(self._wins, (pod,)))
            elif uid in self.counted or not self._valid(pod):
                continue
            elif pod.status.phase == "Succeeded":
                succeeded.append(uid)
            elif (failed(self.job, pod) or given_up) and judge(self.job, pod).counted:
                lost.append(uid)
        self.status.uncountedTerminatedPods = UncountedTerminatedPods(succeeded=tuple(succeeded), failed=tuple(lost))
        if self.indexed:
            done = done.union(indexes)
            self.status.completedIndexes, self.status.succeeded = str(done), done.total
            if self.job.spec.backoffLimitPerIndex is not None:
                self.status.failedIndexes = str(self.broken)
        return tuple(release)

    def _may_go(self, pod: Pod, verdict: JobCondition | None) -> bool:
        """Nothing is to be learnt from the pod any more."""
        if self.job.metadata.deletionTimestamp is not None or verdict is not None or pod.status.phase == "Succeeded":
            return True
        if not failed(self.job, pod):
            return False
        index = self._index(pod)
        held = self.waiting.get(index) if index is not None else None
        return held is None or held.metadata.uid != pod.metadata.uid

    def _finish(self, verdict: JobCondition, unsettled: bool) -> None:
        """Note the decision; when every pod has ended and is counted, it is final."""
        self._put(verdict)
        listed = self.status.uncountedTerminatedPods or UncountedTerminatedPods()
        if unsettled or listed.succeeded or listed.failed or self.status.terminating:
            return
        if self.status.startTime is None and not (self.job.spec.suspend and self.completions == 0):
            self.status.startTime = Time.of(self.now)  # of a job that ended while suspended; the API demands it
        kind = COMPLETE if verdict.type == MET else FAILED
        final = self._condition(kind, verdict.reason, verdict.message)
        self._put(final)
        if kind == COMPLETE:
            self.status.completionTime = final.lastTransitionTime
            if self.completions is not None and self.succeeded > self.completions:
                text = "Too many succeeded pods running after completion count reached"
                self.events.append(("Warning", "TooManySucceededPods", text))
            self.events.append(("Normal", "Completed", "Job completed"))
        else:
            self.events.append(("Warning", verdict.reason, verdict.message))
