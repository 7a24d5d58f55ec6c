"""Taints that administrators put on devices; followed by the device taint eviction controller."""

from typing import Annotated

from msgspec import field

from kijabi.api.dra.slice_rules import validate_rule, validate_rule_status
from kijabi.api.meta import Condition, Object, Time, time_now
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class DeviceTaintSelector(Struct):
    """Devices by driver, pool and name."""

    driver: Annotated[str | None, Tag(2)] = None
    pool: Annotated[str | None, Tag(3)] = None
    device: Annotated[str | None, Tag(4)] = None


class DeviceTaint(Struct):
    """A mark that keeps claims away from a device, or drives pods off it."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[str, Tag(2)] = ""
    effect: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    timeAdded: Annotated[Time | None, Tag(4)] = None

    def set_defaults(self) -> None:
        """Tolerations are counted from when a taint came."""
        self.timeAdded = self.timeAdded or time_now()


class DeviceTaintRuleSpec(Struct):
    """The devices and the taint."""

    deviceSelector: Annotated[DeviceTaintSelector | None, Tag(1)] = None
    taint: Annotated[DeviceTaint, Tag(2, required=True)] = field(default_factory=DeviceTaint)


class DeviceTaintRuleStatus(Struct):
    """How far the eviction has come."""

    conditions: Annotated[
        tuple[Condition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class DeviceTaintRule(Object):
    """Puts a taint on all devices that a selector picks."""

    spec: Annotated[DeviceTaintRuleSpec, Tag(2, required=True)] = field(default_factory=DeviceTaintRuleSpec)
    status: Annotated[DeviceTaintRuleStatus, Tag(3)] = field(default_factory=DeviceTaintRuleStatus)


def prepare(new: DeviceTaintRule, old: DeviceTaintRule | None) -> None:
    """A new effect has a new time, unless the client gave one: tolerations count from when it came."""
    taint = new.spec.taint
    if old is not None and taint.effect != old.spec.taint.effect and taint.timeAdded == old.spec.taint.timeAdded:
        taint.timeAdded = time_now()


RESOURCE = Resource(
    group="resource.k8s.io",
    version="v1",
    kind="DeviceTaintRule",
    plural="devicetaintrules",
    type=DeviceTaintRule,
    namespaced=False,
    singular="devicetaintrule",
    subresources=(
        Subresource(
            name="status",
            kind="DeviceTaintRule",
            verbs=("get", "patch", "update"),
            type=DeviceTaintRule,
        ),
    ),
    has_generation=True,
    update_needs_version=True,
    prepare=prepare,
    validate=validate_rule,
    validate_status=validate_rule_status,
)
