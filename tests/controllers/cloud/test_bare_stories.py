"""Services get addresses of a pool, never one twice, and a node that announces each."""

from __future__ import annotations

import asyncio
from functools import partial

from kijabi.api.core.balancing import ANNOUNCED_BY, CLAIM
from kijabi.api.core.event import Event
from kijabi.api.core.node import Node
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.meta import ObjectMeta
from kijabi.api.networking.ipaddress import IPAddress
from kijabi.base import rand
from kijabi.client.informer import Informers
from kijabi.controllers.cloud.bare.claims import Claims, Reclaimer
from kijabi.controllers.cloud.bare.pool import Pool
from kijabi.controllers.cloud.service import FINALIZER
from kijabi.controllers.config import Config
from kijabi.controllers.runtime import Context
from kijabi.testing.cluster import cluster
from kijabi.testing.faults import Faults
from tests.controllers.world import World, play

THREE = Config(
    root_ca="CERTIFICATE", host="test", cloud_provider="bare", load_balancer_pool=("172.30.0.10-172.30.0.12",)
)


def balanced(name: str, **more: object) -> Service:
    spec = ServiceSpec(type="LoadBalancer", ports=(ServicePort(port=80),), selector={"app": name}, **more)  # type: ignore[arg-type]
    return Service(metadata=ObjectMeta(name=name, namespace="ns"), spec=spec)


async def address(world: World, name: str) -> str:
    service = await world.client.get(Service, name, "ns")
    return next((ingress.ip for ingress in service.status.loadBalancer.ingress), "")


async def reasons(world: World, name: str) -> set[str]:
    events = (await world.client.list(Event, "ns")).items
    return {event.reason for event in events if event.involvedObject.name == name}


def test_services_get_addresses_and_give_them_back() -> None:
    async def story(world: World) -> None:
        for name in ("a", "b"):
            await world.client.create(balanced(name))
            await world.until(partial(address, world, name))
        assert (await address(world, "a"), await address(world, "b")) == ("172.30.0.10", "172.30.0.11")
        service = await world.client.get(Service, "a", "ns")
        assert FINALIZER in service.metadata.finalizers
        assert service.status.loadBalancer.ingress[0].ipMode == "VIP"
        claim = await world.client.get(IPAddress, "172.30.0.10")
        assert claim.spec.parentRef is not None
        assert (claim.spec.parentRef.resource, claim.spec.parentRef.name) == ("services", "a")

        await world.client.delete(Service, "a", "ns")
        await world.gone(Service, "a", "ns")
        await world.gone(IPAddress, "172.30.0.10")
        await world.client.create(balanced("c"))
        assert await world.until(lambda: address(world, "c")) == "172.30.0.10"
        wanted = {"EnsuringLoadBalancer", "EnsuredLoadBalancer", "DeletingLoadBalancer", "DeletedLoadBalancer"}

        async def told() -> bool:
            return wanted <= await reasons(world, "a")

        await world.until(told)

    play(story, config=THREE)


def test_a_service_that_wants_no_balancer_any_more_keeps_nothing() -> None:
    async def story(world: World) -> None:
        await world.client.create(balanced("a"))
        await world.until(lambda: address(world, "a"))
        await world.client.patch(Service, "a", {"spec": {"type": "ClusterIP"}}, namespace="ns")
        await world.gone(IPAddress, "172.30.0.10")
        service = await world.client.get(Service, "a", "ns")
        assert not service.status.loadBalancer.ingress
        assert FINALIZER not in service.metadata.finalizers

        async def silent() -> bool:
            return ANNOUNCED_BY not in (await world.client.get(Service, "a", "ns")).metadata.annotations

        await world.until(silent)

    play(story, config=THREE)


def test_who_finds_no_address_waits_and_is_served_when_one_is_free() -> None:
    async def story(world: World) -> None:
        for name in ("a", "b", "c"):
            await world.client.create(balanced(name))
            await world.until(partial(address, world, name))
        await world.client.create(balanced("d"))

        async def refused() -> bool:
            return "SyncLoadBalancerFailed" in await reasons(world, "d")

        await world.until(refused)
        assert await address(world, "d") == ""
        await asyncio.sleep(400)  # Its back-off is long by now.
        await world.client.delete(Service, "b", "ns")
        start = asyncio.get_running_loop().time()
        assert await world.until(lambda: address(world, "d")) == "172.30.0.11"
        assert asyncio.get_running_loop().time() - start < 10

    play(story, config=THREE)


def test_an_address_that_is_asked_for_is_given_or_nothing_is() -> None:
    async def story(world: World) -> None:
        await world.client.create(balanced("a", loadBalancerIP="172.30.0.12"))
        assert await world.until(lambda: address(world, "a")) == "172.30.0.12"
        await world.client.create(balanced("b", loadBalancerIP="172.30.0.12"))
        await world.client.create(balanced("c", loadBalancerIP="10.0.0.1"))

        async def texts() -> set[str] | None:
            events = (await world.client.list(Event, "ns")).items
            found = {e.message for e in events if e.reason == "SyncLoadBalancerFailed"}
            return found if len(found) == 2 else None

        before = "Error syncing load balancer: failed to ensure load balancer: "
        assert await world.until(texts) == {
            f"{before}the load balancer address 172.30.0.12 belongs to ns/a",
            f"{before}10.0.0.1 is not in the pool of load balancer addresses (172.30.0.10-172.30.0.12)",
        }
        await world.client.patch(Service, "a", {"spec": {"loadBalancerIP": "172.30.0.11"}}, namespace="ns")

        async def both() -> bool:
            return (await address(world, "a"), await address(world, "b")) == ("172.30.0.11", "172.30.0.12")

        await world.until(both)

    play(story, config=THREE)


def test_an_address_of_a_node_is_not_given_away() -> None:
    async def story(world: World) -> None:
        address_of = {"type": "InternalIP", "address": "172.30.0.10"}
        await world.client.patch(Node, "n1", {"status": {"addresses": [address_of]}}, subresource="status")
        await asyncio.sleep(1)
        await world.client.create(balanced("a"))
        assert await world.until(lambda: address(world, "a")) == "172.30.0.11"
        await world.client.create(balanced("b", loadBalancerIP="172.30.0.10"))

        async def refused() -> bool:
            events = (await world.client.list(Event, "ns")).items
            return any("172.30.0.10 is the address of a node" in event.message for event in events)

        await world.until(refused)

    play(story, config=THREE)


def test_an_address_is_announced_by_one_node_and_moves_when_that_dies() -> None:
    async def story(world: World) -> None:
        await world.client.create(balanced("a"))

        async def announcer() -> str:
            return (await world.client.get(Service, "a", "ns")).metadata.annotations.get(ANNOUNCED_BY, "")

        first = await world.until(announcer)
        world.silent.add(first)
        start = asyncio.get_running_loop().time()

        async def moved() -> bool:
            return await announcer() not in ("", first)

        await world.until(moved)
        assert 25 < asyncio.get_running_loop().time() - start < 55
        second = await announcer()
        label = {"metadata": {"labels": {"node.kubernetes.io/exclude-from-external-load-balancers": ""}}}
        await world.client.patch(Node, second, label)

        async def third() -> bool:
            return await announcer() not in ("", first, second)

        await world.until(third)

    play(story, config=THREE, nodes=3)


def test_no_address_is_shown_twice_whatever_is_lost_and_whenever_it_restarts() -> None:
    """More Services than addresses, coming and going, over a bad network; looked at after every change."""

    async def story(world: World) -> None:
        shown: dict[str, str] = {}  # address → uid of the Service that shows it
        informer = Informers(world.client).of(Service)

        def look(old: Service | None, new: Service | None) -> None:
            for gone in (old,) if old is not None else ():
                for ingress in gone.status.loadBalancer.ingress:
                    shown.pop(ingress.ip, None)
            for ingress in new.status.loadBalancer.ingress if new is not None else ():
                assert ingress.ip not in shown, f"{ingress.ip} is shown twice"
                shown[ingress.ip] = new.metadata.uid if new is not None else ""

        informer.add_handler(look)
        world.tasks.create_task(informer.run())
        for turn in range(12):
            await world.client.create(balanced(f"s{turn}"))
            await asyncio.sleep(rand.rng().uniform(0, 8))
            if turn >= 3:
                old = f"s{turn - 3}"
                if turn % 3:
                    await world.client.delete(Service, old, "ns")
                else:
                    await world.client.patch(Service, old, {"spec": {"type": "ClusterIP"}}, namespace="ns")

        async def right() -> bool:
            wanting = [f"s{turn}" for turn in (9, 10, 11)]
            given = {await address(world, name) for name in wanting}
            claims = {claim.metadata.name for claim in (await world.client.list(IPAddress, labels=CLAIM)).items}
            return "" not in given and given == claims

        await world.until(right, seconds=1200)

    for seed in range(1, 6):
        play(story, config=THREE, faults=Faults(lost_request=0.1, lost_reply=0.1), seed=seed)


async def test_a_claim_that_was_given_back_is_not_had_any_more_before_the_cache_knows() -> None:
    async with cluster(nodes=0, controllers_too=False) as world:
        informers = Informers(world.admin)
        context = Context(Config(load_balancer_pool=("10.0.0.1",)), world.admin, informers)
        claims = Claims(context, Pool(context.config.load_balancer_pool))
        following = asyncio.create_task(informers.run())
        await informers.wait_synced()
        wanted = balanced("a")
        wanted.metadata.namespace = "default"
        service = await world.admin.create(wanted)
        assert await claims.claim(service, "10.0.0.1")
        await world.admin.delete(Service, "a", "default")

        async def known() -> bool:
            return claims.addresses.get("10.0.0.1") is not None

        await world.until(known)
        following.cancel()  # From here on the cache is behind.
        assert claims.of(service) == ["10.0.0.1"]
        await Reclaimer(context, claims).reconcile("10.0.0.1")
        assert claims.of(service) == []
