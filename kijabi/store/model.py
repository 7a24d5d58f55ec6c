"""The contract as a stateful property: any store must agree with a dictionary plus a log.

Hypothesis makes up writes, guards, ranges in the past, watches, compactions and restarts; `StoreMachine`
checks each against the simplest store there could be. Subclass it, say how to open a store, and hand
`TestCase` to pytest:

    class MemoryMachine(StoreMachine):
        def open(self):
            return MemoryStore()

    TestMemoryModel = MemoryMachine.TestCase
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kijabi.store.interface import Compacted, Entry, Event, FutureRevision, Guard, Op, Store, Txn
from kijabi.store.keys import prefix_end

T = TypeVar("T")

KEYS = st.sampled_from(["/a/1", "/a/2", "/b/1", "/b/1/x", "/c"])
PREFIXES = st.sampled_from(["/", "/a/", "/b/1", "/c", "/none"])
VALUES = st.binary(max_size=3)
WRITES = st.dictionaries(KEYS, st.none() | VALUES, min_size=1, max_size=3)


class Model:
    """The simplest store: every state there ever was, and every event."""

    def __init__(self) -> None:
        self.states: dict[int, dict[str, Entry]] = {1: {}}
        self.log: list[Event] = []
        self.revision = 1
        self.compacted = 0

    @property
    def now(self) -> dict[str, Entry]:
        """The present."""
        return self.states[self.revision]

    def write(self, writes: dict[str, bytes | None]) -> int:
        """Apply writes at one revision; the revision."""
        state, revision = dict(self.now), self.revision + 1
        events = []
        for key, value in writes.items():
            previous = state.pop(key, None)
            if value is not None:
                created = previous.create_revision if previous else revision
                state[key] = Entry(key, value, created, revision)
            if value is not None or previous is not None:
                events.append(Event(revision, key, state.get(key), previous))
        if events:
            self.log += events
            self.revision = revision
            self.states[revision] = state
        return self.revision


class StoreMachine(RuleBasedStateMachine):
    """Does to a store and to a `Model` the same. `durable`: whether a store opened again has it all still."""

    durable = False

    @abstractmethod
    def open(self) -> Store:
        """The store: empty at first; a durable one opens the same data each time."""

    @initialize()
    def start(self) -> None:
        """Open an empty store."""
        self.runner = asyncio.Runner()
        self.model = Model()
        self.store = self.open()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one operation to its end."""
        return self.runner.run(work)

    def teardown(self) -> None:
        """Close the store."""
        if hasattr(self, "store"):
            self.run(self.store.close())
            self.runner.close()

    @rule(writes=WRITES)
    def write(self, writes: dict[str, bytes | None]) -> None:
        """An unguarded transaction."""
        done = self.run(self.store.txn((), [Op(key, value) for key, value in writes.items()]))
        assert done == Txn(True, self.model.write(writes))

    @rule(writes=WRITES, off=st.sampled_from([0, 0, 1, -1]), guarded=KEYS)
    def guard(self, writes: dict[str, bytes | None], off: int, guarded: str) -> None:
        """A transaction guarded by a right or a wrong revision."""
        entry = self.model.now.get(guarded)
        expected = (entry.revision if entry else 0) + off
        done = self.run(self.store.txn((Guard(guarded, expected),), [Op(key, value) for key, value in writes.items()]))
        if off:
            assert done == Txn(False, self.model.revision, (entry,))
        else:
            assert done == Txn(True, self.model.write(writes))

    @rule(many=st.lists(WRITES, min_size=2, max_size=6))
    def write_at_once(self, many: list[dict[str, bytes | None]]) -> None:
        """Transactions that run at the same time take their revisions in the order in which they began."""

        async def all_of_them() -> list[Txn]:
            return await asyncio.gather(
                *(self.store.txn((), [Op(key, value) for key, value in one.items()]) for one in many)
            )

        done = self.run(all_of_them())
        for txn, one in zip(done, many, strict=True):
            before = self.model.revision
            assert txn.ok
            after = self.model.write(one)
            if after > before:
                assert txn.revision == after

    @rule(prefix=PREFIXES, back=st.integers(-1, 30), limit=st.integers(0, 3))
    def range(self, prefix: str, back: int, limit: int) -> None:
        """A range at a revision."""
        revision = max(1, self.model.revision - back)
        work = self.store.range(prefix, prefix_end(prefix), revision=revision, limit=limit)
        if revision > self.model.revision:
            self._raises(FutureRevision, work)
        elif revision < self.model.compacted:
            self._raises(Compacted, work)
        else:
            state = self.model.states[revision]
            expected = [state[key] for key in sorted(state) if key.startswith(prefix)]
            found = self.run(work)
            assert list(found.entries) == (expected[:limit] if limit else expected)
            assert (found.revision, found.count) == (revision, len(expected))
            assert found.more == (len(found.entries) < len(expected))

    @rule(prefix=PREFIXES, back=st.integers(0, 30))
    def list_and_watch(self, prefix: str, back: int) -> None:
        """The list at R plus the events after R is the list now."""
        after = max(1, self.model.revision - back)
        if after < self.model.compacted:
            self._raises(Compacted, anext(self.store.watch(prefix, after)))
            return
        expected = [event for event in self.model.log if event.revision > after and event.key.startswith(prefix)]
        state = {entry.key: entry for entry in self._list(prefix, after)}
        for event in self.run(self._events(prefix, after, len(expected))):
            assert event == expected.pop(0)
            assert state.pop(event.key, None) == event.previous
            if event.entry is not None:
                state[event.key] = event.entry
        assert not expected
        assert sorted(state.values()) == self._list(prefix, 0)

    @rule(back=st.integers(0, 10))
    def compact(self, back: int) -> None:
        """Forget the past up to a revision."""
        revision = max(1, self.model.revision - back)
        self.run(self.store.compact(revision))
        self.model.compacted = max(self.model.compacted, revision)

    @precondition(lambda self: self.durable)
    @rule()
    def reopen(self) -> None:
        """Close it and open it again."""
        self.run(self.store.close())
        self.store = self.open()

    @invariant()
    def agrees(self) -> None:
        """The counters and the present are the model's."""
        if not hasattr(self, "store"):
            return
        assert self.store.revision == self.model.revision
        assert self.store.compacted == self.model.compacted
        assert self._list("/", 0) == sorted(self.model.now.values())

    def _list(self, prefix: str, revision: int) -> list[Entry]:
        return list(self.run(self.store.range(prefix, prefix_end(prefix), revision=revision)).entries)

    async def _events(self, prefix: str, after: int, count: int) -> list[Event]:
        found: list[Event] = []
        watch: Any = self.store.watch(prefix, after)
        async with aclosing(watch), asyncio.timeout(5):
            while len(found) < count:
                found += await anext(watch)
        return found

    def _raises(self, kind: type[Exception], work: Any) -> None:
        async def raised() -> bool:
            try:
                await work
            except kind:
                return True
            return False

        assert self.run(raised())
