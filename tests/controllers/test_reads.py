"""What one reconcile reads of the caches does not grow with the number of other objects of its kind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection
from contextvars import ContextVar
from typing import Any

import pytest

from kijabi.api.apps.deployment import Deployment
from kijabi.api.core.pod import Pod
from kijabi.api.meta import LabelSelector, ObjectMeta
from kijabi.client.informer import Informer
from kijabi.controllers.deployment.controller import Deployments
from kijabi.controllers.replicaset import ReplicaSets
from tests.controllers.stories import complete, fresh
from tests.controllers.world import World, play

who: ContextVar[str] = ContextVar("who", default="")


def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many objects the caches hand to each of the controllers."""
    read: Counter[str] = Counter()
    items, index = Informer.items, Informer.index

    def all_items(self: Informer[Any]) -> Collection[Any]:
        read[who.get()] += len(self)
        return items(self)

    def some(self: Informer[Any], name: str, value: str) -> tuple[Any, ...]:
        found = index(self, name, value)
        read[who.get()] += len(found)
        return found

    monkeypatch.setattr(Informer, "items", all_items)
    monkeypatch.setattr(Informer, "index", some)
    for controller in (Deployments, ReplicaSets):
        reconcile = controller.reconcile

        async def known(self: Any, key: str, inner: Any = reconcile, name: str = controller.name) -> float | None:
            token = who.set(name)
            try:
                return await inner(self, key)  # type: ignore[no-any-return]
            finally:
                who.reset(token)

        monkeypatch.setattr(controller, "reconcile", known)
    return read


def numbered(number: int) -> Deployment:
    d, labels = fresh(2), {"app": f"web-{number}"}
    d.metadata = ObjectMeta(name=f"web-{number}", namespace="ns")
    d.spec.selector = LabelSelector(matchLabels=labels)
    d.spec.template.metadata = ObjectMeta(labels=labels)
    return d


def reads_of_a_rollout(monkeypatch: pytest.MonkeyPatch, many: int) -> Counter[str]:
    """Roll one of many Deployments out, beside as many pods that nobody controls."""
    with monkeypatch.context() as patched:
        read = counted(patched)

        async def story(world: World) -> None:
            for number in range(many):
                await world.client.create(numbered(number))
                bare = Pod(metadata=ObjectMeta(name=f"bare-{number}", namespace="ns", labels={"app": "bare"}))
                bare.spec = fresh(1).spec.template.spec
                await world.client.create(bare)
            for number in range(many):
                await world.until(lambda name=f"web-{number}": complete(world, name))  # type: ignore[misc]
            await asyncio.sleep(5)
            read.clear()
            patch = {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}
            await world.client.patch(Deployment, "web-2", patch, namespace="ns")
            await asyncio.sleep(5)
            assert await complete(world, "web-2")

        play(story)
    return read


def test_one_of_many_deployments_reads_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (reads_of_a_rollout(monkeypatch, number) for number in (3, 30))
    for name in ("deployment", "replicaset"):
        assert 0 < many[name] <= few[name] + 10, "events may fall together or apart, but no other is read"
