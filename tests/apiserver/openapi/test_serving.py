"""The documents as clients fetch them: forms, ETags, hashes, what changes with the routes."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest

from kijabi.api.custom import Custom
from kijabi.api.resource import Resource
from kijabi.apiserver.document import Document
from kijabi.apiserver.openapi.serving import Foreign
from kijabi.apiserver.openapi.version2 import Pieces
from tests.apiserver.test_pages import references
from tests.apiserver.world import World

PROTOBUF = "application/com.github.proto-openapi.spec.v2{}v1.0+protobuf"


def crontabs(version: str = "v1", **more: Any) -> Resource:
    return Resource(
        group="stable.example.com", version=version, kind="CronTab", plural="crontabs", type=Custom,
        schema={"type": "object", "properties": {"spec": {"type": "object"}}}, **more,
    )  # fmt: skip


def serve(world: World, resource: Resource) -> None:
    if resource.qualified not in {cache.resource.qualified for cache in world.app.caches.by_prefix.values()}:
        world.app.caches.add(resource)
    world.app.routes.add(resource)


async def swagger(world: World) -> dict[str, Any]:
    return (await world.get("/openapi/v2")).body


async def test_version_2_names_types_and_their_kinds(world: World) -> None:
    answer = await world.get("/openapi/v2")
    assert answer.headers["Content-Type"] == "application/json"
    document = answer.body
    pod = document["definitions"]["io.k8s.api.core.v1.Pod"]
    assert pod["x-kubernetes-group-version-kind"] == [{"group": "", "version": "v1", "kind": "Pod"}]
    assert pod["properties"]["spec"]["$ref"] == "#/definitions/io.k8s.api.core.v1.PodSpec"
    assert pod["properties"]["spec"]["description"].startswith("What is to run")
    assert pod["properties"]["apiVersion"]["description"].startswith("APIVersion defines")
    ports = document["definitions"]["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"]
    assert ports["x-kubernetes-list-map-keys"] == ["port", "protocol"]
    assert ports["x-kubernetes-patch-merge-key"] == "port"
    assert document["definitions"]["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["type"] == "string"
    patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert {"dryRun", "fieldValidation", "force"} <= {each["name"] for each in patch["parameters"]}
    assert patch["parameters"][0]["in"] == "body"
    assert set(references(document)) <= set(document["definitions"])
    assert "default" not in str(pod)


@pytest.mark.parametrize("separator", ["@", "."])
async def test_go_clients_ask_for_protobuf_by_a_name_that_is_no_media_type(world: World, separator: str) -> None:
    answer = await world.get("/openapi/v2", {"accept": PROTOBUF.format(separator)})
    assert answer.headers["Content-Type"] == PROTOBUF.format(".")
    assert answer.raw.startswith(b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.37.0\x42")
    assert b"io.k8s.api.core.v1.Pod" in answer.raw
    assert (await world.get("/openapi/v2", {"accept": "text/html"})).status == 406


@pytest.mark.parametrize("separator", ["@", "."])
async def test_version_3_in_protobuf_has_the_same_hash(world: World, separator: str) -> None:
    url = (await world.get("/openapi/v3")).body["paths"]["apis/apps/v1"]["serverRelativeURL"]
    media = PROTOBUF.replace("v2", "v3")
    plain, binary = await world.get(url), await world.get(url, {"accept": media.format(separator)})
    assert binary.headers["Content-Type"] == media.format(".")
    assert binary.headers["ETag"] == plain.headers["ETag"]
    assert binary.raw.startswith(b"\x0a\x053.0.0\x12\x15\x0a\x0aKubernetes2\x07v1.37.0")
    assert (await world.get(url, {"accept": "application/vnd.kubernetes.protobuf"})).status == 406


async def test_an_etag_holds_until_something_changes(world: World) -> None:
    first = await world.get("/openapi/v2", {"accept-encoding": "gzip"})
    etag = first.headers["ETag"]
    assert msgspec.json.decode(gzip.decompress(first.raw))["swagger"] == "2.0"
    again = await world.get("/openapi/v2", {"if-none-match": f'"other", {etag}'})
    assert (again.status, again.raw) == (304, b"")
    serve(world, crontabs())
    assert (await world.get("/openapi/v2", {"if-none-match": etag})).status == 200


async def test_custom_resources_come_and_go(world: World) -> None:
    before = (await world.get("/openapi/v3")).body["paths"]
    resource = crontabs()
    serve(world, resource)
    after = (await world.get("/openapi/v3")).body["paths"]
    assert after.keys() - before.keys() == {"apis/stable.example.com/v1"}
    assert {name: after[name] for name in before} == before
    document = (await world.get(after["apis/stable.example.com/v1"]["serverRelativeURL"])).body
    crontab = document["components"]["schemas"]["com.example.stable.v1.CronTab"]
    assert set(crontab["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    item = document["paths"]["/apis/stable.example.com/v1/namespaces/{namespace}/crontabs/{name}"]
    assert "application/strategic-merge-patch+json" not in item["patch"]["requestBody"]["content"]
    assert item["get"]["operationId"] == "readStableExampleComV1NamespacedCronTab"
    assert "com.example.stable.v1.CronTabList" in (await swagger(world))["definitions"]
    world.app.routes.remove(resource)
    assert "com.example.stable.v1.CronTab" not in (await swagger(world))["definitions"]
    assert (await world.get("/openapi/v3")).body["paths"] == before


async def test_a_schema_that_nobody_can_describe_takes_only_itself_along(world: World) -> None:
    bottomless: dict[str, Any] = {"type": "object"}
    bottomless["properties"] = {"more": bottomless}
    serve(world, msgspec.structs.replace(crontabs(), schema=bottomless))
    assert "io.k8s.api.core.v1.Pod" in (await swagger(world))["definitions"]
    assert "api/v1" in (await world.get("/openapi/v3")).body["paths"]
    assert (await world.get("/openapi/v3/apis/stable.example.com/v1")).status == 404


async def test_documents_of_aggregated_servers_are_merged(world: World) -> None:
    openapi = world.app.openapi
    flunder = {"type": "object"}
    pieces = Pieces({"/apis/wardle.example.com/v1/flunders": {}}, {"com.example.Flunder": flunder})
    openapi.publish("wardle.example.com", "v1", Foreign(Document(b'{"openapi":"3.0.0"}'), pieces))
    assert (await swagger(world))["definitions"]["com.example.Flunder"] == flunder
    index = (await world.get("/openapi/v3")).body["paths"]
    url = index["apis/wardle.example.com/v1"]["serverRelativeURL"]
    assert (await world.get(url)).body == {"openapi": "3.0.0"}
    openapi.withdraw("wardle.example.com", "v1")
    assert "com.example.Flunder" not in (await swagger(world))["definitions"]
