"""Who manages the replicas when they are written through the scale subresource."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.apply.things import DEPLOYMENTS, Managers, deployment, entries, fields, owned

WORKLOADS = {
    "Deployment": "/apis/apps/v1/namespaces/default/deployments",
    "StatefulSet": "/apis/apps/v1/namespaces/default/statefulsets",
    "ReplicaSet": "/apis/apps/v1/namespaces/default/replicasets",
    "ReplicationController": "/api/v1/namespaces/default/replicationcontrollers",
}


def workload(kind: str, **spec: Any) -> dict[str, Any]:
    body = {**deployment("test", **spec), "kind": kind}
    if kind == "ReplicationController":
        body["apiVersion"] = "v1"
        body["spec"]["selector"] = {"app": "nginx"}
    return body


def scale(replicas: int) -> dict[str, Any]:
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": {"name": "test", "namespace": "default"},
            "spec": {"replicas": replicas}}  # fmt: skip


@pytest.mark.parametrize("kind", WORKLOADS)
async def test_replicas_change_hands(server: Managers, kind: str) -> None:
    url = f"{WORKLOADS[kind]}/test"

    async def check(replicas: int, *managers: str) -> None:
        found = await server.get(url)
        assert found["spec"]["replicas"] == replicas
        owners = {e["manager"] for e in entries(found) if "f:replicas" in e["fieldsV1"].get("f:spec", {})}
        assert owners == set(managers)

    body = workload(kind, replicas=1)
    assert (await server.apply(url, body)).status == 201
    await check(1, "apply_test")
    assert (await server.merge(f"{url}/scale", {"spec": {"replicas": 5}}, "scale_test")).status == 200
    await check(5, "scale_test")
    assert (await server.apply(url, body)).status == 409
    assert (await server.apply(url, body, force=True)).status == 200
    await check(1, "apply_test")
    refused = await server.apply(f"{url}/scale", scale(17), "apply_scale")
    assert refused.message == 'Apply failed with 1 conflict: conflict with "apply_test": .spec.replicas'
    assert (await server.apply(f"{url}/scale", scale(17), "apply_scale", force=True)).status == 200
    await check(17, "apply_scale")
    assert (await server.put(f"{url}/scale", scale(7), "replace_test")).status == 200
    await check(7, "replace_test")
    assert (await server.apply(f"{url}/scale", scale(7), "co_owning_test")).status == 200
    await check(7, "replace_test", "co_owning_test")
    assert (await server.merge(f"{url}/scale", {"spec": {"replicas": 5}}, "scale_test")).status == 200
    await check(5, "scale_test")


async def test_the_subresource_is_noted(server: Managers) -> None:
    url = f"{DEPLOYMENTS}/deployment"
    await server.apply(url, deployment(replicas=3), "manager")
    await server.merge(f"{url}/scale", {"spec": {"replicas": 32}}, "manager")
    found = await server.get(url)
    assert [(e["operation"], e.get("subresource", ""), e["apiVersion"]) for e in entries(found)] == [
        ("Apply", "", "apps/v1"), ("Update", "scale", "apps/v1"),
    ]  # fmt: skip
    assert owned(found, "manager", "Update", "scale") == fields('{"f:spec":{"f:replicas":{}}}')


async def test_a_status_in_a_scale_changes_nothing(server: Managers) -> None:
    url = f"{DEPLOYMENTS}/deployment"
    made = await server.apply(url, deployment(replicas=1))
    assert (await server.merge(f"{url}/scale", {"status": {"replicas": 42}}, "scale_test")).status == 200
    found = await server.get(url)
    assert (found["spec"]["replicas"], entries(found)) == (1, entries(made))


async def test_replicas_of_nobody_are_not_tracked_by_an_update(server: Managers) -> None:
    url = f"{DEPLOYMENTS}/deployment"
    made = await server.apply(url, deployment())
    assert (await server.merge(f"{url}/scale", {"spec": {"replicas": 4}}, "scale_test")).status == 200
    assert entries(await server.get(url)) == entries(made)
    refused = await server.apply(f"{url}/scale", {**scale(9), "metadata": {"name": "deployment"}}, "hpa")
    assert '"before-first-apply"' in refused.message


async def test_what_is_no_scale_is_refused(server: Managers) -> None:
    url = f"{DEPLOYMENTS}/deployment"
    await server.apply(url, deployment())
    wrong = await server.apply(f"{url}/scale", deployment(), "hpa")
    assert (wrong.status, wrong.message) == (400, "invalid object type: apps/v1, Kind=Deployment")
    unknown = await server.apply(f"{url}/scale", {**scale(9), "spec": {"size": 3}}, "hpa")
    assert (unknown.status, unknown.message) == (
        500,
        "failed to create typed patch object (default/test; autoscaling/v1, Kind=Scale): "
        ".spec.size: field not declared in schema",
    )
