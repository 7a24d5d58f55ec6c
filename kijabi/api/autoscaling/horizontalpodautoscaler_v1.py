"""The older autoscaler API, which knows cpu only: a view of autoscaling/v2."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from msgspec import field, structs

from kijabi.api.autoscaling import horizontalpodautoscaler as v2
from kijabi.api.autoscaling import horizontalpodautoscaler_annotations as annotations
from kijabi.api.autoscaling import horizontalpodautoscaler_columns as columns
from kijabi.api.autoscaling import horizontalpodautoscaler_rules as rules
from kijabi.api.meta import Object, Time
from kijabi.api.resource import Column, FieldError, Resource, Subresource
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

    def set_defaults(self) -> None:
        """At least one replica."""
        if self.minReplicas is None:
            self.minReplicas = 1


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


def up(obj: HorizontalPodAutoscaler) -> v2.HorizontalPodAutoscaler:
    """The stored form."""
    spec, status, meta = obj.spec, obj.status, obj.metadata
    reference = spec.scaleTargetRef
    wanted = v2.HorizontalPodAutoscalerSpec(
        scaleTargetRef=v2.CrossVersionObjectReference(reference.kind, reference.name, reference.apiVersion),
        minReplicas=spec.minReplicas,
        maxReplicas=spec.maxReplicas,
    )
    if spec.targetCPUUtilizationPercentage is not None:
        wanted.metrics = (_cpu(spec.targetCPUUtilizationPercentage),)
    found = v2.HorizontalPodAutoscalerStatus(
        observedGeneration=status.observedGeneration,
        lastScaleTime=status.lastScaleTime,
        currentReplicas=status.currentReplicas,
        desiredReplicas=status.desiredReplicas,
    )
    if status.currentCPUUtilizationPercentage is not None:
        now = v2.MetricValueStatus(averageUtilization=status.currentCPUUtilizationPercentage)
        found.currentMetrics = (v2.MetricStatus("Resource", resource=v2.ResourceMetricStatus("cpu", now)),)
    annotations.read(meta.annotations, wanted, found)
    wanted.metrics = wanted.metrics or (_cpu(80),)
    own = annotations.without(meta.annotations)
    if own is not meta.annotations:
        meta = structs.replace(meta, annotations=own)
    return v2.HorizontalPodAutoscaler(metadata=meta, spec=wanted, status=found)


def _cpu(share: int) -> v2.MetricSpec:
    target = v2.MetricTarget("Utilization", averageUtilization=share)
    return v2.MetricSpec("Resource", resource=v2.ResourceMetricSource("cpu", target))


def down(obj: v2.HorizontalPodAutoscaler) -> HorizontalPodAutoscaler:
    """The stored form as this version shows it."""
    spec, status, meta = obj.spec, obj.status, obj.metadata
    own = annotations.write(obj)
    if own is not meta.annotations:
        meta = structs.replace(meta, annotations=own)
    reference = spec.scaleTargetRef
    shown = HorizontalPodAutoscaler(metadata=meta)
    shown.spec = HorizontalPodAutoscalerSpec(
        scaleTargetRef=CrossVersionObjectReference(reference.kind, reference.name, reference.apiVersion),
        minReplicas=spec.minReplicas,
        maxReplicas=spec.maxReplicas,
    )
    for metric in spec.metrics:
        if annotations.is_cpu_share(metric) and metric.resource is not None:
            shown.spec.targetCPUUtilizationPercentage = metric.resource.target.averageUtilization
            break
    shown.status = HorizontalPodAutoscalerStatus(
        observedGeneration=status.observedGeneration,
        lastScaleTime=status.lastScaleTime,
        currentReplicas=status.currentReplicas,
        desiredReplicas=status.desiredReplicas,
    )
    for seen in status.currentMetrics:
        used = seen.resource.current.averageUtilization if seen.resource is not None else None
        if seen.type == "Resource" and seen.resource is not None and seen.resource.name == "cpu" and used is not None:
            shown.status.currentCPUUtilizationPercentage = used
    return shown


def validate(obj: HorizontalPodAutoscaler) -> Sequence[FieldError]:
    """Everything that is wrong with it, by the paths of the stored form."""
    return rules.validate(up(obj))


def validate_update(new: HorizontalPodAutoscaler, old: HorizontalPodAutoscaler) -> Sequence[FieldError]:
    """Another target must be named with its group."""
    return rules.validate_update(up(new), up(old))


def validate_status(new: HorizontalPodAutoscaler, old: HorizontalPodAutoscaler) -> Sequence[FieldError]:
    """What a write of the status says that cannot be."""
    return rules.validate_status(up(new), up(old))


def _seen(column: Column) -> Column:
    return structs.replace(column, cell=lambda obj: column.cell(up(obj)))


COLUMNS = tuple(_seen(column) for column in columns.COLUMNS)


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
    up=up,
    down=down,
    columns=COLUMNS,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
)
