"""A network that misbehaves by a seed: what every client in a simulation speaks through.

`FaultyTransport` wraps any `client.Transport` and adds what real networks and servers do: latency, requests
that never arrive, answers that never come back (the server did act), watches that are cut or lag, histories that are
too old (410), and partitions. `heal()` ends it all, for the phase in which the cluster has to converge.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from kijabi.base import rand
from kijabi.base.errors import ConnectionLost
from kijabi.client.transport import Request, Response, Stream, Transport
from kijabi.testing.history import GIVEN_UP, LATE
from kijabi.testing.interrupt import Waits

log = logging.getLogger(__name__)

OUT_OF_REACH = "the peer is out of reach"
_EXPIRED = {
    "kind": "Status",
    "apiVersion": "v1",
    "metadata": {},
    "status": "Failure",
    "message": "too old resource version: injected by the simulation",
    "reason": "Expired",
    "code": 410,
}


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How bad it is. Probabilities are from 0 to 1; latency is (least, most) seconds each way.

    lost_request: the request never arrives. lost_reply: the server acts but its answer is lost. Both show as
    ConnectionLost after `loss_seconds`. cut: each chunk of a stream may be its last. expired: a watch or a
    list from a resource version or continue token gets 410 at once. expired_event: each chunk of a watch may
    become a 410 event. late: a write is given up by the client, but arrives within `late_seconds`, when nobody
    expects it any more; only on connections made with a task group. stale: each chunk of a watch may be held up for
    `stale_seconds`, and all that follows with it: what the client knows is of the past, while its requests get through.
    """

    latency: tuple[float, float] = (0.001, 0.05)
    lost_request: float = 0.05
    lost_reply: float = 0.05
    loss_seconds: tuple[float, float] = (0.0, 3.0)
    cut: float = 0.01
    expired: float = 0.02
    expired_event: float = 0.002
    late: float = 0.02
    late_seconds: tuple[float, float] = (0.0, 10.0)
    stale: float = 0.005
    stale_seconds: tuple[float, float] = (0.5, 15.0)


NONE = Faults(
    latency=(0.0, 0.0), lost_request=0.0, lost_reply=0.0, cut=0.0, expired=0.0, expired_event=0.0, late=0.0, stale=0.0
)


class _Chunks:
    """A stream with a status and headers over chunks that somebody else makes."""

    def __init__(self, status: int, headers: dict[str, str], chunks: AsyncIterator[bytes]) -> None:
        self.status = status
        self.headers = headers
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks


class FaultyTransport:
    """A `Transport` over another, with faults.

    seed: of its own chance; None to draw from the loop's. down: while True nothing gets through (a partition,
    a crashed peer), and streams under way are cut. group: where requests live on that their client has given up.
    """

    def __init__(
        self,
        inner: Transport,
        faults: Faults | None = None,
        *,
        seed: int | None = None,
        group: asyncio.TaskGroup | None = None,
    ) -> None:
        self.faults = faults or Faults()
        self.injected: dict[str, int] = {}  # how often each fault happened
        self._inner = inner
        self._own = random.Random(seed) if seed is not None else None
        self._down = False
        self._well = asyncio.Event()
        self._waits = Waits()
        self._group = group

    @property
    def down(self) -> bool:
        """Whether the peer is out of reach."""
        return self._down

    def partition(self) -> None:
        """Nothing gets through from now on."""
        self._down = True
        self._waits.abort(OUT_OF_REACH)

    def reconnect(self) -> None:
        """End a partition; the faults stay."""
        self._down = False

    def heal(self) -> None:
        """No more faults."""
        self._down = False
        self.faults = NONE
        self._well.set()

    async def request(self, request: Request) -> Response:
        """See `Transport`; may lose the request or its answer."""
        await self._send()
        if self._old(request) and self._hit("expired", self.faults.expired):
            return Response(status=410, headers=_JSON, body=msgspec.json.encode(_EXPIRED))
        if self._group is not None and request.method != "GET" and self._hit("late", self.faults.late):
            self._group.create_task(self._arrive_late(request), name="faults/late")
            await self._lose("the request is late")
        answer = await self._inner.request(request)
        await self._delay()
        if self._down or self._hit("lost_reply", self.faults.lost_reply):
            await self._lose("the answer was lost")
        return answer

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        """See `Transport`; may lose the request, answer 410, or cut the stream."""
        await self._send()
        if self._old(request) and self._hit("expired", self.faults.expired):
            yield _Chunks(410, _JSON, _once(msgspec.json.encode(_EXPIRED)))
            return
        async with self._inner.stream(request) as stream:
            watching = request.param("watch") in ("true", "1")
            yield _Chunks(stream.status, stream.headers, self._chunks(stream, watching))

    async def close(self) -> None:
        """See `Transport`."""
        await self._inner.close()

    async def _chunks(self, stream: Stream, watching: bool) -> AsyncIterator[bytes]:
        chunks = aiter(stream)
        while True:
            chunk = await self._next(chunks)
            if chunk is None:
                return
            await self._delay()
            if watching and self._hit("stale", self.faults.stale):
                await self._hold_up()
                if self._down:
                    raise ConnectionLost(OUT_OF_REACH)
            if self._hit("cut", self.faults.cut):
                # Half of a chunk may arrive before the end.
                yield chunk[: self._rng().randrange(len(chunk) + 1)]
                raise ConnectionLost("the stream was cut")
            if watching and self._hit("expired_event", self.faults.expired_event):
                yield msgspec.json.encode({"type": "ERROR", "object": _EXPIRED}) + b"\n"
                return
            yield chunk

    async def _hold_up(self) -> None:
        """Keep a chunk for a while, not longer than there are faults."""
        seconds = self._rng().uniform(*self.faults.stale_seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._well.wait()

    async def _next(self, chunks: AsyncIterator[bytes]) -> bytes | None:
        """The next chunk, None at the end; ConnectionLost as soon as a partition begins."""
        if self._down:
            raise ConnectionLost(OUT_OF_REACH)
        return await self._waits.run(anext(chunks, None))

    async def _arrive_late(self, request: Request) -> None:
        LATE.set(GIVEN_UP)  # In the context of this task alone.
        await asyncio.sleep(self._rng().uniform(*self.faults.late_seconds))
        try:
            await self._inner.request(request)
        except ConnectionLost as error:
            log.debug("a late request met no server", extra={"reason": str(error)})

    async def _send(self) -> None:
        await self._delay()
        if self._down:
            await self._lose(OUT_OF_REACH)
        if self._hit("lost_request", self.faults.lost_request):
            await self._lose("the request was lost")

    async def _lose(self, why: str) -> None:
        await asyncio.sleep(self._rng().uniform(*self.faults.loss_seconds))
        raise ConnectionLost(why)

    async def _delay(self) -> None:
        least, most = self.faults.latency
        if most > 0:
            await asyncio.sleep(self._rng().uniform(least, most))

    def _old(self, request: Request) -> bool:
        """Whether the answer depends on the server's history."""
        if request.method != "GET":
            return False
        return bool(request.param("continue")) or request.param("resourceVersion") not in ("", "0")

    def _hit(self, name: str, probability: float) -> bool:
        if probability <= 0 or self._rng().random() >= probability:
            return False
        self.injected[name] = self.injected.get(name, 0) + 1
        return True

    def _rng(self) -> random.Random:
        return self._own if self._own is not None else rand.rng()


_JSON = {"Content-Type": "application/json"}


async def _once(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk
