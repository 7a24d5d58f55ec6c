"""Ranges of Service addresses: they stay while needed, and say so. Nodes' lifetimes of what they have read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kijabi.api.core.event import Event
from kijabi.api.core.node import Node
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.meta import ObjectMeta
from kijabi.api.networking.ipaddress import IPAddress, IPAddressSpec, ParentReference
from kijabi.api.networking.servicecidr import FINALIZER, ServiceCIDR, ServiceCIDRSpec
from kijabi.base.errors import Invalid
from kijabi.controllers.nodettl import ANNOTATION, SIZES, step
from kijabi.controllers.servicecidr import IN_USE, removable
from tests.controllers.world import World, play


def cidr(name: str, *ranges: str) -> ServiceCIDR:
    return ServiceCIDR(metadata=ObjectMeta(name=name), spec=ServiceCIDRSpec(cidrs=ranges))


@pytest.mark.parametrize(
    ("others", "used", "may_go"),
    [
        ((), (), True),
        ((), ("10.0.0.5",), False),
        ((), ("10.0.1.5",), True),
        ((), ("10.0.0.0", "10.0.0.255"), True),  # nobody's addresses
        (("10.0.0.0/16",), ("10.0.0.5",), True),
        (("10.0.0.0/24",), ("10.0.0.5",), True),
        (("10.0.0.0/25",), ("10.0.0.5",), True),
        (("10.0.0.0/25",), ("10.0.0.200",), False),
        (("fd00::/64",), ("10.0.0.5",), False),
    ],
)
def test_a_range_may_go_when_no_address_is_left_alone(
    others: tuple[str, ...], used: tuple[str, ...], may_go: bool
) -> None:
    one = cidr("one", "10.0.0.0/24")
    assert removable(one, [cidr(f"o{place}", text) for place, text in enumerate(others)], used) is may_go


def test_a_range_in_use_waits_and_says_so() -> None:
    async def story(world: World) -> None:
        await world.client.create(cidr("extra", "10.77.0.0/24"))

        async def condition(status: str) -> ServiceCIDR | None:
            one = await world.client.get(ServiceCIDR, "extra")
            known = {c.type: c.status for c in one.status.conditions}
            return one if known == {"Ready": status} and FINALIZER in one.metadata.finalizers else None

        await world.until(lambda: condition("True"))
        labels = {
            "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io", "ipaddress.kubernetes.io/ip-family": "IPv4",
        }  # fmt: skip
        spec = IPAddressSpec(parentRef=ParentReference(resource="services", namespace="ns", name="x"))
        await world.client.create(IPAddress(metadata=ObjectMeta(name="10.77.0.9", labels=labels), spec=spec))
        await asyncio.sleep(1)
        await world.client.delete(ServiceCIDR, "extra")
        one = await world.until(lambda: condition("False"))
        assert [(c.reason, c.message) for c in one.status.conditions] == [("Terminating", IN_USE)]
        await asyncio.sleep(30)
        assert await condition("False")
        await world.client.delete(IPAddress, "10.77.0.9")
        await world.gone(ServiceCIDR, "extra")

    play(story)


def test_another_range_frees_one_that_is_in_use() -> None:
    async def story(world: World) -> None:
        await world.client.create(cidr("extra", "10.77.0.0/24"))
        labels = {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}
        spec = IPAddressSpec(parentRef=ParentReference(resource="services", namespace="ns", name="x"))
        await world.client.create(IPAddress(metadata=ObjectMeta(name="10.77.0.9", labels=labels), spec=spec))
        await asyncio.sleep(1)
        await world.client.delete(ServiceCIDR, "extra")
        await asyncio.sleep(30)
        await world.client.get(ServiceCIDR, "extra")
        await world.client.create(cidr("wider", "10.77.0.0/16"))
        await world.gone(ServiceCIDR, "extra")

    play(story)


@pytest.mark.parametrize(
    ("before", "count", "after"),
    [(0, 100, 0), (0, 101, 1), (1, 95, 1), (1, 89, 0), (0, 2001, 4), (4, 0, 0), (4, 1800, 4)],
)
def test_answers_by_size_do_not_flutter(before: int, count: int, after: int) -> None:
    assert step(before, count) == after


def test_every_node_is_told_when_the_cluster_grows() -> None:
    async def story(world: World) -> None:
        for number in range(101):
            await world.client.create(Node(metadata=ObjectMeta(name=f"m{number}")))

        async def told() -> bool:
            nodes = (await world.client.list(Node)).items
            return all(node.metadata.annotations.get(ANNOTATION) == str(SIZES[1].seconds) for node in nodes)

        await world.until(told)
        for number in range(20):
            await world.client.delete(Node, f"m{number}")

        async def fresh() -> bool:
            nodes = (await world.client.list(Node)).items
            return all(node.metadata.annotations.get(ANNOTATION) == "0" for node in nodes)

        await world.until(fresh)

    play(story, nodes=1)


def plain(name: str, **spec: Any) -> Service:
    ports = (ServicePort(port=80, protocol="TCP"),)
    return Service(metadata=ObjectMeta(name=name, namespace="ns"), spec=ServiceSpec(ports=ports, **spec))


def test_services_get_addresses_of_every_range_while_it_stays() -> None:
    async def story(world: World) -> None:
        with pytest.raises(Invalid, match="does not match the current range"):
            await world.client.create(plain("early", clusterIP="10.77.0.9"))
        await world.client.create(cidr("extra", "10.77.0.0/24"))
        made = await world.client.create(plain("one", clusterIP="10.77.0.9"))
        assert made.spec.clusterIPs == ("10.77.0.9",)
        for wrong, words in (("10.77.0.9", "already allocated"), ("10.77.0.255", "not in the valid range")):
            with pytest.raises(Invalid, match=words):
                await world.client.create(plain("two", clusterIP=wrong))
        await asyncio.sleep(1)
        await world.client.delete(ServiceCIDR, "extra")
        with pytest.raises(Invalid, match="does not match the current range"):
            await world.client.create(plain("late", clusterIP="10.77.0.10"))
        await asyncio.sleep(30)
        assert (await world.client.get(ServiceCIDR, "extra")).metadata.deletionTimestamp, "one still has its address"
        await world.client.delete(Service, "one", "ns")
        await world.gone(ServiceCIDR, "extra")

    play(story)


def test_addresses_that_somebody_deletes_or_invents_are_put_right() -> None:
    async def story(world: World) -> None:
        made = await world.client.create(plain("one"))
        name = made.spec.clusterIP
        await world.client.delete(IPAddress, name)
        with pytest.raises(Invalid, match="already allocated"):
            await world.client.create(plain("thief", clusterIP=name))

        async def back() -> bool:
            found = (await world.client.list(IPAddress)).items
            return any(a.metadata.name == name and a.spec.parentRef and a.spec.parentRef.name == "one" for a in found)

        await world.until(back)
        spec = IPAddressSpec(parentRef=ParentReference(resource="services", namespace="ns", name="nobody"))
        labels = {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}
        leaked = IPAddress(metadata=ObjectMeta(name="10.96.200.200", labels=labels), spec=spec)
        foreign = IPAddress(metadata=ObjectMeta(name="10.96.200.201"), spec=spec)
        await world.client.create(leaked)
        await world.client.create(foreign)
        await asyncio.sleep(50)
        assert await world.client.get(IPAddress, "10.96.200.200")
        await world.gone(IPAddress, "10.96.200.200")
        assert await world.client.get(IPAddress, "10.96.200.201"), "others may keep addresses too"
        told = {e.reason for e in (await world.client.list(Event)).items if "ipallocator" in e.source.component}
        assert told == {"ClusterIPNotAllocated", "IPAddressNotAllocated"}

    play(story)
