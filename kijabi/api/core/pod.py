"""The pod, the unit of work: placed by the scheduler, run by the kubelet."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.core.affinity import Affinity, Toleration, TopologySpreadConstraint
from kijabi.api.core.binding import Binding
from kijabi.api.core.container import Container, EphemeralContainer
from kijabi.api.core.pod_columns import COLUMNS
from kijabi.api.core.pod_rules import prepare, validate, validate_status, validate_update
from kijabi.api.core.pod_warnings import pod_warnings
from kijabi.api.core.podstatus import PodStatus
from kijabi.api.core.reference import LocalObjectReference
from kijabi.api.core.resources import ResourceList, ResourceRequirements
from kijabi.api.core.security import PodSecurityContext
from kijabi.api.core.volume import Volume
from kijabi.api.defaults import round_up
from kijabi.api.meta import Object
from kijabi.api.policy.eviction import Eviction
from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Int32, Int64, Struct, Tag, empty_list


class HostAlias(Struct):
    """A line of /etc/hosts."""

    ip: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    hostnames: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()


class PodDNSConfigOption(Struct):
    """A resolver option such as `ndots`, with its value."""

    name: Annotated[str, Tag(1)] = ""
    value: Annotated[str | None, Tag(2)] = None


class PodDNSConfig(Struct):
    """Name servers, search domains and options besides those of the DNS policy."""

    nameservers: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    searches: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()
    options: Annotated[tuple[PodDNSConfigOption, ...], Tag(3, listType="atomic")] = ()


class PodReadinessGate(Struct):
    """A condition, set by someone else, that must be true before the pod counts as ready."""

    conditionType: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class PodOS(Struct):
    """The operating system of the containers: linux or windows."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class PodSchedulingGate(Struct):
    """A name that keeps the pod from being scheduled until it is removed."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class PodResourceClaim(Struct):
    """Devices by claim, or by the template of one; containers refer to it by name."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resourceClaimName: Annotated[str | None, Tag(3)] = None
    resourceClaimTemplateName: Annotated[str | None, Tag(4)] = None


class PodSchedulingGroup(Struct):
    """The group of pods with which a pod is scheduled."""

    podGroupName: Annotated[str | None, Tag(1)] = None


class EvictionResponder(Struct):
    """Someone who wants a say when the pod is to be evicted."""

    ATOMIC: ClassVar[bool] = True

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    priority: Annotated[Int32 | None, Tag(2, required=True)] = None


class PodSpec(Struct):
    """The containers, their volumes and network, where they may run and how they end."""

    volumes: Annotated[
        tuple[Volume, ...],
        Tag(1, listType="map", keys=("name",), strategy="merge,retainKeys", mergeKey="name"),
    ] = ()
    initContainers: Annotated[
        tuple[Container, ...],
        Tag(20, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()
    containers: Annotated[
        tuple[Container, ...],
        Tag(2, listType="map", keys=("name",), strategy="merge", mergeKey="name", required=True),
    ] = field(default_factory=empty_list)
    ephemeralContainers: Annotated[
        tuple[EphemeralContainer, ...],
        Tag(34, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()
    restartPolicy: Annotated[str, Tag(3)] = ""
    terminationGracePeriodSeconds: Annotated[Int64 | None, Tag(4)] = None
    activeDeadlineSeconds: Annotated[Int64 | None, Tag(5)] = None
    dnsPolicy: Annotated[str, Tag(6)] = ""
    nodeSelector: Annotated[dict[str, str], Tag(7, mapType="atomic")] = {}
    serviceAccountName: Annotated[str, Tag(8)] = ""
    serviceAccount: Annotated[str, Tag(9)] = ""
    automountServiceAccountToken: Annotated[bool | None, Tag(21)] = None
    nodeName: Annotated[str, Tag(10)] = ""
    hostNetwork: Annotated[bool, Tag(11)] = False
    hostPID: Annotated[bool, Tag(12)] = False
    hostIPC: Annotated[bool, Tag(13)] = False
    shareProcessNamespace: Annotated[bool | None, Tag(27)] = None
    securityContext: Annotated[PodSecurityContext | None, Tag(14)] = None
    imagePullSecrets: Annotated[
        tuple[LocalObjectReference, ...],
        Tag(15, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()
    hostname: Annotated[str, Tag(16)] = ""
    subdomain: Annotated[str, Tag(17)] = ""
    affinity: Annotated[Affinity | None, Tag(18)] = None
    schedulerName: Annotated[str, Tag(19)] = ""
    tolerations: Annotated[tuple[Toleration, ...], Tag(22, listType="atomic")] = ()
    hostAliases: Annotated[
        tuple[HostAlias, ...],
        Tag(23, listType="map", keys=("ip",), strategy="merge", mergeKey="ip"),
    ] = ()
    priorityClassName: Annotated[str, Tag(24)] = ""
    priority: Annotated[Int32 | None, Tag(25)] = None
    dnsConfig: Annotated[PodDNSConfig | None, Tag(26)] = None
    readinessGates: Annotated[tuple[PodReadinessGate, ...], Tag(28, listType="atomic")] = ()
    runtimeClassName: Annotated[str | None, Tag(29)] = None
    enableServiceLinks: Annotated[bool | None, Tag(30)] = None
    preemptionPolicy: Annotated[str | None, Tag(31)] = None
    overhead: Annotated[ResourceList, Tag(32)] = {}
    topologySpreadConstraints: Annotated[
        tuple[TopologySpreadConstraint, ...],
        Tag(
            33,
            listType="map",
            keys=("topologyKey", "whenUnsatisfiable"),
            strategy="merge",
            mergeKey="topologyKey",
        ),
    ] = ()
    setHostnameAsFQDN: Annotated[bool | None, Tag(35)] = None
    os: Annotated[PodOS | None, Tag(36)] = None
    hostUsers: Annotated[bool | None, Tag(37)] = None
    schedulingGates: Annotated[
        tuple[PodSchedulingGate, ...],
        Tag(38, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()
    resourceClaims: Annotated[
        tuple[PodResourceClaim, ...],
        Tag(
            39,
            listType="map",
            keys=("name",),
            strategy="merge,retainKeys",
            mergeKey="name",
            gate="DynamicResourceAllocation",
        ),
    ] = ()
    resources: Annotated[ResourceRequirements | None, Tag(40, gate="PodLevelResources")] = None
    hostnameOverride: Annotated[str | None, Tag(41, gate="HostnameOverride")] = None
    schedulingGroup: Annotated[PodSchedulingGroup | None, Tag(43, gate="GenericWorkload")] = None
    evictionResponders: Annotated[
        tuple[EvictionResponder, ...],
        Tag(44, listType="map", keys=("name",), strategy="merge", mergeKey="name", gate="EvictionRequestAPI"),
    ] = ()

    def set_defaults(self) -> None:
        """What every pod has, be it a Pod's or a template's."""
        self.serviceAccountName = self.serviceAccountName or self.serviceAccount
        self.serviceAccount = self.serviceAccountName
        self.dnsPolicy = self.dnsPolicy or "ClusterFirst"
        self.restartPolicy = self.restartPolicy or "Always"
        self.schedulerName = self.schedulerName or "default-scheduler"
        if self.securityContext is None:
            self.securityContext = PodSecurityContext()
        if self.terminationGracePeriodSeconds is None:
            self.terminationGracePeriodSeconds = 30
        round_up(self.overhead)


class Pod(Object):
    """Containers that share a node, an address and volumes."""

    spec: Annotated[PodSpec, Tag(2)] = field(default_factory=PodSpec)
    status: Annotated[PodStatus, Tag(3)] = field(default_factory=PodStatus)

    def set_defaults(self) -> None:
        """What a template does not fill yet: requests follow limits, host ports the ports, service links are on."""
        spec = self.spec
        if spec.terminationGracePeriodSeconds is not None and spec.terminationGracePeriodSeconds < 0:
            spec.terminationGracePeriodSeconds = 1
        for container in (*spec.containers, *spec.initContainers):
            resources = container.resources
            resources.requests = {**resources.limits, **resources.requests}
            for port in container.ports if spec.hostNetwork else ():
                port.hostPort = port.hostPort or port.containerPort
        if spec.enableServiceLinks is None:
            spec.enableServiceLinks = True


FIELDS = (
    ("spec.nodeName", lambda pod: pod.spec.nodeName),
    ("spec.host", lambda pod: pod.spec.nodeName),
    ("spec.restartPolicy", lambda pod: pod.spec.restartPolicy),
    ("spec.schedulerName", lambda pod: pod.spec.schedulerName),
    ("spec.serviceAccountName", lambda pod: pod.spec.serviceAccountName),
    ("spec.hostNetwork", lambda pod: "true" if pod.spec.hostNetwork else "false"),
    ("status.phase", lambda pod: pod.status.phase),
    ("status.podIP", lambda pod: pod.status.podIPs[0].ip if pod.status.podIPs else ""),
    ("status.podIPs", lambda pod: ""),  # upstream accepts it and never fills it
    ("status.nominatedNodeName", lambda pod: pod.status.nominatedNodeName),
)


RESOURCE = Resource(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    type=Pod,
    singular="pod",
    short=("po",),
    categories=("all",),
    subresources=(
        Subresource(name="attach", kind="PodAttachOptions", verbs=("create", "get")),
        Subresource(name="binding", kind="Binding", verbs=("create",), type=Binding),
        Subresource(name="ephemeralcontainers", kind="Pod", verbs=("get", "patch", "update"), type=Pod),
        Subresource(
            name="eviction",
            kind="Eviction",
            verbs=("create",),
            group="policy",
            version="v1",
            accepts=("policy/v1beta1",),  # kubectl up to 1.21 drains with it
            type=Eviction,
        ),
        Subresource(name="exec", kind="PodExecOptions", verbs=("create", "get")),
        Subresource(name="log", kind="Pod", verbs=("get",)),
        Subresource(name="portforward", kind="PodPortForwardOptions", verbs=("create", "get")),
        Subresource(
            name="proxy",
            kind="PodProxyOptions",
            verbs=("create", "delete", "get", "patch", "update"),
        ),
        Subresource(name="resize", kind="Pod", verbs=("get", "patch", "update"), type=Pod),
        Subresource(name="status", kind="Pod", verbs=("get", "patch", "update"), type=Pod),
    ),
    has_generation=True,
    graceful=True,
    fields=FIELDS,
    columns=COLUMNS,
    prepare=prepare,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
    warnings=pod_warnings,
)
