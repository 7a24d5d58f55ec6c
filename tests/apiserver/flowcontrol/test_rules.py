"""What FlowSchemas and PriorityLevelConfigurations may say, with upstream's texts; and the standard ones' upkeep."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.flowcontrol import standard
from kijabi.api.flowcontrol.flowschema import FlowSchema
from kijabi.api.flowcontrol.flowschema import validate as schema_errors
from kijabi.api.flowcontrol.prioritylevelconfiguration import PriorityLevelConfiguration, entropy_bits
from kijabi.api.flowcontrol.prioritylevelconfiguration import validate as level_errors
from kijabi.apiserver import flowdefaults
from tests.apiserver.world import World

BASE = "/apis/flowcontrol.apiserver.k8s.io/v1"
RULE = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}
ANYBODY = [{"kind": "Group", "group": {"name": "*"}}]


def schema(name: str = "s", **spec: Any) -> FlowSchema:
    rules = [{"subjects": ANYBODY, "resourceRules": [RULE]}]
    given = {"priorityLevelConfiguration": {"name": "p"}, "matchingPrecedence": 5, "rules": rules, **spec}
    return codec.from_builtins(FlowSchema, {"metadata": {"name": name}, "spec": given})


def level(name: str = "p", **spec: Any) -> PriorityLevelConfiguration:
    return codec.from_builtins(PriorityLevelConfiguration, {"metadata": {"name": name}, "spec": spec})


def queued(queues: int, hand: int, length: int = 50, **more: Any) -> PriorityLevelConfiguration:
    queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": length}
    response = {"type": "Queue", "queuing": queuing}
    return level(type="Limited", limited={"nominalConcurrencyShares": 5, "limitResponse": response, **more})


def told(errors: Any) -> list[str]:
    return [str(each) for each in errors]


def test_the_standard_objects_obey_their_own_rules() -> None:
    for each in flowdefaults.all_defaults():
        check: Any = schema_errors if isinstance(each, FlowSchema) else level_errors
        assert not check(each), each.metadata.name


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"matchingPrecedence": 0}, "spec.matchingPrecedence: Invalid value: 0: must be a positive value"),
        (
            {"matchingPrecedence": 10001},
            "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000",
        ),
        (
            {"matchingPrecedence": 1},
            "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
        ),
        (
            {"distinguisherMethod": {"type": "ByMoon"}},
            'spec.distinguisherMethod.type: Unsupported value: {"Type":"ByMoon"}: '
            'supported values: "ByNamespace", "ByUser"',
        ),
        (
            {"priorityLevelConfiguration": {"name": ""}},
            "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
        ),
        (
            {"rules": [{"subjects": [], "resourceRules": [RULE]}]},
            "spec.rules[0].subjects: Required value: subjects must contain at least one value",
        ),
        (
            {"rules": [{"subjects": ANYBODY}]},
            "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
        ),
        (
            {"rules": [{"subjects": [{"kind": "Team"}], "resourceRules": [RULE]}]},
            'spec.rules[0].subjects[0].kind: Unsupported value: "Team": '
            'supported values: "Group", "ServiceAccount", "User"',
        ),
        (
            {"rules": [{"subjects": [{**ANYBODY[0], "user": {"name": "x"}}], "resourceRules": [RULE]}]},
            "spec.rules[0].subjects[0].user: Forbidden: user is forbidden when subject kind is not 'User'",
        ),
        (
            {"rules": [{"subjects": ANYBODY, "resourceRules": [{**RULE, "verbs": ["get", "fly"]}]}]},
            'spec.rules[0].resourceRules[0].verbs: Unsupported value: ["get","fly"]: supported values: "create", '
            '"delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"',
        ),
        (
            {"rules": [{"subjects": ANYBODY, "resourceRules": [{**RULE, "namespaces": []}]}]},
            "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped "
            "must supply at least one namespace",
        ),
        (
            {"rules": [{"subjects": ANYBODY, "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/a*"]}]}]},
            'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "/a*": '
            "wildcard can only do suffix matching",
        ),
    ],
)
def test_a_schema_that_is_wrong(spec: dict[str, Any], text: str) -> None:
    assert told(schema_errors(schema(**spec))) == [text]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (
            level(type="Exempt"),
            "spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'",
        ),
        (level(type="Limited"), "spec.limited: Required value"),
        (level(), "spec.type: Required value"),
        (level(type="Half"), 'spec.type: Unsupported value: "Half": supported values: "Exempt", "Limited"'),
        (
            queued(64, 65),
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 65: should not be greater than queues (64)",
        ),
        (
            queued(1024, 7),
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 7: required entropy bits of deckSize 1024 "
            "and handSize 7 should not be greater than 60",
        ),
        (
            queued(8, 2, 0),
            "spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: 0: must be positive",
        ),
        (
            queued(8, 2, lendablePercent=101),
            "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
        ),
        (
            level(type="Limited", limited={"limitResponse": {"type": "Queue"}}),
            "spec.limited.limitResponse.queuing: Required value",
        ),
    ],
)
def test_a_level_that_is_wrong(wrong: PriorityLevelConfiguration, text: str) -> None:
    assert told(level_errors(wrong)) == [text]


def test_how_much_of_a_hash_a_hand_takes() -> None:
    assert (entropy_bits(64, 6), entropy_bits(128, 6), entropy_bits(512, 8)) == (36, 42, 72)


async def test_mandatory_ones_may_not_differ(world: World) -> None:
    for path in ("flowschemas/catch-all", "prioritylevelconfigurations/catch-all"):
        answer = await world.get(f"{BASE}/{path}")
        changed = answer.body
        if "matchingPrecedence" in changed["spec"]:
            changed["spec"]["matchingPrecedence"] = 9999
        else:
            changed["spec"]["limited"]["nominalConcurrencyShares"] = 50
        refused = await world.put(f"{BASE}/{path}", changed)
        assert refused.status == 422
        assert "spec of 'catch-all' must equal the fixed value" in refused.message


async def test_the_exempt_level_may_have_other_shares(world: World) -> None:
    path = f"{BASE}/prioritylevelconfigurations/exempt"
    answer = await world.patch(path, {"spec": {"exempt": {"nominalConcurrencyShares": 7}}})
    assert answer.status == 200, answer
    await flowdefaults.Upkeep(world.app.storage, world.app.bootstrap.place).look()
    assert (await world.get(path)).body["spec"]["exempt"]["nominalConcurrencyShares"] == 7


async def test_what_is_missing_or_changed_comes_back_and_what_was_made_ones_own_stays(world: World) -> None:
    own, lost, gone = (f"{BASE}/prioritylevelconfigurations/{name}" for name in ("system", "workload-low", "old"))
    await world.patch(own, {"spec": {"limited": {"nominalConcurrencyShares": 77}}, "metadata": {"annotations": None}})
    await world.delete(lost)
    spec = standard.levels()["system"]
    await world.post(
        f"{BASE}/prioritylevelconfigurations",
        {"metadata": {"name": "old", "annotations": {flowdefaults.AUTO_UPDATE: "true"}}, "spec": spec},
    )
    await flowdefaults.Upkeep(world.app.storage, world.app.bootstrap.place).look()
    kept = (await world.get(own)).body
    assert kept["spec"]["limited"]["nominalConcurrencyShares"] == 77
    assert kept["metadata"]["annotations"][flowdefaults.AUTO_UPDATE] == "false"
    assert (await world.get(lost)).status == 200
    assert (await world.get(gone)).status == 404
    await world.patch(lost, {"spec": {"limited": {"nominalConcurrencyShares": 1}}})
    await flowdefaults.Upkeep(world.app.storage, world.app.bootstrap.place).look()
    assert (await world.get(lost)).body["spec"]["limited"]["nominalConcurrencyShares"] == 100
