"""The wire checklist, section 4: Status bodies of every class of errors, word for word."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.world import JSON_PATCH, MERGE, World, configmap, deployment

NS = "/api/v1/namespaces/default"
CMS = f"{NS}/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
STALE = "the object has been modified; please apply your changes to the latest version and try again"
NOWHERE = "the server could not find the requested resource"
CONFLICT = 'Operation cannot be fulfilled on deployments.apps "web": '


def uid_text(name: str, found: str) -> str:
    return (
        f"StorageError: invalid object, Code: 4, Key: /registry/apps/deployments/default/{name}, ResourceVersion: 0, "
        f"AdditionalErrorMsg: Precondition failed: UID in precondition: other, UID in object meta: {found}"
    )


@pytest.mark.parametrize(
    ("method", "url", "body", "headers", "code", "reason", "message"),
    [
        ("GET", f"{CMS}/none", None, {}, 404, "NotFound", 'configmaps "none" not found'),
        ("GET", f"{DEPLOYMENTS}/none/status", None, {}, 404, "NotFound", 'deployments.apps "none" not found'),
        ("GET", f"{DEPLOYMENTS}/none/scale", None, {}, 404, "NotFound", 'deployments.apps "none" not found'),
        ("GET", f"{NS}/nothings", None, {}, 404, "NotFound", NOWHERE),
        ("GET", f"{CMS}/a/log", None, {}, 404, "NotFound", NOWHERE),
        ("GET", "/api/v1/configmaps/a", None, {}, 404, "NotFound", NOWHERE),
        ("POST", DEPLOYMENTS, deployment(), {}, 409, "AlreadyExists", 'deployments.apps "web" already exists'),
        ("PUT", f"{DEPLOYMENTS}/web", {**deployment(), "metadata": {"name": "web", "resourceVersion": "1"}}, {},
         409, "Conflict", CONFLICT + STALE),
        ("PUT", f"{DEPLOYMENTS}/none", {**deployment(), "metadata": {"name": "none", "uid": "other"}}, {},
         409, "Conflict", CONFLICT.replace("web", "none") + uid_text("none", "")),
        ("PUT", f"{DEPLOYMENTS}/none", deployment("none"), {}, 404, "NotFound", 'deployments.apps "none" not found'),
        ("PUT", f"{DEPLOYMENTS}/web", deployment("other"), {}, 400, "BadRequest",
         "the name of the object (other) does not match the name on the URL (web)"),
        ("PUT", f"{DEPLOYMENTS}/web", {**deployment(), "metadata": {}}, {}, 400, "BadRequest",
         "the name of the object (web based on URL) was undeterminable: name must be provided"),
        ("PUT", f"{DEPLOYMENTS}/web", {**deployment(), "metadata": {"name": "web", "namespace": "other"}}, {},
         400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"),
        ("PUT", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": 1}}, {}, 400, "BadRequest",
         "the name of the object (web based on URL) was undeterminable: name must be provided"),
        ("POST", DEPLOYMENTS, {**deployment("new"), "metadata": {"name": "new", "resourceVersion": "5"}}, {}, 500, "",
         "resourceVersion should not be set on objects to be created"),
        ("POST", "/apis/apps/v1/namespaces/none/deployments", deployment(), {}, 404, "NotFound",
         'namespaces "none" not found'),
        ("PATCH", f"{DEPLOYMENTS}/web", [{"op": "test", "path": "/spec/replicas", "value": 9}], JSON_PATCH, 422,
         "Invalid", "the server rejected our request due to an error in our request"),
        ("PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": -1}}, MERGE, 422, "Invalid",
         'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'),
        ("DELETE", f"{DEPLOYMENTS}/web", {"preconditions": {"resourceVersion": "1"}}, {}, 409, "Conflict",
         'Operation cannot be fulfilled on Deployment.apps "web": the ResourceVersion in the precondition (1) does '),
        ("DELETE", "/api/v1/namespaces/kube-system", None, {}, 403, "Forbidden",
         'namespaces "kube-system" is forbidden: this namespace may not be deleted'),
    ],
)  # fmt: skip
async def test_errors(
    world: World, method: str, url: str, body: Any, headers: Any, code: int, reason: str, message: str
) -> None:
    await world.post(DEPLOYMENTS, deployment())
    answer = await world.call(method, url, body, headers)
    found = answer.body
    assert (answer.status, answer.reason) == (code, reason), answer
    assert answer.message == message if not message.endswith(" ") else answer.message.startswith(message)
    assert (found["kind"], found["apiVersion"], found["metadata"]) == ("Status", "v1", {})
    assert (found["status"], found["code"]) == ("Failure", code)


async def test_the_uid_is_a_precondition(world: World) -> None:
    made = (await world.post(DEPLOYMENTS, deployment())).body
    other = {**deployment(), "metadata": {"name": "web", "uid": "other"}}
    refused = await world.put(f"{DEPLOYMENTS}/web", other)
    assert (refused.status, refused.message) == (409, CONFLICT + uid_text("web", made["metadata"]["uid"]))
    assert refused.body["details"] == {"name": "web", "group": "apps", "kind": "deployments"}


@pytest.mark.parametrize(
    ("labels", "causes"),
    [
        ({"x": "-"}, ["metadata.labels"]),
        ({"a b": "-"}, ["metadata.labels", "metadata.labels"]),
    ],
)
async def test_all_that_is_wrong_is_told(world: World, labels: dict[str, str], causes: list[str]) -> None:
    answer = await world.post(CMS, configmap(metadata={"labels": labels}))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert [cause["field"] for cause in answer.body["details"]["causes"]] == causes
    assert all(cause["reason"] == "FieldValueInvalid" for cause in answer.body["details"]["causes"])
    assert answer.message.count("metadata.labels: Invalid value") == len(causes)
