"""One thing under two names: events of both groups, autoscalers of both versions."""

from __future__ import annotations

from typing import Any

from tests.apiserver.world import TABLE, World

CORE = "/api/v1/namespaces/default/events"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
V1 = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers"
V2 = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"


def event(name: str = "e", **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "Why",
        "message": "words",
        "type": "Normal",
        "source": {"component": "me"},
        **more,
    }


def new_event(name: str = "n") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "Why",
        "note": "words",
        "type": "Normal",
        "action": "Doing",
        "reportingController": "example.com/me",
        "reportingInstance": "me-1",
        "eventTime": "2026-01-01T00:00:00.000000Z",
    }


async def test_an_event_is_seen_through_both_groups(world: World) -> None:
    watching = await world.watch(f"{EVENTS}?watch=1")
    made = await world.post(CORE, event())
    assert made.status == 201, made
    seen = (await world.get(f"{EVENTS}/e")).body
    assert (seen["kind"], seen["apiVersion"], seen["note"]) == ("Event", "events.k8s.io/v1", "words")
    assert seen["metadata"]["resourceVersion"] == made.version
    assert seen["regarding"]["name"] == "p"
    other = await world.post(EVENTS, new_event())
    assert other.status == 201, other
    assert other.body["apiVersion"] == "events.k8s.io/v1"
    back = (await world.get(f"{CORE}/n")).body
    assert (back["message"], back["apiVersion"]) == ("words", "v1")
    events = await watching.events()
    assert [each["object"]["note"] for each in events] == ["words", "words"]
    assert {each["object"]["apiVersion"] for each in events} == {"events.k8s.io/v1"}
    listed = (await world.get(EVENTS)).body
    assert [each["metadata"]["name"] for each in listed["items"]] == ["e", "n"]
    assert [each["metadata"]["resourceVersion"] for each in listed["items"]] == [made.version, other.version]


async def test_views_are_selected_patched_and_deleted(world: World) -> None:
    await world.post(EVENTS, new_event("e"))
    for path, field in ((CORE, "involvedObject.name"), (EVENTS, "regarding.name")):
        assert len((await world.get(f"{path}?fieldSelector={field}%3Dp")).body["items"]) == 1
        assert (await world.get(f"{path}?fieldSelector={field}%3Dq")).body["items"] == []
    patched = await world.patch(f"{EVENTS}/e", {"metadata": {"labels": {"a": "b"}}})
    assert patched.status == 200, patched
    assert (await world.get(f"{CORE}/e")).body["metadata"]["labels"] == {"a": "b"}
    table = (await world.get(EVENTS, TABLE)).body
    assert table["rows"][0]["cells"]
    assert (await world.delete(f"{EVENTS}/e")).status == 200
    assert (await world.get(f"{CORE}/e")).status == 404


async def test_autoscalers_of_the_first_version_are_stored_as_the_second(world: World) -> None:
    spec = {"maxReplicas": 5, "targetCPUUtilizationPercentage": 50,
            "scaleTargetRef": {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}}  # fmt: skip
    made = await world.post(V1, {"metadata": {"name": "h"}, "spec": spec})
    assert made.status == 201, made
    assert made.body["spec"]["targetCPUUtilizationPercentage"] == 50
    newer = (await world.get(f"{V2}/h")).body
    metric = newer["spec"]["metrics"][0]
    assert metric["resource"]["target"] == {"type": "Utilization", "averageUtilization": 50}
    changed = await world.patch(f"{V2}/h", {"spec": {"maxReplicas": 9}})
    assert changed.status == 200, changed
    assert (await world.get(f"{V1}/h")).body["spec"]["maxReplicas"] == 9


async def test_old_kinds_are_announced_as_deprecated(world: World) -> None:
    answer = await world.get("/api/v1/endpoints")
    assert answer.headers["Warning"] == (
        '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
    )
