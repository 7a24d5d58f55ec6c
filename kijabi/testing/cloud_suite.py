"""The contract of a cloud provider as a pytest class: the fake, the built-in one and yours pass the same tests.

    class TestMine(CloudSuite):
        async def open(self) -> Provider:
            return Mine(site)

What the provider does not have is skipped. The Services and nodes of the tests exist nowhere else, unless `service` and
`node` are overridden to create them.
"""

from __future__ import annotations

from abc import abstractmethod

import pytest

from kijabi.api.core.node import Node, NodeSpec
from kijabi.api.core.nodestatus import NodeAddress, NodeStatus
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.meta import ObjectMeta
from kijabi.controllers.cloud.interface import Instances, LoadBalancers, Provider, Route, Routes


class CloudSuite:
    """Subclass it, say how to open a provider, and pytest collects the contract."""

    @abstractmethod
    async def open(self) -> Provider:
        """A provider for a cluster that has nothing in the cloud yet, but for the machines of its nodes."""

    async def service(self, name: str) -> Service:
        """A Service that wants a load balancer."""
        spec = ServiceSpec(type="LoadBalancer", ports=(ServicePort(port=80),), ipFamilies=("IPv4",))
        return Service(metadata=ObjectMeta(name=name, namespace="default", uid=f"uid-{name}"), spec=spec)

    async def node(self, name: str, number: int) -> Node:
        """A node; one of the name `gone` is to have no machine."""
        status = NodeStatus(addresses=(NodeAddress(type="InternalIP", address=f"10.0.0.{number}"),))
        spec = NodeSpec(podCIDRs=(f"10.244.{number}.0/24",))
        return Node(metadata=ObjectMeta(name=name, uid=f"uid-{name}"), spec=spec, status=status)

    async def balancers(self) -> LoadBalancers:
        found = (await self.open()).load_balancers
        return found if found is not None else pytest.skip("no load balancers")

    async def instances(self) -> Instances:
        found = (await self.open()).instances
        return found if found is not None else pytest.skip("no instances")

    async def routes(self) -> Routes:
        found = (await self.open()).routes
        return found if found is not None else pytest.skip("no routes")

    async def test_a_balancer_is_there_once_it_was_ensured(self) -> None:
        balancers, service = await self.balancers(), await self.service("a")
        assert await balancers.get(service) is None
        made = await balancers.ensure(service, [await self.node("n1", 1)])
        assert any(one.ip or one.hostname for one in made.ingress)
        assert await balancers.get(service) == made

    async def test_ensuring_again_changes_nothing(self) -> None:
        balancers, service = await self.balancers(), await self.service("a")
        made = await balancers.ensure(service, [await self.node("n1", 1)])
        assert await balancers.ensure(service, [await self.node("n1", 1), await self.node("n2", 2)]) == made

    async def test_each_service_has_its_own(self) -> None:
        balancers, (a, b) = await self.balancers(), (await self.service("a"), await self.service("b"))
        nodes = [await self.node("n1", 1)]
        one, other = await balancers.ensure(a, nodes), await balancers.ensure(b, nodes)
        assert {i.ip or i.hostname for i in one.ingress}.isdisjoint({i.ip or i.hostname for i in other.ingress})

    async def test_other_nodes_leave_the_address(self) -> None:
        balancers, service = await self.balancers(), await self.service("a")
        made = await balancers.ensure(service, [await self.node("n1", 1)])
        await balancers.update(service, [await self.node("n2", 2)])
        assert await balancers.get(service) == made

    async def test_deleting_is_for_good_and_may_be_repeated(self) -> None:
        balancers, service = await self.balancers(), await self.service("a")
        await balancers.delete(service)
        await balancers.ensure(service, [await self.node("n1", 1)])
        await balancers.delete(service)
        await balancers.delete(service)
        await self.settled(service)
        assert await balancers.get(service) is None

    async def settled(self, service: Service) -> None:
        """Until a load balancer that was deleted is gone, for a cloud that takes its time."""

    async def test_machines_are_known(self) -> None:
        instances, node = await self.instances(), await self.node("n1", 1)
        found = await instances.metadata(node)
        assert found is not None
        assert found.provider_id
        assert found == await instances.metadata(node)
        assert await instances.exists(node)

    async def test_what_is_not_there_does_not_exist(self) -> None:
        instances = await self.instances()
        assert not await instances.exists(await self.node("gone", 9))

    async def test_routes_come_and_go(self) -> None:
        routes = await self.routes()
        wanted = [Route(destination=f"10.244.{n}.0/24", node=f"n{n}", addresses=None) for n in (1, 2)]
        for route in wanted:
            await routes.create(route, f"uid-{route.node}")
        found = {route.destination: route for route in await routes.list()}
        assert {(route.destination, route.node) for route in found.values()} == {
            ("10.244.1.0/24", "n1"),
            ("10.244.2.0/24", "n2"),
        }
        for _ in range(2):
            await routes.delete(found["10.244.1.0/24"])
        assert [route.node for route in await routes.list()] == ["n2"]
