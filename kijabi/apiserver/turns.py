"""The event loop's time, shared among requests: long work in short slices, and whose turn it is.

One thread does all work, so whoever has the loop keeps it from everybody else. `flowcontrol/gate.py` asks here before
a request is begun, and measures what it takes (`Metered`); whoever has much to do (`listing.py` for lists,
`reading.py` for selections) works for as long as its Slice lasts, then awaits its turn. Between two looks at the
sockets so much is let through as takes about that long: what has arrived meanwhile is in the line too, and the line
is fair (`flowcontrol/line.py`). So two hundred connections of one client, or a hundred large lists, slow each other
down, and hardly anybody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

from kijabi.apiserver.flowcontrol.line import Line, Share, Stream
from kijabi.base import clock

T = TypeVar("T")
SLICE_SECONDS = 0.001
TICK_SECONDS = 0.0005  # of work that is let through between two looks at the sockets …
HASTE = 4  # … and so many times that, if it is of flows that have had less than those who wait
OVERHEAD = 0.0001  # seconds that any request costs outside of what is measured: reading it, finding out who asks

CURRENT: ContextVar[Stream] = ContextVar("stream")  # of the request that is being worked on


class Turns:
    """The loop's time. seconds: how long one may work at a time; 0 lets each do the least."""

    def __init__(self, seconds: float = SLICE_SECONDS) -> None:
        self.seconds = seconds
        self.now = clock.stopwatch()
        self._line: Line[asyncio.Future[float]] = Line()
        self._others = Stream(Share("others"))  # work that belongs to no request
        self._spent = 0.0  # since the last look at the sockets
        self._ticking = False

    def slice(self) -> Slice:
        """The working time of somebody who begins now."""
        return Slice(self)

    def free(self, stream: Stream) -> bool:
        """Whether a stream may go on at once: then it has its turn."""
        line, spent = self._line, self._spent
        if line.length:
            if spent >= TICK_SECONDS * HASTE or not line.ahead(stream):
                return False
        elif spent >= TICK_SECONDS:
            return False
        line.passed(stream)
        return True

    async def wait(self, stream: Stream) -> None:
        """Wait for a stream's turn."""
        turn: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._line.join(stream, turn)
        self._tick_soon()
        paid = await turn
        if stream is not self._others:  # it is measured from here on
            self._line.charge(stream, -paid)
            self._spent -= paid

    async def next(self) -> None:
        """Wait until those have had a slice who are before us, and everything that has arrived was looked at."""
        await self.wait(CURRENT.get(self._others))

    def charge(self, stream: Stream, seconds: float) -> None:
        """A stream has had the loop for so long."""
        stream.cost += seconds
        self._line.charge(stream, seconds)
        self._spent += seconds
        if not self._ticking:
            self._tick_soon()

    def _tick_soon(self) -> None:
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        """The sockets have been looked at: let so many go on as take about a slice."""
        line = self._line
        self._ticking = False
        self._spent = 0.0
        while line.length:
            stream, turn = line.pop()
            if turn.done():  # cancelled
                continue
            turn.set_result(stream.turn)
            line.charge(stream, stream.turn)
            self._spent += stream.turn
            if self._spent >= TICK_SECONDS:
                break
        if self._spent:
            self._tick_soon()


class Slice:
    """How long one may work before the next turn."""

    __slots__ = ("_turns", "_until")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._until = turns.now() + turns.seconds

    @property
    def over(self) -> bool:
        """Whether it is time to let others."""
        return self._turns.now() >= self._until

    async def next(self) -> None:
        """Wait for the next slice, and begin it."""
        await self._turns.next()
        self._until = self._turns.now() + self._turns.seconds


class Metered(Generic[T]):
    """A coroutine whose every step on the loop is charged to a stream; await it."""

    __slots__ = ("_stream", "_turns", "_work")

    def __init__(self, work: Coroutine[Any, Any, T], turns: Turns, stream: Stream) -> None:
        self._work = work
        self._turns = turns
        self._stream = stream

    def __await__(self) -> Generator[Any, Any, T]:
        """Runs it; whatever it waits for is waited for."""
        work, turns, stream = self._work, self._turns, self._stream
        step, given = work.send, None
        while True:
            began = turns.now()
            try:
                awaited = step(given)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            finally:
                turns.charge(stream, turns.now() - began)
            step, given = work.send, None
            try:
                yield awaited
            except BaseException as thrown:
                step, given = work.throw, thrown
