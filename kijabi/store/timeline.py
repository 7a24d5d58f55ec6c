"""The present and the recent past, in memory: what every engine here reads from.

`memory` and `embedded` turn a guarded write into events (`changes`), and once a write counts they `apply` it:
the live entries move on, the history grows, the watchers hear of it. History is bounded by count and bytes at
each write and by age through `expire`; what leaves it is handed back as garbage so that an engine can clear
its disk.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from heapq import merge
from itertools import islice
from typing import NamedTuple

from kijabi.store.hub import MAX_BACKLOG, Hub, Watcher
from kijabi.store.interface import Compacted, Entry, Event, FutureRevision, Guard, Op, Range
from kijabi.store.keys import SortedKeys

# Events that one step of a compaction forgets: about a millisecond.
STRIDE = 4096

_ABSENT = Entry("", b"", 0, 0)


class Retention(NamedTuple):
    """How much history is kept for watches, continued lists and ranges in the past.

    events: at most so many. bytes: of superseded and deleted values, at most so many. seconds: `expire`
    forgets what is older (five minutes, as Kubernetes has etcd compacted).
    """

    events: int = 100_000
    bytes: int = 128 << 20
    seconds: float = 300.0


def refused(guards: Sequence[Guard], look: Callable[[str], Entry | None]) -> bool:
    """Whether a guard does not hold against the entries that `look` gives."""
    for key, revision in guards:
        entry = look(key)
        if (entry.revision if entry is not None else 0) != revision:
            return True
    return False


def changes(ops: Sequence[Op], revision: int, look: Callable[[str], Entry | None]) -> tuple[Event, ...]:
    """The events that `ops` cause at a revision; deleting what does not exist causes none."""
    if len(ops) > 1 and len({op.key for op in ops}) < len(ops):
        raise ValueError("a transaction may write each key once")
    events = []
    for key, value in ops:
        previous = look(key)
        if value is not None:
            created = previous.create_revision if previous is not None else revision
            events.append(Event(revision, key, Entry(key, value, created, revision), previous))
        elif previous is not None:
            events.append(Event(revision, key, None, previous))
    return tuple(events)


class Timeline:
    """Live entries, bounded history and watchers; single-threaded, never waits.

    Revision 1 is the empty store's, so that a resourceVersion is never "0".
    """

    def __init__(self, retention: Retention | None = None, *, max_backlog: int = MAX_BACKLOG) -> None:
        self.retention = retention or Retention()
        self.revision = 1
        self.compacted = 0
        self.live: dict[str, Entry] = {}
        self.keys = SortedKeys()
        self.history: list[Event] = []
        self.hub = Hub(max_backlog)
        self._held = 0  # bytes of values that only the history keeps
        self._marks: deque[tuple[float, int]] = deque()  # (time, revision) at past calls of `expire`
        self._slack = max(64, self.retention.events // 16)

    def apply(self, events: Sequence[Event]) -> None:
        """Make one revision's events the present and tell the watchers."""
        live = self.live
        for _, key, entry, previous in events:
            if previous is None:
                self.keys.add(key)
            else:
                self._held += len(previous.value)
            if entry is not None:
                live[key] = entry
            else:
                del live[key]
                self.keys.remove(key)
        self.history.extend(events)
        self.revision = events[-1].revision
        self.hub.publish(events)

    def restore(self, live: dict[str, Entry], history: list[Event], revision: int, compacted: int) -> None:
        """Start from what an engine read from its disk: the present, the events that led to it, counters."""
        self.live = live
        self.keys = SortedKeys(live)
        self.history = history
        self._held = sum(len(event.previous.value) for event in self.history if event.previous is not None)
        self.revision, self.compacted = revision, compacted

    def range(self, start: str, end: str, revision: int, limit: int) -> Range:
        """See `Store.range`. In the past it costs a walk over the history since then."""
        if revision > self.revision:
            raise FutureRevision(self.revision)
        if 0 < revision < self.compacted:
            raise Compacted(self.compacted)
        then = self._differences(start, end, revision) if 0 < revision < self.revision else {}
        keys: Iterable[str] = self.keys.between(start, end)
        count = self.keys.count(start, end)
        live = self.live
        if then:
            gone = sorted(key for key, entry in then.items() if entry is not None and key not in live)
            count += len(gone) - sum(entry is None and key in live for key, entry in then.items())
            keys = (key for key in merge(keys, gone) if then.get(key, _ABSENT) is not None)
        picked = islice(keys, limit) if limit else keys
        entries = tuple(then.get(key) or live[key] for key in picked) if then else tuple(map(live.__getitem__, picked))
        return Range(entries, revision or self.revision, count, len(entries) < count)

    def _differences(self, start: str, end: str, revision: int) -> dict[str, Entry | None]:
        """For each key of the range written since `revision`: its entry as of then."""
        then: dict[str, Entry | None] = {}
        for event in reversed(self.history):
            if event.revision <= revision:
                break
            if start <= event.key < end:
                then[event.key] = event.previous
        return then

    def watch(self, prefix: str, after: int) -> Watcher:
        """A registered watcher with the history after `after` in its backlog; raises Compacted."""
        if after < self.compacted:
            raise Compacted(self.compacted)
        replay = islice(self.history, self._index(after), None) if after < self.revision else ()
        return self.hub.add(prefix, after, replay)

    def _index(self, revision: int) -> int:
        """How many events of the history are at or before a revision."""
        return bisect_right(self.history, revision, key=lambda event: event.revision)

    def overdue(self) -> int:
        """The revision to forget up to so that count and bytes are within bounds; 0 if they are."""
        history, keep = self.history, self.retention
        first = 0
        if len(history) > keep.events + self._slack:
            first = len(history) - keep.events
        if self._held > keep.bytes:
            held = self._held
            for at, event in enumerate(history):
                if held <= keep.bytes * 7 // 8:
                    break
                held -= len(event.previous.value) if event.previous is not None else 0
                first = max(first, at + 1)
        return history[first - 1].revision if first else 0

    def expire(self, now: float) -> int:
        """Mark the present with a time in seconds; the newest revision old enough to go, or 0."""
        self._marks.append((now, self.revision))
        old = 0
        while self._marks and self._marks[0][0] <= now - self.retention.seconds:
            old = self._marks.popleft()[1]
        return old if old > self.compacted else 0

    def stride(self, revision: int) -> int:
        """How far towards a revision one `compact` may go without holding up the loop."""
        if revision > self.revision:
            raise FutureRevision(self.revision)
        if self._index(revision) <= STRIDE:
            return revision
        # Never short of the first event, however many events share its revision.
        return max(self.history[STRIDE].revision - 1, self.history[0].revision)

    def compact(self, revision: int) -> list[tuple[int, str]]:
        """Forget history at or before a revision; (revision, key) of each record that nothing needs any more.

        Raises FutureRevision. A revision that was compacted before is nothing to do.
        """
        if revision > self.revision:
            raise FutureRevision(self.revision)
        if revision <= self.compacted:
            return []
        upto = self._index(revision)
        garbage: list[tuple[int, str]] = []
        for event in islice(self.history, upto):
            if event.previous is not None:
                self._held -= len(event.previous.value)
                garbage.append((event.previous.revision, event.key))
            if event.entry is None:
                garbage.append((event.revision, event.key))
        del self.history[:upto]
        self.compacted = revision
        return garbage
