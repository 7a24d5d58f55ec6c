"""Templates for groups of pods that are scheduled together: what a controller of workloads makes PodGroups from.

scheduling.k8s.io/v1beta1, off unless its feature gate is on, as PodGroup is.
"""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME
from kijabi.api.meta import Object
from kijabi.api.resource import Resource
from kijabi.api.scheduling.podgroup import (
    DisruptionMode,
    PodGroupResourceClaim,
    PodGroupSchedulingConstraints,
    PodGroupSchedulingPolicy,
    TopologyConstraint,
    drop_disabled,
)
from kijabi.api.scheduling.rules import validate_workload, validate_workload_update
from kijabi.api.struct import Int32, Struct, Tag


class TypedLocalObjectReference(Struct):
    """An object of the same namespace."""

    apiGroup: Annotated[str, Tag(1)] = ""
    kind: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class PodGroupTemplate(Struct):
    """What PodGroups are made from."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    schedulingPolicy: Annotated[PodGroupSchedulingPolicy, Tag(2, required=True)] = field(
        default_factory=PodGroupSchedulingPolicy
    )
    schedulingConstraints: Annotated[
        PodGroupSchedulingConstraints | None, Tag(3, gate="TopologyAwareWorkloadScheduling")
    ] = None
    resourceClaims: Annotated[
        tuple[PodGroupResourceClaim, ...],
        Tag(
            4, listType="map", keys=("name",), strategy="merge,retainKeys", mergeKey="name",
            gate="DRAWorkloadResourceClaims",
        ),
    ] = ()  # fmt: skip
    disruptionMode: Annotated[DisruptionMode | None, Tag(5)] = None
    priorityClassName: Annotated[str, Tag(6)] = ""
    priority: Annotated[Int32 | None, Tag(7)] = None
    preemptionPolicy: Annotated[str | None, Tag(8, gate="PodGroupPreemptionPolicy")] = None


class CompositeBasicSchedulingPolicy(Struct):
    """Each group for itself."""


class CompositeGangSchedulingPolicy(Struct):
    """At least so many groups at once, or none."""

    minGroupCount: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)


class CompositePodGroupSchedulingPolicy(Struct):
    """Basic or gang; exactly one is set."""

    basic: Annotated[CompositeBasicSchedulingPolicy | None, Tag(1)] = None
    gang: Annotated[CompositeGangSchedulingPolicy | None, Tag(2)] = None


class CompositePodGroupSchedulingConstraints(Struct):
    """Where the pods of all groups may be, relative to one another."""

    topology: Annotated[tuple[TopologyConstraint, ...], Tag(1, listType="atomic")] = ()


class SingleCompositeDisruptionMode(Struct):
    """Groups may be disrupted one by one."""


class AllCompositeDisruptionMode(Struct):
    """Groups are disrupted all together."""


class CompositeDisruptionMode(Struct):
    """Single or all; exactly one is set."""

    single: Annotated[SingleCompositeDisruptionMode | None, Tag(1)] = None
    all: Annotated[AllCompositeDisruptionMode | None, Tag(2)] = None


_NESTED = Tag(9, listType="map", keys=("name",))  # of a field whose type names its own class, in quotes


class CompositePodGroupTemplate(Struct):
    """What groups of groups are made from; an alpha feature, whose fields are read and dropped."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    schedulingPolicy: Annotated[CompositePodGroupSchedulingPolicy, Tag(2, required=True)] = field(
        default_factory=CompositePodGroupSchedulingPolicy
    )
    schedulingConstraints: Annotated[CompositePodGroupSchedulingConstraints | None, Tag(3)] = None
    disruptionMode: Annotated[CompositeDisruptionMode | None, Tag(4)] = None
    priorityClassName: Annotated[str, Tag(5)] = ""
    priority: Annotated[Int32 | None, Tag(6)] = None
    preemptionPolicy: Annotated[str | None, Tag(7, gate="PodGroupPreemptionPolicy")] = None
    podGroupTemplates: Annotated[tuple[PodGroupTemplate, ...], Tag(8, listType="map", keys=("name",))] = ()
    compositePodGroupTemplates: "Annotated[tuple[CompositePodGroupTemplate, ...], _NESTED]" = ()


class WorkloadSpec(Struct):
    """The templates of a workload's groups."""

    controllerRef: Annotated[TypedLocalObjectReference | None, Tag(1)] = None
    podGroupTemplates: Annotated[tuple[PodGroupTemplate, ...], Tag(2, listType="map", keys=("name",))] = ()
    compositePodGroupTemplates: Annotated[
        tuple[CompositePodGroupTemplate, ...], Tag(3, listType="map", keys=("name",), gate="CompositePodGroup")
    ] = ()


class Workload(Object):
    """A workload, as the scheduler is to see it."""

    spec: Annotated[WorkloadSpec, Tag(2, required=True)] = field(default_factory=WorkloadSpec)


def prepare(new: Workload, old: Workload | None) -> None:
    """Fields of features that are off are dropped from the templates, unless they are in use."""
    if old is None or not old.spec.compositePodGroupTemplates:
        new.spec.compositePodGroupTemplates = ()
    before = old.spec.podGroupTemplates if old is not None else ()
    for index, template in enumerate(new.spec.podGroupTemplates):
        drop_disabled(template, before[index] if index < len(before) else PodGroupTemplate())


RESOURCE = Resource(
    group="scheduling.k8s.io",
    version="v1beta1",
    kind="Workload",
    plural="workloads",
    type=Workload,
    singular="workload",
    columns=(NAME, AGE),
    prepare=prepare,
    validate=validate_workload,
    validate_update=validate_workload_update,
    update_needs_version=True,
    gate="GenericWorkload",
)
