"""The types in the expressions of a policy: what the controller doubts, of built-in and of custom kinds."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.admissionregistration.typechecking import resources_of
from kijabi.api.admissionregistration.validatingadmissionpolicy import ValidatingAdmissionPolicy
from kijabi.api.apps.deployment import Deployment
from kijabi.api.cel.types import from_struct
from kijabi.api.core.configmap import ConfigMap
from kijabi.controllers.validatingadmissionpolicystatus import plan
from tests.controllers.test_custom_kinds import install
from tests.controllers.world import World, play

DEPLOYMENT = ("apps", "v1", "Deployment")


def policy(*validations: dict[str, str], rule: dict[str, list[str]] | None = None, **spec: Any) -> Any:
    about = {"apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"], **(rule or {})}
    constraints = {"resourceRules": [{**about, "operations": ["CREATE"]}]}
    body = {"matchConstraints": constraints, "validations": list(validations), **spec}
    meta = {"name": "p", "generation": 3}
    return codec.from_builtins(ValidatingAdmissionPolicy, {"metadata": meta, "spec": body})


def doubts(found: ValidatingAdmissionPolicy) -> list[tuple[str, str]]:
    checked = found.status.typeChecking
    assert checked is not None
    return [(each.fieldRef, each.warning) for each in checked.expressionWarnings]


def test_the_plan() -> None:
    types = {DEPLOYMENT: from_struct(Deployment)}
    good = plan(policy({"expression": "object.spec.replicas > 1"}), types, None)
    assert (good.status.observedGeneration, doubts(good)) == (3, [])
    assert codec.to_builtins(good)["status"]["typeChecking"] == {}
    confused = {
        "expression": "object.spec.replicas > '1'",
        "messageExpression": "'wants replicas > 1, got ' + object.spec.replicas",
    }
    (first, one), (second, other) = doubts(plan(policy(confused), types, None))
    assert (first, second) == ("spec.validations[0].expression", "spec.validations[0].messageExpression")
    assert one == (
        "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to "
        "'(int, string)'\n"
        " | object.spec.replicas > '1'\n | .....................^\n"
    )
    assert "found no matching overload for '_+_' applied to '(string, int)'" in other


def test_variables_and_parameters() -> None:
    types = {DEPLOYMENT: from_struct(Deployment)}
    found = plan(
        policy(
            {"expression": "variables.count > '1'"},
            {"expression": "params.data.max > 1"},
            variables=[{"name": "count", "expression": "object.spec.replicas"}],
            paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        ),
        types,
        from_struct(ConfigMap),
    )
    texts = [text for _, text in doubts(found)]
    assert "applied to '(int, string)'" in texts[0]
    assert "applied to '(string, int)'" in texts[1]


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({}, [("apps", "v1", "deployments")]),
        ({"apiGroups": ["*"]}, []),
        ({"resources": ["*", "deployments/scale", "replicasets"]}, [("apps", "v1", "replicasets")]),
    ],
)
def test_what_is_checked(rule: dict[str, list[str]], wanted: list[tuple[str, str, str]]) -> None:
    assert resources_of(policy({"expression": "true"}, rule=rule)) == wanted


def test_built_in_and_custom_kinds() -> None:
    async def tell(world: World) -> None:
        await install(world)
        custom = {"apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["widgets"]}
        made = policy({"expression": "object.spec.size > 'x'"}, {"expression": "object.spec.none < 1"}, rule=custom)
        made.metadata.generation = 0
        await world.client.create(made)

        async def checked() -> ValidatingAdmissionPolicy | None:
            found = await world.client.get(ValidatingAdmissionPolicy, "p")
            return found if found.status.typeChecking is not None else None

        found = await world.until(checked, 30)
        texts = [text for _, text in doubts(found)]
        assert len(texts) == 2
        assert "applied to '(int, string)'" in texts[0]
        assert "undefined field 'none'" in texts[1]
        assert found.status.observedGeneration == found.metadata.generation == 1

    play(tell)
