"""Endpoints and slices of a service whose pods come and go faster than the controller hears of its own writes."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.core.endpoints import Endpoints
from kijabi.api.core.event import Event
from kijabi.api.core.replicationcontroller import ReplicationController
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import SERVICE_NAME, EndpointSlice
from kijabi.testing.faults import NONE
from tests.controllers.world import World, play

PODS = 6


def service() -> Service:
    spec = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    return codec.from_builtins(Service, {"metadata": {"name": "web", "namespace": "ns"}, "spec": spec})


def controller() -> ReplicationController:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}
    spec = {"replicas": PODS, "selector": {"app": "web"}, "template": template}
    return codec.from_builtins(ReplicationController, {"metadata": {"name": "web", "namespace": "ns"}, "spec": spec})


@pytest.mark.parametrize("seed", [3, 4, 8])
def test_a_cache_that_lags_behind_own_writes_is_waited_for(seed: int) -> None:
    async def story(world: World) -> None:
        await world.client.create(service())
        await world.client.create(controller())

        async def ready(count: int) -> bool:
            found = (await world.client.list(EndpointSlice, "ns", labels=f"{SERVICE_NAME}=web")).items
            return sum(bool(one.conditions.ready) for each in found for one in each.endpoints) == count

        await world.until(lambda: ready(PODS))
        await world.client.patch(ReplicationController, "web", {"spec": {"replicas": 1}}, namespace="ns")
        await world.until(lambda: ready(1))
        told = [one.message for one in (await world.client.list(Event, "ns")).items if "Endpoint" in one.reason]
        assert not told

    play(story, seed=seed, faults=replace(NONE, latency=(0.001, 0.05), stale=0.2, stale_seconds=(0.1, 3.0)))


def test_a_service_that_is_held_while_it_goes_still_tells_where_its_pods_are() -> None:
    """Until a load balancer is gone its traffic must find pods that live."""

    async def story(world: World) -> None:
        held = service()
        held.metadata.finalizers = ("example.com/held",)
        await world.client.create(held)
        await world.client.create(controller())

        async def listed(count: int) -> bool:
            found = (await world.client.list(Endpoints, "ns")).items
            slices = (await world.client.list(EndpointSlice, "ns", labels=f"{SERVICE_NAME}=web")).items
            addresses = sum(len(subset.addresses) for one in found for subset in one.subsets)
            return addresses == count == sum(len(one.endpoints) for one in slices)

        await world.until(lambda: listed(PODS))
        await world.client.delete(Service, "web", "ns")
        await world.client.patch(ReplicationController, "web", {"spec": {"replicas": 1}}, namespace="ns")
        await world.until(lambda: listed(1))

    play(story, seed=1)
