"""The wire checklist, section 5: the options of lists and watches, and what is said of those that do not fit."""

from __future__ import annotations

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
NEEDS_MATCH = (
    "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
)
NEEDS_EVENTS = (
    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
)


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
        ("resourceVersion=x", 'invalid resource version: strconv.ParseUint: parsing "x": invalid syntax'),
        ("resourceVersion=-1", 'invalid resource version: strconv.ParseUint: parsing "-1": invalid syntax'),
        ("labelSelector=a%20b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("labelSelector=a%3Db%20c", "found 'c', expected: ',' or 'end of string'"),
        ("labelSelector=a%20in%20(b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("labelSelector=,", "found ',', expected: !, identifier, or 'end of string'"),
        ("fieldSelector=foo", "invalid selector: 'foo'; can't understand 'foo'"),
        ("fieldSelector=foo%3D1",
         '"foo" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        ("fieldSelector=metadata.name%3Da%5C", "invalid field selector: invalid escape sequence: \\"),
        ("continue=x&resourceVersion=1", "specifying resource version is not allowed when using continue"),
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
