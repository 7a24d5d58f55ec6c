"""GET of many: pages, resourceVersions, selectors; watches: from when, what they see, how they end."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import msgspec
import pytest

from kijabi.apiserver.watch import WatchAnswer
from kijabi.testing.simloop import run
from tests.apiserver.world import PARTIAL, TABLE, World, configmap, pod, running

NS = "/api/v1/namespaces/default"
CMS = f"{NS}/configmaps"
PODS = f"{NS}/pods"


def names(body: dict[str, Any]) -> list[str]:
    return [each["metadata"]["name"] for each in body["items"]]


async def fill(world: World, count: int) -> None:
    for number in range(count):
        await world.post(CMS, configmap(f"c{number}"))


async def test_pages_are_of_one_moment(world: World) -> None:
    await fill(world, 5)
    first = (await world.get(f"{CMS}?limit=2")).body
    assert names(first) == ["c0", "c1"]
    assert first["metadata"]["remainingItemCount"] == 3
    await world.post(CMS, configmap("c2a"))
    await world.delete(f"{CMS}/c3")
    second = (await world.get(f"{CMS}?limit=2&continue={first['metadata']['continue']}")).body
    assert names(second) == ["c2", "c3"]
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert second["metadata"]["remainingItemCount"] == 1
    third = (await world.get(f"{CMS}?limit=2&continue={second['metadata']['continue']}")).body
    assert names(third) == ["c4"]
    assert "continue" not in third["metadata"]
    selected = (await world.get("/api/v1/configmaps?limit=1&labelSelector=!x")).body
    assert "remainingItemCount" not in selected["metadata"]


async def test_an_expired_token_carries_one_that_goes_on(world: World) -> None:
    await fill(world, 3)
    first = (await world.get(f"{CMS}?limit=1")).body
    await world.post(CMS, configmap("later"))
    await world.app.store.compact(world.app.store.revision)
    late = await world.get(f"{CMS}?limit=1&continue={first['metadata']['continue']}")
    assert (late.status, late.reason) == (410, "Expired")
    go_on = late.body["metadata"]["continue"]
    rest = (await world.get(f"{CMS}?continue={go_on}")).body
    assert names(rest) == ["c1", "c2", "later"]


async def test_a_token_expires_though_nothing_of_its_kind_has_changed(world: World) -> None:
    await fill(world, 3)
    first = (await world.get(f"{CMS}?limit=1")).body
    await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "another-kind"}})
    again = await world.get(f"{CMS}?limit=1&continue={first['metadata']['continue']}")
    assert names(again.body) == ["c1"]
    await world.app.store.compact(world.app.store.revision)
    late = await world.get(f"{CMS}?limit=1&continue={first['metadata']['continue']}")
    assert (late.status, late.reason) == (410, "Expired")


async def test_bad_tokens_and_options_are_refused(world: World) -> None:
    for token in ("x", base64.urlsafe_b64encode(b'{"v":"meta.k8s.io/v1","rv":1,"start":"../x"}').decode()):
        bad = await world.get(f"{CMS}?limit=1&continue={token}")
        assert (bad.status, bad.reason) == (400, "BadRequest")
        assert bad.message.startswith("invalid continue token: continue key is not valid")
    for query, text in (
        ("resourceVersionMatch=Exact", "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ("resourceVersionMatch=Exact&resourceVersion=0", "is forbidden for resourceVersion"),
        ("resourceVersionMatch=Other&resourceVersion=5", "Unsupported value"),
        ("sendInitialEvents=true", "sendInitialEvents is forbidden for list"),
        ("watch=1&sendInitialEvents=true", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        ("watch=1&resourceVersionMatch=NotOlderThan", "forbidden for watch unless sendInitialEvents is provided"),
    ):
        refused = await world.get(f"{CMS}?{query}")
        assert refused.status == 422, query
        assert text in refused.message
    assert (await world.get(f"{CMS}?limit=x")).message == 'strconv.ParseInt: parsing "x": invalid syntax'
    assert (await world.get(f"{CMS}?resourceVersion=x")).status == 400
    assert (await world.get(f"{CMS}?labelSelector=a%3D%3D%3Db")).status == 400
    unknown = await world.get(f"{CMS}?fieldSelector=data.k%3Dv")
    assert (unknown.status, unknown.reason) == (400, "BadRequest")


async def test_versions_in_the_future_and_in_the_past(world: World) -> None:
    made = await world.post(CMS, configmap())
    await world.put(f"{CMS}/a", {"metadata": {"name": "a"}, "data": {"k": "2"}})
    future = await world.get(f"{CMS}?resourceVersion=99999")
    assert (future.status, future.reason, future.headers["Retry-After"]) == (504, "Timeout", "1")
    assert future.body["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert (await world.get(f"{CMS}/a?resourceVersion=99999")).status == 504
    then = await world.get(f"{CMS}?resourceVersion={made.version}&resourceVersionMatch=Exact")
    assert then.body["items"][0]["data"] == {"k": "v"}
    assert then.version == made.version
    newer = await world.get(f"{CMS}?resourceVersion={made.version}")
    assert newer.body["items"][0]["data"] == {"k": "2"}
    assert (await world.get(f"{CMS}?resourceVersion=0")).body["items"]
    await world.app.store.compact(world.app.store.revision)
    old = await world.get(f"{CMS}?resourceVersion={made.version}&resourceVersionMatch=Exact")
    assert (old.status, old.reason) == (410, "Expired")


async def test_selectors(world: World) -> None:
    await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})
    await world.post(PODS, pod("a", nodeName="n1"))
    await world.post(PODS, pod("b"))
    await world.post(PODS, {**pod("c"), "metadata": {"name": "c", "labels": {"app": "db"}}})
    for query, expected in (
        ("labelSelector=app%3Dweb", ["a", "b"]),
        ("labelSelector=app+in+(db)", ["c"]),
        ("fieldSelector=spec.nodeName%3Dn1", ["a"]),
        ("fieldSelector=spec.nodeName%3D", ["b", "c"]),
        ("fieldSelector=spec.nodeName!%3Dn1", ["b", "c"]),
        ("fieldSelector=metadata.name%3Db", ["b"]),
        ("fieldSelector=metadata.name%3Dnone", []),
        ("fieldSelector=status.phase%3DPending&labelSelector=app%3Ddb", ["c"]),
    ):
        for path in (PODS, "/api/v1/pods"):
            assert names((await world.get(f"{path}?{query}")).body) == expected, query
    assert (await world.get("/api/v1/namespaces/other/pods")).body["items"] == []


async def test_a_watch_sees_the_present_and_then_every_change(world: World) -> None:
    await world.post(CMS, configmap("a"))
    watching = await world.watch(f"{CMS}?watch=true")
    await world.post(CMS, configmap("b"))
    await world.patch(f"{CMS}/a", {"data": {"x": "y"}})
    await world.delete(f"{CMS}/b")
    await world.post("/api/v1/namespaces", {"metadata": {"name": "other"}})
    await world.post("/api/v1/namespaces/other/configmaps", configmap("elsewhere"))
    assert await watching.names() == [("ADDED", "a"), ("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")]


async def test_a_watch_resumes_after_the_version_it_names(world: World) -> None:
    await world.post("/api/v1/namespaces", {"metadata": {"name": "other"}})
    made = await world.post(CMS, configmap("a"))
    await world.post(CMS, configmap("b"))
    deleted = await world.delete(f"{CMS}/a")
    await world.post("/api/v1/namespaces/other/configmaps", configmap("elsewhere"))
    assert deleted.status == 200
    watching = await world.watch(f"{CMS}?watch=1&resourceVersion={made.version}")
    events = await watching.events()
    assert [(each["type"], each["object"]["metadata"]["name"]) for each in events] == [("ADDED", "b"), ("DELETED", "a")]
    assert int(events[1]["object"]["metadata"]["resourceVersion"]) == int(made.version) + 2


async def test_history_ends_where_the_server_began(world: World) -> None:
    await fill(world, 1)
    async with running(world.app.store) as later:
        old = await later.watch(f"{CMS}?watch=1&resourceVersion=1")
        (event,) = await old.events()
        assert event["type"] == "ERROR"
        assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
        assert event["object"]["message"].startswith("too old resource version: 1 (")
        assert old.answer.watcher.ended
        assert await (await later.watch(f"{CMS}?watch=1")).names() == [("ADDED", "c0")]


async def test_objects_move_in_and_out_of_a_selection(world: World) -> None:
    watching = await world.watch(f"{CMS}?watch=1&labelSelector=on%3D1")
    await world.post(CMS, configmap("a"))
    for labels in ({"on": "1"}, {"on": "1", "more": "x"}, {"on": None}, {"on": "1"}):
        await world.patch(f"{CMS}/a", {"metadata": {"labels": labels}})
    await world.delete(f"{CMS}/a")
    kinds = [kind for kind, _ in await watching.names()]
    assert kinds == ["ADDED", "MODIFIED", "DELETED", "ADDED", "DELETED"]


async def test_a_kubelet_watches_the_pods_of_its_node(world: World) -> None:
    await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})
    await world.post("/api/v1/nodes", {"metadata": {"name": "n1"}})
    watching = await world.watch("/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Dn1")
    await world.post(PODS, pod("a"))
    await world.post(PODS, pod("b"))
    bound = await world.post(f"{PODS}/a/binding", {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n1"}})
    assert bound.status == 201
    assert await watching.names() == [("ADDED", "a")]


async def test_initial_events_end_with_a_marked_bookmark(world: World) -> None:
    await fill(world, 2)
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
    watching = await world.watch(f"{CMS}?{query}")
    first, second, bookmark = await watching.events()
    assert (first["type"], second["type"], bookmark["type"]) == ("ADDED", "ADDED", "BOOKMARK")
    assert bookmark["object"] == {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {
            "resourceVersion": str(world.app.caches.revision),
            "annotations": {"k8s.io/initial-events-end": "true"},
        },
    }
    none = await world.watch(f"{CMS}?{query.replace('true', 'false', 1)}")
    assert await none.events() == []


async def test_one_object_is_watched_by_name(world: World) -> None:
    await fill(world, 2)
    watching = await world.watch(f"{CMS}?watch=1&fieldSelector=metadata.name%3Dc1")
    old = await world.watch("/api/v1/watch/namespaces/default/configmaps/c1")
    await world.delete(f"{CMS}/c0")
    await world.delete(f"{CMS}/c1")
    assert await watching.names() == [("ADDED", "c1"), ("DELETED", "c1")]
    assert await old.names() == [("ADDED", "c1"), ("DELETED", "c1")]
    wrong = await world.get("/api/v1/watch/namespaces/default/configmaps/c1?fieldSelector=metadata.name%3Dc0")
    assert wrong.message == "fieldSelector metadata.name doesn't match requested name"


async def test_tables_and_metadata_in_lists_and_watches(world: World) -> None:
    await fill(world, 1)
    listed = (await world.get(CMS, TABLE)).body
    assert [column["name"] for column in listed["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert listed["rows"][0]["cells"][:2] == ["c0", 1]
    assert listed["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    whole = (await world.get(f"{CMS}?includeObject=Object", TABLE)).body
    assert whole["rows"][0]["object"]["data"] == {"k": "v"}
    bare = (await world.get(f"{CMS}/c0?includeObject=None", TABLE)).body
    assert bare["rows"][0]["object"] is None
    assert (await world.get(f"{CMS}?includeObject=All", TABLE)).status == 422
    watching = await world.watch(f"{CMS}?watch=1", TABLE)
    await world.post(CMS, configmap("next"))
    first, second = await watching.events()
    assert first["object"]["columnDefinitions"]
    assert second["object"]["columnDefinitions"] == []
    assert second["object"]["rows"][0]["cells"][0] == "next"
    partial = (await world.get(f"{CMS}/c0", PARTIAL)).body
    assert set(partial) == {"kind", "apiVersion", "metadata"}
    partials = (await world.get(CMS, {"accept": PARTIAL["accept"].replace("Metadata;", "MetadataList;")})).body
    assert partials["kind"] == "PartialObjectMetadataList"


@pytest.mark.parametrize("seed", range(12))
def test_bookmarks_come_every_minute_and_before_the_end(seed: int) -> None:
    """The one two seconds before the end is the last, wherever those of every minute fall."""

    async def scenario() -> list[float]:
        async with running() as world:
            loop = asyncio.get_running_loop()
            query = "watch=1&allowWatchBookmarks=true&timeoutSeconds=200&resourceVersion=1"
            answer = await world.ask("GET", f"{CMS}?{query}")
            assert isinstance(answer, WatchAnswer)
            began, times = loop.time(), []
            async for data in answer.chunks():
                event = msgspec.json.decode(data)
                assert event["type"] == "BOOKMARK"
                times.append(loop.time() - began)
            assert loop.time() - began == 200
            return times

    *regular, last = run(scenario(), seed)
    assert last == 198
    assert len(regular) >= 3
    assert all(45 <= after - before <= 60 for before, after in zip([0.0, *regular], regular, strict=False))


def test_a_watch_without_timeout_ends_within_an_hour() -> None:
    async def scenario() -> float:
        async with running() as world:
            loop = asyncio.get_running_loop()
            answer = await world.ask("GET", f"{CMS}?watch=1")
            began = loop.time()
            assert [data async for data in answer.chunks()] == []
            return loop.time() - began

    assert 1800 <= run(scenario()) <= 3600


async def test_a_watcher_that_does_not_take_is_cut(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr("kijabi.apiserver.watch.MAX_PENDING_EVENTS", 3)
    watching = await world.watch(f"{CMS}?watch=1")
    await fill(world, 6)
    assert watching.answer.watcher.ended
    assert watching.answer.watcher.slow
    assert not world.app.caches.by_prefix["/registry/core/configmaps/"].watchers


async def test_an_event_is_encoded_once_for_all_watchers(world: World) -> None:
    watches = [await world.watch(f"{CMS}?watch=1") for _ in range(3)]
    for each in watches:
        each.answer.watcher.first = False
    await world.post(CMS, configmap())
    await world.app.caches.fresh()
    frames = [each.answer.watcher.frames[0] for each in watches]
    assert frames[0] is frames[1] is frames[2]
