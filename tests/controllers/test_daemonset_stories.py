"""DaemonSets against the real API server: nodes come and go, templates roll, history is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from kijabi.api.apps.controllerrevision import ControllerRevision
from kijabi.api.apps.daemonset import DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.meta import LabelSelector, ObjectMeta
from kijabi.client.cache import key_of
from kijabi.controllers import pods as podlib
from kijabi.controllers.daemonset.book import Book
from kijabi.controllers.daemonset.controller import DaemonSets
from kijabi.controllers.daemonset.place import View
from kijabi.testing.faults import Faults
from tests.controllers.stories import pods_of
from tests.controllers.things import APP, template
from tests.controllers.world import World, play


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a story does: what the controller kept of its nodes is what it would find if it looked at all."""
    right, same = DaemonSets._look, []

    def look(self: DaemonSets, view: View, adopted: Sequence[Pod]) -> Book:
        kept = right(self, view, adopted)
        self.books.clear()
        same.append(right(self, view, adopted).places == kept.places)
        self.books[key_of(view.ds)] = kept
        return kept

    monkeypatch.setattr(DaemonSets, "_look", look)
    yield
    assert same
    assert all(same)


def agents(image: str = "web:1", *, surge: int = 0) -> DaemonSet:
    rolling = RollingUpdateDaemonSet(maxUnavailable=0 if surge else 1, maxSurge=surge)
    return DaemonSet(
        metadata=ObjectMeta(name="web", namespace="ns"),
        spec=DaemonSetSpec(
            selector=LabelSelector(matchLabels=APP),
            template=template(image),
            updateStrategy=DaemonSetUpdateStrategy(type="RollingUpdate", rollingUpdate=rolling),
            revisionHistoryLimit=1,
        ),
    )


async def settled(world: World, nodes: set[str], image: str = "web:1") -> list[Pod] | None:
    """One ready pod of the image on each of the nodes, and the status says so."""
    ds = await world.client.get(DaemonSet, "web", "ns")
    pods = await pods_of(world)
    status = ds.status
    counts = {status.numberReady, status.updatedNumberScheduled, status.desiredNumberScheduled, len(pods)}
    right = [p for p in pods if podlib.ready(p) and p.spec.containers[0].image == image]
    seen = status.observedGeneration == ds.metadata.generation
    return pods if seen and counts == {len(nodes)} and {p.spec.nodeName for p in right} == nodes else None


async def roll(world: World, image: str) -> None:
    """Change the template."""
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
    ds = await world.client.get(DaemonSet, "web", "ns")
    patch["spec"]["template"]["spec"]["containers"][0]["name"] = ds.spec.template.spec.containers[0].name
    await world.client.patch(DaemonSet, "web", patch, namespace="ns", type="strategic")


def test_a_daemon_follows_nodes_and_rolls_and_goes_back() -> None:
    async def story(world: World) -> None:
        await world.client.create(agents())
        await world.until(lambda: settled(world, {"n1", "n2", "n3"}))
        await world.node("n4")
        await world.until(lambda: settled(world, {"n1", "n2", "n3", "n4"}))
        await world.client.patch(Node, "n4", {"spec": {"taints": [{"key": "x", "effect": "NoExecute"}]}})
        first = await world.until(lambda: settled(world, {"n1", "n2", "n3"}))
        await roll(world, "web:2")
        await world.until(lambda: settled(world, {"n1", "n2", "n3"}, "web:2"))
        await roll(world, "web:1")
        again = await world.until(lambda: settled(world, {"n1", "n2", "n3"}))
        codes = {p.metadata.labels["controller-revision-hash"] for p in (*first, *again)}
        assert len(codes) == 1, "the same template is the same revision"
        revisions = (await world.client.list(ControllerRevision, "ns")).items
        assert sorted(r.revision for r in revisions) == [2, 3]
        await roll(world, "web:3")
        await world.until(lambda: settled(world, {"n1", "n2", "n3"}, "web:3"))

        async def kept() -> bool:
            return sorted(r.revision for r in (await world.client.list(ControllerRevision, "ns")).items) == [3, 4]

        await world.until(kept)
        await world.client.delete(DaemonSet, "web", "ns", propagation="Foreground")
        await world.gone(DaemonSet, "web", "ns")
        assert await pods_of(world) == []

    play(story, nodes=3)


def test_surge_never_takes_a_node_s_daemon_away() -> None:
    async def story(world: World) -> None:
        await world.client.create(agents(surge=1))
        await world.until(lambda: settled(world, {"n1", "n2", "n3"}))
        await roll(world, "web:2")
        most = 0
        while await settled(world, {"n1", "n2", "n3"}, "web:2") is None:
            pods = [p for p in await pods_of(world) if p.metadata.deletionTimestamp is None]
            most = max(most, len(pods))
            assert {p.spec.nodeName for p in pods if podlib.ready(p)} >= {"n1", "n2", "n3"}
            await asyncio.sleep(0.05)
        assert most == 4, "one more than nodes, never two"

    play(story, nodes=3)


def test_a_rollout_over_a_bad_network_makes_no_twins() -> None:
    async def story(world: World) -> None:
        await world.client.create(agents())
        await world.until(lambda: settled(world, {"n1", "n2", "n3", "n4"}))
        await roll(world, "web:2")
        end = asyncio.get_running_loop().time() + 600
        while await settled(world, {"n1", "n2", "n3", "n4"}, "web:2") is None:
            assert asyncio.get_running_loop().time() < end
            active = [p for p in await pods_of(world) if podlib.active(p)]
            assert len(active) <= 4, "one for each node at most"
            await asyncio.sleep(0.2)

    for seed in range(1, 6):
        play(story, nodes=4, seed=seed, faults=Faults(lost_reply=0.2, late=0.0))
