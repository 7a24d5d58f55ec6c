"""The workload types of the scheduling group."""

from typing import Annotated

from msgspec import field

from kijabi.api.struct import Int32, Struct, Tag


class WorkloadPodGroupBasicSchedulingPolicy(Struct):
    """The API type WorkloadPodGroupBasicSchedulingPolicy."""


class WorkloadPodGroupGangSchedulingPolicy(Struct):
    """The API type WorkloadPodGroupGangSchedulingPolicy."""

    minCount: Annotated[Int32 | None, Tag(1)] = None


class WorkloadPodGroupSchedulingPolicy(Struct):
    """The API type WorkloadPodGroupSchedulingPolicy."""

    basic: Annotated[WorkloadPodGroupBasicSchedulingPolicy | None, Tag(1)] = None
    gang: Annotated[WorkloadPodGroupGangSchedulingPolicy | None, Tag(2)] = None


class TopologyConstraint(Struct):
    """The API type TopologyConstraint."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class WorkloadPodGroupSchedulingConstraints(Struct):
    """The API type WorkloadPodGroupSchedulingConstraints."""

    topology: Annotated[tuple[TopologyConstraint, ...], Tag(1, listType="atomic")] = ()


class WorkloadPodGroupSingleDisruptionMode(Struct):
    """The API type WorkloadPodGroupSingleDisruptionMode."""


class WorkloadPodGroupAllDisruptionMode(Struct):
    """The API type WorkloadPodGroupAllDisruptionMode."""


class WorkloadPodGroupDisruptionMode(Struct):
    """The API type WorkloadPodGroupDisruptionMode."""

    single: Annotated[WorkloadPodGroupSingleDisruptionMode | None, Tag(1)] = None
    all: Annotated[WorkloadPodGroupAllDisruptionMode | None, Tag(2)] = None


class WorkloadPodGroupResourceClaim(Struct):
    """The API type WorkloadPodGroupResourceClaim."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resourceClaimName: Annotated[str | None, Tag(2)] = None
    resourceClaimTemplateName: Annotated[str | None, Tag(3)] = None
