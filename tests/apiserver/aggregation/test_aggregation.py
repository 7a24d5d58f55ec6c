"""An API server behind this one: availability, requests passed on, discovery and OpenAPI merged, misbehaviour."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from kijabi.api.apiregistration.apiservice import ServiceReference
from kijabi.apiserver.aggregation import availability, discovery, openapi
from kijabi.apiserver.aggregation.backends import Unreachable, identity
from kijabi.apiserver.attributes import StreamAnswer, UpgradeAnswer, UserInfo
from kijabi.base.errors import BadRequest, ConnectionLost
from tests.apiserver.aggregation.backend import (
    DISCOVERY,
    FLUNDER,
    GROUP,
    ROOT,
    SWAGGER,
    Backend,
    aggregating,
    api_service,
    discovered,
    eventually,
    install_service,
    register,
    settled,
    until,
)
from tests.apiserver.world import World

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"


async def text(answer: Any) -> str:
    """The whole body of an answer."""
    if isinstance(answer, StreamAnswer):
        return b"".join([chunk async for chunk in answer.chunks]).decode()
    return str(answer.body.decode())


async def described(world: World) -> dict[str, Any] | None:
    """The OpenAPI document, if the aggregated version is in it."""
    found = (await world.get("/openapi/v2")).body
    return found if f"{ROOT}/flunders" in found["paths"] else None


async def test_built_in_versions_have_local_services(world: World) -> None:
    found = {each["metadata"]["name"]: each for each in (await world.get(SERVICES)).body["items"]}
    assert {"v1.", "v1.apps", "v2.autoscaling", "v1.apiextensions.k8s.io"} <= set(found)
    assert "v1.apiregistration.k8s.io" not in found
    apps = found["v1.apps"]
    assert apps["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}
    assert apps["spec"] == {"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15}
    assert apps["status"]["conditions"][0] | {"lastTransitionTime": 0} == {
        "type": "Available", "status": "True", "reason": "Local", "lastTransitionTime": 0,
        "message": "Local APIServices are always available",
    }  # fmt: skip


async def test_groups_stand_in_the_order_of_their_priorities(world: World) -> None:
    groups = [group["name"] for group in (await world.get("/apis")).body["groups"]]
    assert groups[:4] == ["apiregistration.k8s.io", "apps", "events.k8s.io", "authentication.k8s.io"]
    scaling = (await world.get("/apis/autoscaling")).body
    assert [each["version"] for each in scaling["versions"]] == ["v2", "v1"]
    patch = {"spec": {"groupPriorityMinimum": 1}}
    await world.patch(f"{SERVICES}/v1.apps", patch)
    assert [group["name"] for group in (await world.get("/apis")).body["groups"]][-1] == "apps"


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"group": "other.example.com"}, "metadata.name", 'must be `spec.version+"."+spec.group`'),
        ({"groupPriorityMinimum": 0}, "spec.groupPriorityMinimum", "must be positive and less than 20000"),
        ({"versionPriority": 1001}, "spec.versionPriority", "must be positive and less than 1000"),
        ({"caBundle": "YQ=="}, "spec.insecureSkipTLSVerify", "may not be true if caBundle is present"),
        ({"service": {"name": "a"}}, "spec.service.namespace", "Required value"),
        ({"service": None}, "spec.insecureSkipTLSVerify", "local APIServices may not have insecureSkipTLSVerify"),
    ],
)
async def test_api_services_are_validated(world: World, change: dict[str, Any], field: str, message: str) -> None:
    answer = await world.post(SERVICES, api_service(**change))
    assert answer.status == 422
    causes = {cause["field"]: cause["message"] for cause in answer.body["details"]["causes"]}
    assert message in causes[field]


async def test_an_aggregated_version_is_served_and_described() -> None:
    async with aggregating() as (world, backend):
        await install_service(world)
        await register(world)
        found = await until(world, "Passed")
        assert (found["status"], found["message"]) == ("True", "all checks passed")
        assert (await settled(world, "Current"))["resources"] == [FLUNDER]
        groups = [group["name"] for group in (await world.get("/apis")).body["groups"]]
        assert GROUP in groups
        answer = await world.ask("GET", f"{ROOT}/flunders?limit=5")
        assert (answer.status, await text(answer)) == (200, '{"kind":"FlunderList"}')
        head = backend.requests(f"{ROOT}/flunders")[0]
        assert head[0] == f"GET {ROOT}/flunders?limit=5 HTTP/1.1"
        assert {"X-Remote-User: kubernetes-admin", "X-Remote-Group: system:masters"} <= set(head)
        document = await eventually(partial(described, world))
        assert "com.Flunder" in document["definitions"]
        assert "com.Unused" not in document["definitions"]
        index = (await world.get("/openapi/v3")).body["paths"]
        third = await world.get(index[ROOT[1:]]["serverRelativeURL"])
        assert third.body == {"openapi": "3.0.0", "paths": {}}
        table = await world.get(SERVICES, {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"})
        rows = {row["cells"][0]: row["cells"][1:3] for row in table.body["rows"]}
        assert rows[f"v1.{GROUP}"] == ["apis/sample", "True"]
        assert rows["v1.apps"] == ["Local", "True"]
        await world.delete(f"{SERVICES}/v1.{GROUP}")
        assert await discovered(world) is None
        assert (await world.get(f"{ROOT}/flunders")).raw == b"404 page not found\n"
        assert "com.Flunder" not in (await world.get("/openapi/v2")).body["definitions"]


async def test_conditions_follow_the_service() -> None:
    async with aggregating() as (world, backend):
        await register(world)
        found = await until(world, "ServiceNotFound")
        assert found["message"] == 'service/sample in "apis" is not present'
        refused = await world.get(f"{ROOT}/flunders")
        assert (refused.status, refused.raw) == (503, b"service unavailable\n")
        assert (await settled(world, "Stale"))["resources"] == []
        await install_service(world, ready=False)
        found = await until(world, "MissingEndpoints")
        assert found["message"].endswith('have no addresses with port name ""')
        backend.down = True
        piece = "/apis/discovery.k8s.io/v1/namespaces/apis/endpointslices/sample-1"
        await world.patch(piece, {"endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}]})
        found = await until(world, "FailedDiscoveryCheck")
        url = f"https://10.1.2.3:6443{ROOT}"
        assert found["message"] == (
            f'failing or missing response from {url}: Get "{url}": dial tcp 10.1.2.3:6443: connect: connection refused'
        )
        backend.down = False
        await until(world, "Passed")
        await settled(world, "Current")


async def test_a_server_that_dies_ends_its_watch_only() -> None:
    async with aggregating() as (world, backend):
        await install_service(world)
        await register(world)
        await until(world, "Passed")
        own = await world.watch("/api/v1/namespaces?watch=true")
        answer = await world.ask("GET", f"{ROOT}/flunders?watch=true")
        assert isinstance(answer, StreamAnswer)
        assert await anext(answer.chunks) == b'{"type":"ADDED"}\n'
        for writer in backend.writers:
            writer.transport.abort()
        with pytest.raises((ConnectionLost, StopAsyncIteration)):
            await anext(answer.chunks)
        await world.post("/api/v1/namespaces", {"metadata": {"name": "later"}})
        assert ("ADDED", "later") in await own.names()


async def test_a_server_that_hangs_is_given_up_on() -> None:
    async with aggregating() as (world, backend):
        await install_service(world)
        await register(world)
        await until(world, "Passed")
        backend.hang.add(f"{ROOT}/flunders")
        answer = await world.get(f"{ROOT}/flunders?timeout=50ms")
        assert (answer.status, answer.reason) == (504, "Timeout")
        backend.answers[f"{ROOT}/flunders"] = (302, b"")
        backend.hang.clear()
        assert (await world.get(f"{ROOT}/flunders")).status == 502
        backend.down = True
        refused = await world.get(f"{ROOT}/flunders")
        assert refused.status == 503
        assert refused.raw.startswith(b"error trying to reach service: dial tcp 10.1.2.3:6443: connect: connection ref")


class Client:
    """The client's end of an upgraded connection: it says one thing and waits for the echo."""

    def __init__(self) -> None:
        self.said = [b"hello"]
        self.heard = b""
        self.done = asyncio.Event()

    async def read(self, limit: int = 65536) -> bytes:
        if self.said:
            return self.said.pop()
        await self.done.wait()
        return b""

    async def write(self, data: bytes) -> None:
        self.heard += data
        self.done.set()

    def close(self) -> None: ...


async def test_upgrades_pass_through() -> None:
    async with aggregating() as (world, backend):
        await install_service(world)
        await register(world)
        await until(world, "Passed")
        path = f"{ROOT}/namespaces/default/flunders/a/connect"
        answer = await world.ask("GET", path, headers={"connection": "Upgrade", "upgrade": "echo"})
        assert isinstance(answer, UpgradeAnswer)
        client = Client()
        await answer.serve(client)
        assert client.heard == b"HELLO"
        assert "X-Remote-User: kubernetes-admin" in backend.requests(path)[0]


GARBAGE: list[Any] = [
    (200, b"not json"), (200, b"[]"), (200, b'{"resources":[{"name":7}]}'), (500, b""), (200, b'{"paths":[]}'),
    (200, b'{"paths":{"/apis/wardle.example.com/v1/x":{"get":{"responses":7}}},"definitions":7}'), (200, b"[" * 9999),
]  # fmt: skip


async def asked(backend: Backend, path: str) -> bool:
    return bool(backend.requests(path))


async def status(world: World, path: str, wanted: int) -> Any:
    found = await world.get(path)
    return found if found.status == wanted else None


@pytest.mark.parametrize("garbage", GARBAGE)
async def test_garbage_is_nobody_elses_trouble(garbage: tuple[int, bytes]) -> None:
    async with aggregating() as (world, backend):
        for path in ("/apis", "/openapi/v2", "/openapi/v3", f"/openapi/v3{ROOT}"):
            backend.answers[path] = garbage
        await install_service(world)
        await register(world)
        await until(world, "Passed")
        await eventually(partial(asked, backend, "/openapi/v2"))
        assert "io.k8s.api.core.v1.Pod" in (await world.get("/openapi/v2")).body["definitions"]
        assert "api/v1" in (await world.get("/openapi/v3")).body["paths"]
        assert "apps" in [group["name"] for group in (await world.get("/apis")).body["groups"]]
        assert await discovered(world) is not None
        assert (await world.ask("GET", f"{ROOT}/flunders")).status == 200


async def test_versions_of_custom_resources_have_services_for_as_long_as_they_are_served(world: World) -> None:
    names = {"plural": "foos", "kind": "Foo", "singular": "foo", "listKind": "FooList"}
    version = {
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}},
    }  # fmt: skip
    definition = {
        "metadata": {"name": "foos.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    assert (await world.post(definitions, definition)).status == 201
    found = await eventually(partial(status, world, f"{SERVICES}/v1.example.com", 200))
    assert found.body["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "true"}
    assert (found.body["spec"]["groupPriorityMinimum"], found.body["spec"]["versionPriority"]) == (1000, 100)
    await world.delete(f"{definitions}/foos.example.com")
    await eventually(partial(status, world, f"{SERVICES}/v1.example.com", 404))


def test_who_asks_travels_in_headers() -> None:
    user = UserInfo("jane", uid="7", groups=("a", "b"), extra={"example.com/Scope%": ("x", "y")})
    assert identity(user) == [
        ("X-Remote-User", "jane"), ("X-Remote-Uid", "7"), ("X-Remote-Group", "a"), ("X-Remote-Group", "b"),
        ("X-Remote-Extra-example.com%2FScope%25", "x"), ("X-Remote-Extra-example.com%2FScope%25", "y"),
    ]  # fmt: skip


async def test_what_services_look_like(world: World) -> None:
    reader = world.app.caches
    service = {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 443}]}}
    await world.post("/api/v1/namespaces/default/services", service)
    await reader.fresh()
    assert availability.look(reader, ServiceReference("default", "web", 80)) == availability.Verdict(
        "False", "ServicePortError", 'service/web in "default" is not listening on port 80'
    )
    assert availability.look(reader, ServiceReference("default", "web", 443)) == availability.Verdict(
        "False", "EndpointsNotFound", 'cannot find endpointslices for service/web in "default"'
    )


def test_older_discovery_is_turned_into_the_newer_form() -> None:
    body = b"""{"kind":"APIResourceList","resources":[
        {"name":"foos","singularName":"foo","namespaced":true,"kind":"Foo","verbs":["get"],"shortNames":["f"]},
        {"name":"foos/status","singularName":"","namespaced":true,"kind":"Foo","verbs":["update"]}]}"""
    kind = {"group": "", "version": "", "kind": "Foo"}
    assert discovery.legacy(body) == [
        {
            "resource": "foos", "responseKind": kind, "scope": "Namespaced", "singularResource": "foo",
            "verbs": ["get"], "shortNames": ["f"],
            "subresources": [{"subresource": "status", "responseKind": kind, "verbs": ["update"]}],
        }
    ]  # fmt: skip
    with pytest.raises(BadRequest):
        discovery.legacy(b"nonsense")
    assert discovery.aggregated(str(DISCOVERY).replace("'", '"').encode(), GROUP, "v2") == []


def test_a_document_is_cut_to_what_its_server_is_registered_for() -> None:
    pieces = openapi.cut(SWAGGER, f"{ROOT}/")
    assert list(pieces.paths) == [f"{ROOT}/flunders"]
    assert list(pieces.definitions) == ["com.Flunder"]
    with pytest.raises(Unreachable):
        openapi.cut({"paths": 7}, ROOT)


async def test_a_version_that_comes_back_is_described_again() -> None:
    async with aggregating() as (world, _):
        await install_service(world)
        for _ in range(2):
            await register(world)
            assert await eventually(partial(described, world))
            await world.delete(f"{SERVICES}/v1.{GROUP}")
            assert await described(world) is None
