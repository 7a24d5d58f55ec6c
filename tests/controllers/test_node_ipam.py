"""Pod ranges of nodes: settings, both families, what is there already, none left, and given back."""

from __future__ import annotations

import asyncio

import pytest

from kijabi.api.core.event import Event
from kijabi.api.core.node import Node, NodeSpec
from kijabi.api.meta import ObjectMeta
from kijabi.base.errors import ConfigError
from kijabi.controllers.config import Config
from kijabi.controllers.nodeipam import Ranges, pod_ranges
from tests.controllers.world import World, play


def test_settings_of_one_family_and_of_two() -> None:
    assert pod_ranges("10.244.0.0/16", None, None, None) == (("10.244.0.0/16", 24),)
    assert pod_ranges("10.244.0.0/16", 26, None, None) == (("10.244.0.0/16", 26),)
    assert pod_ranges("fd00::/56", None, None, None) == (("fd00::/56", 64),)
    both = pod_ranges("fd00::/56, 10.244.0.0/16", None, 25, None)
    assert both == (("fd00::/56", 64), ("10.244.0.0/16", 25))


@pytest.mark.parametrize(
    ("cidrs", "sizes", "complaint"),
    [
        ("10.244.0.0/16,10.245.0.0/16", (None, None, None), "nor one of each IP family"),
        ("10.244.0.0/16,fd00::/56", (24, None, None), "not allowed with dual-stack clusters"),
        ("10.244.0.0/16", (24, 24, None), "not allowed beside"),
        ("10.244.0.0/16", (None, None, 64), "not allowed for a single-stack IPv4 cluster"),
        ("fd00::/56", (None, 24, None), "not allowed for a single-stack IPv6 cluster"),
        ("fd00::/40", (None, None, None), "node CIDR size is too big"),
        ("10.244.0.0/24", (16, None, None), "does not fit"),
        ("nonsense", (None, None, None), "invalid pod CIDR"),
    ],
)
def test_settings_that_contradict_one_another(
    cidrs: str, sizes: tuple[int | None, int | None, int | None], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        pod_ranges(cidrs, *sizes)


def test_a_range_that_two_have_is_free_when_both_are_gone() -> None:
    ranges = Ranges("10.244.0.0/23", 24)
    ranges.occupy("10.244.0.0/24")
    ranges.occupy("10.244.0.0/24")
    ranges.release("10.244.0.0/24")
    assert [ranges.take(), ranges.take()] == ["10.244.1.0/24", None]
    ranges.release("10.244.0.0/24")
    assert ranges.take() == "10.244.0.0/24"


TWO = Config(root_ca="CERTIFICATE", host="test", pod_cidrs=(("10.244.0.0/23", 24), ("fd00::/62", 64)))


async def given(world: World, name: str) -> tuple[str, ...]:
    return (await world.client.get(Node, name)).spec.podCIDRs


def test_both_families_and_one_that_is_there_already() -> None:
    async def story(world: World) -> None:
        before = ("10.244.0.0/24", "fd00:0:0:1::/64")
        spec = NodeSpec(podCIDR=before[0], podCIDRs=before)
        await world.client.create(Node(metadata=ObjectMeta(name="old"), spec=spec))
        await asyncio.sleep(1)
        await world.node("new")
        assert await world.until(lambda: given(world, "new")) == ("10.244.1.0/24", "fd00::/64")

    play(story, config=TWO, nodes=0)


def test_a_node_that_found_none_is_served_when_one_is_free() -> None:
    async def story(world: World) -> None:
        for name in ("a", "b", "c"):
            await world.node(name)

        async def told() -> bool:
            events = (await world.client.list(Event)).items
            return any((e.reason, e.involvedObject.name) == ("CIDRNotAvailable", "c") for e in events)

        await world.until(told)
        ranges = {await given(world, "a"), await given(world, "b")}
        assert {first for first, _ in ranges} == {"10.244.0.0/24", "10.244.1.0/24"}
        await asyncio.sleep(600)  # Its back-off is long by now.
        freed = await given(world, "a")
        await world.client.delete(Node, "a")
        start = asyncio.get_running_loop().time()
        assert (await world.until(lambda: given(world, "c")))[0] == freed[0]
        assert asyncio.get_running_loop().time() - start < 2

    play(story, config=TWO, nodes=0)
