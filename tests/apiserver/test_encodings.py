"""Answers in protobuf and YAML: objects, lists, watches, failures, reviews, discovery, and what there is none of."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from kijabi.api import codec, protobuf
from kijabi.api.authorization.selfsubjectaccessreview import SelfSubjectAccessReview
from kijabi.api.autoscaling.scale import Scale
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.groups import APIGroup, APIGroupList, APIResourceList, APIVersions
from kijabi.api.meta import ListMeta, ObjectMeta, PartialObjectMetadata, Status, TypeMeta
from kijabi.api.protobuf_read import varint
from kijabi.api.struct import Struct
from kijabi.apiserver.framing import HEADER
from tests.apiserver.crd.definitions import WIDGETS, definition, install, widget
from tests.apiserver.world import Answer, World

PROTOBUF = "application/vnd.kubernetes.protobuf"
BINARY = {"accept": PROTOBUF}
EITHER = {"accept": f"{PROTOBUF},application/json"}
MAPS = "/api/v1/namespaces/default/configmaps"
NONE = "only the following media types are accepted: application/json, application/yaml, " + PROTOBUF


def read(answer: Answer, cls: type[Struct]) -> Any:
    """An object out of an answer, with the names of its envelope filled in."""
    assert answer.headers["Content-Type"] == PROTOBUF
    return opened(answer.raw, cls)


def opened(data: bytes, cls: type[Struct]) -> Any:
    unknown = protobuf.decode_unknown(data)
    obj = protobuf.decode(cls, unknown.raw)
    if isinstance(obj, TypeMeta):
        obj.apiVersion, obj.kind = unknown.apiVersion, unknown.kind
    return obj


def parts(data: bytes) -> list[tuple[int, bytes]]:
    """The fields of a message of messages: number and bytes."""
    found, at = [], 0
    while at < len(data):
        key, at = varint(data, at)
        assert key & 7 == 2
        size, at = varint(data, at)
        found.append((key >> 3, data[at : at + size]))
        at += size
    return found


def listed(answer: Answer, cls: type[Struct], *, turned: bool = False) -> tuple[tuple[str, str], ListMeta, list[Any]]:
    """(apiVersion, kind), metadata and items of a list; turned: its metadata has the higher number."""
    assert answer.headers["Content-Type"] == PROTOBUF
    unknown = protobuf.decode_unknown(answer.raw)
    fields = parts(unknown.raw)
    meta, item = (2, 1) if turned else (1, 2)
    metas = [protobuf.decode(ListMeta, body) for number, body in fields if number == meta]
    assert len(metas) == 1
    items = [protobuf.decode(cls, body) for number, body in fields if number == item]
    return (unknown.apiVersion, unknown.kind), metas[0], items


def events(data: bytes, cls: type[Struct]) -> list[tuple[str, Any]]:
    """(type, object) of the frames in a stream."""
    found = []
    while data:
        end = HEADER + int.from_bytes(data[:HEADER], "big")
        (one, kind), (two, raw) = parts(data[HEADER:end])
        assert (one, two) == (1, 2)
        ((number, body),) = parts(raw)
        assert number == 1
        found.append((kind.decode(), opened(body, Status if kind == b"ERROR" else cls)))
        data = data[end:]
    return found


async def make(world: World, name: str, **more: Any) -> dict[str, Any]:
    made = await world.post(MAPS, {"metadata": {"name": name, "labels": {"a": "b"}}, "data": {"k": name}, **more})
    assert made.status == 201, made
    return dict(made.body)


async def test_an_object_is_the_same_in_every_form(world: World) -> None:
    plain = await make(world, "one")
    for headers in (BINARY, EITHER):
        obj = read(await world.get(f"{MAPS}/one", headers), ConfigMap)
        assert codec.to_builtins(obj) == plain
    text = await world.get(f"{MAPS}/one", {"accept": "application/yaml"})
    assert text.headers["Content-Type"] == "application/yaml"
    assert yaml.safe_load(text.raw) == plain


async def test_writes_answer_in_the_form_that_is_accepted(world: World) -> None:
    body = protobuf.encode_unknown(ConfigMap(metadata=ObjectMeta(name="a")))
    made = await world.post(MAPS, body, {**EITHER, "content-type": PROTOBUF})
    assert made.status == 201
    first = read(made, ConfigMap)
    assert first.metadata.name == "a"
    first.data = {"k": "v"}
    second = read(
        await world.put(f"{MAPS}/a", protobuf.encode_unknown(first), {**EITHER, "content-type": PROTOBUF}), ConfigMap
    )
    assert second.data == {"k": "v"}
    assert int(second.metadata.resourceVersion) > int(first.metadata.resourceVersion)
    dry = read(await world.post(f"{MAPS}?dryRun=All", {"metadata": {"name": "dry"}}, EITHER), ConfigMap)
    assert dry.metadata.name == "dry"
    assert not dry.metadata.resourceVersion
    gone = read(await world.call("DELETE", f"{MAPS}/a", None, EITHER), Status)
    assert (gone.status, gone.details.name, gone.kind, gone.apiVersion) == ("Success", "a", "Status", "v1")


async def test_lists_and_pages(world: World) -> None:
    for name in ("a", "b", "c"):
        await make(world, name)
    plain = (await world.get(MAPS)).body
    for _ in range(2):  # made, then kept
        names, meta, items = listed(await world.get(MAPS, BINARY), ConfigMap)
        assert names == ("v1", "ConfigMapList")
        assert meta.resourceVersion == plain["metadata"]["resourceVersion"]
        bare = [{**codec.to_builtins(item), "kind": None, "apiVersion": None} for item in items]
        assert bare == [{**item, "kind": None, "apiVersion": None} for item in plain["items"]]
    _, meta, items = listed(await world.get(f"{MAPS}?limit=2", BINARY), ConfigMap)
    assert [item.metadata.name for item in items] == ["a", "b"]
    assert meta.remainingItemCount == 1
    _, meta, items = listed(await world.get(f"{MAPS}?limit=2&continue={meta.continue_}", BINARY), ConfigMap)
    assert [item.metadata.name for item in items] == ["c"]
    assert not meta.continue_
    empty = await world.get("/api/v1/namespaces/nowhere/configmaps", BINARY)
    assert listed(empty, ConfigMap)[2] == []


async def test_a_list_of_an_object_that_has_changed_is_current(world: World) -> None:
    await make(world, "a")
    listed(await world.get(MAPS, BINARY), ConfigMap)
    await world.patch(f"{MAPS}/a", {"data": {"k": "other"}})
    assert listed(await world.get(MAPS, BINARY), ConfigMap)[2][0].data == {"k": "other"}


async def test_watches(world: World) -> None:
    await make(world, "a")
    watch = await world.watch(
        f"{MAPS}?watch=true&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
        {"accept": f"{PROTOBUF};stream=watch"},
    )
    assert watch.answer.headers["Content-Type"] == f"{PROTOBUF};stream=watch"
    await make(world, "b")
    await world.patch(f"{MAPS}/b", {"data": {"k": "w"}})
    deleted = await world.delete(f"{MAPS}/b")
    assert deleted.status == 200
    await world.app.caches.fresh()
    data = b""
    while watch.answer.watcher.more:
        data += watch.answer.watcher.take()
    found = events(data, ConfigMap)
    assert [(kind, obj.metadata.name) for kind, obj in found] == [
        ("ADDED", "a"), ("BOOKMARK", ""), ("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "b"),
    ]  # fmt: skip
    assert found[1][1].metadata.annotations == {"k8s.io/initial-events-end": "true"}
    assert all((obj.kind, obj.apiVersion) == ("ConfigMap", "v1") for _, obj in found)
    versions = [int(obj.metadata.resourceVersion) for _, obj in found]
    assert versions[0] <= versions[1] < versions[2] < versions[3] < versions[4]
    assert found[3][1].data == found[4][1].data == {"k": "w"}


async def test_a_watch_that_cannot_resume_says_so_in_its_form(world: World) -> None:
    await make(world, "a")
    await world.app.caches.fresh()
    cache = next(
        each.cache for each in world.app.api.routes.versions["", "v1"].values() if each.resource.kind == "ConfigMap"
    )
    assert cache is not None
    cache.floor = cache.changed
    watch = await world.watch(f"{MAPS}?watch=true&resourceVersion=1", BINARY)
    ((kind, status),) = events(watch.answer.watcher.take(), ConfigMap)
    assert (kind, status.code, status.reason, status.kind) == ("ERROR", 410, "Expired", "Status")


async def test_events_one_at_a_time_have_no_frame(world: World) -> None:
    await make(world, "a")
    for headers, size in ((BINARY, 2), ({"accept": "application/json"}, 2)):
        await make(world, f"b{len(headers['accept'])}")
        watch = await world.watch(f"{MAPS}?watch=true&timeoutSeconds=1", headers)
        found = [each async for each in watch.answer.events()]
        assert len(found) >= size
        for each in found:
            if headers is BINARY:
                assert [number for number, _ in parts(each)] == [1, 2]
            else:
                assert each.startswith(b'{"type":"ADDED"')
                assert each.count(b"\n") == 1


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_metadata_alone(world: World, version: str) -> None:
    plain = await make(world, "a")
    accept = {"accept": f"{PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v={version}"}
    one = read(await world.get(f"{MAPS}/a", accept), PartialObjectMetadata)
    assert (one.apiVersion, one.kind) == (f"meta.k8s.io/{version}", "PartialObjectMetadata")
    assert codec.to_builtins(one.metadata) == plain["metadata"]
    accept = {"accept": f"{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v={version}"}
    names, meta, items = listed(await world.get(MAPS, accept), PartialObjectMetadata, turned=version == "v1beta1")
    assert names == (f"meta.k8s.io/{version}", "PartialObjectMetadataList")
    assert meta.resourceVersion
    assert [item.metadata.name for item in items] == ["a"]


async def test_failures_come_in_the_form_that_is_accepted(world: World) -> None:
    missing = await world.get(f"{MAPS}/none", EITHER)
    status = read(missing, Status)
    assert (missing.status, status.code, status.reason) == (404, 404, "NotFound")
    assert status.message == 'configmaps "none" not found'
    assert status.details.kind == "configmaps"
    text = await world.get(f"{MAPS}/none", {"accept": "application/yaml"})
    assert yaml.safe_load(text.raw)["reason"] == "NotFound"
    other = await world.get(f"{MAPS}/none", {"accept": "text/html"})
    assert (other.status, other.reason) == (406, "NotAcceptable")


async def test_what_has_no_protobuf(world: World) -> None:
    await make(world, "a")
    table = f"{PROTOBUF};as=Table;v=v1;g=meta.k8s.io"
    refused = await world.get(MAPS, {"accept": table})
    assert refused.status == 406
    assert refused.message == NONE
    taken = await world.get(MAPS, {"accept": f"{table},application/json;as=Table;v=v1;g=meta.k8s.io"})
    assert taken.body["kind"] == "Table"
    watch = await world.get(f"{MAPS}?watch=true", {"accept": "application/yaml"})
    assert watch.status == 406
    streamed = f"application/json;stream=watch, {PROTOBUF};stream=watch"
    assert yaml.safe_load(watch.raw)["message"] == f"only the following media types are accepted: {streamed}"


async def test_reviews_scales_and_other_bodies(world: World) -> None:
    review = {
        "kind": "SelfSubjectAccessReview",
        "apiVersion": "authorization.k8s.io/v1",
        "spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}},
    }
    answer = await world.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review, EITHER)
    assert answer.status == 201
    assert read(answer, SelfSubjectAccessReview).status.allowed
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    body = {
        "metadata": {"name": "d"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template},
    }
    assert (await world.post("/apis/apps/v1/namespaces/default/deployments", body)).status == 201
    scale = read(await world.get("/apis/apps/v1/namespaces/default/deployments/d/scale", EITHER), Scale)
    assert (scale.spec.replicas, scale.apiVersion) == (2, "autoscaling/v1")


@pytest.mark.parametrize(
    ("path", "cls", "member"),
    [
        ("/api", APIVersions, "versions"),
        ("/apis", APIGroupList, "groups"),
        ("/apis/apps", APIGroup, "versions"),
        ("/apis/apps/v1", APIResourceList, "resources"),
    ],
)
async def test_older_discovery(world: World, path: str, cls: type[Struct], member: str) -> None:
    plain = (await world.get(path)).body
    found = read(await world.get(path, EITHER), cls)
    assert found.kind == plain["kind"]
    assert len(getattr(found, member)) == len(plain[member])
    text = await world.get(path, {"accept": "application/yaml"})
    assert yaml.safe_load(text.raw) == plain


async def test_aggregated_discovery(world: World) -> None:
    form = "g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    found = await world.get("/apis", {"accept": f"{PROTOBUF};{form}"})
    assert found.headers["Content-Type"] == f"{PROTOBUF};{form}"
    unknown = protobuf.decode_unknown(found.raw)
    assert (unknown.apiVersion, unknown.kind) == ("apidiscovery.k8s.io/v2", "APIGroupDiscoveryList")


async def test_custom_resources_have_no_protobuf_but_their_metadata_has(world: World) -> None:
    await install(world, definition())
    assert (await world.post(WIDGETS, widget())).status == 201
    refused = await world.get(f"{WIDGETS}/a", BINARY)
    assert refused.status == 406
    assert read(refused, Status).message == NONE
    assert (await world.get(f"{WIDGETS}/a", EITHER)).body["kind"] == "Widget"
    accept = {"accept": f"{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"}
    assert [each.metadata.name for each in listed(await world.get(WIDGETS, accept), PartialObjectMetadata)[2]] == ["a"]
    missing = await world.get(f"{WIDGETS}/none", EITHER)
    assert (missing.status, read(missing, Status).reason) == (404, "NotFound")
    sent = await world.post(WIDGETS, b"k8s\x00", {"content-type": PROTOBUF})
    assert sent.status == 415
