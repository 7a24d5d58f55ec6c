"""Jobs by the clock; acted on by the CronJob controller."""

from typing import Annotated

from msgspec import field

from kijabi.api.batch.cronjob_rules import validate, validate_update, warnings
from kijabi.api.batch.job import JobTemplateSpec
from kijabi.api.columns import AGE, NAME, NONE, boolean_text, column, containers_of, number, selector_text, since
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag


class CronJobSpec(Struct):
    """The schedule, the job template, and what to do with late, overlapping and finished jobs."""

    schedule: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    timeZone: Annotated[str | None, Tag(8)] = None
    startingDeadlineSeconds: Annotated[Int64 | None, Tag(2)] = None
    concurrencyPolicy: Annotated[str, Tag(3)] = ""
    suspend: Annotated[bool | None, Tag(4)] = None
    jobTemplate: Annotated[JobTemplateSpec, Tag(5, required=True)] = field(default_factory=JobTemplateSpec)
    successfulJobsHistoryLimit: Annotated[Int32 | None, Tag(6)] = None
    failedJobsHistoryLimit: Annotated[Int32 | None, Tag(7)] = None

    def set_defaults(self) -> None:
        """Jobs may overlap; three good ones and one failed are kept."""
        self.concurrencyPolicy = self.concurrencyPolicy or "Allow"
        if self.suspend is None:
            self.suspend = False
        if self.successfulJobsHistoryLimit is None:
            self.successfulJobsHistoryLimit = 3
        if self.failedJobsHistoryLimit is None:
            self.failedJobsHistoryLimit = 1


class CronJobStatus(Struct):
    """The jobs that run, and when the last ones were scheduled and succeeded."""

    active: Annotated[tuple[ObjectReference, ...], Tag(1, listType="atomic")] = ()
    lastScheduleTime: Annotated[Time | None, Tag(4)] = None
    lastSuccessfulTime: Annotated[Time | None, Tag(5)] = None


class CronJob(Object):
    """Creates a Job at the times of a cron schedule."""

    spec: Annotated[CronJobSpec, Tag(2, required=True)] = field(default_factory=CronJobSpec)
    status: Annotated[CronJobStatus, Tag(3)] = field(default_factory=CronJobStatus)


COLUMNS = (
    NAME,
    column("Schedule", lambda obj: obj.spec.schedule, "When it starts jobs, as in crontab."),
    column("Timezone", lambda obj: NONE if obj.spec.timeZone is None else obj.spec.timeZone, "Whose time that is."),
    column("Suspend", lambda obj: boolean_text(obj.spec.suspend), "Whether it starts none now.", type="boolean"),
    number("Active", lambda obj: len(obj.status.active), "How many of its jobs run."),
    column(
        "Last Schedule",
        lambda obj: NONE if obj.status.lastScheduleTime is None else since(obj.status.lastScheduleTime),
        "How long ago it last started one.",
    ),
    AGE,
    *containers_of(lambda obj: obj.spec.jobTemplate.spec.template.spec.containers),
    column(
        "Selector",
        lambda obj: selector_text(obj.spec.jobTemplate.spec.selector),
        "Labels that the pods have.",
        wide=True,
    ),
)


RESOURCE = Resource(
    group="batch",
    version="v1",
    kind="CronJob",
    plural="cronjobs",
    type=CronJob,
    singular="cronjob",
    short=("cj",),
    categories=("all",),
    subresources=(Subresource(name="status", kind="CronJob", verbs=("get", "patch", "update"), type=CronJob),),
    has_generation=True,
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
)
