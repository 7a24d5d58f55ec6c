"""What a store promises: one ordered history of guarded writes over byte values.

The API server's registry writes here and its watch cache reads from here; nobody else does. The model is
etcd's (v3 API, `rpc.proto`): one revision counter for the whole store, a write guarded by the revision last
seen, ranges at a revision, watches from a revision, and compaction of history.

The lifecycle: `open` → any number of `range`, `txn`, `watch`, `compact` from one event loop → `close`. An
acknowledged `txn` survives kill -9 and power loss in every implementation that says it is durable.
`store/suite.py` is the contract as tests; `memory`, `embedded` and `etcd` pass it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from kijabi.base.errors import KijabiError


class Compacted(KijabiError):
    """The revision asked for is older than what is kept; `revision` is the oldest that still can be read."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"required revision has been compacted: {revision}")
        self.revision = revision


class FutureRevision(KijabiError):
    """The revision asked for has not happened yet; `current` is the newest."""

    def __init__(self, current: int) -> None:
        super().__init__(f"required revision is a future revision: {current}")
        self.current = current


class StoreClosed(KijabiError):
    """The store was closed, or its disk failed: no further write can be acknowledged."""


class Entry(NamedTuple):
    """A live key: created at `create_revision`, last written at `revision`."""

    key: str
    value: bytes
    create_revision: int
    revision: int


class Range(NamedTuple):
    """Entries in key order as of `revision`; `count`: how many there are in all; `more`: a limit cut them."""

    entries: tuple[Entry, ...]
    revision: int
    count: int  # type: ignore[assignment]  # hides tuple.count
    more: bool


class Op(NamedTuple):
    """One write: put `value` under `key`, or delete the key where value is None."""

    key: str
    value: bytes | None


class Guard(NamedTuple):
    """The key's revision must be this; 0 means that the key must not exist."""

    key: str
    revision: int


class Txn(NamedTuple):
    """How a guarded write ended. `current`: the entries of the guarded keys, in order, if it failed."""

    ok: bool
    revision: int
    current: tuple[Entry | None, ...] = ()


class Event(NamedTuple):
    """One write as a watcher sees it: `entry` is None for a deletion; `previous` is what was there before."""

    revision: int
    key: str
    entry: Entry | None
    previous: Entry | None


class Store(Protocol):
    """One history of guarded writes; see the module docstring for the lifecycle."""

    @property
    def revision(self) -> int:
        """The newest acknowledged revision; 1 in a new store (an empty resourceVersion must not be 0)."""
        ...

    @property
    def compacted(self) -> int:
        """History up to and including this revision may be gone; 0 if nothing was compacted."""
        ...

    async def get(self, key: str) -> Entry | None:
        """The live entry of one key."""
        ...

    async def range(self, start: str, end: str, *, revision: int = 0, limit: int = 0) -> Range:
        """Entries with start <= key < end, at a revision (0: now).

        Raises Compacted or FutureRevision.
        """
        ...

    async def outdated(self, key: str) -> bool:
        """Whether the live value of a key would be written otherwise today, as one under an old encryption key."""
        ...

    async def txn(self, guards: Sequence[Guard], ops: Sequence[Op]) -> Txn:
        """Apply all of `ops` at one new revision if every guard holds, else nothing.

        A delete of a key that does not exist writes nothing. Returns after the write is durable.
        """
        ...

    def watch(self, prefix: str, after: int) -> AsyncIterator[tuple[Event, ...]]:
        """Batches of events under a prefix with revision > after, in order, without gap or repetition.

        Never blocks writers: a watcher more than a bounded number of events behind gets Compacted and must
        range again. Raises Compacted when `after` is older than the history kept. Ends when the store is
        closed.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget superseded values and deletions at or before a revision; live entries stay."""
        ...

    async def maintain(self) -> None:
        """Compact what the retention no longer asks for; the server calls it on a timer."""
        ...

    async def close(self) -> None:
        """Finish pending writes, end watches, release files. Every call after it raises StoreClosed."""
        ...
