"""The ingress types of the networking group."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.core.reference import TypedLocalObjectReference
from kijabi.api.meta import Object
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag, empty_list


class ServiceBackendPort(Struct):
    """The API type ServiceBackendPort."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1)] = ""
    number: Annotated[Int32, Tag(2)] = 0


class IngressServiceBackend(Struct):
    """The API type IngressServiceBackend."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    port: Annotated[ServiceBackendPort, Tag(2)] = field(default_factory=ServiceBackendPort)


class IngressBackend(Struct):
    """The API type IngressBackend."""

    service: Annotated[IngressServiceBackend | None, Tag(4)] = None
    resource: Annotated[TypedLocalObjectReference | None, Tag(3)] = None


class IngressTLS(Struct):
    """The API type IngressTLS."""

    hosts: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    secretName: Annotated[str, Tag(2)] = ""


class HTTPIngressPath(Struct):
    """The API type HTTPIngressPath."""

    path: Annotated[str, Tag(1)] = ""
    pathType: Annotated[str | None, Tag(3, required=True)] = None
    backend: Annotated[IngressBackend, Tag(2, required=True)] = field(default_factory=IngressBackend)


class HTTPIngressRuleValue(Struct):
    """The API type HTTPIngressRuleValue."""

    paths: Annotated[
        tuple[HTTPIngressPath, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class IngressRuleValue(Struct):
    """The API type IngressRuleValue."""

    http: Annotated[HTTPIngressRuleValue | None, Tag(1)] = None


class IngressRule(IngressRuleValue):
    """The API type IngressRule."""

    INLINE: ClassVar[int] = 2

    host: Annotated[str, Tag(1)] = ""


class IngressSpec(Struct):
    """What is asked of a Ingress."""

    ingressClassName: Annotated[str | None, Tag(4)] = None
    defaultBackend: Annotated[IngressBackend | None, Tag(1)] = None
    tls: Annotated[tuple[IngressTLS, ...], Tag(2, listType="atomic")] = ()
    rules: Annotated[tuple[IngressRule, ...], Tag(3, listType="atomic")] = ()


class IngressPortStatus(Struct):
    """What was last seen of a Ingress Port."""

    port: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    protocol: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    error: Annotated[str | None, Tag(3)] = None


class IngressLoadBalancerIngress(Struct):
    """The API type IngressLoadBalancerIngress."""

    ip: Annotated[str, Tag(1)] = ""
    hostname: Annotated[str, Tag(2)] = ""
    ports: Annotated[tuple[IngressPortStatus, ...], Tag(4, listType="atomic")] = ()


class IngressLoadBalancerStatus(Struct):
    """What was last seen of a Ingress Load Balancer."""

    ingress: Annotated[tuple[IngressLoadBalancerIngress, ...], Tag(1, listType="atomic")] = ()


class IngressStatus(Struct):
    """What was last seen of a Ingress."""

    loadBalancer: Annotated[
        IngressLoadBalancerStatus,
        Tag(1),
    ] = field(default_factory=IngressLoadBalancerStatus)


class Ingress(Object):
    """The API type Ingress."""

    spec: Annotated[IngressSpec, Tag(2)] = field(default_factory=IngressSpec)
    status: Annotated[IngressStatus, Tag(3)] = field(default_factory=IngressStatus)


RESOURCE = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="Ingress",
    plural="ingresses",
    type=Ingress,
    singular="ingress",
    short=("ing",),
    subresources=(
        Subresource(name="status", kind="Ingress", verbs=("get", "patch", "update"), type=Ingress),
    ),
    has_generation=True,
)
