"""Events go when their time is over, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from kijabi.apiserver import flags
from kijabi.apiserver.app import Settings
from kijabi.base.errors import ConfigError
from kijabi.store.memory import MemoryStore
from kijabi.testing import simloop
from tests.apiserver.world import World, running

CORE = "/api/v1/namespaces/default/events"
NEW = "/apis/events.k8s.io/v1/namespaces/default/events"


def event(name: str, **more: Any) -> dict[str, Any]:
    about = {"kind": "Pod", "name": "p", "namespace": "default"}
    return {"metadata": {"name": name}, "involvedObject": about, "reason": "Started", **more}


def world(ttl: str = "1h", store: MemoryStore | None = None) -> AbstractAsyncContextManager[World]:
    return running(store, Settings(flags=flags.parse([f"event-ttl={ttl}"])))


async def names(there: World) -> list[str]:
    return [each["metadata"]["name"] for each in (await there.get(CORE)).body["items"]]


def play(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    simloop.run(story(), 1)


def test_events_live_an_hour_after_their_last_write() -> None:
    async def story() -> None:
        async with world() as there:
            for name in ("old", "counted", "deleted"):
                await there.post(CORE, event(name, lastTimestamp="2090-01-01T00:00:00Z"))
            await asyncio.sleep(1800)
            await there.patch(f"{CORE}/counted", {"count": 2})
            await there.post(CORE, event("young"))
            await there.delete(f"{CORE}/deleted")
            await asyncio.sleep(1790)
            assert await names(there) == ["counted", "old", "young"]
            await asyncio.sleep(20)
            assert await names(there) == ["counted", "young"]
            await asyncio.sleep(1800)
            assert await names(there) == []

    play(story)


def test_a_restart_does_not_give_them_more_time() -> None:
    async def story() -> None:
        store = MemoryStore()
        async with world("30m", store) as there:
            await there.post(CORE, event("a"))
            await asyncio.sleep(60)
            await there.post(CORE, event("b"))
            await asyncio.sleep(600)
            await there.patch(f"{CORE}/a", {"message": "again"})
        async with world("30m", store) as there:
            await asyncio.sleep(1150)
            assert await names(there) == ["a", "b"]
            await asyncio.sleep(60)
            assert await names(there) == ["a"]
            await asyncio.sleep(600)
            assert await names(there) == []

    play(story)


def test_both_groups_show_the_end() -> None:
    async def story() -> None:
        async with world("10s") as there:
            await there.post(CORE, event("a"))
            watching = await there.watch(f"{NEW}?watch=1&resourceVersion=0")
            await asyncio.sleep(12)
            assert [kind for kind, _ in await watching.names()] == ["ADDED", "DELETED"]
            watching.answer.watcher.close()

    play(story)


def test_without_a_time_they_stay() -> None:
    async def story() -> None:
        async with world("0") as there:
            await there.post(CORE, event("a"))
            await asyncio.sleep(100_000)
            assert await names(there) == ["a"]

    play(story)


async def test_a_time_that_is_none() -> None:
    with pytest.raises(ConfigError, match="--event-ttl -5s can't be negative"):
        async with world("-5s"):
            raise AssertionError("it started")
