"""The scheduling queue in virtual time."""

from __future__ import annotations

import asyncio

from kijabi.api import codec
from kijabi.api.core.pod import Pod
from kijabi.scheduler import podinfo
from kijabi.scheduler.framework import Change, Event
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.queue import LONGEST_WAIT, SchedulingQueue
from kijabi.testing import simloop


def info(name: str, priority: int = 0) -> PodInfo:
    content = {"metadata": {"name": name, "namespace": "d", "uid": name}, "spec": {"priority": priority}}
    return podinfo.of(codec.from_builtins(Pod, content))


def test_priority_first_then_order_of_arrival() -> None:
    async def go() -> list[str]:
        queue = SchedulingQueue()
        for name, priority in (("a", 0), ("b", 5), ("c", 0), ("d", 5)):
            queue.add(info(name, priority))
        return [(await queue.pop()).uid for _ in range(4)]

    assert simloop.run(go()) == ["b", "d", "a", "c"]


def test_a_refused_pod_waits_for_the_right_event_and_backs_off() -> None:
    async def go() -> tuple[float, dict[str, int]]:
        queue = SchedulingQueue()
        queue.add(info("a"))
        await queue.pop()
        queue.refused("a", Change.POD_GONE)
        queue.changed(Event(Change.NODE_TAINTS))
        waiting = queue.statistics()
        queue.changed(Event(Change.POD_GONE))
        await queue.pop()
        return asyncio.get_running_loop().time(), waiting

    when, waiting = simloop.run(go())
    assert waiting["unschedulable"] == 1
    assert when == 1.0


def test_back_off_doubles_to_ten_seconds() -> None:
    async def go() -> list[float]:
        queue = SchedulingQueue()
        queue.add(info("a"))
        loop = asyncio.get_running_loop()
        times = []
        for _ in range(6):
            before = loop.time()
            await queue.pop()
            times.append(loop.time() - before)
            queue.failed("a")
        return times

    assert simloop.run(go()) == [0, 1, 2, 4, 8, 10]


def test_an_event_during_the_decision_is_not_lost() -> None:
    async def go() -> float:
        queue = SchedulingQueue()
        queue.add(info("a"))
        await queue.pop()
        queue.changed(Event(Change.NODE_ADDED))
        queue.refused("a", Change.NODE_ADDED)
        await queue.pop()
        return asyncio.get_running_loop().time()

    assert simloop.run(go()) == 1.0


def test_nobody_waits_for_ever() -> None:
    async def go() -> float:
        queue = SchedulingQueue()
        queue.add(info("a"))
        await queue.pop()
        queue.refused("a", Change.NODE_ADDED)
        await queue.pop()
        return asyncio.get_running_loop().time()

    assert simloop.run(go()) == LONGEST_WAIT


def test_a_removed_pod_is_not_given_out() -> None:
    async def go() -> str:
        queue = SchedulingQueue()
        queue.add(info("a"))
        queue.add(info("b"))
        queue.remove("a")
        return (await queue.pop()).uid

    assert simloop.run(go()) == "b"
