"""Events for many watchers: some at a time, in order, and nobody is told twice or promised what has not come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kijabi.apiserver import delivery
from tests.apiserver.world import Watching, World, configmap

CMS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "AT_ONCE", 1)


async def delivered(world: World, watching: Watching) -> list[tuple[str, str, int]]:
    """(type, name, revision) of what a watcher has got, when everything is out."""
    revision = await world.app.caches.fresh()
    for _ in range(100):
        if watching.answer.watcher.cache.delivery.reached(revision) < revision:
            await asyncio.sleep(0)
    events: list[Any] = await watching.events()
    metas = [(event["type"], event["object"]["metadata"]) for event in events]
    return [(kind, meta.get("name", ""), int(meta["resourceVersion"])) for kind, meta in metas]


@pytest.mark.usefixtures("one_by_one")
async def test_everybody_gets_every_event_once_and_in_order(world: World) -> None:
    first = [await world.watch(f"{CMS}?watch=1") for _ in range(5)]
    made = [int((await world.post(CMS, configmap(name))).version) for name in "abc"]
    await world.app.caches.fresh()
    cache = first[0].answer.watcher.cache
    assert cache.delivery.reached(made[-1]) < made[-1], "some have not heard of it yet"
    with_state = await world.watch(f"{CMS}?watch=1")
    resumed = await world.watch(f"{CMS}?watch=1&resourceVersion={made[0]}")
    from_now = await world.watch(f"{CMS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan")
    made.append(int((await world.post(CMS, configmap("d"))).version))
    expected = [("ADDED", name, version) for name, version in zip("abcd", made, strict=True)]
    for watching in first:
        assert await delivered(world, watching) == expected
    assert await delivered(world, with_state) == expected
    assert await delivered(world, resumed) == expected[1:]
    assert await delivered(world, from_now) == expected[3:]


@pytest.mark.usefixtures("one_by_one")
async def test_a_bookmark_promises_only_what_has_come(world: World) -> None:
    await world.post(CMS, configmap("a"))
    version = (await world.get(CMS)).version
    watches = [await world.watch(f"{CMS}?watch=1&resourceVersion={version}") for _ in range(5)]
    made = int((await world.post(CMS, configmap("b"))).version)
    last = watches[-1].answer.watcher
    await world.app.caches.fresh()
    assert not last.frames
    last._bookmark()
    events = await delivered(world, watches[-1])
    assert [(kind, name) for kind, name, _ in events] == [("BOOKMARK", ""), ("ADDED", "b")]
    assert int(version) <= events[0][2] < made


@pytest.mark.usefixtures("one_by_one")
async def test_a_watch_that_ends_meanwhile_gets_nothing_more(world: World) -> None:
    watches = [await world.watch(f"{CMS}?watch=1") for _ in range(4)]
    await world.post(CMS, configmap("a"))
    watches[-1].answer.watcher.close()
    assert len(await delivered(world, watches[0])) == 1
    assert await delivered(world, watches[-1]) == []
