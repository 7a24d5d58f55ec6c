"""What the status of a job may say, whoever writes it: an outside controller too (`managedBy`, KEP-4368).

`job.py` gives `validate_status` to its Resource. Most rules look only at what changes, so that a status that was wrong
before does not hold up the next write. Texts are those of k8s.io/kubernetes `pkg/apis/batch/validation`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from kijabi.api.batch.job_rules import count_indexes, without_value
from kijabi.api.resource import FieldError
from kijabi.api.validation import duplicate, invalid, non_negative, required

if TYPE_CHECKING:
    from kijabi.api.batch.job import Job

_COUNTS = ("active", "succeeded", "failed", "ready", "terminating")
_CONDITIONS = "status.conditions"
_FINAL = ("Complete", "Failed")


def holds(job: Job, *kinds: str) -> bool:
    """One of these conditions is true."""
    return any(one.type in kinds and one.status == "True" for one in job.status.conditions)


def validate_status(new: Job, old: Job) -> Sequence[FieldError]:
    """Everything that is wrong with a new status."""
    errors = [error for name in _COUNTS for error in non_negative(f"status.{name}", getattr(new.status, name))]
    errors += _validate_uids(new)
    errors += (without_value(_CONDITIONS, text) for text in _contradictions(new, old))
    errors += _validate_times(new, old)
    errors += _validate_finished(new, old)
    errors += _validate_indexes(new, old)
    if _changed(new, old, "ready", "active") and (new.status.ready or 0) > new.status.active:
        errors.append(invalid("status.ready", new.status.ready, "cannot set more ready pods than active"))
    return errors + _validate_step(new, old)


def _changed(new: Job, old: Job, *names: str) -> bool:
    return any(getattr(new.status, name) != getattr(old.status, name) for name in names)


def _turned(new: Job, old: Job, *kinds: str) -> bool:
    """One of these conditions is as it was not before."""
    return any(holds(new, kind) != holds(old, kind) for kind in kinds)


def _validate_uids(new: Job) -> list[FieldError]:
    listed, seen, errors = new.status.uncountedTerminatedPods, set(), []
    for name in ("succeeded", "failed") if listed is not None else ():
        for index, uid in enumerate(getattr(listed, name)):
            path = f"status.uncountedTerminatedPods.{name}[{index}]"
            if not uid:
                errors.append(invalid(path, uid, "must not be empty"))
            elif uid in seen:
                errors.append(duplicate(path, uid))
            seen.add(uid)
    return errors


def _contradictions(new: Job, old: Job) -> Iterator[str]:
    """What its conditions say that cannot be."""
    complete, failed, met = holds(new, "Complete"), holds(new, "Failed"), holds(new, "SuccessCriteriaMet")
    target = holds(new, "FailureTarget")
    if complete and failed and _turned(new, old, *_FINAL):
        yield "cannot set Complete=True and Failed=true conditions"
    if complete and target and _turned(new, old, "Complete", "FailureTarget"):
        yield "cannot set Complete=True and FailureTarget=true conditions"
    if failed and not target and (_turned(new, old, "Failed") or _changed(new, old, "failedIndexes")):
        yield "cannot set Failed=True condition without the FailureTarget=true condition"
    if complete and not met and _turned(new, old, "Complete", "SuccessCriteriaMet"):
        yield "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
    if met and failed:
        yield "cannot set SuccessCriteriaMet=True and Failed=true conditions"
    if met and target:
        yield "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"
    if new.spec.successPolicy is not None and complete and not met:
        yield "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"


def _validate_times(new: Job, old: Job) -> list[FieldError]:
    path, status, complete = "status.completionTime", new.status, holds(new, "Complete")
    start, end = status.startTime, status.completionTime
    errors: list[FieldError] = []
    if _turned(new, old, "Complete") or _changed(new, old, "completionTime"):
        if end is not None and not complete:
            text = "cannot set completionTime when there is no Complete=True condition"
            errors.append(invalid(path, end, text))
        if end is None and complete:
            errors.append(required(path, "completionTime is required for Complete jobs"))
    ordered = start is None or end is None or end.timestamp() >= start.timestamp()
    if not ordered and _changed(new, old, "startTime", "completionTime"):
        errors.append(invalid(path, end, "must be equal to or after `startTime`"))
    return errors


def _validate_finished(new: Job, old: Job) -> list[FieldError]:
    """What a job that is over may not have."""
    if not holds(new, *_FINAL):
        return []
    status, now = new.status, not holds(old, *_FINAL)
    errors: list[FieldError] = []
    if status.active > 0 and (now or _changed(new, old, "active")):
        errors.append(invalid("status.active", status.active, "active>0 is invalid for finished job"))
    idle = new.spec.suspend and new.spec.completions == 0
    if status.startTime is None and not idle and (now or _changed(new, old, "startTime")):
        errors.append(required("status.startTime", "startTime is required for finished job"))
    listed = status.uncountedTerminatedPods
    full = listed is not None and bool(listed.succeeded or listed.failed)
    if full and (now or _changed(new, old, "uncountedTerminatedPods")):
        errors.append(invalid("status.uncountedTerminatedPods", listed, "must be empty for finished job"))
    if (status.terminating or 0) > 0 and (now or _changed(new, old, "terminating")):
        text = "terminating>0 is invalid for finished job"
        errors.append(invalid("status.terminating", status.terminating, text))
    return errors


def _validate_indexes(new: Job, old: Job) -> list[FieldError]:
    status, spec = new.status, new.spec
    done, broken = status.completedIndexes, status.failedIndexes
    errors: list[FieldError] = []
    if _changed(new, old, "completedIndexes"):
        errors += _unreadable("completedIndexes", done, spec.completions)
        if done and spec.completionMode != "Indexed":
            text = "cannot set non-empty completedIndexes when non-indexed completion mode"
            errors.append(invalid("status.completedIndexes", done, text))
    if broken is not None and _changed(new, old, "failedIndexes"):
        counted = spec.completions if spec.backoffLimitPerIndex is not None else None
        errors += _unreadable("failedIndexes", broken, counted)
        if spec.backoffLimitPerIndex is None:
            text = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
            errors.append(invalid("status.failedIndexes", broken, text))
    if broken and spec.completions is not None and _changed(new, old, "completedIndexes", "failedIndexes"):
        both = next(_common(_intervals(done, spec.completions), _intervals(broken, spec.completions)), None)
        if both is not None:
            text = f"failedIndexes and completedIndexes overlap at index: {both}"
            errors.append(invalid("status.failedIndexes", broken, text))
    return errors


def _unreadable(name: str, text: str, completions: int | None) -> list[FieldError]:
    if completions is None:
        return []
    try:
        count_indexes(text, completions)
    except ValueError as error:
        return [invalid(f"status.{name}", text, f"error parsing {name}: {error}")]
    return []


def _intervals(text: str, completions: int) -> list[tuple[int, int]]:
    """The intervals of a list of indexes that can be read."""
    found = []
    for part in filter(None, text.split(",")):
        try:
            count_indexes(part, completions)
        except ValueError:
            continue
        first, _, last = part.partition("-")
        found.append((int(first), int(last or first)))
    return found


def _common(mine: Sequence[tuple[int, int]], theirs: Iterable[tuple[int, int]]) -> Iterator[int]:
    """Where intervals of the two overlap, in order."""
    left, right = list(mine), list(theirs)
    while left and right:
        if left[0][0] <= right[0][1] and right[0][0] <= left[0][1]:
            yield max(left[0][0], right[0][0])
        (left if left[0][0] <= right[0][0] else right).pop(0)


def _validate_step(new: Job, old: Job) -> list[FieldError]:
    """What was said may not be taken back."""
    status, before = new.status, old.status
    lost = [kind for kind in ("Failed", "Complete", "FailureTarget") if holds(old, kind) and not holds(new, kind)]
    errors = [without_value(_CONDITIONS, f"cannot disable the terminal {kind}=True condition") for kind in lost]
    if status.failed < before.failed:
        errors.append(invalid("status.failed", status.failed, "cannot decrease the failed counter"))
    elastic = new.spec.completionMode == "Indexed" and new.spec.completions == new.spec.parallelism
    if status.succeeded < before.succeeded and not elastic:
        errors.append(invalid("status.succeeded", status.succeeded, "cannot decrease the succeeded counter"))
    end, ended = status.completionTime, before.completionTime
    if end is not None and ended is not None and end != ended:
        errors.append(invalid("status.completionTime", end, "field is immutable"))
    suspended = [[one.status for one in job.status.conditions if one.type == "Suspended"] for job in (old, new)]
    resuming = suspended == [["True"], ["False"]]
    moved = before.startTime is not None and before.startTime != status.startTime
    if moved and not resuming and not new.spec.suspend:
        text = "field is immutable for unsuspended job once set"
        errors.append(invalid("status.startTime", status.startTime, text))
    met = (holds(old, "SuccessCriteriaMet"), holds(new, "SuccessCriteriaMet"))
    if met == (True, False):
        errors.append(without_value(_CONDITIONS, "cannot disable the SuccessCriteriaMet=True condition"))
    if met == (False, True) and holds(old, "Complete"):
        text = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
        errors.append(without_value(_CONDITIONS, text))
    return errors
