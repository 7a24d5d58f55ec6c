"""The cloud controllers with the fake cloud, against the real API server in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from kijabi.api.core.cloud import SHUTDOWN, UNINITIALIZED
from kijabi.api.core.event import Event
from kijabi.api.core.node import Node, NodeSpec, Taint
from kijabi.api.core.nodestatus import NodeAddress
from kijabi.api.core.service import Service
from kijabi.api.meta import ObjectMeta
from kijabi.controllers.cloud.interface import CloudError, InstanceMetadata, Provider, RetryAfter, Site
from kijabi.controllers.cloud.service import FINALIZER
from kijabi.controllers.config import Config
from kijabi.testing.cloud import FakeCloud
from kijabi.testing.faults import NONE, Faults
from tests.controllers.cloud.test_bare_stories import address, balanced, reasons
from tests.controllers.world import World, play

CLOUD = FakeCloud()
"""The cloud of the story that is being told: settings name a provider, not an object."""


def make(site: Site) -> Provider:
    return CLOUD.provider(site)


def tell(story: Callable[[World, FakeCloud], Awaitable[None]], *, nodes: int = 2, faults: Faults | None = None) -> None:
    global CLOUD
    CLOUD = FakeCloud()
    for number in range(1, 5):
        ip = NodeAddress(type="InternalIP", address=f"10.0.0.{number}")
        CLOUD.machines[f"n{number}"] = InstanceMetadata(
            provider_id=f"fake://{number}", instance_type="large", zone="z1", region="r", addresses=(ip,)
        )
    config = Config(root_ca="CERTIFICATE", host="test", cloud_provider=f"{__name__}:make")
    play(lambda world: story(world, CLOUD), config=config, nodes=nodes, faults=faults)


def test_a_balancer_follows_its_nodes() -> None:
    async def story(world: World, cloud: FakeCloud) -> None:
        await world.client.create(balanced("a"))
        assert await world.until(lambda: address(world, "a")) == "203.0.113.1"
        (uid,) = cloud.balancers

        async def behind(*names: str) -> None:
            async def so() -> bool:
                return cloud.balancers[uid][1] == frozenset(names)

            await world.until(so)

        await behind("n1", "n2")
        await world.node("n3")
        await behind("n1", "n2", "n3")
        asked = cloud.calls.count("ensure")
        label = {"metadata": {"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": "true"}}}
        await world.client.patch(Node, "n1", label)
        await behind("n2", "n3")
        assert cloud.calls.count("ensure") == asked, "nodes are brought by update alone"
        await world.client.delete(Service, "a", "ns")
        await world.gone(Service, "a", "ns")
        assert not cloud.balancers
        expected = {"EnsuringLoadBalancer", "EnsuredLoadBalancer", "UpdatedLoadBalancer", "DeletedLoadBalancer"}

        async def told() -> bool:
            return expected <= await reasons(world, "a")

        await world.until(told)

    tell(story)


def test_what_the_cloud_refuses_is_told_and_tried_again() -> None:
    async def story(world: World, cloud: FakeCloud) -> None:
        cloud.fails["ensure"] = CloudError("quota exceeded")
        await world.client.create(balanced("a"))

        async def text() -> str:
            events = (await world.client.list(Event, "ns")).items
            return next((e.message for e in events if e.reason == "SyncLoadBalancerFailed"), "")

        refused = "Error syncing load balancer: failed to ensure load balancer: quota exceeded"
        assert await world.until(text) == refused
        assert await world.until(lambda: address(world, "a"))
        cloud.fails["delete"] = CloudError("busy")
        await world.client.delete(Service, "a", "ns")
        await asyncio.sleep(1)
        assert FINALIZER in (await world.client.get(Service, "a", "ns")).metadata.finalizers, "it is held back"
        await world.gone(Service, "a", "ns")
        assert not cloud.balancers

    tell(story)


def test_a_service_that_wants_none_for_a_moment_has_one_again() -> None:
    async def story(world: World, cloud: FakeCloud) -> None:
        await world.client.create(balanced("a"))
        await world.until(lambda: address(world, "a"))
        (uid,) = cloud.balancers
        for pause in (0.0, 0.01, 0.02, 0.05):  # Seen in full, half seen, or not seen at all.
            for kind in ("NodePort", "LoadBalancer"):
                await world.client.patch(Service, "a", {"spec": {"type": kind}}, namespace="ns")
                await asyncio.sleep(pause)
            await asyncio.sleep(30)
            assert uid in cloud.balancers
            assert await address(world, "a") == cloud.balancers[uid].address

    for slow in (NONE, Faults(latency=(0.01, 0.05), lost_request=0, lost_reply=0)):
        tell(story, faults=slow)


def test_a_cloud_may_say_when_to_come_again() -> None:
    async def story(world: World, cloud: FakeCloud) -> None:
        cloud.fails["ensure"] = RetryAfter("provisioning", 60)
        start = asyncio.get_running_loop().time()
        await world.client.create(balanced("a"))
        await world.until(lambda: address(world, "a"))
        assert 60 <= asyncio.get_running_loop().time() - start < 63

    tell(story)


def test_a_balancer_of_a_class_is_not_ours() -> None:
    async def story(world: World, cloud: FakeCloud) -> None:
        await world.client.create(balanced("a", loadBalancerClass="example.com/other"))
        await world.client.create(balanced("b"))
        await world.until(lambda: address(world, "b"))
        assert len(cloud.balancers) == 1
        assert FINALIZER not in (await world.client.get(Service, "a", "ns")).metadata.finalizers

    tell(story)


def test_a_new_node_waits_for_the_cloud() -> None:
    async def story(world: World, cloud: FakeCloud) -> None:
        cloud.fails["metadata"] = CloudError("away")
        taints = (Taint(key=UNINITIALIZED, value="true", effect="NoSchedule"),)
        await world.client.create(Node(metadata=ObjectMeta(name="n4"), spec=NodeSpec(taints=taints)))

        async def known() -> Node | None:
            node = await world.client.get(Node, "n4")
            return node if node.status.addresses else None

        node = await world.until(known)
        assert UNINITIALIZED not in {taint.key for taint in node.spec.taints}
        assert node.spec.providerID == "fake://4"
        assert node.metadata.labels["topology.kubernetes.io/zone"] == "z1"
        assert node.metadata.labels["node.kubernetes.io/instance-type"] == "large"
        assert node.status.addresses[0].address == "10.0.0.4"
        moved = NodeAddress(type="InternalIP", address="10.0.0.44")
        cloud.machines["n4"] = InstanceMetadata(provider_id="fake://4", addresses=(moved,))

        async def elsewhere() -> bool:
            return (await world.client.get(Node, "n4")).status.addresses[0].address == "10.0.0.44"

        await world.until(elsewhere, seconds=400)

    tell(story)


def test_machines_that_are_off_or_gone() -> None:
    async def story(world: World, cloud: FakeCloud) -> None:
        cloud.off.add("n1")
        world.silent.update(("n1", "n2"))

        async def tainted(name: str) -> bool:
            return SHUTDOWN in {taint.key for taint in (await world.client.get(Node, name)).spec.taints}

        await world.until(lambda: tainted("n1"))
        assert not await tainted("n2")
        del cloud.machines["n2"]
        await world.gone(Node, "n2", seconds=30)
        assert (await world.client.get(Node, "n1")).metadata.name == "n1"

    tell(story, nodes=3)


def test_what_unsays_a_nodes_routes_is_put_right() -> None:
    """A request of a controller that is no more can arrive after the one that was right."""

    async def story(world: World, cloud: FakeCloud) -> None:
        async def said(name: str) -> bool:
            conditions = (await world.client.get(Node, name)).status.conditions
            return any((one.type, one.status) == ("NetworkUnavailable", "False") for one in conditions)

        await world.until(lambda: said("n1"))
        late = {"type": "NetworkUnavailable", "status": "True", "reason": "NoRouteCreated"}
        await world.client.patch(Node, "n1", {"status": {"conditions": [late]}}, type="strategic", subresource="status")
        assert not await said("n1")
        await world.until(lambda: said("n1"))

    tell(story)


def test_every_node_has_a_route() -> None:
    async def story(world: World, cloud: FakeCloud) -> None:
        cloud.fails["create"] = CloudError("no")

        async def reason(name: str) -> tuple[str, str]:
            conditions = (await world.client.get(Node, name)).status.conditions
            return next(((c.status, c.reason) for c in conditions if c.type == "NetworkUnavailable"), ("", ""))

        async def all_made() -> bool:
            return {await reason("n1"), await reason("n2")} == {("False", "RouteCreated")}

        await world.until(all_made)
        assert {route.node for route in cloud.routed.values()} == {"n1", "n2"}
        events = (await world.client.list(Event, "default")).items
        assert any(event.reason == "FailedToCreateRoute" for event in events)
        await world.client.delete(Node, "n2")

        async def gone() -> bool:
            return {route.node for route in cloud.routed.values()} == {"n1"}

        await world.until(gone)

    tell(story)


def test_it_comes_right_through_lost_requests_and_replies() -> None:
    async def story(world: World, cloud: FakeCloud) -> None:
        for number in range(20):
            await world.client.create(balanced(f"s{number}"))
        for number in range(0, 20, 2):
            await world.client.delete(Service, f"s{number}", "ns")

        async def right() -> bool:
            services = (await world.client.list(Service, "ns")).items
            shown = {one.status.loadBalancer.ingress[0].ip for one in services if one.status.loadBalancer.ingress}
            return len(services) == len(shown) == len(cloud.balancers) == 10

        await world.until(right, seconds=900)

    tell(story, faults=Faults(lost_request=0.1, lost_reply=0.1))
