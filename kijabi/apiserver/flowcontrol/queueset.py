"""The queues of one priority level: who waits, who has how many seats, and whose turn it is when a seat is free.

A state machine that is told the time and has no effects: `gate.py` starts what `start`, `finish`, `release`, `cancel`
and `limit` say may start. It is fair queuing for requests of differing width by virtual time (KEP-1040;
k8s.io/apiserver `pkg/util/flowcontrol/fairqueuing/queueset`): each queue has the virtual time at which its next
request would begin, and the queue whose head would end first is next.

One rule is our own. Work here is done by one thread, so seats are no measure of what is busy (`turns.py` shares
that); they bound what is under way. A flow may hold its seats for long, so a few are kept for queues that hold none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

SERVICE_SECONDS = 0.003  # how long a request is thought to take, until it has ended
KEPT = 8  # one seat in so many is kept for queues that have nobody seated


class Work(NamedTuple):
    """What a request takes: seats while it is answered; then, for so many seconds, seats for what follows from it."""

    seats: int = 1
    final_seats: int = 0
    seconds: float = 0.0


class Queuing(NamedTuple):
    """How many queues there are, and how many may wait in each."""

    queues: int
    length: int


class Ticket:
    """One request's place in a queue, or its seats. whose: what the caller knows it by."""

    __slots__ = ("arrived", "arrived_r", "kept", "queue", "seated", "started", "total", "whose", "width", "work")

    def __init__(self, work: Work, now: float, whose: Any) -> None:
        self.work = work
        self.whose = whose
        self.width = max(work.seats, work.final_seats)
        self.total = work.seats * SERVICE_SECONDS + work.final_seats * work.seconds  # seat-seconds
        self.arrived = now
        self.arrived_r = 0.0
        self.queue: Queue | None = None
        self.started = 0.0
        self.seated = False
        self.kept = False  # whether it has one of the seats that are kept


class Queue:
    """One queue: tickets that wait in order, tickets being answered, and seats held."""

    __slots__ = ("executing", "index", "next_r", "seats", "waiting", "work")

    def __init__(self, index: int) -> None:
        self.index = index
        self.waiting: dict[Ticket, None] = {}
        self.executing: dict[Ticket, None] = {}
        self.seats = 0
        self.work = 0.0  # seat-seconds that wait
        self.next_r = 0.0  # virtual time at which the next one begins

    @property
    def head(self) -> Ticket:
        """Who has waited longest."""
        return next(iter(self.waiting))


class Demand(NamedTuple):
    """How many seats were wanted over a time: in use or waited for."""

    seconds: float
    average: float
    deviation: float
    most: int


class QueueSet:
    """queuing: None rejects what finds no seat. exempt: everybody is seated at once."""

    def __init__(self, limit: int, queuing: Queuing | None, now: float, *, exempt: bool = False) -> None:
        self.capacity = limit
        self.exempt = exempt
        self.queuing: Queuing | None = None
        self.queues: list[Queue] = []
        self.seated: dict[Ticket, None] = {}  # without a queue
        self.r = 0.0  # virtual time: seat-seconds that each busy queue has had
        self.waiting = self.executing = self.seats = self.seats_waiting = self.kept_seats = 0
        self.dispatched = self.rejected = self.timed_out = self.cancelled = self.unseated = 0
        self._busy = 0  # queues with tickets
        self._lined: dict[Queue, None] = {}  # queues in which somebody waits
        self._deals = 0
        self._now = now
        self._most = 0
        self._moments = (0.0, 0.0, 0.0)  # integrals of 1, demand and demand² over time
        self._kept, self._widest = 0, 1  # seats that are kept; seats that one request can have
        self.configure(queuing, now)
        self.limit(limit, now)

    def configure(self, queuing: Queuing | None, now: float) -> None:
        """Other queues. Those that are too many are used up."""
        self._advance(now)
        self.queuing = queuing
        wanted = queuing.queues if queuing is not None else 0
        self.queues = [q for q in self.queues if q.index < wanted or q.waiting or q.executing or q.seats]
        if len(self.queues) < wanted:
            self.queues.extend(Queue(index) for index in range(len(self.queues), wanted))

    def limit(self, capacity: int, now: float) -> list[Ticket]:
        """Another number of seats; who may start."""
        self._advance(now)
        self.capacity = capacity
        self._kept = capacity // KEPT
        self._widest = capacity - self._kept
        return self._dispatch(now)

    @property
    def idle(self) -> bool:
        """Whether nobody waits and nobody is being answered."""
        return not self.waiting and not self.executing

    # A request's life

    def start(self, work: Work, hand: Sequence[int], now: float, whose: Any) -> Ticket | None:
        """A request has come: it is `seated`, or waits, or (None) there is no room for it."""
        self._advance(now)
        ticket = Ticket(work, now, whose)
        queuing = self.queuing
        if queuing is None:
            if not self.exempt and not self._room(ticket.width, self.seats, self.capacity):
                self.rejected += 1
                return None
            self.seated[ticket] = None
            self._seat(ticket, now)
            return ticket
        queue = self._choose(hand)
        if not self.waiting and self.seats - self.kept_seats + ticket.width <= self._widest:
            self._enter(queue, ticket)
            self._occupy(queue, ticket, now)
            return ticket
        if len(queue.waiting) >= queuing.length:
            self.rejected += 1
            return None
        self._enqueue(queue, ticket)
        if not self._dispatch(now):
            self._bound(queue)
        return ticket

    def _choose(self, hand: Sequence[int]) -> Queue:
        """The queue of a hand in which least work waits; the first to be looked at is another one each time."""
        self._deals += 1
        first = self._deals % len(hand)
        best = self.queues[hand[first]]
        if self.waiting:
            for place in range(first + 1, first + len(hand)):
                queue = self.queues[hand[place % len(hand)]]
                if queue.work < best.work:
                    best = queue
        return best

    def _enter(self, queue: Queue, ticket: Ticket) -> None:
        if not queue.waiting and not queue.executing:
            queue.next_r = self.r
            self._busy += 1
        ticket.queue = queue
        ticket.arrived_r = self.r

    def _enqueue(self, queue: Queue, ticket: Ticket) -> None:
        self._enter(queue, ticket)
        queue.waiting[ticket] = None
        queue.work += ticket.total
        self._lined[queue] = None
        self.waiting += 1
        self.seats_waiting += ticket.width
        self._wanted()

    def cancel(self, ticket: Ticket, now: float, *, timed_out: bool = False) -> list[Ticket]:
        """Who waited waits no more: the client has gone, or it took too long. Who may start."""
        self._advance(now)
        self._leave(ticket)
        self.rejected += 1
        self.cancelled += not timed_out
        self.timed_out += timed_out
        queue = ticket.queue
        assert queue is not None
        if not queue.waiting and not queue.executing:
            self._busy -= 1
        self._bound(queue)
        return self._dispatch(now)

    def finish(self, ticket: Ticket, now: float) -> list[Ticket]:
        """A request has been answered. Its seats are free unless `work.seconds`: then call `release` after these."""
        self._advance(now)
        self.executing -= 1
        queue, work = ticket.queue, ticket.work
        if queue is None:
            del self.seated[ticket]
        else:
            del queue.executing[ticket]
            queue.next_r -= work.seats * (SERVICE_SECONDS - (now - ticket.started))
            self._bound(queue)
            if not queue.executing and not queue.waiting:
                self._busy -= 1
        if work.seconds > 0:
            return []
        self._unseat(ticket)
        return self._dispatch(now)

    def release(self, ticket: Ticket, now: float) -> list[Ticket]:
        """What followed from a request has passed, too; who may start."""
        self._advance(now)
        self._unseat(ticket)
        return self._dispatch(now)

    # Seats

    def _seat(self, ticket: Ticket, now: float) -> None:
        ticket.seated = True
        ticket.started = now
        self.executing += 1
        self.dispatched += 1
        self.seats += ticket.width
        if ticket.kept:
            self.kept_seats += ticket.width
        self._wanted()

    def _unseat(self, ticket: Ticket) -> None:
        ticket.seated = False
        self.seats -= ticket.width
        if ticket.kept:
            self.kept_seats -= ticket.width
        if ticket.queue is not None:
            ticket.queue.seats -= ticket.width

    def _leave(self, ticket: Ticket) -> None:
        """Out of the queue."""
        queue = ticket.queue
        assert queue is not None
        del queue.waiting[ticket]
        queue.work = queue.work - ticket.total if queue.waiting else 0.0
        if not queue.waiting:
            del self._lined[queue]
        self.waiting -= 1
        self.seats_waiting -= ticket.width

    def _dispatch(self, now: float) -> list[Ticket]:
        """Seat whoever is next as long as there is room."""
        started: list[Ticket] = []
        while self._lined and self.seats < self.capacity:
            found = self._next()
            if found is None:
                self.unseated += 1
                break
            queue, kept = found
            ticket = queue.head
            self._leave(ticket)
            if queue.waiting:  # of equal queues another one is next
                del self._lined[queue]
                self._lined[queue] = None
            ticket.width = min(ticket.width, max(1, self._widest))
            ticket.kept = kept
            self._occupy(queue, ticket, now)
            self._bound(queue)
            started.append(ticket)
        return started

    def _occupy(self, queue: Queue, ticket: Ticket, now: float) -> None:
        queue.executing[ticket] = None
        queue.seats += ticket.width
        queue.next_r += ticket.total
        self._seat(ticket, now)

    def _next(self) -> tuple[Queue, bool] | None:
        """The queue whose head would end first, if there is room for it; or else one that has nobody seated, which
        then gets of the seats that are kept."""
        best, widest = min(self._lined, key=_finish), max(1, self._widest)
        if self.seats - self.kept_seats + min(best.head.width, widest) <= widest:
            return best, False
        room = min(self._kept - self.kept_seats, self.capacity - self.seats)
        fresh = (queue for queue in self._lined if not queue.seats and queue.head.width <= room)
        other = min(fresh, key=_finish, default=None)
        return None if other is None else (other, True)

    @staticmethod
    def _room(width: int, used: int, most: int) -> bool:
        """Whether so many seats are free. A request that is too wide gets them when all are free."""
        return used == 0 if width > most else used + width <= most

    # Virtual time

    def _advance(self, now: float) -> None:
        passed = now - self._now
        if passed <= 0:
            return
        self._now = now
        wanted = self.seats + self.seats_waiting
        whole, first, second = self._moments
        self._moments = (whole + passed, first + wanted * passed, second + wanted * wanted * passed)
        if self._busy:
            self.r += passed * min(wanted, self.capacity) / self._busy

    @staticmethod
    def _bound(queue: Queue) -> None:
        """A queue gains nothing from having been idle."""
        if queue.waiting:
            queue.next_r = max(queue.next_r, queue.head.arrived_r)

    # Demand

    def _wanted(self) -> None:
        wanted = self.seats + self.seats_waiting
        if wanted > self._most:
            self._most = wanted

    def demand(self, now: float) -> Demand:
        """What was wanted since the last call."""
        self._advance(now)
        whole, first, second = self._moments
        average = first / whole if whole > 0 else 0.0
        deviation = math.sqrt(max(0.0, second / whole - average * average)) if whole > 0 else 0.0
        found = Demand(whole, average, deviation, self._most)
        self._moments = (0.0, 0.0, 0.0)
        self._most = self.seats + self.seats_waiting
        return found


def _finish(queue: Queue) -> float:
    return queue.next_r + queue.head.total
