"""Claims to devices, their templates and classes, slices and taint rules: what they must be, and how devices match."""

from __future__ import annotations

from typing import Any

import pytest

from kijabi.api import codec
from kijabi.api.cel.errors import CelError
from kijabi.api.dra import claim_rules, slice_rules
from kijabi.api.dra.deviceclass import DeviceClass
from kijabi.api.dra.devicerequest import ExactDeviceRequest
from kijabi.api.dra.devicetaintrule import DeviceTaintRule, prepare
from kijabi.api.dra.resourceclaim import ResourceClaim
from kijabi.api.dra.resourceslice import Device, ResourceSlice
from kijabi.api.dra.selectors import Unfit, compiled, matches
from kijabi.api.resource import FieldError

GPU = {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": 1}
ONE = {"requests": [{"name": "one", "exactly": GPU}]}
RESULT = {"request": "one", "driver": "d.example.com", "pool": "p", "device": "a"}


def texts(errors: Any) -> list[str]:
    return [f"{error.field}: {error.message}" for error in errors if isinstance(error, FieldError)]


def claim(devices: dict[str, Any], status: dict[str, Any] | None = None) -> ResourceClaim:
    return codec.from_builtins(ResourceClaim, {"spec": {"devices": devices}, "status": status or {}})


def asked(**more: Any) -> dict[str, Any]:
    return {"requests": [{"name": "one", "exactly": {**GPU, **more}}]}


def test_what_is_left_out() -> None:
    request = ExactDeviceRequest(deviceClassName="gpu")
    request.set_defaults()
    assert (request.allocationMode, request.count) == ("ExactCount", 1)
    every = ExactDeviceRequest(deviceClassName="gpu", allocationMode="All")
    every.set_defaults()
    assert every.count == 0


def test_good_claims() -> None:
    several = {"name": "any", "firstAvailable": [{"name": "big", **GPU}, {"name": "small", **GPU}]}
    more = {
        "requests": [*ONE["requests"], several],
        "constraints": [{"requests": ["one", "any/big"], "matchAttribute": "d.example.com/numa"}],
        "config": [{"requests": ["any"], "opaque": {"driver": "d.example.com", "parameters": {"a": 1}}}],
    }
    assert texts(claim_rules.validate(claim(ONE))) == []
    assert texts(claim_rules.validate(claim(more))) == []


@pytest.mark.parametrize(
    ("devices", "text"),
    [
        ({"requests": [{"name": "one"}]}, "exactly one of `exactly` or `firstAvailable` is required"),
        ({"requests": [ONE["requests"][0]] * 2}, "spec.devices.requests[1]: Duplicate value"),
        ({"requests": ONE["requests"] * 33}, "Too many: 33: must have at most 32 items"),
        ({"requests": [{"name": "No", "exactly": GPU}]}, "requests[0].name: Invalid value"),
        (asked(deviceClassName=""), "exactly.deviceClassName: Required value"),
        (asked(allocationMode="Some"), 'supported values: "All", "ExactCount"'),
        (asked(allocationMode="All"), "must not be specified when allocationMode is 'All'"),
        (asked(count=0), "must be greater than zero"),
        (asked(selectors=[{}]), "selectors[0].cel: Required value"),
        (asked(selectors=[{"cel": {"expression": "device.size > 1"}}]), "undefined field 'size'"),
        (asked(selectors=[{"cel": {"expression": "device.driver"}}]), "must evaluate to bool or the unknown type"),
        (asked(tolerations=[{"operator": "Exists", "value": "x"}]), "must be empty for operator `Exists`"),
        (asked(tolerations=[{"operator": "Equal", "effect": "Maybe"}]), "tolerations[0].effect: Unsupported value"),
        ({**ONE, "constraints": [{}]}, 'exactly one of "matchAttribute" or "distinctAttribute" is required'),
        ({**ONE, "constraints": [{"matchAttribute": "numa"}]}, "a fully qualified name must be a domain and a name"),
        ({**ONE, "constraints": [{"requests": ["two"], "matchAttribute": "d/n"}]}, "must be the name of a request"),
        ({**ONE, "config": [{}]}, "config[0].opaque: Required value"),
        ({**ONE, "config": [{"opaque": {"driver": "d", "parameters": [1]}}]}, "must be a valid JSON object"),
    ],
)
def test_bad_claims(devices: dict[str, Any], text: str) -> None:
    found = texts(claim_rules.validate(claim(devices)))
    assert any(text in error for error in found), found


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ({}, {"reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]}, "may not be specified when `allocated`"),
        ({}, {"reservedFor": [{"resource": "pods"}]}, "reservedFor[0].uid: Required value"),
        ({}, {"allocation": {"devices": {"results": [{**RESULT, "request": "two"}]}}}, "must be the name of a request"),
        ({}, {"allocation": {"devices": {"results": [{**RESULT, "device": "A"}]}}}, "device: Invalid value"),
        ({}, {"devices": [RESULT | {"request": None}]}, "must be an allocated device in the claim"),
        ({"allocation": {}}, {"allocation": {"devices": {"results": [RESULT]}}}, "field is immutable"),
    ],
)
def test_bad_statuses(old: dict[str, Any], new: dict[str, Any], text: str) -> None:
    new = {**new, "devices": [{k: v for k, v in one.items() if v is not None and k != "request"}
                              for one in new.get("devices", ())]}  # fmt: skip
    found = texts(claim_rules.validate_status(claim(ONE, new), claim(ONE, old)))
    assert any(text in error for error in found), found


def test_what_a_status_may_say() -> None:
    held = {"allocation": {"devices": {"results": [RESULT]}}}
    users = {**held, "reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]}
    assert texts(claim_rules.validate_status(claim(ONE, held), claim(ONE))) == []
    assert texts(claim_rules.validate_status(claim(ONE, users), claim(ONE, held))) == []
    assert texts(claim_rules.validate_status(claim(ONE), claim(ONE, users))) == []
    assert texts(claim_rules.validate_update(claim(ONE), claim(asked(count=2))))[0].startswith("spec: Invalid value")


def a_slice(**spec: Any) -> ResourceSlice:
    pool = {"name": "n1/gpus", "generation": 1, "resourceSliceCount": 1}
    return codec.from_builtins(
        ResourceSlice, {"spec": {"driver": "d.example.com", "pool": pool, "nodeName": "n1", "devices": [], **spec}}
    )


def device(**more: Any) -> dict[str, Any]:
    return {"name": "a", **more}


def test_good_slices() -> None:
    one = device(attributes={"model": {"string": "x"}, "d.example.com/v": {"version": "1.2.3-rc.1"}})
    assert texts(slice_rules.validate(a_slice(devices=[one]))) == []
    counters = [{"name": "set", "counters": {"memory": {"value": "40Gi"}}}]
    assert texts(slice_rules.validate(a_slice(sharedCounters=counters))) == []
    placed = [device(nodeName="n1"), {"name": "b", "allNodes": True}]
    spec = {"nodeName": None, "perDeviceNodeSelection": True, "devices": placed}
    assert texts(slice_rules.validate(a_slice(**spec))) == []


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"driver": ""}, "spec.driver: Required value"),
        ({"pool": {"name": "A", "generation": 0, "resourceSliceCount": 1}}, "spec.pool.name: Invalid value"),
        ({"pool": {"name": "p", "generation": -1, "resourceSliceCount": 0}}, "must be greater than zero"),
        ({"nodeName": None}, "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection`"),
        ({"allNodes": True}, "{`nodeName`, `allNodes`}"),
        ({"allNodes": False}, "must be either unset or set to true"),
        ({"devices": [device()] * 2}, "spec.devices[1]: Duplicate value"),
        ({"devices": [{"name": f"d{n}"} for n in range(129)]}, "must have at most 128 items"),
        (
            {"devices": [{"name": f"d{n}", "taints": [{"key": "k", "effect": "None"}]} for n in range(65)]},
            "must have at most 64 items",
        ),
        ({"devices": [device(attributes={"x": {}})]}, "exactly one value must be specified"),
        ({"devices": [device(attributes={"x": {"version": "1.2"}})]}, "compatible with semver.org"),
        ({"devices": [device(attributes={"x": {"string": "y" * 65}})]}, "may not be more than 64 bytes"),
        ({"devices": [device(attributes={"9": {"int": 1}})]}, "a valid C identifier"),
        ({"devices": [device(attributes={f"a{n}": {"int": n} for n in range(33)})]}, "must not exceed 32"),
        ({"devices": [device(taints=[{"key": "k", "effect": "Evict"}])]}, "taints[0].effect: Unsupported value"),
        ({"devices": [device(nodeName="n1")]}, "can only be set if `perDeviceNodeSelection`"),
        ({"devices": [device(bindingConditions=["ok"])]}, "bindingFailureConditions are required"),
        ({"sharedCounters": [{"name": "s", "counters": {}}]}, "counters: Required value"),
    ],
)
def test_bad_slices(spec: dict[str, Any], text: str) -> None:
    found = texts(slice_rules.validate(a_slice(**spec)))
    assert any(text in error for error in found), found


def test_classes_and_rules() -> None:
    bad = codec.from_builtins(DeviceClass, {"spec": {"extendedResourceName": "cpu", "selectors": [{}]}})
    assert len(texts(claim_rules.validate_class(bad))) == 2
    rule = codec.from_builtins(
        DeviceTaintRule, {"spec": {"deviceSelector": {"device": "A"}, "taint": {"key": "k", "effect": "NoExecute"}}}
    )
    assert texts(slice_rules.validate_rule(rule))[0].startswith("spec.deviceSelector.device")


def test_a_new_effect_has_a_new_time() -> None:
    given = {"spec": {"taint": {"key": "k", "effect": "None", "timeAdded": "2026-01-01T00:00:00Z"}}}
    old, new = codec.from_builtins(DeviceTaintRule, given), codec.from_builtins(DeviceTaintRule, given)
    prepare(new, old)
    assert new.spec.taint.timeAdded == old.spec.taint.timeAdded
    new.spec.taint.effect = "NoExecute"
    prepare(new, old)
    assert new.spec.taint.timeAdded != old.spec.taint.timeAdded


SEEN = codec.from_builtins(
    Device,
    device(
        attributes={"model": {"string": "A100"}, "cores": {"int": 8}, "fast": {"bool": True},
                    "other.com/firmware": {"version": "1.10.0"}},
        capacity={"memory": {"value": "40Gi"}},
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('device.driver == "d.example.com"', True),
        ('device.attributes["d.example.com"].model == "A100"', True),
        ('device.attributes["d.example.com"].cores > 8', False),
        ('device.attributes["d.example.com"].fast', True),
        ('device.attributes["other.com"].firmware.isGreaterThan(semver("1.9.0"))', True),
        ('device.capacity["d.example.com"].memory.compareTo(quantity("20Gi")) >= 0', True),
        ('"size" in device.attributes["nobody.com"]', False),
        ('cel.bind(gpu, device.attributes["d.example.com"], gpu.fast && gpu.cores == 8)', True),
        ("device.allowMultipleAllocations", False),
    ],
)
def test_selectors(expression: str, found: bool) -> None:
    assert matches(expression, "d.example.com", SEEN) is found


def test_selectors_that_fail() -> None:
    with pytest.raises(CelError, match="no such key: size"):
        matches('device.attributes["nobody.com"].size == 1', "d.example.com", SEEN)
    with pytest.raises(Unfit, match="not string"):
        compiled("device.driver")
