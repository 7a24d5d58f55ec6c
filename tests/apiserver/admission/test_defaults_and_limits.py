"""Limit ranges, quotas' texts, runtime classes, default classes, certificates and resizes, by request."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.affinity import Toleration
from kijabi.api.core.limitrange import LimitRange
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim
from kijabi.api.core.pod import Pod
from kijabi.apiserver.admission.limitranger import judge
from kijabi.apiserver.admission.runtimeclass import merged
from tests.apiserver.world import World, pod

NS = "/api/v1/namespaces/default"


async def prepared(world: World) -> None:
    """The default account, which a controller would make."""
    assert (await world.post(f"{NS}/serviceaccounts", {"metadata": {"name": "default"}})).status == 201


def limits(*items: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "l"}, "spec": {"limits": list(items)}}


def sized(name: str = "p", requests: Any = None, most: Any = None, **spec: Any) -> dict[str, Any]:
    made = pod(name, **spec)
    made["spec"]["containers"][0]["resources"] = {"requests": requests or {}, "limits": most or {}}
    return made


async def test_containers_get_defaults_and_keep_to_limits(world: World) -> None:
    await prepared(world)
    item = {
        "type": "Container",
        "default": {"cpu": "500m", "memory": "500Mi"},
        "defaultRequest": {"cpu": "100m"},
        "max": {"cpu": "1"},
        "min": {"cpu": "50m"},
        "maxLimitRequestRatio": {"cpu": "8"},
    }
    assert (await world.post(f"{NS}/limitranges", limits(item))).status == 201
    made = await world.post(f"{NS}/pods", pod(initContainers=[{"name": "i", "image": "x"}]))
    assert made.status == 201, made
    resources = {"limits": {"cpu": "500m", "memory": "500Mi"}, "requests": {"cpu": "100m", "memory": "500Mi"}}
    assert made.body["spec"]["containers"][0]["resources"] == resources
    assert made.body["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c; "
        "cpu, memory request for init container i; cpu, memory limit for init container i"
    )
    answer = await world.post(f"{NS}/pods", sized("big", {"cpu": "10m"}, {"cpu": "2"}))
    assert answer.status == 403
    assert answer.message == (
        'pods "big" is forbidden: [minimum cpu usage per Container is 50m, but request is 10m, maximum cpu usage per '
        "Container is 1, but limit is 2, cpu max limit to request ratio per Container is 8, but provided ratio is "
        "200.000000]"
    )


@pytest.mark.parametrize(
    ("item", "requests", "most", "said"),
    [
        ({"min": {"memory": "1Gi"}}, {}, {}, ["minimum memory usage per Pod is 1Gi.  No request is specified"]),
        ({"max": {"cpu": "1"}}, {}, {}, ["maximum cpu usage per Pod is 1.  No limit is specified"]),
        ({"max": {"cpu": "300m"}}, {"cpu": "200m"}, {"cpu": "200m"},
         ["maximum cpu usage per Pod is 300m, but limit is 400m"]),
        ({"max": {"cpu": "400m"}}, {"cpu": "200m"}, {"cpu": "200m"}, []),
        ({"maxLimitRequestRatio": {"cpu": "2"}}, {}, {"cpu": "1"},
         ["cpu max limit to request ratio per Pod is 2, but no request is specified or request is 0"]),
    ],
)  # fmt: skip
def test_a_pod_is_the_sum_of_its_containers(item: Any, requests: Any, most: Any, said: list[str]) -> None:
    resources = {"requests": requests, "limits": most}
    containers = [{"name": name, "image": "i", "resources": resources} for name in "ab"]
    subject = codec.from_builtins(Pod, {"metadata": {"name": "p"}, "spec": {"containers": containers}})
    limit = codec.from_builtins(LimitRange, limits({"type": "Pod", **item}))
    assert list(judge(limit.spec.limits, subject)) == said


def test_what_a_pod_states_for_itself_counts_before_its_containers() -> None:
    spec = {
        "containers": [{"name": "a", "image": "i"}],
        "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "3"}},
    }
    subject = codec.from_builtins(Pod, {"metadata": {"name": "p"}, "spec": spec})
    limit = codec.from_builtins(LimitRange, limits({"type": "Pod", "max": {"cpu": "2"}, "min": {"cpu": "1"}}))
    assert list(judge(limit.spec.limits, subject)) == ["maximum cpu usage per Pod is 2, but limit is 3"]


def test_claims_have_a_least_and_a_most() -> None:
    item = {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}
    limit = codec.from_builtins(LimitRange, limits(item))

    def said(size: str) -> list[str]:
        spec = {"resources": {"requests": {"storage": size}}}
        return list(judge(limit.spec.limits, codec.from_builtins(PersistentVolumeClaim, {"spec": spec})))

    assert said("1Gi") == []
    assert said("1Mi") == ["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"]
    assert said("3Gi") == ["maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"]


async def quota(world: World, name: str, hard: Any, used: Any, **spec: Any) -> None:
    """A quota that a controller has counted."""
    made = await world.post(f"{NS}/resourcequotas", {"metadata": {"name": name}, "spec": {"hard": hard, **spec}})
    assert made.status == 201, made
    status = {"status": {"hard": hard, "used": used}}
    assert (await world.patch(f"{NS}/resourcequotas/{name}/status", status)).status == 200


async def used(world: World, name: str) -> Any:
    return (await world.get(f"{NS}/resourcequotas/{name}")).body["status"]["used"]


async def test_quotas_say_why_not(world: World) -> None:
    await prepared(world)
    await quota(world, "q", {"pods": "5", "limits.cpu": "2", "requests.memory": "1Gi"}, {})
    answer = await world.post(f"{NS}/pods", sized("a", {"memory": "1Mi"}, {"cpu": "1"}))
    assert answer.message == (
        'pods "a" is forbidden: status unknown for quota: q, resources: limits.cpu,pods,requests.memory'
    )
    status = {"status": {"used": {"pods": "4", "limits.cpu": "500m", "requests.memory": "0"}}}
    await world.patch(f"{NS}/resourcequotas/q/status", status)
    answer = await world.post(f"{NS}/pods", pod("a"))
    assert (
        answer.message
        == 'pods "a" is forbidden: failed quota: q: must specify limits.cpu for: c; requests.memory for: c'
    )
    answer = await world.post(f"{NS}/pods", sized("a", {"memory": "2Gi"}, {"cpu": "2", "memory": "2Gi"}))
    assert answer.message == (
        'pods "a" is forbidden: exceeded quota: q, requested: limits.cpu=2,requests.memory=2Gi, '
        "used: limits.cpu=500m,requests.memory=0, limited: limits.cpu=2,requests.memory=1Gi"
    )
    body = sized("a", {"memory": "1Gi"}, {"cpu": "1500m", "memory": "1Gi"})
    dry = await world.post(f"{NS}/pods?dryRun=All", body)
    assert dry.status == 201
    assert (await used(world, "q"))["pods"] == "4"
    assert (await world.post(f"{NS}/pods", body)).status == 201
    assert await used(world, "q") == {"pods": "5", "limits.cpu": "2", "requests.memory": "1Gi"}
    answer = await world.post(f"{NS}/pods", body)
    assert answer.status == 403  # the quota is looked at before the name
    assert "exceeded quota: q, requested: limits.cpu=1500m,pods=1,requests.memory=1Gi" in answer.message


async def test_a_failure_after_admission_charges_nothing(world: World) -> None:
    await quota(world, "q", {"count/configmaps": "5"}, {"count/configmaps": "0"})
    body = {"metadata": {"name": "a"}}
    assert (await world.post(f"{NS}/configmaps", body)).status == 201
    assert (await world.post(f"{NS}/configmaps", body)).status == 409
    assert await used(world, "q") == {"count/configmaps": "1"}


async def test_only_what_grows_is_charged(world: World) -> None:
    hard = {"services": "2", "services.nodeports": "1", "services.loadbalancers": "0"}
    await quota(world, "q", hard, {"services": "0", "services.nodeports": "0", "services.loadbalancers": "0"})
    body = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    assert (await world.post(f"{NS}/services", body)).status == 201
    patch = {"spec": {"type": "NodePort"}}
    assert (await world.patch(f"{NS}/services/s", patch)).status == 200
    assert await used(world, "q") == {"services": "1", "services.nodeports": "1", "services.loadbalancers": "0"}
    answer = await world.patch(f"{NS}/services/s", {"spec": {"type": "LoadBalancer"}})
    assert answer.message.endswith(
        "exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, "
        "limited: services.loadbalancers=0"
    )


async def test_scopes_choose_pods(world: World) -> None:
    await prepared(world)
    for name, spec in {
        "best": {"scopes": ["BestEffort"]},
        "other": {"scopes": ["NotBestEffort", "NotTerminating"]},
        "ends": {"scopes": ["Terminating"]},
        "critical": {"scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": "In", "values": ["system-node-critical"]}]}},
        "plain": {"scopeSelector": {"matchExpressions": [
            {"scopeName": "PriorityClass", "operator": "DoesNotExist"}]}},
    }.items():  # fmt: skip
        await quota(world, name, {"pods": "5"}, {"pods": "0"}, **spec)
    assert (await world.post(f"{NS}/pods", pod("a"))).status == 201
    assert (await world.post(f"{NS}/pods", sized("b", {"cpu": "1m"}))).status == 201
    assert (await world.post(f"{NS}/pods", pod("c", activeDeadlineSeconds=9))).status == 201
    assert (await world.post(f"{NS}/pods", pod("d", priorityClassName="system-node-critical"))).status == 201
    found = {name: (await used(world, name))["pods"] for name in ("best", "other", "ends", "critical", "plain")}
    assert found == {"best": "3", "other": "1", "ends": "1", "critical": "1", "plain": "3"}
    ends = await world.patch(f"{NS}/pods/a", {"spec": {"activeDeadlineSeconds": 5}})
    assert ends.status == 200, ends
    assert (await used(world, "ends"))["pods"] == "2"


async def test_a_runtime_class_brings_overhead_and_nodes(world: World) -> None:
    await prepared(world)
    answer = await world.post(f"{NS}/pods", pod(runtimeClassName="none"))
    assert answer.message == 'pods "p" is forbidden: pod rejected: RuntimeClass "none" not found'
    tolerations = [{"key": "vm", "operator": "Exists", "effect": "NoSchedule"}]
    body = {
        "metadata": {"name": "vm"},
        "handler": "kata",
        "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {"nodeSelector": {"vm": "yes"}, "tolerations": tolerations},
    }
    assert (await world.post("/apis/node.k8s.io/v1/runtimeclasses", {**body, "handler": "No_"})).status == 422
    assert (await world.post("/apis/node.k8s.io/v1/runtimeclasses", body)).status == 201
    made = await world.post(f"{NS}/pods", pod(runtimeClassName="vm"))
    assert made.body["spec"]["overhead"] == {"cpu": "250m"}
    assert made.body["spec"]["nodeSelector"] == {"vm": "yes"}
    assert tolerations[0] in made.body["spec"]["tolerations"]
    answer = await world.post(f"{NS}/pods", pod("q", overhead={"cpu": "1"}))
    text = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
    assert answer.message.endswith(text)
    answer = await world.post(f"{NS}/pods", pod("q", runtimeClassName="vm", nodeSelector={"vm": "no"}))
    assert answer.message.endswith(
        "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no"
    )


def test_tolerations_that_others_include_are_dropped() -> None:
    wide = Toleration(key="a", operator="Exists")
    narrow = Toleration(key="a", operator="Equal", value="x", effect="NoSchedule")
    other = Toleration(key="b", operator="Equal", value="x")
    assert merged((narrow, other, wide, wide)) == (other, wide)


async def test_the_newest_default_class_is_taken(world: World) -> None:
    for name, default in (("slow", "false"), ("fast", "true")):
        annotations = {"storageclass.kubernetes.io/is-default-class": default}
        body = {"metadata": {"name": name, "annotations": annotations}, "provisioner": "p"}
        assert (await world.post("/apis/storage.k8s.io/v1/storageclasses", body)).status == 201
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    made = await world.post(f"{NS}/persistentvolumeclaims", {"metadata": {"name": "a"}, "spec": claim})
    assert made.body["spec"]["storageClassName"] == "fast"
    none = {"metadata": {"name": "b"}, "spec": {**claim, "storageClassName": ""}}
    assert (await world.post(f"{NS}/persistentvolumeclaims", none)).body["spec"].get("storageClassName") == ""
    grown = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    answer = await world.patch(f"{NS}/persistentvolumeclaims/a", grown)
    assert answer.status in (403, 422)


async def test_a_pod_learns_the_zone_of_its_node(world: World) -> None:
    await prepared(world)
    labels = {"topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r", "other": "x"}
    assert (await world.post("/api/v1/nodes", {"metadata": {"name": "n", "labels": labels}})).status == 201
    assert (await world.post(f"{NS}/pods", pod())).status == 201
    binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    assert (await world.post(f"{NS}/pods/p/binding", binding)).status == 201
    found = (await world.get(f"{NS}/pods/p")).body["metadata"]["labels"]
    assert found == {"app": "web", "topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r"}
