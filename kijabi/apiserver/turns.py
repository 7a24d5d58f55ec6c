"""Long work in short slices, so that it does not hold up other requests.

Whoever has much to do on the event loop (`listing.py` for lists, `reading.py` for selections) works for as long as its
Slice lasts, then awaits its turn. However many there are, one slice runs between two looks at the sockets: a hundred
large lists at once slow each other down, and nobody else.
"""

from __future__ import annotations

import asyncio
from collections import deque

SLICE_SECONDS = 0.001


class Turns:
    """The line of those who have more to do. seconds: how long one may work at a time; 0 lets each do the least."""

    def __init__(self, seconds: float = SLICE_SECONDS) -> None:
        self.seconds = seconds
        self._line: deque[asyncio.Future[None]] = deque()

    def slice(self) -> Slice:
        """The working time of somebody who begins now."""
        return Slice(self)

    async def next(self) -> None:
        """Wait until all others who wait have had a slice, and everything that has arrived was looked at."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._line.append(turn)
        if len(self._line) == 1:
            loop.call_soon(self._wake)
        await turn

    def _wake(self) -> None:
        turn = self._line.popleft()
        if not turn.done():
            turn.set_result(None)
        if self._line:
            asyncio.get_running_loop().call_soon(self._wake)


class Slice:
    """How long one may work before the next turn."""

    __slots__ = ("_loop", "_turns", "_until")

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + turns.seconds

    @property
    def over(self) -> bool:
        """Whether it is time to let others."""
        return self._loop.time() >= self._until

    async def next(self) -> None:
        """Wait for the next slice, and begin it."""
        await self._turns.next()
        self._until = self._loop.time() + self._turns.seconds
