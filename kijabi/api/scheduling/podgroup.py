"""Pods that find their places together: a pod names its group, and the scheduler places the group as its policy says.

KEP-4671 (gang scheduling) and the types of k8s.io/api `scheduling/v1beta1`; beta in v1.37, and off unless the feature
gate GenericWorkload and the version are turned on (`kijabi/api/features.py`).
"""

from typing import Annotated, Any

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.meta import Condition, Object
from kijabi.api.resource import Resource, Subresource
from kijabi.api.scheduling.rules import validate_group, validate_group_status, validate_group_update
from kijabi.api.struct import Int32, Struct, Tag

INITIALLY_SCHEDULED = "PodGroupInitiallyScheduled"
DISRUPTION_TARGET = "DisruptionTarget"
FINALIZER = "scheduling.k8s.io/podgroup-protection"


class BasicSchedulingPolicy(Struct):
    """Each pod for itself."""


class GangSchedulingPolicy(Struct):
    """At least so many at once, or none."""

    minCount: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)


class PodGroupSchedulingPolicy(Struct):
    """Basic or gang; exactly one is set."""

    basic: Annotated[BasicSchedulingPolicy | None, Tag(1)] = None
    gang: Annotated[GangSchedulingPolicy | None, Tag(2)] = None


class TopologyConstraint(Struct):
    """All pods must be where a node label has one value."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class PodGroupSchedulingConstraints(Struct):
    """Where the pods of a group may be, relative to one another."""

    topology: Annotated[tuple[TopologyConstraint, ...], Tag(1, listType="atomic")] = ()


class PodGroupResourceClaim(Struct):
    """Devices that the pods of a group share."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resourceClaimName: Annotated[str | None, Tag(2)] = None
    resourceClaimTemplateName: Annotated[str | None, Tag(3)] = None


class SingleDisruptionMode(Struct):
    """Pods may be disrupted one by one."""


class AllDisruptionMode(Struct):
    """Pods are disrupted all together."""


class DisruptionMode(Struct):
    """Single or all; exactly one is set."""

    single: Annotated[SingleDisruptionMode | None, Tag(1)] = None
    all: Annotated[AllDisruptionMode | None, Tag(2)] = None


class WorkloadReference(Struct):
    """The template that a group was made from."""

    workloadName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    templateName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class PodGroupSpec(Struct):
    """How the group is scheduled."""

    parentCompositePodGroupName: Annotated[str | None, Tag(1, gate="CompositePodGroup")] = None
    workloadRef: Annotated[WorkloadReference | None, Tag(2)] = None
    schedulingPolicy: Annotated[PodGroupSchedulingPolicy, Tag(3, required=True)] = field(
        default_factory=PodGroupSchedulingPolicy
    )
    schedulingConstraints: Annotated[
        PodGroupSchedulingConstraints | None, Tag(4, gate="TopologyAwareWorkloadScheduling")
    ] = None
    resourceClaims: Annotated[
        tuple[PodGroupResourceClaim, ...],
        Tag(
            5, listType="map", keys=("name",), strategy="merge,retainKeys", mergeKey="name",
            gate="DRAWorkloadResourceClaims",
        ),
    ] = ()  # fmt: skip
    disruptionMode: Annotated[DisruptionMode | None, Tag(6, default={"single": {}})] = None
    priorityClassName: Annotated[str, Tag(7)] = ""
    priority: Annotated[Int32 | None, Tag(8)] = None
    preemptionPolicy: Annotated[str | None, Tag(9, gate="PodGroupPreemptionPolicy")] = None

    def set_defaults(self) -> None:
        """Its pods may be disrupted one by one."""
        if self.disruptionMode is None:
            self.disruptionMode = DisruptionMode(single=SingleDisruptionMode())


class PodGroupResourceClaimStatus(Struct):
    """The claim that was made for one entry of the spec."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resourceClaimName: Annotated[str | None, Tag(2)] = None


class PodGroupStatus(Struct):
    """What the scheduler says about the group."""

    conditions: Annotated[
        tuple[Condition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()
    resourceClaimStatuses: Annotated[
        tuple[PodGroupResourceClaimStatus, ...],
        Tag(
            2, listType="map", keys=("name",), strategy="merge,retainKeys", mergeKey="name",
            gate="DRAWorkloadResourceClaims",
        ),
    ] = ()  # fmt: skip


class PodGroup(Object):
    """A group of pods, and how it is scheduled."""

    spec: Annotated[PodGroupSpec, Tag(2, required=True)] = field(default_factory=PodGroupSpec)
    status: Annotated[PodGroupStatus, Tag(3)] = field(default_factory=PodGroupStatus)


def _state(group: PodGroup) -> str:
    said = {each.type: each for each in group.status.conditions}
    if DISRUPTION_TARGET in said:
        return said[DISRUPTION_TARGET].reason
    if INITIALLY_SCHEDULED not in said:
        return "Pending"
    return "Scheduled" if said[INITIALLY_SCHEDULED].status == "True" else "Unschedulable"


COLUMNS = (
    NAME,
    column(
        "Policy",
        lambda obj: "Gang" if obj.spec.schedulingPolicy.gang is not None else "Basic",
        "How the pods of the group are placed.",
    ),
    column(
        "Workload",
        lambda obj: obj.spec.workloadRef.workloadName if obj.spec.workloadRef is not None else "<none>",
        "The Workload that it belongs to.",
    ),
    column("Status", _state, "What became of it."),
    AGE,
)


def prepare(new: PodGroup, old: PodGroup | None) -> None:
    """The scheduler writes the status; fields of features that are off are dropped, unless they are in use."""
    new.status = old.status if old is not None else PodGroupStatus()
    spec, before = new.spec, old.spec if old is not None else PodGroupSpec()
    if before.parentCompositePodGroupName is None:
        spec.parentCompositePodGroupName = None
    drop_disabled(spec, before)


def drop_disabled(spec: Any, before: Any) -> None:
    """Forget what only alpha features know, in a group or (with the same fields) in a template of one."""
    if before.schedulingConstraints is None:
        spec.schedulingConstraints = None
    if not before.resourceClaims:
        spec.resourceClaims = ()
    if before.preemptionPolicy is None:
        spec.preemptionPolicy = None


RESOURCE = Resource(
    group="scheduling.k8s.io",
    version="v1beta1",
    kind="PodGroup",
    plural="podgroups",
    type=PodGroup,
    singular="podgroup",
    columns=COLUMNS,
    prepare=prepare,
    validate=validate_group,
    validate_update=validate_group_update,
    validate_status=validate_group_status,
    subresources=(Subresource(name="status", kind="PodGroup", verbs=("get", "patch", "update"), type=PodGroup),),
    update_needs_version=True,
    gate="GenericWorkload",
)
