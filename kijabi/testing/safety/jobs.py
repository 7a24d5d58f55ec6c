"""Rules for Jobs and CronJobs: exact counts, as many at a time as asked for, an end for good, no time run twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from kijabi.api.batch.cronjob import CronJob
from kijabi.api.batch.job import Job
from kijabi.api.core.pod import Pod
from kijabi.testing.history import Change, Ledger, controller
from kijabi.testing.safety.facts import CONTROLLERS, created, lives, on_time, owner_kind

TRACKING = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"
DECIDED = ("SuccessCriteriaMet", "FailureTarget", "Complete", "Failed")
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"


def over(job: Job) -> bool:
    """It is Complete or Failed."""
    return bool(_final(job))


def _final(job: Job) -> set[str]:
    return {c.type for c in job.status.conditions if c.type in ("Complete", "Failed") and c.status == "True"}


class _Pods(NamedTuple):
    """What became of a Job's pods, by uid or, of an indexed Job, what succeeded by index.

    every: those that there have been; succeeded, lost: that ended so, or were to be deleted; settled, failed: of those,
    the ones that nobody tracks now.
    """

    every: set[str]
    succeeded: set[str]
    lost: set[str]
    settled: set[str]
    failed: set[str]


class CountedExactly:
    """A Job's counts are those of its pods, through crashes: never more than have ended, and never fewer than have been
    let go because they are counted; each once (KEP-2307; batch/v1 JobStatus).
    """

    def __init__(self) -> None:
        self.judged = 0
        self._jobs: dict[str, _Pods] = {}

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        job: Job | None = None
        if change.resource.type is Job:
            job = change.new
        elif change.resource.type is Pod and owner_kind(change.obj) == "Job":
            self._note(change)
            job = ledger.owner(Job, change.obj)
        if job is None or job.metadata.deletionTimestamp is not None:
            return None
        known = self._jobs.get(job.metadata.uid, _Pods(set(), set(), set(), set(), set()))
        self.judged += 1
        if any(c.status == "True" and c.type in DECIDED for c in job.status.conditions):
            known.settled.clear()  # From now on pods are let go whether they count or not.
            known.failed.clear()
        return (_indexes_wrong if _indexed(job) else _succeeded_wrong)(job, known) or _failed_wrong(job, known)

    def _note(self, change: Change) -> None:
        pod, ref = change.obj, controller(change.obj.metadata)
        assert ref is not None
        known = self._jobs.setdefault(ref.uid, _Pods(set(), set(), set(), set(), set()))
        name = pod.metadata.annotations.get(INDEX, pod.metadata.uid)
        let_go = change.old is not None and _tracked(change.old) and (change.new is None or not _tracked(change.new))
        known.every.add(pod.metadata.uid)
        if pod.status.phase == "Succeeded":
            known.succeeded.add(name)
            # One that is being deleted is a failure to whoever sees that first (Job, podReplacementPolicy).
            if let_go and pod.metadata.deletionTimestamp is None:
                known.settled.add(name)
        if pod.status.phase == "Failed" or pod.metadata.deletionTimestamp is not None:
            known.lost.add(pod.metadata.uid)
        if pod.status.phase == "Failed" and let_go:
            known.failed.add(pod.metadata.uid)


def _tracked(pod: Pod) -> bool:
    return TRACKING in pod.metadata.finalizers


def _indexed(job: Job) -> bool:
    return job.spec.completionMode == "Indexed"


def _waiting(job: Job) -> tuple[int, int]:
    """(succeeded, failed) pods that are written down but not yet counted."""
    listed = job.status.uncountedTerminatedPods
    return (len(listed.succeeded), len(listed.failed)) if listed is not None else (0, 0)


def _succeeded_wrong(job: Job, known: _Pods) -> str | None:
    said = job.status.succeeded + _waiting(job)[0]
    if said > len(known.succeeded):
        return f"{said} successes are counted, {len(known.succeeded)} pods have succeeded"
    if said < len(known.settled):
        return f"{said} successes are counted, but {len(known.settled)} pods were let go as counted"
    return None


def _failed_wrong(job: Job, known: _Pods) -> str | None:
    """Of a Job that is given up, those that have not ended yet count too (as upstream counts)."""
    said = job.status.failed + _waiting(job)[1]
    given_up = any(c.type == "FailureTarget" and c.status == "True" for c in job.status.conditions)
    if said > len(known.every if given_up else known.lost):
        return f"{said} failures are counted, {len(known.lost)} pods have failed or were deleted"
    if said < len(known.failed) and job.spec.podFailurePolicy is None:
        return f"{said} failures are counted, but {len(known.failed)} pods were let go as counted"
    return None


def _indexes_wrong(job: Job, known: _Pods) -> str | None:
    said, most = _numbers(job.status.completedIndexes), job.spec.completions or 0
    if job.status.succeeded != len(said):
        return f"{job.status.succeeded} successes are counted, but the indexes are {sorted(said)}"
    invented = said - {int(name) for name in known.succeeded}
    if invented:
        return f"indexes {sorted(invented)} are said to be complete, but none of their pods has succeeded"
    forgotten = {int(name) for name in known.settled if int(name) < most} - said
    return f"the pods of indexes {sorted(forgotten)} were let go, but are not counted" if forgotten else None


def _numbers(text: str) -> set[int]:
    """`1,3-5`."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


class JobsEndForGood:
    """A Job that is Complete or Failed stays so, is not both, and its counts change no more; before that they never
    fall but with the number of indexes (batch/v1 JobStatus.conditions).
    """

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Job or change.new is None or change.old is None:
            return None
        old, new = change.old, change.new
        if len(_final(new)) > 1:
            return "it is Complete and Failed"
        if _final(old) - _final(new):
            return f"it is not {_final(old)} any more"
        before, after = (old.status.succeeded, old.status.failed), (new.status.succeeded, new.status.failed)
        if over(old) and before != after:
            return f"its counts went from {before} to {after} after its end"
        shrunk = (new.spec.completions or 0) < (old.spec.completions or 0)
        fell = after[1] < before[1] or (after[0] < before[0] and not shrunk and not _indexed(new))
        return f"its counts fell from {before} to {after}" if fell else None


class WithinParallelism:
    """A Job is given pods only until it is over, at most parallelism at a time by any recent form of it, none for an
    index that has one, and succeeds no more often than asked (batch/v1 JobSpec).
    """

    def __init__(self) -> None:
        self.judged = 0

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        pod = created(change, "Job")
        job = ledger.owner(Job, pod) if pod is not None else None
        if job is None or pod is None:
            return None
        there = [one for one in ledger.owned(Pod, job.metadata.uid) if lives(one)]
        if not on_time(there, ledger):
            return None
        self.judged += 1
        forms: Iterable[Job] = ledger.forms("jobs.batch", job)
        most = max(1 if form.spec.parallelism is None else form.spec.parallelism for form in forms)
        if over(job):
            return "it is made for a Job that is over"
        if len(there) > most:
            return f"{len(there)} pods are active of at most {most}"
        index = pod.metadata.annotations.get(INDEX)
        same = [one for one in there if index is not None and one.metadata.annotations.get(INDEX) == index]
        return f"index {index} has {len(same)} active pods" if len(same) > 1 else None


class TimesRunOnce:
    """A CronJob starts a Job once for each time of its schedule, whatever its clock does, and none that Forbid forbids:
    while another of its Jobs runs (batch/v1 CronJobSpec.concurrencyPolicy).
    """

    def __init__(self) -> None:
        self.judged = 0
        self._started: dict[str, set[str]] = {}

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """See Checker."""
        if change.resource.type is not Job or change.old is not None or change.actor != CONTROLLERS:
            return None
        owner = ledger.owner(CronJob, change.new)
        if owner is None:
            return None
        self.judged += 1
        at = change.new.metadata.annotations.get(SCHEDULED, "")
        started = self._started.setdefault(owner.metadata.uid, set())
        if at in started:
            return f"a Job for {at} was started before"
        started.add(at)
        others = [job for job in ledger.owned(Job, owner.metadata.uid) if job is not change.new and not over(job)]
        others = [job for job in others if job.metadata.deletionTimestamp is None]
        going = [job for job in others if job.metadata.uid not in ledger.late]
        forbids = all(form.spec.concurrencyPolicy == "Forbid" for form in ledger.forms("cronjobs.batch", owner))
        return f"{going[0].metadata.name} still runs, which Forbid forbids" if forbids and going else None
