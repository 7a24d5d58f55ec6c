"""Group versions served by someone else: the API server passes their requests on."""

from typing import Annotated

from msgspec import field

from kijabi.api.meta import Object, Time
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag


class ServiceReference(Struct):
    """The service in the cluster that serves the group version."""

    namespace: Annotated[str, Tag(1)] = ""
    name: Annotated[str, Tag(2)] = ""
    port: Annotated[Int32 | None, Tag(3)] = None


class APIServiceSpec(Struct):
    """The group version, its service, how to trust it, and its rank in discovery."""

    service: Annotated[ServiceReference | None, Tag(1)] = None
    group: Annotated[str, Tag(2)] = ""
    version: Annotated[str, Tag(3)] = ""
    insecureSkipTLSVerify: Annotated[bool, Tag(4)] = False
    caBundle: Annotated[bytes, Tag(5, listType="atomic")] = b""
    groupPriorityMinimum: Annotated[Int32, Tag(7, required=True)] = field(default_factory=int)
    versionPriority: Annotated[Int32, Tag(8, required=True)] = field(default_factory=int)


class APIServiceCondition(Struct):
    """Available, or why not."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()
    reason: Annotated[str, Tag(4)] = ""
    message: Annotated[str, Tag(5)] = ""


class APIServiceStatus(Struct):
    """The conditions."""

    conditions: Annotated[
        tuple[APIServiceCondition, ...],
        Tag(1, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class APIService(Object):
    """One group version of the API and who serves it; local ones have no service."""

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
