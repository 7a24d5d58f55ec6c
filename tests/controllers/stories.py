"""What several stories begin with."""

from __future__ import annotations

from kijabi.api.apps.deployment import Deployment
from kijabi.api.apps.replicaset import ReplicaSet, ReplicaSetSpec
from kijabi.api.core.pod import Pod
from kijabi.api.core.replicationcontroller import ReplicationController, ReplicationControllerSpec
from kijabi.api.meta import ObjectMeta
from kijabi.controllers.deployment import status as rollout
from tests.controllers.things import APP, deployment
from tests.controllers.world import World


def fresh(replicas: int, image: str = "web:1", **more: object) -> Deployment:
    d = deployment(replicas, image=image, **more)  # type: ignore[arg-type]
    d.metadata = ObjectMeta(name="web", namespace="ns", labels=APP)
    return d


async def complete(world: World, name: str = "web") -> Deployment | None:
    d = await world.client.get(Deployment, name, "ns")
    return d if rollout.complete(d, d.status) else None


async def pods_of(world: World, labels: str = "app=web") -> list[Pod]:
    return list((await world.client.list(Pod, "ns", labels=labels)).items)


def simple_set(replicas: int, name: str = "web") -> ReplicaSet:
    spec = fresh(replicas).spec
    return ReplicaSet(
        metadata=ObjectMeta(name=name, namespace="ns"),
        spec=ReplicaSetSpec(replicas=replicas, selector=spec.selector, template=spec.template),
    )


def simple_controller(replicas: int, name: str = "web") -> ReplicationController:
    """A ReplicationController of these pods."""
    rs = simple_set(replicas, name)
    return ReplicationController(
        metadata=rs.metadata,
        spec=ReplicationControllerSpec(replicas=replicas, selector={"app": name}, template=rs.spec.template),
    )


def simple_pod(name: str, **labels: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name, namespace="ns", labels=labels), spec=fresh(1).spec.template.spec)
