"""Subresources: scale, binding, eviction, ephemeral containers, resize; and what Services are given."""

from __future__ import annotations

import asyncio
from typing import Any

from kijabi.store.interface import Op
from tests.apiserver.world import JSON_PATCH, STRATEGIC, World, deployment, pod, running

NS = "/api/v1/namespaces/default"
PODS = f"{NS}/pods"
SERVICES = f"{NS}/services"
WEB = "/apis/apps/v1/namespaces/default/deployments/web"
PDBS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"


def service(name: str = "s", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


async def make_pod(world: World, name: str = "p", ready: bool = True, **spec: Any) -> None:
    """A running pod on n1."""
    await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})
    assert (await world.post(PODS, pod(name, nodeName="n1", **spec))).status == 201
    conditions = [{"type": "Ready", "status": str(ready)}]
    told = await world.patch(f"{PODS}/{name}/status", {"status": {"phase": "Running", "conditions": conditions}})
    assert told.status == 200, told


# Scale


async def test_scale_is_read_and_written(world: World) -> None:
    await world.post(WEB.removesuffix("/web"), deployment(replicas=2))
    scale = (await world.get(f"{WEB}/scale")).body
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["spec"] == {"replicas": 2}
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
    scale["spec"]["replicas"] = 4
    written = await world.put(f"{WEB}/scale", scale)
    assert written.body["spec"] == {"replicas": 4}
    assert (await world.put(f"{WEB}/scale", scale)).status == 409
    patched = await world.patch(f"{WEB}/scale", {"spec": {"replicas": 5}})
    assert patched.body["spec"] == {"replicas": 5}
    stored = (await world.get(WEB)).body
    assert (stored["spec"]["replicas"], stored["metadata"]["generation"]) == (5, 3)
    wrong = await world.patch(f"{WEB}/scale", {"spec": {"replicas": -1}})
    assert wrong.message == (
        'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0'
    )
    assert (await world.get(f"{WEB}x/scale")).status == 404


# Binding


async def test_a_pod_is_bound_once(world: World) -> None:
    await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})
    await world.post(PODS, pod())
    body = {"metadata": {"name": "p", "annotations": {"a": "b"}}, "target": {"kind": "Node", "name": "n1"}}
    first = await world.post(f"{PODS}/p/binding", body)
    assert (first.status, first.body["status"]) == (201, "Success")
    bound = (await world.get(f"{PODS}/p")).body
    assert bound["spec"]["nodeName"] == "n1"
    assert bound["metadata"]["annotations"] == {"a": "b"}
    condition = bound["status"]["conditions"][0]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")
    again = await world.post(f"{NS}/bindings", body)
    assert (again.status, again.message) == (
        409,
        'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1"',
    )
    assert (await world.post(f"{PODS}/p/binding", {"metadata": {"name": "x"}})).status == 400
    assert (await world.post(f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": {}})).status == 422


# Eviction


async def evict(world: World, name: str = "p", **more: Any) -> Any:
    return await world.post(f"{PODS}/{name}/eviction", {"metadata": {"name": name}, **more})


async def budget(world: World, allowed: int, **status: Any) -> None:
    await world.post(PDBS, {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "web"}}}})
    await world.patch(
        f"{PDBS}/b/status",
        {"status": {"disruptionsAllowed": allowed, "observedGeneration": 1, "desiredHealthy": 1, **status}},
    )


async def test_eviction_asks_the_budget(world: World) -> None:
    await make_pod(world)
    await budget(world, 0, currentHealthy=1)
    refused = await evict(world)
    assert (refused.status, refused.reason) == (429, "TooManyRequests")
    assert refused.message == "Cannot evict pod as it would violate the pod's disruption budget."
    assert refused.body["details"]["causes"] == [
        {"reason": "DisruptionBudget", "message": "The disruption budget b needs 1 healthy pods and has 1 currently"}
    ]
    await budget(world, 1, currentHealthy=2)
    assert (await evict(world)).status == 201
    going = (await world.get(f"{PODS}/p")).body
    assert going["metadata"]["deletionTimestamp"]
    target = next(each for each in going["status"]["conditions"] if each["type"] == "DisruptionTarget")
    assert target["reason"] == "EvictionByEvictionAPI"
    spent = (await world.get(f"{PDBS}/b")).body["status"]
    assert (spent["disruptionsAllowed"], list(spent["disruptedPods"])) == (0, ["p"])


async def test_eviction_without_budget_with_two_and_of_the_unhealthy(world: World) -> None:
    await make_pod(world)
    dry = await world.post(f"{PODS}/p/eviction?dryRun=All", {"metadata": {"name": "p"}})
    assert dry.status == 201
    assert "deletionTimestamp" not in (await world.get(f"{PODS}/p")).body["metadata"]
    assert (await evict(world)).status == 201
    await make_pod(world, "q", ready=False)
    await budget(world, 0, currentHealthy=2)
    assert (await evict(world, "q")).status == 201
    await make_pod(world, "r")
    await world.post(PDBS, {"metadata": {"name": "b2"}, "spec": {"selector": {}}})
    two = await evict(world, "r")
    assert two.status == 500
    assert two.message.startswith("This pod has more than one PodDisruptionBudget")
    assert (await evict(world, "none")).status == 404


# Ephemeral containers and resize


async def test_ephemeral_containers_come_through_their_own_door(world: World) -> None:
    await make_pod(world)
    change = {"spec": {"ephemeralContainers": [{"name": "d", "image": "busybox"}]}, "metadata": {"labels": {"x": "y"}}}
    made = await world.patch(f"{PODS}/p/ephemeralcontainers", change, STRATEGIC)
    assert made.status == 200, made
    assert made.body["spec"]["ephemeralContainers"][0]["name"] == "d"
    assert "x" not in made.body["metadata"]["labels"]


async def test_resize_changes_resources_only(world: World) -> None:
    await make_pod(world)
    patch = [{"op": "add", "path": "/spec/containers/0/resources", "value": {"requests": {"cpu": "1"}}}]
    same_class = await world.patch(f"{PODS}/p/resize", patch, JSON_PATCH)
    assert same_class.status in (200, 422)
    if same_class.status == 200:
        assert same_class.body["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "1"}}


# Services


async def test_a_service_gets_addresses_and_gives_them_back(world: World) -> None:
    made = (await world.post(SERVICES, service(type="NodePort"))).body
    spec = made["spec"]
    assert spec["clusterIP"].startswith("10.96.")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    port = spec["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    address = (await world.get(f"/apis/networking.k8s.io/v1/ipaddresses/{spec['clusterIP']}")).body
    assert address["spec"]["parentRef"] == {"resource": "services", "namespace": "default", "name": "s"}
    taken = await world.post(SERVICES, service("t", clusterIP=spec["clusterIP"]))
    assert taken.status == 422
    assert "provided IP is already allocated" in taken.message
    taken = await world.post(SERVICES, service("t", type="NodePort", ports=[{"port": 1, "nodePort": port}]))
    assert "provided port is already allocated" in taken.message
    away = await world.post(SERVICES, service("t", type="NodePort", ports=[{"port": 1, "nodePort": 1}]))
    assert "The range of valid ports is 30000-32767" in away.message
    outside = await world.post(SERVICES, service("t", clusterIP="1.2.3.4"))
    assert "failed to allocate IP 1.2.3.4: the provided network does not match the current range" in outside.message
    await world.delete(f"{SERVICES}/s")
    assert (await world.get(f"/apis/networking.k8s.io/v1/ipaddresses/{spec['clusterIP']}")).status == 404
    again = await world.post(SERVICES, service("t", clusterIP=spec["clusterIP"]))
    assert again.status == 201


async def test_an_update_need_not_repeat_what_was_allocated(world: World) -> None:
    made = (await world.post(SERVICES, service(type="NodePort"))).body
    body = service(type="NodePort", ports=[{"port": 81}])
    body["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"]
    changed = await world.put(f"{SERVICES}/s", body)
    assert changed.status == 200, changed
    assert changed.body["spec"]["clusterIP"] == made["spec"]["clusterIP"]
    assert changed.body["spec"]["ports"][0]["nodePort"] == made["spec"]["ports"][0]["nodePort"]
    inside = await world.patch(f"{SERVICES}/s", {"spec": {"type": "ClusterIP"}})
    assert "nodePort" not in inside.body["spec"]["ports"][0]
    named = await world.patch(
        f"{SERVICES}/s", {"spec": {"type": "ExternalName", "externalName": "x.y", "clusterIP": "", "clusterIPs": None}}
    )
    assert named.status == 200, named
    assert "clusterIP" not in named.body["spec"]
    held = (await world.get("/apis/networking.k8s.io/v1/ipaddresses")).body["items"]
    assert [each["metadata"]["name"] for each in held] == ["10.96.0.1"]
    back = await world.patch(f"{SERVICES}/s", {"spec": {"type": "ClusterIP", "externalName": None}})
    assert back.body["spec"]["clusterIP"].startswith("10.96.")


async def test_headless_services_hold_nothing(world: World) -> None:
    made = (await world.post(SERVICES, service(clusterIP="None", selector={"a": "b"}))).body
    assert made["spec"]["clusterIPs"] == ["None"]
    assert made["spec"]["ipFamilyPolicy"] == "SingleStack"
    loose = (await world.post(SERVICES, service("t", clusterIP="None"))).body
    assert loose["spec"]["ipFamilyPolicy"] == "RequireDualStack"
    assert loose["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    dual = await world.post(SERVICES, service("u", ipFamilyPolicy="RequireDualStack"))
    assert "this cluster is not configured for dual-stack services" in dual.message


async def test_many_at_once_get_different_addresses(world: World) -> None:
    world.app.addresses.ports = (30000, 30050)
    made = await asyncio.gather(
        *(world.post(SERVICES, service(f"s{n}", type="NodePort")) for n in range(40)),
    )
    assert {each.status for each in made} == {201}
    assert len({each.body["spec"]["clusterIP"] for each in made}) == 40
    assert len({each.body["spec"]["ports"][0]["nodePort"] for each in made}) == 40
    dry = await world.post(f"{SERVICES}?dryRun=All", service("dry"))
    assert dry.status == 201
    held = (await world.get("/apis/networking.k8s.io/v1/ipaddresses")).body["items"]
    assert len(held) == 41


async def test_held_keys_are_mended_at_start(world: World) -> None:
    made = (await world.post(SERVICES, service(type="NodePort"))).body["spec"]
    store = world.app.store
    await store.txn((), (Op(f"/registry/networking.k8s.io/ipaddresses/{made['clusterIP']}", None),))
    await store.txn((), (Op("/ranges/nodeports/31999", b"default/gone"),))
    async with running(store) as later:
        found = await later.get(f"/apis/networking.k8s.io/v1/ipaddresses/{made['clusterIP']}")
        assert found.status == 200
        held = await store.range("/ranges/", "/ranges0")
        assert [entry.key for entry in held.entries] == [f"/ranges/nodeports/{made['ports'][0]['nodePort']}"]


async def test_every_method_reaches_the_proxy(world: World) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert (await world.call(method, f"{PODS}/gone/proxy/x")).status == 404, method
    assert (await world.call("TRACE", f"{PODS}/gone/proxy/x")).status == 405
    assert (await world.call("OPTIONS", f"{PODS}/gone/log")).status == 405


async def test_a_change_that_is_refused_leaves_the_load_balancers_address(world: World) -> None:
    made = await world.post(SERVICES, service(type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"]))
    assert made.status == 201
    given = {"ingress": [{"ip": "203.0.113.1", "ipMode": "VIP"}]}
    assert (await world.patch(f"{SERVICES}/s/status", {"status": {"loadBalancer": given}})).status == 200
    refused = await world.patch(f"{SERVICES}/s", {"spec": {"type": "NodePort"}})
    assert (refused.status, refused.reason) == (422, "Invalid")
    changed = await world.patch(f"{SERVICES}/s", {"metadata": {"labels": {"a": "b"}}})
    assert changed.body["status"]["loadBalancer"] == given
