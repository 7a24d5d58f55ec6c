"""Address ranges for services; read by the API server's allocator."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, column
from kijabi.api.meta import Condition, Object
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct, Tag


class ServiceCIDRSpec(Struct):
    """The ranges."""

    cidrs: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()


class ServiceCIDRStatus(Struct):
    """The conditions."""

    conditions: Annotated[
        tuple[Condition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class ServiceCIDR(Object):
    """A range from which services get their addresses."""

    spec: Annotated[ServiceCIDRSpec, Tag(2)] = field(default_factory=ServiceCIDRSpec)
    status: Annotated[ServiceCIDRStatus, Tag(3)] = field(default_factory=ServiceCIDRStatus)


COLUMNS = (NAME, column("CIDRs", lambda obj: ",".join(obj.spec.cidrs), "Ranges of addresses."), AGE)


RESOURCE = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    type=ServiceCIDR,
    namespaced=False,
    singular="servicecidr",
    subresources=(Subresource(name="status", kind="ServiceCIDR", verbs=("get", "patch", "update"), type=ServiceCIDR),),
    columns=COLUMNS,
)
