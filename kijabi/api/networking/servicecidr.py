"""The servicecidr types of the networking group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Condition, Object
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class ServiceCIDRSpec(Struct):
    """What is asked of a Service CIDR."""

    cidrs: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class ServiceCIDRStatus(Struct):
    """What was last seen of a Service CIDR."""

    conditions: Annotated[
        tuple[Condition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class ServiceCIDR(Object):
    """The API type ServiceCIDR."""

    spec: Annotated[ServiceCIDRSpec, Tag(2)] = field(default_factory=ServiceCIDRSpec)
    status: Annotated[ServiceCIDRStatus, Tag(3)] = field(default_factory=ServiceCIDRStatus)


RESOURCE = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    type=ServiceCIDR,
    namespaced=False,
    singular="servicecidr",
    subresources=(
        Subresource(name="status", kind="ServiceCIDR", verbs=("get", "patch", "update"), type=ServiceCIDR),
    ),
)
