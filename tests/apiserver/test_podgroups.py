"""The API of pod groups: off unless turned on, and then as upstream's scheduling.k8s.io/v1beta1."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from kijabi.api import catalog, features
from kijabi.apiserver.app import App, Settings
from kijabi.apiserver.flags import parse
from kijabi.base.errors import ConfigError
from kijabi.store.memory import MemoryStore
from tests.apiserver.world import MERGE, TABLE, World, pod, running

ON = ("feature-gates=GenericWorkload=true", "runtime-config=scheduling.k8s.io/v1beta1=true")
GROUPS = "/apis/scheduling.k8s.io/v1beta1/namespaces/default/podgroups"
WORKLOADS = "/apis/scheduling.k8s.io/v1beta1/namespaces/default/workloads"
PODS = "/api/v1/namespaces/default/pods"


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    async with running(settings=Settings(flags=parse(ON))) as made:
        await _account(made)
        yield made


async def _account(world: World) -> None:
    made = await world.post("/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    assert made.status == 201


def group(name: str = "g", count: int = 3, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"schedulingPolicy": {"gang": {"minCount": count}}, **spec}}


async def test_by_default_there_are_none() -> None:
    async with running() as world:
        assert (await world.get(GROUPS)).status == 404
        versions = (await world.get("/apis/scheduling.k8s.io")).body["versions"]
        assert [each["version"] for each in versions] == ["v1"]
        assert (await world.get("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.scheduling.k8s.io")).status == 404
        await _account(world)
        made = await world.post(PODS, pod(schedulingGroup={"podGroupName": "g"}))
        assert made.status == 201, made
        assert "schedulingGroup" not in made.body["spec"]


@pytest.mark.parametrize("missing", ON)
async def test_both_switches_are_needed(missing: str) -> None:
    async with running(settings=Settings(flags=parse([one for one in ON if one != missing]))) as world:
        assert (await world.get(GROUPS)).status == 404


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("feature-gates=Gang=true", "Gang is no feature to be turned on or off; GenericWorkload is"),
        ("feature-gates=GenericWorkload=maybe", "the value must be true or false"),
        ("runtime-config=apps/v1=false", "apps/v1 is no version to be turned on"),
    ],
)
def test_switches_that_are_none_are_refused_in_words(wrong: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        App(MemoryStore(), Settings(flags=parse([wrong])))


def test_the_last_word_on_a_version_counts() -> None:
    assert features.versions(["api/beta=true"], catalog.RESOURCES) == {"scheduling.k8s.io/v1beta1"}
    assert not features.versions(["api/all=true", "scheduling.k8s.io/v1beta1=false"], catalog.RESOURCES)


async def test_a_group_is_born_with_a_finalizer_and_a_priority(world: World) -> None:
    made = await world.post(GROUPS, {**group(), "status": {"conditions": []}})
    assert made.status == 201, made
    assert made.body["metadata"]["finalizers"] == ["scheduling.k8s.io/podgroup-protection"]
    assert made.body["spec"]["priority"] == 0
    other = await world.post(GROUPS, group("h", priorityClassName="system-node-critical", priority=7))
    assert other.status == 403
    assert "priority set in the pod group (7) must match the priority computed (2000001000)" in other.message
    table = (await world.get(GROUPS, TABLE)).body
    assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "Policy", "Workload", "Status", "Age"]
    assert table["rows"][0]["cells"][:4] == ["g", "Gang", "<none>", "Pending"]


async def test_what_only_alpha_features_know_is_dropped(world: World) -> None:
    claims = [{"name": "gpu", "resourceClaimName": "gpu"}]
    told = group(resourceClaims=claims, preemptionPolicy="Never", parentCompositePodGroupName="c")
    spec = (await world.post(GROUPS, told)).body["spec"]
    assert not {"resourceClaims", "preemptionPolicy", "parentCompositePodGroupName"} & set(spec)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({}, 'spec.schedulingPolicy: Invalid value: "": must specify one of: `basic`, `gang`'),
        (
            {"basic": {}, "gang": {"minCount": 1}},
            'spec.schedulingPolicy: Invalid value: "{`basic`, `gang`}": must specify exactly one of: `basic`, `gang`',
        ),
        ({"gang": {"minCount": 0}}, "spec.schedulingPolicy.gang.minCount: Required value"),
        ({"gang": {"minCount": -2}}, "gang.minCount: Invalid value: -2: must be greater than or equal to 1"),
    ],
)
async def test_policies_that_cannot_be(world: World, policy: dict[str, Any], words: str) -> None:
    answer = await world.post(GROUPS, {"metadata": {"name": "g"}, "spec": {"schedulingPolicy": policy}})
    assert answer.status == 422
    assert words in answer.message


async def test_only_the_size_of_a_gang_changes(world: World) -> None:
    made = await world.post(GROUPS, group())
    assert made.body["spec"]["disruptionMode"] == {"single": {}}, "the default"
    grown = await world.patch(f"{GROUPS}/g", {"spec": {"schedulingPolicy": {"gang": {"minCount": 5}}}}, MERGE)
    assert grown.body["spec"]["schedulingPolicy"] == {"gang": {"minCount": 5}}
    plain = await world.patch(f"{GROUPS}/g", {"spec": {"schedulingPolicy": {"gang": None, "basic": {}}}}, MERGE)
    assert "spec.schedulingPolicy.gang: Invalid value: null: field cannot be cleared once set" in plain.message
    other = await world.patch(f"{GROUPS}/g", {"spec": {"disruptionMode": {"all": {}}}}, MERGE)
    assert "spec.disruptionMode: Invalid value: null: field is immutable" in other.message


async def test_templates_are_given_for_good(world: World) -> None:
    template = {"name": "workers", "schedulingPolicy": {"gang": {"minCount": 2}}}
    made = await world.post(WORKLOADS, {"metadata": {"name": "w"}, "spec": {"podGroupTemplates": [template]}})
    assert made.status == 201, made
    more = [template, {**template, "name": "more"}]
    grown = await world.patch(f"{WORKLOADS}/w", {"spec": {"podGroupTemplates": more}}, MERGE)
    assert "spec.podGroupTemplates[1]: Forbidden: item may not be added" in grown.message
    bare = await world.post(WORKLOADS, {"metadata": {"name": "x"}, "spec": {}})
    assert "must specify one of: `podGroupTemplates`, `compositePodGroupTemplates`" in bare.message
    torn = [template, {**template, "name": "other", "priority": 5}]
    answer = await world.post(WORKLOADS, {"metadata": {"name": "y"}, "spec": {"podGroupTemplates": torn}})
    assert "spec: Invalid value: null: detected multiple priority configurations" in answer.message


async def test_a_pod_names_its_group(world: World) -> None:
    made = await world.post(PODS, pod(schedulingGroup={"podGroupName": "g"}))
    assert made.body["spec"]["schedulingGroup"] == {"podGroupName": "g"}
    nameless = await world.post(PODS, pod("q", schedulingGroup={}))
    assert "spec.schedulingGroup.podGroupName: Invalid value: null: must specify one of: `podGroupName`" in (
        nameless.message
    )
