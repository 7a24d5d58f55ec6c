"""Workloads, services, accounts and roles against the real API server: what a user sees."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.endpoints import Endpoints
from kijabi.api.core.event import Event
from kijabi.api.core.pod import Pod
from kijabi.api.core.service import Service
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.api.meta import ObjectMeta
from kijabi.api.rbac.clusterrole import ClusterRole
from kijabi.api.rbac.role import PolicyRule
from kijabi.client.informer import Informers
from kijabi.client.transport import Request, Response, Stream, Transport
from kijabi.controllers import owners, replicaset
from kijabi.controllers import pods as podlib
from kijabi.controllers.replicaset import Replicated
from kijabi.testing.faults import NONE, Faults
from tests.controllers.stories import complete, fresh, pods_of, simple_controller, simple_pod, simple_set
from tests.controllers.things import service
from tests.controllers.world import World, play


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


@pytest.mark.parametrize("make", [simple_set, simple_controller])
def test_a_replica_set_or_controller_adopts_releases_and_replaces(make: Callable[[int], Replicated]) -> None:
    kind = type(make(0))

    async def story(world: World) -> None:
        await world.client.create(simple_pod("lone", app="web"))
        await world.client.create(make(3))

        async def full(count: int = 3) -> list[Pod] | None:
            pods = await pods_of(world)
            rs = await world.client.get(kind, "web", "ns")
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
        await world.client.patch(kind, "web", {"spec": {"replicas": 1}}, namespace="ns")
        await world.until(lambda: full(1))

        async def told() -> bool:
            events = (await world.client.list(Event, "ns")).items
            reasons = {(e.reason, e.message.split(":")[0]) for e in events if e.involvedObject.kind == kind.__name__}
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
        back = {"metadata": {"annotations": {"deprecated.deployment.rollback.to": "1"}}}
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


def test_a_pod_that_is_seen_while_others_are_released_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was expected and is seen only after the cache was read is not in the count, but expected no more."""
    right = owners.settle

    async def slowly(*args: Any) -> tuple[Pod, ...]:
        found = await right(*args)
        await asyncio.sleep(1)  # In which news come.
        return found

    monkeypatch.setattr(replicaset, "settle", slowly)

    async def story(world: World) -> None:
        made: set[str] = set()
        informer = Informers(world.client).of(Pod)
        informer.add_handler(lambda old, new: made.add(new.metadata.name) if new is not None else None)
        world.tasks.create_task(informer.run())
        await world.client.create(simple_set(2))

        async def full() -> bool:
            return (await world.client.get(ReplicaSet, "web", "ns")).status.readyReplicas == 2

        await world.until(full)
        await world.client.delete(Pod, (await pods_of(world))[0].metadata.name, "ns")
        for number in range(200):  # So that there is always something to reconcile.
            patch = {"metadata": {"annotations": {"number": str(number)}}}
            await world.client.patch(ReplicaSet, "web", patch, namespace="ns")
            await asyncio.sleep(0.05)
        await world.until(full)
        assert len(made) == 3

    slow = replace(NONE, latency=(0.2, 0.2), stale=1.0, stale_seconds=(0.9, 0.9))
    play(story, faults=slow)


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


class Lagging:
    """A connection on which nothing is heard of pods for a while."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.hears = asyncio.Event()

    async def request(self, request: Request) -> Response:
        """See Transport."""
        return await self.inner.request(request)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        """See Transport."""
        async with self.inner.stream(request) as stream:
            yield Late(stream, self.hears) if request.path == "/api/v1/pods" else stream

    async def close(self) -> None:
        """See Transport."""
        await self.inner.close()


class Late:
    """A stream whose chunks come when they may."""

    def __init__(self, inner: Stream, may: asyncio.Event) -> None:
        self.status, self.headers = inner.status, inner.headers
        self._inner, self._may = inner, may

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            await self._may.wait()
            yield chunk


def test_recreate_looks_for_itself_whether_old_pods_are_gone() -> None:
    """The cache of pods may not show yet that the old set has any."""
    made: list[Lagging] = []

    def between(inner: Transport) -> Transport:
        made.append(Lagging(inner))
        made[0].hears.set()
        return made[0]

    async def story(world: World) -> None:
        made[0].hears.clear()
        await world.client.create(fresh(3, strategy="Recreate"))

        async def three() -> bool:
            return len(await pods_of(world)) == 3

        await world.until(three)
        patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "web:2"}]}}}}
        await world.client.patch(Deployment, "web", patch, namespace="ns", type="strategic")
        await asyncio.sleep(20)
        assert {pod.spec.containers[0].image for pod in await pods_of(world)} == {"web:1"}
        made[0].hears.set()
        await world.until(lambda: complete(world))

    play(story, between=between)


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
