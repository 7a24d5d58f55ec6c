"""The cronjob types of the batch group."""

from typing import Annotated

from msgspec import field

from kijabi.api.batch.job import JobTemplateSpec
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag


class CronJobSpec(Struct):
    """What is asked of a Cron Job."""

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
    """What was last seen of a Cron Job."""

    active: Annotated[tuple[ObjectReference, ...], Tag(1, listType="atomic")] = ()
    lastScheduleTime: Annotated[Time | None, Tag(4)] = None
    lastSuccessfulTime: Annotated[Time | None, Tag(5)] = None


class CronJob(Object):
    """The API type CronJob."""

    spec: Annotated[CronJobSpec, Tag(2, required=True)] = field(default_factory=CronJobSpec)
    status: Annotated[CronJobStatus, Tag(3)] = field(default_factory=CronJobStatus)


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
)
