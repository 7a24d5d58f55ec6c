"""Random bytes, mutated objects and odd parameters at every route: each answer is whole, and a failure is a Status.

One server lives through a whole run, so that what one request breaks shows in the next. Objects are grown from valid
ones by replacing random parts of them; routes and verbs come from the catalog.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kijabi.api import catalog, codec, protobuf
from kijabi.api.meta import Status
from kijabi.api.resource import Resource
from kijabi.apiserver.attributes import Peer
from kijabi.apiserver.watch import WatchAnswer
from kijabi.client.transport import Request, Response
from tests.apiserver.world import World, configmap, deployment, pod, running

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("1Gi"))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
RESOURCES = list(catalog.RESOURCES)
MEDIA = st.sampled_from([
    "", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/plain",
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json",
    "application/apply-patch+yaml", "application/json; charset=utf-8",
])  # fmt: skip
ACCEPT = st.sampled_from([
    "", "*/*", "application/json", "application/yaml", "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "image/png", ",;=", "application/json;q=x",
    "application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
])  # fmt: skip
PARAMS = st.lists(
    st.tuples(
        st.sampled_from([
            "watch", "limit", "continue", "resourceVersion", "resourceVersionMatch", "labelSelector", "fieldSelector",
            "sendInitialEvents", "allowWatchBookmarks", "timeoutSeconds", "timeout", "dryRun", "fieldManager",
            "fieldValidation", "pretty", "gracePeriodSeconds", "propagationPolicy", "orphanDependents", "force",
            "includeObject", "container", "command",
        ]),
        st.one_of(
            st.sampled_from(["", "0", "1", "true", "All", "Strict", "-1", "9" * 30, "a=b", "a in (b", "Exact"]),
            st.text(max_size=12),
        ),
    ),
    max_size=4,
)  # fmt: skip
STREAMS = ("exec", "attach", "portforward", "proxy", "log")
QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def path_of(resource: Resource, name: str = "", sub: str = "") -> str:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    scope = "/namespaces/default" if resource.namespaced else ""
    return "/".join(part for part in (f"{root}{scope}/{resource.plural}", name, sub) if part)


@st.composite
def routes(draw: st.DrawFn) -> tuple[str, str]:
    """(method, path) on something that exists, almost exists, or does not."""
    method = draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]))
    if draw(st.integers(0, 9)) == 0:
        known = st.sampled_from(["api", "apis", "v1", "apps", "watch", "namespaces", "openapi", "v3"])
        words = st.one_of(known, st.text())
        return method, "/" + "/".join(draw(st.lists(words, max_size=7)))
    resource = draw(st.sampled_from(RESOURCES))
    names = draw(st.sampled_from(["", "a", "web", "p", "default", "n1"]))
    subs = [sub.name for sub in resource.subresources if sub.name not in STREAMS]
    return method, path_of(resource, names, draw(st.sampled_from(["", *subs])) if names else "")


def mutated(value: Any, draw: st.DrawFn) -> Any:
    """A copy of a JSON value with one part of it replaced, dropped or added."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: mutated(value[key], draw)}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        return [mutated(value[0], draw), *value[1:]]
    if isinstance(value, dict) and draw(st.booleans()):
        return {**value, draw(st.text(max_size=6)): draw(VALUES)}
    return draw(VALUES)


@st.composite
def objects(draw: st.DrawFn) -> Any:
    """A valid object with up to three parts changed."""
    seed = draw(st.sampled_from([
        configmap(), pod(), deployment(), {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}},
        {"metadata": {"name": "a"}, "spec": {"replicas": 1}}, {"metadata": {"name": "default"}, "spec": {}},
        {"metadata": {"name": "p"}, "target": {"name": "n1"}}, {"kind": "DeleteOptions", "gracePeriodSeconds": 0},
        [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}],
    ]))  # fmt: skip
    for _ in range(draw(st.integers(0, 3))):
        seed = mutated(seed, draw)
    return seed


@pytest.fixture(scope="module")
def runner() -> Iterator[tuple[asyncio.Runner, World]]:
    """A server with a few objects that lives through the module."""
    with asyncio.Runner() as loop:
        context = running()
        world = loop.run(context.__aenter__())
        loop.run(fill(world))
        yield loop, world
        loop.run(context.__aexit__(None, None, None))


async def fill(world: World) -> None:
    await world.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    await world.post("/api/v1/namespaces/default/configmaps", configmap())
    await world.post("/api/v1/namespaces/default/pods", pod())
    await world.post("/apis/apps/v1/namespaces/default/deployments", deployment())


def binary(data: bytes) -> dict[str, Any]:
    """A Status in protobuf."""
    unknown = protobuf.decode_unknown(data)
    return {"kind": unknown.kind, **codec.to_builtins(protobuf.decode(Status, unknown.raw))}


READERS: dict[str, Callable[[bytes], Any]] = {
    "application/json": msgspec.json.decode,
    "application/yaml": yaml.safe_load,
    "application/vnd.kubernetes.protobuf": binary,
}


def check(answer: Any, request: Any) -> None:
    """Every answer is whole; a failure is a Status or a plain 404, and never the server's own fault."""
    if isinstance(answer, WatchAnswer):
        answer.watcher.take()
        answer.watcher.close()
        return
    if not isinstance(answer, Response):
        return
    assert answer.headers["Audit-Id"]
    if answer.status >= 400 and answer.headers["Content-Type"] in READERS:
        body = READERS[answer.headers["Content-Type"]](answer.body)
        assert body["kind"] == "Status", request
        assert body["code"] == answer.status
        assert body["message"], request
        assert "panic" not in body["message"], (request, body)
        assert answer.status < 500 or body.get("reason") in ("Timeout", "ServiceUnavailable", "", None), (request, body)
    elif answer.status >= 400:
        assert answer.status == 404, (request, answer)


@QUICK
@given(route=routes(), body=st.binary(max_size=60), media=MEDIA, accept=ACCEPT, params=PARAMS)
def test_random_bytes(runner: Any, route: Any, body: bytes, media: str, accept: str, params: Any) -> None:
    loop, world = runner
    send(loop, world, route, body, media, accept, params)


@QUICK
@given(route=routes(), body=objects(), media=MEDIA, accept=ACCEPT, params=PARAMS)
def test_mutated_objects(runner: Any, route: Any, body: Any, media: str, accept: str, params: Any) -> None:
    loop, world = runner
    send(loop, world, route, msgspec.json.encode(body), media, accept, params)


@QUICK
@given(
    resource=st.sampled_from(RESOURCES),
    noise=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 400),
)
def test_damaged_protobuf(runner: Any, resource: Resource, noise: Any, cut: int) -> None:
    loop, world = runner
    seed = codec.from_builtins(resource.type, {"metadata": {"name": "a", "labels": {"a": "b"}}})
    seed.kind, seed.apiVersion = resource.kind, resource.api_version  # type: ignore[attr-defined]
    data = bytearray(protobuf.encode_unknown(seed))  # type: ignore[arg-type]
    for place, value in noise:
        data[place % len(data)] = value
    body = bytes(data[: cut or len(data)])
    send(loop, world, ("POST", path_of(resource)), body, "application/vnd.kubernetes.protobuf", "", [])


def send(loop: asyncio.Runner, world: World, route: Any, body: bytes, media: str, accept: str, params: Any) -> None:
    method, path = route
    headers = {name: value for name, value in (("content-type", media), ("accept", accept)) if value}
    request = (method, path, body, headers, params)

    async def ask() -> None:
        asked = Request(method=method, path=path, query=tuple(params), headers=headers, body=body)
        async with asyncio.timeout(10):
            check(await world.app.api.handle(asked, Peer()), request)
            health = await world.get("/readyz")
        assert health.status == 200

    loop.run(ask())
