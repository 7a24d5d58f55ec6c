"""/metrics: what the server has counted, in the Prometheus text format.

`plain.py` calls `render`. Names are upstream's, so that dashboards work. Nothing else imports this module, so that a
server which nobody asks carries no Prometheus library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from kijabi.apiserver.audit.counts import Counts
from kijabi.apiserver.metrics import BUCKETS, LABELS, Key, Metrics, Series
from kijabi.apiserver.watchcache import Caches
from kijabi.client.transport import Response


def render(metrics: Metrics, caches: Caches, *more: Collector) -> Response:
    """All figures as text. more: of the server's parts."""
    registry = CollectorRegistry()
    registry.register(Requests(metrics))
    registry.register(Stored(caches))
    registry.register(Audited(metrics.audit))
    for collector in more:
        registry.register(collector)
    return Response(headers={"Content-Type": CONTENT_TYPE_LATEST}, body=generate_latest(registry))


class Requests(Collector):
    """What Metrics has counted, as metric families."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Called by prometheus_client."""
        yield from self._totals()
        yield from self._durations()

    def _totals(self) -> Iterator[Metric]:
        total = CounterMetricFamily(
            "apiserver_request", "Requests by what they were and how they ended.", labels=(*LABELS, "code")
        )
        for key, series in self.metrics.series.items():
            total.add_metric(key, series.count)
        yield total
        inflight = Metric("apiserver_current_inflight_requests", "Requests being answered.", "gauge")
        inflight.add_sample("apiserver_current_inflight_requests", {}, self.metrics.inflight)
        yield inflight

    def _durations(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(
            "apiserver_request_duration_seconds",
            "How long requests took, without watches and streams.",
            labels=LABELS,
        )
        merged: dict[Key, Series] = {}
        for key, series in self.metrics.series.items():
            into = merged.setdefault(key[:-1], Series())
            into.seconds += series.seconds
            into.buckets = [a + b for a, b in zip(into.buckets, series.buckets, strict=True)]
        for labels, series in merged.items():
            below, rows = 0, []
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), series.buckets, strict=True):
                below += count
                rows.append((bound, below))
            family.add_metric(labels, rows, series.seconds)
        yield family


class Audited(Collector):
    """What the audit log recorded, and what it lost."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts

    def collect(self) -> Iterable[Metric]:
        """Called by prometheus_client."""
        counts, prefix = self.counts, "apiserver_audit_"
        yield CounterMetricFamily(f"{prefix}event", "Audit events handed to the backends.", counts.events)
        text = "Requests refused because they could not be recorded."
        yield CounterMetricFamily(f"{prefix}requests_rejected", text, counts.rejected)
        levels = CounterMetricFamily(f"{prefix}level", "Requests by the policy's level.", labels=("level",))
        for level, count in counts.levels.items():
            levels.add_metric((level,), count)
        text = "Audit events lost, by the part that lost them."
        errors = CounterMetricFamily(f"{prefix}error", text, labels=("plugin",))
        for part, count in counts.errors.items():
            errors.add_metric((part,), count)
        yield levels
        yield errors


class Stored(Collector):
    """How much the watch caches hold, and for how many watchers."""

    def __init__(self, caches: Caches) -> None:
        self.caches = caches

    def collect(self) -> Iterable[Metric]:
        """Called by prometheus_client."""
        objects = GaugeMetricFamily("apiserver_storage_objects", "Stored objects.", labels=("resource",))
        watchers = GaugeMetricFamily("apiserver_registered_watchers", "Watches under way.", labels=("resource",))
        for cache in self.caches.by_prefix.values():
            objects.add_metric((cache.resource.qualified,), len(cache.items))
            watchers.add_metric((cache.resource.qualified,), sum(map(len, cache.watchers.values())))
        yield objects
        yield watchers
