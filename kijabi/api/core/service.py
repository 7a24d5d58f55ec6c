"""A stable name and address for pods; followed by endpoints controllers, proxy and DNS."""

from typing import Annotated

from msgspec import field

from kijabi.api.columns import AGE, NAME, NONE, UNKNOWN, column, label_text
from kijabi.api.core.service_rules import prepare, service_warnings, validate, validate_status, validate_update
from kijabi.api.meta import Condition, Object
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, IntOrString, Struct, Tag


class ServicePort(Struct):
    """A port of the service, and the port of the pods behind it."""

    name: Annotated[str, Tag(1)] = ""
    protocol: Annotated[str, Tag(2, default="TCP")] = ""
    appProtocol: Annotated[str | None, Tag(6)] = None
    port: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)
    targetPort: Annotated[IntOrString, Tag(4)] = 0
    nodePort: Annotated[Int32, Tag(5)] = 0

    def set_defaults(self) -> None:
        """The port of the pods is that of the service."""
        self.targetPort = self.targetPort or self.port


class ClientIPConfig(Struct):
    """How long a client stays with one pod."""

    timeoutSeconds: Annotated[Int32 | None, Tag(1)] = None


class SessionAffinityConfig(Struct):
    """The settings of session affinity."""

    clientIP: Annotated[ClientIPConfig | None, Tag(1)] = None


class ServiceSpec(Struct):
    """The pods by selector, the ports, the addresses and the type."""

    ports: Annotated[
        tuple[ServicePort, ...],
        Tag(1, listType="map", keys=("port", "protocol"), strategy="merge", mergeKey="port"),
    ] = ()
    selector: Annotated[dict[str, str], Tag(2, mapType="atomic")] = {}
    clusterIP: Annotated[str, Tag(3)] = ""
    clusterIPs: Annotated[tuple[str, ...], Tag(18, listType="atomic")] = ()
    type: Annotated[str, Tag(4)] = ""
    externalIPs: Annotated[tuple[str, ...], Tag(5, listType="atomic")] = ()
    sessionAffinity: Annotated[str, Tag(7)] = ""
    loadBalancerIP: Annotated[str, Tag(8)] = ""
    loadBalancerSourceRanges: Annotated[tuple[str, ...], Tag(9, listType="atomic")] = ()
    externalName: Annotated[str, Tag(10)] = ""
    externalTrafficPolicy: Annotated[str, Tag(11)] = ""
    healthCheckNodePort: Annotated[Int32, Tag(12)] = 0
    publishNotReadyAddresses: Annotated[bool, Tag(13)] = False
    sessionAffinityConfig: Annotated[SessionAffinityConfig | None, Tag(14)] = None
    ipFamilies: Annotated[tuple[str, ...], Tag(19, listType="atomic")] = ()
    ipFamilyPolicy: Annotated[str | None, Tag(17)] = None
    allocateLoadBalancerNodePorts: Annotated[bool | None, Tag(20)] = None
    loadBalancerClass: Annotated[str | None, Tag(21)] = None
    internalTrafficPolicy: Annotated[str | None, Tag(22)] = None
    trafficDistribution: Annotated[str | None, Tag(23)] = None

    def set_defaults(self) -> None:
        """A cluster address, no affinity, traffic to any endpoint."""
        self.type = self.type or "ClusterIP"
        self.sessionAffinity = self.sessionAffinity or "None"
        if self.sessionAffinity == "None":
            self.sessionAffinityConfig = None
        elif self.sessionAffinity == "ClientIP":
            given = self.sessionAffinityConfig.clientIP if self.sessionAffinityConfig is not None else None
            if given is None or given.timeoutSeconds is None:
                self.sessionAffinityConfig = SessionAffinityConfig(clientIP=ClientIPConfig(timeoutSeconds=10800))
        outside = self.type in ("NodePort", "LoadBalancer") or (self.type == "ClusterIP" and self.externalIPs)
        if outside and not self.externalTrafficPolicy:
            self.externalTrafficPolicy = "Cluster"
        if self.internalTrafficPolicy is None and self.type in ("ClusterIP", "NodePort", "LoadBalancer"):
            self.internalTrafficPolicy = "Cluster"
        if self.type == "LoadBalancer" and self.allocateLoadBalancerNodePorts is None:
            self.allocateLoadBalancerNodePorts = True


class PortStatus(Struct):
    """A port of a load balancer, and what is wrong with it."""

    port: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    protocol: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    error: Annotated[str | None, Tag(3)] = None


class LoadBalancerIngress(Struct):
    """An address of a load balancer."""

    ip: Annotated[str, Tag(1)] = ""
    hostname: Annotated[str, Tag(2)] = ""
    ipMode: Annotated[str | None, Tag(3)] = None
    ports: Annotated[tuple[PortStatus, ...], Tag(4, listType="atomic")] = ()

    def set_defaults(self) -> None:
        """Addresses are virtual unless the balancer says that it proxies."""
        if self.ip and self.ipMode is None:
            self.ipMode = "VIP"


class LoadBalancerStatus(Struct):
    """Where a load balancer can be reached."""

    ingress: Annotated[tuple[LoadBalancerIngress, ...], Tag(1, listType="atomic")] = ()


class ServiceStatus(Struct):
    """The load balancer and the conditions."""

    loadBalancer: Annotated[LoadBalancerStatus, Tag(1)] = field(default_factory=LoadBalancerStatus)
    conditions: Annotated[
        tuple[Condition, ...],
        Tag(2, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()


class Service(Object):
    """A name and an address for a set of pods."""

    spec: Annotated[ServiceSpec, Tag(2)] = field(default_factory=ServiceSpec)
    status: Annotated[ServiceStatus, Tag(3)] = field(default_factory=ServiceStatus)


def _external(obj: Service) -> str:
    spec = obj.spec
    if spec.type == "ExternalName":
        return spec.externalName
    if spec.type in ("ClusterIP", "NodePort"):
        return ",".join(spec.externalIPs) or NONE
    if spec.type != "LoadBalancer":
        return UNKNOWN
    found = {each.ip or each.hostname for each in obj.status.loadBalancer.ingress}
    return ",".join((*sorted(found - {""}), *spec.externalIPs)) or "<pending>"


def _port(port: ServicePort) -> str:
    node = f":{port.nodePort}" if port.nodePort > 0 else ""
    return f"{port.port}{node}/{port.protocol}"


COLUMNS = (
    NAME,
    column("Type", lambda obj: obj.spec.type, "Who can reach it."),
    column("Cluster-IP", lambda obj: obj.spec.clusterIPs[0] if obj.spec.clusterIPs else NONE, "Its address inside."),
    column("External-IP", _external, "Its addresses outside."),
    column("Port(s)", lambda obj: ",".join(map(_port, obj.spec.ports)) or NONE, "Its ports, with those on the nodes."),
    AGE,
    column("Selector", lambda obj: label_text(obj.spec.selector), "Labels of the pods behind it.", wide=True),
)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Service",
    plural="services",
    type=Service,
    singular="service",
    short=("svc",),
    categories=("all",),
    subresources=(
        Subresource(
            name="proxy",
            kind="ServiceProxyOptions",
            verbs=("create", "delete", "get", "patch", "update"),
        ),
        Subresource(name="status", kind="Service", verbs=("get", "patch", "update"), type=Service),
    ),
    name_rule="label",
    columns=COLUMNS,
    fields=(
        ("spec.clusterIP", lambda service: service.spec.clusterIP),
        ("spec.type", lambda service: service.spec.type),
    ),
    prepare=prepare,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    create_on_update=True,
    warnings=service_warnings,
)
