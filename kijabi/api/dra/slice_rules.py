"""What slices of devices and taint rules must be.

`resourceslice.py` and `devicetaintrule.py` give these to their Resources. Texts and limits are those of
k8s.io/kubernetes `pkg/apis/resource/validation`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kijabi.api.core.affinity_rules import validate_node_selector
from kijabi.api.dra import rules
from kijabi.api.formats import dns_subdomain, size
from kijabi.api.resource import FieldError
from kijabi.api.validation import each, forbidden, immutable, invalid, required, too_long, too_many

if TYPE_CHECKING:
    from kijabi.api.dra.devicetaintrule import DeviceTaintRule
    from kijabi.api.dra.resourceslice import (
        CounterSet,
        Device,
        DeviceAttribute,
        DeviceCounterConsumption,
        ResourceSlice,
        ResourceSliceSpec,
    )

MOST_DEVICES, MOST_SPECIAL, MOST_SETS, MOST_COUNTERS = 128, 64, 8, 32
MOST_NAMES, MOST_VALUES, MOST_TAINTS, MOST_CONSUMED, LONGEST_VALUE = 32, 48, 16, 2, 64
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_NUMBER, _PRE = r"(0|[1-9]\d*)", r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE}(\.{_PRE})*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?", re.ASCII
)
_PER_DEVICE = "`perDeviceNodeSelection` is set to true in the ResourceSlice spec"


def validate(obj: ResourceSlice) -> Sequence[FieldError]:
    """Everything that is wrong with a slice."""
    spec = obj.spec
    errors = rules.driver_name("spec.driver", spec.driver) + rules.pool_name("spec.pool.name", spec.pool.name)
    count, generation = spec.pool.resourceSliceCount, spec.pool.generation
    if count <= 0:
        errors.append(invalid("spec.pool.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        errors.append(invalid("spec.pool.generation", generation, "must be greater than or equal to zero"))
    errors += _places("spec", spec, _PLACES)
    if spec.nodeSelector is not None and len(spec.nodeSelector.nodeSelectorTerms) != 1:
        text = "must have exactly one node selector term"
        errors.append(invalid("spec.nodeSelector.nodeSelectorTerms", spec.nodeSelector.nodeSelectorTerms, text))
    if spec.sharedCounters and spec.devices:
        errors.append(invalid("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    special = any(one.taints or one.consumesCounters or _lists(one) for one in spec.devices)
    most = MOST_SPECIAL if special else MOST_DEVICES
    errors += rules.items("spec.devices", spec.devices, most, lambda path, one: _device(path, one, spec))
    errors += rules.twice("spec.devices", [one.name for one in spec.devices])
    errors += rules.items("spec.sharedCounters", spec.sharedCounters, MOST_SETS, _counters)
    return errors + rules.twice("spec.sharedCounters", [one.name for one in spec.sharedCounters])


def validate_update(new: ResourceSlice, old: ResourceSlice) -> Sequence[FieldError]:
    """Whose devices they are, and where, stays."""
    errors = immutable("spec.pool.name", new.spec.pool.name, old.spec.pool.name)
    errors += immutable("spec.driver", new.spec.driver, old.spec.driver)
    return errors + immutable("spec.nodeName", new.spec.nodeName, old.spec.nodeName)


def validate_rule(obj: DeviceTaintRule) -> Sequence[FieldError]:
    """Everything that is wrong with a taint rule."""
    chosen, path = obj.spec.deviceSelector, "spec.deviceSelector"
    errors = rules.taint("spec.taint", obj.spec.taint)
    if chosen is not None:
        if chosen.driver is not None:
            errors += rules.driver_name(f"{path}.driver", chosen.driver)
        if chosen.pool is not None:
            errors += rules.pool_name(f"{path}.pool", chosen.pool)
        if chosen.device is not None:
            errors += rules.device_name(f"{path}.device", chosen.device)
    return errors


def validate_rule_status(new: DeviceTaintRule, _: DeviceTaintRule) -> Sequence[FieldError]:
    """Not more conditions than there can be."""
    found = len(new.status.conditions)
    return [too_many("status.conditions", found, 8)] if found > 8 else []


def _places(path: str, one: Any, names: Sequence[str]) -> list[FieldError]:
    """Errors of where devices are: said in one way."""
    errors: list[FieldError] = []
    given: list[str] = []
    for name in names:
        value, here = getattr(one, name), f"{path}.{name}"
        if value is None:
            continue
        if value is False:
            errors.append(invalid(here, value, "must be either unset or set to true"))
            continue
        if value == "":
            errors.append(invalid(here, value, "must be either unset or set to a non-empty string"))
            continue
        given.append(f"`{name}`")
        if name == "nodeName":
            errors += each(here, value, dns_subdomain(value))
        elif name == "nodeSelector":
            errors += validate_node_selector(here, value)
    every = ", ".join(f"`{name}`" for name in names)
    if not given:
        errors.append(required(path, f"exactly one of {every} is required"))
    elif len(given) > 1:
        text = f"exactly one of {every} is required, but multiple fields are set"
        errors.append(invalid(path, f"{{{', '.join(given)}}}", text))
    return errors


def _device(path: str, device: Device, spec: ResourceSliceSpec) -> list[FieldError]:
    errors = rules.device_name(f"{path}.name", device.name)
    names, values = len(device.attributes) + len(device.capacity), sum(map(_values, device.attributes.values()))
    if names > MOST_NAMES:
        text = f"the total number of attributes and capacities must not exceed {MOST_NAMES}"
        errors.append(invalid(path, names, text))
    if values > MOST_VALUES:
        errors.append(invalid(path, values, f"the total number of attribute values must not exceed {MOST_VALUES}"))
    for name, attribute in device.attributes.items():
        here = f"{path}.attributes[{name}]"
        errors += rules.attribute_name(here, name) + _attribute(here, attribute)
    for name, capacity in device.capacity.items():
        here = f"{path}.capacity[{name}]"
        errors += rules.attribute_name(here, name)
        if capacity.requestPolicy is not None and not device.allowMultipleAllocations:
            errors.append(forbidden(f"{here}.requestPolicy", "allowMultipleAllocations must be true"))
    errors += rules.items(f"{path}.taints", device.taints, MOST_TAINTS, rules.taint)
    errors += rules.items(f"{path}.consumesCounters", device.consumesCounters, MOST_CONSUMED, _consumption)
    errors += rules.twice(f"{path}.consumesCounters", [one.counterSet for one in device.consumesCounters])
    if spec.perDeviceNodeSelection:
        errors += _places(path, device, _PLACES[:3])
    elif any(getattr(device, name) is not None for name in _PLACES[:3]):
        text = f"`nodeName`, `nodeSelector` and `allNodes` can only be set if {_PER_DEVICE}"
        errors.append(invalid(path, None, text))
    return errors + rules.binding_conditions(path, device.bindingConditions, device.bindingFailureConditions)


def _lists(device: Device) -> bool:
    return any(one.ints or one.bools or one.strings or one.versions for one in device.attributes.values())


def _values(one: DeviceAttribute) -> int:
    return max(1, len(one.ints) + len(one.bools) + len(one.strings) + len(one.versions))


def _attribute(path: str, one: DeviceAttribute) -> list[FieldError]:
    errors: list[FieldError] = []
    single = [value for value in (one.bool_, one.int_, one.string, one.version) if value is not None]
    several = [values for values in (one.bools, one.ints, one.strings, one.versions) if values]
    if len(single) + len(several) != 1:
        errors.append(invalid(path, one if single or several else "", "exactly one value must be specified"))
    texts = [(f"{path}.string", one.string or ""), (f"{path}.version", one.version or "")]
    texts += [(f"{path}.strings[{index}]", text) for index, text in enumerate(one.strings)]
    texts += [(f"{path}.versions[{index}]", text) for index, text in enumerate(one.versions)]
    versions = [] if one.version is None else [(f"{path}.version", one.version)]
    versions += [(f"{path}.versions[{index}]", text) for index, text in enumerate(one.versions)]
    for here, text in versions:
        if not _VERSION.fullmatch(text):
            errors.append(invalid(here, text, "must be a string compatible with semver.org spec 2.0.0"))
    return errors + [too_long(here, LONGEST_VALUE) for here, text in texts if size(text) > LONGEST_VALUE]


def _counters(path: str, one: CounterSet) -> list[FieldError]:
    return _named_counters(path, "name", one.name, list(one.counters))


def _consumption(path: str, one: DeviceCounterConsumption) -> list[FieldError]:
    return _named_counters(path, "counterSet", one.counterSet, list(one.counters))


def _named_counters(path: str, key: str, name: str, counters: Sequence[str]) -> list[FieldError]:
    errors = rules.device_name(f"{path}.{key}", name) if name else [required(f"{path}.{key}")]
    here = f"{path}.counters"
    if not counters:
        return [*errors, required(here)]
    if len(counters) > MOST_COUNTERS:
        return [*errors, too_many(here, len(counters), MOST_COUNTERS)]
    return errors + [error for each_ in counters for error in rules.device_name(f"{here}[{each_}]", each_)]
