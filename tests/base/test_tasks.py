"""Task helpers: what is started ends with what started it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kijabi.base import tasks
from kijabi.base.backoff import Backoff
from kijabi.testing import simloop


def now() -> float:
    return asyncio.get_running_loop().time()


async def sleeping(seconds: float, result: str, ended: list[str] | None = None) -> str:
    try:
        await asyncio.sleep(seconds)
        return result
    finally:
        if ended is not None:
            ended.append(result)


def test_background_ends_with_its_block() -> None:
    async def main() -> None:
        ended: list[str] = []
        async with tasks.background(sleeping(100, "a", ended), sleeping(100, "b", ended)):
            await asyncio.sleep(1)
            assert ended == []
        assert ended == ["a", "b"]
        assert now() == 1.0

    simloop.run(main())


def test_a_failure_in_the_background_ends_the_block() -> None:
    async def fail() -> None:
        await asyncio.sleep(1)
        raise KeyError("x")

    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            async with tasks.background(fail()):
                await asyncio.Event().wait()
        assert caught.group_contains(KeyError)

    simloop.run(main())


def test_the_first_wins_and_the_others_have_ended() -> None:
    async def main() -> None:
        ended: list[str] = []
        assert await tasks.first(sleeping(3, "slow", ended), sleeping(1, "fast", ended)) == "fast"
        assert ended == ["fast", "slow"]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await tasks.first(sleeping(3, "a", ended), sleeping(3, "b", ended))
        assert sorted(ended[2:]) == ["a", "b"]

    simloop.run(main())


def test_the_first_failure_comes_out_as_it_is() -> None:
    async def fail() -> str:
        await asyncio.sleep(1)
        raise KeyError("x")

    async def main() -> None:
        ended: list[str] = []
        with pytest.raises(KeyError):
            await tasks.first(sleeping(3, "a", ended), fail())
        with pytest.raises(KeyError):
            await tasks.cancel_on(asyncio.Event(), fail())
        assert ended == ["a"]

    simloop.run(main())


def test_cancel_on_an_event() -> None:
    async def main() -> None:
        stop = asyncio.Event()
        assert await tasks.cancel_on(stop, sleeping(1, "done")) == "done"
        asyncio.get_running_loop().call_later(1, stop.set)
        ended: list[str] = []
        assert await tasks.cancel_on(stop, sleeping(100, "never", ended)) is None
        assert ended == ["never"]
        assert now() == 2.0

    simloop.run(main())


def test_waiting_for_an_event() -> None:
    async def main() -> None:
        event = asyncio.Event()
        assert not await tasks.wait_for_event(event, 2)
        event.set()
        assert await tasks.wait_for_event(event, 2)
        assert now() == 2.0

    simloop.run(main())


def test_guarded_work_is_started_again_with_backoff(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        starts: list[float] = []
        reasons: list[str] = []

        async def work() -> None:
            starts.append(now())
            if len(starts) == 4:
                await asyncio.sleep(tasks.STEADY)
            if len(starts) < 6:
                raise ValueError(f"failure {len(starts)}")

        await tasks.guarded(
            work,
            name="worker",
            backoff=Backoff(1.0, 8.0, jitter=0.0),
            failed=lambda error: reasons.append(str(error)),
        )
        # After the long run the waits begin anew.
        assert starts == [0, 1, 3, 7, 68, 70]
        assert reasons == [f"failure {number}" for number in range(1, 6)]

    with caplog.at_level(logging.ERROR):
        simloop.run(main())
    assert [record.__dict__["task"] for record in caplog.records] == ["worker"] * 5


def test_every_goes_on_after_a_failure() -> None:
    async def main() -> None:
        calls: list[float] = []

        async def work() -> None:
            calls.append(now())
            raise ValueError("x")

        async with tasks.background(tasks.every(10, work, name="timer")):
            await asyncio.sleep(35)
        assert calls == [10, 20, 30]

    simloop.run(main())
