"""From event to key to reconcile: waiting, repeating, surviving."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from kijabi.api.core.configmap import ConfigMap
from kijabi.api.meta import ObjectMeta
from kijabi.base.errors import Conflict, ConnectionLost, Forbidden
from kijabi.client.informer import Informers
from kijabi.controllers import app, runtime
from kijabi.controllers.config import Config
from kijabi.controllers.runtime import Source, namespace_terminating
from tests.controllers.world import World, play


class Scripted:
    """Answers each reconcile by a script."""

    name = "scripted"
    workers = 2

    def __init__(self, informers: Informers, script: dict[str, list[object]]) -> None:
        self.informer = informers.of(ConfigMap)
        self.script = script
        self.done: list[tuple[str, float]] = []
        self.busy: set[str] = set()

    def sources(self) -> Sequence[Source]:
        return (Source(self.informer, lambda old, new: (new.metadata.name,) if new is not None else ()),)

    async def reconcile(self, key: str) -> float | None:
        assert key not in self.busy, "one worker for a key"
        self.busy.add(key)
        await asyncio.sleep(0.01)
        self.busy.discard(key)
        self.done.append((key, round(asyncio.get_running_loop().time(), 2)))
        answer = self.script[key].pop(0) if self.script.get(key) else None
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[return-value]


def test_failures_come_back_later_and_do_not_stop_the_others() -> None:
    async def story(world: World) -> None:
        script: dict[str, list[object]] = {
            "bad": [Forbidden("no"), ConnectionLost("away"), Conflict("changed"), ValueError("a defect")],
            "later": [30.0],
            "kube-root-ca.crt": [],
        }
        informers = Informers(world.client)
        controller = Scripted(informers, script)
        tasks = [world.tasks.create_task(runtime.run(controller)), world.tasks.create_task(informers.run())]
        for name in ("bad", "later", "good"):
            await world.client.create(ConfigMap(metadata=ObjectMeta(name=name, namespace="ns")))
        await asyncio.sleep(60)
        when = {name: [at for key, at in controller.done if key == name] for name in ("bad", "later", "good")}
        assert len(when["bad"]) == 5, "four failures and a success"
        assert len(when["good"]) == 1
        assert 29.9 < when["later"][1] - when["later"][0] < 30.2
        for task in tasks:
            task.cancel()

    play(story)


def test_what_waits_for_long_is_looked_at_meanwhile() -> None:
    """The clock may have been set right, and the moment have come."""

    async def story(world: World) -> None:
        informers = Informers(world.client)
        controller = Scripted(informers, {"far": [10_000.0, 9_400.0]})
        tasks = [world.tasks.create_task(runtime.run(controller)), world.tasks.create_task(informers.run())]
        await world.client.create(ConfigMap(metadata=ObjectMeta(name="far", namespace="ns")))
        await asyncio.sleep(3_000)
        when = [at for key, at in controller.done if key == "far"]
        assert [round(after - before) for before, after in pairwise(when)] == [600, 600]
        for task in tasks:
            task.cancel()

    play(story)


def test_writes_into_a_dying_namespace_are_told_apart() -> None:
    dying = Forbidden("x", details={"causes": [{"reason": "NamespaceTerminating"}]})
    assert namespace_terminating(dying)
    assert not namespace_terminating(Forbidden("x"))


def test_only_the_leader_works() -> None:
    async def story(world: World) -> None:
        working: list[str] = []

        def candidate(name: str) -> asyncio.Task[None]:
            async def work() -> None:
                working.append(name)
                await asyncio.Event().wait()

            return world.tasks.create_task(app.lead(Config(leader_elect=True, host=name), world.client, work))

        first = candidate("a")
        await asyncio.sleep(5)
        second = candidate("b")
        await asyncio.sleep(60)
        assert working == ["a"]
        first.cancel()
        await asyncio.sleep(30)
        assert working == ["a", "b"]
        second.cancel()

    play(story)
