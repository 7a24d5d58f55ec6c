"""The controllers against the real API server: what a user sees."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet, ReplicaSetSpec
from kijabi.api.core.affinity import Toleration
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.endpoints import Endpoints
from kijabi.api.core.event import Event
from kijabi.api.core.namespace import Namespace
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.service import Service
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.api.meta import ObjectMeta, OwnerReference, time_now
from kijabi.api.rbac.clusterrole import ClusterRole
from kijabi.api.rbac.role import PolicyRule
from kijabi.controllers import pods as podlib
from kijabi.controllers.deployment import status as rollout
from kijabi.testing.faults import Faults
from tests.controllers.things import APP, deployment, service
from tests.controllers.world import World, play


def fresh(replicas: int, image: str = "web:1", **more: object) -> Deployment:
    d = deployment(replicas, image=image, **more)  # type: ignore[arg-type]
    d.metadata = ObjectMeta(name="web", namespace="ns", labels=APP)
    return d


async def complete(world: World, name: str = "web") -> Deployment | None:
    d = await world.client.get(Deployment, name, "ns")
    return d if rollout.complete(d, d.status) else None


def test_every_namespace_is_given_an_account_and_the_authority() -> None:
    async def story(world: World) -> None:
        async def there() -> bool:
            accounts = await world.client.list(ServiceAccount, fields="metadata.name=default")
            maps = await world.client.list(ConfigMap, fields="metadata.name=kube-root-ca.crt")
            return (
                {a.metadata.namespace for a in accounts.items} == {m.metadata.namespace for m in maps.items} >= {"ns"}
            )

        await world.until(there)
        await world.client.delete(ServiceAccount, "default", "ns")
        await world.client.patch(ConfigMap, "kube-root-ca.crt", {"data": {"ca.crt": "forged"}}, namespace="ns")
        await world.until(there)

        async def mended() -> bool:
            return (await world.client.get(ConfigMap, "kube-root-ca.crt", "ns")).data["ca.crt"] == "CERTIFICATE"

        await world.until(mended)

    play(story)


def test_nodes_get_ranges_of_their_own() -> None:
    async def story(world: World) -> None:
        async def given() -> set[str] | None:
            nodes = (await world.client.list(Node)).items
            ranges = {n.spec.podCIDR for n in nodes}
            return ranges if "" not in ranges and len(ranges) == len(nodes) else None

        assert await world.until(given) == {"10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"}

    play(story, nodes=3)


def test_a_deployment_comes_up_rolls_scales_and_goes() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(3))
        await world.until(lambda: complete(world))
        pods = (await world.client.list(Pod, "ns")).items
        assert len(pods) == 3
        assert {p.metadata.ownerReferences[0].kind for p in pods} == {"ReplicaSet"}
        await world.client.patch(Deployment, "web", {"spec": {"replicas": 5}}, namespace="ns")
        await world.until(lambda: complete(world))
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "web:2"}]}}}}
        await world.client.patch(Deployment, "web", patch, namespace="ns", type="strategic")
        d = await world.until(lambda: complete(world))
        assert d.metadata.annotations["deployment.kubernetes.io/revision"] == "2"
        sets = {s.spec.template.spec.containers[0].image: s for s in (await world.client.list(ReplicaSet, "ns")).items}
        assert {image: s.spec.replicas for image, s in sets.items()} == {"web:1": 0, "web:2": 5}
        await world.client.delete(Deployment, "web", "ns")

        async def nothing() -> bool:
            return (
                not (await world.client.list(Pod, "ns")).items and not (await world.client.list(ReplicaSet, "ns")).items
            )

        await world.until(nothing)

    play(story)


async def pods_of(world: World, labels: str = "app=web") -> list[Pod]:
    return list((await world.client.list(Pod, "ns", labels=labels)).items)


def simple_set(replicas: int, name: str = "web") -> ReplicaSet:
    spec = fresh(replicas).spec
    return ReplicaSet(
        metadata=ObjectMeta(name=name, namespace="ns"),
        spec=ReplicaSetSpec(replicas=replicas, selector=spec.selector, template=spec.template),
    )


def simple_pod(name: str, **labels: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="ns", labels=labels), spec=fresh(1).spec.template.spec)


def test_a_replica_set_adopts_releases_and_replaces() -> None:
    async def story(world: World) -> None:
        await world.client.create(simple_pod("lone", app="web"))
        await world.client.create(simple_set(3))

        async def full(count: int = 3) -> list[Pod] | None:
            pods = await pods_of(world)
            rs = await world.client.get(ReplicaSet, "web", "ns")
            return pods if len(pods) == rs.status.readyReplicas == count and all(map(podlib.active, pods)) else None

        pods = await world.until(full)
        assert "lone" in [p.metadata.name for p in pods], "adopted"
        assert all(len(p.metadata.ownerReferences) == 1 for p in pods)
        await world.client.patch(Pod, "lone", {"metadata": {"labels": {"app": "free"}}}, namespace="ns")
        await world.until(full)

        async def free() -> bool:
            return not (await world.client.get(Pod, "lone", "ns")).metadata.ownerReferences

        await world.until(free)
        victim = (await pods_of(world))[0].metadata.name
        await world.client.delete(Pod, victim, "ns")
        pods = await world.until(full)
        assert victim not in [p.metadata.name for p in pods]
        await world.client.patch(ReplicaSet, "web", {"spec": {"replicas": 1}}, namespace="ns")
        await world.until(lambda: full(1))

        async def told() -> bool:
            events = (await world.client.list(Event, "ns")).items
            reasons = {(e.reason, e.message.split(":")[0]) for e in events if e.involvedObject.kind == "ReplicaSet"}
            return reasons >= {("SuccessfulCreate", "Created pod"), ("SuccessfulDelete", "Deleted pod")}

        await world.until(told)

    play(story)


def test_a_service_follows_its_pods() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(3))
        made = service()
        made.metadata = ObjectMeta(name="web", namespace="ns")
        made.spec.clusterIP, made.spec.ipFamilies = "", ()
        await world.client.create(made)

        async def addresses() -> tuple[set[str], set[str]]:
            slices = (await world.client.list(EndpointSlice, "ns", labels="kubernetes.io/service-name=web")).items
            ready = {e.addresses[0] for s in slices for e in s.endpoints if e.conditions.ready}
            endpoints = (await world.client.list(Endpoints, "ns")).items
            return ready, {a.ip for e in endpoints for s in e.subsets for a in s.addresses}

        async def same() -> bool:
            wanted = {p.status.podIP for p in await pods_of(world) if podlib.ready(p) and podlib.active(p)}
            return len(wanted) == 3 and await addresses() == (wanted, wanted)

        await world.until(same)
        await world.client.delete(Pod, (await pods_of(world))[0].metadata.name, "ns")
        await world.until(same)
        await world.client.delete(Service, "web", "ns")

        async def cleared() -> bool:
            return await addresses() == (set(), set()) and not (await world.client.list(EndpointSlice, "ns")).items

        await world.until(cleared)

    play(story)


def test_a_namespace_goes_with_all_that_is_in_it() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(3))
        await world.client.create(ConfigMap(metadata=ObjectMeta(name="kept", namespace="ns", finalizers=("x.io/y",))))
        await world.until(lambda: complete(world))
        await world.client.delete(Namespace, "ns")

        async def stuck() -> bool:
            conditions = {c.type: c for c in (await world.client.get(Namespace, "ns")).status.conditions}
            found = conditions.get("NamespaceFinalizersRemaining")
            return found is not None and found.status == "True" and "x.io/y in 1" in found.message

        await world.until(stuck)
        assert not await pods_of(world)
        patch = {"metadata": {"finalizers": []}}
        await world.client.patch(ConfigMap, "kept", patch, namespace="ns")
        await world.gone(Namespace, "ns")

    play(story)


def owned(name: str, *owners: ConfigMap, blocks: bool = True) -> ConfigMap:
    refs = tuple(
        OwnerReference(
            apiVersion="v1", kind="ConfigMap", name=o.metadata.name, uid=o.metadata.uid, blockOwnerDeletion=blocks
        )
        for o in owners
    )
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="ns", ownerReferences=refs))


async def maps(world: World) -> set[str]:
    return {m.metadata.name for m in (await world.client.list(ConfigMap, "ns")).items} - {"kube-root-ca.crt"}


def test_garbage_in_the_background_in_the_foreground_and_not_at_all() -> None:
    async def story(world: World) -> None:
        for policy, left in (("Background", set()), ("Foreground", set()), ("Orphan", {"child", "grandchild"})):
            root = await world.client.create(owned("root"))
            other = await world.client.create(owned("other"))
            child = await world.client.create(owned("child", root))
            await world.client.create(owned("grandchild", child))
            await world.client.create(owned("shared", root, other))
            await asyncio.sleep(1)
            await world.client.delete(ConfigMap, "root", "ns", propagation=policy)

            async def settled(left: set[str] = left) -> bool:
                return await maps(world) == {"other", "shared", *left}

            await world.until(settled)
            await asyncio.sleep(60)
            assert await settled()

            async def unreferenced() -> bool:
                shared = await world.client.get(ConfigMap, "shared", "ns")
                return [ref.uid for ref in shared.metadata.ownerReferences] == [other.metadata.uid]  # noqa: B023

            await world.until(unreferenced)
            await world.client.delete_collection(ConfigMap, "ns", fields="metadata.name!=kube-root-ca.crt")

            async def empty() -> bool:
                return not await maps(world)

            await world.until(empty)

    play(story)


def test_a_circle_of_owners_deleted_in_the_foreground_goes() -> None:
    async def story(world: World) -> None:
        a = await world.client.create(owned("a"))
        b = await world.client.create(owned("b", a))
        c = await world.client.create(owned("c", b))
        refs = [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "c", "uid": c.metadata.uid, "blockOwnerDeletion": True}
        ]
        await world.client.patch(ConfigMap, "a", {"metadata": {"ownerReferences": refs}}, namespace="ns")
        await asyncio.sleep(1)
        await world.client.delete(ConfigMap, "a", "ns", propagation="Foreground")

        async def empty() -> bool:
            return not await maps(world)

        await world.until(empty)

    play(story)


def test_owners_that_cannot_be_are_absent_but_never_mistaken() -> None:
    async def story(world: World) -> None:
        await world.namespace("elsewhere")
        owner = await world.client.create(owned("owner"))
        foreign = owned("foreign", owner)
        foreign.metadata.namespace = "elsewhere"
        await world.client.create(foreign)
        await world.gone(ConfigMap, "foreign", "elsewhere")
        cluster = Namespace(metadata=ObjectMeta(name="odd", ownerReferences=owned("x", owner).metadata.ownerReferences))
        await world.client.create(cluster)
        later = owned("later", owner)
        later.metadata.ownerReferences[0].uid = "an-earlier-uid"
        await world.client.create(later)
        await world.gone(ConfigMap, "later", "ns")
        await asyncio.sleep(120)
        assert (await world.client.get(Namespace, "odd")).metadata.deletionTimestamp is None
        assert await maps(world) == {"owner"}

    play(story)


def test_a_silent_node_is_tainted_and_its_pods_come_up_elsewhere() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(4))
        await world.until(lambda: complete(world))
        world.silent.add("n1")
        start = asyncio.get_running_loop().time()

        async def unknown() -> Node | None:
            node = await world.client.get(Node, "n1")
            keys = {(t.key, t.effect) for t in node.spec.taints}
            unreachable = "node.kubernetes.io/unreachable"
            return node if keys == {(unreachable, "NoSchedule"), (unreachable, "NoExecute")} else None

        node = await world.until(unknown)
        assert 30 < asyncio.get_running_loop().time() - start < 55
        ready = next(c for c in node.status.conditions if c.type == "Ready")
        assert (ready.status, ready.reason) == ("Unknown", "NodeStatusUnknown")

        async def unready() -> bool:
            stranded = [p for p in await pods_of(world) if p.spec.nodeName == "n1"]
            return bool(stranded) and not any(podlib.ready(p) for p in stranded)

        await world.until(unready)
        d = await world.until(lambda: complete(world), seconds=400)
        assert d.status.replicas == 4
        assert asyncio.get_running_loop().time() - start > 300, "the default toleration holds for 300 s"
        left = [p for p in await pods_of(world) if p.spec.nodeName == "n1"]
        assert left
        assert all(p.metadata.deletionTimestamp is not None for p in left)
        await world.client.delete(Node, "n1")

        async def collected() -> bool:
            return not [p for p in await pods_of(world) if p.spec.nodeName == "n1"]

        await world.until(collected)

    play(story)


def test_a_node_that_comes_back_is_clean_again() -> None:
    async def story(world: World) -> None:
        world.silent.add("n1")

        async def tainted() -> bool:
            return bool((await world.client.get(Node, "n1")).spec.taints)

        await world.until(tainted)
        world.silent.discard("n1")
        condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": str(time_now())}
        patch = {"status": {"conditions": [condition]}}
        await world.client.patch(Node, "n1", patch, type="strategic", subresource="status")

        async def clean() -> bool:
            return not await tainted()

        await world.until(clean)

    play(story)


def test_a_bad_template_is_reported_and_undone() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(4, progressDeadlineSeconds=60))
        good = await world.until(lambda: complete(world))
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "broken"}]}}}}
        await world.client.patch(Deployment, "web", patch, namespace="ns", type="strategic")

        async def stuck() -> Deployment | None:
            d = await world.client.get(Deployment, "web", "ns")
            return d if any(c.reason == "ProgressDeadlineExceeded" for c in d.status.conditions) else None

        d = await world.until(stuck)
        assert d.status.availableReplicas >= 3
        back = {"metadata": {"annotations": {"deprecated.deployment.rollback.rollback.to": "1"}}}
        await world.client.patch(Deployment, "web", back, namespace="ns")

        async def undone() -> Deployment | None:
            done = await complete(world)
            return done if done and done.spec.template == good.spec.template else None

        d = await world.until(undone)
        assert d.metadata.annotations == {"deployment.kubernetes.io/revision": "3"}
        sets = (await world.client.list(ReplicaSet, "ns")).items
        history = {s.spec.replicas: s.metadata.annotations for s in sets}
        assert history[4]["deployment.kubernetes.io/revision-history"] == "1"

    play(story)


def test_a_rollout_on_a_bad_network_ends_where_it_should() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(3))
        await world.until(lambda: complete(world), seconds=600)
        for step, image in enumerate(("web:2", "web:3", "web:4")):
            patch = {
                "spec": {"replicas": 3 + step, "template": {"spec": {"containers": [{"name": "c", "image": image}]}}}
            }
            await world.client.patch(Deployment, "web", patch, namespace="ns", type="strategic")
            await asyncio.sleep(7)
        world.network.heal()
        d = await world.until(lambda: complete(world), seconds=900)
        assert d.status.replicas == 5
        pods = [p for p in await pods_of(world) if podlib.active(p)]
        assert len(pods) == 5
        assert {p.spec.containers[0].image for p in pods} == {"web:4"}
        await world.client.delete(Deployment, "web", "ns")

        async def nothing() -> bool:
            return not any([(await world.client.list(kind, "ns")).items for kind in (Pod, ReplicaSet)])

        await world.until(nothing, seconds=900)

    for seed in range(3):
        play(story, seed=seed, faults=Faults())


def test_no_pod_too_many_even_when_every_fifth_reply_is_lost() -> None:
    async def story(world: World) -> None:
        most = 0

        async def count() -> None:
            nonlocal most
            while True:
                most = max(most, sum(map(podlib.active, await pods_of(world))))
                await asyncio.sleep(0.02)

        counting = world.tasks.create_task(count())
        await world.client.create(simple_set(20))

        async def full() -> bool:
            return (await world.client.get(ReplicaSet, "web", "ns")).status.readyReplicas == 20

        await world.until(full, seconds=900)
        for victim in (await pods_of(world))[:5]:
            await world.client.delete(Pod, victim.metadata.name, "ns")
        await asyncio.sleep(1)
        await world.until(full, seconds=900)
        counting.cancel()
        assert most == 20

    for seed in range(2):
        play(story, seed=seed, faults=Faults(lost_reply=0.2, lost_request=0.15, cut=0.05))


def test_min_ready_seconds_delay_availability() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(2, minReadySeconds=30))
        start = asyncio.get_running_loop().time()
        await world.until(lambda: complete(world))
        assert 29 < asyncio.get_running_loop().time() - start < 40

    play(story)


def test_recreate_never_runs_two_templates_at_once() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(3, strategy="Recreate"))
        await world.until(lambda: complete(world))

        async def images() -> None:
            while True:
                pods = await pods_of(world)
                assert len({p.spec.containers[0].image for p in pods}) <= 1
                await asyncio.sleep(0.02)

        watching = world.tasks.create_task(images())
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "web:2"}]}}}}
        await world.client.patch(Deployment, "web", patch, namespace="ns", type="strategic")
        await asyncio.sleep(1)
        await world.until(lambda: complete(world))
        watching.cancel()

    play(story)


def test_roles_are_aggregated() -> None:
    async def story(world: World) -> None:
        labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
        rule = PolicyRule(apiGroups=("x.io",), resources=("things",), verbs=("get",))
        await world.client.create(ClusterRole(metadata=ObjectMeta(name="things", labels=labels), rules=(rule,)))

        async def seen(yes: bool = True) -> bool:
            return (rule in (await world.client.get(ClusterRole, "view")).rules) is yes

        await world.until(seen)
        await world.client.delete(ClusterRole, "things")
        await world.until(lambda: seen(False))

    play(story)


def test_removing_a_taint_in_time_cancels_the_eviction() -> None:
    async def story(world: World) -> None:
        for name, seconds in (("short", 5), ("long", 60)):
            made = simple_pod(name)
            away = Toleration(key="away", operator="Exists", effect="NoExecute", tolerationSeconds=seconds)
            made.spec = replace(made.spec, tolerations=(away,))
            await world.client.create(made)

        async def running() -> bool:
            pods = (await world.client.list(Pod, "ns")).items
            return len(pods) == 2 and all(map(podlib.ready, pods))

        await world.until(running)
        for node in ("n1", "n2"):
            taint = {"key": "away", "effect": "NoExecute"}
            await world.client.patch(Node, node, {"spec": {"taints": [taint]}})
        await asyncio.sleep(20)
        assert [p.metadata.name for p in (await world.client.list(Pod, "ns")).items] == ["long"]
        for node in ("n1", "n2"):
            await world.client.patch(Node, node, {"spec": {"taints": None}})
        await asyncio.sleep(120)
        assert podlib.active(await world.client.get(Pod, "long", "ns"))
        events = {(e.reason, e.message) for e in (await world.client.list(Event, "ns")).items}
        assert ("TaintManagerEviction", "Marking for deletion Pod ns/short") in events
        assert ("TaintManagerEviction", "Cancelling deletion of Pod ns/long") in events

    play(story)


def test_an_orphan_that_was_seen_late_is_left_alone() -> None:
    async def story(world: World) -> None:
        root = await world.client.create(owned("root"))
        await asyncio.sleep(1)
        await world.client.delete(ConfigMap, "root", "ns", propagation="Orphan")
        await world.client.create(owned("late", root))
        await asyncio.sleep(60)
        assert await maps(world) == {"late"}

    play(story)
