"""The canonical form of subsets: each set of addresses once."""

from __future__ import annotations

import asyncio

from kijabi.api.core.endpoints import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.meta import ObjectMeta
from kijabi.controllers.endpointsubsets import entries, repack
from tests.controllers.world import World, play


def subset(ports: str, ready: str = "", unready: str = "") -> EndpointSubset:
    return EndpointSubset(
        addresses=tuple(EndpointAddress(ip=f"10.0.0.{last}") for last in ready.split()),
        notReadyAddresses=tuple(EndpointAddress(ip=f"10.0.0.{last}") for last in unready.split()),
        ports=tuple(EndpointPort(name=name, port=80, protocol="TCP") for name in ports.split()),
    )


def test_ports_with_the_same_addresses_are_together() -> None:
    assert repack(entries([subset("a b", "1"), subset("a", "2")])) == (subset("a", "1 2"), subset("b", "1"))
    assert repack(entries([subset("a", "1"), subset("b", "1")])) == (subset("a b", "1"),)
    assert repack(entries([subset("", "2 1")])) == (subset("", "1 2"),)


def test_what_is_said_not_to_be_ready_is_not() -> None:
    assert repack(entries([subset("a", "1", "2"), subset("a", "2", "")])) == (subset("a", "1", "2"),)


def test_addresses_that_are_none_do_no_harm() -> None:
    odd = EndpointSubset(addresses=(EndpointAddress(ip="10.0.0.1"), EndpointAddress(ip="odd")), ports=())
    assert [one.ip for one in repack(entries([odd]))[0].addresses] == ["odd", "10.0.0.1"]


def test_endpoints_that_a_user_made_go_with_their_service() -> None:
    async def story(world: World) -> None:
        for name in ("one", "two"):
            await world.client.create(
                Endpoints(metadata=ObjectMeta(name=name, namespace="ns"), subsets=(subset("a", "1"),))
            )
        spec = ServiceSpec(ports=(ServicePort(port=80, protocol="TCP"),))
        await world.client.create(Service(metadata=ObjectMeta(name="one", namespace="ns"), spec=spec))
        await asyncio.sleep(5)
        await world.client.delete(Service, "one", "ns")
        await world.gone(Endpoints, "one", "ns")
        await asyncio.sleep(60)
        assert await world.client.get(Endpoints, "two", "ns"), "it never had one"

    play(story)
