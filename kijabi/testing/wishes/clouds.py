"""Services with load balancers in a cloud. `trouble.py` loses the machines of such a world, and its cloud."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kijabi.api.apps.deployment import Deployment
from kijabi.api.core.balancing import WANTED
from kijabi.api.core.node import Node
from kijabi.api.core.service import Service
from kijabi.base import rand
from kijabi.testing.liveness.cloud import EXCLUDED
from kijabi.testing.liveness.pools import addresses
from kijabi.testing.wishes.hand import Hand, Wish, app_of

OTHERS = "example.com/other"
"""A class of load balancers that nobody makes."""
RANGES = ("192.0.2.0/24", "198.51.100.0/24")


class Clouds:
    """See Theme."""

    kinds: tuple[type[Any], ...] = (Service,)
    first = 1

    def __init__(self, hand: Hand) -> None:
        self.hand = hand

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return (
            (6, self.expose),
            (3, self.change_ports),
            (4, self.change_type),
            (2, self.change_policy),
            (2, self.guard),
            (2, self.withdraw),
            (1, self.exclude),
        )

    async def expose(self) -> None:
        """A Service with a load balancer, now and then of somebody else."""
        if len(await self._balanced()) >= self.hand.most:
            return
        chance = rand.rng()
        d = await self.hand.one(Deployment)
        space = d.metadata.namespace if d is not None else await self.hand.namespace()
        policy = chance.choice(("Cluster", "Cluster", "Local"))
        spec = {
            "type": "LoadBalancer",
            "selector": {"app": app_of(d) if d is not None else "nobody"},
            "ports": self._ports(),
            "externalTrafficPolicy": policy,
            "allocateLoadBalancerNodePorts": chance.random() < 0.8,
        }
        if chance.random() < 0.1:
            spec["loadBalancerClass"] = OTHERS
        await self.hand.create(Service, self.hand.name("lb"), space, policy, spec=spec)

    def _ports(self) -> list[dict[str, Any]]:
        numbers = rand.rng().sample((80, 443, 8080), rand.rng().choice((1, 1, 2)))
        return [{"name": f"p{number}", "port": number, "targetPort": 8080} for number in numbers]

    async def change_ports(self) -> None:
        """Other ports, or the same in another order."""
        service = await self._one()
        if service is not None:
            await self._replace_ports(service)

    async def _replace_ports(self, service: Service) -> None:
        await self.hand.change(service, {"spec": {"ports": [{"$patch": "replace"}, *self._ports()]}})

    async def change_type(self) -> None:
        """To one without a load balancer, or back to one; more than once, now and then, so that it is hardly seen."""
        chance = rand.rng()
        service = await self.hand.one(Service)
        for _ in range(chance.choice((1, 1, 2, 3)) if service is not None else 0):
            service = await self.hand.client.get(Service, service.metadata.name, service.metadata.namespace)
            if service.spec.clusterIP == "None":
                return
            spec: dict[str, Any] = {"type": chance.choice(("ClusterIP", "NodePort"))}
            if service.spec.type != "LoadBalancer":
                other = OTHERS if chance.random() < 0.15 else None
                spec = {"type": "LoadBalancer", "loadBalancerClass": other}
            await self.hand.change(service, {"spec": spec})

    async def change_policy(self) -> None:
        """Who answers, and whether clients come back to the same pod."""
        service, chance = await self._one(), rand.rng()
        if service is not None:
            policy = "Local" if service.spec.externalTrafficPolicy == "Cluster" else "Cluster"
            one = {"externalTrafficPolicy": policy}
            two = {"sessionAffinity": "ClientIP" if service.spec.sessionAffinity == "None" else "None"}
            await self.hand.change(service, {"spec": chance.choice((one, one, two))})

    async def guard(self) -> None:
        """Let in only some, or everybody again."""
        service = await self._one()
        if service is not None:
            ranges = None if service.spec.loadBalancerSourceRanges else [rand.rng().choice(RANGES)]
            await self.hand.change(service, {"spec": {"loadBalancerSourceRanges": ranges}})

    async def withdraw(self) -> None:
        """Delete one."""
        service = await self._one()
        if service is not None:
            await self.hand.delete(service, rand.rng().choice(("Background", "Foreground")))

    async def exclude(self) -> None:
        """Let a node take no part, or part again."""
        node = await self.hand.one(Node)
        if node is not None:
            value = None if EXCLUDED in node.metadata.labels else "true"
            await self.hand.change(node, {"metadata": {"labels": {EXCLUDED: value}}})

    async def _balanced(self) -> list[Service]:
        return [one for one in await self.hand.living(Service) if one.spec.type == "LoadBalancer"]

    async def _one(self) -> Service | None:
        found = await self._balanced()
        return rand.rng().choice(found) if found else None

    async def repair(self) -> None:
        """Nothing that could not be granted."""

    async def update(self) -> None:
        """Other ports."""
        for service in await self._balanced():
            await self._replace_ports(service)


class Pools(Clouds):
    """Services with load balancers without a cloud: their addresses are of a pool, and they may ask for one of it."""

    def wishes(self) -> Sequence[tuple[int, Wish]]:
        return (*super().wishes(), (3, self.ask))

    async def ask(self) -> None:
        """Want a certain address, or any again."""
        service = await self._one()
        if service is not None:
            wanted = None if WANTED in service.metadata.annotations else rand.rng().choice(sorted(addresses()))
            await self.hand.change(service, {"metadata": {"annotations": {WANTED: wanted}}})
