"""The work queue: once pending, one worker a key, delays, back-off, and no lost wake-up."""

from __future__ import annotations

import asyncio

import pytest

from kijabi.client.queue import WorkQueue
from kijabi.testing import simloop


def test_a_key_is_pending_once() -> None:
    async def main() -> None:
        queue = WorkQueue()
        for key in ("a", "b", "a", "a"):
            queue.add(key)
        assert len(queue) == 2
        assert [await queue.get(), await queue.get()] == ["a", "b"]
        assert len(queue) == 0

    simloop.run(main())


def test_a_key_has_one_worker_and_comes_back_if_added_meanwhile() -> None:
    async def main() -> None:
        queue = WorkQueue()
        queue.add("a")
        key = await queue.get()
        queue.add("a")
        queue.add("a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await queue.get()
        queue.done(key)
        assert await queue.get() == "a"
        queue.done("a")
        assert len(queue) == 0

    simloop.run(main())


def test_delays_keep_the_earliest_time() -> None:
    async def main() -> None:
        queue = WorkQueue()
        clock = asyncio.get_running_loop().time
        queue.add_after("a", 10)
        queue.add_after("a", 5)
        queue.add_after("a", 20)
        queue.add_after("now", 0)
        assert queue.waiting == 1
        assert await queue.get() == "now"
        assert await queue.get() == "a"
        assert clock() == 5.0
        assert queue.waiting == 0

    simloop.run(main())


def test_backoff_doubles_until_forgotten() -> None:
    async def main() -> None:
        queue = WorkQueue(first_backoff=1.0, most_backoff=5.0)
        clock = asyncio.get_running_loop().time
        waits = []
        for _ in range(5):
            before = clock()
            queue.add_backoff("a")
            queue.done(await queue.get())
            waits.append(clock() - before)
        for wait, least in zip(waits, (1, 2, 4, 5, 5), strict=True):
            assert least <= wait <= least * 1.1
        assert queue.failures("a") == 5
        queue.forget("a")
        before = clock()
        queue.add_backoff("a")
        await queue.get()
        assert clock() - before < 1.2

    simloop.run(main())


def test_a_cancelled_worker_passes_its_wake_up_on() -> None:
    async def main() -> None:
        queue = WorkQueue()
        async with asyncio.TaskGroup() as group:
            first = group.create_task(queue.get())
            second = group.create_task(queue.get())
            await asyncio.sleep(1)
            queue.add("a")  # wakes the first …
            first.cancel()  # … which cannot come
        assert second.result() == "a"

    simloop.run(main())


def test_many_workers_never_share_a_key() -> None:
    async def main() -> int:
        loop: simloop.SimLoop = asyncio.get_running_loop()  # type: ignore[assignment]
        queue = WorkQueue()
        busy: set[str] = set()
        worked = 0

        async def worker() -> None:
            nonlocal worked
            while True:
                key = await queue.get()
                assert key not in busy
                busy.add(key)
                await asyncio.sleep(loop.rng.random())
                busy.discard(key)
                queue.done(key)
                worked += 1

        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(worker()) for _ in range(5)]
            for _ in range(300):
                queue.add(f"key-{loop.rng.randrange(10)}")
                await asyncio.sleep(loop.rng.random() * 0.1)
            await asyncio.sleep(60)
            assert len(queue) == 0
            assert not busy
            for task in workers:
                task.cancel()
        return worked

    assert simloop.run(main(), 5) == simloop.run(main(), 5) > 50
