"""A cloud in memory: machines, load balancers and routes, for tests of what stands on a cloud provider.

It does what `controllers/cloud/interface.py` asks, passes `cloud_suite`, and fails when it is told to. A test keeps the
cloud, and gives its `provider` where a provider's factory is wanted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

from kijabi.api.core.node import Node
from kijabi.api.core.service import LoadBalancerIngress, LoadBalancerStatus, Service
from kijabi.controllers.cloud.interface import (
    CloudError,
    InstanceMetadata,
    Instances,
    LoadBalancers,
    Provider,
    Route,
    Routes,
    Site,
)
from kijabi.controllers.runtime import Context, Controller


class FakeCloud:
    """What there is in the cloud.

    machines: node name → what is known of its machine; off: the names of those switched off. balancers: uid of the
    Service → its address and the names of the nodes behind it. routes: by destination. calls: what was asked, in order.
    fails: raise this, the next time something is asked whose name is in it.
    """

    def __init__(self) -> None:
        self.machines: dict[str, InstanceMetadata] = {}
        self.off: set[str] = set()
        self.balancers: dict[str, tuple[str, frozenset[str]]] = {}
        self.routed: dict[str, Route] = {}
        self.calls: list[str] = []
        self.fails: dict[str, CloudError] = {}
        self._next = ipaddress.ip_address("203.0.113.1")

    def provider(self, site: Site) -> Provider:
        """The factory of a provider that speaks to this cloud."""
        return FakeProvider(self)

    def asked(self, name: str) -> None:
        """Note a call; raise what it is to fail with, once."""
        self.calls.append(name)
        error = self.fails.pop(name, None)
        if error is not None:
            raise error

    def address(self) -> str:
        """One that nobody has."""
        self._next += 1
        return str(self._next - 1)


class FakeProvider:
    """The provider of a FakeCloud: it has everything."""

    name = "fake"

    def __init__(self, cloud: FakeCloud) -> None:
        self.instances = FakeInstances(cloud)
        self.load_balancers = FakeLoadBalancers(cloud)
        self.routes = FakeRoutes(cloud)
        self.controllers: Sequence[Callable[[Context], Controller]] = ()


class FakeInstances(Instances):
    """Machines by the names of their nodes."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud

    async def metadata(self, node: Node) -> InstanceMetadata | None:
        self.cloud.asked("metadata")
        return self.cloud.machines.get(node.metadata.name)

    async def exists(self, node: Node) -> bool:
        self.cloud.asked("exists")
        return node.metadata.name in self.cloud.machines

    async def is_shut_down(self, node: Node) -> bool:
        self.cloud.asked("is_shut_down")
        return node.metadata.name in self.cloud.off


class FakeLoadBalancers(LoadBalancers):
    """Addresses of a network that is kept for examples."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud

    async def get(self, service: Service) -> LoadBalancerStatus | None:
        self.cloud.asked("get")
        found = self.cloud.balancers.get(service.metadata.uid)
        return _status(found[0]) if found is not None else None

    async def ensure(self, service: Service, nodes: Sequence[Node]) -> LoadBalancerStatus:
        self.cloud.asked("ensure")
        uid = service.metadata.uid
        address, _ = self.cloud.balancers.get(uid) or (self.cloud.address(), frozenset())
        self.cloud.balancers[uid] = (address, _names(nodes))
        return _status(address)

    async def update(self, service: Service, nodes: Sequence[Node]) -> None:
        self.cloud.asked("update")
        found = self.cloud.balancers.get(service.metadata.uid)
        if found is None:
            raise CloudError("there is no such load balancer")
        self.cloud.balancers[service.metadata.uid] = (found[0], _names(nodes))

    async def delete(self, service: Service) -> None:
        self.cloud.asked("delete")
        self.cloud.balancers.pop(service.metadata.uid, None)


class FakeRoutes(Routes):
    """Routes by their destination."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud

    async def list(self) -> Sequence[Route]:
        self.cloud.asked("list")
        return tuple(self.cloud.routed.values())

    async def create(self, route: Route, hint: str) -> None:
        self.cloud.asked("create")
        name = f"{hint}-{route.destination}"
        self.cloud.routed[route.destination] = Route(
            name=name, destination=route.destination, node=route.node, addresses=route.addresses
        )

    async def delete(self, route: Route) -> None:
        self.cloud.asked("delete-route")
        self.cloud.routed.pop(route.destination, None)


def _names(nodes: Sequence[Node]) -> frozenset[str]:
    return frozenset(node.metadata.name for node in nodes)


def _status(address: str) -> LoadBalancerStatus:
    return LoadBalancerStatus(ingress=(LoadBalancerIngress(ip=address, ipMode="VIP"),))
