"""Definitions come, change and go: names, conditions, discovery, finalisation, restarts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kijabi.store.memory import MemoryStore
from tests.apiserver.crd.definitions import (
    CRDS,
    GROUP,
    WIDGETS,
    conditions,
    definition,
    gone,
    install,
    settled,
    version,
    widget,
)
from tests.apiserver.world import JSON_PATCH, MERGE, World, running


async def test_a_definition_is_established_and_served(world: World) -> None:
    assert (await world.get(WIDGETS)).raw == b"404 page not found\n"
    crd = await install(world, definition(names={"shortNames": ["wd"], "categories": ["all"]}))
    assert conditions(crd) == {
        "NamesAccepted": ("True", "NoConflicts"),
        "Established": ("True", "InitialNamesAccepted"),
    }
    assert crd["status"]["acceptedNames"] == crd["spec"]["names"]
    assert crd["status"]["storedVersions"] == ["v1"]
    made = await world.post(WIDGETS, widget())
    assert made.status == 201
    assert made.body["metadata"]["generation"] == 1
    listed = await world.get(WIDGETS)
    assert listed.body["kind"] == "WidgetList"
    assert [(each["apiVersion"], each["kind"]) for each in listed.body["items"]] == [("example.com/v1", "Widget")]


async def test_discovery_tells_of_it(world: World) -> None:
    before = {group["name"] for group in (await world.get("/apis")).body["groups"]}
    subs: dict[str, Any] = {
        "status": {},
        "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
    }
    await install(
        world,
        definition(
            "widgets",
            "Widget",
            version("v1beta1", storage=False),
            version("v1", subresources=subs),
            version("v2", storage=False),
        ),
    )
    groups = {group["name"]: group for group in (await world.get("/apis")).body["groups"]}
    assert groups.keys() - before == {GROUP}
    assert [each["version"] for each in groups[GROUP]["versions"]] == ["v2", "v1", "v1beta1"]
    assert groups[GROUP]["preferredVersion"]["version"] == "v2"
    resources = (await world.get(f"/apis/{GROUP}/v1")).body["resources"]
    assert [each["name"] for each in resources] == ["widgets", "widgets/scale", "widgets/status"]
    assert resources[0]["verbs"] == ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
    await world.delete(f"{CRDS}/widgets.{GROUP}")
    await gone(world, f"{CRDS}/widgets.{GROUP}")
    assert {group["name"] for group in (await world.get("/apis")).body["groups"]} == before
    assert (await world.get(f"/apis/{GROUP}/v1")).status == 404


async def test_names_that_others_have_are_not_accepted(world: World) -> None:
    await install(world, definition(names={"shortNames": ["wd"]}))
    await world.post(CRDS, definition("gadgets", "Gadget", names={"shortNames": ["wd", "gd"]}))
    crd = await settled(world, f"gadgets.{GROUP}", "NamesAccepted", "False")
    assert conditions(crd) == {
        "NamesAccepted": ("False", "ShortNamesConflict"),
        "Established": ("False", "NotAccepted"),
    }
    assert crd["status"]["conditions"][0]["message"] == '"wd" is already in use'
    assert (await world.get(f"/apis/{GROUP}/v1/gadgets")).status == 404
    await world.delete(f"{CRDS}/widgets.{GROUP}")
    await settled(world, f"gadgets.{GROUP}")
    assert (await world.get(f"/apis/{GROUP}/v1/gadgets")).status == 200


async def test_deleting_a_definition_deletes_its_objects(world: World) -> None:
    await install(world, definition())
    for name in ("a", "b"):
        await world.post(WIDGETS, widget(name))
    watch = await world.watch(f"{WIDGETS}?watch=true&resourceVersion=0")
    deleted = await world.delete(f"{CRDS}/widgets.{GROUP}")
    assert deleted.body["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    assert conditions(deleted.body)["Terminating"] == ("True", "InstanceDeletionPending")
    await gone(world, f"{CRDS}/widgets.{GROUP}")
    assert (await world.get(WIDGETS)).raw == b"404 page not found\n"
    assert [kind for kind, _ in await watch.names()] == ["ADDED", "ADDED", "DELETED", "DELETED"]
    assert watch.answer.watcher.ended
    await install(world, definition())
    assert (await world.get(WIDGETS)).body["items"] == []


async def test_objects_with_finalizers_hold_the_definition_up(world: World) -> None:
    await install(world, definition())
    waiting = widget("a")
    waiting["metadata"]["finalizers"] = ["example.com/wait"]
    await world.post(WIDGETS, waiting)
    await world.delete(f"{CRDS}/widgets.{GROUP}")
    crd = await settled(world, f"widgets.{GROUP}", "Terminating", "True")
    refused = await world.post(WIDGETS, widget("b"))
    assert refused.status == 403
    assert refused.message == (
        'widgets.example.com "b" is forbidden: create not allowed while custom resource definition is terminating'
    )
    assert crd["metadata"]["deletionTimestamp"]
    verbs = (await world.get(f"/apis/{GROUP}/v1")).body["resources"][0]["verbs"]
    assert verbs == ["delete", "deletecollection", "get", "list", "watch"]
    freed = await world.patch(f"{WIDGETS}/a", {"metadata": {"finalizers": None}}, MERGE)
    assert freed.status == 200
    await gone(world, f"{CRDS}/widgets.{GROUP}")


async def test_a_restarted_server_serves_at_once_and_goes_on_deleting() -> None:
    store = MemoryStore()
    async with running(store) as world:
        await install(world, definition())
        await install(world, definition("gadgets", "Gadget"))
        await world.post(WIDGETS, widget("a"))
        gadget = widget("g", kind="Gadget")
        gadget["metadata"]["finalizers"] = ["example.com/wait"]
        made = await world.post(f"/apis/{GROUP}/v1/namespaces/default/gadgets", gadget)
        assert made.status == 201, made
        await world.delete(f"{CRDS}/gadgets.{GROUP}")
    async with running(store) as world:
        assert (await world.get(f"{WIDGETS}/a")).status == 200
        url = f"/apis/{GROUP}/v1/namespaces/default/gadgets/g"
        await world.patch(url, {"metadata": {"finalizers": None}}, MERGE)
        await gone(world, f"{CRDS}/gadgets.{GROUP}")


async def test_a_deprecated_version_warns(world: World) -> None:
    await install(
        world, definition("widgets", "Widget", version("v1beta1", storage=False, deprecated=True), version("v1"))
    )
    answer = await world.get(f"/apis/{GROUP}/v1beta1/widgets")
    assert answer.headers["Warning"] == '299 - "example.com/v1beta1 Widget is deprecated; use example.com/v1 Widget"'


async def test_a_version_that_is_served_no_more_goes(world: World) -> None:
    await install(world, definition("widgets", "Widget", version("v1"), version("v2", storage=False)))
    await world.post(WIDGETS, widget())
    assert (await world.get(f"/apis/{GROUP}/v2/namespaces/default/widgets/a")).body["apiVersion"] == f"{GROUP}/v2"
    crd = (await world.get(f"{CRDS}/widgets.{GROUP}")).body
    crd["spec"]["versions"][1]["served"] = False
    assert (await world.put(f"{CRDS}/widgets.{GROUP}", crd)).status == 200
    assert (await world.get(f"/apis/{GROUP}/v2/namespaces/default/widgets/a")).status == 404
    assert (await world.get(f"{WIDGETS}/a")).status == 200


async def test_a_status_that_somebody_breaks_is_mended(world: World) -> None:
    crd = await install(world, definition())
    crd["status"]["conditions"].append({"type": "", "status": "", "message": "updated"})
    updated = await world.put(f"{CRDS}/widgets.{GROUP}/status", crd)
    assert updated.body["status"]["conditions"][-1]["message"] == "updated"
    change = [{"op": "add", "path": "/status/conditions", "value": [{"message": "patched"}]}]
    patched = await world.patch(f"{CRDS}/widgets.{GROUP}/status", change, JSON_PATCH)
    assert [each["message"] for each in patched.body["status"]["conditions"]] == ["patched"]
    await settled(world, f"widgets.{GROUP}")
    assert (await world.get(WIDGETS)).status == 200


async def test_groups_of_the_community_say_where_they_were_approved(world: World) -> None:
    crd = definition(group="test.k8s.io")
    crd["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
    found = await install(world, crd)
    assert conditions(found)["KubernetesAPIApprovalPolicyConformant"] == ("False", "UnapprovedAnnotation")


@pytest.mark.parametrize("writes", range(7))
async def test_a_crash_after_any_write_of_a_deletion(writes: int) -> None:
    store = MemoryStore()
    async with running(store) as world:
        await install(world, definition())
        for name in ("a", "b", "c"):
            await world.post(WIDGETS, widget(name))
        await world.delete(f"{CRDS}/widgets.{GROUP}")
        begun = store.revision
        while store.revision < begun + writes and (await world.get(f"{CRDS}/widgets.{GROUP}")).status == 200:  # noqa: ASYNC110
            await asyncio.sleep(0)
    async with running(store) as world:
        await gone(world, f"{CRDS}/widgets.{GROUP}")
        assert (await world.get(WIDGETS)).status == 404
        await install(world, definition())
        assert (await world.get(WIDGETS)).body["items"] == []


async def test_what_the_server_brings_itself_cannot_be_taken(world: World) -> None:
    leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
    await world.post(leases, {"metadata": {"name": "a"}})
    crd = definition("leases", "Lease", version("v1"), version("v9", storage=False), group="coordination.k8s.io")
    crd["metadata"]["annotations"] = {"api-approved.kubernetes.io": "unapproved, a test"}
    await install(world, crd)
    assert (await world.get(f"{leases}/a")).body["kind"] == "Lease"
    assert (await world.get(leases.replace("v1", "v9"))).status == 404
    events = definition("events", "Event", group="events.k8s.io")
    events["metadata"]["annotations"] = crd["metadata"]["annotations"]
    await install(world, events)
    found = world.app.routes.find("events.k8s.io", "v1", "events")
    assert found is not None
    assert not found.resource.custom
    await world.delete(f"{CRDS}/leases.coordination.k8s.io")
    await gone(world, f"{CRDS}/leases.coordination.k8s.io")
    assert (await world.get(f"{leases}/a")).status == 200


async def test_a_new_resource_in_a_built_in_group(world: World) -> None:
    crd = definition(group="coordination.k8s.io")
    crd["metadata"]["annotations"] = {"api-approved.kubernetes.io": "https://example.com/approved"}
    await install(world, crd)
    url = "/apis/coordination.k8s.io/v1/namespaces/default/widgets"
    assert (await world.post(url, widget(api_version="coordination.k8s.io/v1"))).status == 201
    assert (await world.get("/apis/coordination.k8s.io/v1/namespaces/default/leases")).status == 200
    await world.delete(f"{CRDS}/widgets.coordination.k8s.io")
    await gone(world, f"{CRDS}/widgets.coordination.k8s.io")
    assert (await world.get("/apis/coordination.k8s.io/v1/namespaces/default/leases")).status == 200
