"""The embedded store's file: a history of records on LMDB, in which an acknowledged batch is whole or not
there.

`embedded` begins a batch, puts and drops records, and commits it (in a thread: it waits for the disk); at
start it reads everything back with `load`. LMDB writes copies of pages and then, after a sync, the page that
names them, so a crash or power loss at any point leaves the last committed batch: there is nothing to repair.

The database `log` maps revision and position (8 and 4 bytes, big endian) to create revision (8 bytes, 0 for a
deletion), length of the key (4 bytes), key, value. The database `meta` holds the format and the revision
compacted to. The live entries are what is newest in the log; there is no second copy of them.
"""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from struct import Struct as Layout
from typing import NamedTuple

import lmdb

from kijabi.base.errors import ConfigError
from kijabi.store.interface import Entry, Event

# The largest that the file may grow, in bytes; address space, not memory.
MAX_FILE = 64 << 30
FORMAT = b"kijabi-1"

_ID = Layout(">QI")
_HEAD = Layout(">QI")
_COUNTER = Layout(">Q")


class Loaded(NamedTuple):
    """What the file holds. garbage: records that a compaction had not dropped yet, as (revision, key)."""

    entries: dict[str, Entry]
    history: list[Event]
    garbage: list[tuple[int, str]]
    revision: int
    compacted: int


class Journal:
    """One open file; used by one thread at a time. Raises `lmdb.Error` where the disk fails.

    The lifecycle: open → `load` once → any number of (`begin` → `put`, `drop`, `compacted` → `commit` or
    `abort`) → `close`. Opening raises ConfigError where another process has it open, or it is not ours.
    """

    def __init__(self, path: Path, *, max_bytes: int = MAX_FILE) -> None:
        self.path = path
        self._max_bytes = max_bytes
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _locked(path / "lock")
        try:
            self._open()
            self._identify()
        except lmdb.Error as error:
            os.close(self._lock)
            raise ConfigError(f"cannot open the store {path}: {error}") from error
        except BaseException:
            os.close(self._lock)
            raise
        self._batch: lmdb.Transaction | None = None

    def _open(self) -> None:
        # lock=False: `lock` keeps others out, and the batch may be committed by another thread than began it.
        # meminit stays on, so that no page takes other memory of this process, keys and all, to the disk.
        self._env = lmdb.open(
            str(self.path), map_size=self._max_bytes, max_dbs=2, mode=0o600, lock=False, max_spare_txns=0
        )
        # Memory beyond the end of a file that was cut cannot be read without dying of a signal: look before.
        needed = (self._env.info()["last_pgno"] + 1) * self._env.stat()["psize"]
        if needed > (self.path / "data.mdb").stat().st_size and self._env.info()["last_txnid"]:
            self._env.close()
            raise ConfigError(f"the store {self.path} is damaged: its file was cut short")
        self._log = self._env.open_db(b"log")
        self._meta = self._env.open_db(b"meta")

    def _identify(self) -> None:
        with self._env.begin(write=True) as txn:
            form = txn.get(b"format", db=self._meta)
            if form is None:
                txn.put(b"format", FORMAT, db=self._meta)
        if form not in (None, FORMAT):
            self._env.close()
            raise ConfigError(f"the store {self.path} has the format {form!r}; this version reads {FORMAT!r}")
        if form is None:
            _sync_directory(self.path)
            _sync_directory(self.path.parent)

    def load(self) -> Loaded:
        """Read everything.

        The file is then mapped anew, for the pages that were read count as this process's memory as long as
        they are mapped.
        """
        enabled = gc.isenabled()
        gc.disable()  # Hundreds of thousands of new objects and no garbage among them.
        try:
            loaded = self._read()
        finally:
            if enabled:
                gc.enable()
        self._env.close()
        self._open()
        return loaded

    def _read(self) -> Loaded:
        live: dict[str, Entry] = {}
        history: list[Event] = []
        garbage: list[tuple[int, str]] = []
        head, start = _HEAD.unpack_from, _HEAD.size
        with self._env.begin(buffers=True) as txn:
            mark = txn.get(b"compacted", db=self._meta)
            compacted = revision = _COUNTER.unpack(mark)[0] if mark is not None else 0
            for number, record in txn.cursor(self._log):
                revision = _ID.unpack(number)[0]
                created, length = head(record)
                key = str(record[start : start + length], "utf-8")
                previous = live.get(key)
                entry = Entry(key, bytes(record[start + length :]), created, revision) if created else None
                if revision > compacted:
                    history.append(Event(revision, key, entry, previous))
                else:
                    if previous is not None:
                        garbage.append((previous.revision, key))
                    if entry is None:
                        garbage.append((revision, key))
                if entry is not None:
                    live[key] = entry
                else:
                    live.pop(key, None)
        return Loaded(live, history, garbage, max(revision, compacted, 1), compacted)

    def begin(self) -> None:
        """Begin a batch; there is one at a time."""
        self._batch = self._env.begin(write=True)

    def put(self, events: Sequence[Event]) -> None:
        """Add the events of one revision, which is above all others."""
        assert self._batch is not None
        for at, (revision, key, entry, _) in enumerate(events):
            name = key.encode()
            if entry is not None:
                record = _HEAD.pack(entry.create_revision, len(name)) + name + entry.value
            else:
                record = _HEAD.pack(0, len(name)) + name
            self._batch.put(_ID.pack(revision, at), record, db=self._log, append=True)

    def drop(self, garbage: Iterable[tuple[int, str]], compacted: int) -> None:
        """Remove records that nothing needs after a compaction to this revision."""
        assert self._batch is not None
        self._batch.put(b"compacted", _COUNTER.pack(compacted), db=self._meta)
        cursor = self._batch.cursor(self._log)
        for revision, key in garbage:
            found = cursor.set_range(_ID.pack(revision, 0))
            while found and _ID.unpack(cursor.key())[0] == revision:
                record = cursor.value()
                length = _HEAD.unpack_from(record)[1]
                if record[_HEAD.size : _HEAD.size + length] == key.encode():
                    cursor.delete()
                    break
                found = cursor.next()
        cursor.close()

    def commit(self) -> None:
        """Make the batch durable; waits for the disk. Any thread may call it."""
        batch, self._batch = self._batch, None
        assert batch is not None
        batch.commit()

    def abort(self) -> None:
        """Undo what the batch did so far."""
        batch, self._batch = self._batch, None
        if batch is not None:
            batch.abort()

    def close(self) -> None:
        """Release the file and let others open it."""
        self.abort()
        self._env.close()
        os.close(self._lock)


def _locked(path: Path) -> int:
    """Lock a file for this process and write its id there; the kernel unlocks it however the process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise ConfigError(f"the store {path.parent} is in use by process {holder}") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _sync_directory(path: Path) -> None:
    """Make the names in a directory survive power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
