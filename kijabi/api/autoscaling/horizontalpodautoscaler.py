"""Replica counts that follow metrics (autoscaling/v2); acted on by the autoscaler controller."""

from typing import Annotated

from msgspec import field

from kijabi.api.autoscaling.horizontalpodautoscaler_columns import COLUMNS
from kijabi.api.autoscaling.horizontalpodautoscaler_rules import validate, validate_status, validate_update
from kijabi.api.meta import LabelSelector, Object, Time
from kijabi.api.quantity import Quantity
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag, empty_list


class CrossVersionObjectReference(Struct):
    """An object by kind and name, in the same namespace."""

    kind: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    apiVersion: Annotated[str, Tag(3)] = ""


class MetricTarget(Struct):
    """The value to aim for: a total, an average per pod, or a share of what pods request."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[Quantity | None, Tag(2)] = None
    averageValue: Annotated[Quantity | None, Tag(3)] = None
    averageUtilization: Annotated[Int32 | None, Tag(4)] = None


class MetricIdentifier(Struct):
    """A metric by name, and a selector to narrow it."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    selector: Annotated[LabelSelector | None, Tag(2)] = None


class ObjectMetricSource(Struct):
    """A metric of one object, such as requests per second of an Ingress."""

    describedObject: Annotated[
        CrossVersionObjectReference,
        Tag(1, required=True),
    ] = field(default_factory=CrossVersionObjectReference)
    target: Annotated[MetricTarget, Tag(2, required=True)] = field(default_factory=MetricTarget)
    metric: Annotated[MetricIdentifier, Tag(3, required=True)] = field(default_factory=MetricIdentifier)


class PodsMetricSource(Struct):
    """A metric of each pod, averaged."""

    metric: Annotated[MetricIdentifier, Tag(1, required=True)] = field(default_factory=MetricIdentifier)
    target: Annotated[MetricTarget, Tag(2, required=True)] = field(default_factory=MetricTarget)


class ResourceMetricSource(Struct):
    """The pods' use of cpu or memory."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    target: Annotated[MetricTarget, Tag(2, required=True)] = field(default_factory=MetricTarget)


class ContainerResourceMetricSource(Struct):
    """One container's use of cpu or memory in each pod."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    target: Annotated[MetricTarget, Tag(2, required=True)] = field(default_factory=MetricTarget)
    container: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class ExternalMetricSource(Struct):
    """A metric from outside the cluster."""

    metric: Annotated[MetricIdentifier, Tag(1, required=True)] = field(default_factory=MetricIdentifier)
    target: Annotated[MetricTarget, Tag(2, required=True)] = field(default_factory=MetricTarget)


class MetricSpec(Struct):
    """One metric to follow; type says which member is set."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    object: Annotated[ObjectMetricSource | None, Tag(2)] = None
    pods: Annotated[PodsMetricSource | None, Tag(3)] = None
    resource: Annotated[ResourceMetricSource | None, Tag(4)] = None
    containerResource: Annotated[ContainerResourceMetricSource | None, Tag(7)] = None
    external: Annotated[ExternalMetricSource | None, Tag(5)] = None


class HPAScalingPolicy(Struct):
    """At most so many pods, or percent of them, in a period."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[Int32, Tag(2, required=True)] = field(default_factory=int)
    periodSeconds: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)


class HPAScalingRules(Struct):
    """How fast to scale in one direction, and how long to look back before doing it."""

    stabilizationWindowSeconds: Annotated[Int32 | None, Tag(3)] = None
    selectPolicy: Annotated[str | None, Tag(1)] = None
    policies: Annotated[tuple[HPAScalingPolicy, ...], Tag(2, listType="atomic")] = ()
    tolerance: Annotated[Quantity | None, Tag(4, gate="HPAConfigurableTolerance")] = None


class HorizontalPodAutoscalerBehavior(Struct):
    """The rules for growing and for shrinking."""

    scaleUp: Annotated[HPAScalingRules | None, Tag(1)] = None
    scaleDown: Annotated[HPAScalingRules | None, Tag(2)] = None


class HorizontalPodAutoscalerSpec(Struct):
    """What to scale, within which bounds, by which metrics."""

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
            for rules in (up, down):
                rules.selectPolicy = "Max" if rules.selectPolicy is None else rules.selectPolicy
            self.behavior.scaleUp, self.behavior.scaleDown = up, down


class MetricValueStatus(Struct):
    """The present value of a metric."""

    value: Annotated[Quantity | None, Tag(1)] = None
    averageValue: Annotated[Quantity | None, Tag(2)] = None
    averageUtilization: Annotated[Int32 | None, Tag(3)] = None


class ObjectMetricStatus(Struct):
    """The present value of an object's metric."""

    metric: Annotated[MetricIdentifier, Tag(1, required=True)] = field(default_factory=MetricIdentifier)
    current: Annotated[MetricValueStatus, Tag(2, required=True)] = field(default_factory=MetricValueStatus)
    describedObject: Annotated[
        CrossVersionObjectReference,
        Tag(3, required=True),
    ] = field(default_factory=CrossVersionObjectReference)


class PodsMetricStatus(Struct):
    """The present average of the pods' metric."""

    metric: Annotated[MetricIdentifier, Tag(1, required=True)] = field(default_factory=MetricIdentifier)
    current: Annotated[MetricValueStatus, Tag(2, required=True)] = field(default_factory=MetricValueStatus)


class ResourceMetricStatus(Struct):
    """The pods' present use of a resource."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    current: Annotated[MetricValueStatus, Tag(2, required=True)] = field(default_factory=MetricValueStatus)


class ContainerResourceMetricStatus(Struct):
    """One container's present use of a resource."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    current: Annotated[MetricValueStatus, Tag(2, required=True)] = field(default_factory=MetricValueStatus)
    container: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class ExternalMetricStatus(Struct):
    """The present value of an outside metric."""

    metric: Annotated[MetricIdentifier, Tag(1, required=True)] = field(default_factory=MetricIdentifier)
    current: Annotated[MetricValueStatus, Tag(2, required=True)] = field(default_factory=MetricValueStatus)


class MetricStatus(Struct):
    """One metric as last read; type says which member is set."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    object: Annotated[ObjectMetricStatus | None, Tag(2)] = None
    pods: Annotated[PodsMetricStatus | None, Tag(3)] = None
    resource: Annotated[ResourceMetricStatus | None, Tag(4)] = None
    containerResource: Annotated[ContainerResourceMetricStatus | None, Tag(7)] = None
    external: Annotated[ExternalMetricStatus | None, Tag(5)] = None


class HorizontalPodAutoscalerCondition(Struct):
    """AbleToScale, ScalingActive or ScalingLimited."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""
    observedGeneration: Annotated[Int64 | None, Tag(6)] = None


class HorizontalPodAutoscalerStatus(Struct):
    """The present and the wanted replica count, and the metrics behind them."""

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
    """Scales a workload by what its pods use."""

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
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
)
