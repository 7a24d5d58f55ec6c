"""Webhooks of authorisation on a real server: what they are asked, what is remembered, what happens without them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kijabi.api.meta import ObjectMeta
from kijabi.api.rbac.clusterrole import ClusterRole
from kijabi.api.rbac.clusterrolebinding import ClusterRoleBinding
from kijabi.api.rbac.role import PolicyRule
from kijabi.api.rbac.rolebinding import RoleRef, Subject
from kijabi.apiserver.attributes import Decision, RequestInfo, UserInfo
from kijabi.apiserver.authz import config
from kijabi.apiserver.authz.modes import Modes
from kijabi.apiserver.authz.rbac import Rbac
from kijabi.apiserver.flags import parse
from kijabi.base.errors import ConfigError
from kijabi.base.tasks import background
from kijabi.client.kubeconfig import Identity, save
from kijabi.testing.objects import Objects
from tests.apiserver.hookserver import HookServer, hook_server

JANE = UserInfo("jane", "7", ("dev",), {"team": ("blue",)})
LIST = RequestInfo(
    verb="list", path="/api/v1/namespaces/ns/pods", is_resource=True, version="v1", resource="pods", namespace="ns",
    field_selector="spec.nodeName=n1,metadata.name!=x", label_selector="a=b,c in (e,d),!f,g>1",
)  # fmt: skip
OBJECTS = Objects(
    ClusterRole(
        metadata=ObjectMeta(name="reader"),
        rules=(PolicyRule(verbs=("get",), apiGroups=("",), resources=("pods",)),),
    ),
    ClusterRoleBinding(
        metadata=ObjectMeta(name="reader"),
        roleRef=RoleRef(kind="ClusterRole", name="reader"),
        subjects=(Subject(kind="User", name="jane"),),
    ),
)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[HookServer]:
    async with hook_server(tmp_path) as running:
        yield running


def kubeconfig(server: HookServer, folder: Path, port: int = 0) -> Path:
    path = folder / f"webhook-{port}.kubeconfig"
    url = f"https://localhost:{port or server.port}/authorize"
    save(path, Identity(server=url, ca=server.authority.pem.decode()), user="apiserver")
    return path


def answer(review: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {"apiVersion": review["apiVersion"], "kind": "SubjectAccessReview", "status": status}


def modes(*arguments: str) -> Modes:
    rbac = Rbac()
    rbac.start(OBJECTS)
    return Modes(parse(arguments), OBJECTS, rbac)


def flags(server: HookServer, folder: Path, *more: str, port: int = 0) -> Modes:
    path = kubeconfig(server, folder, port)
    return modes("authorization-mode=Node,Webhook,RBAC", f"authorization-webhook-config-file={path}", *more)


async def test_what_a_webhook_is_asked(server: HookServer, tmp_path: Path) -> None:
    server.answers["/authorize"] = lambda review: answer(review, allowed=True, reason="because")
    asked = flags(server, tmp_path, "authorization-webhook-version=v1")
    assert await asked.authorizer.authorize(JANE, LIST) == Decision(True, "because")
    fields = [
        {"key": "metadata.name", "operator": "NotIn", "values": ["x"]},
        {"key": "spec.nodeName", "operator": "In", "values": ["n1"]},
    ]
    labels = [
        {"key": "a", "operator": "In", "values": ["b"]},
        {"key": "c", "operator": "In", "values": ["d", "e"]},
        {"key": "f", "operator": "DoesNotExist"},
    ]
    attributes = {
        "namespace": "ns", "verb": "list", "version": "v1", "resource": "pods",
        "fieldSelector": {"requirements": fields}, "labelSelector": {"requirements": labels},
    }  # fmt: skip
    spec = {
        "resourceAttributes": attributes,
        "user": "jane",
        "groups": ["dev"],
        "extra": {"team": ["blue"]},
        "uid": "7",
    }
    review = {"kind": "SubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {}}
    assert server.asked == [("/authorize", {**review, "spec": spec, "status": {"allowed": False}})]
    await asked.authorizer.authorize(JANE, LIST)
    assert len(server.asked) == 1, "the answer was remembered"
    await asked.authorizer.authorize(JANE, RequestInfo(verb="get", path="/healthz"))
    assert server.asked[1][1]["spec"]["nonResourceAttributes"] == {"path": "/healthz", "verb": "get"}
    await asked.authorizer.authorize(UserInfo("root", groups=("system:masters",)), LIST)
    assert len(server.asked) == 2, "nobody is asked about system:masters"


async def test_the_old_version_says_group(server: HookServer, tmp_path: Path) -> None:
    server.answers["/authorize"] = lambda review: answer(review, allowed=True)
    assert (await flags(server, tmp_path).authorizer.authorize(JANE, LIST)).allowed
    review = server.asked[0][1]
    assert review["apiVersion"] == "authorization.k8s.io/v1beta1"
    assert review["spec"]["group"] == ["dev"]
    assert "groups" not in review["spec"]


GET = RequestInfo(verb="get", path="/", is_resource=True, version="v1", resource="pods", namespace="ns", name="p")


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        ({"allowed": False, "denied": True, "reason": "no"}, Decision(False, "no", denied=True)),
        ({"allowed": False, "reason": "perhaps"}, Decision(True, 'RBAC: allowed by ClusterRoleBinding "reader" of '
            'ClusterRole "reader" to User "jane"')),
        ({"allowed": True, "denied": True}, Decision(False, denied=True, error="webhook subject access review returned "
            "both allow and deny response")),
    ],
)  # fmt: skip
async def test_a_webhook_may_allow_deny_or_leave_it(
    server: HookServer, tmp_path: Path, status: dict[str, Any], decision: Decision
) -> None:
    server.answers["/authorize"] = lambda review: answer(review, **status)
    assert await flags(server, tmp_path).authorizer.authorize(JANE, GET) == decision


async def test_a_dead_webhook_has_no_opinion_and_says_why(server: HookServer, tmp_path: Path) -> None:
    asked = flags(server, tmp_path, port=1)
    assert (await asked.authorizer.authorize(JANE, GET)).allowed, "RBAC allows it"
    decision = await asked.authorizer.authorize(JANE, LIST)
    assert (decision.allowed, decision.denied) == (False, False)
    assert decision.error.startswith('Post "https://localhost:1/authorize?timeout=30s": dial tcp')
    assert decision.error.endswith("connect: connection refused")


def document(server: HookServer, folder: Path, port: int = 0, **changes: Any) -> dict[str, Any]:
    file = str(kubeconfig(server, folder, port))
    return {
        "timeout": "3s", "subjectAccessReviewVersion": "v1", "matchConditionSubjectAccessReviewVersion": "v1",
        "failurePolicy": "Deny",
        "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": file}, **changes,
    }  # fmt: skip


def content(*authorizers: dict[str, Any]) -> bytes:
    head = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"}
    return yaml.safe_dump({**head, "authorizers": list(authorizers)}).encode()


def hook(name: str, webhook: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Webhook", "name": name, "webhook": webhook}


RBAC = {"type": "RBAC", "name": "rbac"}


def of_file(folder: Path, data: bytes) -> Modes:
    path = folder / "authorization.yaml"
    path.write_bytes(data)
    return modes(f"authorization-config={path}")


async def test_conditions_say_when_a_webhook_is_asked(server: HookServer, tmp_path: Path) -> None:
    server.answers["/authorize"] = lambda review: answer(review, allowed=True)
    conditions = (
        "has(request.resourceAttributes)",
        "request.resourceAttributes.namespace == 'ns'",
        "!('system:nodes' in request.groups) && request.extra['team'].exists(t, t == 'blue')",
        "!has(request.resourceAttributes.labelSelector) || "
        "request.resourceAttributes.labelSelector.requirements.exists(r, r.key == 'a' && r.values == ['b'])",
    )
    webhook = document(server, tmp_path, matchConditions=[{"expression": each} for each in conditions])
    asked = of_file(tmp_path, content(hook("one", webhook), RBAC)).authorizer
    assert (await asked.authorize(JANE, LIST)).allowed
    other = RequestInfo(verb="list", path="/", is_resource=True, resource="pods", namespace="other")
    assert not (await asked.authorize(JANE, other)).allowed
    assert not (await asked.authorize(JANE, RequestInfo(verb="get", path="/x"))).allowed
    assert len(server.asked) == 1


async def test_a_condition_that_fails_decides_as_the_policy_says(server: HookServer, tmp_path: Path) -> None:
    condition = [{"expression": "request.resourceAttributes.name == 'x'"}]
    for policy, denied in (("Deny", True), ("NoOpinion", False)):
        webhook = document(server, tmp_path, matchConditions=condition, failurePolicy=policy)
        asked = of_file(tmp_path, content(hook("one", webhook), RBAC)).authorizer
        decision = await asked.authorize(JANE, RequestInfo(verb="get", path="/x"))
        assert (decision.allowed, decision.denied) == (False, denied)
        assert "cel evaluation error: expression 'request.resourceAttributes.name" in decision.error
        assert "no such key: resourceAttributes" in decision.error


async def test_a_slow_webhook_holds_up_only_those_it_is_asked_about(server: HookServer, tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def decide(review: dict[str, Any]) -> dict[str, Any]:
        await gate.wait()
        return answer(review, allowed=True)

    server.answers["/authorize"] = decide
    server.answers["/quick"] = lambda review: answer(review, allowed=True)
    only = [{"expression": "request.user == 'slow'"}]
    asked = of_file(tmp_path, content(hook("one", document(server, tmp_path, matchConditions=only)), RBAC)).authorizer
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(asked.authorize(UserInfo("slow", uid=str(n)), LIST)) for n in range(300)]
        while not server.asked:  # noqa: ASYNC110  the server says nothing of its own accord
            await asyncio.sleep(0.001)
        assert (await asked.authorize(JANE, GET)).allowed
        gate.set()
    assert all(task.result().allowed for task in waiting)


async def test_too_slow_is_refused(server: HookServer, tmp_path: Path) -> None:
    gate = asyncio.Event()

    async def decide(review: dict[str, Any]) -> dict[str, Any]:
        await gate.wait()
        return answer(review, allowed=True)

    server.answers["/authorize"] = decide
    asked = of_file(tmp_path, content(hook("one", document(server, tmp_path, timeout="20ms")), RBAC)).authorizer
    decision = await asked.authorize(JANE, GET)
    gate.set()
    assert decision.denied
    assert "context deadline exceeded" in decision.error


async def test_the_file_is_taken_up_when_it_changes(server: HookServer, tmp_path: Path) -> None:
    server.answers["/authorize"] = lambda review: answer(review, allowed=True)
    asked = of_file(tmp_path, content(RBAC))
    path = tmp_path / "authorization.yaml"
    async with background(asked.run()), asyncio.timeout(10):
        assert not (await asked.authorizer.authorize(JANE, LIST)).allowed
        path.write_bytes(b"nonsense")
        path.write_bytes(content(hook("one", document(server, tmp_path)), RBAC))
        while not (await asked.authorizer.authorize(JANE, LIST)).allowed:  # noqa: ASYNC110  it is seen from outside only
            await asyncio.sleep(0.001)
    with pytest.raises(ConfigError, match=r"missing required types: \[RBAC\]"):
        config.of_file(content(hook("one", document(server, tmp_path))), ("RBAC",))


WRONG: tuple[tuple[dict[str, Any], str], ...] = (
    ({"timeout": ""}, "authorizers[0].timeout: Required value"),
    ({"timeout": "31s"}, 'authorizers[0].timeout: Invalid value: "31s": must be > 0s and <= 30s'),
    ({"failurePolicy": "Ignore"}, 'Unsupported value: "Ignore": supported values: "NoOpinion", "Deny"'),
    ({"subjectAccessReviewVersion": "v2"}, 'supported values: "v1", "v1beta1"'),
    ({"connectionInfo": {"type": "KubeConfigFile"}}, "connectionInfo.kubeConfigFile: Required value"),
    ({"connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "x"}}, "must be an absolute path"),
    ({"connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "/none"}}, "error loading file: stat /none"),
    ({"matchConditions": [{"expression": "request.user"}]}, "must evaluate to bool but got string"),
    ({"matchConditions": [{"expression": "x"}]}, "compilation failed: ERROR: <input>:1:1: undeclared reference to 'x'"),
    ({"matchConditions": [{"expression": " "}]}, "matchConditions[0].expression: Required value"),
)


@pytest.mark.parametrize(("changes", "text"), WRONG)
async def test_what_a_file_must_not_say(server: HookServer, tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config.of_file(content(hook("one", document(server, tmp_path, **changes))))
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("authorization-mode=Nonsense",), '"Nonsense" is not a valid mode'),
        (("authorization-mode=RBAC,RBAC",), "specified more than once"),
        (("authorization-mode=Webhook",), "authorization config file not passed"),
        (("authorization-webhook-config-file=/x",), "without mode Webhook"),
        (("authorization-mode=ABAC",), "policy file not passed"),
        (("authorization-config=/x", "authorization-mode=RBAC"), "can not be specified when"),
    ],
)
def test_flags_that_do_not_go_together(arguments: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config.of_flags(parse(arguments))


def test_names_and_types_of_authorizers() -> None:
    for data, text in (
        (content(), "authorizers: Required value: at least one authorization mode must be defined"),
        (content({"type": "RBAC", "name": "x"}), "expected name rbac for authorizer RBAC instead of x"),
        (content(RBAC, RBAC), 'authorizers[1].type: Duplicate value: "RBAC"'),
        (
            content({"type": "Webhook", "name": "a"}),
            "authorizers[0].webhook: Required value: required when type=Webhook",
        ),
        (content({"type": "X", "name": "a"}), 'authorizers[0].type: Unsupported value: "X"'),
    ):
        with pytest.raises(ConfigError) as refused:
            config.of_file(data)
        assert text in str(refused.value)


async def test_policies_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "policies"
    version = '"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"'
    jane = '"user": "jane", "readonly": true, "resource": "pods", "namespace": "ns"'
    path.write_text(
        f'# comment\n\n{{{version}, "spec": {{{jane}}}}}\n'
        f'{{{version}, "spec": {{"group": "ops", "nonResourcePath": "/metrics*"}}}}\n'
    )
    asked = modes("authorization-mode=ABAC", f"authorization-policy-file={path}").authorizer
    assert (await asked.authorize(JANE, GET)).allowed
    ops = UserInfo("x", groups=("ops",))
    assert (await asked.authorize(ops, RequestInfo(verb="get", path="/metrics/a"))).allowed
    create = RequestInfo(verb="create", path="/", is_resource=True, resource="pods", namespace="ns")
    assert await asked.authorize(JANE, create) == Decision(False, "No policy matched.")
    assert [rule.verbs for rule in asked.rules_of(JANE, "ns").rules] == [("get", "list", "watch")]
    path.write_text('{"kind": "Policy"}\n')
    with pytest.raises(ConfigError, match=r"line 1: no Policy of abac\.authorization"):
        modes("authorization-mode=ABAC", f"authorization-policy-file={path}")


async def test_modes_for_tests_only() -> None:
    assert (await modes("authorization-mode=AlwaysAllow").authorizer.authorize(JANE, LIST)).allowed
    denied = modes("authorization-mode=AlwaysDeny").authorizer
    assert await denied.authorize(JANE, LIST) == Decision(False, "Everything is forbidden.")


async def test_rules_are_listed_as_far_as_they_are_known(server: HookServer, tmp_path: Path) -> None:
    found = flags(server, tmp_path).authorizer.rules_of(JANE, "ns")
    assert found.incomplete
    assert found.errors == ("webhook authorizer does not support user rule resolution",)
    assert [rule.resources for rule in found.rules] == [("pods",)]
