"""How a Job says that its pods are scheduled together (scheduling.k8s.io/v1alpha3, as far as Job uses it)."""

from typing import Annotated

from msgspec import field

from kijabi.api.struct import Int32, Struct, Tag


class WorkloadPodGroupBasicSchedulingPolicy(Struct):
    """Each pod for itself."""


class WorkloadPodGroupGangSchedulingPolicy(Struct):
    """At least so many at once, or none."""

    minCount: Annotated[Int32 | None, Tag(1)] = None


class WorkloadPodGroupSchedulingPolicy(Struct):
    """Basic or gang; one member is set."""

    basic: Annotated[WorkloadPodGroupBasicSchedulingPolicy | None, Tag(1)] = None
    gang: Annotated[WorkloadPodGroupGangSchedulingPolicy | None, Tag(2)] = None


class TopologyConstraint(Struct):
    """Pods must share the value of a topology label."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class WorkloadPodGroupSchedulingConstraints(Struct):
    """Where the pods of a group may be, relative to one another."""

    topology: Annotated[tuple[TopologyConstraint, ...], Tag(1, listType="atomic")] = ()


class WorkloadPodGroupSingleDisruptionMode(Struct):
    """Pods may be disrupted one by one."""


class WorkloadPodGroupAllDisruptionMode(Struct):
    """Pods are disrupted all together."""


class WorkloadPodGroupDisruptionMode(Struct):
    """Single or all; one member is set."""

    single: Annotated[WorkloadPodGroupSingleDisruptionMode | None, Tag(1)] = None
    all: Annotated[WorkloadPodGroupAllDisruptionMode | None, Tag(2)] = None


class WorkloadPodGroupResourceClaim(Struct):
    """Devices that the pods of a group share."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resourceClaimName: Annotated[str | None, Tag(2)] = None
    resourceClaimTemplateName: Annotated[str | None, Tag(3)] = None
