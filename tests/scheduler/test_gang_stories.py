"""Gangs on a whole cluster in one process: the real API server with the API of pod groups, scheduler and kubelets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from kijabi.api import codec
from kijabi.api.core.event import Event
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.serviceaccount import ServiceAccount
from kijabi.api.scheduling.podgroup import PodGroup
from kijabi.apiserver.app import Settings
from kijabi.apiserver.flags import parse
from kijabi.base import rand
from kijabi.kubelet.runtime.fake import FakeRuntime
from kijabi.testing import simloop
from kijabi.testing.cluster import World, cluster
from kijabi.testing.faults import NONE, Faults

ON = ("feature-gates=GenericWorkload=true", "runtime-config=scheduling.k8s.io/v1beta1=true")
CPUS = 4  # of a node
SLOW = msgspec.structs.replace(NONE, latency=(0.001, 0.3))


def play(
    story: Callable[[World], Awaitable[None]], faults: Faults = NONE, on: tuple[str, ...] = ON, seed: int = 1
) -> None:
    async def main() -> None:
        settings = Settings(flags=parse(on))
        async with cluster(nodes=2, faults=faults, detect_mutations=True, settings=settings) as world:
            await world.until(lambda: _ready(world))
            await story(world)

    simloop.run(main(), seed)


async def _ready(world: World) -> bool:
    await world.admin.get(ServiceAccount, "default", "default")
    return all(one.status.allocatable for one in (await world.admin.list(Node)).items)


def group(name: str, least: int | None, **spec: Any) -> PodGroup:
    policy: dict[str, Any] = {"gang": {"minCount": least}} if least is not None else {"basic": {}}
    content = {"metadata": {"name": name, "namespace": "default"}, "spec": {"schedulingPolicy": policy, **spec}}
    return codec.from_builtins(PodGroup, content)


def pod(name: str, of: str, share: int = 1, **more: Any) -> Pod:
    """A pod that takes 1/share of a node's cpus, and a little less."""
    container = {"name": "c", "image": "i", "resources": {"requests": {"cpu": f"{CPUS * 1000 // share - 1}m"}}}
    spec = {"containers": [container], "schedulingGroup": {"podGroupName": of}, **more}
    return codec.from_builtins(Pod, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def with_node(world: World, of: str) -> int:
    pods = (await world.admin.list(Pod, "default")).items
    mine = [one for one in pods if one.spec.schedulingGroup and one.spec.schedulingGroup.podGroupName == of]
    return sum(1 for one in mine if one.spec.nodeName)


async def state(world: World, name: str) -> tuple[str, str, str] | None:
    found = (await world.admin.get(PodGroup, name, "default")).status.conditions
    return (found[0].status, found[0].reason, found[0].message) if found else None


async def said(world: World, name: str) -> str:
    found = (await world.admin.get(Pod, name, "default")).status.conditions
    return next((one.message for one in found if one.type == "PodScheduled"), "")


async def more(world: World, of: str, *numbers: int, **spec: Any) -> None:
    for number in numbers:
        await world.admin.create(pod(f"{of}-{number}", of, **spec))


def at_last(world: World, of: str, number: int) -> Awaitable[Any]:
    async def there() -> bool:
        return await with_node(world, of) == number

    return world.until(there)


async def bindings(world: World, of: str, number: int) -> None:
    """Return within a millisecond of so many bindings."""
    for _ in range(30_000):
        if await with_node(world, of) >= number:
            return
        await asyncio.sleep(0.001)
    raise TimeoutError("they were not bound")


SCHEDULED = ("True", "Scheduled", "")
NOBODY = "pod group preemption: No preemption victims found for incoming preemptor"
SHORT = f"minCount (3) cannot be satisfied: 2 scheduled, 0 remaining, {NOBODY}"


def test_a_gang_waits_for_all_its_pods_and_is_placed_at_once() -> None:
    async def story(world: World) -> None:
        await more(world, "g", 0)
        await asyncio.sleep(400)
        assert not await with_node(world, "g"), "there is no such group"
        await world.admin.create(group("g", 2))
        await asyncio.sleep(400)
        assert not await with_node(world, "g"), "one pod of two"
        assert not await said(world, "g-0"), "as upstream: pods that may not be in the queue are not reported on"
        assert await state(world, "g") is None
        await more(world, "g", 1)
        await at_last(world, "g", 2)
        assert await world.until(lambda: state(world, "g")) == SCHEDULED

    play(story)


def test_a_gang_that_does_not_fit_holds_nothing_and_goes_on_when_a_node_comes() -> None:
    async def story(world: World) -> None:
        await world.admin.create(group("g", 3))
        await more(world, "g", 0, 1, 2)
        assert await world.until(lambda: state(world, "g")) == ("False", "Unschedulable", SHORT)
        assert await said(world, "g-2") == "0/2 nodes are available: 2 Insufficient cpu."
        assert await said(world, "g-0") == f"pod group is unschedulable, {SHORT}"
        events = (await world.admin.list(Event, "default")).items
        assert any(one.reason == "FailedScheduling" and one.message.endswith(SHORT) for one in events)
        await world.admin.create(group("small", 2))
        await more(world, "small", 0, 1)
        await at_last(world, "small", 2)
        assert await with_node(world, "g") == 0
        for name in ("small-0", "small-1"):
            await world.admin.delete(Pod, name, "default")
        await asyncio.sleep(120)
        assert await with_node(world, "g") == 0, "two nodes are free, and three are needed"
        await add_node(world, "node-3")
        await at_last(world, "g", 3)
        await world.until(lambda: scheduled(world, "g"))

    play(story)


async def add_node(world: World, name: str) -> None:
    world.runtimes[name] = FakeRuntime(pod_cidr=f"10.244.{len(world.runtimes) + 1}.0/24")
    world.add(name, lambda: world.node(name))


def test_two_gangs_do_not_hold_half_of_the_room_each() -> None:
    async def story(world: World) -> None:
        for name in ("a", "b"):
            await world.admin.create(group(name, 2))
        for number in range(2):
            for name in ("a", "b"):
                await more(world, name, number)
        await asyncio.sleep(60)
        placed = {name: await with_node(world, name) for name in ("a", "b")}
        assert sorted(placed.values()) == [0, 2]
        first, second = sorted(placed, key=lambda name: -placed[name])
        for number in range(2):
            await world.admin.delete(Pod, f"{first}-{number}", "default")
        await at_last(world, second, 2)

    play(story)


def test_a_smaller_gang_is_enough() -> None:
    async def story(world: World) -> None:
        await world.admin.create(group("g", 3))
        await more(world, "g", 0, 1, 2)
        await world.until(lambda: state(world, "g"))
        patch = {"spec": {"schedulingPolicy": {"gang": {"minCount": 2}}}}
        await world.admin.patch(PodGroup, "g", patch, namespace="default")
        await at_last(world, "g", 2)
        await asyncio.sleep(60)
        assert await state(world, "g") == SCHEDULED, "the third pod, for which there is no room, does not unsay that"
        await world.restart("control")
        await asyncio.sleep(60)
        assert await state(world, "g") == SCHEDULED, "nor after a restart"

    play(story)


def test_what_was_said_of_a_gang_is_not_unsaid_while_nobody_has_heard_of_it() -> None:
    """The third pod, for which there is no room, is decided on before the informer has the news of the other two."""

    async def story(world: World) -> None:
        await asyncio.sleep(30)  # until the scheduler knows both nodes
        version = (await world.admin.list(PodGroup, "default")).resourceVersion
        await world.admin.create(group("g", 2))
        said: list[str] = []

        async def listen() -> None:
            async for event in world.admin.watch(PodGroup, "default", resource_version=version):
                said.extend(one.status for one in event.object.status.conditions)

        listening = asyncio.create_task(listen(), name="listen")
        await more(world, "g", 0, 1, 2)
        await at_last(world, "g", 2)
        await asyncio.sleep(60)
        listening.cancel()
        assert said
        assert set(said) == {"True"}

    play(story, faults=SLOW)


def test_a_basic_group_takes_what_room_there_is() -> None:
    async def story(world: World) -> None:
        await world.admin.create(group("g", None))
        await more(world, "g", 0, 1, 2)
        await at_last(world, "g", 2)
        assert await world.until(lambda: state(world, "g")) == SCHEDULED

    play(story)


def test_pods_of_one_group_have_one_priority() -> None:
    async def story(world: World) -> None:
        await world.admin.create(group("g", 1))
        await more(world, "g", 0, priorityClassName="system-node-critical")
        status, reason, message = await world.until(lambda: state(world, "g"))
        assert (status, reason) == ("False", "SchedulerError")
        words = "should have the same priority as the pod group's priority, got 2000001000 and 0"
        assert message == f"all pods in a single pod group {words}"
        assert await said(world, "g-0") == message

    play(story)


def test_scheduling_gates_of_one_pod_hold_its_group() -> None:
    async def story(world: World) -> None:
        await world.admin.create(group("g", 2))
        await more(world, "g", 0)
        await more(world, "g", 1, schedulingGates=[{"name": "example.com/later"}])
        await asyncio.sleep(60)
        assert await with_node(world, "g") == 0
        await world.admin.patch(Pod, "g-1", {"spec": {"schedulingGates": None}}, namespace="default")
        await at_last(world, "g", 2)

    play(story)


def test_a_pod_with_gates_that_goes_holds_nobody() -> None:
    async def story(world: World) -> None:
        await world.admin.create(group("g", 2))
        await more(world, "g", 0)
        await more(world, "g", 2, schedulingGates=[{"name": "example.com/later"}])
        await more(world, "g", 1)
        await asyncio.sleep(60)
        assert await with_node(world, "g") == 0
        await world.admin.delete(Pod, "g-2", "default")
        await at_last(world, "g", 2)

    play(story)


@pytest.mark.parametrize("bound", [1, 2, 3])
def test_a_scheduler_that_dies_between_two_bindings_finishes_the_gang(bound: int) -> None:
    async def story(world: World) -> None:
        await world.admin.create(group("g", 4))
        await more(world, "g", 0, 1, 2, 3, share=2)
        await bindings(world, "g", bound)
        await world.components["control"].crash()
        await asyncio.sleep(30)
        assert 0 < await with_node(world, "g") < 4
        world.components["control"].start()
        await at_last(world, "g", 4)
        await world.until(lambda: scheduled(world, "g"))

    play(story, faults=SLOW)


@pytest.mark.parametrize("seed", range(1, 9))
def test_gangs_find_their_places_whatever_the_network_does(seed: int) -> None:
    """Three gangs of three for two nodes that take two pods each; five nodes are enough for all."""

    async def story(world: World) -> None:
        names = ("a", "b", "c")
        for number in range(3):
            for name in names:
                await more(world, name, number, share=2)
        for name in names:
            await world.admin.create(group(name, 3))
        await asyncio.sleep(rand.rng().uniform(0, 3))
        await world.restart("control", rand.rng().uniform(0, 3))
        await asyncio.sleep(rand.rng().uniform(0, 60))
        await add_node(world, "node-3")
        await world.restart("control", 1.0)
        await asyncio.sleep(rand.rng().uniform(0, 60))
        world.heal()
        await add_node(world, "node-4")
        await add_node(world, "node-5")
        for name in names:
            await world.until(lambda name=name: whole(world, name), 400)  # type: ignore[misc]

    play(story, faults=Faults(), seed=seed)


async def whole(world: World, name: str) -> bool:
    return await with_node(world, name) == 3 and await scheduled(world, name)


def test_what_nobody_lived_to_say_is_said_after_a_restart() -> None:
    async def story(world: World) -> None:
        await world.admin.create(group("g", 2))
        await more(world, "g", 0, 1)
        await bindings(world, "g", 2)
        await world.components["control"].crash()
        patch = {"status": {"conditions": None}}
        await world.admin.patch(PodGroup, "g", patch, namespace="default", subresource="status")
        assert await state(world, "g") is None
        world.components["control"].start()
        await world.until(lambda: scheduled(world, "g"))

    play(story, faults=SLOW)


def test_without_the_api_pods_of_groups_are_pods() -> None:
    async def story(world: World) -> None:
        await more(world, "g", 0)
        pods = (await world.admin.list(Pod, "default")).items
        assert pods[0].spec.schedulingGroup is None
        await world.until(lambda: placed(world, "g-0"))

    play(story, on=())


async def placed(world: World, name: str) -> bool:
    return bool((await world.admin.get(Pod, name, "default")).spec.nodeName)


async def scheduled(world: World, name: str) -> bool:
    return await state(world, name) == SCHEDULED
