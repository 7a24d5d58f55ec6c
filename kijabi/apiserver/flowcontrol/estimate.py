"""How many seats a request takes: lists by how much they read, writes by how many watch.

`gate.py` asks before a request is queued. The figures are k8s.io/apiserver's (`pkg/util/flowcontrol/request`): a seat
for each 100 kB that is read at once, and for each ten watchers of what is written five milliseconds of a seat.
"""

from __future__ import annotations

import math
from itertools import islice

from kijabi.apiserver.attributes import RequestInfo
from kijabi.apiserver.flowcontrol.queueset import Work
from kijabi.apiserver.routes import Routes
from kijabi.apiserver.watchcache import Cache
from kijabi.client.transport import Request

ONE = Work()
MAX_READ_SEATS = 100
MAX_WRITE_SEATS = 10
BYTES_PER_SEAT = 100_000
CACHE_BYTES = 1_000_000  # of what a list from the cache holds at once
WATCHES_PER_SEAT = 10
EVENT_SECONDS = 0.005  # of a seat, for so many watchers
SAMPLES = 8  # objects that are looked at for how large one is
_WRITES = frozenset(("create", "update", "patch", "delete"))
_TRUE = ("1", "t", "T", "TRUE", "true", "True")


class Estimator:
    """Estimates; pure but for what is stored."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def work(self, request: Request, info: RequestInfo, most: int) -> Work:
        """What a request that is no get takes. most: seats that its level lets a request have, 0 for as many as any."""
        verb = info.verb
        if not info.is_resource:
            return ONE
        if verb in ("list", "watch"):
            return self._read(request, info, min(most or MAX_READ_SEATS, MAX_READ_SEATS))
        if verb in _WRITES:
            return self._write(info, min(most or MAX_WRITE_SEATS, MAX_WRITE_SEATS))
        return ONE

    def watchers(self, info: RequestInfo) -> int:
        """How many watches see what a write does."""
        cache = self._cache(info)
        if cache is None or not cache.watchers:
            return 0
        found = len(cache.watchers.get(("", ""), ()))
        if info.namespace:
            found += len(cache.watchers.get(("metadata.namespace", info.namespace), ()))
        if info.name:
            key = f"{info.namespace}/{info.name}" if info.namespace else info.name
            found += len(cache.watchers.get(("metadata.name", key), ()))
        return found

    def _cache(self, info: RequestInfo) -> Cache | None:
        served = self._routes.find(info.group, info.version, info.resource)
        return None if served is None else served.cache

    def _read(self, request: Request, info: RequestInfo, most: int) -> Work:
        if info.verb == "watch":
            initial = request.param("sendInitialEvents") in _TRUE
            if not initial and request.param("resourceVersion") not in ("", "0"):
                return ONE
        cache = self._cache(info)
        if cache is None or not cache.items:
            return ONE
        count = 1 if info.name else len(cache.items)
        limit = request.param("limit")
        if limit.isdecimal() and len(limit) < 10 and int(limit):
            count = min(count, int(limit))
        size = min(count * average_size(cache), CACHE_BYTES)
        seats = max(1, min(most, math.ceil(size / BYTES_PER_SEAT)))
        return ONE if seats == 1 else Work(seats)

    def _write(self, info: RequestInfo, most: int) -> Work:
        if info.subresource == "token":  # nothing is stored
            return ONE
        count = self.watchers(info)
        if count < WATCHES_PER_SEAT:
            return ONE
        wanted = math.ceil(count / WATCHES_PER_SEAT)
        seats = min(wanted, most)
        return Work(1, seats, wanted * EVENT_SECONDS / seats)


def average_size(cache: Cache) -> float:
    """Bytes of one of a cache's objects, judged by a few of them."""
    sizes = [len(item.value) for item in islice(cache.items.values(), SAMPLES)]
    return sum(sizes) / len(sizes)
