"""Custom objects: bodies, pruning, defaults, patches, subresources, tables, selectors."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.apiserver.crd.definitions import CRDS, GROUP, SCHEMA, WIDGETS, definition, install, version, widget
from tests.apiserver.world import JSON_PATCH, MERGE, PARTIAL, STRATEGIC, TABLE, World

SUBS: dict[str, Any] = {
    "status": {},
    "scale": {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    },
}
STRICT = "?fieldValidation=Strict"
YAML = {"content-type": "application/yaml"}
LEAD = 'Widget in version "v1" cannot be handled as a Widget: strict decoding error: '


async def test_unknown_fields_are_pruned_and_told_of(world: World) -> None:
    await install(world, definition())
    given = widget(b=1, spec={"size": 1, "x": 2, "labels": {"a": "b"}})
    given["metadata"]["odd"] = True
    refused = await world.post(WIDGETS + STRICT, given)
    assert refused.status == 400
    assert refused.message == LEAD + 'unknown field "metadata.odd", unknown field "b", unknown field "spec.x"'
    made = await world.post(WIDGETS, given)
    assert made.status == 201
    assert made.body["spec"] == {"size": 1, "color": "red", "labels": {"a": "b"}}
    assert "b" not in made.body
    assert made.headers["Warning"].count("unknown field") == 3
    quiet = await world.post(f"{WIDGETS}?fieldValidation=Ignore", {**given, "metadata": {"name": "q"}})
    assert "Warning" not in quiet.headers
    assert "b" not in quiet.body


async def test_repeated_fields_are_told_of(world: World) -> None:
    await install(world, definition())
    text = b'{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"a"},"spec":{"size":1,"size":2}}'
    refused = await world.post(WIDGETS + STRICT, text)
    assert refused.message == LEAD + 'duplicate field "spec.size"'
    yaml = b"apiVersion: example.com/v1\nkind: Widget\nmetadata:\n  name: a\nspec:\n  size: 1\n  size: 2\n"
    refused = await world.post(WIDGETS + STRICT, yaml, YAML)
    assert refused.message == LEAD + 'yaml: unmarshal errors:\n  line 7: key "size" already set in map'
    assert (await world.post(WIDGETS, yaml, YAML)).body["spec"]["size"] == 2


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            {"metadata": {"name": "a"}},
            400,
            "the object provided is unrecognized (must be of type Widget): Object 'Kind'",
        ),
        (widget(api_version="example.com/v2"), 400, "the API version in the data (example.com/v2) does not match"),
        (
            widget(kind="Gadget"),
            422,
            'Widget.example.com "a" is invalid: kind: Invalid value: "Gadget": must be Widget',
        ),
        (
            {**widget(), "metadata": {"name": "a", "labels": {"x": 1}}},
            400,
            'Widget in version "v1" cannot be handled as a',
        ),
        (
            {**widget(), "spec": {"size": "x"}},
            422,
            'spec.size: Invalid value: "string": spec.size in body must be of type',
        ),
        (
            {**widget(), "metadata": {"name": "A_B"}},
            422,
            'Widget.example.com "A_B" is invalid: metadata.name: Invalid value',
        ),
    ],
)
async def test_bad_bodies_get_upstreams_answers(world: World, body: Any, code: int, message: str) -> None:
    await install(world, definition())
    answer = await world.post(WIDGETS, body)
    assert answer.status == code
    assert message in answer.message


async def test_bodies_and_patches_of_other_media_types_are_refused(world: World) -> None:
    await install(world, definition())
    await world.post(WIDGETS, widget())
    answer = await world.post(WIDGETS, b"k8s\x00", {"content-type": "application/vnd.kubernetes.protobuf"})
    assert answer.status == 415
    answer = await world.patch(f"{WIDGETS}/a", {"spec": {"size": 2}}, STRATEGIC)
    assert answer.status == 415
    assert answer.message == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )


async def test_patches_prune_validate_and_count(world: World) -> None:
    await install(world, definition())
    await world.post(WIDGETS, widget())
    merged = await world.patch(f"{WIDGETS}/a", {"spec": {"size": 3, "x": 1}}, MERGE)
    assert merged.body["spec"] == {"size": 3, "color": "red"}
    assert merged.body["metadata"]["generation"] == 2
    change = [{"op": "replace", "path": "/spec/size", "value": -1}]
    assert (await world.patch(f"{WIDGETS}/a", change, JSON_PATCH)).status == 422
    labelled = await world.patch(f"{WIDGETS}/a", {"metadata": {"labels": {"a": "b"}}}, MERGE)
    assert labelled.body["metadata"]["generation"] == 2
    same = await world.patch(f"{WIDGETS}/a", {"spec": {"size": 3}}, MERGE)
    assert same.version == labelled.version
    refused = await world.patch(f"{WIDGETS}/a{STRICT}", {"spec": {"y": 1}}, MERGE)
    assert 'unknown field "spec.y"' in refused.message


async def test_updates_state_their_version(world: World) -> None:
    await install(world, definition())
    made = (await world.post(WIDGETS, widget())).body
    refused = await world.put(f"{WIDGETS}/a", widget())
    assert refused.status == 422
    assert "metadata.resourceVersion: Invalid value: 0: must be specified for an update" in refused.message
    made["spec"]["size"] = 5
    assert (await world.put(f"{WIDGETS}/a", made)).status == 200
    assert (await world.put(f"{WIDGETS}/a", made)).status == 409


async def test_status_is_written_apart(world: World) -> None:
    await install(world, definition("widgets", "Widget", version(subresources={"status": {}})))
    made = await world.post(WIDGETS, widget(status={"phase": "early"}))
    assert "status" not in made.body
    changed = copy.deepcopy(made.body)
    changed["spec"]["size"], changed["status"] = 9, {"phase": "Ready"}
    changed["metadata"]["labels"] = {"a": "b"}
    done = await world.put(f"{WIDGETS}/a/status", changed)
    assert done.body["status"] == {"phase": "Ready"}
    assert done.body["spec"]["size"] == 1
    assert "labels" not in done.body["metadata"]
    assert done.body["metadata"]["generation"] == 1
    main = await world.patch(f"{WIDGETS}/a", {"spec": {"size": 2}, "status": {"phase": "no"}}, MERGE)
    assert (main.body["status"], main.body["metadata"]["generation"]) == ({"phase": "Ready"}, 2)
    patched = await world.patch(f"{WIDGETS}/a/status", {"status": {"phase": "Gone"}, "spec": {"size": 7}}, MERGE)
    assert (patched.body["status"]["phase"], patched.body["spec"]["size"]) == ("Gone", 2)
    assert (await world.get(f"{WIDGETS}/a/scale")).message == 'widgets.example.com "a" not found'


async def test_without_the_subresource_status_is_like_everything_else(world: World) -> None:
    await install(world, definition())
    made = await world.post(WIDGETS, widget(status={"phase": "early"}))
    assert made.body["status"] == {"phase": "early"}
    changed = await world.patch(f"{WIDGETS}/a", {"status": {"phase": "late"}}, MERGE)
    assert changed.body["metadata"]["generation"] == 2


async def test_scale(world: World) -> None:
    await install(world, definition("widgets", "Widget", version(subresources=SUBS)))
    await world.post(WIDGETS, widget())
    missing = await world.get(f"{WIDGETS}/a/scale")
    assert (missing.status, missing.reason) == (500, "InternalError")
    assert missing.message == 'Internal error occurred: the spec replicas field ".spec.replicas" does not exist'
    await world.patch(f"{WIDGETS}/a", {"spec": {"replicas": 3}}, MERGE)
    await world.patch(f"{WIDGETS}/a/status", {"status": {"replicas": 2, "selector": "a=b"}}, MERGE)
    scale = (await world.get(f"{WIDGETS}/a/scale")).body
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (scale["spec"], scale["status"]) == ({"replicas": 3}, {"replicas": 2, "selector": "a=b"})
    scale["spec"]["replicas"] = 5
    assert (await world.put(f"{WIDGETS}/a/scale", scale)).body["spec"] == {"replicas": 5}
    patched = await world.patch(f"{WIDGETS}/a/scale", {"spec": {"replicas": 6}}, MERGE)
    assert patched.body["spec"]["replicas"] == 6
    found = (await world.get(f"{WIDGETS}/a")).body
    assert found["spec"]["replicas"] == 6
    assert found["metadata"]["generation"] == 4
    refused = await world.patch(f"{WIDGETS}/a/scale", {"spec": {"replicas": -1}}, MERGE)
    assert refused.status == 422


async def test_defaults_are_read_from_storage_as_they_are_now(world: World) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}
    await install(world, definition("widgets", "Widget", version(schema=schema), scope="Cluster"))
    url = f"/apis/{GROUP}/v1/widgets"
    bare = {"apiVersion": f"{GROUP}/v1", "kind": "Widget"}
    made = await world.post(url, {**bare, "metadata": {"name": "one"}})
    assert "a" not in made.body
    path = "/spec/versions/0/schema/openAPIV3Schema/properties"
    change = [{"op": "add", "path": f"{path}/a/default", "value": "A"}]
    assert (await world.patch(f"{CRDS}/widgets.{GROUP}", change, JSON_PATCH)).status == 200
    assert (await world.get(f"{url}/one")).body["a"] == "A"
    assert (await world.get(url)).body["items"][0]["a"] == "A"
    assert (await world.post(url, {**bare, "metadata": {"name": "two"}})).body["a"] == "A"
    change = [{"op": "remove", "path": f"{path}/a/default"}, {"op": "add", "path": f"{path}/b/default", "value": "B"}]
    await world.patch(f"{CRDS}/widgets.{GROUP}", change, JSON_PATCH)
    one, two = (await world.get(f"{url}/one")).body, (await world.get(f"{url}/two")).body
    assert (one.get("a"), one["b"], two["a"], two["b"]) == (None, "B", "A", "B")
    watch = await world.watch(f"{url}?watch=true&resourceVersion=0")
    assert [each["object"]["b"] for each in await watch.events()] == ["B", "B"]


async def test_tables(world: World) -> None:
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Labels", "type": "string", "jsonPath": ".spec.labels", "priority": 1, "description": "All of them."},
        {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
        {"name": "Gone", "type": "string", "jsonPath": ".status.phase"},
    ]
    await install(world, definition("widgets", "Widget", version(additionalPrinterColumns=columns)))
    await world.post(WIDGETS, widget(spec={"size": 4, "labels": {"b": "2", "a": "1"}}))
    table = (await world.get(WIDGETS, TABLE)).body
    assert [(each["name"], each["type"], each["priority"]) for each in table["columnDefinitions"]] == [
        ("Name", "string", 0),
        ("Size", "integer", 0),
        ("Labels", "string", 1),
        ("Since", "date", 0),
        ("Gone", "string", 0),
    ]
    assert table["columnDefinitions"][1]["description"] == (
        "Custom resource definition column (in JSONPath format): .spec.size"
    )
    name, size, labels, since, phase = table["rows"][0]["cells"]
    assert (name, size, labels, phase) == ("a", 4, '{"a":"1","b":"2"}', None)
    assert since.endswith("s")


async def test_a_table_has_the_age_where_nothing_is_declared(world: World) -> None:
    await install(world, definition())
    await world.post(WIDGETS, widget())
    table = (await world.get(WIDGETS, TABLE)).body
    assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "Age"]
    partial = (await world.get(f"{WIDGETS}/a", PARTIAL)).body
    assert (partial["kind"], partial["metadata"]["name"]) == ("PartialObjectMetadata", "a")


async def test_selectable_fields(world: World) -> None:
    fields = [{"jsonPath": ".spec.color"}]
    await install(world, definition("widgets", "Widget", version(selectableFields=fields)))
    url = f"{WIDGETS}?fieldSelector=spec.color=blue"
    watch = await world.watch(f"{url}&watch=true")
    for name, color in (("a", "blue"), ("b", "green"), ("c", "blue")):
        await world.post(WIDGETS, widget(name, spec={"color": color}))
    assert [each["metadata"]["name"] for each in (await world.get(url)).body["items"]] == ["a", "c"]
    await world.patch(f"{WIDGETS}/a", {"spec": {"color": "red"}}, MERGE)
    assert await watch.names() == [("ADDED", "a"), ("ADDED", "c"), ("DELETED", "a")]
    refused = await world.get(f"{WIDGETS}?fieldSelector=spec.size=1")
    assert (refused.status, refused.message) == (400, "field label not supported: spec.size")


async def test_watches_by_name_and_resumed(world: World) -> None:
    await install(world, definition())
    first = await world.post(WIDGETS, widget("a"))
    await world.post(WIDGETS, widget("b"))
    watch = await world.watch(f"{WIDGETS}?watch=true&resourceVersion={first.version}")
    named = await world.watch(f"{WIDGETS}?watch=true&fieldSelector=metadata.name=a")
    await world.patch(f"{WIDGETS}/a", {"spec": {"size": 2}}, MERGE)
    await world.delete(f"{WIDGETS}/a")
    assert await watch.names() == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "a")]
    assert await named.names() == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_lists_in_pages_and_at_a_version(world: World) -> None:
    await install(world, definition())
    made = [await world.post(WIDGETS, widget(f"w{number}")) for number in range(5)]
    page = (await world.get(f"{WIDGETS}?limit=2")).body
    assert [each["metadata"]["name"] for each in page["items"]] == ["w0", "w1"]
    await world.delete(f"{WIDGETS}/w4")
    page = (await world.get(f"{WIDGETS}?limit=5&continue={page['metadata']['continue']}")).body
    assert [each["metadata"]["name"] for each in page["items"]] == ["w2", "w3", "w4"]
    exact = await world.get(f"{WIDGETS}?resourceVersion={made[1].version}&resourceVersionMatch=Exact")
    assert [each["metadata"]["name"] for each in exact.body["items"]] == ["w0", "w1"]


async def test_names_are_generated_and_taken_once(world: World) -> None:
    await install(world, definition())
    made = await world.post(WIDGETS, {**widget(), "metadata": {"generateName": "w-"}})
    assert made.body["metadata"]["name"].startswith("w-")
    await world.post(WIDGETS, widget("a"))
    again = await world.post(WIDGETS, widget("a"))
    assert (again.status, again.message) == (409, 'widgets.example.com "a" already exists')


async def test_scope(world: World) -> None:
    await install(world, definition())
    assert (await world.post(f"/apis/{GROUP}/v1/widgets", widget())).raw == b"404 page not found\n"
    assert (await world.get(f"/apis/{GROUP}/v1/widgets")).status == 200
    await install(world, definition("gadgets", "Gadget", scope="Cluster"))
    assert (await world.get(f"/apis/{GROUP}/v1/namespaces/default/gadgets")).raw == b"404 page not found\n"
    assert (await world.post(f"/apis/{GROUP}/v1/gadgets", widget(kind="Gadget"))).status == 201
    assert (await world.get(f"/apis/{GROUP}/v1/gizmos")).raw == b"404 page not found\n"


async def test_finalizers_without_a_domain_get_a_warning(world: World) -> None:
    await install(world, definition())
    made = await world.post(WIDGETS, {**widget(), "metadata": {"name": "a", "finalizers": ["wait", "x.com/ok"]}})
    assert made.status == 201
    assert 'metadata.finalizers: \\"wait\\": prefer a domain-qualified finalizer name to' in made.headers["Warning"]
    assert "Warning" not in (await world.patch(f"{WIDGETS}/a", {"spec": {"size": 2}}, MERGE)).headers


async def test_delete_collection_and_options(world: World) -> None:
    await install(world, definition())
    for name in ("a", "b", "c"):
        await world.post(WIDGETS, {**widget(name), "metadata": {"name": name, "labels": {"n": name}}})
    done = await world.delete(f"{WIDGETS}/a", {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
    assert done.body["status"] == "Success"
    assert (await world.call("DELETE", f"{WIDGETS}?labelSelector=n=b")).status == 200
    assert [each["metadata"]["name"] for each in (await world.get(WIDGETS)).body["items"]] == ["c"]


async def test_objects_that_nest_too_deep_are_refused(world: World) -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    await install(world, definition("widgets", "Widget", version(schema=schema)))
    for depth, code in ((200, 201), (400, 400), (900, 400), (100_000, 400)):
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        head = b'{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"d%d"},"x":' % depth
        answer = await world.post(WIDGETS, head + nested + b"}")
        assert answer.status == code, (depth, answer)
    assert len((await world.get(WIDGETS)).body["items"]) == 1


def test_the_schema_of_these_tests_is_left_alone() -> None:
    assert set(SCHEMA["properties"]) == {"spec", "status"}
