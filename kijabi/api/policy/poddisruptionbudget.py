"""The poddisruptionbudget types of the policy group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Condition, LabelSelector, Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, IntOrString, Struct, Tag


class PodDisruptionBudgetSpec(Struct):
    """What is asked of a Pod Disruption Budget."""

    minAvailable: Annotated[IntOrString | None, Tag(1)] = None
    selector: Annotated[LabelSelector | None, Tag(2, strategy="replace")] = None
    maxUnavailable: Annotated[IntOrString | None, Tag(3)] = None
    unhealthyPodEvictionPolicy: Annotated[str | None, Tag(4)] = None


class PodDisruptionBudgetStatus(Struct):
    """What was last seen of a Pod Disruption Budget."""

    observedGeneration: Annotated[Int64, Tag(1)] = 0
    disruptedPods: Annotated[dict[str, Time], Tag(2)] = {}
    disruptionsAllowed: Annotated[Int32, Tag(3)] = field(default_factory=int)
    currentHealthy: Annotated[Int32, Tag(4)] = field(default_factory=int)
    desiredHealthy: Annotated[Int32, Tag(5)] = field(default_factory=int)
    expectedPods: Annotated[Int32, Tag(6)] = field(default_factory=int)
    conditions: Annotated[
        tuple[Condition, ...],
        Tag(7, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class PodDisruptionBudget(Object):
    """The API type PodDisruptionBudget."""

    spec: Annotated[PodDisruptionBudgetSpec, Tag(2)] = field(default_factory=PodDisruptionBudgetSpec)
    status: Annotated[PodDisruptionBudgetStatus, Tag(3)] = field(default_factory=PodDisruptionBudgetStatus)


RESOURCE = Resource(
    group="policy",
    version="v1",
    kind="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    type=PodDisruptionBudget,
    singular="poddisruptionbudget",
    short=("pdb",),
    subresources=(
        Subresource(
            name="status",
            kind="PodDisruptionBudget",
            verbs=("get", "patch", "update"),
            type=PodDisruptionBudget,
        ),
    ),
    has_generation=True,
)
