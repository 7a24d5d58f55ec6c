"""Counts and times of what the server does, for /metrics in the Prometheus text format.

`server.py` calls `begin` and `finish` around each request; `app.py` adds gauges of the caches. Names are upstream's, so
that dashboards work. One registry per server: several may live in one process (tests, simulation).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from kijabi.apiserver.attributes import RequestInfo, UpgradeAnswer
from kijabi.base import clock
from kijabi.client.transport import Request, Response

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MAX_SERIES = 4096  # label combinations that are remembered; what comes after counts as "other"
_VERBS = frozenset(("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"))


class Metrics:
    """The server's instruments."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("verb", "group", "version", "resource", "subresource", "code")
        self._total = Counter(
            "apiserver_request", "Requests by what they were and how they ended.", labels, registry=self.registry
        )
        self._seconds = Histogram(
            "apiserver_request_duration_seconds",
            "How long requests took, without watches and streams.",
            labels[:-1],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._inflight = Gauge(
            "apiserver_current_inflight_requests", "Requests being answered.", registry=self.registry
        )
        self._children: dict[tuple[str, ...], tuple[Any, Any]] = {}

    def begin(self) -> float:
        """A request has come; the moment."""
        self._inflight.inc()
        return clock.monotonic()

    def finish(self, started: float, request: Request, info: RequestInfo | None, answer: object) -> None:
        """A request has been answered."""
        self._inflight.dec()
        code = str(answer.status) if isinstance(answer, Response) else "101"
        if not isinstance(answer, Response | UpgradeAnswer):
            code = "200"
        if info is not None and info.is_resource:
            verb = info.verb.upper() if info.verb in _VERBS else "OTHER"
            key = (verb, info.group, info.version, info.resource, info.subresource, code)
        else:
            key = (request.method if request.method in ("GET", "POST") else "OTHER", "", "", "", "", code)
        found = self._children.get(key) or self._child(key, known=code != "404")
        found[0].inc()
        if isinstance(answer, Response):
            found[1].observe(clock.monotonic() - started)

    def _child(self, key: tuple[str, ...], known: bool) -> tuple[Any, Any]:
        """The instruments of one combination; names that clients made up share one."""
        if not known or len(self._children) >= MAX_SERIES:
            key = (key[0], "", "", "other", "", key[-1])
        found = self._children.get(key)
        if found is None:
            found = (self._total.labels(*key), self._seconds.labels(*key[:-1]))
            self._children[key] = found
        return found

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when asked for."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def render(self) -> Response:
        """All of it as text."""
        body = generate_latest(self.registry)
        return Response(headers={"Content-Type": CONTENT_TYPE_LATEST}, body=body)
