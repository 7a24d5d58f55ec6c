"""Parts of webhooks and policies by themselves: rules, answers of webhooks, what the audit log is told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kijabi.api import catalog
from kijabi.api.admissionregistration.policyrules import RuleWithOperations
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.pod import Pod
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver.admission import rules
from kijabi.apiserver.admission.review import BadReview, choose, denial, verdict
from kijabi.apiserver.attributes import MAX_AUDIT_ANNOTATIONS, Attributes, UserInfo
from tests.apiserver.admission.test_policies import GROUP, MAPS, apply, mutating, validating
from tests.apiserver.hookserver import allow, hook_server, patch
from tests.apiserver.world import configmap, running

PODS, MAPS_KIND, SPACES = (catalog.by_type(cls) for cls in (Pod, ConfigMap, Namespace))


def rule(resource: str = "pods", scope: str | None = None, **more: tuple[str, ...]) -> RuleWithOperations:
    fields: dict[str, Any] = {"apiGroups": ("",), "apiVersions": ("v1",), "operations": ("CREATE",), **more}
    return RuleWithOperations(resources=(resource,), scope=scope, **fields)


@pytest.mark.parametrize(
    ("pattern", "sub", "wanted"),
    [
        ("pods", "", True), ("pods", "status", False), ("pods/status", "status", True), ("pods/*", "", True),
        ("pods/*", "log", True), ("*", "", True), ("*", "status", False), ("*/*", "", True), ("*/*", "exec", True),
        ("*/scale", "scale", True), ("*/scale", "", False), ("configmaps", "", False),
    ],
)  # fmt: skip
def test_resources(pattern: str, sub: str, wanted: bool) -> None:
    assert rules.matches(rule(pattern), PODS, sub, "CREATE") is wanted


def test_groups_operations_and_scopes() -> None:
    assert rules.matches(rule(apiGroups=("*",), apiVersions=("*",), operations=("*",)), PODS, "", "CONNECT")
    assert not rules.matches(rule(apiGroups=("apps",)), PODS, "", "CREATE")
    assert not rules.matches(rule(apiVersions=("v2",)), PODS, "", "CREATE")
    assert not rules.matches(rule(), PODS, "", "UPDATE")
    assert rules.matches(rule(scope="Namespaced"), PODS, "", "CREATE")
    assert not rules.matches(rule(scope="Cluster"), PODS, "", "CREATE")
    assert rules.matches(rule("namespaces", "Cluster"), SPACES, "", "CREATE")
    assert not rules.matches(rule("namespaces", "Namespaced"), SPACES, "", "CREATE")


def test_answers() -> None:
    assert choose(["v9", "v1beta1", "v1"]) == "v1beta1"
    assert choose(["v9"]) == ""
    good = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}
    found = verdict("v1", "u", {**good, "response": {"uid": "u", "allowed": True, "extra": 1}}, mutating=False)
    assert found.response.allowed
    for response, mutating_, text in (
        ({"uid": "v"}, True, 'expected response.uid="u", got "v"'),
        ({"uid": "u", "patch": "W10="}, False, "validating webhook may not return response.patch"),
        ({"uid": "u", "patchType": "x"}, False, "validating webhook may not return response.patchType"),
        ({"uid": "u", "patch": "W10="}, True, "webhook returned response.patch but not response.patchType"),
        ({"uid": "u", "patch": "W10=", "patchType": ""}, True, 'invalid response.patchType of ""'),
        ({"uid": 7}, True, "cannot unmarshal number"),
        ({"uid": "u", "status": {"code": "x"}}, True, "cannot unmarshal string"),
    ):
        with pytest.raises(BadReview, match=text.replace("(", r"\(")):
            verdict("v1", "u", {**good, "response": response}, mutating=mutating_)
    assert denial("x", None).message == 'admission webhook "x" denied the request without explanation'


def test_audit_annotations_are_bounded() -> None:
    obj = ConfigMap(metadata=ObjectMeta())
    attrs = Attributes(user=UserInfo("x"), resource=MAPS_KIND, operation="CREATE", object=obj)
    for number in range(MAX_AUDIT_ANNOTATIONS + 5):
        attrs.annotate(f"k{number}", "v")
    attrs.annotate("k0", "other")
    assert len(attrs.audit_annotations) == MAX_AUDIT_ANNOTATIONS
    assert attrs.audit_annotations["k0"] == "v"


async def test_what_the_audit_log_is_told(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, str] = {}
    monkeypatch.setattr(Attributes, "annotate", lambda self, key, value: told.setdefault(key, value))
    async with running() as world, hook_server(tmp_path) as server:
        server.answers["/m"] = lambda review: patch(
            review, {"op": "add", "path": "/data/a", "value": "b"}, auditAnnotations={"seen": "yes"}
        )
        server.answers["/v"] = lambda review: {"nonsense": 1}
        server.answers["/ok"] = allow
        for kind, hook in (
            ("mutating", server.hook("m.example.com", "/m")),
            ("validating", server.hook("v.example.com", "/v", failurePolicy="Ignore")),
        ):
            body = {"metadata": {"name": kind}, "webhooks": [hook]}
            made = await world.post(f"{GROUP}/{kind}webhookconfigurations", body)
            assert made.status == 201
        await mutating(world, "map", apply("Object{data: Object.data{x: 'y'}}"))
        await validating(
            world, "vap", {"expression": "false", "message": "no"}, binding={"validationActions": ["Audit"]},
            auditAnnotations=[{"key": "name", "valueExpression": "'is ' + object.metadata.name"}],
        )  # fmt: skip
        made = await world.post(MAPS, configmap("x"))
        assert made.status == 201, made
    assert msgspec.json.decode(told["mutation.webhook.admission.k8s.io/round_0_index_0"]) == {
        "configuration": "mutating", "webhook": "m.example.com", "mutated": True,
    }  # fmt: skip
    assert msgspec.json.decode(told["patch.webhook.admission.k8s.io/round_0_index_0"])["patch"] == [
        {"op": "add", "path": "/data/a", "value": "b"}
    ]
    assert told["m.example.com/seen"] == "yes"
    assert told["failed-open.validating.webhook.admission.k8s.io/round_0_index_0"] == "v.example.com"
    assert told["vap/name"] == "is x"
    assert msgspec.json.decode(told["validation.policy.admission.k8s.io/validation_failure"]) == [
        {"message": "no", "policy": "vap", "binding": "vap", "expressionIndex": 0, "validationActions": ["Audit"]}
    ]
