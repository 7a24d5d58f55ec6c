"""DELETE: at once, with grace, with finalizers, by policy, under conditions, and many at a time."""

from __future__ import annotations

from typing import Any

from tests.apiserver.world import World, configmap, deployment, pod

NS = "/api/v1/namespaces/default"
CMS = f"{NS}/configmaps"
PODS = f"{NS}/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def running_pod(world: World, name: str = "p", **spec: Any) -> dict[str, Any]:
    """A pod on a node."""
    await world.post("/api/v1/nodes", {"metadata": {"name": "n1"}})
    await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})
    made = await world.post(PODS, pod(name, nodeName="n1", **spec))
    assert made.status == 201, made
    return made.body


async def test_what_waits_for_nobody_goes_at_once(world: World) -> None:
    made = await world.post(CMS, configmap())
    gone = await world.delete(f"{CMS}/a")
    uid = made.body["metadata"]["uid"]
    assert gone.status == 200
    assert gone.body["status"] == "Success"
    assert gone.body["details"] == {"name": "a", "kind": "configmaps", "uid": uid}
    again = await world.delete(f"{CMS}/a")
    assert (again.status, again.message) == (404, 'configmaps "a" not found')


async def test_a_pod_on_a_node_gets_its_grace(world: World) -> None:
    made = await running_pod(world)
    waiting = (await world.delete(f"{PODS}/p")).body["metadata"]
    assert waiting["deletionGracePeriodSeconds"] == 30
    assert waiting["generation"] == made["metadata"]["generation"] + 1
    shorter = (await world.delete(f"{PODS}/p?gracePeriodSeconds=5")).body["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    assert shorter["deletionTimestamp"] < waiting["deletionTimestamp"]
    longer = (await world.delete(f"{PODS}/p?gracePeriodSeconds=60")).body["metadata"]
    assert longer["deletionGracePeriodSeconds"] == 5
    final = await world.delete(f"{PODS}/p", {"gracePeriodSeconds": 0})
    assert final.body["kind"] == "Pod"
    assert (await world.get(f"{PODS}/p")).status == 404


async def test_a_pod_without_a_node_needs_no_grace(world: World) -> None:
    await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})
    await world.post(PODS, pod())
    assert (await world.delete(f"{PODS}/p")).body["kind"] == "Pod"
    assert (await world.get(f"{PODS}/p")).status == 404


async def test_finalizers_hold_an_object_until_the_last_is_gone(world: World) -> None:
    await world.post(CMS, configmap(metadata={"finalizers": ["example.com/a"]}))
    held = await world.delete(f"{CMS}/a")
    assert held.status == 200
    assert held.body["metadata"]["deletionTimestamp"]
    more = await world.patch(f"{CMS}/a", {"metadata": {"finalizers": ["example.com/a", "example.com/b"]}})
    assert more.status == 422
    twice = await world.post(CMS, configmap())
    assert twice.message == 'object is being deleted: configmaps "a" already exists'
    last = await world.patch(f"{CMS}/a", {"metadata": {"finalizers": None}})
    assert last.status == 200
    assert (await world.get(f"{CMS}/a")).status == 404


async def test_policies_become_finalizers_for_the_garbage_collector(world: World) -> None:
    for policy, finalizer in (("Foreground", "foregroundDeletion"), ("Orphan", "orphan")):
        await world.post(DEPLOYMENTS, deployment())
        held = await world.delete(f"{DEPLOYMENTS}/web", {"propagationPolicy": policy})
        assert held.body["metadata"]["finalizers"] == [finalizer]
        await world.patch(f"{DEPLOYMENTS}/web", {"metadata": {"finalizers": None}})
    await world.post(DEPLOYMENTS, deployment())
    assert (await world.delete(f"{DEPLOYMENTS}/web", {"propagationPolicy": "Background"})).body["kind"] == "Status"
    wrong = await world.delete(f"{DEPLOYMENTS}/web", {"propagationPolicy": "Nobody"})
    assert wrong.status == 422
    assert "Unsupported value" in wrong.message
    both = await world.delete(f"{DEPLOYMENTS}/web", {"propagationPolicy": "Orphan", "orphanDependents": True})
    assert both.status == 422


async def test_preconditions(world: World) -> None:
    made = (await world.post(CMS, configmap())).body["metadata"]
    foreign = await world.delete(f"{CMS}/a", {"preconditions": {"uid": "other"}})
    assert (foreign.status, foreign.reason) == (409, "Conflict")
    assert "the UID in the precondition (other) does not match the UID in record" in foreign.message
    stale = await world.delete(f"{CMS}/a", {"preconditions": {"resourceVersion": "1"}})
    assert stale.status == 409
    right = {"preconditions": {"uid": made["uid"], "resourceVersion": made["resourceVersion"]}}
    assert (await world.delete(f"{CMS}/a", right)).status == 200


async def test_a_namespace_goes_when_it_has_been_finalized(world: World) -> None:
    made = await world.post("/api/v1/namespaces", {"metadata": {"name": "x"}})
    assert made.body["spec"] == {"finalizers": ["kubernetes"]}
    going = await world.delete("/api/v1/namespaces/x")
    assert going.body["status"]["phase"] == "Terminating"
    refused = await world.post("/api/v1/namespaces/x/configmaps", configmap())
    assert (refused.status, refused.reason) == (403, "Forbidden")
    body = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "x"}, "spec": {}}
    done = await world.put("/api/v1/namespaces/x/finalize", body)
    assert done.status == 200
    assert (await world.get("/api/v1/namespaces/x")).status == 404


async def test_collections_are_deleted_by_selector(world: World) -> None:
    for name in "abcd":
        await world.post(CMS, configmap(name, metadata={"labels": {"odd": str(name in "ac")}}))
    gone = await world.delete(f"{CMS}?labelSelector=odd%3DTrue")
    assert gone.body["kind"] == "ConfigMapList"
    assert [each["metadata"]["name"] for each in gone.body["items"]] == ["a", "c"]
    left = await world.get(CMS)
    assert [each["metadata"]["name"] for each in left.body["items"]] == ["b", "d"]
    assert (await world.delete("/api/v1/configmaps")).status == 405
    assert (await world.delete("/api/v1/namespaces")).status == 405


async def test_options_are_read_under_any_group(world: World) -> None:
    await world.post(CMS, configmap())
    wrong = await world.delete(f"{CMS}/a", {"kind": "Pod", "apiVersion": "v1"})
    assert wrong.status == 400
    ok = await world.delete(f"{CMS}/a", {"kind": "DeleteOptions", "apiVersion": "apps/v1"})
    assert ok.status == 200
    assert (await world.delete(f"{CMS}/a", b"{")).status == 400
