"""Work that ends; acted on by the Job controller."""

from typing import Annotated

from msgspec import field

from kijabi.api.batch.job_rules import validate, validate_update, warnings
from kijabi.api.batch.job_status_rules import validate_status
from kijabi.api.columns import AGE, NAME, column, containers_of, human_duration, selector_text, since
from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.meta import LabelSelector, Object, ObjectMeta, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.scheduling.jobgroups import (
    WorkloadPodGroupDisruptionMode,
    WorkloadPodGroupResourceClaim,
    WorkloadPodGroupSchedulingConstraints,
    WorkloadPodGroupSchedulingPolicy,
)
from kijabi.api.struct import Int32, Int64, Struct, Tag, empty_list


class PodFailurePolicyOnExitCodesRequirement(Struct):
    """Exit codes that a rule looks for."""

    containerName: Annotated[str | None, Tag(1)] = None
    operator: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    values: Annotated[
        tuple[Int32, ...],
        Tag(3, listType="set", required=True),
    ] = field(default_factory=empty_list)


class PodFailurePolicyOnPodConditionsPattern(Struct):
    """A pod condition that a rule looks for."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2)] = field(default_factory=str)

    def set_defaults(self) -> None:
        """The condition holds."""
        self.status = self.status or "True"


class PodFailurePolicyRule(Struct):
    """What a failed pod means: fail the job or the index, ignore it, or count it."""

    action: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    onExitCodes: Annotated[PodFailurePolicyOnExitCodesRequirement | None, Tag(2)] = None
    onPodConditions: Annotated[
        tuple[PodFailurePolicyOnPodConditionsPattern, ...],
        Tag(3, listType="atomic"),
    ] = ()


class PodFailurePolicy(Struct):
    """Rules for failed pods; the first that matches decides."""

    rules: Annotated[
        tuple[PodFailurePolicyRule, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class SuccessPolicyRule(Struct):
    """Indexes, or a number of them, whose success is enough."""

    succeededIndexes: Annotated[str | None, Tag(1)] = None
    succeededCount: Annotated[Int32 | None, Tag(2)] = None


class SuccessPolicy(Struct):
    """Rules for when a job has done enough; the first that matches decides."""

    rules: Annotated[
        tuple[SuccessPolicyRule, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class JobSchedulingConfiguration(Struct):
    """How the scheduler treats the pods of a job as a group."""

    schedulingPolicy: Annotated[WorkloadPodGroupSchedulingPolicy | None, Tag(1)] = None
    schedulingConstraints: Annotated[WorkloadPodGroupSchedulingConstraints | None, Tag(2)] = None
    disruptionMode: Annotated[WorkloadPodGroupDisruptionMode | None, Tag(3)] = None
    resourceClaims: Annotated[
        tuple[WorkloadPodGroupResourceClaim, ...],
        Tag(4, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()


class JobSpec(Struct):
    """The pod template, how many must succeed, how many at once, and when to give up."""

    parallelism: Annotated[Int32 | None, Tag(1)] = None
    completions: Annotated[Int32 | None, Tag(2)] = None
    activeDeadlineSeconds: Annotated[Int64 | None, Tag(3)] = None
    podFailurePolicy: Annotated[PodFailurePolicy | None, Tag(11)] = None
    successPolicy: Annotated[SuccessPolicy | None, Tag(16)] = None
    backoffLimit: Annotated[Int32 | None, Tag(7)] = None
    backoffLimitPerIndex: Annotated[Int32 | None, Tag(12)] = None
    maxFailedIndexes: Annotated[Int32 | None, Tag(13)] = None
    selector: Annotated[LabelSelector | None, Tag(4)] = None
    manualSelector: Annotated[bool | None, Tag(5)] = None
    template: Annotated[PodTemplateSpec, Tag(6, required=True)] = field(default_factory=PodTemplateSpec)
    ttlSecondsAfterFinished: Annotated[Int32 | None, Tag(8)] = None
    completionMode: Annotated[str | None, Tag(9)] = None
    suspend: Annotated[bool | None, Tag(10)] = None
    podReplacementPolicy: Annotated[str | None, Tag(14)] = None
    managedBy: Annotated[str | None, Tag(15)] = None
    scheduling: Annotated[JobSchedulingConfiguration | None, Tag(17, gate="WorkloadWithJob")] = None


class JobTemplateSpec(Struct):
    """The job that a CronJob creates."""

    metadata: Annotated[ObjectMeta, Tag(1)] = field(default_factory=ObjectMeta)
    spec: Annotated[JobSpec, Tag(2)] = field(default_factory=JobSpec)


class JobCondition(Struct):
    """Complete, Failed, Suspended, SuccessCriteriaMet or FailureTarget."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastProbeTime: Annotated[Time, Tag(3)] = Time()
    lastTransitionTime: Annotated[Time, Tag(4)] = Time()
    reason: Annotated[str, Tag(5)] = ""
    message: Annotated[str, Tag(6)] = ""


class UncountedTerminatedPods(Struct):
    """Pods that ended but are not yet counted in the status; none is counted twice."""

    succeeded: Annotated[tuple[str, ...], Tag(1, listType="set")] = ()
    failed: Annotated[tuple[str, ...], Tag(2, listType="set")] = ()


class JobStatus(Struct):
    """How many pods are active, ready, succeeded and failed, and which indexes are done."""

    conditions: Annotated[
        tuple[JobCondition, ...],
        Tag(1, listType="atomic", strategy="merge", mergeKey="type"),
    ] = ()
    startTime: Annotated[Time | None, Tag(2)] = None
    completionTime: Annotated[Time | None, Tag(3)] = None
    active: Annotated[Int32, Tag(4)] = 0
    succeeded: Annotated[Int32, Tag(5)] = 0
    failed: Annotated[Int32, Tag(6)] = 0
    terminating: Annotated[Int32 | None, Tag(11)] = None
    completedIndexes: Annotated[str, Tag(7)] = ""
    failedIndexes: Annotated[str | None, Tag(10)] = None
    uncountedTerminatedPods: Annotated[UncountedTerminatedPods | None, Tag(8)] = None
    ready: Annotated[Int32 | None, Tag(9)] = None


class Job(Object):
    """Runs pods until enough of them have succeeded."""

    spec: Annotated[JobSpec, Tag(2)] = field(default_factory=JobSpec)
    status: Annotated[JobStatus, Tag(3)] = field(default_factory=JobStatus)

    def set_defaults(self) -> None:
        """One pod at a time, six tries."""
        spec = self.spec
        if spec.completions is None and spec.parallelism is None:
            spec.completions = 1
        if spec.parallelism is None:
            spec.parallelism = 1
        if spec.backoffLimit is None:
            spec.backoffLimit = 6 if spec.backoffLimitPerIndex is None else 2**31 - 1
        self.metadata.labels = self.metadata.labels or dict(spec.template.metadata.labels)
        if spec.completionMode is None:
            spec.completionMode = "NonIndexed"
        if spec.suspend is None:
            spec.suspend = False
        if spec.podReplacementPolicy is None:
            spec.podReplacementPolicy = "TerminatingOrFailed" if spec.podFailurePolicy is None else "Failed"
        if spec.manualSelector is None:
            spec.manualSelector = False


def _completions(obj: Job) -> str:
    done, spec = obj.status.succeeded, obj.spec
    if spec.completions is not None:
        return f"{done}/{spec.completions}"
    return f"{done}/1 of {spec.parallelism}" if (spec.parallelism or 0) > 1 else f"{done}/1"


def _duration(obj: Job) -> str:
    start, end = obj.status.startTime, obj.status.completionTime
    if start is None:
        return ""
    return since(start) if end is None else human_duration(end.timestamp() - start.timestamp())


def _status(obj: Job) -> str:
    true = {each.type for each in obj.status.conditions if each.status == "True"}
    if "Complete" in true or "Failed" in true:
        return "Complete" if "Complete" in true else "Failed"
    if obj.metadata.deletionTimestamp is not None:
        return "Terminating"
    return next((each for each in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if each in true), "Running")


COLUMNS = (
    NAME,
    column("Status", _status, "How far it is."),
    column("Completions", _completions, "Pods that succeeded, of those wanted."),
    column("Duration", _duration, "How long it has run, or ran."),
    AGE,
    *containers_of(lambda obj: obj.spec.template.spec.containers),
    column("Selector", lambda obj: selector_text(obj.spec.selector), "Labels that its pods have.", wide=True),
)


def prepare(new: Job, old: Job | None) -> None:
    """A new job selects its pods by its own uid, unless its maker selects by hand."""
    if old is not None or new.spec.manualSelector:
        return
    own, labels = new.metadata, new.spec.template.metadata.labels
    for key in ("job-name", "batch.kubernetes.io/job-name"):
        labels.setdefault(key, own.name)
    for key in ("controller-uid", "batch.kubernetes.io/controller-uid"):
        labels.setdefault(key, own.uid)
    new.spec.selector = new.spec.selector or LabelSelector()
    new.spec.selector.matchLabels.setdefault("batch.kubernetes.io/controller-uid", own.uid)


RESOURCE = Resource(
    group="batch",
    version="v1",
    kind="Job",
    plural="jobs",
    type=Job,
    singular="job",
    categories=("all",),
    subresources=(Subresource(name="status", kind="Job", verbs=("get", "patch", "update"), type=Job),),
    has_generation=True,
    columns=COLUMNS,
    prepare=prepare,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    warnings=warnings,
    fields=(("status.successful", lambda job: str(job.status.succeeded)),),
)
