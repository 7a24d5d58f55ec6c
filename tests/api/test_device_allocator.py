"""Which devices claims get: as upstream's allocator gives them, and what cannot be decided."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.core.node import Node
from kijabi.api.dra.allocator import MOST_STEPS, Unfit, allocate, gather
from kijabi.api.dra.deviceclass import DeviceClass
from kijabi.api.dra.resourceclaim import AllocationResult, ResourceClaim
from kijabi.api.dra.resourceslice import ResourceSlice
from kijabi.api.dra.taints import Place

GOLDEN = Path(__file__).parents[1] / "golden" / "devices" / "allocations.jsonl"
RECORDED = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
"""Nodes, slices, classes and claims, and what k8s.io/dynamic-resource-allocation v0.37 made of them."""
NODE = codec.from_builtins(Node, {"metadata": {"name": "n1"}})
CLASSES = {"gpu": codec.from_builtins(DeviceClass, {"metadata": {"name": "gpu"}})}


@pytest.mark.parametrize("case", RECORDED, ids=[str(number) for number in range(len(RECORDED))])
def test_as_upstream_allocates(case: dict[str, Any]) -> None:
    node = codec.from_builtins(Node, case["Node"])
    classes = {one["metadata"]["name"]: codec.from_builtins(DeviceClass, one) for one in case["Classes"]}
    claims = [codec.from_builtins(ResourceClaim, one) for one in case["Claims"]]
    pools = gather([codec.from_builtins(ResourceSlice, one) for one in case["Slices"]], node)
    found = allocate(claims, pools, classes.get, [Place(*one) for one in case["Taken"]], node)
    theirs = case["upstream"]
    wanted = [codec.from_builtins(AllocationResult, one) for one in theirs or ()]
    assert [codec.encode(one) for one in found or ()] == [codec.encode(one) for one in wanted]
    assert (found is None) == (theirs is None)


def piece(count: int, generation: int = 1, slices: int = 1, name: str = "s", **attributes: Any) -> ResourceSlice:
    pool = {"name": "p", "generation": generation, "resourceSliceCount": slices}
    devices = [{"name": f"d{number}", "attributes": attributes} for number in range(count)]
    spec = {"driver": "d", "pool": pool, "nodeName": "n1", "devices": devices}
    return codec.from_builtins(ResourceSlice, {"metadata": {"name": name}, "spec": spec})


def claim(*requests: dict[str, Any], **more: Any) -> ResourceClaim:
    asked = [{"name": f"r{number}", "exactly": {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1,
                                                **one}} for number, one in enumerate(requests)]  # fmt: skip
    spec = {"devices": {"requests": asked, **more}}
    return codec.from_builtins(ResourceClaim, {"metadata": {"name": "c", "namespace": "ns"}, "spec": spec})


def devices(one: ResourceClaim, *slices: ResourceSlice, taken: tuple[str, ...] = ()) -> list[str] | None:
    found = allocate([one], gather(slices, NODE), CLASSES.get, [Place("d", "p", name) for name in taken], NODE)
    return None if found is None else [result.device for result in found[0].devices.results]


def test_one_after_another_and_none_twice() -> None:
    assert devices(claim({"count": 2}, {}), piece(4), taken=("d1",)) == ["d0", "d2", "d3"]
    assert devices(claim({"count": 3}, {}), piece(4), taken=("d1",)) is None


def test_slices_of_older_generations_and_pools_in_the_making_do_not_count() -> None:
    assert devices(claim({}), piece(1), piece(2, 2, name="t"), taken=("d0",)) == ["d1"]
    assert devices(claim({}), piece(1, slices=2)) is None
    with pytest.raises(Unfit, match="asks for all devices, but resource pool d/p is currently being updated"):
        devices(claim({"allocationMode": "All", "count": 0}), piece(1, slices=2))


def test_what_cannot_be_decided() -> None:
    with pytest.raises(Unfit, match="could not retrieve device class tpu"):
        devices(claim({"deviceClassName": "tpu"}), piece(1))
    wrong = {"selectors": [{"cel": {"expression": 'device.attributes["d"].size > 1'}}]}
    with pytest.raises(Unfit, match="CEL runtime error: no such key: size"):
        devices(claim(wrong), piece(1))


def test_the_search_is_bounded() -> None:
    slices = [piece(30, slices=1, numa={"int": 0})]
    different = {"distinctAttribute": "d/numa", "requests": ["r7"]}
    impossible = claim(*[{}] * 7, {"count": 2}, constraints=[different])
    with pytest.raises(Unfit, match=f"no allocation was found with {MOST_STEPS} devices tried"):
        devices(impossible, *slices)


def pooled(*slices: dict[str, Any]) -> list[ResourceSlice]:
    """The slices of one pool."""
    pool = {"name": "p", "generation": 1, "resourceSliceCount": len(slices)}
    return [
        codec.from_builtins(
            ResourceSlice, {"metadata": {"name": f"s{i}"}, "spec": {"driver": "d", "pool": pool, **one}}
        )
        for i, one in enumerate(slices)
    ]


def test_a_pool_of_which_only_the_counters_are_for_this_node_counts() -> None:
    """k8s.io/dynamic-resource-allocation `GatherPools`: who asks for all devices waits until each pool is sound."""
    odd = {"name": "far", "consumesCounters": [{"counterSet": "set", "counters": {"gone": {"value": "1"}}}]}
    counted = {"nodeName": "n1", "sharedCounters": [{"name": "set", "counters": {"m": {"value": "1"}}}]}
    slices = pooled({"nodeName": "n2", "devices": [odd]}, counted)
    with pytest.raises(Unfit, match="resource pool d/p is currently invalid"):
        devices(claim({"allocationMode": "All", "count": 0}), *slices)


def test_counters_of_one_name_twice_make_a_pool_unfit() -> None:
    counted = {"nodeName": "n1", "sharedCounters": [{"name": "set", "counters": {"m": {"value": "1"}}}]}
    slices = pooled(counted, counted, {"nodeName": "n1", "devices": [{"name": "d0"}]})
    with pytest.raises(Unfit, match="invalid resource pools were encountered"):
        devices(claim({}), *slices)


def test_a_name_may_be_used_again_on_another_node() -> None:
    slices = pooled({"nodeName": "n2", "devices": [{"name": "d0"}]}, {"nodeName": "n1", "devices": [{"name": "d0"}]})
    assert devices(claim({}), *slices) == ["d0"]


def test_selectors_are_asked_about_every_device_of_a_slice_that_reaches_the_node() -> None:
    each = [{"name": "far", "nodeName": "n2"}, {"name": "near", "nodeName": "n1", "attributes": {"size": {"int": 2}}}]
    slices = pooled({"perDeviceNodeSelection": True, "devices": each})
    wanted = {"selectors": [{"cel": {"expression": 'device.attributes["d"].size > 1'}}]}
    with pytest.raises(Unfit, match="CEL runtime error: no such key: size"):
        devices(claim(wanted), *slices)
    assert devices(claim({}), *slices) == ["near"]
