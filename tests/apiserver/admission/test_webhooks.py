"""Admission webhooks through the whole server: who is asked, what they see, what their answers do, how they fail."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web

from tests.apiserver.crd import definitions as crds
from tests.apiserver.hookserver import HookServer, allow, deny, hook_server, patch
from tests.apiserver.world import MERGE, World, configmap, deployment, pod, running

GROUP = "/apis/admissionregistration.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with running() as found:
        yield found


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[HookServer]:
    async with hook_server(tmp_path) as found:
        yield found


async def register(world: World, kind: str, name: str, *hooks: dict[str, Any]) -> None:
    plural = {"Mutating": "mutatingwebhookconfigurations", "Validating": "validatingwebhookconfigurations"}[kind]
    made = await world.post(f"{GROUP}/{plural}", {"metadata": {"name": name}, "webhooks": list(hooks)})
    assert made.status == 201, made


async def test_a_validating_webhook_refuses_in_its_words(world: World, server: HookServer) -> None:
    server.answers["/deny"] = lambda review: deny(review, "not like this", code=403, reason="Forbidden")
    await register(world, "Validating", "v", server.hook("deny.example.com", "/deny"))
    refused = await world.post(MAPS, configmap("x"))
    assert (refused.status, refused.reason) == (403, "Forbidden")
    assert refused.message == 'admission webhook "deny.example.com" denied the request: not like this'
    asked = server.asked[0][1]["request"]
    assert asked["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert asked["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (asked["operation"], asked["name"], asked["namespace"]) == ("CREATE", "x", "default")
    assert asked["userInfo"]["username"] == "kubernetes-admin"
    assert asked["object"]["data"] == {"k": "v"}
    assert asked["object"]["kind"] == "ConfigMap"
    assert (asked["oldObject"], asked["dryRun"]) == (None, False)
    assert asked["options"]["kind"] == "CreateOptions"


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        ({}, 400, "without explanation"),
        ({"reason": "Because"}, 400, ": Because"),
        ({"code": 200, "message": "fine"}, 400, ": fine"),
        ({"code": 418, "message": "tea"}, 418, ": tea"),
    ],
)
async def test_refusals(world: World, server: HookServer, status: dict[str, Any], code: int, message: str) -> None:
    server.answers["/deny"] = lambda review: deny(review, **status)
    await register(world, "Validating", "v", server.hook("deny.example.com", "/deny"))
    refused = await world.post(MAPS, configmap("x"))
    assert refused.status == code
    space = "" if message.startswith(":") else " "
    assert refused.message == f'admission webhook "deny.example.com" denied the request{space}{message}'


async def test_mutation_in_order_of_name_with_defaults(world: World, server: HookServer) -> None:
    def stage(number: int) -> Any:
        return lambda review: patch(review, {"op": "add", "path": f"/data/stage-{number}", "value": "yes"})

    server.answers.update({"/one": stage(1), "/two": stage(2)})
    await register(world, "Mutating", "b", server.hook("two.example.com", "/two"))
    await register(world, "Mutating", "a", server.hook("one.example.com", "/one"))
    made = await world.post(MAPS, configmap("x"))
    assert made.body["data"] == {"k": "v", "stage-1": "yes", "stage-2": "yes"}
    assert [path for path, _ in server.asked] == ["/one", "/two"]
    assert server.asked[1][1]["request"]["object"]["data"]["stage-1"] == "yes"
    container = {"name": "init", "image": "busybox"}
    server.answers["/pod"] = lambda review: patch(
        review, {"op": "add", "path": "/spec/initContainers", "value": [container]}
    )
    await register(world, "Mutating", "pods", server.hook("pod.example.com", "/pod", resources=["pods"]))
    await world.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    made = await world.post("/api/v1/namespaces/default/pods", pod("p"))
    assert made.status == 201, made
    added = made.body["spec"]["initContainers"][0]
    assert added["terminationMessagePolicy"] == "File"  # defaults were applied after the change


async def test_what_a_webhook_may_not_change(world: World, server: HookServer) -> None:
    operations: list[dict[str, Any]] = [
        {"op": "add", "path": "/metadata/uid", "value": "mine"},
        {"op": "add", "path": "/metadata/creationTimestamp", "value": "2001-01-01T00:00:00Z"},
    ]
    server.answers["/m"] = lambda review: patch(review, *operations)
    await register(world, "Mutating", "m", server.hook("m.example.com", "/m", "CREATE", "UPDATE"))
    made = await world.post(MAPS, configmap("x"))
    assert made.status == 201
    assert made.body["metadata"]["uid"] != "mine"
    assert not made.body["metadata"]["creationTimestamp"].startswith("2001")
    operations[:] = [{"op": "replace", "path": "/metadata/name", "value": "other"}]
    changed = await world.patch(f"{MAPS}/x", {"data": {"a": "b"}})
    assert changed.status == 422
    assert 'metadata.name: Invalid value: "other": field is immutable' in changed.message
    operations[:] = [{"op": "replace", "path": "/kind", "value": "Secret"}]
    changed = await world.patch(f"{MAPS}/x", {"data": {"a": "b"}})
    assert changed.status == 500
    operations[:] = [{"op": "replace", "path": "/data", "value": "text"}]
    changed = await world.patch(f"{MAPS}/x", {"data": {"a": "b"}})
    assert changed.status == 500
    assert changed.message.startswith("Internal error occurred: json: cannot unmarshal string")


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_lies_and_garbage(world: World, server: HookServer, policy: str) -> None:
    great = b"x" * (33 << 20)
    array = base64.b64encode(b'{"op":"add"}').decode()
    remove = base64.b64encode(b'[{"op":"remove"}]').decode()
    json_error = "couldn't get version/kind; json parse error: "
    cases: dict[str, tuple[Any, str]] = {
        "uid": (lambda r: allow({**r, "request": {"uid": "1"}}), "received invalid webhook response: expected resp"),
        "kind": (lambda r: {**allow(r), "kind": "Pod"}, "expected webhook response of admission.k8s.io/v1, Kind="),
        "absent": (lambda r: {"kind": "AdmissionReview"}, "webhook response was absent"),
        "type": (lambda r: allow(r, patchType="Merge", patch=remove), 'unsupported patch type "Merge"'),
        "lone": (lambda r: allow(r, patchType="JSONPatch"), "webhook returned response.patchType but not response."),
        "undecodable": (
            lambda r: allow(r, patchType="JSONPatch", patch=array),
            "received undecodable patch in webhook response: json: cannot unmarshal object",
        ),
        "warnings": (lambda r: allow(r, warnings="no list"), "cannot unmarshal"),
        "garbage": (lambda r: web.Response(body=b"garbage"), f"{json_error}invalid character 'g'"),
        "list": (lambda r: web.Response(body=b"[]"), f"{json_error}json: cannot unmarshal array"),
        "empty": (lambda r: web.Response(body=b""), "0-length response with status code: 200"),
        "500": (lambda r: web.Response(status=500, text="boom"), 'an error on the server ("boom") has prevented the'),
        "404": (lambda r: web.Response(status=404), "the server could not find the requested resource"),
        "redirect": (
            lambda r: web.Response(status=302, headers={"Location": "/x"}),
            "the server responded with the status code 302",
        ),
        "huge": (lambda r: web.Response(body=great), "the answer is longer than"),
    }
    hook = server.hook("bad.example.com", "/bad", failurePolicy=policy)
    await register(world, "Mutating", "m", hook)
    for name, (answer, text) in cases.items():
        server.answers["/bad"] = answer
        made = await world.post(MAPS, configmap(name))
        if policy == "Ignore":
            assert made.status == 201, (name, made)
        else:
            assert (made.status, made.reason) == (500, "InternalError"), (name, made)
            assert made.message.startswith('Internal error occurred: failed calling webhook "bad.example.com": '), made
            assert text in made.message, (name, made.message)


async def test_a_patch_that_does_not_fit(world: World, server: HookServer) -> None:
    server.answers["/m"] = lambda review: patch(review, {"op": "remove", "path": "/data/missing"})
    await register(world, "Mutating", "m", server.hook("m.example.com", "/m", failurePolicy="Ignore"))
    made = await world.post(MAPS, configmap("x"))
    assert made.status == 500  # the webhook answered, so its failurePolicy does not count
    assert "doc is missing path" in made.message


async def test_timeout_and_other_requests(world: World, server: HookServer) -> None:
    async def hang(review: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(30)
        return allow(review)

    server.answers["/hang"] = hang
    await register(world, "Validating", "v", server.hook("hang.example.com", "/hang", timeoutSeconds=1))
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(world.post(MAPS, configmap("x")))
        await asyncio.sleep(0.1)
        secret = await world.post("/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}})
        assert secret.status == 201
        assert loop.time() - began < 0.9
    refused = slow.result()
    assert refused.status == 500
    assert refused.message == (
        'Internal error occurred: failed calling webhook "hang.example.com": failed to call webhook: '
        f'Post "https://localhost:{server.port}/hang?timeout=1s": context deadline exceeded'
    )
    assert loop.time() - began < 3
    short = await world.post(f"{MAPS}?timeout=200ms", configmap("y"))
    assert short.status in (500, 504)


async def test_nobody_there(world: World, server: HookServer) -> None:
    hook = server.hook("gone.example.com", "/x")
    hook["clientConfig"] = {"service": {"name": "hook", "namespace": "default", "path": "/x"}}
    await register(world, "Validating", "v", hook)
    refused = await world.post(MAPS, configmap("x"))
    assert refused.message == (
        'Internal error occurred: failed calling webhook "gone.example.com": failed to call webhook: '
        'Post "https://hook.default.svc:443/x?timeout=10s": service "hook" not found'
    )


async def test_untrusted_certificate(world: World, server: HookServer, tmp_path: Path) -> None:
    hook = server.hook("tls.example.com", "/x")
    (tmp_path / "other").mkdir()
    async with hook_server(tmp_path / "other") as other:
        hook["clientConfig"]["caBundle"] = base64.b64encode(other.authority.pem).decode()
    await register(world, "Validating", "v", hook)
    refused = await world.post(MAPS, configmap("x"))
    assert "tls: failed to verify certificate: x509: certificate signed by unknown authority" in refused.message


async def test_selectors(world: World, server: HookServer) -> None:
    server.answers["/deny"] = lambda review: deny(review, "no")
    spaces = server.hook("ns.example.com", "/deny", namespaceSelector={"matchLabels": {"hook": "on"}})
    objects = server.hook("obj.example.com", "/deny", "UPDATE", objectSelector={"matchLabels": {"pick": "me"}})
    await register(world, "Validating", "v", spaces, objects)
    assert (await world.post(MAPS, configmap("x", metadata={"labels": {"pick": "me"}}))).status == 201
    await world.post("/api/v1/namespaces", {"metadata": {"name": "marked", "labels": {"hook": "on"}}})
    assert (await world.post("/api/v1/namespaces/marked/configmaps", configmap("x"))).status == 400
    # The old labels count as well as the new ones.
    assert (await world.patch(f"{MAPS}/x", {"metadata": {"labels": {"pick": None}}})).status == 400
    assert (await world.post(MAPS, configmap("y"))).status == 201
    assert (await world.patch(f"{MAPS}/y", {"data": {"a": "b"}})).status == 200


async def test_namespaces_are_matched_by_their_own_labels(world: World, server: HookServer) -> None:
    server.answers["/deny"] = lambda review: deny(review, "no")
    hook = server.hook(
        "ns.example.com", "/deny", "CREATE", "DELETE", resources=["namespaces"],
        namespaceSelector={"matchLabels": {"hook": "on"}},
    )  # fmt: skip
    await register(world, "Validating", "v", hook)
    assert (await world.post("/api/v1/namespaces", {"metadata": {"name": "a"}})).status == 201
    marked = await world.post("/api/v1/namespaces", {"metadata": {"name": "b", "labels": {"hook": "on"}}})
    assert marked.status == 400
    assert server.asked[0][1]["request"]["namespace"] == "b"


async def test_deletion_one_by_one(world: World, server: HookServer) -> None:
    server.answers["/deny"] = lambda review: (
        deny(review, "stay") if review["request"]["oldObject"]["metadata"]["name"] == "b" else allow(review)
    )
    await register(world, "Validating", "v", server.hook("del.example.com", "/deny", "DELETE"))
    for name in ("a", "b"):
        await world.post(MAPS, configmap(name))
    refused = await world.delete(f"{MAPS}/b")
    assert refused.message == 'admission webhook "del.example.com" denied the request: stay'
    asked = server.asked[0][1]["request"]
    assert (asked["object"], asked["operation"], asked["options"]["kind"]) == (None, "DELETE", "DeleteOptions")
    await world.delete(MAPS)
    assert [each["metadata"]["name"] for each in (await world.get(MAPS)).body["items"]] == ["b"]


async def test_dry_run(world: World, server: HookServer) -> None:
    server.answers["/m"] = lambda review: patch(review, {"op": "add", "path": "/data/dry", "value": "yes"})
    await register(world, "Mutating", "m", server.hook("m.example.com", "/m", sideEffects="NoneOnDryRun"))
    made = await world.post(f"{MAPS}?dryRun=All", configmap("x"))
    assert made.body["data"]["dry"] == "yes"
    assert server.asked[0][1]["request"]["dryRun"] is True
    assert server.asked[0][1]["request"]["options"]["dryRun"] == ["All"]


async def test_reinvocation(world: World, server: HookServer) -> None:
    def first(review: dict[str, Any]) -> dict[str, Any]:
        data = review["request"]["object"]["data"]
        return patch(review, {"op": "add", "path": "/data/sees", "value": str(sorted(data))})

    server.answers["/first"] = first
    server.answers["/second"] = lambda review: patch(review, {"op": "add", "path": "/data/second", "value": "yes"})
    await register(
        world, "Mutating", "m",
        server.hook("a.example.com", "/first", reinvocationPolicy="IfNeeded"),
        server.hook("b.example.com", "/second", reinvocationPolicy="Never"),
    )  # fmt: skip
    made = await world.post(MAPS, configmap("x"))
    assert made.body["data"]["sees"] == "['k', 'second', 'sees']"
    assert [path for path, _ in server.asked] == ["/first", "/second", "/first"]


async def test_a_loop_of_two_ends_after_two_rounds(world: World, server: HookServer) -> None:
    def flip(review: dict[str, Any]) -> dict[str, Any]:
        value = review["request"]["object"]["data"]["k"]
        return patch(review, {"op": "replace", "path": "/data/k", "value": value + "!"})

    server.answers["/flip"] = flip
    hooks = [server.hook(f"{name}.example.com", "/flip", reinvocationPolicy="IfNeeded") for name in "ab"]
    await register(world, "Mutating", "m", *hooks)
    made = await world.post(MAPS, configmap("x"))
    assert made.status == 201
    assert len(server.asked) <= 4


async def test_warnings_and_annotations(world: World, server: HookServer) -> None:
    server.answers["/warn"] = lambda review: allow(review, warnings=["mind this"], auditAnnotations={"k": "v"})
    await register(world, "Validating", "v", server.hook("warn.example.com", "/warn"))
    made = await world.post(MAPS, configmap("x"))
    assert made.headers["Warning"] == '299 - "mind this"'


async def test_validating_webhooks_are_asked_at_once(world: World, server: HookServer) -> None:
    together = asyncio.Barrier(2)

    async def wait(review: dict[str, Any]) -> dict[str, Any]:
        async with asyncio.timeout(5):
            await together.wait()
        return allow(review)

    server.answers["/wait"] = wait
    await register(world, "Validating", "v", *[server.hook(f"{name}.example.com", "/wait") for name in "ab"])
    assert (await world.post(MAPS, configmap("x"))).status == 201


async def test_equivalent_versions(world: World, server: HookServer) -> None:
    server.answers["/deny"] = lambda review: deny(review, "no")
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["events"]}
    await register(world, "Validating", "v", {**server.hook("e.example.com", "/deny"), "rules": [rule]})
    event = {
        "metadata": {"name": "e", "namespace": "default"}, "eventTime": "2024-01-01T00:00:00.000000Z",
        "reason": "r", "action": "a", "type": "Normal", "reportingController": "c.example.com/x",
        "reportingInstance": "i", "regarding": {"kind": "Pod", "namespace": "default", "name": "p"}, "note": "n",
    }  # fmt: skip
    refused = await world.post("/apis/events.k8s.io/v1/namespaces/default/events", event)
    assert refused.status == 400, refused
    asked = server.asked[0][1]["request"]
    assert asked["kind"] == {"group": "", "version": "v1", "kind": "Event"}
    assert asked["requestKind"] == {"group": "events.k8s.io", "version": "v1", "kind": "Event"}
    assert asked["object"]["apiVersion"] == "v1"
    assert asked["object"]["involvedObject"]["name"] == "p"


async def test_subresources_and_wildcards(world: World, server: HookServer) -> None:
    server.answers["/deny"] = lambda review: deny(review, "no")
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/scale", "pods/binding"]}
    await register(world, "Validating", "v", {**server.hook("s.example.com", "/deny"), "rules": [rule]})
    assert (await world.post("/apis/apps/v1/namespaces/default/deployments", deployment("web"))).status == 201
    path = "/apis/apps/v1/namespaces/default/deployments/web/scale"
    refused = await world.patch(path, {"spec": {"replicas": 2}}, MERGE)
    assert refused.status == 400, refused
    asked = server.asked[0][1]["request"]
    assert asked["subResource"] == "scale"
    assert asked["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
    assert asked["object"]["kind"] == "Scale"
    assert asked["object"]["spec"]["replicas"] == 2
    assert asked["oldObject"]["spec"]["replicas"] == 1


async def test_a_scale_can_be_changed(world: World, server: HookServer) -> None:
    server.answers["/m"] = lambda review: patch(review, {"op": "replace", "path": "/spec/replicas", "value": 7})
    hook = server.hook("s.example.com", "/m", "UPDATE", resources=["deployments/scale"])
    hook["rules"][0]["apiGroups"] = ["apps"]
    await register(world, "Mutating", "m", hook)
    await world.post("/apis/apps/v1/namespaces/default/deployments", deployment("web"))
    path = "/apis/apps/v1/namespaces/default/deployments/web/scale"
    changed = await world.patch(path, {"spec": {"replicas": 2}}, MERGE)
    assert changed.body["spec"]["replicas"] == 7


async def test_their_own_configuration_is_exempt(world: World, server: HookServer) -> None:
    server.answers["/deny"] = lambda review: deny(review, "no")
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
    await register(world, "Validating", "v", {**server.hook("all.example.com", "/deny"), "rules": [rule]})
    assert (await world.delete(f"{GROUP}/validatingwebhookconfigurations/v")).status == 200
    assert server.asked == []


async def test_v1beta1_reviews(world: World, server: HookServer) -> None:
    def change(review: dict[str, Any]) -> dict[str, Any]:
        data = base64.b64encode(msgspec.json.encode([{"op": "add", "path": "/data/old", "value": "yes"}])).decode()
        return {"response": {"allowed": True, "patch": data}}

    server.answers["/old"] = change
    await register(
        world, "Mutating", "m", server.hook("old.example.com", "/old", admissionReviewVersions=["v7", "v1beta1", "v1"])
    )
    made = await world.post(MAPS, configmap("x"))
    assert made.body["data"]["old"] == "yes"
    assert server.asked[0][1]["apiVersion"] == "admission.k8s.io/v1beta1"


async def test_connections_are_kept(world: World, server: HookServer) -> None:
    server.answers["/ok"] = allow
    await register(world, "Validating", "v", server.hook("ok.example.com", "/ok"))
    for number in range(5):
        assert (await world.post(MAPS, configmap(f"x{number}"))).status == 201
    assert len(server.connections) == 1


async def test_attaching_can_be_denied(world: World, server: HookServer) -> None:
    def answer(review: dict[str, Any]) -> dict[str, Any]:
        options = review["request"]["object"]
        return deny(review, "no attaching") if options["stdin"] and options["container"] == "c" else allow(review)

    server.answers["/attach"] = answer
    await register(
        world, "Validating", "v", server.hook("a.example.com", "/attach", "CONNECT", resources=["pods/attach"])
    )
    await world.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    node = {"metadata": {"name": "n1"}, "status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}]}}
    await world.post("/api/v1/nodes", node)
    assert (await world.post("/api/v1/namespaces/default/pods", pod("p", nodeName="n1"))).status == 201
    upgrade = {"connection": "Upgrade", "upgrade": "SPDY/3.1"}
    path = "/api/v1/namespaces/default/pods/p/attach?container=c&stdin=true&stdout=true"
    refused = await world.post(path, None, upgrade)
    assert refused.message == 'admission webhook "a.example.com" denied the request: no attaching'
    asked = server.asked[0][1]["request"]
    assert asked["kind"] == {"group": "", "version": "v1", "kind": "PodAttachOptions"}
    assert (asked["subResource"], asked["operation"], asked["name"]) == ("attach", "CONNECT", "p")
    assert asked["object"] == {
        "kind": "PodAttachOptions", "apiVersion": "v1", "stdin": True, "stdout": True, "container": "c",
    }  # fmt: skip


async def test_match_conditions(world: World, server: HookServer) -> None:
    server.answers["/deny"] = lambda review: deny(review, "no")

    def conditions(*expressions: str) -> list[dict[str, str]]:
        return [{"name": f"c{number}", "expression": each} for number, each in enumerate(expressions)]

    hook = server.hook(
        "c.example.com", "/deny",
        matchConditions=conditions("object.metadata.name != 'skip-me'", "request.userInfo.username != 'nobody'"),
    )  # fmt: skip
    await register(world, "Validating", "v", hook)
    assert (await world.post(MAPS, configmap("x"))).status == 400
    assert (await world.post(MAPS, configmap("skip-me"))).status == 201
    hook["matchConditions"] = conditions("object.data.missing == 'x'")
    await register(world, "Validating", "w", {**hook, "name": "d.example.com"})
    refused = await world.post(MAPS, configmap("skip-me-too", data={"a": "b"}))
    assert refused.status == 403
    assert refused.message == (
        "configmaps \"skip-me-too\" is forbidden: expression 'object.data.missing == 'x'' resulted in error: "
        "no such key: missing"
    )


async def test_bad_match_conditions(world: World, server: HookServer) -> None:
    hook = server.hook("c.example.com", "/x", matchConditions=[{"name": "bad", "expression": "... [] bad expression"}])
    refused = await world.post(
        f"{GROUP}/validatingwebhookconfigurations", {"metadata": {"name": "v"}, "webhooks": [hook]}
    )
    assert refused.status == 422
    assert "compilation failed" in refused.message
    assert refused.body["details"]["causes"][0]["field"] == "webhooks[0].matchConditions[0].expression"


async def test_custom_resources(world: World, server: HookServer) -> None:
    versions = [crds.version("v1"), crds.version("v2", storage=False)]
    await crds.install(world, crds.definition("widgets", "Widget", *versions))
    server.answers["/m"] = lambda review: patch(
        review,
        {"op": "add", "path": "/spec/labels", "value": {"seen": review["request"]["object"]["apiVersion"]}},
        {"op": "add", "path": "/spec/unknown", "value": "pruned"},
    )
    rule = {"operations": ["CREATE"], "apiGroups": ["example.com"], "apiVersions": ["v2"], "resources": ["widgets"]}
    await register(world, "Mutating", "m", {**server.hook("m.example.com", "/m"), "rules": [rule]})
    made = await world.post(crds.WIDGETS, crds.widget("a", spec={"size": 1}))
    assert made.status == 201, made
    assert made.body["apiVersion"] == "example.com/v1"
    assert made.body["spec"] == {"size": 1, "color": "red", "labels": {"seen": "example.com/v2"}}
    asked = server.asked[0][1]["request"]
    assert asked["kind"]["version"] == "v2"
    assert asked["requestKind"]["version"] == "v1"
    exact = {**server.hook("x.example.com", "/x"), "rules": [rule], "matchPolicy": "Exact"}
    await register(world, "Validating", "v", exact)
    assert (await world.post(crds.WIDGETS, crds.widget("b", spec={"size": 1}))).status == 201
