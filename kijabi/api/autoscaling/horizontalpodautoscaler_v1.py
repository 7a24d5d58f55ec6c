"""The older autoscaler API, which knows cpu only: a view of autoscaling/v2."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag


class CrossVersionObjectReference(Struct):
    """An object by kind and name, in the same namespace."""

    ATOMIC: ClassVar[bool] = True

    kind: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    apiVersion: Annotated[str, Tag(3)] = ""


class HorizontalPodAutoscalerSpec(Struct):
    """What to scale, within which bounds, to which share of cpu."""

    scaleTargetRef: Annotated[
        CrossVersionObjectReference,
        Tag(1, required=True),
    ] = field(default_factory=CrossVersionObjectReference)
    minReplicas: Annotated[Int32 | None, Tag(2)] = None
    maxReplicas: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)
    targetCPUUtilizationPercentage: Annotated[Int32 | None, Tag(4)] = None


class HorizontalPodAutoscalerStatus(Struct):
    """The present and the wanted replica count, and the present share of cpu."""

    observedGeneration: Annotated[Int64 | None, Tag(1)] = None
    lastScaleTime: Annotated[Time | None, Tag(2)] = None
    currentReplicas: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)
    desiredReplicas: Annotated[Int32, Tag(4, required=True)] = field(default_factory=int)
    currentCPUUtilizationPercentage: Annotated[Int32 | None, Tag(5)] = None


class HorizontalPodAutoscaler(Object):
    """Scales a workload by the cpu that its pods use."""

    spec: Annotated[
        HorizontalPodAutoscalerSpec,
        Tag(2, required=True),
    ] = field(default_factory=HorizontalPodAutoscalerSpec)
    status: Annotated[
        HorizontalPodAutoscalerStatus,
        Tag(3),
    ] = field(default_factory=HorizontalPodAutoscalerStatus)


RESOURCE = Resource(
    group="autoscaling",
    version="v1",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    type=HorizontalPodAutoscaler,
    singular="horizontalpodautoscaler",
    short=("hpa",),
    categories=("all",),
    stored_as=("autoscaling", "v2", "HorizontalPodAutoscaler"),
    subresources=(
        Subresource(
            name="status",
            kind="HorizontalPodAutoscaler",
            verbs=("get", "patch", "update"),
            type=HorizontalPodAutoscaler,
        ),
    ),
    has_generation=True,
)
