"""Whose turn it is on the event loop: a fair line, by priority level and then by flow.

`turns.py` keeps one and lets work through that takes the loop's time. Virtual time again, but of what the loop really
spent: each flow's is what it has cost, each level's what its flows have cost by the level's weight; the least goes
first. Who comes after a pause begins where the others are. Pure (start-time fair queuing: Goyal, Vin and Cheng,
1996).
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")
FIRST_GUESS = 0.0003  # seconds that a turn of a flow is thought to take, as long as it has had none
LESSON = 16  # turns after which a flow is thought to take as long as these did


class Share:
    """One priority level's part of the loop's time. weight: in proportion to those of the others."""

    __slots__ = ("floor", "heap", "name", "v", "weight")

    def __init__(self, name: str, weight: float = 1.0) -> None:
        self.name = name
        self.weight = weight
        self.v = 0.0
        self.floor = 0.0  # where a flow begins that comes after a pause
        self.heap: list[tuple[float, int, Stream]] = []  # streams in the line, as of when they were put here

    def first(self) -> Stream:
        """The stream that has had least; there is one."""
        heap = self.heap
        while heap[0][0] < heap[0][2].v:
            _, number, stream = heappop(heap)
            heappush(heap, (stream.v, number, stream))
        return heap[0][2]


class Stream:
    """One flow's part of its level's. turn: seconds that a turn of it takes, with all that follows from it."""

    __slots__ = ("cost", "share", "turn", "turns", "v", "waiting")

    def __init__(self, share: Share) -> None:
        self.share = share
        self.v = 0.0
        self.turn = FIRST_GUESS
        self.turns = 0
        self.cost = 0.0  # of these turns
        self.waiting: deque[object] = deque()

    def learn(self) -> None:
        """One more turn."""
        self.turns += 1
        if self.turns == LESSON:
            self.turn = self.cost / LESSON
            self.turns, self.cost = 0, 0.0


class Line(Generic[T]):
    """Who waits for a turn."""

    def __init__(self) -> None:
        self.length = 0
        self.floor = 0.0
        self._shares: dict[Share, None] = {}  # those with streams in the line
        self._joined = 0

    def join(self, stream: Stream, item: T) -> None:
        """Wait."""
        share = stream.share
        if not stream.waiting:
            if not share.heap:
                share.v = max(share.v, self.floor)
                self._shares[share] = None
            stream.v = max(stream.v, share.floor)
            self._joined += 1
            heappush(share.heap, (stream.v, self._joined, stream))
        stream.waiting.append(item)
        self.length += 1

    def ahead(self, stream: Stream) -> bool:
        """Whether this stream would be next if it joined."""
        if not self._shares:
            return True
        share, first = stream.share, min(self._shares, key=_virtual)
        if share is first:
            return max(stream.v, share.floor) < share.first().v
        return max(share.v, self.floor) < first.v

    def passed(self, stream: Stream) -> None:
        """A stream goes on without having waited."""
        share = stream.share
        stream.learn()
        if not share.heap:
            stream.v = share.floor = max(stream.v, share.floor)
        if not self._shares:
            share.v = self.floor = max(share.v, self.floor)

    def pop(self) -> tuple[Stream, T]:
        """Who is next; there is somebody."""
        share = min(self._shares, key=_virtual)
        stream = share.first()
        self.floor = max(self.floor, share.v)
        share.floor = max(share.floor, stream.v)
        item = stream.waiting.popleft()
        self.length -= 1
        stream.learn()
        if not stream.waiting:
            heappop(share.heap)
            if not share.heap:
                del self._shares[share]
        return stream, item  # type: ignore[return-value]

    @staticmethod
    def charge(stream: Stream, seconds: float) -> None:
        """A stream has had the loop for so long, or is thought to have it for so long next."""
        stream.v += seconds
        stream.share.v += seconds / stream.share.weight


def _virtual(share: Share) -> float:
    return share.v
