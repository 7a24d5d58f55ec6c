"""Which taints a device has, by its slice and by the rules of administrators, and who tolerates them. Pure.

The device taint controller evicts by this; an allocator of devices keeps away by it. Source: resource.k8s.io/v1
DeviceTaint, DeviceToleration and DeviceTaintRule; KEP-5055.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from kijabi.api.dra.devicerequest import DeviceToleration
from kijabi.api.dra.devicetaintrule import DeviceTaint, DeviceTaintRule
from kijabi.api.dra.resourceslice import Device, ResourceSlice

EXECUTE = "NoExecute"


class Place(NamedTuple):
    """A device, by driver, pool and name."""

    driver: str
    pool: str
    device: str


class Mark(NamedTuple):
    """A taint, and the rule that put it there, if it was one."""

    taint: DeviceTaint
    rule: DeviceTaintRule | None = None


def current(slices: Sequence[ResourceSlice]) -> list[ResourceSlice]:
    """Those of a pool's slices that count: the ones of its latest generation."""
    newest = max((one.spec.pool.generation for one in slices), default=0)
    return [one for one in slices if one.spec.pool.generation == newest]


def device_in(slices: Sequence[ResourceSlice], name: str) -> Device | None:
    """A device of a pool, by the slices of it."""
    return next((device for one in current(slices) for device in one.spec.devices if device.name == name), None)


def selects(rule: DeviceTaintRule, place: Place) -> bool:
    """Whether a rule puts its taint on a device; without a selector it puts it on none."""
    wanted = rule.spec.deviceSelector
    if wanted is None:
        return False
    pairs = zip((wanted.driver, wanted.pool, wanted.device), place, strict=True)
    return all(asked is None or asked == given for asked, given in pairs)


def marks(place: Place, device: Device | None, rules: Iterable[DeviceTaintRule]) -> Iterator[Mark]:
    """All taints of a device; it may be gone and have those of rules still."""
    for taint in device.taints if device is not None else ():
        yield Mark(taint)
    for rule in rules:
        if selects(rule, place):
            yield Mark(rule.spec.taint, rule)


def tolerates(toleration: DeviceToleration, taint: DeviceTaint) -> bool:
    """Whether a toleration is about a taint; what it leaves out matches all."""
    if toleration.effect not in ("", taint.effect) or toleration.key not in ("", taint.key):
        return False
    if toleration.operator == "Exists":
        return True
    return toleration.operator in ("", "Equal") and toleration.value == taint.value


def until(mark: Mark, tolerations: Iterable[DeviceToleration]) -> float | None:
    """When who has these tolerations must leave a device so marked (seconds since the epoch); None if it may stay.

    Only tolerations that name the effect count; of several the shortest.
    """
    added = mark.taint.timeAdded
    start = added.timestamp() if added else 0.0
    seconds: list[int] = []
    for one in tolerations:
        if one.effect == EXECUTE and tolerates(one, mark.taint):
            if one.tolerationSeconds is None:
                return None
            seconds.append(max(one.tolerationSeconds, 0))
    return start + min(seconds, default=0)
