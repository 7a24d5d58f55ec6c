"""Where every request waits until it may be answered: API priority and fairness (KEP-1040).

`server.py` has `answer` do the work of a request, when it may. Behind the gate are the pure parts: `matching.py`
sorts, `estimate.py` says how many seats, `levels.py` how many there are, `queueset.py` who is next. When a request
has its seats it still needs its turn on the event loop (`turns.py`), for one thread does all the work; so who is
refused waits for a turn, too, and cannot keep the server busy by asking again at once. Seats are given back when the
answer has gone: a list's last byte, a watch's initial events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from kijabi.api.flowcontrol.flowschema import FlowSchema
from kijabi.api.flowcontrol.prioritylevelconfiguration import PriorityLevelConfiguration
from kijabi.apiserver.attributes import Peer, RequestInfo, StreamAnswer, UserInfo
from kijabi.apiserver.flowcontrol import matching
from kijabi.apiserver.flowcontrol.estimate import ONE, Estimator
from kijabi.apiserver.flowcontrol.figures import Counts, Figures
from kijabi.apiserver.flowcontrol.held import Held
from kijabi.apiserver.flowcontrol.inflight import Rejected
from kijabi.apiserver.flowcontrol.levels import ADJUST_SECONDS, Level, Levels
from kijabi.apiserver.flowcontrol.line import Stream
from kijabi.apiserver.flowcontrol.queueset import Ticket, Work
from kijabi.apiserver.flowcontrol.retry import Retry
from kijabi.apiserver.flowcontrol.shuffle import deal, flow_hash
from kijabi.apiserver.turns import CURRENT, OVERHEAD, Metered, Turns
from kijabi.apiserver.watch import WatchAnswer
from kijabi.apiserver.watchcache import Caches
from kijabi.base import clock
from kijabi.client.transport import Request

T = TypeVar("T")
MAX_WAIT = 60.0  # seconds in a queue
WAIT_PART = 4  # of a request's time that it may spend in a queue: this part
MAX_FLOWS = 4096  # kinds of requests of users that are remembered
MAX_STREAMS = 4096  # flows that are told apart in what they have had of the loop's time


class Flow:
    """What requests have in common that are treated alike: schema, level, queues, and the headers that say so."""

    __slots__ = ("counts", "distinguisher", "hand", "headers", "level", "schema", "stream")

    def __init__(self, schema: FlowSchema, level: Level, distinguisher: str, stream: Stream, counts: Counts) -> None:
        self.schema = schema.metadata.name
        self.level = level
        self.distinguisher = distinguisher
        self.stream = stream
        self.counts = counts
        queues, hand = level.hand
        self.hand = deal(flow_hash(self.schema, distinguisher), queues, hand) if queues else ()
        self.headers = {
            "X-Kubernetes-PF-FlowSchema-UID": schema.metadata.uid,
            "X-Kubernetes-PF-PriorityLevel-UID": level.obj.metadata.uid,
        }


class Visit:
    """One request between coming in and having been answered."""

    __slots__ = ("flow", "info", "ticket", "user", "waiter")

    def __init__(self, flow: Flow, user: UserInfo, info: RequestInfo) -> None:
        self.flow = flow
        self.user = user
        self.info = info
        self.ticket: Ticket | None = None
        self.waiter: asyncio.Future[None] | None = None


class FlowControl:
    """The gate with priorities and fairness. seats: what the levels share."""

    def __init__(self, caches: Caches, estimator: Estimator, turns: Turns, seats: int) -> None:
        self._caches = caches
        self._estimator = estimator
        self._turns = turns
        self._now = asyncio.get_running_loop().time
        self.levels = Levels(seats, self._now())
        self.figures = Figures()
        self.changed = asyncio.Event()  # the objects have: `statuses.py` waits for it
        self._stale = True
        self._retries: dict[str, Retry] = {}
        self._flows: dict[tuple[Any, ...], Flow] = {}
        self._streams: dict[tuple[str, str, str], Stream] = {}
        caches.subscribe(FlowSchema, self._object_changed)
        caches.subscribe(PriorityLevelConfiguration, self._object_changed)

    # What the levels are

    def _object_changed(self, old: Any, new: Any) -> None:
        if old is None or new is None or old.spec != new.spec or old.metadata.uid != new.metadata.uid:
            self._stale = True
        self.changed.set()

    def refresh(self) -> None:
        """Take the objects as they are, if they have changed."""
        if not self._stale:
            return
        self._stale = False
        objects, schemas = self._caches.items(PriorityLevelConfiguration), self._caches.items(FlowSchema)
        self._flows.clear()
        self._wake(self.levels.digest(objects, schemas, self._now()))

    async def run(self) -> None:
        """Deal the seats now and then, until cancelled."""
        while True:
            await asyncio.sleep(ADJUST_SECONDS)
            self.refresh()
            self.levels.reap()
            self._wake(self.levels.adjust(self._now()))

    # Sorting

    def flow(self, user: UserInfo, info: RequestInfo) -> Flow:
        """What a request belongs to: the same for all of its kind by the same user, until the objects change."""
        if self._stale:
            self.refresh()
        if info.is_resource:
            key: tuple[Any, ...] = (
                user.name, user.groups, info.verb, info.group, info.resource, info.subresource, info.namespace
            )  # fmt: skip
        else:
            key = (user.name, user.groups, info.verb, info.path)
        found = self._flows.get(key)
        if found is None:
            if len(self._flows) >= MAX_FLOWS:
                self._flows.clear()
            found = self._flows[key] = self._sort(user, info)
        return found

    def _sort(self, user: UserInfo, info: RequestInfo) -> Flow:
        schemas = self.levels.schemas
        schema = matching.find(schemas, user, info)
        if schema is None:  # somebody in neither of the groups that everybody is in
            schema = next(each for each in schemas if each.metadata.name == "catch-all")
        level = self.levels.by_name[schema.spec.priorityLevelConfiguration.name]
        name = schema.metadata.name
        told = matching.distinguisher(schema, user, info) if level.hand[0] > 1 else ""
        stream = self._stream(level, name, told or user.name)
        return Flow(schema, level, told, stream, self.figures.of(level.name, name))

    def _stream(self, level: Level, schema: str, flow: str) -> Stream:
        key = (level.name, schema, flow)
        found = self._streams.get(key)
        if found is None or found.share is not level.share:
            if len(self._streams) >= MAX_STREAMS:
                self._streams.clear()
                self._flows.clear()
            found = self._streams[key] = Stream(level.share)
        return found

    # Letting through

    def may_begin(self, peer: Peer) -> bool:
        """See Gate. To find out who asks takes its time, too: it is taken as that of who asked before."""
        stream = peer.presence.stream
        return stream is None or self._turns.free(stream)

    async def begin(self, peer: Peer) -> None:
        """See Gate."""
        await self._turns.wait(peer.presence.stream)

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
        """See inflight.Gate."""
        flow, turns = self.flow(user, info), self._turns
        said.update(flow.headers)
        visit = Visit(flow, user, info)
        level, stream = flow.level, flow.stream
        peer.presence.stream = None if level.exempt else stream
        turns.charge(stream, OVERHEAD)
        wanted = ONE if level.exempt else self._work(flow, request, visit.info)
        ticket = visit.ticket = level.queues.start(wanted, flow.hand, self._now(), visit)
        if ticket is None:
            reason = "queue-full" if level.queues.queuing is not None else "concurrency-limit"
            await self._reject(flow, reason)
        assert ticket is not None
        waited = not ticket.seated
        if waited:
            await self._wait(visit, ticket, min(seconds / WAIT_PART, MAX_WAIT))
        mine = CURRENT.set(stream)
        given = False
        try:
            if waited and not turns.free(stream):
                await turns.wait(stream)
            if peer.presence.gone:  # nobody will read the answer
                raise Rejected(1)
            found = await Metered(work(), turns, stream)
            given = self._hold(visit, found)
        finally:
            CURRENT.reset(mine)
            if not given:
                self._leave(visit)
        return found

    def _work(self, flow: Flow, request: Request, info: RequestInfo) -> Work:
        counts = flow.counts
        if info.verb == "get":
            counts.one_seat += 1
            return ONE
        found = self._estimator.work(request, info, flow.level.max_seats)
        if found is ONE:
            counts.one_seat += 1
        else:
            counts.seats.see(max(found.seats, found.final_seats))
        return found

    async def _wait(self, visit: Visit, ticket: Ticket, seconds: float) -> None:
        """Until the ticket has its seats. Raises Rejected."""
        counts, queue = visit.flow.counts, ticket.queue
        assert queue is not None
        counts.lengths.see(len(queue.waiting))
        loop = asyncio.get_running_loop()
        visit.waiter = loop.create_future()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await visit.waiter
        except BaseException:
            self._withdraw(visit, ticket, timed_out=False)
            raise
        waited = self._now() - ticket.arrived
        if not ticket.seated:
            counts.waited_in_vain.see(waited)
            self._withdraw(visit, ticket, timed_out=True)
            await self._reject(visit.flow, "time-out")
        counts.waited.see(waited)

    def _withdraw(self, visit: Visit, ticket: Ticket, *, timed_out: bool) -> None:
        if ticket.seated:
            self._leave(visit)
            return
        self._wake(visit.flow.level.queues.cancel(ticket, self._now(), timed_out=timed_out))
        if not timed_out:
            counts = visit.flow.counts.rejected
            counts["cancelled"] = counts.get("cancelled", 0) + 1

    async def _reject(self, flow: Flow, reason: str) -> NoReturn:
        counts = flow.counts.rejected
        counts[reason] = counts.get(reason, 0) + 1
        seconds = self._retries.setdefault(flow.level.name, Retry()).refused(clock.wall())
        await self._turns.wait(flow.stream)
        raise Rejected(seconds)

    @staticmethod
    def _wake(started: Iterable[Ticket]) -> None:
        for ticket in started:
            waiter = ticket.whose.waiter
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    # Giving the seats back

    def _hold(self, visit: Visit, answer: object) -> bool:
        """Whether the answer goes on, and gives the seats back when it has gone."""
        if isinstance(answer, WatchAnswer):
            if answer.watcher.initial is None:
                return False
            answer.watcher.begun = lambda: self._leave(visit)
            return True
        if isinstance(answer, StreamAnswer) and visit.info.verb != "watch":  # that one is another server's
            chunks = answer.chunks
            answer.chunks = Held(chunks, self._turns, visit.flow.stream, lambda: self._leave(visit))
            return True
        return False

    def _leave(self, visit: Visit) -> None:
        """The answer has gone."""
        flow, ticket = visit.flow, visit.ticket
        if ticket is None:
            return
        visit.ticket = None
        now, queues, counts = self._now(), flow.level.queues, flow.counts
        counts.dispatched += 1
        (counts.watch_took if visit.info.verb == "watch" else counts.took).see(now - ticket.started)
        started = queues.finish(ticket, now)
        if started:
            self._wake(started)
        if ticket.work.seconds > 0:
            later = lambda: self._wake(queues.release(ticket, self._now()))  # noqa: E731
            asyncio.get_running_loop().call_later(ticket.work.seconds, later)
        if flow.level.leaving:
            self.levels.reap()
