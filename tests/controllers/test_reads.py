"""What one reconcile reads of the caches does not grow with the number of other objects of its kind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from kijabi.api.apps.deployment import Deployment
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.meta import LabelSelector, ObjectMeta
from kijabi.client.informer import Informer
from kijabi.controllers.daemonset.controller import DaemonSets
from kijabi.controllers.deployment.controller import Deployments
from kijabi.controllers.replicaset import ReplicaSets
from kijabi.controllers.runtime import Source
from tests.controllers.stories import complete, fresh, pods_of
from tests.controllers.test_daemonset_stories import agents, settled
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
    for controller in (Deployments, ReplicaSets, DaemonSets):
        reconcile, sources = controller.reconcile, controller.sources

        async def known(self: Any, key: str, inner: Any = reconcile, name: str = controller.name) -> float | None:
            token = who.set(name)
            try:
                return await inner(self, key)  # type: ignore[no-any-return]
            finally:
                who.reset(token)

        def choosing(self: Any, inner: Any = sources, name: str = controller.name) -> Sequence[Source]:
            return [source._replace(keys=_as(name, source.keys)) for source in inner(self)]

        monkeypatch.setattr(controller, "reconcile", known)
        monkeypatch.setattr(controller, "sources", choosing)
    return read


def _as(name: str, keys: Callable[[Any, Any], Iterable[str]]) -> Callable[[Any, Any], Iterable[str]]:
    def choose(old: Any, new: Any) -> Iterable[str]:
        token = who.set(name)
        try:
            return tuple(keys(old, new))
        finally:
            who.reset(token)

    return choose


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


def reads_of_daemons(monkeypatch: pytest.MonkeyPatch, nodes: int) -> dict[str, int]:
    """What the DaemonSet controller reads when a pod fails on one of many nodes and is replaced, when a pod is deleted
    and comes again, and when a node is tainted and free again; beside as many sets that are bound to one node each.
    """
    found: dict[str, int] = {}
    with monkeypatch.context() as patched:
        read = counted(patched)

        async def story(world: World) -> None:
            for number in range(1, nodes + 1):
                single = agents()
                single.metadata.name = f"single-{number}"
                single.spec.selector = LabelSelector(matchLabels={"app": single.metadata.name})
                single.spec.template.metadata = ObjectMeta(labels={"app": single.metadata.name})
                single.spec.template.spec.nodeSelector = {"kubernetes.io/hostname": f"elsewhere-{number}"}
                await world.client.create(single)
            everywhere = {f"n{number}" for number in range(1, nodes + 1)}
            await world.client.create(agents())
            await world.until(lambda: settled(world, everywhere), 900)
            await asyncio.sleep(5)

            async def settles(what: str) -> None:
                await asyncio.sleep(5)
                assert await settled(world, everywhere)
                found[what] = read["daemonset"]

            for what in ("failed", "deleted", "tainted", "reported"):
                read.clear()
                pod = next(pod for pod in await pods_of(world) if pod.spec.nodeName == "n2")
                name = pod.metadata.name
                match what:
                    case "failed":
                        await world.client.patch(Pod, name, {"status": {"phase": "Failed"}}, namespace="ns",
                                                 subresource="status")  # fmt: skip
                    case "deleted":
                        await world.client.delete(Pod, name, "ns")
                    case "tainted":
                        for taints in ([{"key": "x", "effect": "NoSchedule"}], None):
                            await world.client.patch(Node, "n2", {"spec": {"taints": taints}})
                            await asyncio.sleep(1)
                    case "reported":
                        node = await world.client.get(Node, "n2")
                        node.status.nodeInfo.kernelVersion = "6.1"
                        await world.client.update_status(node)
                await settles(what)

        play(story, nodes=nodes)
    return found


def test_a_daemon_s_event_reads_its_node_s_part(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (reads_of_daemons(monkeypatch, nodes) for nodes in (30, 300))
    for what in ("failed", "deleted", "tainted"):
        assert 0 < many[what] <= few[what] + 10, "events may fall together or apart, but no other node is read"
    assert few["reported"] == many["reported"] == 0
