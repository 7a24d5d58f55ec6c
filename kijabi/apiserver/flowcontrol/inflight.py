"""What a gate is, how it refuses, and the plain one: so many reads and so many writes at once.

`app.py` takes `MaxInFlight` where priorities and fairness are turned off, else `gate.FlowControl`; `server.py` knows
only `Gate`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from kijabi.apiserver.attributes import Peer, RequestInfo, UserInfo
from kijabi.client.transport import Request, Response

T = TypeVar("T")
MASTERS = "system:masters"  # whom no limit keeps from mending the cluster
READS = frozenset(("get", "list", "watch"))
TOO_MANY = b"Too many requests, please try again later.\n"


class Rejected(Exception):
    """The request cannot be answered now; `answer` says so, and after how many seconds to try again."""

    def __init__(self, seconds: int) -> None:
        super().__init__("too many requests")
        headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
        self.answer = Response(status=429, headers=headers | {"Retry-After": str(seconds)}, body=TOO_MANY)


class Gate(Protocol):
    """Lets requests through."""

    def may_begin(self, peer: Peer) -> bool:
        """Whether a request may be looked at now, of which nothing is known but the connection that it came over."""
        ...

    async def begin(self, peer: Peer) -> None:
        """Wait until it may."""
        ...

    async def answer(
        self,
        user: UserInfo,
        info: RequestInfo,
        request: Request,
        peer: Peer,
        seconds: float,
        said: dict[str, str],
        work: Callable[[], Coroutine[Any, Any, T]],
    ) -> T:
        """Do the work when the request may be answered. It has so many seconds in all. said: gets the headers that
        tell clients how they were treated. Raises Rejected, also if the client has gone meanwhile."""
        ...


class MaxInFlight:
    """The gate without priorities (k8s.io/apiserver `pkg/server/filters/maxinflight.go`). A limit of 0 is none."""

    def __init__(self, reads: int, writes: int) -> None:
        self._limits = {True: reads, False: writes}
        self._now = {True: 0, False: 0}

    def may_begin(self, peer: Peer) -> bool:
        """See Gate. Always."""
        return True

    async def begin(self, peer: Peer) -> None:
        """See Gate."""

    async def answer(
        self,
        user: UserInfo,
        info: RequestInfo,
        request: Request,
        peer: Peer,
        seconds: float,
        said: dict[str, str],
        work: Callable[[], Coroutine[Any, Any, T]],
    ) -> T:
        """See Gate. Watches count for nothing, as they last."""
        reads = info.verb in READS
        limit, now = self._limits[reads], self._now
        if info.verb == "watch" or not limit:
            return await work()
        if now[reads] >= limit and MASTERS not in user.groups:
            raise Rejected(1)
        now[reads] += 1
        try:
            return await work()
        finally:
            now[reads] -= 1
