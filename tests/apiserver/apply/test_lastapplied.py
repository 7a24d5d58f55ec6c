"""From kubectl's client-side apply to server-side apply, and back."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.apiserver.apply.things import CMS, DEPLOYMENTS, Managers, config, deployment, names, owned

ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"
WEB = f"{DEPLOYMENTS}/deployment"
CM = f"{CMS}/test-cm"


def noted(body: dict[str, Any], live: dict[str, Any] | None = None) -> dict[str, Any]:
    """An object that kubectl applied by itself: its configuration stands in an annotation."""
    shown = live or body
    text = msgspec.json.encode(body).decode()
    return {**shown, "metadata": {**shown["metadata"], "annotations": {ANNOTATION: text}}}


async def test_what_client_side_apply_set_is_kubectls(server: Managers) -> None:
    live = deployment(replicas=100_000)
    await server.create(DEPLOYMENTS, noted(deployment(replicas=3), live), "kubectl-client-side-apply")
    new = deployment()
    new["metadata"]["labels"] = {"app": "my-new-label"}
    refused = await server.apply(WEB, {**new, "spec": {**new["spec"], "replicas": 3}}, "kubectl")
    assert refused.message == (
        'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas'
    )
    new["spec"]["template"]["spec"]["containers"][0]["image"] = "my-image-new"
    done = await server.apply(WEB, new, "kubectl")
    assert done.status == 200, done
    assert done.body["spec"]["replicas"] == 100_000
    assert done.body["spec"]["template"]["spec"]["containers"][0]["image"] == "my-image-new"
    assert done.body["metadata"]["labels"] == {"app": "my-new-label"}


async def test_the_annotation_follows(server: Managers) -> None:
    body = config(data={"a": "1"})
    await server.create(CMS, noted(body), "kubectl-client-side-apply")
    new = config(data={"a": "<2>"})
    done = await server.apply(CM, new, "kubectl")
    assert done.body["metadata"]["annotations"][ANNOTATION] == (
        '{"apiVersion":"v1","data":{"a":"\\u003c2\\u003e"},"kind":"ConfigMap","metadata":{"name":"test-cm"}}\n'
    )
    plain = await server.apply(f"{CMS}/other", config(name="other", data={"a": "1"}), "kubectl")
    assert "annotations" not in plain.body["metadata"]


async def test_the_annotation_is_no_part_of_itself(server: Managers) -> None:
    body = config(data={"a": "1"})
    await server.create(CMS, noted(body), "kubectl-client-side-apply")
    done = await server.apply(CM, noted(body), "kubectl", force=True)
    text = msgspec.json.decode(done.body["metadata"]["annotations"][ANNOTATION])
    assert text == {**body, "metadata": {"name": "test-cm", "annotations": {}}}


async def test_other_managers_get_no_help(server: Managers) -> None:
    await server.create(CMS, noted(config(data={"a": "1"})), "kubectl-client-side-apply")
    refused = await server.apply(CM, config(data={"a": "2"}), "argo")
    assert [each["field"] for each in refused.body["details"]["causes"]] == [".data.a"]


async def test_an_annotation_of_no_use(server: Managers) -> None:
    for number, text in enumerate(("{", "[]", '{"apiVersion":"v2"}', "7", '{"apiVersion":"v1","odd":1}', "[" * 500)):
        name = f"c{number}"
        body = config(name=name, metadata={"annotations": {ANNOTATION: text}}, data={"a": "1"})
        await server.create(CMS, body, "kubectl-client-side-apply")
        refused = await server.apply(f"{CMS}/{name}", config(name=name, data={"a": "2"}), "kubectl")
        assert [each["field"] for each in refused.body["details"]["causes"]] == [".data.a"]


async def test_kubectl_migrates_by_its_managed_fields(server: Managers) -> None:
    """What kubectl 1.26 and newer do first: they rename client-side apply's entry in managedFields by a JSON patch."""
    await server.create(CMS, noted(config(data={"a": "1", "b": "2"})), "kubectl-client-side-apply")
    body = await server.get(CM)
    (entry,) = body["metadata"]["managedFields"]
    renamed = [{**entry, "manager": "kubectl", "operation": "Apply"}]
    operations = [
        {"op": "replace", "path": "/metadata/managedFields", "value": renamed},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": body["metadata"]["resourceVersion"]},
    ]
    patched = await server.json(CM, operations, "kubectl-client-side-apply")
    assert names(patched) == [("kubectl", "Apply")], patched
    done = await server.apply(CM, config(data={"a": "1"}), "kubectl")
    assert done.body["data"] == {"a": "1"}
    assert owned(done, "kubectl")["f:data"] == {"f:a": {}}


async def test_annotations_that_grow_too_large_lose_it(server: Managers) -> None:
    await server.create(CMS, noted(config()), "kubectl-client-side-apply")
    done = await server.apply(CM, config(data={"a": "x" * 300_000}), "kubectl")
    assert done.status == 200, done.message
    assert ANNOTATION not in done.body["metadata"].get("annotations", {})
