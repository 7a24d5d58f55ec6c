"""POST and PUT: what the server adds, what it refuses, and with which words."""

from __future__ import annotations

import asyncio

from tests.apiserver.world import World, configmap, deployment, pod

NS = "/api/v1/namespaces/default"
CMS = f"{NS}/configmaps"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def test_create_fills_in_what_only_the_server_may_say(world: World) -> None:
    mine = {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z", "deletionTimestamp": "2001-01-01T00:00:00Z"}
    made = await world.post(CMS, configmap(metadata=mine))
    assert made.status == 201
    meta = made.body["metadata"]
    assert meta["namespace"] == "default"
    assert len(meta["uid"]) == 36
    assert meta["creationTimestamp"] > "2020"
    assert "deletionTimestamp" not in meta
    assert (await world.get(f"{CMS}/a")).raw == made.raw


async def test_names_are_generated_and_a_name_beats_them(world: World) -> None:
    made = await world.post(CMS, {"metadata": {"generateName": "x" * 70}})
    name = made.body["metadata"]["name"]
    assert len(name) == 63
    assert name.startswith("x" * 58)
    named = await world.post(CMS, {"metadata": {"generateName": "y-", "name": "b"}})
    assert named.body["metadata"]["name"] == "b"


async def test_a_name_is_needed_and_must_be_valid(world: World) -> None:
    none = await world.post(CMS, {})
    assert (none.status, none.reason) == (422, "Invalid")
    assert none.message == 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'
    bad = await world.post(CMS, configmap("A_b"))
    assert bad.status == 422
    wrong = 'ConfigMap "A_b" is invalid: metadata.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain'
    assert bad.message.startswith(wrong)
    assert bad.body["details"]["causes"][0]["field"] == "metadata.name"


async def test_what_exists_or_belongs_elsewhere_is_refused(world: World) -> None:
    await world.post(CMS, configmap())
    twice = await world.post(CMS, configmap())
    assert (twice.status, twice.reason, twice.message) == (409, "AlreadyExists", 'configmaps "a" already exists')
    assert twice.body["details"] == {"name": "a", "kind": "configmaps"}
    elsewhere = await world.post(CMS, configmap("b", metadata={"namespace": "other"}))
    assert elsewhere.message == (
        "the namespace of the provided object does not match the namespace sent on the request"
    )
    versioned = await world.post(CMS, configmap("b", metadata={"resourceVersion": "7"}))
    assert versioned.message == "resourceVersion should not be set on objects to be created"
    nowhere = await world.post("/api/v1/namespaces/none/configmaps", configmap())
    assert (nowhere.status, nowhere.message) == (404, 'namespaces "none" not found')


async def test_the_body_must_be_of_the_right_kind(world: World) -> None:
    wrong = await world.post(CMS, pod())
    assert wrong.status == 400
    assert wrong.message == (
        'Pod in version "v1" cannot be handled as a ConfigMap: '
        "converting (v1.Pod) to (core.ConfigMap): unknown conversion"
    )
    unknown = await world.post(CMS, {"kind": "Foo", "apiVersion": "v1"})
    assert 'no kind "Foo" is registered for version "v1"' in unknown.message
    broken = await world.post(CMS, b'{"metadata": ')
    assert broken.status == 400
    assert broken.message.startswith("the object provided is unrecognized (must be of type ConfigMap)")
    assert broken.message.endswith('({"metadata": )')
    empty = await world.post(CMS, b"")
    assert empty.status == 400
    strange = await world.post(CMS, b"<a/>", {"content-type": "text/xml"})
    assert (strange.status, strange.reason) == (415, "UnsupportedMediaType")


async def test_unknown_and_repeated_fields_warn_or_fail_or_pass(world: World) -> None:
    body = b'{"metadata":{"name":"w"},"data":{"a":"1"},"data":{"a":"2"},"nope":1}'
    warned = await world.post(CMS, body)
    assert warned.status == 201
    assert warned.headers["Warning"] == '299 - "duplicate field \\"data\\"", 299 - "unknown field \\"nope\\""'
    assert warned.body["data"] == {"a": "2"}
    strict = await world.post(f"{CMS}?fieldValidation=Strict", body)
    assert strict.status == 400
    assert strict.message == (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
        'strict decoding error: duplicate field "data", unknown field "nope"'
    )
    await world.delete(f"{CMS}/w")
    ignored = await world.post(f"{CMS}?fieldValidation=Ignore", body)
    assert (ignored.status, ignored.headers.get("Warning")) == (201, None)
    bad = await world.post(f"{CMS}?fieldValidation=Maybe", body)
    assert bad.status == 422
    assert bad.message == (
        'CreateOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Maybe": '
        'supported values: "", "Ignore", "Strict", "Warn"'
    )


async def test_yaml_bodies_are_read(world: World) -> None:
    yaml = b"metadata:\n  name: a\ndata:\n  date: 2001-01-01\n"
    made = await world.post(CMS, yaml, {"content-type": "application/yaml"})
    assert made.status == 201
    assert made.body["data"] == {"date": "2001-01-01"}
    media = {"content-type": "application/yaml"}
    alias = b"metadata: {name: two, labels: &l {a: b}, annotations: *l}"
    assert (await world.post(CMS, alias, media)).body["metadata"]["annotations"] == {"a": "b"}
    laughs = b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"a%d: &a%d [%b]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)
    )
    for bad in (b"a: [", b"a: &a [*a]", laughs, b"[" * 100_000, b"? [1]\n: 2", b"\xff\xfe\x00"):
        assert (await world.post(CMS, bad, media)).status == 400


async def test_dry_run_checks_everything_and_keeps_nothing(world: World) -> None:
    made = await world.post(f"{CMS}?dryRun=All", configmap())
    assert made.status == 201
    assert (await world.get(f"{CMS}/a")).status == 404
    await world.post(CMS, configmap())
    assert (await world.post(f"{CMS}?dryRun=All", configmap())).status == 409
    changed = await world.put(f"{CMS}/a?dryRun=All", {"metadata": {"name": "a"}, "data": {"x": "y"}})
    assert changed.body["data"] == {"x": "y"}
    assert (await world.get(f"{CMS}/a")).body["data"] == {"k": "v"}
    assert (await world.call("DELETE", f"{CMS}/a?dryRun=All")).status == 200
    assert (await world.get(f"{CMS}/a")).status == 200
    wrong = await world.post(f"{CMS}?dryRun=Some", configmap("b"))
    assert wrong.status == 422


async def test_update_guards_the_version_and_the_uid(world: World) -> None:
    made = (await world.post(CMS, configmap())).body
    stale = {**made, "data": {"k": "2"}}
    new = await world.put(f"{CMS}/a", stale)
    assert new.status == 200
    lost = await world.put(f"{CMS}/a", {**stale, "data": {"k": "3"}})
    assert (lost.status, lost.reason) == (409, "Conflict")
    assert lost.message == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    blind = await world.put(f"{CMS}/a", {"metadata": {"name": "a"}, "data": {"k": "4"}})
    assert blind.body["data"] == {"k": "4"}
    foreign = await world.put(f"{CMS}/a", {"metadata": {"name": "a", "uid": "other"}})
    assert foreign.status == 409
    assert "Precondition failed: UID in precondition: other, UID in object meta" in foreign.message
    renamed = await world.put(f"{CMS}/a", configmap("b"))
    assert renamed.message == "the name of the object (b) does not match the name on the URL (a)"
    assert (await world.put(f"{CMS}/none", configmap("none"))).status == 404


async def test_an_update_that_changes_nothing_is_no_event(world: World) -> None:
    made = await world.post(CMS, configmap(metadata={"labels": {"a": "1", "b": "2"}}))
    watching = await world.watch(f"{CMS}?watch=1&resourceVersion={made.version}")
    same = await world.put(f"{CMS}/a", configmap(metadata={"labels": {"b": "2", "a": "1"}}))
    assert same.version == made.version
    assert await watching.events() == []


async def test_generation_counts_what_is_wanted_and_status_has_its_own_door(world: World) -> None:
    made = (await world.post(DEPLOYMENTS, {**deployment(), "status": {"replicas": 9}})).body
    assert made["metadata"]["generation"] == 1
    assert made["status"] == {}
    made["spec"]["replicas"] = 3
    made["status"] = {"replicas": 9}
    scaled = (await world.put(f"{DEPLOYMENTS}/web", made)).body
    assert (scaled["metadata"]["generation"], scaled["status"]) == (2, {})
    scaled["spec"]["replicas"] = 7
    scaled["status"] = {"replicas": 2}
    told = (await world.put(f"{DEPLOYMENTS}/web/status", scaled)).body
    assert told["metadata"]["generation"] == 2
    assert told["spec"]["replicas"] == 3
    assert told["status"]["replicas"] == 2
    labelled = (await world.patch(f"{DEPLOYMENTS}/web", {"metadata": {"labels": {"x": "y"}}})).body
    assert labelled["metadata"]["generation"] == 2


async def test_some_kinds_may_be_created_by_put(world: World) -> None:
    lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}
    made = await world.put("/apis/coordination.k8s.io/v1/namespaces/default/leases/l", lease)
    assert made.status == 201
    blind = await world.put("/apis/coordination.k8s.io/v1/namespaces/default/leases/l", lease)
    assert blind.message == (
        'leases.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0: '
        "must be specified for an update"
    )
    lease["metadata"]["resourceVersion"] = made.version
    again = await world.put("/apis/coordination.k8s.io/v1/namespaces/default/leases/l", lease)
    assert again.status == 200


async def test_concurrent_updates_without_version_all_count(world: World) -> None:
    await world.post(CMS, {"metadata": {"name": "a"}})
    patches = [world.patch(f"{CMS}/a", {"data": {f"k{n}": "v"}}) for n in range(8)]
    answers = await asyncio.gather(*patches)
    assert [each.status for each in answers] == [200] * 8
    assert len((await world.get(f"{CMS}/a")).body["data"]) == 8


async def test_repeated_owners_are_dropped_with_a_warning(world: World) -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}
    made = await world.post(CMS, configmap(metadata={"ownerReferences": [owner, owner]}))
    assert len(made.body["metadata"]["ownerReferences"]) == 1
    assert "duplicate UID(s) observed" in made.headers["Warning"]
