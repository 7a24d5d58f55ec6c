"""A cloud in memory: machines, load balancers and routes, for tests of what stands on a cloud provider.

It does what `controllers/cloud/interface.py` asks, passes `cloud_suite`, and fails when it is told to: once, by chance,
or for a while. A test keeps the cloud, and gives its `provider` where a provider's factory is wanted; where settings
want a name, that is `NAME`, for whoever has put the cloud into `HERE`. It outlives the controllers: what was done is
done, whether or not they lived to hear of it.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

import msgspec

from kijabi.api.core.node import Node
from kijabi.api.core.nodestatus import NodeAddress
from kijabi.api.core.service import LoadBalancerIngress, LoadBalancerStatus, Service
from kijabi.base import rand
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
from kijabi.testing.faults import NONE

T = TypeVar("T")


class Balancer(NamedTuple):
    """Its address, the names of the nodes behind it, and what its Service asked for when it was last made so."""

    address: str
    nodes: frozenset[str]
    terms: tuple[Any, ...]


def terms(service: Service) -> tuple[Any, ...]:
    """What a Service asks of its load balancer."""
    spec = service.spec
    return (
        spec.ports,
        spec.loadBalancerSourceRanges,
        spec.sessionAffinity,
        spec.externalTrafficPolicy,
        spec.healthCheckNodePort,
    )


class FakeCloud:
    """What there is in the cloud.

    machines: node name → what is known of its machine; lost: those that are not there for now; off: the names of those
    switched off. balancers: by the uid of the Service. routed: routes by destination. calls: what was asked, in order.
    fails: raise this, the next time something is asked whose name is in it. down: raise this, whatever is asked.
    faults: how well requests and answers get through (latency, lost_request, lost_reply).
    """

    def __init__(self) -> None:
        self.machines: dict[str, InstanceMetadata] = {}
        self.lost: dict[str, InstanceMetadata] = {}
        self.off: set[str] = set()
        self.balancers: dict[str, Balancer] = {}
        self.routed: dict[str, Route] = {}
        self.calls: list[str] = []
        self.fails: dict[str, CloudError] = {}
        self.down: CloudError | None = None
        self.faults = NONE
        self._next = ipaddress.ip_address("203.0.113.1")
        self._outside = ipaddress.ip_address("198.51.100.1")

    def provider(self, site: Site) -> Provider:
        """The factory of a provider that speaks to this cloud."""
        return FakeProvider(self)

    async def asked(self, name: str, act: Callable[[], T]) -> T:
        """Note a call and do what it is for; raise what it is to fail with, before that or after."""
        self.calls.append(name)
        error = self.fails.pop(name, None) or self.down
        if error is not None:
            raise error
        await self._pass(self.faults.lost_request, "the request did not reach the cloud")
        answer = act()
        await self._pass(self.faults.lost_reply, "the cloud's answer was lost")
        return answer

    async def _pass(self, lost: float, why: str) -> None:
        faults = self.faults
        if faults is NONE:
            return
        chance = rand.rng()
        await asyncio.sleep(chance.uniform(*faults.latency))
        if chance.random() < lost:
            await asyncio.sleep(chance.uniform(*faults.loss_seconds))
            raise CloudError(why)

    # ---- what happens to machines

    def install(self, name: str, address: str, zone: str = "") -> None:
        """A machine for the node of a name."""
        inside = NodeAddress(type="InternalIP", address=address)
        self.machines[name] = InstanceMetadata(
            provider_id=f"fake://{name}",
            instance_type="large",
            zone=zone,
            region="r",
            addresses=(inside, self._public()),
        )

    def lose(self, name: str) -> None:
        """A machine is not there any more."""
        self.lost[name] = self.machines.pop(name)

    def restore(self, name: str) -> None:
        """A machine that was lost is there again, of another address to the outside."""
        found = self.lost.pop(name)
        inside = tuple(one for one in found.addresses if one.type != "ExternalIP")
        self.machines[name] = msgspec.structs.replace(found, addresses=(*inside, self._public()))

    def switch_off(self, name: str) -> None:
        """A machine is shut down."""
        self.off.add(name)

    def switch_on(self, name: str) -> None:
        """A machine runs again."""
        self.off.discard(name)

    def heal(self) -> None:
        """No more faults; every machine is there and runs."""
        self.faults, self.down = NONE, None
        self.fails.clear()
        for name in sorted(self.lost):
            self.restore(name)
        for name in sorted(self.off):
            self.switch_on(name)

    def _public(self) -> NodeAddress:
        self._outside += 1
        return NodeAddress(type="ExternalIP", address=str(self._outside - 1))

    # ---- what the provider does here

    def ensure(self, service: Service, nodes: Sequence[Node]) -> LoadBalancerStatus:
        """See LoadBalancers."""
        there = self.balancers.get(service.metadata.uid)
        made = Balancer(there.address if there is not None else self._address(), _names(nodes), terms(service))
        self.balancers[service.metadata.uid] = made
        return _status(made)

    def update(self, service: Service, nodes: Sequence[Node]) -> None:
        """See LoadBalancers."""
        there = self.balancers.get(service.metadata.uid)
        if there is None:
            raise CloudError("there is no such load balancer")
        self.balancers[service.metadata.uid] = there._replace(nodes=_names(nodes))

    def delete(self, service: Service) -> None:
        """See LoadBalancers."""
        self.balancers.pop(service.metadata.uid, None)

    def route(self, route: Route, hint: str) -> None:
        """Make a route."""
        made = msgspec.structs.replace(route, name=f"{hint}-{route.destination}")
        self.routed[route.destination] = made

    def unroute(self, route: Route) -> None:
        """Remove a route."""
        self.routed.pop(route.destination, None)

    def _address(self) -> str:
        """One that nobody has had."""
        self._next += 1
        return str(self._next - 1)


HERE: ContextVar[FakeCloud] = ContextVar("HERE")
"""The cloud that the controllers which are started in this context stand in."""


def here(site: Site) -> Provider:
    """The factory of a provider that speaks to the cloud of this context."""
    return HERE.get().provider(site)


NAME = f"{__name__}:{here.__name__}"
"""What settings call the cloud of this context."""


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
        return await self.cloud.asked("metadata", lambda: self.cloud.machines.get(node.metadata.name))

    async def exists(self, node: Node) -> bool:
        return await self.cloud.asked("exists", lambda: node.metadata.name in self.cloud.machines)

    async def is_shut_down(self, node: Node) -> bool:
        return await self.cloud.asked("is_shut_down", lambda: node.metadata.name in self.cloud.off)


class FakeLoadBalancers(LoadBalancers):
    """Addresses of a network that is kept for examples."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud

    async def get(self, service: Service) -> LoadBalancerStatus | None:
        found = await self.cloud.asked("get", lambda: self.cloud.balancers.get(service.metadata.uid))
        return _status(found) if found is not None else None

    async def ensure(self, service: Service, nodes: Sequence[Node]) -> LoadBalancerStatus:
        return await self.cloud.asked("ensure", lambda: self.cloud.ensure(service, nodes))

    async def update(self, service: Service, nodes: Sequence[Node]) -> None:
        await self.cloud.asked("update", lambda: self.cloud.update(service, nodes))

    async def delete(self, service: Service) -> None:
        await self.cloud.asked("delete", lambda: self.cloud.delete(service))


class FakeRoutes(Routes):
    """Routes by their destination."""

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud

    async def list(self) -> Sequence[Route]:
        return await self.cloud.asked("list", lambda: tuple(self.cloud.routed.values()))

    async def create(self, route: Route, hint: str) -> None:
        await self.cloud.asked("create", lambda: self.cloud.route(route, hint))

    async def delete(self, route: Route) -> None:
        await self.cloud.asked("delete-route", lambda: self.cloud.unroute(route))


def _names(nodes: Sequence[Node]) -> frozenset[str]:
    return frozenset(node.metadata.name for node in nodes)


def _status(made: Balancer) -> LoadBalancerStatus:
    return LoadBalancerStatus(ingress=(LoadBalancerIngress(ip=made.address, ipMode="VIP"),))
