"""Counts and times of what the server does, for /metrics in the Prometheus text format.

`server.py` calls `begin` and `finish` around each request, which only count; the metric families are made when somebody
asks. Names are upstream's, so that dashboards work. One registry per server: several may live in one process.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from kijabi.apiserver.attributes import RequestInfo, UpgradeAnswer
from kijabi.apiserver.watchcache import Caches
from kijabi.base import clock
from kijabi.client.transport import Request, Response

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MAX_SERIES = 4096  # label combinations that are remembered; what comes after counts as "other"
_VERBS = frozenset(("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"))
_LABELS = ("verb", "group", "version", "resource", "subresource")

Key = tuple[str, ...]  # values of _LABELS, then the status code


class _Series:
    """How often one combination of labels has been seen, and how long it took, by bucket."""

    __slots__ = ("buckets", "count", "seconds")

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BUCKETS) + 1)


class Metrics:
    """The server's instruments. now: seconds that never run backwards."""

    def __init__(self, now: Callable[[], float] = clock.monotonic) -> None:
        self.now = now
        self.inflight = 0
        self.registry = CollectorRegistry()
        self.registry.register(_Requests(self))
        self.series: dict[Key, _Series] = {}

    def begin(self) -> float:
        """A request has come; the moment."""
        self.inflight += 1
        return self.now()

    def finish(self, started: float, request: Request, info: RequestInfo | None, answer: object) -> None:
        """A request has been answered; watches and streams count, but their length does not."""
        self.inflight -= 1
        whole = isinstance(answer, Response)
        other = "101" if isinstance(answer, UpgradeAnswer) else "200"
        code = str(answer.status) if isinstance(answer, Response) else other
        if info is not None and info.is_resource:
            verb = info.verb.upper() if info.verb in _VERBS else "OTHER"
            key = (verb, info.group, info.version, info.resource, info.subresource, code)
        else:
            key = (request.method if request.method in ("GET", "POST") else "OTHER", "", "", "", "", code)
        found = self.series.get(key) or self._new(key)
        found.count += 1
        if whole:
            seconds = self.now() - started
            found.seconds += seconds
            found.buckets[bisect_left(BUCKETS, seconds)] += 1

    def _new(self, key: Key) -> _Series:
        """A combination that has not been seen; names that clients made up share one."""
        if key[-1] == "404" or len(self.series) >= MAX_SERIES:
            key = (key[0], "", "", "other", "", key[-1])
        return self.series.setdefault(key, _Series())

    def render(self) -> Response:
        """All of it as text."""
        return Response(headers={"Content-Type": CONTENT_TYPE_LATEST}, body=generate_latest(self.registry))


class _Requests(Collector):
    """What Metrics has counted, as metric families."""

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Called by prometheus_client."""
        yield from self._totals()
        yield from self._durations()

    def _totals(self) -> Iterator[Metric]:
        total = CounterMetricFamily(
            "apiserver_request", "Requests by what they were and how they ended.", labels=(*_LABELS, "code")
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
            labels=_LABELS,
        )
        merged: dict[Key, _Series] = {}
        for key, series in self.metrics.series.items():
            into = merged.setdefault(key[:-1], _Series())
            into.seconds += series.seconds
            into.buckets = [a + b for a, b in zip(into.buckets, series.buckets, strict=True)]
        for labels, series in merged.items():
            below, rows = 0, []
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), series.buckets, strict=True):
                below += count
                rows.append((bound, below))
            family.add_metric(labels, rows, series.seconds)
        yield family


class CacheCollector(Collector):
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
