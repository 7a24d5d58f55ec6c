"""What one entry of `spec.metrics` proposes: replicas, its status, and how it is called in messages. Pure.

`plan.py` asks for each metric and takes the highest. Reasons and texts are those of k8s.io/kubernetes
`pkg/controller/podautoscaler/horizontal.go`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kijabi.api.autoscaling.horizontalpodautoscaler import (
    ContainerResourceMetricStatus,
    ExternalMetricSource,
    ExternalMetricStatus,
    MetricSpec,
    MetricStatus,
    MetricTarget,
    MetricValueStatus,
    ObjectMetricSource,
    ObjectMetricStatus,
    PodsMetricSource,
    PodsMetricStatus,
    ResourceMetricStatus,
)
from kijabi.api.gotext import display, quote
from kijabi.api.meta import LabelSelector
from kijabi.api.quantity import Quantity
from kijabi.base.errors import KijabiError
from kijabi.controllers.horizontalpodautoscaler.readings import Reading, Samples, Unread
from kijabi.controllers.horizontalpodautoscaler.replicas import (
    Asked,
    Count,
    Uncountable,
    by_average,
    by_share,
    by_total,
    by_total_per_pod,
    total,
)


class Proposal(NamedTuple):
    """replicas: as many as the metric calls for. name: of the metric, as messages have it."""

    replicas: int
    name: str
    status: MetricStatus


class NoProposal(KijabiError):
    """A metric that calls for nothing. reason, cause: of the event and the condition; the message says more."""

    def __init__(self, reason: str, cause: str, said: str = "") -> None:
        super().__init__(f"{said}{cause}")
        self.reason = reason
        self.cause = cause


def propose(asked: Asked, metric: MetricSpec, reading: Reading) -> Proposal:
    """What a metric calls for. Raises NoProposal."""
    if metric.type == "Resource" and metric.resource is not None:
        return _resource(asked, metric.resource, "", reading)
    if metric.type == "ContainerResource" and metric.containerResource is not None:
        return _resource(asked, metric.containerResource, metric.containerResource.container, reading)
    if metric.type == "Pods" and metric.pods is not None:
        return _pods(asked, metric.pods, reading)
    if metric.type == "Object" and metric.object is not None:
        return _object(asked, metric.object, reading)
    if metric.type == "External" and metric.external is not None:
        return _external(asked, metric.external, reading)
    raise NoProposal("InvalidMetricSourceType", f"unknown metric source type {quote(metric.type)}")


def selector_text(selector: LabelSelector | None) -> str:
    """A selector as Go's `%+v` prints a pointer to it."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {selector.matchLabels[key]}," for key in sorted(selector.matchLabels))
    terms = "".join(
        f"LabelSelectorRequirement{{Key:{term.key},Operator:{term.operator},Values:{display(term.values)},}},"
        for term in selector.matchExpressions
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{terms}}},}}"
    )


def _resource(asked: Asked, source: Any, container: str, reading: Reading) -> Proposal:
    """source: a ResourceMetricSource, or that of a container."""
    name: str = source.name
    target: MetricTarget = source.target
    kind = "container resource" if container else "resource"
    what = "usage" if target.averageValue is not None else "utilization"
    try:
        samples = _samples(reading)
        if target.averageValue is not None:
            count = by_average(asked, samples, name, target.averageValue.milli())
        elif target.averageUtilization is not None:
            count = by_share(asked, samples, name, container, target.averageUtilization)
        else:
            text = "invalid resource metric source: neither an average utilization target nor an average value (usage) "
            raise _no_resource(container, name, f"{text}target was set")
    except Uncountable as error:
        raise _no_resource(container, name, f"failed to get {name} {what}: {error}") from error
    used = MetricValueStatus(
        averageUtilization=count.share, averageValue=Quantity.of_milli(count.usage, binary=name == "memory")
    )
    if container:
        status = MetricStatus(
            type="ContainerResource",
            containerResource=ContainerResourceMetricStatus(name=name, container=container, current=used),
        )
    else:
        status = MetricStatus(type="Resource", resource=ResourceMetricStatus(name=name, current=used))
    said = f"{name} resource" if what == "usage" else f"{name} {kind} utilization (percentage of request)"
    return Proposal(count.replicas, said, status)


def _no_resource(container: str, name: str, cause: str) -> NoProposal:
    if container:
        said = f"failed to get {container} container metric value: "
        return NoProposal("FailedGetContainerResourceMetric", cause, said)
    return NoProposal("FailedGetResourceMetric", cause, f"failed to get {name} resource metric value: ")


def _pods(asked: Asked, source: PodsMetricSource, reading: Reading) -> Proposal:
    target = source.target.averageValue or Quantity()
    try:
        count = by_average(asked, _samples(reading), "", target.milli())
    except Uncountable as error:
        raise NoProposal("FailedGetPodsMetric", str(error), "failed to get pods metric value: ") from error
    used = MetricValueStatus(averageValue=Quantity.of_milli(count.usage))
    status = MetricStatus(type="Pods", pods=PodsMetricStatus(metric=source.metric, current=used))
    return Proposal(count.replicas, f"pods metric {source.metric.name}", status)


def _object(asked: Asked, source: ObjectMetricSource, reading: Reading) -> Proposal:
    metric, target = source.metric, source.target
    average = target.type == "AverageValue"
    wanted = target.averageValue if average else target.value if target.type == "Value" else None
    said = "failed to get object metric value: "
    if isinstance(reading, Unread) and reading.unasked:
        raise NoProposal("FailedGetObjectMetric", reading.text, said)
    if wanted is None:
        cause = "invalid object metric source: neither a value target nor an average value target was set"
        raise NoProposal("FailedGetObjectMetric", cause, said)
    try:
        count, used = _counted(asked, reading, wanted, average)
    except Uncountable as error:
        said += f"failed to get {metric.name} object metric: " if average else ""
        raise NoProposal("FailedGetObjectMetric", str(error), said) from error
    status = ObjectMetricStatus(describedObject=source.describedObject, metric=metric, current=used)
    name = f"{source.describedObject.kind} metric {metric.name}"
    if average:  # upstream calls it so
        name = f"external metric {metric.name}({selector_text(metric.selector)})"
    return Proposal(count.replicas, name, MetricStatus(type="Object", object=status))


def _external(asked: Asked, source: ExternalMetricSource, reading: Reading) -> Proposal:
    metric, target = source.metric, source.target
    wanted, average = target.averageValue, target.averageValue is not None
    wanted = target.value if wanted is None else wanted
    said = f"failed to get {metric.name} external metric value: "
    if wanted is None:
        cause = "invalid external metric source: neither a value target nor an average value target was set"
        raise NoProposal("FailedGetExternalMetric", cause, said)
    try:
        count, used = _counted(asked, reading, wanted, average)
    except Uncountable as error:
        more = f"{metric.name} external metric" if average else f"external metric {metric.name}"
        raise NoProposal("FailedGetExternalMetric", str(error), f"{said}failed to get {more}: ") from error
    status = MetricStatus(type="External", external=ExternalMetricStatus(metric=metric, current=used))
    return Proposal(count.replicas, f"external metric {metric.name}({selector_text(metric.selector)})", status)


def _counted(asked: Asked, reading: Reading, wanted: Quantity, average: bool) -> tuple[Count, MetricValueStatus]:
    """What the sum of a reading's values calls for, as a whole or for each pod."""
    usage = total(_values(reading))
    if average:
        count = by_total_per_pod(asked, usage, wanted.milli())
        return count, MetricValueStatus(averageValue=Quantity.of_milli(count.usage))
    count = by_total(asked, usage, wanted.milli())
    return count, MetricValueStatus(value=Quantity.of_milli(count.usage))


def _samples(reading: Reading) -> Samples:
    if isinstance(reading, Unread):
        raise Uncountable(reading.text)
    if isinstance(reading, tuple):
        raise TypeError("this metric is read by pod")
    return reading


def _values(reading: Reading) -> tuple[int, ...]:
    if isinstance(reading, Unread):
        raise Uncountable(reading.text)
    if not isinstance(reading, tuple):
        raise TypeError("this metric is not read by pod")
    return reading
