"""PATCH in its three forms, through the whole server."""

from __future__ import annotations

from tests.apiserver.world import JSON_PATCH, MERGE, STRATEGIC, World, configmap, deployment

CMS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def test_each_form(world: World) -> None:
    await world.post(DEPLOYMENTS, deployment())
    web = f"{DEPLOYMENTS}/web"
    sidecar = {"spec": {"template": {"spec": {"containers": [{"name": "side", "image": "x"}]}}}}
    added = await world.patch(web, sidecar, STRATEGIC)
    assert [each["name"] for each in added.body["spec"]["template"]["spec"]["containers"]] == ["side", "c"]
    replaced = await world.patch(web, sidecar, MERGE)
    assert [each["name"] for each in replaced.body["spec"]["template"]["spec"]["containers"]] == ["side"]
    stepped = await world.patch(web, [{"op": "replace", "path": "/spec/replicas", "value": 7}], JSON_PATCH)
    assert stepped.body["spec"]["replicas"] == 7


async def test_what_cannot_be_applied(world: World) -> None:
    await world.post(CMS, configmap())
    url = f"{CMS}/a"
    failed = await world.patch(url, [{"op": "test", "path": "/data/k", "value": "other"}], JSON_PATCH)
    assert failed.status == 422
    for body, headers in ((b"{", MERGE), (b"[1]", MERGE), (b"{}", JSON_PATCH), (b"7", STRATEGIC)):
        assert (await world.patch(url, body, headers)).status == 400, body
    unknown = await world.patch(url, {}, {"content-type": "application/xml"})
    assert (unknown.status, unknown.reason) == (415, "UnsupportedMediaType")
    assert unknown.message == (
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, "
        "application/apply-patch+yaml"
    )
    assert (await world.patch(f"{CMS}/none", {})).status == 404
    renamed = await world.patch(url, {"metadata": {"name": "b"}})
    assert renamed.message == "the name of the object (b) does not match the name on the URL (a)"
    wrong_type = await world.patch(url, {"data": 7})
    assert wrong_type.status == 422
    assert wrong_type.message.startswith(' "" is invalid: patch: Invalid value:')
    forced = await world.patch(f"{url}?force=true", {})
    assert "force: Forbidden: may not be specified for non-apply patch" in forced.message


async def test_unknown_fields_warn_or_fail(world: World) -> None:
    await world.post(CMS, configmap())
    warned = await world.patch(f"{CMS}/a", {"nope": 1})
    assert warned.headers["Warning"] == '299 - "unknown field \\"nope\\""'
    strict = await world.patch(f"{CMS}/a?fieldValidation=Strict", {"nope": 1})
    assert strict.status == 422
    assert 'strict decoding error: unknown field "nope"' in strict.message


async def test_a_version_in_the_patch_is_a_condition(world: World) -> None:
    made = await world.post(CMS, configmap())
    stale = await world.patch(f"{CMS}/a", {"metadata": {"resourceVersion": "1"}, "data": {"k": "2"}})
    assert stale.status == 409
    right = await world.patch(f"{CMS}/a", {"metadata": {"resourceVersion": made.version}, "data": {"k": "2"}})
    assert right.status == 200
    same = await world.patch(f"{CMS}/a", {"data": {"k": "2"}})
    assert same.version == right.version


async def test_status_is_patched_alone(world: World) -> None:
    await world.post(DEPLOYMENTS, deployment())
    change = {"spec": {"replicas": 9}, "status": {"replicas": 3}}
    told = await world.patch(f"{DEPLOYMENTS}/web/status", change)
    assert (told.body["spec"]["replicas"], told.body["status"]["replicas"]) == (1, 3)
