"""Preemption on a whole cluster in one process: the real API server, scheduler and kubelets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kijabi.api import codec
from kijabi.api.core.event import Event
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.meta import ObjectMeta
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.api.scheduling.priorityclass import PriorityClass
from kijabi.testing import simloop
from kijabi.testing.cluster import World, cluster


def pod(name: str, cpu: str, klass: str, **labels: str) -> Pod:
    container = {"name": "c", "image": "web:1", "resources": {"requests": {"cpu": cpu}}}
    spec = {"containers": [container], "priorityClassName": klass, "terminationGracePeriodSeconds": 5}
    return codec.from_builtins(
        Pod, {"metadata": {"name": name, "namespace": "default", "labels": labels}, "spec": spec}
    )


def play(story: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        async with cluster(nodes=2) as world:
            for name, value in (("low", 10), ("high", 1000)):
                await world.admin.create(PriorityClass(metadata=ObjectMeta(name=name), value=value))
            await story(world)

    simloop.run(main(), 1)


async def room(world: World) -> int:
    """How many pods of a whole processor one node takes, as soon as there is one."""

    async def nodes() -> tuple[Node, ...]:
        return (await world.admin.list(Node)).items

    first, *_ = await world.until(nodes)
    return int(first.status.allocatable["cpu"].value())


async def running(world: World, *names: str) -> list[Pod] | None:
    pods = [p for p in (await world.admin.list(Pod, "default")).items if p.metadata.name in names]
    return pods if len(pods) == len(names) and all(p.status.phase == "Running" for p in pods) else None


def test_the_high_take_the_place_of_the_low() -> None:
    async def story(world: World) -> None:
        size = await room(world)
        for name in ("a", "b"):
            await world.admin.create(pod(name, str(size - 1), "low"))
        await world.until(lambda: running(world, "a", "b"))
        version = (await world.admin.list(Pod, "default")).resourceVersion
        await world.admin.create(pod("vip", str(size), "high"))
        victim = vip = None
        async for event in world.admin.watch(Pod, "default", resource_version=version):
            if event.object.metadata.deletionTimestamp is not None and victim is None:
                victim = event.object
            if event.object.status.nominatedNodeName:
                vip = event.object
                break
        assert victim is not None
        assert vip is not None
        assert victim.spec.nodeName == vip.status.nominatedNodeName
        target = next(c for c in victim.status.conditions if c.type == "DisruptionTarget")
        assert (target.status, target.reason) == ("True", "PreemptionByScheduler")
        assert target.message == "default-scheduler: preempting to accommodate a higher priority pod"
        await world.admin.create(pod("upstart", "1", "low"))  # must not take what was promised
        (placed,) = await world.until(lambda: running(world, "vip"))
        assert placed.spec.nodeName == vip.status.nominatedNodeName
        left = (await world.admin.list(Pod, "default")).items
        assert sum(p.metadata.name in ("a", "b") for p in left) == 1, "one victim, not two"

        async def told() -> bool:
            events = (await world.admin.list(Event, "default")).items
            return any(e.reason == "Preempted" and placed.metadata.uid in e.message for e in events)

        await world.until(told)

    play(story)


def test_who_may_not_preempt_waits() -> None:
    async def story(world: World) -> None:
        size = await room(world)
        never = PriorityClass(metadata=ObjectMeta(name="patient"), value=5000, preemptionPolicy="Never")
        await world.admin.create(never)
        for name in ("a", "b"):
            await world.admin.create(pod(name, str(size), "low"))
        await world.until(lambda: running(world, "a", "b"))
        await world.admin.create(pod("patient", "1", "patient"))
        await asyncio.sleep(30)
        waiting = await world.admin.get(Pod, "patient", "default")
        said = next(c.message for c in waiting.status.conditions if c.type == "PodScheduled")
        assert said.endswith("preemption: not eligible due to preemptionPolicy=Never.")
        assert await running(world, "a", "b")

    play(story)


def test_a_budget_turns_the_choice() -> None:
    async def story(world: World) -> None:
        size = await room(world)
        content = {
            "metadata": {"name": "db", "namespace": "default"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "db"}}},
        }
        await world.admin.create(codec.from_builtins(PodDisruptionBudget, content))
        await world.admin.create(pod("db", str(size), "low", app="db"))
        await world.admin.create(pod("web", str(size), "low", app="web"))
        await world.until(lambda: running(world, "db", "web"))
        await world.admin.create(pod("vip", str(size), "high"))
        await world.until(lambda: running(world, "vip", "db"))

    play(story)
