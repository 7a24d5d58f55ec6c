"""The controllers against the real API server: what a user sees."""

from __future__ import annotations

from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet
from kijabi.api.core.configmap import ConfigMap
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.meta import ObjectMeta
from kijabi.controllers.deployment import status as rollout
from tests.controllers.things import APP, deployment
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
