"""Server-side apply of custom resources: what their schemas say of lists and maps, defaults, status, versions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.apply.things import Managers, entries, fields, names, owned
from tests.apiserver.crd.definitions import GROUP, WIDGETS, definition, install, version, widget

URL = f"{WIDGETS}/mytest"
PORTS: dict[str, Any] = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["containerPort", "protocol"],
    "items": {
        "type": "object",
        "required": ["containerPort", "protocol"],
        "properties": {
            "containerPort": {"type": "integer", "format": "int32"},
            "name": {"type": "string"},
            "protocol": {"type": "string"},
        },
    },
}
SPEC: dict[str, Any] = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "properties": {
        "cronSpec": {"type": "string"},
        "ports": PORTS,
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "whole": {"type": "array", "items": {"type": "string"}},
        "reference": {
            "type": "object",
            "x-kubernetes-map-type": "atomic",
            "properties": {"name": {"type": "string"}, "namespace": {"type": "string", "default": "here"}},
        },
        "size": {"x-kubernetes-int-or-string": True},
        "template": {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        },
    },
}


def schema(spec: dict[str, Any] = SPEC) -> dict[str, Any]:
    return {"type": "object", "properties": {"spec": spec, "status": {"type": "object", **PRESERVE}}}


PRESERVE = {"x-kubernetes-preserve-unknown-fields": True}


async def widgets(server: Managers, **more: Any) -> None:
    """Definitions of widgets of that schema."""
    await install(server.world, definition("widgets", "Widget", version(schema=more.pop("schema", schema()), **more)))


def body(spec: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {**widget("mytest"), "metadata": {"name": "mytest", **metadata}, "spec": spec}


def port(number: int, name: str, **more: Any) -> dict[str, Any]:
    return {"containerPort": number, "name": name, "protocol": "TCP", **more}


async def test_a_structural_schema(server: Managers) -> None:
    await widgets(server)
    mine = body({"cronSpec": "* * * * */5", "replicas": 1, "ports": [port(80, "x")]}, finalizers=["a.io/test"])
    made = await server.apply(URL, mine)
    assert made.status == 201, made
    patched = await server.merge(URL, {"metadata": {"finalizers": ["a.io/test", "a.io/other"]}})
    again = await server.apply(URL, mine)
    assert (again.status, again.version) == (200, patched.version)
    assert again.body["metadata"]["finalizers"] == ["a.io/test", "a.io/other"]
    await server.merge(URL, {"spec": {"replicas": 5}})
    refused = await server.apply(URL, mine)
    assert [each["field"] for each in refused.body["details"]["causes"]] == [".spec.replicas"]
    assert (await server.apply(URL, mine, force=True)).body["spec"]["replicas"] == 1
    refused = await server.apply(URL, body({"ports": [port(80, "y")]}), "two")
    assert [each["field"] for each in refused.body["details"]["causes"]] == [
        '.spec.ports[containerPort=80,protocol="TCP"].name'
    ]
    added = await server.apply(URL, body({"ports": [port(8080, "y")]}), "two")
    assert [each["name"] for each in added.body["spec"]["ports"]] == ["x", "y"]
    missing = await server.put(f"{WIDGETS}/none", {**mine, "metadata": {"name": "none"}})
    assert missing.status == 404


async def test_a_key_that_the_schema_gives_a_default(server: Managers) -> None:
    items = {**PORTS["items"], "required": ["containerPort"]}
    items["properties"] = {**items["properties"], "protocol": {"type": "string", "default": "TCP"}}
    spec = {**SPEC, "properties": {**SPEC["properties"], "ports": {**PORTS, "items": items}}}
    await widgets(server, schema=schema(spec))
    short = {"containerPort": 80, "name": "x"}
    assert (await server.apply(URL, body({"ports": [short]}))).status == 201
    refused = await server.apply(URL, body({"ports": [port(80, "y")]}), "two")
    assert len(refused.body["details"]["causes"]) == 1


async def test_defaults_in_an_atomic_map_change_nothing(server: Managers) -> None:
    await widgets(server)
    mine = body({"reference": {"name": "machine-1\n"}})
    made = await server.apply(URL, mine)
    assert made.body["spec"]["reference"] == {"name": "machine-1\n", "namespace": "here"}
    server.clock.step()
    assert (await server.apply(URL, mine)).version == made.version
    assert owned(made, "apply_test") == {"f:spec": {"f:reference": {}}}


async def test_sets_atomic_lists_and_anything(server: Managers) -> None:
    await widgets(server)
    one = body({"tags": ["a", "b"], "whole": ["a"], "size": 3, "free": {"x": {"y": 1}}})
    assert owned(await server.apply(URL, one, "one"), "one") == fields(
        '{"f:spec":{"f:tags":{"v:\\"a\\"":{},"v:\\"b\\"":{}},"f:whole":{},"f:size":{},'
        '"f:free":{".":{},"f:x":{".":{},"f:y":{}}}}}'
    )
    done = await server.apply(URL, body({"tags": ["c"], "free": {"x": {"z": 2}}}), "two")
    assert done.body["spec"]["tags"] == ["a", "b", "c"]
    assert done.body["spec"]["free"] == {"x": {"y": 1, "z": 2}}
    left = await server.apply(URL, body({"tags": ["b"]}), "one")
    assert left.body["spec"] == {"tags": ["b", "c"], "free": {"x": {"z": 2}}}
    refused = await server.apply(URL, body({"tags": ["b", "b"]}), "one")
    assert refused.message == (
        "failed to create typed patch object (/mytest; example.com/v1, Kind=Widget): .spec.tags: duplicate entries for "
        'key [="b"]'
    )


async def test_one_is_not_true(server: Managers) -> None:
    await widgets(server)
    await server.apply(URL, body({"free": {"x": 1}}))
    done = await server.merge(URL, {"spec": {"free": {"x": True}}})
    assert owned(done, "patcher") == {"f:spec": {"f:free": {"f:x": {}}}}
    assert (await server.apply(URL, body({"free": {"x": 1}}))).status == 409


async def test_what_the_schema_does_not_know(server: Managers) -> None:
    await widgets(server)
    unknown = await server.apply(URL, {**body({}), "unknown": 1})
    assert (unknown.status, unknown.message) == (
        500,
        "failed to create typed patch object (/mytest; example.com/v1, Kind=Widget): .unknown: field not declared in "
        "schema",
    )
    inner = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "odd": 1}}
    embedded = await server.apply(URL, body({"template": inner}))
    assert ".spec.template.metadata.odd: field not declared in schema" in embedded.message
    inner["metadata"] = {"labels": {"a": "b"}}
    assert (await server.apply(URL, body({"template": {**inner, "spec": {"free": 1}}}))).status == 201


async def test_anything_goes(server: Managers) -> None:
    await widgets(server, schema={"type": "object", **PRESERVE})
    mine = body({"replicas": 1, "list": [1, {"a": "b"}]})
    assert (await server.apply(URL, mine)).status == 201
    await server.merge(URL, {"spec": {"replicas": 5}})
    refused = await server.apply(URL, mine)
    assert [each["field"] for each in refused.body["details"]["causes"]] == [".spec.replicas"]
    assert (await server.apply(URL, mine, force=True)).body["spec"]["replicas"] == 1
    bare = await server.apply(URL, body({}))
    assert bare.body["spec"] is None, "what is emptied becomes null, also upstream"


async def test_creates_updates_and_status(server: Managers) -> None:
    await widgets(server, subresources={"status": {}})
    made = await server.create(WIDGETS, {**body({"cronSpec": "a"}, labels={"l": "m"}), "status": {"phase": "x"}})
    assert owned(made, "creator") == fields(
        '{"f:metadata":{"f:labels":{".":{},"f:l":{}}},"f:spec":{".":{},"f:cronSpec":{}}}'
    )
    state = {"metadata": {"labels": {"l": "other"}}, "spec": {"cronSpec": "b"}, "status": {"phase": "y", "n": [1]}}
    done = await server.merge(f"{URL}/status", state, "controller")
    assert done.body["spec"]["cronSpec"] == "a"
    assert owned(done, "controller", sub="status") == fields('{"f:status":{".":{},"f:n":{},"f:phase":{}}}')
    applied = {**widget("mytest"), "status": {"phase": "y"}}
    del applied["spec"]
    both = await server.apply(f"{URL}/status", applied, "second")
    assert owned(both, "second", sub="status") == {"f:status": {"f:phase": {}}}
    assert entries(both)[-1] == entries(done)[-1]
    noop = await server.put(URL, both.body)
    assert noop.version == both.version


async def test_versions_without_a_webhook(server: Managers) -> None:
    versions = (version("v1", schema=schema(), subresources={"status": {}}),
                version("v2", schema=schema(), storage=False, subresources={"status": {}}))  # fmt: skip
    await install(server.world, definition("widgets", "Widget", *versions))
    second = URL.replace("/v1/", "/v2/")
    mine = body({"cronSpec": "a", "tags": ["x"]})
    made = await server.apply(URL, mine, "one")
    done = await server.merge(f"{second}/status", {"spec": {"cronSpec": "b"}, "status": {"a": "b"}}, "two")
    assert names(done) == [("one", "Apply"), ("two", "Update")]
    assert entries(done)[0] == entries(made)[0]
    other = {**mine, "apiVersion": f"{GROUP}/v2", "spec": {"cronSpec": "c", "tags": ["y"]}}
    refused = await server.apply(second, other, "three")
    assert refused.message == 'Apply failed with 1 conflict: conflict with "one": .spec.cronSpec'
    forced = await server.apply(second, other, "three", force=True)
    assert forced.body["spec"] == {"cronSpec": "c", "tags": ["x", "y"]}
    assert owned(forced, "one") == {"f:spec": {"f:tags": {'v:"x"': {}}}}
    gone = await server.apply(URL, {**mine, "spec": {}}, "one")
    assert gone.body["spec"] == {"cronSpec": "c", "tags": ["y"]}


async def test_parts_of_what_became_atomic(server: Managers) -> None:
    """A schema changes from many owners to one: who owned a part owns the whole, and can give it up."""
    granular = {"type": "object", "properties": {"name": {"type": "string"}, "kind": {"type": "string"}}}
    spec = {"type": "object", "properties": {"reference": granular}}
    await widgets(server, schema=schema(spec))
    await server.apply(URL, body({"reference": {"name": "x"}}), "one")
    crds = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.{GROUP}"
    crd = (await server.world.get(crds)).body
    props = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    props["reference"]["x-kubernetes-map-type"] = "atomic"
    assert (await server.world.put(crds, crd)).status == 200
    await server.world.app.caches.fresh()
    refused = await server.apply(URL, body({"reference": {"name": "y"}}), "two")
    assert [each["field"] for each in refused.body["details"]["causes"]] == [".spec.reference"]
    done = await server.apply(URL, body({}), "one")
    assert "reference" not in done.body.get("spec", {})


@pytest.mark.parametrize("depth", [60])
async def test_a_deep_schema(server: Managers, depth: int) -> None:
    spec: dict[str, Any] = {"type": "string"}
    value: Any = "x"
    for _ in range(depth):
        spec, value = {"type": "object", "properties": {"a": spec}}, {"a": value}
    await widgets(server, schema=schema(spec))
    made = await server.apply(URL, body(value))
    assert made.status == 201, made
    assert (await server.apply(URL, body({}))).status == 200
