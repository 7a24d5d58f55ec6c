"""HTTP routes from outside to services; acted on by ingress controllers."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, column
from kijabi.api.core.reference import TypedLocalObjectReference
from kijabi.api.meta import Object
from kijabi.api.networking.ingress_rules import validate, validate_status, warnings
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Struct, Tag, empty_list


class ServiceBackendPort(Struct):
    """A service's port by name or number."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1)] = ""
    number: Annotated[Int32, Tag(2)] = 0


class IngressServiceBackend(Struct):
    """A service and its port."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    port: Annotated[ServiceBackendPort, Tag(2)] = field(default_factory=ServiceBackendPort)


class IngressBackend(Struct):
    """Where requests go: a service, or another object of the namespace."""

    service: Annotated[IngressServiceBackend | None, Tag(4)] = None
    resource: Annotated[TypedLocalObjectReference | None, Tag(3)] = None


class IngressTLS(Struct):
    """Hosts, and the Secret with their certificate."""

    hosts: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    secretName: Annotated[str, Tag(2)] = ""


class HTTPIngressPath(Struct):
    """A path, how it matches, and where it leads."""

    path: Annotated[str, Tag(1)] = ""
    pathType: Annotated[str | None, Tag(3, required=True)] = None
    backend: Annotated[IngressBackend, Tag(2, required=True)] = field(default_factory=IngressBackend)


class HTTPIngressRuleValue(Struct):
    """The paths of a host."""

    paths: Annotated[
        tuple[HTTPIngressPath, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)


class IngressRuleValue(Struct):
    """What a rule does; HTTP is the only form."""

    http: Annotated[HTTPIngressRuleValue | None, Tag(1)] = None


class IngressRule(IngressRuleValue):
    """A host and its paths."""

    INLINE: ClassVar[int] = 2

    host: Annotated[str, Tag(1)] = ""


class IngressSpec(Struct):
    """The class, the rules, certificates and the backend for everything else."""

    ingressClassName: Annotated[str | None, Tag(4)] = None
    defaultBackend: Annotated[IngressBackend | None, Tag(1)] = None
    tls: Annotated[tuple[IngressTLS, ...], Tag(2, listType="atomic")] = ()
    rules: Annotated[tuple[IngressRule, ...], Tag(3, listType="atomic")] = ()


class IngressPortStatus(Struct):
    """A port of a load balancer, and what is wrong with it."""

    port: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    protocol: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    error: Annotated[str | None, Tag(3)] = None


class IngressLoadBalancerIngress(Struct):
    """An address of a load balancer."""

    ip: Annotated[str, Tag(1)] = ""
    hostname: Annotated[str, Tag(2)] = ""
    ports: Annotated[tuple[IngressPortStatus, ...], Tag(4, listType="atomic")] = ()


class IngressLoadBalancerStatus(Struct):
    """Where the load balancer can be reached."""

    ingress: Annotated[tuple[IngressLoadBalancerIngress, ...], Tag(1, listType="atomic")] = ()


class IngressStatus(Struct):
    """The load balancer."""

    loadBalancer: Annotated[
        IngressLoadBalancerStatus,
        Tag(1),
    ] = field(default_factory=IngressLoadBalancerStatus)


class Ingress(Object):
    """Routes HTTP requests by host and path to services."""

    spec: Annotated[IngressSpec, Tag(2)] = field(default_factory=IngressSpec)
    status: Annotated[IngressStatus, Tag(3)] = field(default_factory=IngressStatus)


def _hosts(obj: Ingress) -> str:
    found = [rule.host for rule in obj.spec.rules[:3] if rule.host]
    if len(found) == 3 and len(obj.spec.rules) > 3:
        return f"{','.join(found)} + {len(obj.spec.rules) - 3} more..."
    return ",".join([rule.host for rule in obj.spec.rules if rule.host][:3]) or "*"


def _addresses(obj: Ingress) -> str:
    found = {each.ip or each.hostname for each in obj.status.loadBalancer.ingress}
    return ",".join(sorted(found - {""}))


COLUMNS = (
    NAME,
    column("Class", lambda obj: NONE if obj.spec.ingressClassName is None else obj.spec.ingressClassName, "Its class."),
    column("Hosts", _hosts, "Hosts that it is for."),
    column("Address", _addresses, "Where it is reached."),
    column("Ports", lambda obj: "80, 443" if obj.spec.tls else "80", "Ports of the hosts."),
    AGE,
)


RESOURCE = Resource(
    group="networking.k8s.io",
    version="v1",
    kind="Ingress",
    plural="ingresses",
    type=Ingress,
    singular="ingress",
    short=("ing",),
    subresources=(Subresource(name="status", kind="Ingress", verbs=("get", "patch", "update"), type=Ingress),),
    has_generation=True,
    columns=COLUMNS,
    validate=validate,
    validate_status=validate_status,
    warnings=warnings,
)
