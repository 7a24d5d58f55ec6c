"""Jobs against the real API server: counts that are exact on a bad network, indexes, orphans, finalizers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kijabi.api.batch.job import Job, JobSpec
from kijabi.api.core.event import Event
from kijabi.api.core.pod import Pod
from kijabi.api.core.resourcequota import ResourceQuota
from kijabi.api.meta import ObjectMeta
from kijabi.api.quantity import Quantity
from kijabi.base.errors import Invalid
from kijabi.controllers import pods as podlib
from kijabi.controllers.job.indexes import INDEX
from kijabi.controllers.job.pod import TRACKING, tracked
from kijabi.testing.faults import Faults
from tests.controllers.things import template
from tests.controllers.world import World, play


def a_job(image: str, **spec: Any) -> Job:
    made = template(image)
    made.metadata.labels = {}
    made.spec.restartPolicy = "Never"
    return Job(metadata=ObjectMeta(name="sum", namespace="ns"), spec=JobSpec(template=made, **spec))


async def over(world: World, kind: str = "Complete") -> Job | None:
    job = await world.client.get(Job, "sum", "ns")
    return job if any(c.type == kind and c.status == "True" for c in job.status.conditions) else None


async def pods(world: World) -> list[Pod]:
    return [p for p in (await world.client.list(Pod, "ns")).items if p.metadata.name.startswith("sum-")]


def test_a_job_runs_to_its_end_and_goes_with_its_pods() -> None:
    async def story(world: World) -> None:
        await world.client.create(a_job("exit:0", completions=5, parallelism=2))
        job = await world.until(lambda: over(world))
        assert (job.status.succeeded, job.status.failed, job.status.active, job.status.terminating) == (5, 0, 0, 0)
        assert not any(map(tracked, await pods(world)))
        await world.client.delete(Job, "sum", "ns", propagation="Background")
        await world.gone(Job, "sum", "ns")

        async def none() -> bool:
            return not await pods(world)

        await world.until(none)

    play(story)


def test_a_running_job_can_be_deleted() -> None:
    async def story(world: World) -> None:
        await world.client.create(a_job("web:1", completions=3, parallelism=3))

        async def three() -> bool:
            return len(await pods(world)) == 3

        await world.until(three)
        await world.client.delete(Job, "sum", "ns", propagation="Background")

        async def none() -> bool:
            return not await pods(world)

        await world.until(none)

    play(story)


def test_counts_are_exact_on_a_bad_network() -> None:
    async def story(world: World) -> None:
        await world.client.create(a_job("exit:chance", completions=12, parallelism=4, backoffLimit=1000))
        ended: dict[str, str] = {}
        end = asyncio.get_running_loop().time() + 30_000
        while (job := await over(world)) is None:
            assert asyncio.get_running_loop().time() < end
            found = await pods(world)
            ended |= {p.metadata.uid: p.status.phase for p in found}
            assert sum(p.status.phase in ("Pending", "Running") for p in found) <= 4
            await asyncio.sleep(0.5)
        ended |= {p.metadata.uid: p.status.phase for p in await pods(world)}
        phases = list(ended.values())
        assert (job.status.succeeded, job.status.failed) == (12, phases.count("Failed"))
        assert phases.count("Succeeded") == 12

    for seed in range(1, 5):
        play(story, seed=seed, faults=Faults(lost_reply=0.15, late=0.0))


def test_indexes_fail_by_themselves() -> None:
    async def story(world: World) -> None:
        spec = {"completions": 4, "parallelism": 4, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
        await world.client.create(a_job("exit:odd", **spec))
        job = await world.until(lambda: over(world, "Failed"), seconds=300)
        assert (job.status.completedIndexes, job.status.failedIndexes) == ("0,2", "1,3")
        assert (job.status.succeeded, job.status.failed) == (2, 4)

    play(story)


def test_a_job_adopts_and_releases() -> None:
    async def story(world: World) -> None:
        await world.client.create(a_job("web:1", completions=2, parallelism=2))

        async def two() -> list[Pod] | None:
            found = [p for p in await pods(world) if p.metadata.ownerReferences and tracked(p)]
            return found if len(found) == 2 else None

        first = (await world.until(two))[0].metadata.name
        await world.client.patch(Pod, first, {"metadata": {"ownerReferences": []}}, namespace="ns")
        assert first in [p.metadata.name for p in await world.until(two)], "adopted again"
        patch = {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": None, "controller-uid": None,
                                         "batch.kubernetes.io/job-name": None, "job-name": None}}}  # fmt: skip
        await world.client.patch(Pod, first, patch, namespace="ns")

        async def released() -> bool:
            pod = await world.client.get(Pod, first, "ns")
            return not pod.metadata.ownerReferences and not tracked(pod)

        await world.until(released)
        await world.until(two)

    play(story)


def test_what_a_quota_forbids_is_not_active() -> None:
    async def story(world: World) -> None:
        quota = ResourceQuota(metadata=ObjectMeta(name="few", namespace="ns"))
        quota.spec.hard = {"pods": Quantity("1")}
        await world.client.create(quota)

        async def counted() -> bool:
            return bool((await world.client.get(ResourceQuota, "few", "ns")).status.hard)

        await world.until(counted)
        await world.client.create(a_job("web:1", completions=3, parallelism=3))

        async def refused() -> bool:
            return any(one.reason == "FailedCreate" for one in (await world.client.list(Event, "ns")).items)

        await world.until(refused)
        await asyncio.sleep(5)
        status = (await world.client.get(Job, "sum", "ns")).status
        assert (status.active, len(await pods(world))) == (1, 1)

    play(story)


def test_a_pod_that_comes_too_late_is_let_go() -> None:
    async def story(world: World) -> None:
        await world.client.create(a_job("exit:0"))
        job = await world.until(lambda: over(world))
        late = (await pods(world))[0]
        late.metadata = ObjectMeta(
            name="sum-late",
            namespace="ns",
            labels=late.metadata.labels,
            ownerReferences=late.metadata.ownerReferences,
            finalizers=(TRACKING,),
        )
        late.spec.nodeName = ""
        await world.client.create(late)

        async def free() -> bool:
            return not tracked(await world.client.get(Pod, "sum-late", "ns"))

        await world.until(free)
        assert (await world.client.get(Job, "sum", "ns")).status == job.status

    play(story)


def test_a_suspended_job_is_placed_anew_and_resumed() -> None:
    async def story(world: World) -> None:
        await world.client.create(a_job("web:1", completions=2, parallelism=2))

        async def active(count: int) -> bool:
            status = (await world.client.get(Job, "sum", "ns")).status
            return status.active == count and status.terminating == 0

        await world.until(lambda: active(2))
        await world.client.patch(Job, "sum", {"spec": {"suspend": True}}, namespace="ns")
        await world.until(lambda: active(0))
        place = {"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": "n1"}}}}}
        await world.client.patch(Job, "sum", place, namespace="ns")
        await world.client.patch(Job, "sum", {"spec": {"suspend": False}}, namespace="ns")
        await world.until(lambda: active(2))
        assert {one.spec.nodeSelector["kubernetes.io/hostname"] for one in await pods(world)} == {"n1"}
        moved = {"spec": {"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}}
        with pytest.raises(Invalid, match="field is immutable"):
            await world.client.patch(Job, "sum", moved, namespace="ns")

    play(story)


def test_an_elastic_job_grows_and_shrinks() -> None:
    async def story(world: World) -> None:
        await world.client.create(a_job("web:1", completions=2, parallelism=2, completionMode="Indexed"))

        async def indexes(*wanted: str) -> bool:
            found = [one.metadata.annotations[INDEX] for one in await pods(world) if podlib.active(one)]
            return sorted(found) == list(wanted)

        await world.until(lambda: indexes("0", "1"))
        await world.client.patch(Job, "sum", {"spec": {"completions": 4, "parallelism": 4}}, namespace="ns")
        await world.until(lambda: indexes("0", "1", "2", "3"))
        await world.client.patch(Job, "sum", {"spec": {"completions": 1, "parallelism": 1}}, namespace="ns")
        await world.until(lambda: indexes("0"))
        with pytest.raises(Invalid, match="in tandem with"):
            await world.client.patch(Job, "sum", {"spec": {"completions": 3}}, namespace="ns")

    play(story)


def test_a_job_of_an_outside_controller_is_left_alone() -> None:
    async def story(world: World) -> None:
        await world.client.create(a_job("exit:0", managedBy="example.com/theirs"))
        await asyncio.sleep(30)
        job = await world.client.get(Job, "sum", "ns")
        assert (job.status.startTime, await pods(world)) == (None, [])
        job.status.completedIndexes = "0"
        with pytest.raises(Invalid, match="non-indexed completion mode"):
            await world.client.update_status(job)

    play(story)
