"""Jobs against the real API server: counts that are exact on a bad network, indexes, orphans, finalizers."""

from __future__ import annotations

import asyncio
from typing import Any

from kijabi.api.batch.job import Job, JobSpec
from kijabi.api.core.pod import Pod
from kijabi.api.meta import ObjectMeta
from kijabi.controllers.job.pod import tracked
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
