"""Managed fields of creates, updates and patches, sent by clients, through subresources; clearing and renaming."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from kijabi.api import codec
from kijabi.api.apply import managers
from kijabi.api.meta import ManagedFieldsEntry, ObjectMeta
from kijabi.api.struct import NO_JSON
from kijabi.apiserver.managedfields import guard, scope_of
from tests.apiserver.apply.things import (
    CMS,
    DEPLOYMENTS,
    PODS,
    Managers,
    config,
    deployment,
    entries,
    fields,
    names,
    owned,
    pod,
)

CM = f"{CMS}/test-cm"
POD = f"{PODS}/just-a-pod"
WEB = f"{DEPLOYMENTS}/deployment"
LABELLED = config(metadata={"labels": {"test-label": "test"}}, data={"key": "value"})
CLEAR: dict[str, Any] = {"metadata": {"managedFields": [{}]}}


async def test_a_pod_as_kubernetes_shows_it(server: Managers) -> None:
    probe = {"httpGet": {"path": "/", "port": 80}}
    container = {"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}], "livenessProbe": probe}
    made = await server.create(PODS, pod(containers=[container]))
    assert owned(made, "creator") == fields(
        '{"f:spec":{"f:automountServiceAccountToken":{},"f:containers":{"k:{\\"name\\":\\"c\\"}":{".":{},"f:env":{".":{},'
        '"k:{\\"name\\":\\"A\\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:imagePullPolicy":{},'
        '"f:livenessProbe":{".":{},"f:failureThreshold":{},"f:httpGet":{".":{},"f:path":{},"f:port":{},"f:scheme":{}},'
        '"f:periodSeconds":{},"f:successThreshold":{},"f:timeoutSeconds":{}},"f:name":{},"f:resources":{},'
        '"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},'
        '"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}'
    )
    assert made.body["spec"]["tolerations"], "admission added some, and nobody owns them"


async def test_a_daemon_set_as_kubernetes_shows_it(server: Managers) -> None:
    url = "/apis/apps/v1/namespaces/default/daemonsets"
    body = {**deployment("d"), "kind": "DaemonSet"}
    made = await server.create(url, body)
    about = owned(made, "creator")
    assert about["f:metadata"]["f:annotations"] == {".": {}, "f:deprecated.daemonset.template.generation": {}}
    assert about["f:spec"]["f:updateStrategy"] == fields(
        '{"f:rollingUpdate":{".":{},"f:maxSurge":{},"f:maxUnavailable":{}},"f:type":{}}'
    )
    body["spec"]["template"]["spec"]["hostNetwork"] = True
    put = await server.put(f"{url}/d", body)
    assert owned(put, "updater")["f:metadata"]["f:annotations"] == {"f:deprecated.daemonset.template.generation": {}}
    assert owned(put, "creator")["f:metadata"]["f:annotations"] == {}


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("kubectl/v1.32.0 (linux/amd64)", "kubectl"),
        ("", "unknown"),
        ("/x", "unknown"),
        ("a\u0007b/1", "ab"),
        ("é" * 100, "é" * 64),
    ],
)
async def test_a_manager_without_a_name_is_called_by_its_user_agent(server: Managers, agent: str, name: str) -> None:
    made = await server.world.post(CMS, LABELLED, {"user-agent": agent})
    assert names(made) == [(name, "Update")]
    assert managers.name_of("given", agent) == "given"


async def test_a_status_write_owns_only_status(server: Managers) -> None:
    await server.apply(POD, pod())
    conditions = [{"type": "MyStatus", "status": "True"}]
    forged = {
        "metadata": {
            "managedFields": [
                {
                    "manager": "testing", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
                    "fieldsV1": {"f:spec": {"f:containers": {'k:{"name":"testing"}': {".": {}}}}},
                }
            ]
        },
        "status": {"conditions": conditions},
    }  # fmt: skip
    before = entries(await server.get(POD))
    done = await server.merge(f"{POD}/status", forged, "kubelet")
    assert entries(done)[0] == before[0]
    assert owned(done, "kubelet", sub="status") == fields(
        '{"f:status":{"f:conditions":{".":{},"k:{\\"type\\":\\"MyStatus\\"}":{".":{},"f:lastProbeTime":{},'
        '"f:lastTransitionTime":{},"f:status":{},"f:type":{}}}}}'
    ) or owned(done, "kubelet", sub="status") == fields(
        '{"f:status":{"f:conditions":{"k:{\\"type\\":\\"MyStatus\\"}":{".":{},"f:status":{},"f:type":{}},".":{}}}}'
    )
    assert len(entries(done)) == 2


async def test_a_write_that_others_undo_owns_nothing(server: Managers) -> None:
    made = await server.create(DEPLOYMENTS, deployment(replicas=1))
    ignored = await server.merge(WEB, {"status": {"replicas": 7}})
    assert (ignored.version, entries(ignored)) == (made.version, entries(made))
    ignored = await server.merge(f"{WEB}/status", {"spec": {"replicas": 7}, "metadata": {"labels": {"x": "y"}}})
    assert (ignored.version, entries(ignored)) == (made.version, entries(made))


@pytest.mark.parametrize("way", ["merge", "strategic", "json", "put"])
async def test_managed_fields_can_be_cleared(server: Managers, way: str) -> None:
    await server.apply(CM, LABELLED)
    match way:
        case "json":
            operation = {"op": "replace", "path": "/metadata/managedFields", "value": [{}]}
            done = await server.json(CM, [operation])
        case "put":
            done = await server.put(CM, {**LABELLED, "metadata": {**LABELLED["metadata"], "managedFields": [{}]}})
        case "strategic":
            done = await server.strategic(CM, CLEAR)
        case _:
            done = await server.merge(CM, CLEAR)
    assert done.status == 200, done
    found = await server.get(CM)
    assert (entries(found), found["metadata"]["labels"]) == ([], {"test-label": "test"})


async def test_an_empty_list_stops_the_tracking(server: Managers) -> None:
    await server.apply(CM, LABELLED)
    await server.put(CM, {**LABELLED, "metadata": {**LABELLED["metadata"], "managedFields": []}})
    done = await server.merge(CM, {"metadata": {"labels": {"test-label": "v1"}}})
    assert entries(done) == []


async def test_who_does_not_know_them_does_not_lose_them(server: Managers) -> None:
    made = await server.apply(CM, LABELLED)
    put = await server.put(CM, {**LABELLED, "data": {"key": "value", "more": "x"}})
    assert names(put) == [("apply_test", "Apply"), ("updater", "Update")]
    removed = await server.json(CM, [{"op": "remove", "path": "/metadata/managedFields"}])
    assert (removed.version, entries(removed)) == (put.version, entries(put))
    assert made.version != put.version


BROKEN = {
    "manager": "apply_test", "operation": "Apply", "apiVersion": "v1", "time": "2019-07-08T09:31:18Z",
    "fieldsType": "", "fieldsV1": {},
}  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"fieldsType": "FieldsV2"},
        {"fieldsType": "FieldsV1", "operation": "Delete"},
        {"fieldsType": "FieldsV1", "apiVersion": ""},
        {"fieldsType": "FieldsV1", "fieldsV1": {"f": {}}},
        {"fieldsType": "FieldsV1", "fieldsV1": {'v:"a" {}': {}}},
        {"fieldsType": "FieldsV1", "fieldsV1": {"f:a": 7}},
    ],
)
async def test_broken_managed_fields_are_ignored(server: Managers, wrong: dict[str, Any]) -> None:
    broken = {**LABELLED, "metadata": {**LABELLED["metadata"], "managedFields": [{**BROKEN, **wrong}]}}
    made = await server.create(CMS, broken)
    assert (made.status, names(made)) == (201, [("creator", "Update")]), made
    put = await server.put(CM, {**broken, "data": {"key": "baz", "new": "x"}})
    assert (put.status, owned(put, "updater")) == (200, {"f:data": {"f:key": {}, "f:new": {}}}), put
    operation = {"op": "replace", "path": "/metadata/managedFields", "value": [{**BROKEN, **wrong}]}
    patched = await server.json(CM, [operation])
    assert (patched.status, entries(patched)) == (200, entries(put)), patched


async def test_what_a_creator_says_of_others_is_about_fields_that_it_made_itself(server: Managers) -> None:
    body = deployment(replicas=3)
    body["metadata"]["managedFields"] = [
        {
            "manager": "sidecar_controller", "operation": "Apply", "apiVersion": "extensions/v1beta1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
        },
        {
            "manager": "other", "operation": "Apply", "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}},
        },
    ]  # fmt: skip
    made = await server.create(DEPLOYMENTS, body)
    assert names(made) == [("creator", "Update")]


async def test_renaming_appliers(server: Managers) -> None:
    await server.apply(POD, {**pod(), "metadata": {"name": "just-a-pod", "labels": {"a": "one"}}}, "one")
    ids = {"apiVersion": "v1", "kind": "Pod"}
    body = (await server.apply(POD, {**ids, "metadata": {"labels": {"b": "two"}}}, "two")).body
    assert body["metadata"]["labels"] == {"a": "one", "b": "two"}
    for entry in body["metadata"]["managedFields"]:
        entry["manager"] = "both"
    done = await server.put(POD, body)
    assert names(done) == [("both", "Apply")]
    assert owned(done, "both") == {"f:metadata": {"f:labels": {"f:b": {}}}}


async def test_renaming_updaters_and_dropping_subresources(server: Managers) -> None:
    await server.apply(POD, pod(), "first")
    await server.merge(POD, {"metadata": {"labels": {"a": "two"}}}, "manager")
    body = (await server.merge(f"{POD}/status", {"status": {"phase": "Running"}}, "manager")).body
    assert [(entry["manager"], entry.get("subresource", "")) for entry in entries(body)] == [
        ("first", ""), ("manager", ""), ("manager", "status"),
    ]  # fmt: skip
    for entry in body["metadata"]["managedFields"]:
        entry.pop("subresource", None)
    done = await server.put(POD, body)
    assert names(done) == [("first", "Apply"), ("manager", "Update")]
    assert owned(done, "manager") == {"f:status": {"f:phase": {}}}


async def test_applying_a_status(server: Managers) -> None:
    await server.apply(POD, pod(), "first")
    ids = {"apiVersion": "v1", "kind": "Pod"}
    await server.apply(POD, {**ids, "metadata": {"labels": {"a": "one"}}}, "labels")
    done = await server.apply(f"{POD}/status", {**ids, "metadata": {"labels": {"b": "two"}}}, "labels")
    assert done.status == 200, done
    assert done.body["metadata"]["labels"] == {"a": "one", "b": "two"}
    assert [entry.get("subresource", "") for entry in entries(done)] == ["", "", "status"]
    missing = await server.apply(f"{PODS}/none/status", {**ids, "metadata": {"name": "none"}})
    assert (missing.status, missing.message) == (404, 'pods "none" not found')


async def test_what_a_write_resets_is_known_for_every_kind(server: Managers) -> None:
    for resources in server.world.app.routes.versions.values():
        for served in resources.values():
            if "status" in served.subresources:
                assert "f:spec" in scope_of(served, "status").reset
                assert "f:status" in scope_of(served, "").reset
            else:
                assert scope_of(served, "").reset == {}


async def test_a_spec_and_a_status_of_the_same_configuration(server: Managers) -> None:
    """Reset fields: each way in owns only what it can change, so the other is no conflict."""
    hpas = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
    target = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}

    def hpa(most: int) -> dict[str, Any]:
        spec = {"maxReplicas": most, "scaleTargetRef": target}
        state = {"currentReplicas": most, "desiredReplicas": most}
        return config("HorizontalPodAutoscaler", "autoscaling/v2", "h", spec=spec, status=state)

    assert (await server.apply(f"{hpas}/h", hpa(3), "one")).status == 201
    assert (await server.apply(f"{hpas}/h/status", hpa(4), "two")).status == 200
    refused = await server.apply(f"{hpas}/h", hpa(4), "two")
    assert [each["field"] for each in refused.body["details"]["causes"]] == [".spec.maxReplicas"]


async def test_versions_of_one_object_share_their_managers(server: Managers) -> None:
    base = "/apis/autoscaling/{}/namespaces/default/horizontalpodautoscalers"
    target = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
    one = config("HorizontalPodAutoscaler", "autoscaling/v1", "h", metadata={"labels": {"a": "b"}},
                 spec={"maxReplicas": 3, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 50})  # fmt: skip
    made = await server.apply(f"{base.format('v1')}/h", one, "one")
    assert made.status == 201, made
    two = config("HorizontalPodAutoscaler", "autoscaling/v2", "h", spec={"maxReplicas": 5, "scaleTargetRef": target})
    refused = await server.apply(f"{base.format('v2')}/h", two, "two")
    assert [each["field"] for each in refused.body["details"]["causes"]] == [".spec.maxReplicas"]
    forced = await server.apply(f"{base.format('v2')}/h", two, "two", force=True)
    assert forced.body["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 50
    assert "f:maxReplicas" not in owned(forced, "one")["f:spec"]
    assert entries(forced)[0]["apiVersion"] == "autoscaling/v1"
    less = {**two, "apiVersion": "autoscaling/v1"}
    left = await server.apply(f"{base.format('v1')}/h", less, "one")
    assert ("labels" in forced.body["metadata"], "labels" in left.body["metadata"]) == (True, False)
    moved = await server.apply(f"{base.format('v2')}/h", two, "one", force=True)
    assert [(entry["manager"], entry["apiVersion"]) for entry in entries(moved)] == [
        ("one", "autoscaling/v2"), ("two", "autoscaling/v2"),
    ] or {entry["apiVersion"] for entry in entries(moved)} == {"autoscaling/v2"}  # fmt: skip
    patched = await server.merge(f"{base.format('v1')}/h", {"spec": {"minReplicas": 2}}, "patcher")
    assert owned(patched, "patcher") == {"f:spec": {"f:minReplicas": {}}}


async def test_a_large_object_keeps_its_managers(server: Managers) -> None:
    many = {f"this-key-is-very-long-so-as-to-create-a-very-large-set-of-fields-{number}": "A" for number in range(2000)}
    made = await server.create(CMS, config(data=many))
    assert len(owned(made, "creator")["f:data"]) == 2001


async def test_other_ways_into_a_pod(server: Managers) -> None:
    url = "/api/v1/nodes"
    await server.create(url, {"metadata": {"name": "n"}})
    await server.create(PODS, pod(nodeName="n"))
    debug = {"spec": {"ephemeralContainers": [{"name": "debug", "image": "busybox"}]}}
    done = await server.strategic(f"{POD}/ephemeralcontainers", debug, "kubectl-debug")
    assert done.status == 200, done
    mine = owned(done, "kubectl-debug", sub="ephemeralcontainers")
    assert mine["f:spec"]["f:ephemeralContainers"].keys() == {".", 'k:{"name":"debug"}'}
    limits = {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}}
    sized = {"spec": {"containers": [{"name": "test-container-a", **limits}]}, "metadata": {"labels": {"a": "b"}}}
    before = entries(done)
    grown = await server.strategic(f"{POD}/resize", sized, "kubectl-resize")
    assert grown.status in (200, 422), grown
    if grown.status == 200:
        found = owned(grown, "kubectl-resize", sub="resize")
        assert found.keys() == {"f:spec"}
    else:
        assert entries(await server.get(POD)) == before


async def test_a_namespace_applied_in_parts(server: Managers) -> None:
    url = "/api/v1/namespaces/parts"
    made = await server.apply(url, config("Namespace", name="parts", metadata={"labels": {"a": "b"}}))
    assert made.status == 201, made
    state = {"conditions": [{"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "x"}]}
    done = await server.apply(f"{url}/status", config("Namespace", name="parts", status=state), "conditions")
    assert owned(done, "conditions", sub="status") == fields(
        '{"f:status":{"f:conditions":{"k:{\\"type\\":\\"StatusUpdate\\"}":'
        '{".":{},"f:message":{},"f:reason":{},"f:status":{},"f:type":{}}}}}'
    )
    body = {**done.body, "spec": {"finalizers": ["kubernetes", "e2e.example.com/fakeFinalizer"]}}
    final = await server.put(f"{url}/finalize", body, "finalizer")
    assert final.status == 200, final
    assert "f:finalizers" in owned(final, "finalizer", sub="finalize")["f:spec"]


async def test_what_admission_breaks_is_put_back(server: Managers) -> None:
    call = SimpleNamespace(warn=(said := list[str]()).append)
    before = codec.write_managed([ManagedFieldsEntry(manager="m", operation="Update", apiVersion="v1",
                                                     fieldsType="FieldsV1", fieldsV1=msgspec.Raw(b"{}"))])  # fmt: skip
    meta = ObjectMeta(managedFields=msgspec.Raw(b'[{"manager":"m","operation":"Replace"}]'))
    guard(call, meta, before)  # type: ignore[arg-type]
    assert meta.managedFields is before
    assert said == [
        ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating "
        "admission controller; please fix your requests: operation must be `Apply` or `Update`"
    ]
    meta.managedFields = NO_JSON
    guard(call, meta, before)  # type: ignore[arg-type]
    assert (meta.managedFields, len(said)) == (NO_JSON, 1)
