"""The simulation's loop: time costs nothing, chance replays, deadlocks and threads are errors."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from kijabi.base import clock, rand
from kijabi.testing import simloop
from kijabi.testing.simloop import Deadlock, NoThreads, OutOfTime


def test_time_is_virtual_and_the_date_goes_with_it() -> None:
    async def main() -> None:
        assert clock.now().isoformat() == "2026-01-01T00:00:00+00:00"
        await asyncio.sleep(86400)
        assert clock.now().isoformat() == "2026-01-02T00:00:00+00:00"
        assert clock.monotonic() == 86400.0

    simloop.run(main())


def test_timeouts_and_order() -> None:
    async def main() -> list[str]:
        order: list[str] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            order.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(after(2.0, "c"))
            group.create_task(after(0.5, "a"))
            group.create_task(after(0.5, "b"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.Event().wait()
            order.append("timeout")
        return order

    assert simloop.run(main()) == ["a", "b", "timeout", "c"]


def test_a_seed_replays() -> None:
    async def main() -> list[Any]:
        found: list[Any] = []
        for _ in range(20):
            await asyncio.sleep(rand.rng().random())
            found += [clock.wall(), rand.uuid(), rand.suffix()]
        return found

    assert simloop.run(main(), 7) == simloop.run(main(), 7)
    assert simloop.run(main(), 7) != simloop.run(main(), 8)


def test_the_order_in_which_a_group_cancels_replays() -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def wait(number: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                order.append(number)

        with pytest.raises(ExceptionGroup):  # noqa: PT012
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(wait(number))
                await asyncio.sleep(1)
                raise KeyError
        return order

    first = simloop.run(main())
    kept = [object() for _ in range(1000)]  # Other addresses next time.
    assert first == simloop.run(main())
    assert len(kept) == 1000


def test_a_deadlock_says_who_waits_where() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(stuck(), name="the culprit")

    with pytest.raises(Deadlock, match=r"(?s)at 0\.000 s.*the culprit: .*test_simloop\.py:\d+ in .*stuck"):
        simloop.run(main())


def test_what_never_ends_is_stopped() -> None:
    async def main() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(60)

    with pytest.raises(OutOfTime, match=r"not over after 3600 s \(seed 9\)"):
        simloop.run(main(), 9, horizon=3600)


def test_no_threads_and_no_sockets() -> None:
    async def threads() -> None:
        await asyncio.to_thread(print)

    async def sockets() -> None:
        here, there = socket.socketpair()
        try:
            await asyncio.open_connection(sock=here)
        finally:
            here.close()
            there.close()

    with pytest.raises(NoThreads, match="threads"):
        simloop.run(threads())
    with pytest.raises(NoThreads, match="sockets"):
        simloop.run(sockets())


def test_a_failing_callback_ends_it() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(1, {}.pop, "x")
        await asyncio.sleep(100)

    with pytest.raises(KeyError):
        simloop.run(main())


def test_a_failure_comes_out_as_it_is() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise KeyError("x")

    with pytest.raises(KeyError):
        simloop.run(main())
