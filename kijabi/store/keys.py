"""An ordered set of keys: what ranges walk.

`store/timeline.py` keeps its live keys here. A plain sorted list moves megabytes on each insertion into
300,000 keys; short buckets keep an insertion near a microsecond.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator

# Buckets are split when they reach twice this length.
BUCKET = 512


class SortedKeys:
    """A sorted set of strings in buckets. Callers add only absent keys and remove only present ones."""

    __slots__ = ("_buckets", "_lasts")

    def __init__(self, keys: Iterable[str] = ()) -> None:
        """Start with these keys, in any order, without repetition."""
        ordered = sorted(keys)
        self._buckets = [ordered[i : i + BUCKET] for i in range(0, len(ordered), BUCKET)]
        self._lasts = [bucket[-1] for bucket in self._buckets]

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def add(self, key: str) -> None:
        """Put an absent key in its place."""
        if not self._buckets:
            self._buckets.append([key])
            self._lasts.append(key)
            return
        at = min(bisect_left(self._lasts, key), len(self._lasts) - 1)
        bucket = self._buckets[at]
        insort(bucket, key)
        self._lasts[at] = bucket[-1]
        if len(bucket) >= 2 * BUCKET:
            right = bucket[BUCKET:]
            del bucket[BUCKET:]
            self._lasts[at] = bucket[-1]
            self._buckets.insert(at + 1, right)
            self._lasts.insert(at + 1, right[-1])

    def remove(self, key: str) -> None:
        """Take a present key out."""
        at = bisect_left(self._lasts, key)
        bucket = self._buckets[at]
        del bucket[bisect_left(bucket, key)]
        if bucket:
            self._lasts[at] = bucket[-1]
        else:
            del self._buckets[at], self._lasts[at]

    def between(self, start: str, end: str) -> Iterator[str]:
        """The keys with start <= key < end, in order."""
        first = bisect_left(self._lasts, start)
        for at in range(first, len(self._buckets)):
            bucket = self._buckets[at]
            low = bisect_left(bucket, start) if at == first else 0
            if bucket[-1] < end:
                yield from bucket[low:] if low else bucket
                continue
            yield from bucket[low : bisect_left(bucket, end)]
            return

    def count(self, start: str, end: str) -> int:
        """How many keys there are with start <= key < end."""
        if start >= end:
            return 0
        return self._rank(end) - self._rank(start)

    def _rank(self, key: str) -> int:
        at = bisect_left(self._lasts, key)
        before = sum(map(len, self._buckets[:at]))
        return before + (bisect_left(self._buckets[at], key) if at < len(self._buckets) else 0)


def prefix_end(prefix: str) -> str:
    """The least key above all with this prefix: `range(prefix, prefix_end(prefix))` is all under it."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix else chr(0x10FFFF)
