"""What cannot be applied, and configurations that mean harm: each gets the error that Kubernetes gives, soon."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kijabi.base import clock
from tests.apiserver.apply.things import APPLY, CMS, DEPLOYMENTS, Managers, config, deployment, names
from tests.apiserver.world import World

CM = f"{CMS}/test-cm"
WEB = f"{DEPLOYMENTS}/deployment"
TYPED = "failed to create typed patch object (/deployment; apps/v1, Kind=Deployment): "


def spec(**more: Any) -> dict[str, Any]:
    return config("Deployment", "apps/v1", "deployment", spec=more)


def pod_spec(**more: Any) -> dict[str, Any]:
    return spec(template={"spec": more})


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"kind": "ConfigMap"}, 400, "invalid object type: /, Kind=ConfigMap"),
        ({}, 400, "invalid object type: /, Kind="),
        (None, 400, "invalid object type: /, Kind="),
        ({"apiVersion": "v1", "kind": "Pod"}, 400, "invalid object type: /v1, Kind=Pod"),
        ({"apiVersion": "a/b/c", "kind": "Pod"}, 400, "invalid object type: /, Kind=Pod"),
        ({"apiVersion": 7, "kind": []}, 400, "invalid object type: /, Kind="),
        ({**deployment(), "apiVersion": "extensions/v1beta1"}, 400,
         "invalid object type: extensions/v1beta1, Kind=Deployment"),
        (config("Deployment", "apps/v1", metadata={"managedFields": []}), 400, "metadata.managedFields must be nil"),
        ([1], 400, "error decoding patch: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array "
         "into Go value of type map[string]interface {}"),
        (b"{a: b: c}", 400, "error encoding patch: yaml: "),
        (b"\xff\xfe\x00", 400, "error encoding patch: yaml: "),
        (spec(foo=1), 500, f"{TYPED}.spec.foo: field not declared in schema"),
        (spec(replicas="x"), 500, f"{TYPED}.spec.replicas: expected numeric (int or float), got string"),
        (spec(paused=3), 500, f"{TYPED}.spec.paused: expected boolean, got &{{3}}"),
        (spec(selector=[]), 500, f"{TYPED}.spec.selector: expected map, got &{{[]}}"),
        (pod_spec(containers={}), 500, f"{TYPED}.spec.template.spec.containers: expected list, got &{{map[]}}"),
        (pod_spec(hostname=7), 500,
         f"{TYPED}.spec.template.spec.hostname: expected string, got &value.valueUnstructured{{Value:7}}"),
        (pod_spec(containers=[{"name": "a"}, {"name": "a"}]), 500,
         f'{TYPED}.spec.template.spec.containers: duplicate entries for key [name="a"]'),
        (pod_spec(containers=[{"image": "a"}]), 500,
         f"{TYPED}.spec.template.spec.containers: element 0: associative list with keys has an element that omits all "
         'key fields ["name"] (and doesn\'t have default values for any key fields)'),
        (pod_spec(containers=[None]), 500,
         f"{TYPED}.spec.template.spec.containers: element 0: associative list with keys may not have a null element"),
        (pod_spec(containers=["x"]), 500,
         f"{TYPED}.spec.template.spec.containers: element 0: associative list with keys may not have non-map elements"),
        (spec(replicas="x", paused=3), 500,
         f"{TYPED}errors:\n  .spec.replicas: expected numeric (int or float), got string\n"
         "  .spec.paused: expected boolean, got &{3}"),
        ({**deployment(), "metadata": {"name": "other"}}, 400,
         "the name of the object (other) does not match the name on the URL (deployment)"),
        ({**deployment(), "metadata": {"namespace": "other", "name": "deployment"}}, 400,
         "the namespace of the provided object does not match the namespace sent on the request"),
        ({**deployment(), "metadata": {}}, 400,
         "the name of the object (deployment based on URL) was undeterminable: name must be provided"),
        ({**deployment(), "metadata": 7}, 500, "failed to create typed patch object (/; apps/v1, Kind=Deployment): "
         ".metadata: expected map, got &{7}"),
        (config("Deployment", "apps/v1", "deployment"), 422, 'Deployment.apps "deployment" is invalid: '),
    ],
)  # fmt: skip
async def test_what_cannot_be_applied(server: Managers, body: Any, code: int, message: str) -> None:
    refused = await server.apply(WEB, b"null" if body is None else body)
    assert (refused.status, refused.message[: len(message)]) == (code, message)
    assert (await server.world.get(WEB)).status == 404


async def test_numbers_that_do_not_fit(server: Managers) -> None:
    refused = await server.apply(WEB, deployment(replicas=1.5))
    assert refused.status == 500
    assert refused.message.startswith(
        "failed to convert new object (/deployment; apps/v1, Kind=Deployment) to proper version (apps/v1): unable to "
        "convert unstructured object to apps/v1, Kind=Deployment: "
    )
    whole = await server.apply(WEB, deployment(replicas=2.0))
    assert (whole.status, whole.body["spec"]["replicas"]) == (201, 2)


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ("", ("FieldValueRequired", "fieldManager", "Required value: is required for apply patch")),
        ("?fieldManager=", ("FieldValueRequired", "fieldManager", "Required value: is required for apply patch")),
        ("?fieldManager=" + "x" * 129,
         ("FieldValueTooLong", "fieldManager", "Too long: may not be more than 128 bytes")),
        ("?fieldManager=a%07", ("FieldValueInvalid", "fieldManager",
                                'Invalid value: "a\\a": invalid character U+0007 (at position 1)')),
    ],
)  # fmt: skip
async def test_who_applies_must_have_a_name(server: Managers, query: str, cause: tuple[str, str, str]) -> None:
    refused = await server.world.call("PATCH", CM + query, config(), APPLY)
    assert (refused.status, refused.reason) == (422, "Invalid")
    (found,) = refused.body["details"]["causes"]
    assert (found["reason"], found["field"], found["message"]) == cause


async def test_force_is_for_applies_only(server: Managers) -> None:
    await server.create(CMS, config())
    refused = await server.world.call("PATCH", f"{CM}?force=true", {}, {"content-type": "application/merge-patch+json"})
    assert refused.message == (
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch'
    )


@pytest.mark.parametrize(
    ("directive", "code", "said"),
    [
        ("Strict", 400, 'error strict decoding patch: error converting YAML to JSON: yaml: unmarshal errors:\n'
         '  line 6: key "a" already set in map'),
        ("Warn", 201, "already set in map"),
        ("Ignore", 201, ""),
    ],
)  # fmt: skip
async def test_repeated_members(server: Managers, directive: str, code: int, said: str) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: test-cm}\ndata:\n  a: one\n  a: two\n"
    done = await server.apply(CM, text, fieldValidation=directive)
    assert done.status == code, done
    if code == 400:
        assert done.message == said
    else:
        assert done.body["data"] == {"a": "two"}
        assert ("Warning" in done.headers, said in done.headers.get("Warning", "")) == (directive == "Warn", True)


async def test_json_with_repeated_members_is_yaml(server: Managers) -> None:
    text = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"test-cm"},"data":{"a":"1","a":"2"},}'
    assert (await server.apply(CM, text)).body["data"] == {"a": "2"}


@pytest.mark.parametrize(
    "text",
    [
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b"[" * 100_000,
        b"a: " * 50_000,
        b"a: &a [x]\n" + b"".join(b"b%d: &b%d [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" % (n, n) for n in range(8)),
        b"x: &x {<<: *x}\n",
        b"- " * 20_000,
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"test-cm"},"data":{' + b",".join(
            b'"k%d":{}' % number for number in range(50_000)) + b"}}",
    ],
)  # fmt: skip
async def test_hostile_bodies_are_refused_soon(server: Managers, text: bytes) -> None:
    started = clock.monotonic()
    refused = await server.apply(CM, text)
    assert refused.status in (400, 413, 422, 500), refused
    assert len(refused.raw) < 100_000
    assert clock.monotonic() - started < 5


async def test_hostile_managed_fields_are_ignored_soon(server: Managers) -> None:
    deep = b'{"f:a":' * 50_000 + b"{}" + b"}" * 50_000
    head = b'{"metadata":{"name":"test-cm","managedFields":[{"manager":"x","operation":"Apply","apiVersion":"v1",'
    text = head + b'"fieldsType":"FieldsV1","fieldsV1":' + deep + b"}]}}"
    made = await server.world.call("POST", f"{CMS}?fieldManager=m", text)
    assert made.status in (201, 400), made
    wide: dict[str, Any] = {f"f:k{number}": {} for number in range(20_000)}
    entry = {"manager": "x", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": wide}
    await server.create(CMS, config(name="wide", data={"a": "b"}))
    put = await server.put(f"{CMS}/wide", config(name="wide", metadata={"managedFields": [entry]}, data={"a": "c"}))
    assert names(put) == [("x", "Apply"), ("updater", "Update")]


async def test_two_managers_who_fight_end_with_one_winner(server: Managers) -> None:
    """Both force the same field again and again, at once; every answer is one of theirs and the owner is who wrote."""
    await server.apply(CM, config(data={"colour": "none", "other": "x"}), "third")

    async def fight(name: str) -> None:
        for _ in range(20):
            answer = await server.apply(CM, config(data={"colour": name}), name, force=True)
            assert answer.status == 200, answer
            assert answer.body["data"] == {"colour": name, "other": "x"}

    await asyncio.gather(fight("red"), fight("blue"))
    found = await server.get(CM)
    winner = found["data"]["colour"]
    assert set(names(found)) == {(winner, "Apply"), ("third", "Apply")}
    loser = {"red": "blue", "blue": "red"}[winner]
    refused = await server.apply(CM, config(data={"colour": loser}), loser)
    assert refused.message == f'Apply failed with 1 conflict: conflict with "{winner}": .data.colour'


async def test_updaters_who_race_lose_nothing(world: World) -> None:
    server = Managers(world)
    await server.apply(CM, config(data={"a": "0"}))
    writes = [server.apply(CM, config(data={f"k{number}": "x"}), f"m{number}") for number in range(12)]
    patches = [server.merge(CM, {"data": {f"p{number}": "x"}}, f"u{number}") for number in range(8)]
    answers = await asyncio.gather(*writes, *patches)
    assert {answer.status for answer in answers} <= {200, 409}
    found = await server.get(CM)
    done = sum(answer.status == 200 for answer in answers)
    assert len(found["data"]) == 1 + done
    assert len(names(found)) == 1 + done
