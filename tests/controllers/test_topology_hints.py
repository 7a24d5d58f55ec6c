"""Endpoints dealt out to zones: in proportion to their CPUs, or not at all; and close by, come what may."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from kijabi.api.core.event import Event
from kijabi.api.core.node import Node
from kijabi.api.core.nodestatus import NodeCondition, NodeStatus
from kijabi.api.core.service import Service, ServicePort, ServiceSpec
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.api.meta import ObjectMeta
from kijabi.api.quantity import Quantity
from kijabi.controllers import endpointslice
from kijabi.controllers.topologyhints import NO_NODES, TOO_FEW, UNEVEN, Part, Zones, allocate, automatic, overloaded
from tests.controllers.stories import complete, fresh
from tests.controllers.things import node, pod, service
from tests.controllers.world import World, play

MODE = "service.kubernetes.io/topology-mode"


def test_zones_count_the_cpus_of_ready_nodes() -> None:
    def ready(name: str, zone: str, cpu: str, status: str = "True", **labels: str) -> Node:
        made = node(name, zone=zone)
        made.metadata.labels |= labels
        conditions = (NodeCondition(type="Ready", status=status),)
        made.status = NodeStatus(conditions=conditions, allocatable={"cpu": Quantity(cpu)} if cpu else {})
        return made

    zones = Zones()
    for name, zone, cpu in (("n1", "a", "3"), ("n2", "b", "500m"), ("n3", "b", "500m")):
        assert zones.update(name, ready(name, zone, cpu))
    assert zones.ratios() == {"a": 0.75, "b": 0.25}
    assert not zones.update("n1", ready("n1", "a", "3"))
    master = {"node-role.kubernetes.io/control-plane": ""}
    assert not zones.update("n4", ready("n4", "c", "9", **master)), "the control plane's nodes do not count"
    assert not zones.update("n5", ready("n5", "c", "9", "False")), "nor those that are not ready"
    zones.update("n6", ready("n6", "a", ""))
    assert zones.ratios() is None, "one without a number spoils the sum"
    zones.update("n6", None)
    zones.update("n2", None)
    assert zones.ratios() == {"a": 3 / 3.5, "b": 0.5 / 3.5}
    zones.update("n3", None)
    assert zones.ratios() is None, "one zone is none to choose from"


@pytest.mark.parametrize(
    ("ratios", "endpoints", "answer"),
    [
        (None, 9, NO_NODES),
        ({"a": 0.5, "b": 0.5}, 1, f"{TOO_FEW} (1 endpoints, 2 zones)"),
        ({"a": 0.5, "b": 0.5}, 3, f"{UNEVEN} (3 endpoints, 2 zones)"),
        ({"a": 0.5, "b": 0.5}, 4, {"a": Part(2, 2, 2.0), "b": Part(2, 2, 2.0)}),
        ({"a": 0.75, "b": 0.25}, 20, {"a": Part(13, 15, 15.0), "b": Part(5, 7, 5.0)}),
    ],
)
def test_parts(ratios: Any, endpoints: int, answer: Any) -> None:
    assert allocate(ratios, endpoints) == answer


def test_a_service_is_overloaded_by_zones_that_grow() -> None:
    assert not overloaded({"a": 5, "b": 5}, {"a": 0.5, "b": 0.5})
    assert overloaded({"a": 5, "b": 5}, {"a": 0.8, "b": 0.2})
    assert overloaded({"a": 5, "b": 5}, {"a": 0.4, "b": 0.4, "c": 0.2})
    assert overloaded({"a": 5}, None)
    assert not overloaded({}, None)


def deal(counts: dict[str, int], ratios: dict[str, float], slices: Any = ()) -> endpointslice.Plan:
    """The plan for so many pods in each zone."""
    nodes = {zone: node(zone, zone=zone) for zone in counts}
    pods = [
        pod(f"{zone}{number}", node=zone, ip=f"10.0.{place}.{number}")
        for place, (zone, count) in enumerate(counts.items())
        for number in range(count)
    ]
    asking = service()
    asking.metadata = replace(asking.metadata, annotations={MODE: "Auto"})
    return endpointslice.plan(asking, pods, nodes.get, slices, "", ratios)


def hints(plan: endpointslice.Plan) -> Counter[str]:
    ends = [e for s in (*plan.create, *plan.update) for e in s.endpoints if e.hints is not None]
    return Counter(zone.name for e in ends if e.hints is not None for zone in e.hints.forZones)


def test_endpoints_of_a_rich_zone_serve_a_poor_one() -> None:
    plan = deal({"a": 6, "b": 2}, {"a": 0.5, "b": 0.5})
    assert hints(plan) == {"a": 4, "b": 4}
    assert plan.hints["IPv4"].zones == {"a": 4, "b": 4}


def test_slices_whose_hints_fit_are_left_alone() -> None:
    (made,) = deal({"a": 6, "b": 2}, {"a": 0.5, "b": 0.5}).create
    named = replace(made, metadata=replace(made.metadata, name="s"))
    again = deal({"a": 6, "b": 2}, {"a": 0.5, "b": 0.5}, [named])
    assert (again.create, again.update, again.delete) == ((), (), ())
    other = deal({"a": 6, "b": 2}, {"a": 0.9, "b": 0.1}, [named])
    assert len(other.update) == 1
    assert hints(other)["a"] == 7


def test_where_it_cannot_be_even_nobody_has_hints() -> None:
    plan = deal({"a": 2, "b": 1}, {"a": 0.5, "b": 0.5})
    assert hints(plan) == {}
    assert plan.hints["IPv4"].problem.startswith(UNEVEN)


def test_which_services_ask_for_it() -> None:
    asking = service()
    for notes, asks in (
        ({}, False),
        ({MODE: "auto"}, True),
        ({MODE: "Disabled"}, False),
        ({MODE: "Auto", "service.kubernetes.io/topology-aware-hints": "Disabled"}, False),
    ):
        asking.metadata = replace(asking.metadata, annotations=notes)
        assert automatic(asking) is asks


def test_a_service_is_told_when_its_endpoints_are_dealt_out_and_when_they_cannot_be() -> None:
    async def story(world: World) -> None:
        async def cpus(name: str, count: str) -> None:
            status = {"allocatable": {"cpu": count}, "capacity": {"cpu": count}}
            await world.client.patch(Node, name, {"status": status}, subresource="status")

        for name, zone in (("n1", "a"), ("n2", "b")):
            await world.client.patch(Node, name, {"metadata": {"labels": {"topology.kubernetes.io/zone": zone}}})
            await cpus(name, "4")
        await world.client.create(fresh(8))
        await world.until(lambda: complete(world))
        spec = ServiceSpec(selector={"app": "web"}, ports=(ServicePort(port=80, protocol="TCP"),))
        asking = Service(metadata=ObjectMeta(name="web", namespace="ns", annotations={MODE: "Auto"}), spec=spec)
        await world.client.create(asking)

        async def dealt(**wanted: int) -> bool:
            found: Counter[str] = Counter()
            for s in (await world.client.list(EndpointSlice, "ns")).items:
                found.update(z.name for e in s.endpoints if e.hints is not None for z in e.hints.forZones)
            return dict(found) == wanted

        async def told(reason: str) -> bool:
            return any(event.reason == reason for event in (await world.client.list(Event, "ns")).items)

        await world.until(lambda: dealt(a=4, b=4))
        await world.until(lambda: told("TopologyAwareHintsEnabled"))
        await cpus("n1", "12")
        await world.until(lambda: dealt(a=6, b=2))
        await cpus("n2", "0")
        await world.until(dealt)
        await world.until(lambda: told("TopologyAwareHintsDisabled"))
        await asyncio.sleep(1)

    play(story)
