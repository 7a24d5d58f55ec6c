"""The wire checklist, section 5: the options of lists and watches, and what is said of those that do not fit."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.apiserver.world import World, configmap

CMS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
OPTIONS = 'ListOptions.meta.k8s.io "" is invalid: '
NO_VERSION = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
NOT_EXACT = 'resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
NO_TOKEN = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"
NO_EVENTS = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list"
NEEDS_MATCH = "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
NEEDS_EVENTS = (
    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
)
NO_KEY = "invalid continue token: continue key is not valid"
RV1 = '{"v":"meta.k8s.io/v1","rv":-1,"start":"default/c1"}'


def token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


AT_C1 = token(RV1)


def unreadable(version: str) -> str:
    return f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'


def of_watch(value: str) -> str:
    return f'resourceVersionMatch: Unsupported value: "{value}": supported values: "NotOlderThan"'


def of_list(value: str) -> str:
    return f'resourceVersionMatch: Unsupported value: "{value}": supported values: "Exact", "NotOlderThan", ""'


@pytest.mark.parametrize(
    ("query", "problems"),
    [
        ("resourceVersionMatch=Exact", [NO_VERSION]),
        ("resourceVersionMatch=NotOlderThan", [NO_VERSION]),
        ("resourceVersionMatch=Other", [NO_VERSION, of_list("Other")]),
        ("resourceVersionMatch=Other&resourceVersion=1", [of_list("Other")]),
        ("resourceVersionMatch=Exact&resourceVersion=0", [NOT_EXACT]),
        ("resourceVersionMatch=Exact&resourceVersion=1&continue=x", [NO_TOKEN]),
        ("sendInitialEvents=true", [NO_EVENTS]),
        ("sendInitialEvents=false", [NO_EVENTS]),
        ("watch=1&sendInitialEvents=true", [NEEDS_MATCH]),
        ("watch=1&sendInitialEvents=false&resourceVersionMatch=Exact", [NEEDS_MATCH, of_watch("Exact")]),
        ("watch=1&resourceVersionMatch=NotOlderThan", [NEEDS_EVENTS]),
        ("watch=1&resourceVersionMatch=NotOlderThan&sendInitialEvents=1&continue=x", [NO_TOKEN]),
        ("watch=1&continue=x", [NO_TOKEN]),
        ("watch=1&resourceVersion=x&sendInitialEvents=true", [NEEDS_MATCH]),
    ],
)
async def test_options_that_do_not_go_together(world: World, query: str, problems: list[str]) -> None:
    refused = await world.get(f"{CMS}?{query}")
    assert (refused.status, refused.reason) == (422, "Invalid")
    told = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    assert refused.message == OPTIONS + told
    assert len(refused.body["details"]["causes"]) == len(problems)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("limit=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("timeoutSeconds=1.5&watch=1", 'strconv.ParseInt: parsing "1.5": invalid syntax'),
        ("resourceVersion=x", f"invalid resource version: {unreadable('x')}"),
        ("resourceVersion=-1", f"invalid resource version: {unreadable('-1')}"),
        ("labelSelector=a%20b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("labelSelector=a%3Db%20c", "found 'c', expected: ',' or 'end of string'"),
        ("labelSelector=a%20in%20(b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("labelSelector=,", "found ',', expected: !, identifier, or 'end of string'"),
        ("fieldSelector=foo", "invalid selector: 'foo'; can't understand 'foo'"),
        ("fieldSelector=foo%3D1",
         '"foo" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        ("fieldSelector=metadata.name%3Da%5C", "invalid field selector: invalid escape sequence: \\"),
        (f"continue={AT_C1}&resourceVersion=1", "specifying resource version is not allowed when using continue"),
        (f"continue={AT_C1}&resourceVersion=x", "specifying resource version is not allowed when using continue"),
        ("continue=x&resourceVersion=1", f"{NO_KEY}: illegal base64 data at input byte 0"),
        ("continue=ab!d", f"{NO_KEY}: illegal base64 data at input byte 2"),
        (f"continue={token('[1]')}",
         f"{NO_KEY}: json: cannot unmarshal array into Go value of type storage.continueToken"),
        (f"continue={token('{}')}", f"{NO_KEY}: server does not recognize this encoded version "),
        (f"continue={token(RV1.replace('/v1', '/v2'))}",
         f"{NO_KEY}: server does not recognize this encoded version meta.k8s.io/v2"),
        (f"continue={token(RV1.replace('-1', '0'))}",
         f"{NO_KEY}: incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        (f"continue={token(RV1.replace('default/c1', ''))}",
         f"{NO_KEY}: encoded start key empty (version meta.k8s.io/v1)"),
        (f"continue={token(RV1.replace('default', '..'))}", f"{NO_KEY}: ../c1"),
        (f"continue={token(RV1.replace('default/', 'default//'))}", f"{NO_KEY}: default//c1"),
    ],
)  # fmt: skip
async def test_options_that_cannot_be_read(world: World, query: str, text: str) -> None:
    refused = await world.get(f"{CMS}?{query}")
    assert (refused.status, refused.reason, refused.message) == (400, "BadRequest", text)


async def test_fields_that_pods_do_not_select(world: World) -> None:
    refused = await world.get(f"{PODS}?fieldSelector=spec.foo%3D1")
    assert (refused.status, refused.message) == (400, "field label not supported: spec.foo")


@pytest.mark.parametrize(
    ("query", "watches"),
    [("watch=1", True), ("watch=true", True), ("watch=", True), ("watch=0", False), ("watch=False", False)],
)
async def test_booleans(world: World, query: str, watches: bool) -> None:
    answer: Any = await world.ask("GET", f"{CMS}?{query}")
    assert hasattr(answer, "watcher") == watches


async def test_no_list_is_null_and_typed_items_have_no_kind(world: World) -> None:
    assert (await world.get("/apis/apps/v1/deployments")).body["items"] == []
    await world.post(CMS, configmap())
    found = (await world.get(CMS)).body
    assert (found["kind"], found["apiVersion"]) == ("ConfigMapList", "v1")
    assert found["metadata"]["resourceVersion"].isdigit()
    assert "kind" not in found["items"][0]


async def test_a_deleted_object_carries_the_version_of_its_end(world: World) -> None:
    made = await world.post(CMS, configmap())
    watching = await world.watch(f"{CMS}?watch=1&resourceVersion={made.version}")
    await world.delete(f"{CMS}/a")
    [event] = await watching.events()
    assert event["type"] == "DELETED"
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(made.version)
    assert event["object"]["data"] == {"k": "v"}


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", True),
        ("sendInitialEvents=true&resourceVersionMatch=NotOlderThan", False),
    ],
)
async def test_initial_events_and_their_end(world: World, query: str, marked: bool) -> None:
    await world.post(CMS, configmap())
    events = await (await world.watch(f"{CMS}?watch=1&{query}")).events()
    assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"][: 1 + marked]
    if marked:
        assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert events[1]["object"].keys() == {"kind", "apiVersion", "metadata"}


async def test_no_initial_events_at_all(world: World) -> None:
    await world.post(CMS, configmap())
    watching = await world.watch(f"{CMS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan")
    assert await watching.names() == []
    await world.post(CMS, configmap("b"))
    assert await watching.names() == [("ADDED", "b")]


@pytest.mark.parametrize("query", ["resourceVersion=0", "resourceVersion=0&resourceVersionMatch=NotOlderThan"])
async def test_whatever_there_is_is_given_whole(world: World, query: str) -> None:
    for name in "abc":
        await world.post(CMS, configmap(name))
    found = (await world.get(f"{CMS}?limit=2&{query}")).body
    assert len(found["items"]) == 3
    assert not found["metadata"].keys() & {"continue", "remainingItemCount"}


async def test_versions_of_gets_and_watches_that_cannot_be_read(world: World) -> None:
    await world.post(CMS, configmap())
    for url in (f"{CMS}/a?resourceVersion=x", f"{CMS}?watch=1&resourceVersion=x"):
        refused = await world.get(url)
        assert (refused.status, refused.reason, refused.message) == (500, "", unreadable("x"))


async def test_a_watch_from_nowhere_marks_the_end_of_what_there_was(world: World) -> None:
    await world.post(CMS, configmap())
    for query in ("", "&resourceVersion=0", "&shardSelector=whatever"):
        events = await (await world.watch(f"{CMS}?watch=1&allowWatchBookmarks=true{query}")).events()
        assert [event["type"] for event in events] == ["ADDED", "BOOKMARK"]
        assert events[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_from_the_future(world: World) -> None:
    made = await world.post(CMS, configmap("a"))
    future = int(made.version) + 2
    waiting = await world.watch(f"{CMS}?watch=1&resourceVersion={future}")
    match = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    refused = await world.watch(f"{CMS}?watch=1&resourceVersion={future}&{match}")
    for name in "bcd":
        await world.post(CMS, configmap(name))
    assert await waiting.names() == [("ADDED", "d")]
    [error] = await refused.events()
    assert (error["type"], error["object"]["code"], error["object"]["reason"]) == ("ERROR", 504, "Timeout")
    assert error["object"]["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert refused.answer.watcher.ended


async def test_a_watch_that_has_ended_before_it_began(world: World) -> None:
    await world.post(CMS, configmap())
    watching = await world.watch(f"{CMS}?watch=1&timeoutSeconds=-1")
    assert watching.answer.watcher.ended
    assert await watching.events() == []
