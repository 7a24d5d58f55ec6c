"""What a cron job must be: a schedule that can be read, a time zone that exists, and a job to make.

`cronjob.py` gives these to its Resource. Texts are those of k8s.io/kubernetes `pkg/apis/batch/validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from re import compile as regex
from typing import TYPE_CHECKING

from kijabi.api.batch.job_rules import spec_warnings, validate_job_spec
from kijabi.api.batch.schedule import known_zone, problem
from kijabi.api.core.pod_warnings import named_warning
from kijabi.api.resource import FieldError
from kijabi.api.validation import invalid, non_negative, not_supported, one_of, required

if TYPE_CHECKING:
    from kijabi.api.batch.cronjob import CronJob

# A job's name is the cron job's and eleven characters more.
_LONGEST_NAME = 52
_PART_OF_ZONE = regex(r"[A-Za-z.\-_0-9+]{1,14}")


def validate(obj: CronJob) -> Sequence[FieldError]:
    """Everything that is wrong with a cron job."""
    spec, new = obj.spec, not obj.metadata.resourceVersion
    errors: list[FieldError] = []
    wrong = problem(spec.schedule) if spec.schedule else ""
    if wrong:
        errors.append(invalid("spec.schedule", spec.schedule, wrong))
    if new and "TZ" in spec.schedule:
        detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        errors.append(invalid("spec.schedule", spec.schedule, detail))
    errors += non_negative("spec.startingDeadlineSeconds", spec.startingDeadlineSeconds)
    if new:
        errors += _validate_zone(spec.timeZone)
    if not spec.concurrencyPolicy:
        errors.append(required("spec.concurrencyPolicy"))
    else:
        errors += one_of("spec.concurrencyPolicy", spec.concurrencyPolicy, ("Allow", "Forbid", "Replace"))
    path, job = "spec.jobTemplate.spec", spec.jobTemplate.spec
    errors += validate_job_spec(path, job)
    if job.selector is not None:
        errors.append(invalid(f"{path}.selector", job.selector, "`selector` will be auto-generated"))
    if job.manualSelector:
        errors.append(not_supported(f"{path}.manualSelector", job.manualSelector, ("nil", "false")))
    for name in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        errors += non_negative(f"spec.{name}", getattr(spec, name))
    if new and len(obj.metadata.name) > _LONGEST_NAME:
        errors.append(invalid("metadata.name", obj.metadata.name, f"must be no more than {_LONGEST_NAME} characters"))
    return errors if spec.schedule else [*errors, required("spec.schedule")]


def _validate_zone(zone: str | None) -> list[FieldError]:
    path = "spec.timeZone"
    if zone is None:
        return []
    if not zone:
        return [invalid(path, zone, "timeZone must be nil or non-empty string")]
    for part in zone.split("/"):
        if part in (".", "..") or part.startswith("-") or not _PART_OF_ZONE.fullmatch(part):
            return [invalid(path, zone, f"unknown time zone {zone}")]
    if zone.lower() == "local":
        detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
        return [invalid(path, zone, detail)]
    return [] if known_zone(zone) else [invalid(path, zone, f"unknown time zone {zone}")]


def validate_update(new: CronJob, old: CronJob) -> Sequence[FieldError]:
    """Only a zone that is changed is looked at, and old schedules may go on naming one."""
    errors = _validate_zone(new.spec.timeZone) if new.spec.timeZone != old.spec.timeZone else []
    schedule = new.spec.schedule
    if "TZ" not in schedule:
        return errors
    if "TZ" not in old.spec.schedule:
        detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        errors.append(invalid("spec.schedule", schedule, detail))
    elif new.spec.timeZone is not None:
        detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule"
        errors.append(invalid("spec.schedule", schedule, detail))
    return errors


def warnings(obj: CronJob) -> Sequence[str]:
    """What a client should be told of a cron job that is accepted."""
    named = [] if obj.metadata.resourceVersion else named_warning(obj.metadata.name)
    found = named + spec_warnings("spec.jobTemplate.spec", obj.spec.jobTemplate.spec)
    if obj.metadata.resourceVersion and "TZ" in obj.spec.schedule:
        see = "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        found.append(f"cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see {see}")
    return found
