"""Server-side apply on built-in kinds: the cases of upstream's test/integration/apiserver/apply."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.apply.things import (
    CMS,
    DEPLOYMENTS,
    PODS,
    Managers,
    config,
    deployment,
    entries,
    fields,
    names,
    owned,
    pod,
)

CM = f"{CMS}/test-cm"
WEB = f"{DEPLOYMENTS}/deployment"
LABELLED = config(metadata={"labels": {"test-label": "test"}}, data={"key": "value"})


@pytest.mark.parametrize(
    ("url", "body"),
    [
        (f"{PODS}/just-a-pod", pod()),
        (
            "/api/v1/namespaces/default/services/test-svc",
            config("Service", name="test-svc", spec={"ports": [{"port": 8080, "protocol": "UDP"}]}),
        ),
        (WEB, deployment(replicas=3)),
    ],
)
async def test_apply_also_creates_and_others_may_apply_the_same(server: Managers, url: str, body: Any) -> None:
    made = await server.apply(url, body)
    assert made.status == 201, made
    again = await server.apply(url, body, "apply_test_2")
    assert again.status == 200, again
    assert names(again) == [("apply_test", "Apply"), ("apply_test_2", "Apply")] or {*names(again)} == {
        ("apply_test", "Apply"), ("apply_test_2", "Apply"),
    }  # fmt: skip


async def test_what_changes_nothing_is_not_written(server: Managers) -> None:
    labels = {"a": "one", "c": "two", "b": "three"}
    containers = [{"name": f"test-container-{name}", "image": "i"} for name in "acb"]
    body = {**pod(containers=containers), "metadata": {"name": "no-op", "labels": labels}}
    made = await server.apply(f"{PODS}/no-op", body)
    server.clock.step()
    put = await server.put(f"{PODS}/no-op", made.body)
    assert (put.status, put.version) == (200, made.version)
    server.clock.step()
    assert (await server.apply(f"{PODS}/no-op", body)).raw == made.raw


async def test_an_empty_map_changes_nothing(server: Managers) -> None:
    body = deployment(replicas=1)
    body["spec"]["template"]["metadata"]["annotations"] = {}
    made = await server.apply(WEB, body)
    server.clock.step()
    assert (await server.apply(WEB, body)).version == made.version


async def test_an_empty_struct_is_not_no_struct(server: Managers) -> None:
    mounts = [{"mountPath": "/cache", "name": "cache"}]
    containers = [{"name": "a", "image": "i", "volumeMounts": mounts}]
    url, volume = f"{PODS}/just-a-pod", {"name": "cache"}
    made = await server.apply(url, pod(containers=containers, volumes=[{**volume, "emptyDir": {}}]))
    server.clock.step()
    after = await server.apply(url, pod(containers=containers, volumes=[volume]))
    assert after.status == 200, after
    assert after.version != made.version


async def test_nulls_and_the_creation_time_change_nothing(server: Managers) -> None:
    body = config(metadata={"creationTimestamp": None, "resourceVersion": None}, data={"key": "value"})
    made = await server.apply(CM, body)
    server.clock.step(2)
    assert (await server.apply(CM, body)).raw == made.raw


STATEFUL = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "nginx", "labels": {"app": "nginx"}},
    "spec": {
        "serviceName": "nginx",
        "selector": {"matchLabels": {"app": "nginx"}},
        "template": {
            "metadata": {"labels": {"app": "nginx"}},
            "spec": {
                "containers": [
                    {"name": "nginx", "image": "nginx", "resources": {"limits": {"memory": "2048Mi"}}},
                ],
            },
        },
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "nginx"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            },
        ],
    },
}
STATEFULS = "/apis/apps/v1/namespaces/default/statefulsets"


async def test_values_that_mean_the_same_change_nothing(server: Managers) -> None:
    made = await server.apply(f"{STATEFULS}/nginx", STATEFUL)
    assert made.status == 201, made
    server.clock.step(2)
    assert (await server.apply(f"{STATEFULS}/nginx", STATEFUL)).version == made.version


async def test_a_put_of_the_same_changes_nothing(server: Managers) -> None:
    made = await server.create(STATEFULS, STATEFUL, "same")
    server.clock.step(2)
    put = await server.put(f"{STATEFULS}/nginx", STATEFUL, "same")
    assert (put.status, put.version) == (200, made.version)


async def test_a_uid_of_something_that_is_not_there_is_a_conflict(server: Managers) -> None:
    body = pod()
    body["metadata"]["uid"] = "88e00824-7f0e-11e8-94a1-c8d3ffb15800"
    refused = await server.apply(f"{PODS}/just-a-pod", body)
    assert (refused.status, refused.reason) == (409, "Conflict")
    assert refused.message == (
        'Operation cannot be fulfilled on pods "just-a-pod": uid mismatch: the provided object specified uid '
        "88e00824-7f0e-11e8-94a1-c8d3ffb15800, and no existing object was found"
    )


async def test_a_conflict_and_its_force(server: Managers) -> None:
    body = deployment(replicas=3)
    await server.apply(WEB, body)
    await server.merge(WEB, {"spec": {"replicas": 5}}, "scaler")
    refused = await server.apply(WEB, body)
    assert (refused.status, refused.reason) == (409, "Conflict")
    assert refused.message == 'Apply failed with 1 conflict: conflict with "scaler" using apps/v1: .spec.replicas'
    assert refused.body["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "scaler" using apps/v1', "field": ".spec.replicas"}
    ]
    assert (await server.get(WEB))["spec"]["replicas"] == 5
    forced = await server.apply(WEB, body, force=True)
    assert (forced.status, forced.body["spec"]["replicas"]) == (200, 3)
    assert names(forced) == [("apply_test", "Apply")]


async def test_conflicts_with_several_managers_are_listed_by_manager(server: Managers) -> None:
    await server.apply(CM, config(data={"a": "1", "b": "1", "c": "1"}), "one")
    await server.merge(CM, {"data": {"c": "2"}}, "two")
    refused = await server.apply(CM, config(data={"a": "3", "b": "3", "c": "3"}), "three")
    assert refused.message == (
        'Apply failed with 3 conflicts: conflicts with "one":\n- .data.a\n- .data.b\n'
        'conflicts with "two" using v1:\n- .data.c'
    )
    assert len(refused.body["details"]["causes"]) == 3


async def test_many_updaters_are_put_together(server: Managers) -> None:
    url = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/webhook"
    body = config(
        "ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1", "webhook",
        metadata={"labels": {"applier": "true"}},
    )  # fmt: skip
    assert (await server.apply(url, body)).status == 201
    for number in range(20):
        last = await server.merge(url, {"metadata": {"labels": {f"u{number}": "new"}}}, f"updater{number}")
        server.clock.step()
    assert len(entries(last)) == 11
    assert [entry["manager"] for entry in entries(last)][:2] == ["apply_test", "ancient-changes"]
    labels = owned(last, "ancient-changes")["f:metadata"]["f:labels"]
    assert labels.keys() == {f"f:u{number}" for number in range(11)}


async def test_managed_fields_look_as_upstreams(server: Managers) -> None:
    await server.apply(CM, LABELLED)
    await server.merge(CM, {"data": {"new-key": "value"}}, "updater")
    server.clock.step()
    found = await server.merge(CM, {"data": {"key": "new value"}}, "updater")
    assert found.body["data"] == {"key": "new value", "new-key": "value"}
    common = {"apiVersion": "v1", "fieldsType": "FieldsV1"}
    assert entries(found) == [
        {
            "manager": "apply_test", "operation": "Apply", "time": "2026-01-01T00:00:00Z", **common,
            "fieldsV1": fields('{"f:metadata":{"f:labels":{"f:test-label":{}}}}'),
        },
        {
            "manager": "updater", "operation": "Update", "time": "2026-01-01T00:00:01Z", **common,
            "fieldsV1": fields('{"f:data":{"f:key":{},"f:new-key":{}}}'),
        },
    ]  # fmt: skip
    keys = (b'"manager":', b'"operation":', b'"apiVersion":', b'"time":', b'"fieldsType":', b'"fieldsV1":')
    places = [found.raw.index(key) for key in keys if key != b'"apiVersion":']
    assert places == sorted(places)


async def test_managers_of_nothing_are_not_listed(server: Managers) -> None:
    for _ in range(2):
        done = await server.apply(CM, config(metadata={"namespace": "default"}))
        assert "managedFields" not in done.body["metadata"]


async def test_a_field_given_up_goes(server: Managers) -> None:
    ports = [{"name": "nginx", "image": "nginx:latest", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]
    await server.apply(WEB, deployment(pod={"containers": ports}, replicas=3))
    done = await server.apply(WEB, deployment(replicas=3))
    assert done.status == 200
    assert "ports" not in done.body["spec"]["template"]["spec"]["containers"][0]


async def test_fields_given_up_go_back_to_their_defaults(server: Managers) -> None:
    await server.apply(WEB, deployment(pod={"hostname": "test-hostname"}, replicas=3))
    done = await server.apply(WEB, deployment())
    assert done.body["spec"]["replicas"] == 1
    assert "hostname" not in done.body["spec"]["template"]["spec"]


async def test_shared_fields_stay_when_one_gives_them_up(server: Managers) -> None:
    for manager in ("shared_owner_1", "shared_owner_2"):
        await server.apply(WEB, deployment(pod={"hostname": "test-hostname"}, replicas=3), manager)
    done = await server.apply(WEB, deployment(), "shared_owner_1")
    assert done.body["spec"]["replicas"] == 3
    assert done.body["spec"]["template"]["spec"]["hostname"] == "test-hostname"


async def test_ownership_passes_to_a_controller(server: Managers) -> None:
    made = await server.apply(WEB, deployment(replicas=3))
    made.body["spec"]["replicas"] = 4
    body = made.body
    body["spec"]["replicas"] = 4
    await server.put(WEB, body)
    done = await server.apply(WEB, deployment())
    assert (done.status, done.body["spec"]["replicas"]) == (200, 4)


async def test_an_item_goes_though_a_controller_added_to_it(server: Managers) -> None:
    body = (await server.apply(WEB, deployment())).body
    body["spec"]["template"]["spec"]["containers"][0]["workingDir"] = "/home/replacement"
    assert (await server.put(WEB, body)).status == 200
    other = {"hostname": "test-hostname", "containers": [{"name": "other-container", "image": "nginx:latest"}]}
    done = await server.apply(WEB, deployment(pod=other, replicas=3))
    found = done.body["spec"]["template"]["spec"]["containers"]
    assert [each["name"] for each in found] == ["other-container"]


async def test_a_key_left_out_is_its_default(server: Managers) -> None:
    def ports(**port: Any) -> dict[str, Any]:
        containers = [{"name": "nginx", "image": "nginx:latest", "ports": [{"containerPort": 80, **port}]}]
        return deployment(pod={"containers": containers})

    await server.apply(WEB, ports(name="foo"))
    refused = await server.apply(WEB, ports(name="bar", protocol="TCP"), "other")
    assert refused.status == 409
    (cause,) = refused.body["details"]["causes"]
    assert cause["field"] == (
        '.spec.template.spec.containers[name="nginx"].ports[containerPort=80,protocol="TCP"].name'
    )


async def test_ports_of_two_protocols_are_two(server: Managers) -> None:
    url = "/api/v1/namespaces/default/services/dns"
    tcp, udp = {"name": "tcp", "port": 53}, {"name": "udp", "port": 53, "protocol": "UDP"}
    await server.apply(url, config("Service", name="dns", spec={"ports": [tcp]}))
    done = await server.apply(url, config("Service", name="dns", spec={"ports": [udp]}), "other")
    assert done.status == 200, done
    assert [(each["name"], each["protocol"]) for each in done.body["spec"]["ports"]] == [("tcp", "TCP"), ("udp", "UDP")]


async def test_sets_and_atomic_lists(server: Managers) -> None:
    await server.apply(CM, config(metadata={"finalizers": ["a.io/one"]}), "one")
    both = await server.apply(CM, config(metadata={"finalizers": ["a.io/two"]}), "two")
    assert sorted(both.body["metadata"]["finalizers"]) == ["a.io/one", "a.io/two"]
    assert owned(both, "two") == {"f:metadata": {"f:finalizers": {'v:"a.io/two"': {}}}}
    left = await server.apply(CM, config(), "one")
    assert left.body["metadata"]["finalizers"] == ["a.io/two"]
    await server.apply(f"{PODS}/just-a-pod", pod(containers=[{"name": "a", "image": "i", "args": ["x"]}]), "one")
    args = await server.apply(f"{PODS}/just-a-pod", pod(containers=[{"name": "a", "image": "i", "args": ["y"]}]), "two")
    assert [each["field"] for each in args.body["details"]["causes"]] == ['.spec.containers[name="a"].args']


async def test_an_atomic_struct_has_one_owner(server: Managers) -> None:
    await server.apply(WEB, deployment())
    body = deployment()
    body["spec"]["selector"]["matchLabels"]["tier"] = "x"
    refused = await server.apply(WEB, body, "other")
    assert [each["field"] for each in refused.body["details"]["causes"]] == [".spec.selector"]


async def test_what_is_applied_before_anybody_was_tracked(server: Managers) -> None:
    await server.create(CMS, LABELLED)
    await server.merge(CM, {"metadata": {"managedFields": [{}]}})
    assert entries(await server.get(CM)) == []
    refused = await server.apply(CM, config(data={"key": "other"}))
    assert refused.message == ('Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.key')
    done = await server.apply(CM, config(data={"more": "x"}))
    assert owned(done, "before-first-apply") == {
        "f:data": {".": {}, "f:key": {}},
        "f:metadata": {"f:labels": {".": {}, "f:test-label": {}}},
    }


async def test_a_resource_version_in_a_configuration_is_checked(server: Managers) -> None:
    made = await server.apply(CM, LABELLED)
    stale = config(metadata={"resourceVersion": str(int(made.version) - 1)}, data={"key": "x"})
    refused = await server.apply(CM, stale)
    assert (refused.status, refused.message) == (
        409,
        'Operation cannot be fulfilled on configmaps "test-cm": the object has been modified; please apply your '
        "changes to the latest version and try again",
    )
    right = config(metadata={"resourceVersion": made.version}, data={"key": "x"})
    assert (await server.apply(CM, right)).status == 200


async def test_dry_run_changes_nothing(server: Managers) -> None:
    dry = await server.apply(CM, LABELLED, dryRun="All")
    assert (dry.status, owned(dry, "apply_test")["f:data"]) == (201, {"f:key": {}})
    assert (await server.world.get(CM)).status == 404
    made = await server.apply(CM, LABELLED)
    dry = await server.apply(CM, config(data={"key": "x"}), "other", force=True, dryRun="All")
    assert (dry.status, dry.body["data"], names(dry)[-1]) == (200, {"key": "x"}, ("other", "Apply"))
    assert (await server.apply(CM, config(data={"key": "x"}), "other", dryRun="All")).status == 409
    assert await server.get(CM) == made.body


async def test_duplicates_in_lists_with_keys(server: Managers) -> None:
    url = f"{DEPLOYMENTS}/deployment"
    env = [{"name": "ENV0", "value": "0"}, {"name": "PATH", "value": "/bin"}, {"name": "PATH", "value": "/usr/bin"}]
    ports = [{"name": f"port{number}", "containerPort": port} for number, port in enumerate((1, 80, 80))]

    def body(env: Any, ports: Any) -> Any:
        return deployment(pod={"containers": [{"name": "nginx", "image": "nginx", "env": env, "ports": ports}]})

    def counts(answer: Any) -> tuple[int, int]:
        (container,) = answer.body["spec"]["template"]["spec"]["containers"]
        return len(container["env"]), len(container["ports"])

    def mine(answer: Any, manager: str) -> Any:
        spec = owned(answer, manager)["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"nginx"}']
        return spec.get("f:env"), spec.get("f:ports")

    port80, path = 'k:{"containerPort":80,"protocol":"TCP"}', 'k:{"name":"PATH"}'
    made = await server.create(DEPLOYMENTS, body(env, ports), "create")
    assert counts(made) == (3, 3)
    created_env, created_ports = mine(made, "create")
    assert created_env[path] == created_ports[port80] == {}
    assert created_env.keys() == {".", 'k:{"name":"ENV0"}', path}
    home, port443 = [{"name": "HOME", "value": "/usr/home"}], [{"name": "port3", "containerPort": 443}]
    added = await server.apply(url, body(home, port443))
    assert counts(added) == (4, 4)
    changed = [*env[:2], {"name": "PATH", "value": "/usr/local/bin"}, *home]
    renamed = [ports[0], *port443, *({"name": f"port{number}", "containerPort": 80} for number in (4, 5))]
    put = await server.put(url, body(changed, renamed), "update")
    assert counts(put) == (4, 4)
    assert mine(put, "update") == ({path: {}}, {port80: {}})
    assert path not in mine(put, "create")[0]
    one = body([{"name": "PATH", "value": "/bin"}], [{"name": "port80", "containerPort": 80}])
    replaced = await server.apply(url, one, force=True)
    assert counts(replaced) == (2, 2)
    assert owned(replaced, "update") is None
    assert mine(replaced, "apply_test")[0] == {path: {".": {}, "f:name": {}, "f:value": {}}}


async def test_formerly_atomic_references(server: Managers) -> None:
    url = "/api/v1/persistentvolumes"
    reference = {
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "pvc-storage", "namespace": "default",
        "resourceVersion": "15499", "uid": "2018e302-7b12-406c-9fa2-e52535d29e48",
    }  # fmt: skip
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "16Mi"}, "hostPath": {"path": "/tmp/mydata"}}
    labels = {"labels": {"type": "local"}}
    old = config("PersistentVolume", name="pv", metadata=labels, spec={**spec, "claimRef": reference})
    made = await server.create(url, old)
    assert made.status == 201, made
    mine = (
        '{"f:metadata":{"f:labels":{"f:type":{}}},"f:spec":{"f:accessModes":{},"f:capacity":{"f:storage":{}},'
        '"f:hostPath":{"f:path":{}},"f:storageClassName":{}}}'
    )
    entry = {"apiVersion": "v1", "fieldsType": "FieldsV1", "time": "2022-06-08T23:46:32Z"}
    managed = [
        {**entry, "fieldsV1": fields(mine), "manager": "apply_test", "operation": "Apply"},
        {**entry, "fieldsV1": {"f:spec": {"f:claimRef": {}}}, "manager": "kcm", "operation": "Update"},
    ]
    await server.strategic(f"{url}/pv", {"metadata": {"managedFields": managed}}, "apply_test")
    named = {"name": "pvc-storage", "namespace": "default"}
    again = config(
        "PersistentVolume", name="pv", metadata=labels,
        spec={**spec, "storageClassName": "", "claimRef": named},
    )  # fmt: skip
    done = await server.apply(f"{url}/pv", again)
    assert done.status == 200, done
    assert done.body["spec"]["claimRef"] == reference
    assert owned(done, "apply_test")["f:spec"]["f:claimRef"] == {"f:name": {}, "f:namespace": {}}
    assert owned(done, "kcm") == {"f:spec": {"f:claimRef": {}}}
