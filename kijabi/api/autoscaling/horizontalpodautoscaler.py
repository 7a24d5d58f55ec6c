"""The horizontalpodautoscaler types of the autoscaling group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import LabelSelector, Object, Time
from kijabi.api.quantity import Quantity
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag, empty_list


class CrossVersionObjectReference(Struct):
    """The API type CrossVersionObjectReference."""

    kind: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    apiVersion: Annotated[str, Tag(3)] = ""


class MetricTarget(Struct):
    """The API type MetricTarget."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[Quantity | None, Tag(2)] = None
    averageValue: Annotated[Quantity | None, Tag(3)] = None
    averageUtilization: Annotated[Int32 | None, Tag(4)] = None


class MetricIdentifier(Struct):
    """The API type MetricIdentifier."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    selector: Annotated[LabelSelector | None, Tag(2)] = None


class ObjectMetricSource(Struct):
    """The API type ObjectMetricSource."""

    describedObject: Annotated[
        CrossVersionObjectReference,
        Tag(1, required=True),
    ] = field(default_factory=CrossVersionObjectReference)
    target: Annotated[MetricTarget, Tag(2, required=True)] = field(default_factory=MetricTarget)
    metric: Annotated[MetricIdentifier, Tag(3, required=True)] = field(default_factory=MetricIdentifier)


class PodsMetricSource(Struct):
    """The API type PodsMetricSource."""

    metric: Annotated[MetricIdentifier, Tag(1, required=True)] = field(default_factory=MetricIdentifier)
    target: Annotated[MetricTarget, Tag(2, required=True)] = field(default_factory=MetricTarget)


class ResourceMetricSource(Struct):
    """The API type ResourceMetricSource."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    target: Annotated[MetricTarget, Tag(2, required=True)] = field(default_factory=MetricTarget)


class ContainerResourceMetricSource(Struct):
    """The API type ContainerResourceMetricSource."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    target: Annotated[MetricTarget, Tag(2, required=True)] = field(default_factory=MetricTarget)
    container: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class ExternalMetricSource(Struct):
    """The API type ExternalMetricSource."""

    metric: Annotated[MetricIdentifier, Tag(1, required=True)] = field(default_factory=MetricIdentifier)
    target: Annotated[MetricTarget, Tag(2, required=True)] = field(default_factory=MetricTarget)


class MetricSpec(Struct):
    """What is asked of a Metric."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    object: Annotated[ObjectMetricSource | None, Tag(2)] = None
    pods: Annotated[PodsMetricSource | None, Tag(3)] = None
    resource: Annotated[ResourceMetricSource | None, Tag(4)] = None
    containerResource: Annotated[ContainerResourceMetricSource | None, Tag(7)] = None
    external: Annotated[ExternalMetricSource | None, Tag(5)] = None


class HPAScalingPolicy(Struct):
    """The API type HPAScalingPolicy."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[Int32, Tag(2, required=True)] = field(default_factory=int)
    periodSeconds: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)


class HPAScalingRules(Struct):
    """The API type HPAScalingRules."""

    stabilizationWindowSeconds: Annotated[Int32 | None, Tag(3)] = None
    selectPolicy: Annotated[str | None, Tag(1)] = None
    policies: Annotated[tuple[HPAScalingPolicy, ...], Tag(2, listType="atomic")] = ()
    tolerance: Annotated[Quantity | None, Tag(4, gate="HPAConfigurableTolerance")] = None


class HorizontalPodAutoscalerBehavior(Struct):
    """The API type HorizontalPodAutoscalerBehavior."""

    scaleUp: Annotated[HPAScalingRules | None, Tag(1)] = None
    scaleDown: Annotated[HPAScalingRules | None, Tag(2)] = None


class HorizontalPodAutoscalerSpec(Struct):
    """What is asked of a Horizontal Pod Autoscaler."""

    scaleTargetRef: Annotated[
        CrossVersionObjectReference,
        Tag(1, required=True),
    ] = field(default_factory=CrossVersionObjectReference)
    minReplicas: Annotated[Int32 | None, Tag(2)] = None
    maxReplicas: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)
    metrics: Annotated[tuple[MetricSpec, ...], Tag(4, listType="atomic")] = ()
    behavior: Annotated[HorizontalPodAutoscalerBehavior | None, Tag(5)] = None

    def set_defaults(self) -> None:
        """At least one replica, by 80 % of the processor time asked for."""
        if self.minReplicas is None:
            self.minReplicas = 1
        if not self.metrics:
            target = MetricTarget(type="Utilization", averageUtilization=80)
            self.metrics = (MetricSpec(type="Resource", resource=ResourceMetricSource(name="cpu", target=target)),)
        if self.behavior is not None:
            up, down = self.behavior.scaleUp or HPAScalingRules(), self.behavior.scaleDown or HPAScalingRules()
            if up.stabilizationWindowSeconds is None:
                up.stabilizationWindowSeconds = 0
            pods = HPAScalingPolicy(type="Pods", value=4, periodSeconds=15)
            double = HPAScalingPolicy(type="Percent", value=100, periodSeconds=15)
            up.policies = up.policies or (pods, double)
            down.policies = down.policies or (double,)
            up.selectPolicy, down.selectPolicy = up.selectPolicy or "Max", down.selectPolicy or "Max"
            self.behavior.scaleUp, self.behavior.scaleDown = up, down


class MetricValueStatus(Struct):
    """What was last seen of a Metric Value."""

    value: Annotated[Quantity | None, Tag(1)] = None
    averageValue: Annotated[Quantity | None, Tag(2)] = None
    averageUtilization: Annotated[Int32 | None, Tag(3)] = None


class ObjectMetricStatus(Struct):
    """What was last seen of a Object Metric."""

    metric: Annotated[MetricIdentifier, Tag(1, required=True)] = field(default_factory=MetricIdentifier)
    current: Annotated[MetricValueStatus, Tag(2, required=True)] = field(default_factory=MetricValueStatus)
    describedObject: Annotated[
        CrossVersionObjectReference,
        Tag(3, required=True),
    ] = field(default_factory=CrossVersionObjectReference)


class PodsMetricStatus(Struct):
    """What was last seen of a Pods Metric."""

    metric: Annotated[MetricIdentifier, Tag(1, required=True)] = field(default_factory=MetricIdentifier)
    current: Annotated[MetricValueStatus, Tag(2, required=True)] = field(default_factory=MetricValueStatus)


class ResourceMetricStatus(Struct):
    """What was last seen of a Resource Metric."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    current: Annotated[MetricValueStatus, Tag(2, required=True)] = field(default_factory=MetricValueStatus)


class ContainerResourceMetricStatus(Struct):
    """What was last seen of a Container Resource Metric."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    current: Annotated[MetricValueStatus, Tag(2, required=True)] = field(default_factory=MetricValueStatus)
    container: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class ExternalMetricStatus(Struct):
    """What was last seen of a External Metric."""

    metric: Annotated[MetricIdentifier, Tag(1, required=True)] = field(default_factory=MetricIdentifier)
    current: Annotated[MetricValueStatus, Tag(2, required=True)] = field(default_factory=MetricValueStatus)


class MetricStatus(Struct):
    """What was last seen of a Metric."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    object: Annotated[ObjectMetricStatus | None, Tag(2)] = None
    pods: Annotated[PodsMetricStatus | None, Tag(3)] = None
    resource: Annotated[ResourceMetricStatus | None, Tag(4)] = None
    containerResource: Annotated[ContainerResourceMetricStatus | None, Tag(7)] = None
    external: Annotated[ExternalMetricStatus | None, Tag(5)] = None


class HorizontalPodAutoscalerCondition(Struct):
    """One condition of a Horizontal Pod Autoscaler."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""
    observedGeneration: Annotated[Int64 | None, Tag(6)] = None


class HorizontalPodAutoscalerStatus(Struct):
    """What was last seen of a Horizontal Pod Autoscaler."""

    observedGeneration: Annotated[Int64 | None, Tag(1)] = None
    lastScaleTime: Annotated[Time | None, Tag(2)] = None
    currentReplicas: Annotated[Int32, Tag(3)] = 0
    desiredReplicas: Annotated[Int32, Tag(4, required=True)] = field(default_factory=int)
    currentMetrics: Annotated[
        tuple[MetricStatus, ...],
        Tag(5, listType="atomic"),
    ] = field(default_factory=empty_list)
    conditions: Annotated[
        tuple[HorizontalPodAutoscalerCondition, ...],
        Tag(6, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


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
    version="v2",
    kind="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    type=HorizontalPodAutoscaler,
    singular="horizontalpodautoscaler",
    short=("hpa",),
    categories=("all",),
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
