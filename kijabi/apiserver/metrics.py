"""Counts and times of what the server does.

`server.py` calls `begin` and `finish` around each request, which only count; `exposition.py` makes a text of it when
somebody asks. One Metrics per server: several may live in one process.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

from kijabi.apiserver.attributes import RequestInfo, StreamAnswer, UpgradeAnswer
from kijabi.apiserver.audit.counts import Counts
from kijabi.base import clock
from kijabi.client.transport import Request, Response

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
MAX_SERIES = 4096  # label combinations that are remembered; what comes after counts as "other"
_VERBS = frozenset(("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"))
LABELS = ("verb", "group", "version", "resource", "subresource")

Key = tuple[str, ...]  # values of LABELS, then the status code


class Series:
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
        self.series: dict[Key, Series] = {}
        self.audit = Counts()

    def begin(self) -> float:
        """A request has come; the moment."""
        self.inflight += 1
        return self.now()

    def finish(self, started: float, request: Request, info: RequestInfo | None, answer: object) -> None:
        """A request has been answered; watches and streams count, but their length does not."""
        self.inflight -= 1
        whole = isinstance(answer, Response)
        other = "101" if isinstance(answer, UpgradeAnswer) else "200"
        code = str(answer.status) if isinstance(answer, Response | StreamAnswer) else other
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

    def _new(self, key: Key) -> Series:
        """A combination that has not been seen; names that clients made up share one."""
        if key[-1] == "404" or len(self.series) >= MAX_SERIES:
            key = (key[0], "", "", "other", "", key[-1])
        return self.series.setdefault(key, Series())
