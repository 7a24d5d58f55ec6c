"""The apiservice types of the apiregistration group."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag


class ServiceReference(Struct):
    """The API type ServiceReference."""

    namespace: Annotated[str, Tag(1)] = ""
    name: Annotated[str, Tag(2)] = ""
    port: Annotated[Int32 | None, Tag(3)] = None


class APIServiceSpec(Struct):
    """What is asked of a API Service."""

    service: Annotated[ServiceReference | None, Tag(1)] = None
    group: Annotated[str, Tag(2)] = ""
    version: Annotated[str, Tag(3)] = ""
    insecureSkipTLSVerify: Annotated[bool, Tag(4)] = False
    caBundle: Annotated[bytes, Tag(5, listType="atomic")] = b""
    groupPriorityMinimum: Annotated[Int32, Tag(7, required=True)] = field(default_factory=int)
    versionPriority: Annotated[Int32, Tag(8, required=True)] = field(default_factory=int)


class APIServiceCondition(Struct):
    """One condition of a API Service."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class APIServiceStatus(Struct):
    """What was last seen of a API Service."""

    conditions: Annotated[
        tuple[APIServiceCondition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class APIService(Object):
    """The API type APIService."""

    spec: Annotated[APIServiceSpec, Tag(2)] = field(default_factory=APIServiceSpec)
    status: Annotated[APIServiceStatus, Tag(3)] = field(default_factory=APIServiceStatus)


RESOURCE = Resource(
    group="apiregistration.k8s.io",
    version="v1",
    kind="APIService",
    plural="apiservices",
    type=APIService,
    namespaced=False,
    singular="apiservice",
    categories=("api-extensions",),
    subresources=(
        Subresource(name="status", kind="APIService", verbs=("get", "patch", "update"), type=APIService),
    ),
)
