"""A store whose every write is looked at, at once and in order: the ground that the checkers stand on.

`WatchedStore` goes between the API server and any store whose reads do not wait (the memory store). After each
write it decodes what changed, enters it in a `Ledger` of all present objects, and calls every checker; a broken rule
is raised as `Violation` with seed, time and the history of the object, and remembered, so that the simulation fails
even where the raise was caught. The digest of all writes is what "a seed replays" means.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, TypeVar

from kijabi.api import catalog, codec
from kijabi.api.meta import ObjectMeta, OwnerReference
from kijabi.api.resource import Resource
from kijabi.apiserver.routes import is_stored
from kijabi.base import clock, rand
from kijabi.store.interface import Entry, Event, Guard, Op, Range, Store, Txn

T = TypeVar("T")

# Who makes the request that is being handled; `direct` says it.
ACTOR: ContextVar[str] = ContextVar("ACTOR", default="the API server itself")
# What is said of whoever had given the request up before it came (`faults`).
LATE: ContextVar[str] = ContextVar("LATE", default="")
GIVEN_UP = " (late)"
# Writes remembered of each object, for the report of a violation, and of objects that are gone.
REMEMBERED = 12
ROOT = "/registry/"


class Violation(AssertionError):
    """A safety rule was broken; the text says which, when, by whom, and what happened to the object before."""


class Change(NamedTuple):
    """One write of one object. old is None when it is created, new when it is deleted. time: virtual seconds."""

    revision: int
    time: float
    actor: str
    resource: Resource
    key: str
    old: Any
    new: Any

    @property
    def obj(self) -> Any:
        """The object, as it is now or was last."""
        return self.new if self.new is not None else self.old

    @property
    def time_of_day(self) -> float:
        """When it was, by a clock that is right: seconds since the epoch."""
        return clock.wall() - clock.monotonic() + self.time

    @property
    def late(self) -> bool:
        """Whether its client had given it up before it came."""
        return self.actor.endswith(GIVEN_UP)

    def __str__(self) -> str:
        verb = "create" if self.old is None else "delete" if self.new is None else "update"
        meta = self.obj.metadata
        extra = f" {codec.encode(self.new).decode()[:1500]}" if self.new is not None else ""
        return f"{self.time:10.3f} s  rv {self.revision}  {verb} by {self.actor}: {meta.uid}{extra}"


class Ledger:
    """All present objects, and what is remembered of those that were."""

    def __init__(self) -> None:
        self.objects: dict[type[Any], dict[str, Any]] = {}
        self.uids: dict[str, tuple[str, str, str]] = {}  # every uid there ever was: kind, namespace, name
        self.born: dict[str, Change] = {}  # how each was made
        self.late: set[str] = set()  # uids of what came when nobody expected it any more
        self.recent: dict[str, deque[Change]] = {}
        self._owned: dict[tuple[type[Any], str], dict[str, Any]] = {}

    def enter(self, change: Change) -> None:
        """Take a write in."""
        cls = change.resource.type
        there = self.objects.setdefault(cls, {})
        if change.old is not None and (owner := controller(change.old.metadata)) is not None:
            self._owned[cls, owner.uid].pop(change.key, None)
        if change.new is None:
            there.pop(change.key, None)
        else:
            meta = change.new.metadata
            there[change.key] = change.new
            if (owner := controller(meta)) is not None:
                self._owned.setdefault((cls, owner.uid), {})[change.key] = change.new
            if change.old is None:
                self.uids[meta.uid] = (change.resource.kind, meta.namespace, meta.name)
                self.born[meta.uid] = change
                if change.late:
                    self.late.add(meta.uid)
        where = f"{change.resource.qualified} {change.key}"
        self.recent.setdefault(where, deque(maxlen=REMEMBERED)).append(change)

    def of(self, cls: type[T]) -> Iterable[T]:
        """The present objects of a type."""
        return self.objects.get(cls, {}).values()

    def owned(self, cls: type[T], uid: str) -> Iterable[T]:
        """The present objects of a type that something controls."""
        return self._owned.get((cls, uid), {}).values()

    def get(self, cls: type[T], name: str, namespace: str = "") -> T | None:
        """A present object."""
        found: T | None = self.objects.get(cls, {}).get(f"{namespace}/{name}" if namespace else name)
        return found

    def owner(self, cls: type[T], obj: Any) -> T | None:
        """The present object of a type that controls this one."""
        ref = controller(obj.metadata)
        found: Any = self.get(cls, ref.name, obj.metadata.namespace) if ref is not None else None
        return found if found is not None and ref is not None and found.metadata.uid == ref.uid else None

    def forms(self, resource: str, obj: Any) -> list[Any]:
        """What an object has been lately, the latest last: a cache that lags shows one of them."""
        meta = obj.metadata
        before = self.recent[f"{resource} {meta.namespace}/{meta.name}"]
        return [one.new for one in before if one.new is not None and one.new.metadata.uid == meta.uid]

    def everything(self) -> Iterator[tuple[str, Any]]:
        """Every present object, with its kind."""
        for objects in self.objects.values():
            for obj in objects.values():
                yield self.uids[obj.metadata.uid][0], obj


def controller(meta: ObjectMeta) -> OwnerReference | None:
    """The owner that manages the object, if it has one."""
    return next((ref for ref in meta.ownerReferences if ref.controller), None)


class Checker(Protocol):
    """A rule that must hold after every write. The docstring of a checker says the rule and its source."""

    def check(self, change: Change, ledger: Ledger) -> str | None:
        """What is wrong with this write, which the ledger shows already; None if nothing is."""
        ...


class WatchedStore:
    """A `Store` that checks each write. checkers: the rules. slow: writes, and the news of them, may take so many
    seconds at most, by chance, as on a disk; 0: no time."""

    def __init__(self, inner: Store, checkers: Sequence[Checker] = (), *, slow: float = 0.0, seed: int = 0) -> None:
        self.inner = inner
        self.checkers = checkers
        self.slow = slow
        self.seed = seed
        self.ledger = Ledger()
        self.violations: list[Violation] = []
        self.writes = 0
        self.trace: list[str] | None = None
        self._digest = hashlib.sha256()
        kinds = (resource for resource in catalog.RESOURCES if is_stored(resource))
        self._resources = {f"{ROOT}{one.group or 'core'}/{one.plural}/": one for one in kinds}

    @property
    def digest(self) -> str:
        """Of every write so far: equal digests are equal histories."""
        return self._digest.hexdigest()

    @property
    def revision(self) -> int:
        """See `Store`."""
        return self.inner.revision

    @property
    def compacted(self) -> int:
        """See `Store`."""
        return self.inner.compacted

    async def get(self, key: str) -> Entry | None:
        """See `Store`."""
        return await self.inner.get(key)

    async def range(self, start: str, end: str, *, revision: int = 0, limit: int = 0) -> Range:
        """See `Store`."""
        return await self.inner.range(start, end, revision=revision, limit=limit)

    async def txn(self, guards: Sequence[Guard], ops: Sequence[Op]) -> Txn:
        """See `Store`. Nothing waits between the look before, the write and the checks."""
        await self._wait()
        before = {op.key: await self.inner.get(op.key) for op in ops}
        revision = self.inner.revision
        done = await self.inner.txn(guards, ops)
        if done.ok and done.revision != revision:
            if done.revision != revision + 1:
                self.broken(f"the revision went from {revision} to {done.revision}: one write is one revision", None)
            for op in ops:
                self._look(op, before[op.key], done.revision)
        return done

    async def watch(self, prefix: str, after: int) -> AsyncIterator[tuple[Event, ...]]:
        """See `Store`."""
        async for batch in self.inner.watch(prefix, after):
            await self._wait()
            yield batch

    async def compact(self, revision: int) -> None:
        """See `Store`."""
        await self.inner.compact(revision)

    async def outdated(self, key: str) -> bool:
        """See `Store`."""
        return await self.inner.outdated(key)

    async def maintain(self) -> None:
        """See `Store`."""
        await self.inner.maintain()

    async def close(self) -> None:
        """See `Store`."""
        await self.inner.close()

    async def _wait(self) -> None:
        if self.slow and rand.rng().random() < 0.5:
            await asyncio.sleep(rand.rng().uniform(0, self.slow))

    def _look(self, op: Op, before: Entry | None, revision: int) -> None:
        if op.value is None and before is None:
            return
        self.writes += 1
        self._digest.update(f"{revision} {op.key} ".encode() + (op.value or b"-"))
        end = op.key.find("/", op.key.find("/", len(ROOT)) + 1) + 1
        resource = self._resources.get(op.key[:end])
        if resource is None:  # What the server keeps for itself, such as allocated addresses.
            return
        key = op.key[end:]
        old = self.ledger.objects.get(resource.type, {}).get(key) if before is not None else None
        new = codec.decode(resource.type, op.value) if op.value is not None else None
        change = Change(revision, clock.monotonic(), ACTOR.get(), resource, key, old, new)
        self.ledger.enter(change)
        if self.trace is not None:
            self.trace.append(f"{resource.qualified} {key} {change}")
        for checker in self.checkers:
            problem = checker.check(change, self.ledger)
            if problem is not None:
                self.broken(f"{type(checker).__name__}: {problem}", change)

    def broken(self, problem: str, change: Change | None = None) -> None:
        """Remember that a rule was broken, and raise Violation."""
        lines = [f"{problem}\nseed {self.seed}, {clock.monotonic():.3f} s"]
        if change is not None:
            where = f"{change.resource.qualified} {change.key}"
            lines.append(f"{where}, its last writes:")
            lines += map(str, self.ledger.recent[where])
        violation = Violation("\n".join(lines))
        self.violations.append(violation)
        raise violation
