"""EndpointSlices that Kubernetes' own reconciler (k8s.io/endpointslice v0.37) made, made by our plan.

The words are those of `recorded.py`. Where upstream's answer hangs on the order of a map, only how many endpoints each
slice has is compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.service import Service
from kijabi.api.discovery.endpointslice import EndpointSlice
from kijabi.controllers import topologyhints
from kijabi.controllers.endpointslice import plan
from tests.controllers.recorded import contents, lines, outcome

RECORDED = lines("endpointslice")
PACKED = lines("endpointslice-sizes")


def planned(world: Mapping[str, Any]) -> tuple[list[EndpointSlice], list[EndpointSlice]]:
    """The slices of a world, and those after our plan."""
    objects = world["objects"]
    slices = [codec.from_builtins(EndpointSlice, one) for one in objects.get("EndpointSlice", ())]
    nodes = {one["metadata"]["name"]: codec.from_builtins(Node, one) for one in objects.get("Node", ())}
    zones = topologyhints.Zones()
    for name, node in nodes.items():
        zones.update(name, node)
    service = codec.from_builtins(Service, objects["Service"][0])
    pods = [codec.from_builtins(Pod, one) for one in objects.get("Pod", ())]
    todo = plan(service, pods, nodes.get, slices, "", zones.ratios(), world["most"])
    after = {one.metadata.name: one for one in (*slices, *todo.update)}
    for gone in todo.delete:
        del after[gone.metadata.name]
    for number, fresh in enumerate(todo.create):
        made = codec.clone(fresh)
        made.metadata.name = f"{service.metadata.name}-$new{number}"
        after[made.metadata.name] = made
    return slices, list(after.values())


def made_of(world: Mapping[str, Any]) -> dict[str, Any]:
    """What our plan makes of a world, in the words of the recordings."""
    before, after = planned(world)
    return outcome(contents({EndpointSlice: before}), contents({EndpointSlice: after}), (), False, 0, {})


def sizes(slices: Sequence[EndpointSlice]) -> list[list[Any]]:
    """How many endpoints each slice has: its name if it is not new, family, ports, endpoints."""
    names = (one.metadata.name.partition("$")[0] for one in slices)
    ports = [sorted(f"{port.name}/{port.port}" for port in one.ports) for one in slices]
    return sorted([name, one.addressType, port, len(one.endpoints)]
                  for name, one, port in zip(names, slices, ports, strict=True))  # fmt: skip


@pytest.mark.parametrize("line", RECORDED, ids=[str(number + 1) for number in range(len(RECORDED))])
def test_slices_are_upstreams(line: dict[str, Any]) -> None:
    assert made_of(line["world"]) == line["upstream"]


@pytest.mark.parametrize("line", PACKED, ids=[str(number + 1) for number in range(len(PACKED))])
def test_slices_are_filled_as_upstream_fills_them(line: dict[str, Any]) -> None:
    assert sizes(planned(line["world"])[1]) == line["sizes"]


def test_slices_come_change_and_go() -> None:
    seen = Counter(
        "made" if what == "made" else "changed" if content is not None else "gone"
        for line in RECORDED
        for what, found in line["upstream"].items()
        for content in (found if what == "made" else found.values())
    )
    assert min(seen["made"], seen["changed"], seen["gone"]) >= 3, seen
