"""Server-side apply of custom resources: strict reading, versions that a webhook converts, status and scale."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.apiserver.crd.definitions import GROUP, WIDGETS, definition, install, version, widget
from tests.apiserver.crd.test_conversion import ONE, TWO, convert, host, hosts
from tests.apiserver.hookserver import HookServer, hook_server
from tests.apiserver.world import World

APPLY = {"content-type": "application/apply-patch+yaml"}
STRICT = "fieldValidation=Strict"
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


def schema(**more: Any) -> dict[str, Any]:
    spec = {"type": "object", "properties": {"foo": {"type": "string"}, "ports": PORTS}, **more}
    return {"type": "object", "properties": {"spec": spec}}


TEMPLATE: dict[str, Any] = {
    "type": "object",
    "x-kubernetes-embedded-resource": True,
    "properties": {
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
        "spec": {"type": "object"},
    },
}


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[HookServer]:
    async with hook_server(tmp_path) as found:
        found.answers["/convert"] = convert
        yield found


BODY = """
apiVersion: example.com/v1
kind: Widget
metadata:
  name: a
spec:
  foo: foo1
  ports:
  - name: x
    containerPort: 80
    protocol: TCP"""


@pytest.mark.parametrize(
    ("props", "body", "message"),
    [
        (schema(), BODY, ""),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, BODY + "\n  unknown: uk1", ""),
        (schema(), BODY + "\nunknownField: u", ".unknownField: field not declared in schema"),
        (schema(), BODY.replace("name: a", "name: a\n  odd: u"), ".metadata.odd: field not declared in schema"),
        (
            schema(**{"x-kubernetes-preserve-unknown-fields": True}),
            BODY + "\n  foo: foo2",
            'line 12: key "foo" already set in map',
        ),
    ],
)
async def test_strict_apply(world: World, props: dict[str, Any], body: str, message: str) -> None:
    await install(world, definition("widgets", "Widget", version(schema=props)))
    url = f"{WIDGETS}/a?fieldManager=m&{STRICT}"
    answer = await world.patch(url, body.encode(), APPLY)
    if message:
        assert message in answer.message
        assert answer.status >= 400
    else:
        assert answer.status == 201, answer


async def test_embedded_metadata_is_known(world: World) -> None:
    props = schema(**{"x-kubernetes-preserve-unknown-fields": True})
    props["properties"]["spec"]["properties"]["template"] = TEMPLATE
    await install(world, definition("widgets", "Widget", version(schema=props)))
    body = (
        BODY
        + "\n  template:\n    apiversion: foo/v1\n    kind: Sub\n    metadata:\n      unknownSubMeta: u\n      name: s"
    )
    answer = await world.patch(f"{WIDGETS}/a?fieldManager=m&{STRICT}", body.encode(), APPLY)
    assert ".spec.template.metadata.unknownSubMeta: field not declared in schema" in answer.message


async def test_managers_of_an_object_in_several_versions(world: World, server: HookServer) -> None:
    await install(world, hosts(server))
    one = host("a", hostPort="x:1")
    assert (await world.patch(f"{ONE}/a?fieldManager=one", one, APPLY)).status == 201
    two = host("a", "v2", host="y", port="1")
    conflict = await world.patch(f"{TWO}/a?fieldManager=two", two, APPLY)
    assert conflict.status == 409, conflict
    assert conflict.body["details"]["causes"][0]["field"] == ".hostPort"
    forced = await world.patch(f"{TWO}/a?fieldManager=two&force=true", two, APPLY)
    assert (forced.status, forced.body["host"]) == (200, "y")
    assert (await world.get(f"{ONE}/a")).body["hostPort"] == "y:1"


async def test_apply_of_status_and_scale(world: World) -> None:
    paths = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    await install(world, definition("widgets", "Widget", version(subresources={"status": {}, "scale": paths})))
    await world.post(WIDGETS, widget(spec={"size": 1, "replicas": 2}))
    status = {**widget(), "spec": {}, "status": {"phase": "Ready"}}
    del status["spec"]
    done = await world.patch(f"{WIDGETS}/a/status?fieldManager=s", status, APPLY)
    assert done.body["status"] == {"phase": "Ready"}
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "a"}, "spec": {"replicas": 5}}
    done = await world.patch(f"{WIDGETS}/a/scale?fieldManager=k&force=true", scale, APPLY)
    assert done.body["spec"]["replicas"] == 5, done
    managed = (await world.get(f"{WIDGETS}/a")).body["metadata"]["managedFields"]
    mine = next(each for each in managed if each["manager"] == "k")
    assert (mine["apiVersion"], mine["subresource"]) == (f"{GROUP}/v1", "scale")
    assert mine["fieldsV1"] == {"f:spec": {"f:replicas": {}}}
