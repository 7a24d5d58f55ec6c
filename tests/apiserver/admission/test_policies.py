"""Admission policies through the whole server: what they see, refuse and change, and how their mistakes end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from kijabi.apiserver.app import App, Settings, open_to_all
from kijabi.apiserver.attributes import Decision, Peer, RequestInfo, UserInfo
from kijabi.client.transport import Request
from kijabi.store.memory import MemoryStore
from tests.apiserver.crd import definitions as crds
from tests.apiserver.world import World, configmap, deployment, running

GROUP = "/apis/admissionregistration.k8s.io/v1"
MAPS = "/api/v1/namespaces/default/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with running() as found:
        yield found


def rules(resource: str = "configmaps", group: str = "", *operations: str, **more: Any) -> dict[str, Any]:
    rule = {
        "apiGroups": [group], "apiVersions": ["v1"], "operations": list(operations or ("CREATE", "UPDATE")),
        "resources": [resource],
    }  # fmt: skip
    return {"resourceRules": [{**rule, **more}]}


async def validating(world: World, name: str, *validations: dict[str, Any], **spec: Any) -> None:
    """A policy that is bound."""
    binding = {"policyName": name, "validationActions": ["Deny"], **spec.pop("binding", {})}
    body = {"validations": list(validations), "matchConstraints": spec.pop("matchConstraints", rules()), **spec}
    made = await world.post(f"{GROUP}/validatingadmissionpolicies", {"metadata": {"name": name}, "spec": body})
    assert made.status == 201, made
    made = await world.post(f"{GROUP}/validatingadmissionpolicybindings", {"metadata": {"name": name}, "spec": binding})
    assert made.status == 201, made


async def mutating(world: World, name: str, *mutations: dict[str, Any], **spec: Any) -> None:
    """A policy that is bound."""
    binding = {"policyName": name, **spec.pop("binding", {})}
    body = {
        "mutations": list(mutations), "matchConstraints": spec.pop("matchConstraints", rules()),
        "reinvocationPolicy": "Never", **spec,
    }  # fmt: skip
    made = await world.post(f"{GROUP}/mutatingadmissionpolicies", {"metadata": {"name": name}, "spec": body})
    assert made.status == 201, made
    made = await world.post(f"{GROUP}/mutatingadmissionpolicybindings", {"metadata": {"name": name}, "spec": binding})
    assert made.status == 201, made


def apply(expression: str) -> dict[str, Any]:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def json_patch(expression: str) -> dict[str, Any]:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


async def test_a_policy_refuses(world: World) -> None:
    await validating(
        world, "replicas",
        {"expression": "object.spec.replicas > 1", "messageExpression": "'more than ' + string(object.spec.replicas)"},
        {"expression": "namespaceObject.metadata.name == 'default'", "message": "elsewhere"},
        matchConstraints=rules("deployments", "apps"),
    )  # fmt: skip
    refused = await world.post(DEPLOYMENTS, deployment("a", 1))
    assert (refused.status, refused.reason) == (422, "Invalid")
    text = "ValidatingAdmissionPolicy 'replicas' with binding 'replicas' denied request: more than 1"
    assert refused.message == f'deployments.apps "a" is forbidden: {text}'
    assert refused.body["details"]["causes"] == [{"message": text}]
    assert (await world.post(DEPLOYMENTS, deployment("b", 2))).status == 201
    assert (await world.patch(f"{DEPLOYMENTS}/b", {"spec": {"replicas": 1}})).status == 422


async def test_messages_and_reasons(world: World) -> None:
    missing = "object.data.missing == ''"
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"expression": "false", "message": " told "}, 422, "told"),
        ({"expression": "false"}, 422, "failed expression: false"),
        ({"expression": "false", "reason": "Forbidden", "message": "m"}, 403, "m"),
        ({"expression": "false", "reason": "RequestEntityTooLarge", "message": "m"}, 413, "m"),
        ({"expression": "false", "messageExpression": "'a\\nb'", "message": "plain"}, 422, "plain"),
        ({"expression": "false", "messageExpression": "string(object.data.missing)", "message": "plain"}, 422, "plain"),
        ({"expression": missing}, 422, f"expression '{missing}' resulted in error: no such key: missing"),
    ]
    for index, (validation, _, _) in enumerate(cases):
        condition = {"name": "c", "expression": f"object.metadata.name == 'p{index}'"}
        await validating(world, f"p{index}", validation, matchConditions=[condition])
    for index, (_, code, text) in enumerate(cases):
        refused = await world.post(MAPS, configmap(f"p{index}"))
        assert refused.status == code, refused
        assert refused.message.endswith(f"denied request: {text}"), refused.message


async def test_actions(world: World) -> None:
    broken = {"expression": "false", "message": "no"}
    await validating(world, "soft", broken, binding={"validationActions": ["Warn", "Audit"]})
    made = await world.post(MAPS, configmap("x"))
    assert made.status == 201
    text = "Validation failed for ValidatingAdmissionPolicy 'soft' with binding 'soft': no"
    assert made.headers["Warning"] == f'299 - "{text}"'


async def test_variables_are_computed_when_read(world: World) -> None:
    await validating(
        world, "vars",
        {"expression": "!variables.present || variables.value == 'ok'", "messageExpression": "'is ' + variables.value"},
        variables=[
            {"name": "present", "expression": "'v' in object.data"},
            {"name": "value", "expression": "string(object.data.v)"},
        ],
    )  # fmt: skip
    assert (await world.post(MAPS, configmap("none"))).status == 201
    assert (await world.post(MAPS, configmap("ok", data={"v": "ok"}))).status == 201
    refused = await world.post(MAPS, configmap("bad", data={"v": "bad"}))
    assert refused.message.endswith("denied request: is bad")


async def test_parameters(world: World) -> None:
    await world.post(MAPS, {"metadata": {"name": "limits", "labels": {"a": "b"}}, "data": {"max": "3"}})
    policy: dict[str, Any] = {
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}, "matchConstraints": rules("deployments", "apps"),
    }  # fmt: skip
    rule = {"expression": "params == null || object.spec.replicas <= int(params.data.max)"}
    by_name = {"paramRef": {"name": "limits", "parameterNotFoundAction": "Deny"}}
    await validating(world, "named", rule, **policy, binding=by_name)
    assert (await world.post(DEPLOYMENTS, deployment("a", 3))).status == 201
    assert (await world.post(DEPLOYMENTS, deployment("b", 4))).status == 422
    await world.patch(f"{MAPS}/limits", {"data": {"max": "4"}})
    assert (await world.post(DEPLOYMENTS, deployment("b", 4))).status == 201
    by_label = {"paramRef": {"selector": {"matchLabels": {"a": "b"}}, "parameterNotFoundAction": "Allow"}}
    await validating(world, "picked", rule, **policy, binding=by_label)
    assert (await world.post(DEPLOYMENTS, deployment("c", 5))).status == 422
    await world.delete(f"{MAPS}/limits")
    refused = await world.post(DEPLOYMENTS, deployment("c", 5))
    assert refused.message.endswith(
        "'named' with binding 'named' denied request: failed to configure binding: no params found for policy binding "
        "with `Deny` parameterNotFoundAction"
    )
    await world.delete(f"{GROUP}/validatingadmissionpolicies/named")
    assert (await world.post(DEPLOYMENTS, deployment("c", 5))).status == 201  # Allow: no parameter, no question


async def test_unknown_parameter_kind(world: World) -> None:
    kind = {"apiVersion": "example.com/v1", "kind": "Limit"}
    binding = {"paramRef": {"name": "x", "parameterNotFoundAction": "Deny"}}
    await validating(world, "p", {"expression": "true"}, paramKind=kind, binding=binding)
    refused = await world.post(MAPS, configmap("x"))
    assert refused.message.endswith(
        "ValidatingAdmissionPolicy 'p' denied request: failed to configure policy: failed to find resource referenced "
        "by paramKind: 'example.com/v1, Kind=Limit'"
    )
    await world.patch(f"{GROUP}/validatingadmissionpolicies/p", {"spec": {"failurePolicy": "Ignore"}})
    assert (await world.post(MAPS, configmap("x"))).status == 201


async def test_matching(world: World) -> None:
    constraints = {
        **rules("*", "*"),
        "excludeResourceRules": rules("configmaps", "", "CREATE", resourceNames=["spared"])["resourceRules"],
        "objectSelector": {"matchLabels": {"watched": "yes"}},
    }
    await validating(world, "p", {"expression": "false"}, matchConstraints=constraints)
    watched = {"labels": {"watched": "yes"}}
    assert (await world.post(MAPS, configmap("x", metadata=watched))).status == 422
    assert (await world.post(MAPS, configmap("spared", metadata=watched))).status == 201
    assert (await world.post(MAPS, configmap("y"))).status == 201


async def test_bindings_narrow(world: World) -> None:
    narrowed = {"matchResources": rules("configmaps", "", "CREATE", resourceNames=["x"])}
    await validating(world, "p", {"expression": "false"}, binding=narrowed)
    assert (await world.post(MAPS, configmap("x"))).status == 422
    assert (await world.post(MAPS, configmap("y"))).status == 201


async def test_request_and_authorizer(world: World) -> None:
    await validating(
        world, "p",
        {"expression": "request.operation != 'DELETE' || oldObject.data.k != 'v'", "message": "kept"},
        {"expression": "authorizer.group('').resource('pods').namespace('default').check('get').allowed()"},
        {"expression": "authorizer.requestResource.check('anything').allowed()"},
        {"expression": "request.userInfo.username == 'kubernetes-admin' && request.resource.resource == 'configmaps'"},
        matchConstraints=rules("configmaps", "", "*"),
    )  # fmt: skip
    assert (await world.post(MAPS, configmap("x"))).status == 201
    assert (await world.delete(f"{MAPS}/x")).message.endswith("denied request: kept")


async def test_a_bomb_is_cut_off(world: World) -> None:
    numbers = "[0,1,2,3,4,5,6,7,8,9]"
    bomb = "a + b + c + d + e + f >= 0"
    for name in "fedcba":
        bomb = f"{numbers}.all({name}, {bomb})"
    await validating(
        world, "bomb", *[{"expression": bomb}] * 2, {"expression": "authorizer.path('/x').check('get').allowed()"}
    )
    async with asyncio.TaskGroup() as tasks:
        write = tasks.create_task(world.post(MAPS, configmap("x")))
        loop, answered = asyncio.get_running_loop(), 0
        while not write.done():
            began = loop.time()
            assert (await world.get("/api/v1/namespaces/default/secrets")).status == 200
            await asyncio.sleep(0.01)
            assert loop.time() - began < 0.5  # others do not notice
            answered += 1
        assert answered > 5
    refused = write.result()
    assert refused.status == 422
    assert "operation cancelled: actual cost limit exceeded" in refused.message


@pytest.mark.parametrize(
    ("spec", "field", "text"),
    [
        ({"validations": []}, "validations", "validations or auditAnnotations must contain at least one item"),
        ({"validations": [{"expression": "object.x"}]}, "validations[0].expression", "must evaluate to bool"),
        ({"validations": [{"expression": "foo"}]}, "validations[0].expression", "undeclared reference to 'foo'"),
        (
            {"validations": [{"expression": "params.x"}]},
            "validations[0].expression",
            "undeclared reference to 'params'",
        ),
        ({"variables": [{"name": "1a", "expression": "1"}]}, "variables[0].name", "must be a valid CEL identifier"),
        ({"matchConstraints": {}}, "matchConstraints.resourceRules", "Required value"),
        ({"failurePolicy": "Maybe"}, "failurePolicy", 'supported values: "Fail", "Ignore"'),
        (
            {"validations": [{"expression": "true", "messageExpression": "authorizer.path('/x')"}]},
            "validations[0].messageExpression",
            "undeclared reference to 'authorizer'",
        ),
        (
            {"auditAnnotations": [{"key": "k", "valueExpression": "1"}]},
            "auditAnnotations[0].valueExpression",
            "must evaluate to one of [string null] but got int",
        ),
    ],
)
async def test_bad_policies(world: World, spec: dict[str, Any], field: str, text: str) -> None:
    body = {"validations": [{"expression": "true"}], "matchConstraints": rules(), **spec}
    refused = await world.post(f"{GROUP}/validatingadmissionpolicies", {"metadata": {"name": "p"}, "spec": body})
    assert refused.status == 422, refused
    found = [cause for cause in refused.body["details"]["causes"] if cause["field"] == f"spec.{field}"]
    assert found, refused
    assert text in found[0]["message"]


async def test_apply_configurations(world: World) -> None:
    pod = "Object.spec.template.spec"
    init = f"{pod}.initContainers{{name: 'init', image: 'busybox'}}"
    spec = f"Object.spec{{template: Object.spec.template{{spec: {pod}{{initContainers: [{init}]}}}}}}"
    await mutating(
        world, "annotate",
        apply('Object{metadata: Object.metadata{annotations: {"mutated-by": "policy"}}}'),
        apply("Object{spec: Object.spec{replicas: object.spec.replicas + 1}}"),
        apply(f"Object{{spec: {spec}}}"),
        matchConstraints=rules("deployments", "apps"),
    )  # fmt: skip
    made = await world.post(DEPLOYMENTS, deployment("a", 2))
    assert made.status == 201, made
    assert made.body["metadata"]["annotations"] == {"mutated-by": "policy"}
    assert made.body["spec"]["replicas"] == 3
    template = made.body["spec"]["template"]["spec"]
    assert [each["name"] for each in template["initContainers"]] == ["init"]
    assert template["initContainers"][0]["terminationMessagePath"] == "/dev/termination-log"
    assert [each["name"] for each in template["containers"]] == ["c"]


async def test_json_patches(world: World) -> None:
    await mutating(
        world, "patch",
        json_patch("[JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('a'), value: 'b'}]"),
        json_patch(
            "[JSONPatch{op: 'test', path: '/data/a', value: 'c'}, JSONPatch{op: 'add', path: '/data/never', value: ''}]"
        ),
    )  # fmt: skip
    made = await world.post(MAPS, configmap("x"))
    assert made.body["data"] == {"k": "v", "a": "b"}


async def test_mutations_that_fail(world: World) -> None:
    atomic = (
        "Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{tolerations: []}}}}"
    )
    await mutating(world, "atomic", apply(atomic), matchConstraints=rules("deployments", "apps"))
    refused = await world.post(DEPLOYMENTS, deployment("a"))
    assert (refused.status, refused.reason) == (403, "Invalid")
    assert refused.message == (
        "policy 'atomic' with binding 'atomic' denied request: error applying patch: invalid ApplyConfiguration: may "
        "not mutate atomic arrays, maps or structs: .spec.template.spec.tolerations"
    )
    await mutating(world, "missing", json_patch("[JSONPatch{op: 'remove', path: '/data/missing'}]"))
    refused = await world.post(MAPS, configmap("x"))
    assert "denied request: JSON Patch: " in refused.message
    await world.patch(f"{GROUP}/mutatingadmissionpolicies/missing", {"spec": {"failurePolicy": "Ignore"}})
    assert (await world.post(MAPS, configmap("x"))).status == 201
    await mutating(world, "names", apply("Object{metadata: Object.spec{x: 1}}"), matchConstraints=rules("secrets"))
    refused = await world.post("/api/v1/namespaces/default/secrets", {"metadata": {"name": "s"}})
    assert 'type mismatch: unexpected type name "Object.spec", expected "Object.metadata"' in refused.message


async def test_reinvocation(world: World) -> None:
    count = "Object{metadata: Object.metadata{annotations: {'seen': string(size(object.data))}}}"
    await mutating(world, "a-count", apply(count), reinvocationPolicy="IfNeeded")
    await mutating(world, "b-add", json_patch("[JSONPatch{op: 'add', path: '/data/late', value: 'x'}]"))
    made = await world.post(MAPS, configmap("x"))
    assert made.body["metadata"]["annotations"] == {"seen": "2"}


async def test_policies_do_not_touch_their_own_kind(world: World) -> None:
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    await validating(world, "all", {"expression": "false"}, matchConstraints={"resourceRules": [rule]})
    assert (await world.post(MAPS, configmap("x"))).status == 422
    review = {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}}
    assert (await world.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)).status == 201
    assert (await world.delete(f"{GROUP}/validatingadmissionpolicies/all")).status == 200
    assert (await world.post(MAPS, configmap("x"))).status == 201


async def test_custom_parameters_and_objects(world: World) -> None:
    await crds.install(world, crds.definition())
    await validating(
        world, "sized", {"expression": "object.spec.replicas <= params.spec.size", "message": "too many"},
        paramKind={"apiVersion": "example.com/v1", "kind": "Widget"}, matchConstraints=rules("deployments", "apps"),
        binding={"paramRef": {"name": "limit", "namespace": "default", "parameterNotFoundAction": "Deny"}},
    )  # fmt: skip
    assert (await world.post(crds.WIDGETS, crds.widget("limit", spec={"size": 2}))).status == 201
    assert (await world.post(DEPLOYMENTS, deployment("a", 3))).message.endswith("denied request: too many")
    assert (await world.post(DEPLOYMENTS, deployment("a", 2))).status == 201
    widgets = rules("widgets", "example.com")
    await mutating(world, "color", apply("Object{spec: Object.spec{color: 'blue'}}"), matchConstraints=widgets)
    made = await world.post(crds.WIDGETS, crds.widget("w", spec={"size": 2}))
    assert made.body["spec"] == {"size": 2, "color": "blue"}
    await mutating(world, "wrong", apply("Object{spec: Object.spec{nonsense: 'x'}}"), matchConstraints=widgets)
    refused = await world.post(crds.WIDGETS, crds.widget("v", spec={"size": 2}))
    assert ".spec.nonsense: field not declared in schema" in refused.message


async def test_who_makes_a_policy_read_parameters_must_be_allowed_to() -> None:
    app = App(MemoryStore(), Settings())
    await app.load()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(app.run())
        security = open_to_all(app.caches)
        jane = UserInfo("jane", uid="1", groups=("a", "b"))
        await app.start(security._replace(authenticator=Only(jane), authorizer=NoSecrets()))
        world = World(app)
        spec = {
            "validations": [{"expression": "true"}], "matchConstraints": rules(),
            "paramKind": {"apiVersion": "v1", "kind": "Secret"},
        }  # fmt: skip
        policies = f"{GROUP}/validatingadmissionpolicies"
        refused = await world.post(policies, {"metadata": {"name": "p"}, "spec": spec})
        assert refused.status == 422
        assert refused.body["details"]["causes"][0] == {
            "reason": "FieldValueForbidden",
            "field": "spec.paramKind",
            "message": 'Forbidden: user &{jane 1 [a b] map[]} must have "get" permission on all objects of the '
            "referenced paramKind (kind=Secret, apiVersion=v1)",
        }
        spec["paramKind"] = {"apiVersion": "v1", "kind": "ConfigMap"}
        assert (await world.post(policies, {"metadata": {"name": "p"}, "spec": spec})).status == 201
        running.cancel()


class Only:
    """Everybody is one user."""

    def __init__(self, user: UserInfo) -> None:
        self.user = user

    async def authenticate(self, request: Request, peer: Peer) -> UserInfo:
        return self.user


class NoSecrets:
    """Everything is allowed but secrets."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        return Decision(info.resource != "secrets")
