"""The contract of `store/interface.py` as a pytest class: every engine passes it.

    class TestMemory(StoreSuite):
        async def open(self, retention=None, max_backlog=10_000):
            return MemoryStore(retention, max_backlog=max_backlog)

`store/model.py` is the same contract as a stateful property.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator

import pytest

from kijabi.store.interface import Compacted, Event, FutureRevision, Guard, Op, Store, StoreClosed, Txn
from kijabi.store.keys import prefix_end
from kijabi.store.timeline import Retention

PODS = "/registry/core/pods/"


async def put(store: Store, key: str, value: bytes = b"v") -> int:
    """Write without a guard; the revision."""
    done = await store.txn((), (Op(key, value),))
    assert done.ok
    return done.revision


async def delete(store: Store, key: str) -> int:
    """Delete without a guard; the revision."""
    done = await store.txn((), (Op(key, None),))
    assert done.ok
    return done.revision


async def take(watch: AsyncIterator[tuple[Event, ...]], count: int) -> list[Event]:
    """The next `count` events of a watch."""
    events: list[Event] = []
    async with asyncio.timeout(10):
        while len(events) < count:
            events += await anext(watch)
    assert len(events) == count
    return events


class StoreSuite:
    """Subclass it, say how to open an empty store, and pytest collects the contract."""

    @abstractmethod
    async def open(self, retention: Retention | None = None, max_backlog: int = 10_000) -> Store:
        """A new, empty store."""

    @pytest.fixture
    async def store(self) -> AsyncIterator[Store]:
        """An empty store, closed at the end."""
        store = await self.open()
        yield store
        await store.close()

    async def test_a_new_store_is_empty_at_revision_one(self, store: Store) -> None:
        assert store.revision == 1
        assert store.compacted == 0
        assert await store.get("/a") is None
        assert await store.range("", prefix_end("")) == ((), 1, 0, False)

    async def test_a_write_is_read_back(self, store: Store) -> None:
        first = await put(store, "/a", b"one")
        second = await put(store, "/a", b"two")
        assert (first, second) == (2, 3)
        assert store.revision == 3
        assert await store.get("/a") == ("/a", b"two", 2, 3)

    async def test_an_empty_value_is_a_value(self, store: Store) -> None:
        await put(store, "/a", b"")
        assert await store.get("/a") == ("/a", b"", 2, 2)

    async def test_a_key_created_again_starts_anew(self, store: Store) -> None:
        await put(store, "/a")
        await delete(store, "/a")
        assert await store.get("/a") is None
        assert await put(store, "/a") == 4
        entry = await store.get("/a")
        assert entry is not None
        assert entry.create_revision == 4

    async def test_deleting_nothing_writes_nothing(self, store: Store) -> None:
        assert await store.txn((), (Op("/a", None),)) == Txn(True, 1)
        assert await store.txn((), ()) == Txn(True, 1)
        assert store.revision == 1

    async def test_guards(self, store: Store) -> None:
        assert (await store.txn((Guard("/a", 0),), (Op("/a", b"1"),))).ok
        again = await store.txn((Guard("/a", 0),), (Op("/a", b"2"),))
        assert not again.ok
        assert again.current == (("/a", b"1", 2, 2),)
        stale = await store.txn((Guard("/a", 1), Guard("/b", 0)), (Op("/a", b"2"),))
        assert not stale.ok
        assert stale.current == (("/a", b"1", 2, 2), None)
        assert (await store.txn((Guard("/a", 2), Guard("/b", 0)), (Op("/a", b"2"),))).ok
        missing = await store.txn((Guard("/b", 7),), (Op("/b", None),))
        assert missing == Txn(False, 3, (None,))
        assert store.revision == 3

    async def test_of_racing_writers_one_wins(self, store: Store) -> None:
        await put(store, "/a", b"0")
        guard = (Guard("/a", store.revision),)
        values = [str(i).encode() for i in range(20)]
        done = await asyncio.gather(*(store.txn(guard, (Op("/a", value),)) for value in values))
        assert sum(txn.ok for txn in done) == 1
        entry = await store.get("/a")
        assert entry is not None
        assert entry.revision == 3
        assert all(txn.current == (entry,) for txn in done if not txn.ok)

    async def test_a_transaction_is_one_revision(self, store: Store) -> None:
        await put(store, "/a")
        done = await store.txn((), (Op("/a", None), Op("/b", b"b"), Op("/c", b"c"), Op("/d", None)))
        assert done == Txn(True, 3)
        assert (await store.range("/", "0")).entries == (("/b", b"b", 3, 3), ("/c", b"c", 3, 3))
        events = await take(store.watch("/", 2), 3)
        assert [(event.revision, event.key, event.entry is None) for event in events] == [
            (3, "/a", True),
            (3, "/b", False),
            (3, "/c", False),
        ]

    async def test_a_transaction_writes_a_key_once(self, store: Store) -> None:
        with pytest.raises(ValueError, match="once"):
            await store.txn((), (Op("/a", b"1"), Op("/a", b"2")))
        assert store.revision == 1

    async def test_ranges_are_ordered_half_open_and_limited(self, store: Store) -> None:
        for key in ("/b/2", "/a/1", "/b/1", "/c/1", "/b/é", "/b/10"):
            await put(store, key)
        found = await store.range("/b/", prefix_end("/b/"))
        assert [entry.key for entry in found.entries] == ["/b/1", "/b/10", "/b/2", "/b/é"]
        assert (found.revision, found.count, found.more) == (7, 4, False)
        page = await store.range("/b/", prefix_end("/b/"), limit=3)
        assert [entry.key for entry in page.entries] == ["/b/1", "/b/10", "/b/2"]
        assert (page.count, page.more) == (4, True)
        rest = await store.range("/b/2\0", prefix_end("/b/"), limit=3)
        assert [entry.key for entry in rest.entries] == ["/b/é"]
        assert (rest.count, rest.more) == (1, False)
        assert (await store.range("/b/1", "/b/1")).entries == ()
        assert (await store.range("/c", "/a")).count == 0

    async def test_many_keys_stay_ordered(self, store: Store) -> None:
        names = [f"{PODS}{(i * 7919) % 3001:05}" for i in range(3001)]
        await asyncio.gather(*(put(store, name) for name in names))
        await asyncio.gather(*(delete(store, name) for name in names[::3]))
        kept = sorted(set(names) - set(names[::3]))
        found = await store.range(PODS, prefix_end(PODS))
        assert [entry.key for entry in found.entries] == kept
        page = await store.range(kept[700], kept[1900], limit=10)
        assert [entry.key for entry in page.entries] == kept[700:710]
        assert page.count == 1200

    async def test_ranges_in_the_past(self, store: Store) -> None:
        await put(store, "/a", b"1")
        await put(store, "/b", b"2")
        await put(store, "/a", b"3")
        await delete(store, "/b")
        await put(store, "/c", b"4")
        expected = {
            1: [],
            2: [b"1"],
            3: [b"1", b"2"],
            4: [b"3", b"2"],
            5: [b"3"],
            6: [b"3", b"4"],
        }
        for revision, values in expected.items():
            then = await store.range("/", "0", revision=revision)
            assert [entry.value for entry in then.entries] == values
            assert (then.revision, then.count, then.more) == (revision, len(values), False)
        page = await store.range("/", "0", revision=3, limit=1)
        assert (page.entries, page.count, page.more) == ((("/a", b"1", 2, 2),), 2, True)
        with pytest.raises(FutureRevision) as caught:
            await store.range("/", "0", revision=7)
        assert caught.value.current == 6

    async def test_a_watch_replays_then_follows(self, store: Store) -> None:
        await put(store, "/a/1", b"1")
        await put(store, "/b/1", b"x")
        await put(store, "/a/1", b"2")
        watch = store.watch("/a/", 2)
        assert await take(watch, 1) == [(4, "/a/1", ("/a/1", b"2", 2, 4), ("/a/1", b"1", 2, 2))]
        await put(store, "/b/2")
        await delete(store, "/a/1")
        assert await take(watch, 1) == [(6, "/a/1", None, ("/a/1", b"2", 2, 4))]

    async def test_a_waiting_watch_is_woken(self, store: Store) -> None:
        watch = store.watch(PODS, store.revision)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(take(watch, 1))
            await asyncio.sleep(0)
            await put(store, PODS + "default/a")
        assert waiting.result()[0].key == PODS + "default/a"

    async def test_a_watch_from_the_future_waits_for_it(self, store: Store) -> None:
        watch = store.watch("/", 3)
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(take(watch, 1))
            await asyncio.sleep(0)
            for _ in range(3):
                await put(store, "/a")
        assert waiting.result()[0].revision == 4

    async def test_watchers_see_the_same_order_without_gap(self, store: Store) -> None:
        prefixes = ["/", "/a", "/a/", "/a/1", "/b/", ""]
        watches = [store.watch(prefix, 1) for prefix in prefixes]
        await asyncio.gather(*(put(store, f"/{'ab'[i % 2]}/{i % 5}") for i in range(100)))
        everything = await take(watches[0], 100)
        assert [event.revision for event in everything] == list(range(2, 102))
        for prefix, watch in list(zip(prefixes, watches, strict=True))[1:]:
            expected = [event for event in everything if event.key.startswith(prefix)]
            assert await take(watch, len(expected)) == expected

    async def test_a_slow_watcher_is_cut_and_writers_go_on(self) -> None:
        store = await self.open(max_backlog=10)
        watch = store.watch("/", 1)
        first = await self._started(store, watch)
        for _ in range(11):
            await put(store, "/a")
        with pytest.raises(Compacted):
            await take(watch, 12)
        assert first.revision == 2
        await store.close()

    async def _started(self, store: Store, watch: AsyncIterator[tuple[Event, ...]]) -> Event:
        """Make sure that the watch is under way: its first event."""
        await put(store, "/a")
        return (await take(watch, 1))[0]

    async def test_compaction_forgets_the_past_only(self, store: Store) -> None:
        for i in range(5):
            await put(store, "/a", str(i).encode())
        await put(store, "/b")
        await delete(store, "/b")
        before = await store.range("/", "0")
        await store.compact(5)
        assert store.compacted == 5
        assert await store.range("/", "0") == before
        assert [entry.value for entry in (await store.range("/", "0", revision=5)).entries] == [b"3"]
        with pytest.raises(Compacted) as caught:
            await store.range("/", "0", revision=4)
        assert caught.value.revision == 5
        with pytest.raises(Compacted):
            await anext(store.watch("/", 4))
        assert [event.revision for event in await take(store.watch("/", 5), 3)] == [6, 7, 8]
        await store.compact(3)
        assert store.compacted == 5
        await store.compact(8)
        assert [entry.key for entry in (await store.range("/", "0", revision=8)).entries] == ["/a"]
        with pytest.raises(FutureRevision):
            await store.compact(9)

    async def test_compaction_leaves_a_running_watch_whole(self, store: Store) -> None:
        watch = store.watch("/", 1)
        await self._started(store, watch)
        for _ in range(5):
            await put(store, "/a")
        await store.compact(store.revision)
        assert [event.revision for event in await take(watch, 5)] == [3, 4, 5, 6, 7]

    async def test_history_is_bounded_by_count(self) -> None:
        store = await self.open(Retention(events=100))
        for _ in range(10):
            await asyncio.gather(*(put(store, f"/{i % 7}") for i in range(100)))
        assert store.revision == 1001
        assert 1001 - 200 <= store.compacted <= 901
        assert len((await store.range("/", "0", revision=store.compacted)).entries) == 7
        await store.close()

    async def test_history_is_bounded_by_bytes(self) -> None:
        store = await self.open(Retention(bytes=10_000))
        for _ in range(100):
            await put(store, "/a", bytes(1000))
        assert store.revision - store.compacted <= 11
        await store.close()

    async def test_history_is_bounded_by_age(self) -> None:
        store = await self.open(Retention(seconds=0.0))
        await put(store, "/a")
        await store.maintain()
        assert store.compacted in (0, 2)
        await put(store, "/a")
        await store.maintain()
        assert store.compacted >= 2
        await store.close()

    async def test_closing_ends_watches_and_refuses_all(self, store: Store) -> None:
        watch = store.watch("/", 1)
        await self._started(store, watch)
        await put(store, "/last")
        await store.close()
        assert [event.key for event in await take(watch, 1)] == ["/last"]
        with pytest.raises(StopAsyncIteration):
            await anext(watch)
        with pytest.raises(StoreClosed):
            await put(store, "/a")
        with pytest.raises(StoreClosed):
            await store.get("/a")
        with pytest.raises(StoreClosed):
            await anext(store.watch("/", 1))
        await store.close()

    async def test_closing_finishes_pending_writes(self, store: Store) -> None:
        async with asyncio.TaskGroup() as tasks:
            writes = [tasks.create_task(put(store, f"/{i}")) for i in range(50)]
            await asyncio.sleep(0)
            await store.close()
        assert sorted(write.result() for write in writes) == list(range(2, 52))

    async def test_a_writer_that_gives_up_harms_nobody(self, store: Store) -> None:
        async with asyncio.TaskGroup() as tasks:
            gone = tasks.create_task(put(store, "/a", b"1"))
            await asyncio.sleep(0)
            gone.cancel()
            await put(store, "/b")
        assert await put(store, "/a", b"2") >= 3
