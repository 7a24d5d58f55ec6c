"""The law of list and watch: a list at R, and then the events after R, make the list of now.

Whatever is selected, however the watch began, at once or later from the history, and though others write while a large
list is on its way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.apiserver import forms, listing
from kijabi.apiserver.attributes import StreamAnswer
from kijabi.testing.simloop import run
from tests.apiserver.world import PARTIAL, Watching, World, running

NAMESPACES = ("default", "other")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(NAMESPACES), st.sampled_from("abc"), st.integers(0, 2)),
        st.tuples(st.just("delete"), st.sampled_from(NAMESPACES), st.sampled_from("abc"), st.just(0)),
        st.tuples(st.just("look"), st.sampled_from(["", *NAMESPACES]), st.sampled_from("abc"), st.integers(0, 3)),
    ),
    max_size=25,
)


def url(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps" if namespace else "/api/v1/configmaps"


def query(name: str, kind: int) -> str:
    """Everything, some by label, others by label, one by name."""
    by_name = f"fieldSelector=metadata.name%3D{name}"
    return ("", "labelSelector=on%3D1", "labelSelector=on!%3D1", by_name)[kind]


def state(items: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    metas = [item["metadata"] for item in items]
    return {(meta["namespace"], meta["name"]): meta["resourceVersion"] for meta in metas}


async def write(world: World, step: Any) -> None:
    action, namespace, name, value = step
    if action == "delete":
        await world.delete(f"{url(namespace)}/{name}")
        return
    body = {"metadata": {"name": name, "labels": {"on": str(value % 2)}}, "data": {"v": str(value)}}
    made = await world.post(url(namespace), body)
    if made.status == 409:
        await world.put(f"{url(namespace)}/{name}", body)


def replay(before: dict[tuple[str, str], str], events: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    now, last = dict(before), 0
    for event in events:
        meta = event["object"]["metadata"]
        key, version = (meta["namespace"], meta["name"]), meta["resourceVersion"]
        assert int(version) > last, "events are in order"
        last = int(version)
        assert (event["type"] == "ADDED") == (key not in now), (event, now)
        if event["type"] == "DELETED":
            del now[key]
        else:
            now[key] = version
    return now


async def scenario(steps: list[Any]) -> None:
    async with running() as world:
        await world.post("/api/v1/namespaces", {"metadata": {"name": "other"}})
        looks: list[tuple[str, str, dict[tuple[str, str], str], str, Watching]] = []
        for step in steps:
            if step[0] != "look":
                await write(world, step)
                continue
            path, chosen = url(step[1]), query(step[2], step[3])
            listed = await world.get(f"{path}?{chosen}")
            live = await world.watch(f"{path}?{chosen}&watch=1&resourceVersion={listed.version}")
            looks.append((path, chosen, state(listed.body["items"]), listed.version, live))
        for path, chosen, before, version, live in looks:
            now = state((await world.get(f"{path}?{chosen}")).body["items"])
            later = await world.watch(f"{path}?{chosen}&watch=1&resourceVersion={version}", PARTIAL)
            assert replay(before, await live.events()) == now
            assert replay(before, await later.events()) == now
            exact = await world.get(f"{path}?{chosen}&resourceVersion={version}&resourceVersionMatch=Exact")
            assert state(exact.body["items"]) == before


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_a_list_and_its_events_make_the_list_of_now(steps: list[Any]) -> None:
    run(scenario(steps))


async def begun(world: World, url: str) -> AsyncIterator[bytes]:
    """A list that is to be read bit by bit."""
    answer = await world.ask("GET", url)
    if isinstance(answer, StreamAnswer):
        return answer.chunks

    async def whole() -> AsyncIterator[bytes]:
        yield answer.body

    return whole()


async def slowly(steps: list[Any]) -> None:
    """Each list is read a piece at a time, and after each piece somebody writes."""
    async with running() as world:
        await world.post("/api/v1/namespaces", {"metadata": {"name": "other"}})
        reading: list[tuple[str, AsyncIterator[bytes], bytearray]] = []
        for step in steps:
            if step[0] == "look":
                place = f"{url(step[1])}?{query(step[2], step[3])}"
                reading.append((place, await begun(world, place), bytearray()))
            else:
                await write(world, step)
            for _, chunks, body in reading:
                body += await anext(chunks, b"")
        for place, chunks, body in reading:
            async for chunk in chunks:
                body += chunk
            listed = msgspec.json.decode(body)
            version = listed["metadata"]["resourceVersion"]
            later = await world.watch(f"{place}&watch=1&resourceVersion={version}")
            now = state((await world.get(place)).body["items"])
            assert replay(state(listed["items"]), await later.events()) == now


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_a_list_is_of_one_moment_though_others_write_while_it_is_sent(steps: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "SLICE_BYTES", 1)
        patch.setattr(listing, "MAX_SENDING", 100)
        patch.setattr(forms.Whole, "grain", 1)
        run(slowly(steps))
