"""StatefulSets against the real API server: order, rollouts and their undoing, claims, a bad network."""

from __future__ import annotations

import asyncio

from kijabi.api.apps.statefulset import StatefulSet
from kijabi.api.core.persistentvolumeclaim import PersistentVolumeClaim, PersistentVolumeClaimSpec
from kijabi.api.core.pod import Pod
from kijabi.api.core.resources import VolumeResourceRequirements
from kijabi.api.meta import ObjectMeta
from kijabi.api.quantity import Quantity
from kijabi.controllers import pods as podlib
from kijabi.controllers.statefulset.broken import REPLACE_BROKEN
from kijabi.testing.faults import Faults
from tests.controllers.stories import pods_of
from tests.controllers.test_statefulset_plan import stateful
from tests.controllers.world import World, play


def fresh(replicas: int, **more: object) -> StatefulSet:
    ss = stateful(replicas, **more)  # type: ignore[arg-type]
    ss.metadata = ObjectMeta(name="web", namespace="ns")
    for claim in ss.spec.volumeClaimTemplates:
        size = VolumeResourceRequirements(requests={"storage": Quantity("1Gi")})
        claim.spec = PersistentVolumeClaimSpec(accessModes=("ReadWriteOnce",), resources=size)
    return ss


async def settled(world: World, replicas: int, image: str = "web:1") -> list[Pod] | None:
    """All pods are of the image and ready, and the status has only one revision left."""
    ss = await world.client.get(StatefulSet, "web", "ns")
    pods = await pods_of(world)
    images = {p.spec.containers[0].image for p in pods}
    status = ss.status
    counts = {status.replicas, status.readyReplicas, status.updatedReplicas, status.currentReplicas, len(pods)}
    seen = status.observedGeneration == ss.metadata.generation and status.currentRevision == status.updateRevision
    return pods if seen and counts == {replicas} and images <= {image} else None


async def roll(world: World, image: str) -> None:
    """Change the template."""
    name = (await world.client.get(StatefulSet, "web", "ns")).spec.template.spec.containers[0].name
    patch = {"spec": {"template": {"spec": {"containers": [{"name": name, "image": image}]}}}}
    await world.client.patch(StatefulSet, "web", patch, namespace="ns", type="strategic")


async def scale(world: World, replicas: int) -> None:
    await world.client.patch(StatefulSet, "web", {"spec": {"replicas": replicas}}, namespace="ns")


def test_a_set_comes_up_in_order_and_goes_in_reverse() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(4))
        seen: list[set[str]] = []
        while await settled(world, 4) is None:
            names = {p.metadata.name for p in await pods_of(world)}
            if names and (not seen or seen[-1] != names):
                seen.append(names)
            await asyncio.sleep(0.02)
        assert seen == [{f"web-{i}" for i in range(count)} for count in range(1, 5)]
        await scale(world, 1)
        while await settled(world, 1) is None:
            names = {p.metadata.name for p in await pods_of(world)}
            assert names == {f"web-{i}" for i in range(len(names))}, "the highest number goes first"
            await asyncio.sleep(0.02)

    play(story)


def test_a_rollout_goes_back_and_a_broken_one_too_where_that_is_allowed() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(3))
        first = await world.until(lambda: settled(world, 3))
        await roll(world, "web:2")
        await world.until(lambda: settled(world, 3, "web:2"))
        await roll(world, "web:1")
        again = await world.until(lambda: settled(world, 3))
        labels = {p.metadata.labels["controller-revision-hash"] for p in (*first, *again)}
        assert len(labels) == 1, "the same template is the same revision"
        await roll(world, "broken")
        await asyncio.sleep(60)
        stuck = [p.metadata.name for p in await pods_of(world) if not podlib.ready(p)]
        assert stuck == ["web-2"]
        await roll(world, "web:1")
        await asyncio.sleep(60)
        assert await settled(world, 3) is None, "upstream's way: somebody must delete the pod"
        await world.client.patch(StatefulSet, "web", {"metadata": {"annotations": {REPLACE_BROKEN: "true"}}},
                                 namespace="ns")  # fmt: skip
        await world.until(lambda: settled(world, 3))

    play(story)


def test_a_broken_revision_is_replaced_without_touching_what_works() -> None:
    async def story(world: World) -> None:
        ss = fresh(3, partition=1)
        ss.metadata.annotations = {REPLACE_BROKEN: "true"}
        await world.client.create(ss)
        first = await world.until(lambda: settled(world, 3))
        kept = first[0].metadata.uid
        await roll(world, "broken")
        await asyncio.sleep(60)
        assert [p.metadata.name for p in await pods_of(world) if not podlib.ready(p)] == ["web-2"]
        await roll(world, "web:2")
        names: set[str] = set()

        async def mended() -> bool:
            pods = await pods_of(world)
            names.update(p.metadata.name for p in pods if not podlib.ready(p))
            assert sum(map(podlib.ready, pods)) >= 2, "one at a time"
            images = {p.metadata.name: p.spec.containers[0].image for p in pods if podlib.ready(p)}
            return images == {"web-0": "web:1", "web-1": "web:2", "web-2": "web:2"}

        await world.until(mended)
        assert "web-0" not in names
        assert (await world.client.get(Pod, "web-0", "ns")).metadata.uid == kept, "below the partition"

    play(story)


def test_claims_come_with_pods_and_go_as_the_policy_says() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(3, claims=("data",), keep=("Delete", "Delete")))

        async def claims(*numbers: int) -> bool:
            found = (await world.client.list(PersistentVolumeClaim, "ns")).items
            return {c.metadata.name for c in found} == {f"data-web-{n}" for n in numbers}

        await world.until(lambda: settled(world, 3))
        assert await claims(0, 1, 2)
        await scale(world, 1)
        await world.until(lambda: claims(0))
        await scale(world, 2)
        await world.until(lambda: settled(world, 2))
        await world.client.delete(StatefulSet, "web", "ns")
        await world.until(lambda: claims())

    play(story)


def test_a_set_waits_for_a_claim_to_go_with_the_pod_before_and_no_longer() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(2, claims=("data",), keep=("Delete", "Delete")))
        await world.until(lambda: settled(world, 2))
        hold = {"metadata": {"finalizers": ["example.com/hold"]}}
        before = await world.client.patch(PersistentVolumeClaim, "data-web-1", hold, namespace="ns")
        await scale(world, 1)
        await world.until(lambda: settled(world, 1))
        await scale(world, 2)
        await asyncio.sleep(30)
        assert len(await pods_of(world)) == 1, "the second waits"
        free = {"metadata": {"finalizers": None}}
        await world.client.patch(PersistentVolumeClaim, "data-web-1", free, namespace="ns")
        await world.until(lambda: settled(world, 2))
        after = await world.client.get(PersistentVolumeClaim, "data-web-1", "ns")
        assert after.metadata.uid != before.metadata.uid

    play(story)


def test_never_two_of_one_name_and_never_out_of_order_on_a_bad_network() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(3))
        await world.until(lambda: settled(world, 3), seconds=300)
        await roll(world, "web:2")
        end = asyncio.get_running_loop().time() + 900
        while await settled(world, 3, "web:2") is None:
            assert asyncio.get_running_loop().time() < end
            down = [p.metadata.name for p in await pods_of(world) if not podlib.ready(p)]
            assert len(down) <= 1, "one at a time"
            await asyncio.sleep(0.2)

    for seed in range(1, 6):
        play(story, seed=seed, faults=Faults(lost_reply=0.2, late=0.0))
