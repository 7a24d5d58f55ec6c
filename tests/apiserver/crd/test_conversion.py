"""Several versions of a resource, converted by name only or by a webhook; what goes wrong with webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.apiserver.crd.definitions import CRDS, GROUP, definition, install, version, widget
from tests.apiserver.hookserver import HookServer, hook_server
from tests.apiserver.world import MERGE, TABLE, World

V1: dict[str, Any] = {"type": "object", "properties": {"hostPort": {"type": "string"}}}
V2: dict[str, Any] = {"type": "object", "properties": {"host": {"type": "string"}, "port": {"type": "string"}}}
URL = f"/apis/{GROUP}/{{}}/namespaces/default/hosts"
ONE, TWO = URL.format("v1"), URL.format("v2")
NAME = f"hosts.{GROUP}"


def convert(review: dict[str, Any]) -> dict[str, Any]:
    """What the webhook does: hostPort of v1 is host and port of v2."""
    request = review["request"]
    wanted = request["desiredAPIVersion"]
    converted = []
    for obj in request["objects"]:
        new = {**obj, "apiVersion": wanted}
        if wanted.endswith("/v2"):
            host, _, port = new.pop("hostPort", "").partition(":")
            new |= {name: value for name, value in (("host", host), ("port", port)) if value}
        elif "host" in new:
            new["hostPort"] = f"{new.pop('host')}:{new.pop('port', '')}"
        converted.append(new)
    return answer(review, converted)


def answer(review: dict[str, Any], converted: list[Any], **result: Any) -> dict[str, Any]:
    response = {
        "uid": review["request"]["uid"],
        "convertedObjects": converted,
        "result": {"status": "Success", **result},
    }
    return {"kind": "ConversionReview", "apiVersion": review["apiVersion"], "response": response}


def hosts(server: HookServer, storage: str = "v1", review: tuple[str, ...] = ("v1", "v1beta1")) -> dict[str, Any]:
    """The definition."""
    webhook = {"clientConfig": server.client("/convert"), "conversionReviewVersions": list(review)}
    return definition(
        "hosts",
        "Host",
        version("v1", storage=storage == "v1", schema=V1, selectableFields=[{"jsonPath": ".hostPort"}]),
        version("v2", storage=storage == "v2", schema=V2, selectableFields=[{"jsonPath": ".host"}]),
        conversion={"strategy": "Webhook", "webhook": webhook},
    )


def host(name: str, api_version: str = "v1", **content: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/{api_version}", "kind": "Host", "metadata": {"name": name}, **content}


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[HookServer]:
    async with hook_server(tmp_path) as found:
        found.answers["/convert"] = convert
        yield found


async def test_without_a_webhook_only_the_version_changes(world: World) -> None:
    await install(world, definition("widgets", "Widget", version("v1"), version("v2", storage=False)))
    url = f"/apis/{GROUP}/v2/namespaces/default/widgets"
    watch = await world.watch(f"{url}?watch=true")
    made = await world.post(url, widget(api_version=f"{GROUP}/v2"))
    assert (made.status, made.body["apiVersion"]) == (201, f"{GROUP}/v2")
    assert (await world.get(f"/apis/{GROUP}/v1/namespaces/default/widgets/a")).body["apiVersion"] == f"{GROUP}/v1"
    assert [each["object"]["apiVersion"] for each in await watch.events()] == [f"{GROUP}/v2"]
    patched = await world.patch(f"{url}/a", {"spec": {"size": 4}}, MERGE)
    assert (patched.body["apiVersion"], patched.body["spec"]["size"]) == (f"{GROUP}/v2", 4)
    assert patched.body["metadata"]["generation"] == 2


async def test_objects_are_read_and_written_in_every_version(world: World, server: HookServer) -> None:
    await install(world, hosts(server))
    assert (await world.post(ONE, host("a", hostPort="localhost:8080"))).status == 201
    assert server.asked == []
    two = (await world.get(f"{TWO}/a")).body
    assert (two["apiVersion"], two["host"], two["port"]) == (f"{GROUP}/v2", "localhost", "8080")
    assert "hostPort" not in two
    made = await world.post(TWO, host("b", "v2", host="h", port="1"))
    assert (made.body["apiVersion"], made.body["host"]) == (f"{GROUP}/v2", "h")
    assert (await world.get(f"{ONE}/b")).body["hostPort"] == "h:1"
    patched = await world.patch(f"{TWO}/a", {"port": "9"}, MERGE)
    assert (patched.body["host"], patched.body["port"], patched.body["metadata"]["generation"]) == ("localhost", "9", 2)
    assert (await world.get(f"{ONE}/a")).body["hostPort"] == "localhost:9"
    deleted = await world.delete(f"{TWO}/a")
    assert deleted.body["status"] == "Success"


async def test_a_list_of_several_stored_versions(world: World, server: HookServer) -> None:
    await install(world, hosts(server))
    await world.post(ONE, host("a", hostPort="x:1"))
    crd = (await world.get(f"{CRDS}/{NAME}")).body
    crd["spec"]["versions"] = hosts(server, "v2")["spec"]["versions"]
    updated = await world.put(f"{CRDS}/{NAME}", crd)
    assert updated.body["status"]["storedVersions"] == ["v1", "v2"]
    assert (await world.post(ONE, host("b", hostPort="y:2"))).body["hostPort"] == "y:2"
    server.asked.clear()
    one = (await world.get(ONE)).body["items"]
    assert [(each["apiVersion"], each["hostPort"]) for each in one] == [(f"{GROUP}/v1", "x:1"), (f"{GROUP}/v1", "y:2")]
    two = (await world.get(TWO)).body["items"]
    assert [(each["apiVersion"], each["host"]) for each in two] == [(f"{GROUP}/v2", "x"), (f"{GROUP}/v2", "y")]
    assert [len(review["request"]["objects"]) for _, review in server.asked] == [1, 1]
    # Until it is written again an object stays as it was stored; then even a change of nothing rewrites it.
    before = (await world.get(f"{ONE}/a")).version
    assert (await world.patch(f"{ONE}/a", {}, MERGE)).version != before
    server.asked.clear()
    await world.get(f"{TWO}/a")
    assert server.asked == []


async def test_watches_selectors_and_tables_of_a_converted_version(world: World, server: HookServer) -> None:
    await install(world, hosts(server))
    await world.post(ONE, host("a", hostPort="h1:80"))
    every = await world.watch(f"{TWO}?watch=true")
    some = await world.watch(f"{TWO}?watch=true&fieldSelector=host=h1")
    for number in range(20):
        await world.post(ONE, host(f"n{number}", hostPort=f"h{number % 2}:1"))
    await world.patch(f"{TWO}/a", {"host": "h2"}, MERGE)
    names = [each["metadata"]["name"] for each in (await world.get(f"{TWO}?fieldSelector=host=h1")).body["items"]]
    assert sorted(names) == sorted(f"n{number}" for number in range(1, 20, 2))
    assert (await world.get(f"{ONE}?fieldSelector=hostPort=h0:1")).body["items"][0]["hostPort"] == "h0:1"
    events = await every.events()
    assert [each["object"]["metadata"]["name"] for each in events] == ["a", *(f"n{n}" for n in range(20)), "a"]
    assert {each["object"]["apiVersion"] for each in events} == {f"{GROUP}/v2"}
    wanted = [("ADDED", "a"), *(("ADDED", f"n{n}") for n in range(1, 20, 2)), ("DELETED", "a")]
    assert await some.names() == wanted
    rows = (await world.get(TWO, TABLE)).body["rows"]
    assert len(rows) == 21
    collected = await world.call("DELETE", f"{TWO}?fieldSelector=host=h1")
    assert collected.status == 200
    assert len((await world.get(ONE)).body["items"]) == 11


async def test_the_older_review(world: World, server: HookServer) -> None:
    await install(world, hosts(server, review=("v9", "v1beta1")))
    await world.post(ONE, host("a", hostPort="x:1"))
    assert (await world.get(f"{TWO}/a")).body["host"] == "x"
    assert server.asked[0][1]["apiVersion"] == "apiextensions.k8s.io/v1beta1"


def _changed(**change: Any) -> Any:
    def change_it(review: dict[str, Any]) -> dict[str, Any]:
        said = convert(review)
        for obj in said["response"]["convertedObjects"]:
            for name, value in change.items():
                if name == "metadata" and isinstance(value, dict):
                    obj["metadata"] = {**obj["metadata"], **value}
                else:
                    obj[name] = value
        return said

    return change_it


LEAD = f"conversion webhook for {GROUP}/v1, Kind=Host "


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            lambda r: {"kind": "Pod", "apiVersion": "v1"},
            "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=C",
        ),
        (lambda r: {"kind": "ConversionReview", "apiVersion": r["apiVersion"]}, "failed: no response provided"),
        (lambda r: answer({**r, "request": {"uid": "x"}}, []), "failed: expected response.uid="),
        (lambda r: answer(r, [], status="Failure", message="no"), "failed: no"),
        (lambda r: answer(r, [], status=""), "failed: response.result.status was '', not 'Success'"),
        (lambda r: answer(r, []), "returned 0 objects, expected 1"),
        (lambda r: answer(r, [3]), "returned invalid object at index 0: Object 'Kind' is missing in '3'"),
        (_changed(apiVersion="a/v1"), "returned invalid object at index 0: invalid groupVersion (expected "),
        (_changed(kind="Other"), "returned invalid object at index 0: invalid kind (expected Host, received Other)"),
        (_changed(metadata={"name": "b"}), "returned invalid object: must have the same name: a != b"),
        (_changed(metadata={"uid": "b"}), "returned invalid object: must have the same UID: "),
        (_changed(metadata={"labels": {"a b": "c"}}), "returned invalid metadata: metadata.labels: Inv"),
        (_changed(metadata={"labels": {"a": 1}}), "returned invalid metadata: metadata.labels[a] must be"),
    ],
)
async def test_webhooks_that_lie(world: World, server: HookServer, said: Any, message: str) -> None:
    await install(world, hosts(server))
    await world.post(ONE, host("a", hostPort="x:1"))
    server.answers["/convert"] = said
    got = await world.get(f"{TWO}/a")
    assert got.status == 500
    assert got.message.startswith(LEAD + message)
    assert (await world.get(f"{ONE}/a")).status == 200
    listed = await world.get(TWO)
    assert listed.status == 500
    assert listed.message.startswith(f"conversion webhook for {GROUP}/v2, Kind=HostList ")
    server.answers["/convert"] = convert
    assert (await world.get(TWO)).body["items"][0]["host"] == "x"


async def test_what_a_webhook_may_change_of_metadata(world: World, server: HookServer) -> None:
    await install(world, hosts(server))
    await world.post(ONE, host("a", hostPort="x:1"))
    change = {"labels": {"a": "b"}, "finalizers": ["x/y"], "ownerReferences": [{"uid": "1"}], "odd": 1}
    server.answers["/convert"] = _changed(metadata=change)
    found = (await world.get(f"{TWO}/a")).body["metadata"]
    assert found["labels"] == {"a": "b"}
    assert not {"finalizers", "ownerReferences", "odd"} & found.keys()


async def test_a_webhook_that_hangs_holds_up_nobody_else(world: World, server: HookServer) -> None:
    await install(world, hosts(server))
    await world.post(ONE, host("a", hostPort="x:1"))
    watch = await world.watch(f"{TWO}?watch=true")
    free = asyncio.Event()

    async def slowly(review: dict[str, Any]) -> dict[str, Any]:
        await free.wait()
        return convert(review)

    server.answers["/convert"] = slowly
    waiting = asyncio.create_task(world.get(f"{TWO}/a"))
    assert (await world.post(ONE, host("b", hostPort="y:1"))).status == 201
    assert len((await world.get(ONE)).body["items"]) == 2
    late = await world.get(f"{TWO}?timeout=50ms")
    assert late.status == 504
    free.set()
    assert (await waiting).body["host"] == "x"
    assert len((await world.get(TWO)).body["items"]) == 2
    assert await watch.names() == [("ADDED", "a"), ("ADDED", "b")]


async def test_a_watch_ends_when_its_events_cannot_be_converted(world: World, server: HookServer) -> None:
    await install(world, hosts(server))
    await world.post(ONE, host("a", hostPort="x:1"))
    watch = await world.watch(f"{TWO}?watch=true")
    server.answers["/convert"] = lambda review: answer(review, [], status="Failure", message="broken")
    await world.post(ONE, host("b", hostPort="y:1"))
    async with asyncio.timeout(5):
        seen = [each async for each in watch.answer.events()]
    assert len(seen) == 1
    assert (await world.ask("GET", f"{TWO}?watch=true")).status == 500
    server.answers["/convert"] = convert
    again = await world.watch(f"{TWO}?watch=true")
    assert len(await again.events()) == 2


async def test_who_came_before_the_definition_changed_is_answered(world: World, server: HookServer) -> None:
    await install(world, hosts(server))
    await world.post(ONE, host("a", hostPort="x:1"))
    served = world.app.routes.find(GROUP, "v2", "hosts")
    assert served is not None
    assert served.view is not None
    await served.view.open()
    crd = (await world.get(f"{CRDS}/{NAME}")).body
    crd["spec"]["versions"][1]["schema"]["openAPIV3Schema"]["description"] = "Changed."
    assert (await world.put(f"{CRDS}/{NAME}", crd)).status == 200
    await world.post(ONE, host("b", hostPort="y:1"))
    assert served.view.ended
    await asyncio.gather(served.view.open(), served.view.open())
    assert list(served.view.cache.items) == ["default/a", "default/b"]
