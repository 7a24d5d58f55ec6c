"""The devicetaintrule types of the dra group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Condition, Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class DeviceTaintSelector(Struct):
    """The API type DeviceTaintSelector."""

    driver: Annotated[str | None, Tag(2)] = None
    pool: Annotated[str | None, Tag(3)] = None
    device: Annotated[str | None, Tag(4)] = None


class DeviceTaint(Struct):
    """The API type DeviceTaint."""

    key: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[str, Tag(2)] = ""
    effect: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    timeAdded: Annotated[Time | None, Tag(4)] = None


class DeviceTaintRuleSpec(Struct):
    """What is asked of a Device Taint Rule."""

    deviceSelector: Annotated[DeviceTaintSelector | None, Tag(1)] = None
    taint: Annotated[DeviceTaint, Tag(2, required=True)] = field(default_factory=DeviceTaint)


class DeviceTaintRuleStatus(Struct):
    """What was last seen of a Device Taint Rule."""

    conditions: Annotated[
        tuple[Condition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class DeviceTaintRule(Object):
    """The API type DeviceTaintRule."""

    spec: Annotated[DeviceTaintRuleSpec, Tag(2, required=True)] = field(default_factory=DeviceTaintRuleSpec)
    status: Annotated[DeviceTaintRuleStatus, Tag(3)] = field(default_factory=DeviceTaintRuleStatus)


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
)
