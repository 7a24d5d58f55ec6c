"""Nodes that come, fall silent and return, against the real API server."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from kijabi.api.core.affinity import Toleration
from kijabi.api.core.event import Event
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.meta import time_now
from kijabi.base.errors import ConnectionLost
from kijabi.client.transport import Request, Response
from kijabi.controllers import pods as podlib
from tests.controllers.between import Between
from tests.controllers.stories import complete, fresh, pods_of, simple_pod
from tests.controllers.world import World, play


def test_nodes_get_ranges_of_their_own() -> None:
    async def story(world: World) -> None:
        async def given() -> set[str] | None:
            nodes = (await world.client.list(Node)).items
            ranges = {n.spec.podCIDR for n in nodes}
            return ranges if "" not in ranges and len(ranges) == len(nodes) else None

        assert await world.until(given) == {"10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"}

    play(story, nodes=3)


def test_a_silent_node_is_tainted_and_its_pods_come_up_elsewhere() -> None:
    async def story(world: World) -> None:
        await world.client.create(fresh(4))
        await world.until(lambda: complete(world))
        world.silent.add("n1")
        start = asyncio.get_running_loop().time()

        async def unknown() -> Node | None:
            node = await world.client.get(Node, "n1")
            keys = {(t.key, t.effect) for t in node.spec.taints}
            unreachable = "node.kubernetes.io/unreachable"
            return node if keys == {(unreachable, "NoSchedule"), (unreachable, "NoExecute")} else None

        node = await world.until(unknown)
        assert 40 < asyncio.get_running_loop().time() - start < 65
        ready = next(c for c in node.status.conditions if c.type == "Ready")
        assert (ready.status, ready.reason) == ("Unknown", "NodeStatusUnknown")

        async def unready() -> bool:
            stranded = [p for p in await pods_of(world) if p.spec.nodeName == "n1"]
            return bool(stranded) and not any(podlib.ready(p) for p in stranded)

        await world.until(unready)
        d = await world.until(lambda: complete(world), seconds=400)
        assert d.status.replicas == 4
        assert asyncio.get_running_loop().time() - start > 300, "the default toleration holds for 300 s"
        left = [p for p in await pods_of(world) if p.spec.nodeName == "n1"]
        assert left
        assert all(p.metadata.deletionTimestamp is not None for p in left)
        await world.client.delete(Node, "n1")

        async def collected() -> bool:
            return not [p for p in await pods_of(world) if p.spec.nodeName == "n1"]

        await world.until(collected)

    play(story)


class LosesOneAnswer(Between):
    """A transport that brings the first request to evict a node there, and not its answer back."""

    def __init__(self) -> None:
        self.lost = False

    async def request(self, request: Request) -> Response:
        answer = await super().request(request)
        if request.method == "PATCH" and b"NoExecute" in request.body and not self.lost:
            self.lost = True
            raise ConnectionLost("the answer was lost")
        return answer


def test_nodes_of_a_zone_are_evicted_one_after_the_other_whatever_answers_are_lost() -> None:
    between = LosesOneAnswer()

    async def story(world: World) -> None:
        world.silent |= {"n1", "n2"}
        began: dict[str, float] = {}

        async def both() -> bool:
            for name in ("n1", "n2"):
                taints = (await world.client.get(Node, name)).spec.taints
                if any(taint.effect == "NoExecute" for taint in taints):
                    began.setdefault(name, asyncio.get_running_loop().time())
            return len(began) == 2

        await world.until(both)
        assert between.lost
        assert abs(began["n1"] - began["n2"]) > 9

    play(story, nodes=4, between=between)


def test_a_node_that_comes_back_is_clean_again() -> None:
    async def story(world: World) -> None:
        world.silent.add("n1")

        async def tainted() -> bool:
            return bool((await world.client.get(Node, "n1")).spec.taints)

        await world.until(tainted)
        world.silent.discard("n1")
        condition = {"type": "Ready", "status": "True", "lastHeartbeatTime": str(time_now())}
        patch = {"status": {"conditions": [condition]}}
        await world.client.patch(Node, "n1", patch, type="strategic", subresource="status")

        async def clean() -> bool:
            return not await tainted()

        await world.until(clean)

    play(story)


def test_removing_a_taint_in_time_cancels_the_eviction() -> None:
    async def story(world: World) -> None:
        for name, seconds in (("short", 5), ("long", 60)):
            made = simple_pod(name)
            away = Toleration(key="away", operator="Exists", effect="NoExecute", tolerationSeconds=seconds)
            made.spec = replace(made.spec, tolerations=(away,))
            await world.client.create(made)

        async def running() -> bool:
            pods = (await world.client.list(Pod, "ns")).items
            return len(pods) == 2 and all(map(podlib.ready, pods))

        await world.until(running)
        for node in ("n1", "n2"):
            taint = {"key": "away", "effect": "NoExecute"}
            await world.client.patch(Node, node, {"spec": {"taints": [taint]}})
        await asyncio.sleep(20)
        assert [p.metadata.name for p in (await world.client.list(Pod, "ns")).items] == ["long"]
        for node in ("n1", "n2"):
            await world.client.patch(Node, node, {"spec": {"taints": None}})
        await asyncio.sleep(120)
        assert podlib.active(await world.client.get(Pod, "long", "ns"))
        events = {(e.reason, e.message) for e in (await world.client.list(Event, "ns")).items}
        assert ("TaintManagerEviction", "Marking for deletion Pod ns/short") in events
        assert ("TaintManagerEviction", "Cancelling deletion of Pod ns/long") in events

    play(story)
