"""The job types of the batch group."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.podtemplate import PodTemplateSpec
from kijabi.api.meta import LabelSelector, Object, ObjectMeta, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.scheduling.workload import (
    WorkloadPodGroupDisruptionMode,
    WorkloadPodGroupResourceClaim,
    WorkloadPodGroupSchedulingConstraints,
    WorkloadPodGroupSchedulingPolicy,
)
from kijabi.api.struct import Int32, Int64, Struct, Tag, empty_list


class PodFailurePolicyOnExitCodesRequirement(Struct):
    """The API type PodFailurePolicyOnExitCodesRequirement."""

    containerName: Annotated[str | None, Tag(1)] = None
    operator: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    values: Annotated[
        tuple[Int32, ...],
        Tag(3, listType="set", required=True),
    ] = field(default_factory=empty_list)


class PodFailurePolicyOnPodConditionsPattern(Struct):
    """The API type PodFailurePolicyOnPodConditionsPattern."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2)] = field(default_factory=str)

    def set_defaults(self) -> None:
        """The condition holds."""
        self.status = self.status or "True"


class PodFailurePolicyRule(Struct):
    """The API type PodFailurePolicyRule."""

    action: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    onExitCodes: Annotated[PodFailurePolicyOnExitCodesRequirement | None, Tag(2)] = None
    onPodConditions: Annotated[
        tuple[PodFailurePolicyOnPodConditionsPattern, ...],
        Tag(3, listType="atomic"),
    ] = ()


class PodFailurePolicy(Struct):
    """The API type PodFailurePolicy."""

    rules: Annotated[
        tuple[PodFailurePolicyRule, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class SuccessPolicyRule(Struct):
    """The API type SuccessPolicyRule."""

    succeededIndexes: Annotated[str | None, Tag(1)] = None
    succeededCount: Annotated[Int32 | None, Tag(2)] = None


class SuccessPolicy(Struct):
    """The API type SuccessPolicy."""

    rules: Annotated[
        tuple[SuccessPolicyRule, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class JobSchedulingConfiguration(Struct):
    """The API type JobSchedulingConfiguration."""

    schedulingPolicy: Annotated[WorkloadPodGroupSchedulingPolicy | None, Tag(1)] = None
    schedulingConstraints: Annotated[WorkloadPodGroupSchedulingConstraints | None, Tag(2)] = None
    disruptionMode: Annotated[WorkloadPodGroupDisruptionMode | None, Tag(3)] = None
    resourceClaims: Annotated[
        tuple[WorkloadPodGroupResourceClaim, ...],
        Tag(4, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()


class JobSpec(Struct):
    """What is asked of a Job."""

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
    """What is asked of a Job Template."""

    metadata: Annotated[ObjectMeta, Tag(1)] = field(default_factory=ObjectMeta)
    spec: Annotated[JobSpec, Tag(2)] = field(default_factory=JobSpec)


class JobCondition(Struct):
    """One condition of a Job."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastProbeTime: Annotated[Time, Tag(3)] = Time()
    lastTransitionTime: Annotated[Time, Tag(4)] = Time()
    reason: Annotated[str, Tag(5)] = ""
    message: Annotated[str, Tag(6)] = ""


class UncountedTerminatedPods(Struct):
    """The API type UncountedTerminatedPods."""

    succeeded: Annotated[tuple[str, ...], Tag(1, listType="set")] = ()
    failed: Annotated[tuple[str, ...], Tag(2, listType="set")] = ()


class JobStatus(Struct):
    """What was last seen of a Job."""

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
    """The API type Job."""

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
)
