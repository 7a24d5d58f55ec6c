"""Reading metrics from the three APIs that serve them: metrics.k8s.io, custom.metrics.k8s.io, external.metrics.k8s.io.

`controller.py` asks for each entry of `spec.metrics`. Whatever goes wrong is an answer too (`Unread`), in upstream's
words: one metric that cannot be read does not stop the others. The first API is this project's own (or that of
metrics-server), the other two are brought by adapters as aggregated APIs. Source: k8s.io/metrics `pkg/apis`;
k8s.io/kubernetes `pkg/controller/podautoscaler/metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kijabi.api import codec
from kijabi.api.autoscaling.horizontalpodautoscaler import (
    ExternalMetricSource,
    MetricSpec,
    ObjectMetricSource,
    PodsMetricSource,
)
from kijabi.api.groups import APIGroup
from kijabi.api.metrics.podmetrics_v1beta1 import PodMetrics
from kijabi.api.quantity import Quantity
from kijabi.api.selector import Selector, from_label_selector
from kijabi.base.errors import ApiError, BadRequest, ConnectionLost, KijabiError, NotFound
from kijabi.client import frames
from kijabi.client.client import Client
from kijabi.client.transport import Request
from kijabi.controllers.horizontalpodautoscaler.proposals import selector_text
from kijabi.controllers.horizontalpodautoscaler.readings import Reading, Sample, Samples, Unread
from kijabi.controllers.horizontalpodautoscaler.targets import Targets

CUSTOM, EXTERNAL = "custom.metrics.k8s.io", "external.metrics.k8s.io/v1beta1"
VERSIONS = ("v1beta2", "v1beta1")  # of custom.metrics.k8s.io that are understood, the best first
_ALL = "*"


class _Described(msgspec.Struct):
    name: str = ""


class _Value(msgspec.Struct):
    """What matters here of a MetricValue or an ExternalMetricValue."""

    describedObject: _Described = msgspec.field(default_factory=_Described)
    value: str | int | float | None = None

    def milli(self) -> int:
        """The value in thousandths."""
        try:
            return Quantity.parse(self.value).milli()
        except ValueError as error:
            raise ConnectionLost(f"the answer makes no sense: {error}") from error


class _Values(msgspec.Struct):
    items: tuple[_Value, ...] | None = None


class Metrics:
    """Reads what autoscalers follow."""

    def __init__(self, client: Client, targets: Targets) -> None:
        self._client = client
        self._targets = targets

    async def read(self, metric: MetricSpec, namespace: str, selector: Selector) -> Reading:
        """What a metric says now. selector: of the pods of the target."""
        if metric.type == "Resource" and metric.resource is not None:
            return await self._resource(metric.resource.name, "", namespace, selector)
        if metric.type == "ContainerResource" and metric.containerResource is not None:
            source = metric.containerResource
            return await self._resource(source.name, source.container, namespace, selector)
        if metric.type == "Pods" and metric.pods is not None:
            return await self._pods(metric.pods, namespace, selector)
        if metric.type == "Object" and metric.object is not None:
            return await self._object(metric.object, namespace)
        if metric.type == "External" and metric.external is not None:
            return await self._external(metric.external, namespace)
        return Unread("")  # `proposals.propose` says what is wrong with such a metric

    async def _resource(self, resource: str, container: str, namespace: str, selector: Selector) -> Reading:
        failed = f"unable to get metrics for resource {resource}"
        try:
            found = (await self._client.list(PodMetrics, namespace, labels=str(selector))).items
        except (ApiError, ConnectionLost) as error:
            return Unread(f"{failed}: unable to fetch metrics from resource metrics API: {error}")
        if not found:
            return Unread(f"{failed}: no metrics returned from resource metrics API")
        return samples(found, resource, container)

    async def _pods(self, source: PodsMetricSource, namespace: str, selector: Selector) -> Reading:
        name = source.metric.name
        path = f"/namespaces/{namespace}/pods/{_ALL}/{name}"
        try:
            wanted = str(from_label_selector(source.metric.selector))
        except BadRequest as error:
            return Unread(str(error), unasked=True)
        try:
            found = await self._custom(path, labelSelector=str(selector), metricLabelSelector=wanted)
            if not found:
                return Unread(f"unable to get metric {name}: no metrics returned from custom metrics API")
            return {each.describedObject.name: Sample(each.milli()) for each in found}
        except KijabiError as error:
            return Unread(f"unable to get metric {name}: unable to fetch metrics from custom metrics API: {error}")

    async def _object(self, source: ObjectMetricSource, namespace: str) -> Reading:
        name, about = source.metric.name, source.describedObject
        try:
            wanted = str(from_label_selector(source.metric.selector))
        except BadRequest as error:
            return Unread(str(error), unasked=True)
        try:
            group = about.apiVersion.rpartition("/")[0]
            if (group, about.kind) == ("", "Namespace"):  # no other than its own
                path = f"/namespaces/{namespace}/metrics/{name}"
            else:
                plural = (await self._targets.of_kind(group, about.kind))[0].plural
                resource = f"{plural}.{group}" if group else plural
                path = f"/namespaces/{namespace}/{resource}/{about.name}/{name}"
            found = await self._custom(path, metricLabelSelector=wanted)
            if len(found) != 1:
                text = f"the custom metrics API server returned {len(found)} results when we asked for exactly one"
                raise KijabiError(text)
            return (found[0].milli(),)
        except KijabiError as error:
            where = f"unable to get metric {name} on {about.kind} {namespace}/{about.name}"
            return Unread(f"{where}: unable to fetch metrics from custom metrics API: {error}")

    async def _external(self, source: ExternalMetricSource, namespace: str) -> Reading:
        metric = source.metric
        try:
            wanted = str(from_label_selector(metric.selector))
        except BadRequest as error:
            return Unread(str(error), unasked=True)
        failed = f"unable to get external metric {namespace}/{metric.name}/{selector_text(metric.selector)}"
        path = f"/apis/{EXTERNAL}/namespaces/{namespace}/{metric.name}"
        try:
            found = await self._get(path, labelSelector=wanted)
            if not found:
                return Unread(f"{failed}: no metrics returned from external metrics API")
            return tuple(each.milli() for each in found)
        except (ApiError, ConnectionLost) as error:
            return Unread(f"{failed}: unable to fetch metrics from external metrics API: {error}")

    async def _custom(self, path: str, **query: str) -> tuple[_Value, ...]:
        """Values of the custom metrics API, in the version that its server likes best of those understood."""
        try:
            answer = await self._client.request_raw(Request(method="GET", path=f"/apis/{CUSTOM}"))
        except NotFound:
            raise KijabiError(f"no custom metrics API ({CUSTOM}) registered") from None
        group = codec.decode(APIGroup, answer.body)
        liked = [group.preferredVersion.version, *(each.version for each in group.versions)]
        version = next((each for each in liked if each in VERSIONS), None)
        if version is None:
            raise KijabiError("no known available metric versions found")
        return await self._get(f"/apis/{CUSTOM}/{version}{path}", **query)

    async def _get(self, path: str, **query: str) -> tuple[_Value, ...]:
        parameters = tuple((name, text) for name, text in query.items() if text)
        answer = await self._client.request_raw(Request(method="GET", path=path, query=parameters))
        return frames.decode(_Values, answer.body).items or ()


def samples(found: Iterable[PodMetrics], resource: str, container: str = "") -> Samples:
    """What pods use of a resource, or one container of each; a pod of which something is not known is left out."""
    from kijabi.api.cel.times import parse_duration  # not needed before there is an autoscaler

    used: dict[str, Sample] = {}
    for each in found:
        counted = [one for one in each.containers if container in ("", one.name)][: 1 if container else None]
        if not counted or any(resource not in one.usage for one in counted):
            continue
        window = parse_duration(each.window)
        used[each.metadata.name] = Sample(
            sum(one.usage[resource].milli() for one in counted),
            each.timestamp.timestamp(),
            window.nanos / 1e9 if window is not None else 0.0,
        )
    return used
