"""Items in the order of their keys, for ranges that stay as they were while writes go on.

A `watchcache.Cache` keeps its objects here beside a dict. Items are never changed, only replaced, and a range shares
the blocks of items with the present until a write touches them. So a list of 150,000 objects can be sent bit by bit and
is still the list of one moment; taking that moment costs microseconds, and a write copies one block at most.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kijabi.apiserver.watchcache import Item

BLOCK = 256  # items of a block when it has just been split; at twice as many it is split again
_KEY = attrgetter("key")


class Ordered:
    """Items by key, each key once."""

    __slots__ = ("_ages", "_blocks", "_lasts", "_now")

    def __init__(self) -> None:
        self._blocks: list[list[Item]] = []
        self._lasts: list[str] = []  # the last key of each block
        self._ages: list[int] = []  # when each block was made; a range may have those older than `_now`
        self._now = 0

    def clear(self) -> None:
        """Forget all items; ranges keep theirs."""
        self.__init__()  # type: ignore[misc]

    def _writable(self, at: int) -> list[Item]:
        """A block that no range has."""
        if self._ages[at] < self._now:
            self._blocks[at] = self._blocks[at].copy()
            self._ages[at] = self._now
        return self._blocks[at]

    def put(self, item: Item) -> None:
        """Add an item, or replace the one with its key."""
        key, lasts = item.key, self._lasts
        if not lasts:
            self._insert(0, [item])
            return
        at = min(bisect_left(lasts, key), len(lasts) - 1)
        block = self._writable(at)
        place = bisect_left(block, key, key=_KEY)
        if place < len(block) and block[place].key == key:
            block[place] = item
            return
        block.insert(place, item)
        if len(block) >= 2 * BLOCK:
            self._insert(at + 1, block[BLOCK:])
            del block[BLOCK:]
        lasts[at] = block[-1].key

    def _insert(self, at: int, block: list[Item]) -> None:
        self._blocks.insert(at, block)
        self._lasts.insert(at, block[-1].key)
        self._ages.insert(at, self._now)

    def remove(self, key: str) -> None:
        """Take out the item of a key that is there."""
        at = bisect_left(self._lasts, key)
        block = self._writable(at)
        del block[bisect_left(block, key, key=_KEY)]
        if block:
            self._lasts[at] = block[-1].key
        else:
            del self._blocks[at], self._lasts[at], self._ages[at]

    def between(self, start: str, end: str) -> Iterator[Item]:
        """The items of now with start <= key, and key < end unless that is empty; whatever is written later."""
        first, low = self._place(start)
        last, high = self._place(end) if end else (len(self._blocks), 0)
        if (first, low) >= (last, high):
            return iter(())
        self._now += 1
        blocks = self._blocks[first:last]
        if high:
            blocks.append(self._blocks[last][:high])
        if low:
            blocks[0] = blocks[0][low:]
        return chain.from_iterable(blocks)

    def count(self, start: str, end: str) -> int:
        """How many items `between` would give."""
        first, low = self._place(start)
        last, high = self._place(end) if end else (len(self._blocks), 0)
        if (first, low) >= (last, high):
            return 0
        return sum(map(len, self._blocks[first:last])) - low + high

    def _place(self, key: str) -> tuple[int, int]:
        """(block, place within it) of the first item with this key or a greater one."""
        at = bisect_left(self._lasts, key)
        return at, bisect_left(self._blocks[at], key, key=_KEY) if at < len(self._blocks) else 0
