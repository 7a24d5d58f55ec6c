"""The wire checklist, sections 7, 8 and 10: options of writes and deletions, dry runs, patches, scales."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.world import (
    JSON_PATCH,
    MERGE,
    STRATEGIC,
    TABLE,
    World,
    configmap,
    deployment,
    pod,
)

NS = "/api/v1/namespaces/default"
CMS = f"{NS}/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
LONG = "x" * 129


def unsupported(field: str, value: str, *allowed: str) -> str:
    return f"{field}: Unsupported value: {value}: supported values: " + ", ".join(f'"{each}"' for each in allowed)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("dryRun=None", unsupported("dryRun", '["None"]', "All")),
        ("dryRun=", unsupported("dryRun", '[""]', "All")),
        ("fieldValidation=Other", unsupported("fieldValidation", '"Other"', "", "Ignore", "Strict", "Warn")),
        (f"fieldManager={LONG}", "fieldManager: Too long: may not be more than 128 bytes"),
        ("fieldManager=a%01", r'fieldManager: Invalid value: "a\x01": invalid character U+0001 (at position 1)'),
    ],
)
@pytest.mark.parametrize(
    ("method", "url", "kind"),
    [("POST", CMS, "Create"), ("PUT", f"{CMS}/a", "Update"), ("PATCH", f"{CMS}/a", "Patch")],
)
async def test_options(world: World, method: str, url: str, kind: str, query: str, text: str) -> None:
    refused = await world.call(method, f"{url}?{query}", configmap(), MERGE if method == "PATCH" else {})
    assert (refused.status, refused.reason) == (422, "Invalid")
    assert refused.message == f'{kind}Options.meta.k8s.io "" is invalid: {text}'


@pytest.mark.parametrize(
    ("query", "body", "code", "text"),
    [
        ("dryRun=None", None, 422, unsupported("dryRun", '["None"]', "All")),
        ("", {"dryRun": ["None"]}, 422, unsupported("dryRun", '["None"]', "All")),
        ("propagationPolicy=Other", None, 422,
         unsupported("propagationPolicy", '"Other"', "Foreground", "Background", "Orphan", "nil")),
        ("", {"propagationPolicy": "Orphan", "orphanDependents": True}, 422,
         'propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set'),
        ("gracePeriodSeconds=x", None, 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("", {"kind": "Pod", "apiVersion": "v1"}, 400, "decoded object cannot be converted to DeleteOptions"),
        ("", b"{", 400, "couldn't get version/kind; json parse error: unexpected end of JSON input"),
    ],
)  # fmt: skip
async def test_options_of_deletions(world: World, query: str, body: Any, code: int, text: str) -> None:
    await world.post(CMS, configmap())
    refused = await world.delete(f"{CMS}/a?{query}", body)
    lead = 'DeleteOptions.meta.k8s.io "" is invalid: ' if code == 422 else ""
    assert (refused.status, refused.message) == (code, lead + text)
    assert (await world.get(f"{CMS}/a")).status == 200


async def test_dry_runs_of_everything_leave_no_trace(world: World) -> None:
    await world.post(CMS, configmap())
    await world.post(DEPLOYMENTS, deployment())
    await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})
    await world.post(f"{NS}/pods", pod())
    before = world.app.store.revision
    made = await world.post(f"{DEPLOYMENTS}?dryRun=All", deployment("new"))
    assert made.status == 201
    assert made.body["metadata"]["uid"]
    assert "resourceVersion" not in made.body["metadata"]
    bound = {"metadata": {"name": "p"}, "target": {"name": "n"}}
    for method, url, body, headers, status in (
        ("PUT", f"{CMS}/a", configmap(data={"k": "2"}), {}, 200),
        ("PATCH", f"{CMS}/a", {"data": {"k": "3"}}, MERGE, 200),
        ("DELETE", f"{CMS}/a", None, {}, 200),
        ("DELETE", CMS, None, {}, 200),
        ("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 5}}, MERGE, 200),
        ("PUT", f"{DEPLOYMENTS}/web/status", {**deployment(), "status": {"replicas": 5}}, {}, 200),
        ("POST", f"{NS}/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}, {}, 201),
        ("POST", f"{NS}/pods/p/binding", bound, {}, 201),
        ("POST", f"{NS}/pods/p/eviction", {"metadata": {"name": "p"}}, {}, 201),
    ):
        answer = await world.call(method, f"{url}?dryRun=All", body, headers)
        assert answer.status == status, (url, answer)
    assert world.app.store.revision == before


@pytest.mark.parametrize(
    ("body", "headers", "code", "text"),
    [
        (b"{", MERGE, 400, "invalid JSON patch"),
        (b"{", STRATEGIC, 400, "invalid JSON patch"),
        (b"[]", MERGE, 400,
         "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (b"[]", STRATEGIC, 400, "json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (b"{}", JSON_PATCH, 400,
         "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        ({"kind": "Other"}, MERGE, 400, 'Other in version "v1" cannot be handled as a Deployment'),
        ({"metadata": {"name": "other"}}, MERGE, 400,
         "the name of the object (other) does not match the name on the URL (web)"),
        ([{"op": "remove", "path": "/spec/none"}], JSON_PATCH, 422,
         "the server rejected our request due to an error in our request"),
        ([{"op": "test", "path": "/spec/paused", "value": 1}] * 10_001, JSON_PATCH, 413,
         "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"),
    ],
)  # fmt: skip
async def test_patches_that_cannot_be_applied(world: World, body: Any, headers: Any, code: int, text: str) -> None:
    await world.post(DEPLOYMENTS, deployment())
    refused = await world.patch(f"{DEPLOYMENTS}/web", body, headers)
    assert (refused.status, refused.message) == (code, text)


@pytest.mark.parametrize(
    ("body", "headers", "problem"),
    [
        (b'{"spec":{"replicas":1,"replicas":2}}', MERGE, 'duplicate field "spec.replicas"'),
        (b'{"spec":{"replicas":1,"replicas":2}}', STRATEGIC, 'duplicate field "spec.replicas"'),
        (b'{"spec":{"other":1}}', MERGE, 'unknown field "spec.other"'),
        (b'{"spec":{"other":1}}', STRATEGIC, 'unknown field "spec.other"'),
        (b'[{"op":"add","path":"/spec/paused","value":true,"x":1}]', JSON_PATCH, 'json patch unknown field "[0].x"'),
        (b'[{"op":"add","op":"add","path":"/spec/paused","value":true}]', JSON_PATCH,
         'json patch duplicate field "[0].op"'),
    ],
)  # fmt: skip
async def test_patches_are_validated_strictly(world: World, body: bytes, headers: Any, problem: str) -> None:
    await world.post(DEPLOYMENTS, deployment())
    path = f"{DEPLOYMENTS}/web"
    warned = await world.patch(f"{path}?dryRun=All", body, headers)
    escaped = problem.replace('"', '\\"')
    assert (warned.status, warned.headers["Warning"]) == (200, f'299 - "{escaped}"')
    ignored = await world.patch(f"{path}?fieldValidation=Ignore&dryRun=All", body, headers)
    assert (ignored.status, "Warning" in ignored.headers) == (200, False)
    refused = await world.patch(f"{path}?fieldValidation=Strict", body, headers)
    assert (refused.status, refused.reason) == (422, "Invalid")
    assert refused.message.startswith(' "" is invalid: patch: Invalid value: "')
    assert refused.message.endswith(f'": strict decoding error: {problem}')
    if headers is STRATEGIC:
        assert 'Invalid value: "map[spec:map[' in refused.message


async def test_a_scale_is_a_table_too(world: World) -> None:
    await world.post(DEPLOYMENTS, deployment(replicas=3))
    table = (await world.get(f"{DEPLOYMENTS}/web/scale", TABLE)).body
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Desired", "Available", "Age"]
    assert table["rows"][0]["cells"][:3] == ["web", 3, 0]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    patched = await world.patch(f"{DEPLOYMENTS}/web/scale", [{"op": "replace", "path": "/spec/replicas", "value": 2}],
                                JSON_PATCH)  # fmt: skip
    assert patched.body["spec"] == {"replicas": 2}


async def test_an_eviction_may_be_of_the_version_before(world: World) -> None:
    await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})
    await world.post(f"{NS}/pods", pod())
    body = {"kind": "Eviction", "metadata": {"name": "p"}}
    refused = await world.post(f"{NS}/pods/p/eviction", {**body, "apiVersion": "policy/v2"})
    assert refused.status == 400
    assert (await world.post(f"{NS}/pods/p/eviction", {**body, "apiVersion": "policy/v1beta1"})).status == 201


async def test_an_eviction_names_its_pod(world: World) -> None:
    await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})
    await world.post(f"{NS}/pods", pod())
    for body in ({}, {"metadata": {"name": "other"}}):
        refused = await world.post(f"{NS}/pods/p/eviction", body)
        assert (refused.status, refused.message) == (400, "name in URL does not match name in Eviction object")
