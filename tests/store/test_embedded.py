"""The embedded engine passes the contract, survives what kills it and refuses what it cannot use."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import lmdb
import pytest
import uvloop

from kijabi.base.errors import ConfigError
from kijabi.store import embedded
from kijabi.store.embedded import EmbeddedStore
from kijabi.store.interface import Compacted, Event, Guard, Op, Store, StoreClosed
from kijabi.store.journal import Journal
from kijabi.store.suite import StoreSuite, delete, put
from kijabi.store.timeline import Retention


class TestEmbeddedStore(StoreSuite):
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.path = tmp_path / "store"

    async def open(self, retention: Retention | None = None, max_backlog: int = 10_000) -> Store:
        return EmbeddedStore.open(self.path, retention, max_backlog=max_backlog)


class SlowDisk(Journal):
    """A journal whose disk takes its time; `commits` counts batches."""

    seconds = 0.1
    commits = 0

    def commit(self) -> None:
        time.sleep(self.seconds)
        self.commits += 1
        super().commit()


class BrokenDisk(Journal):
    """A journal whose disk fails after some commits."""

    good = 2

    def commit(self) -> None:
        if self.good <= 0:
            raise lmdb.DiskError("Input/output error")
        self.good -= 1
        super().commit()


def opened(journal: Journal) -> EmbeddedStore:
    return EmbeddedStore(journal, journal.load(), None, 10_000)


async def test_it_is_all_there_after_opening_again(tmp_path: Path) -> None:
    store = EmbeddedStore.open(tmp_path)
    for value in (b"1", b"2", b"3"):
        await put(store, "/a", value)
    await put(store, "/b")
    await delete(store, "/b")
    await store.compact(3)
    before = await store.range("", "\U0010ffff")
    events = [event async for event in take(store, "/", 3, 3)]
    await store.close()
    again = EmbeddedStore.open(tmp_path)
    assert (again.revision, again.compacted) == (6, 3)
    assert await again.range("", "\U0010ffff") == before
    assert [event async for event in take(again, "/", 3, 3)] == events
    with pytest.raises(Compacted):
        await again.range("/", "0", revision=2)
    assert await put(again, "/c") == 7
    await again.close()


async def take(store: Store, prefix: str, after: int, count: int) -> AsyncIterator[Event]:
    found = 0
    async for batch in store.watch(prefix, after):
        for event in batch:
            yield event
            found += 1
        if found >= count:
            return


async def test_a_revision_is_never_given_twice(tmp_path: Path) -> None:
    """Also when the newest record was a deletion and compaction has removed it."""
    store = EmbeddedStore.open(tmp_path)
    await put(store, "/a")
    await delete(store, "/a")
    await store.compact(3)
    await store.close()
    again = EmbeddedStore.open(tmp_path)
    assert again.revision == 3
    await again.close()


async def test_compaction_frees_the_file(tmp_path: Path) -> None:
    store = EmbeddedStore.open(tmp_path, Retention(events=50))
    for _ in range(400):
        await put(store, "/a", bytes(50_000))
    await store.compact(store.revision)
    await store.close()
    # 20 MB were written to one key; pages are used again.
    assert (tmp_path / "data.mdb").stat().st_size < 10_000_000
    loaded = Journal(tmp_path)
    assert (len(loaded.load().entries), loaded.load().history, loaded.load().garbage) == (1, [], [])
    loaded.close()


async def test_a_second_opener_is_told_who_has_it(tmp_path: Path) -> None:
    store = EmbeddedStore.open(tmp_path)
    with pytest.raises(ConfigError, match=f"in use by process {os.getpid()}$"):
        EmbeddedStore.open(tmp_path)
    code = "import sys; from kijabi.store.embedded import EmbeddedStore; EmbeddedStore.open(sys.argv[1])"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(tmp_path), stderr=asyncio.subprocess.PIPE
    )
    _, said = await other.communicate()
    assert other.returncode == 1
    assert f"in use by process {os.getpid()}" in said.decode()
    await store.close()
    await EmbeddedStore.open(tmp_path).close()


async def test_another_format_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with journal._env.begin(write=True) as txn:
        txn.put(b"format", b"kijabi-9", db=journal._meta)
    journal.close()
    with pytest.raises(ConfigError, match="kijabi-9"):
        EmbeddedStore.open(tmp_path)


async def test_the_loop_never_waits_for_the_disk_and_writers_share_it(tmp_path: Path) -> None:
    journal = SlowDisk(tmp_path)
    store = opened(journal)
    longest = 0.0
    async with asyncio.TaskGroup() as group:
        writes = [group.create_task(put(store, f"/{i}")) for i in range(100)]
        await asyncio.sleep(0.02)
        more = [group.create_task(put(store, f"/more/{i}")) for i in range(100)]
        while not all(write.done() for write in writes + more):
            before = time.monotonic()
            await asyncio.sleep(0.001)
            longest = max(longest, time.monotonic() - before)
            # Nothing is seen before it is durable.
            assert store.revision == (await store.range("", "\U0010ffff")).count + 1
    assert longest < 0.08
    assert journal.commits == 2
    await store.close()


async def test_a_refusal_waits_for_the_write_that_caused_it(tmp_path: Path) -> None:
    store = opened(SlowDisk(tmp_path))
    async with asyncio.TaskGroup() as group:
        group.create_task(put(store, "/a", b"1"))
        await asyncio.sleep(0.01)
        done = await store.txn((Guard("/a", 0),), (Op("/a", b"2"),))
        assert done == (False, 2, (("/a", b"1", 2, 2),))
        assert await store.get("/a") == ("/a", b"1", 2, 2)
    await store.close()


async def test_a_failing_disk_ends_it(tmp_path: Path) -> None:
    store = opened(BrokenDisk(tmp_path))
    await put(store, "/a")
    watch = store.watch("/", store.revision)
    await put(store, "/b")
    assert len(await anext(watch)) == 1
    done = await asyncio.gather(*(put(store, f"/{i}") for i in range(5)), return_exceptions=True)
    assert all(isinstance(error, StoreClosed) and "Input/output error" in str(error) for error in done)
    with pytest.raises(StoreClosed, match="Input/output error"):
        await put(store, "/c")
    with pytest.raises(StopAsyncIteration):
        await anext(watch)
    await store.close()
    again = EmbeddedStore.open(tmp_path)
    assert [entry.key for entry in (await again.range("/", "0")).entries] == ["/a", "/b"]
    await again.close()


async def test_a_full_file_ends_it_and_what_was_acknowledged_stays(tmp_path: Path) -> None:
    store = EmbeddedStore.open(tmp_path, max_bytes=1 << 20)
    acknowledged = []
    with pytest.raises(StoreClosed, match="cannot write"):  # noqa: PT012
        for i in range(1000):
            acknowledged.append(await put(store, f"/{i}", bytes(10_000)))
    await store.close()
    again = EmbeddedStore.open(tmp_path)
    assert again.revision == acknowledged[-1]
    assert await put(again, "/more") == acknowledged[-1] + 1
    await again.close()


async def test_a_flood_waits_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "MAX_PENDING", 10)
    store = EmbeddedStore.open(tmp_path)
    revisions = await asyncio.gather(*(put(store, f"/{i}") for i in range(200)))
    assert sorted(revisions) == list(range(2, 202))
    await store.close()


async def test_a_store_that_nobody_uses_closes(tmp_path: Path) -> None:
    store = EmbeddedStore.open(tmp_path)
    await store.close()
    await store.close()


def test_it_runs_on_uvloop(tmp_path: Path) -> None:
    async def main() -> None:
        store = EmbeddedStore.open(tmp_path)
        assert sorted(await asyncio.gather(*(put(store, f"/{i}") for i in range(100)))) == list(range(2, 102))
        await store.close()

    uvloop.run(main())
