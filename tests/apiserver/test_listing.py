"""Large lists: the same bytes as a small one would be, in slices between which others get their turn."""

from __future__ import annotations

import asyncio
import gzip
import itertools
from typing import Any

import msgspec
import pytest
import yaml

from kijabi.apiserver import listing
from kijabi.apiserver.attributes import StreamAnswer
from kijabi.client.transport import Response
from tests.apiserver.world import TABLE, World, configmap

CMS = "/api/v1/namespaces/default/configmaps"
COUNT = 40
YAML = {"accept": "application/yaml"}


async def fill(world: World, count: int = COUNT) -> None:
    for number in range(count):
        labels = {"even": str(number % 2 == 0)}
        body = configmap(f"c{number:03d}", metadata={"labels": labels}, data={"k": "line\none: [x]" * 10})
        assert (await world.post(CMS, body)).status == 201


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every list of more than a few objects is a large one."""
    monkeypatch.setattr(listing, "SLICE_BYTES", 1000)


async def large(world: World, url: str, headers: dict[str, str] | None = None) -> StreamAnswer:
    answer = await world.ask("GET", url, None, headers)
    assert isinstance(answer, StreamAnswer), answer
    return answer


async def read(answer: StreamAnswer) -> bytes:
    return b"".join([chunk async for chunk in answer.chunks])


@pytest.mark.parametrize("query", ["", "limit=30", "labelSelector=even%3DTrue", "pretty=1"])
@pytest.mark.parametrize("headers", [{}, TABLE, YAML])
async def test_a_large_list_has_the_bytes_of_a_small_one(
    world: World, monkeypatch: pytest.MonkeyPatch, query: str, headers: dict[str, str]
) -> None:
    await fill(world)
    whole = await world.ask("GET", f"{CMS}?{query}", None, headers)
    assert isinstance(whole, Response)
    monkeypatch.setattr(listing, "SLICE_BYTES", 1000)
    answer = await large(world, f"{CMS}?{query}", headers)
    assert answer.headers["Content-Type"] == whole.headers["Content-Type"]
    assert await read(answer) == whole.body


@pytest.mark.parametrize("room", [0, 5_000, 1_000_000])
async def test_a_list_that_is_framed_by_its_length(world: World, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    await fill(world)
    headers = {"accept": "application/vnd.kubernetes.protobuf"}
    whole = await world.ask("GET", CMS, None, headers)
    assert isinstance(whole, Response)
    monkeypatch.setattr(listing, "SLICE_BYTES", 1000)
    monkeypatch.setattr(listing, "KEPT_BYTES", room)
    monkeypatch.setattr(listing, "LET_GO", 2)
    answers = [await large(world, CMS, headers) for _ in range(3)]
    first, second, third = answers
    bodies = await asyncio.gather(read(first), read(second))
    assert bodies == [whole.body, whole.body]
    assert await anext(third.chunks)
    await third.chunks.aclose()  # type: ignore[attr-defined]
    assert world.app.api.reading.listing._kept == 0


async def test_yaml_is_what_the_json_says(world: World, tiny: None) -> None:
    await fill(world)
    text = await read(await large(world, CMS, YAML))
    listed = (await world.get(CMS)).body
    assert yaml.safe_load(text) == listed
    assert text.decode() == yaml.dump(listed, Dumper=yaml.CSafeDumper, sort_keys=True)
    none = await world.get(f"{CMS}?labelSelector=even%3Dnone", YAML)
    assert none.raw.startswith(b"apiVersion: v1\nitems: []\nkind: ConfigMapList\n")


async def test_compressed_lists(world: World, monkeypatch: pytest.MonkeyPatch, tiny: None) -> None:
    monkeypatch.setattr("kijabi.apiserver.negotiate.GZIP_THRESHOLD", 1000)
    await fill(world)
    answer = await large(world, CMS, {"accept-encoding": "gzip"})
    assert (answer.headers["Content-Encoding"], answer.headers["Vary"]) == ("gzip", "Accept-Encoding")
    assert gzip.decompress(await read(answer)) == (await world.get(CMS)).raw


async def test_others_have_a_turn_between_any_two_slices(world: World, tiny: None) -> None:
    await fill(world)
    world.app.api.reading.turns.seconds = 0.0
    turns = itertools.count()
    ended = asyncio.Event()

    async def other() -> None:
        while not ended.is_set():
            next(turns)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(other())
        answer = await large(world, CMS)
        before = next(turns)
        seen = []
        async for _ in answer.chunks:
            seen.append(next(turns) - before)
        ended.set()
    assert len(seen) > COUNT / 32
    assert all(later - earlier > 1 for earlier, later in itertools.pairwise(seen[1:])), seen


async def test_a_list_that_nobody_reads_gives_its_place_back(
    world: World, monkeypatch: pytest.MonkeyPatch, tiny: None
) -> None:
    await fill(world)
    monkeypatch.setattr(listing, "MAX_WAITING", 1)
    answers = [await large(world, CMS) for _ in range(listing.MAX_SENDING)]
    line = asyncio.ensure_future(world.ask("GET", CMS))
    await asyncio.sleep(0.01)
    assert not line.done()
    refused = await world.get(CMS)
    assert (refused.status, refused.reason) == (429, "TooManyRequests")
    assert (await world.get(f"{CMS}?limit=1")).status == 200
    await answers[0].chunks.aclose()  # type: ignore[attr-defined]
    waited: Any = await line
    assert msgspec.json.decode(await read(waited))["kind"] == "ConfigMapList"


async def test_a_list_that_is_given_up_in_line_leaves_it(world: World, tiny: None) -> None:
    await fill(world)
    answers = [await large(world, CMS) for _ in range(listing.MAX_SENDING)]
    line = asyncio.ensure_future(world.ask("GET", CMS))
    await asyncio.sleep(0.01)
    line.cancel()
    await asyncio.gather(line, return_exceptions=True)
    for answer in answers:
        await read(answer)
    assert [(await world.get(CMS)).status for _ in range(listing.MAX_SENDING + 1)] == [200] * (listing.MAX_SENDING + 1)


async def test_a_collection_is_deleted_and_told(world: World, tiny: None) -> None:
    await fill(world)
    deleted = await world.delete(f"{CMS}?labelSelector=even%3DTrue")
    assert len(deleted.body["items"]) == COUNT / 2
    assert len((await world.get(CMS)).body["items"]) == COUNT / 2


async def test_the_recent_past_is_the_same_from_cache_and_store(world: World) -> None:
    await fill(world, 6)
    then = await world.get(CMS)
    await world.delete(f"{CMS}/c001")
    await world.post(CMS, configmap("c0025"))
    await world.post(CMS, configmap("gone"))
    await world.delete(f"{CMS}/gone")
    await world.patch(f"{CMS}/c003", {"data": {"k": "new"}})
    await world.delete(f"{CMS}/c004")
    await world.post(CMS, configmap("c004"))
    cache = world.app.caches.by_prefix["/registry/core/configmaps/"]
    exact = f"resourceVersion={then.version}&resourceVersionMatch=Exact"
    for floor in (cache.floor, cache.changed):
        cache.floor = floor  # what is before it is read from the store
        whole = await world.get(f"{CMS}?{exact}")
        assert whole.raw == then.raw
        page = (await world.get(f"{CMS}?limit=2&{exact}")).body
        assert page["metadata"]["remainingItemCount"] == 4
        names = [each["metadata"]["name"] for each in page["items"]]
        while "continue" in page["metadata"]:
            page = (await world.get(f"{CMS}?limit=2&continue={page['metadata']['continue']}")).body
            assert page["metadata"]["resourceVersion"] == then.version
            assert page["metadata"].get("remainingItemCount", 0) == 6 - len(names) - len(page["items"])
            names += [each["metadata"]["name"] for each in page["items"]]
        assert names == [f"c{number:03d}" for number in range(6)]
        chosen = (await world.get(f"{CMS}?{exact}&labelSelector=even%3DTrue")).body
        assert [each["metadata"]["name"] for each in chosen["items"]] == ["c000", "c002", "c004"]
