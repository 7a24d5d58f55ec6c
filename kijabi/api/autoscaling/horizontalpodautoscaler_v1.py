"""The horizontalpodautoscaler_v1 types of the autoscaling group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag


class CrossVersionObjectReference(Struct):
    """The API type CrossVersionObjectReference."""

    ATOMIC: ClassVar[bool] = True

    kind: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    apiVersion: Annotated[str, Tag(3)] = ""


class HorizontalPodAutoscalerSpec(Struct):
    """What is asked of a Horizontal Pod Autoscaler."""

    scaleTargetRef: Annotated[
        CrossVersionObjectReference,
        Tag(1, required=True),
    ] = field(default_factory=CrossVersionObjectReference)
    minReplicas: Annotated[Int32 | None, Tag(2)] = None
    maxReplicas: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)
    targetCPUUtilizationPercentage: Annotated[Int32 | None, Tag(4)] = None


class HorizontalPodAutoscalerStatus(Struct):
    """What was last seen of a Horizontal Pod Autoscaler."""

    observedGeneration: Annotated[Int64 | None, Tag(1)] = None
    lastScaleTime: Annotated[Time | None, Tag(2)] = None
    currentReplicas: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)
    desiredReplicas: Annotated[Int32, Tag(4, required=True)] = field(default_factory=int)
    currentCPUUtilizationPercentage: Annotated[Int32 | None, Tag(5)] = None


class HorizontalPodAutoscaler(Object):
    """The API type HorizontalPodAutoscaler."""

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
