"""What a kubelet reports of its node; read by the scheduler and the node lifecycle controller."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.resources import ResourceList
from kijabi.api.defaults import round_up
from kijabi.api.meta import Time
from kijabi.api.struct import Int32, Int64, Struct, Tag, empty_list


class ConfigMapNodeConfigSource(Struct):
    """A ConfigMap that once configured a kubelet; kept for old objects."""

    namespace: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    name: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    uid: Annotated[str, Tag(3)] = ""
    resourceVersion: Annotated[str, Tag(4)] = ""
    kubeletConfigKey: Annotated[str, Tag(5, required=True)] = field(default_factory=str)


class NodeConfigSource(Struct):
    """Where a kubelet once took its configuration from; kept for old objects."""

    configMap: Annotated[ConfigMapNodeConfigSource | None, Tag(2)] = None


class NodeCondition(Struct):
    """Ready, MemoryPressure, DiskPressure, PIDPressure or NetworkUnavailable."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastHeartbeatTime: Annotated[Time, Tag(3)] = Time()
    lastTransitionTime: Annotated[Time, Tag(4)] = Time()
    reason: Annotated[str, Tag(5)] = ""
    message: Annotated[str, Tag(6)] = ""


class NodeAddress(Struct):
    """An address and its type, such as InternalIP or Hostname."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    address: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class DaemonEndpoint(Struct):
    """A port."""

    Port: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)


class NodeDaemonEndpoints(Struct):
    """Where the kubelet listens."""

    kubeletEndpoint: Annotated[DaemonEndpoint, Tag(1)] = field(default_factory=DaemonEndpoint)


class NodeSwapStatus(Struct):
    """How much swap there is."""

    capacity: Annotated[Int64 | None, Tag(1)] = None


class NodeSystemInfo(Struct):
    """Ids and versions of machine, kernel, system, runtime and kubelet."""

    machineID: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    systemUUID: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    bootID: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    kernelVersion: Annotated[str, Tag(4, required=True)] = field(default_factory=str)
    osImage: Annotated[str, Tag(5, required=True)] = field(default_factory=str)
    containerRuntimeVersion: Annotated[str, Tag(6, required=True)] = field(default_factory=str)
    kubeletVersion: Annotated[str, Tag(7, required=True)] = field(default_factory=str)
    kubeProxyVersion: Annotated[str, Tag(8, required=True)] = field(default_factory=str)
    operatingSystem: Annotated[str, Tag(9, required=True)] = field(default_factory=str)
    architecture: Annotated[str, Tag(10, required=True)] = field(default_factory=str)
    swap: Annotated[NodeSwapStatus | None, Tag(11)] = None
    runningInUserNamespace: Annotated[bool | None, Tag(12, gate="KubeletInUserNamespace")] = None


class ContainerImage(Struct):
    """An image on the node: its names and its size."""

    names: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = field(default_factory=empty_list)
    sizeBytes: Annotated[Int64, Tag(2)] = 0


class AttachedVolume(Struct):
    """A volume that is attached to the node."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    devicePath: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class NodeConfigStatus(Struct):
    """The configuration sources of old kubelets."""

    assigned: Annotated[NodeConfigSource | None, Tag(1)] = None
    active: Annotated[NodeConfigSource | None, Tag(2)] = None
    lastKnownGood: Annotated[NodeConfigSource | None, Tag(3)] = None
    error: Annotated[str, Tag(4)] = ""


class NodeRuntimeHandlerFeatures(Struct):
    """What a runtime handler can do."""

    recursiveReadOnlyMounts: Annotated[bool | None, Tag(1)] = None
    userNamespaces: Annotated[bool | None, Tag(2)] = None


class NodeRuntimeHandler(Struct):
    """A runtime handler by name; the empty name is the default."""

    name: Annotated[str, Tag(1)] = field(default_factory=str)
    features: Annotated[NodeRuntimeHandlerFeatures | None, Tag(2)] = None


class NodeFeatures(Struct):
    """What the runtime can do whatever the handler."""

    supplementalGroupsPolicy: Annotated[bool | None, Tag(1)] = None


class NodeStatus(Struct):
    """Capacity, conditions, addresses, images and volumes of a node."""

    capacity: Annotated[ResourceList, Tag(1)] = {}
    allocatable: Annotated[ResourceList, Tag(2)] = {}
    phase: Annotated[str, Tag(3)] = ""
    conditions: Annotated[
        tuple[NodeCondition, ...],
        Tag(4, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()
    addresses: Annotated[
        tuple[NodeAddress, ...],
        Tag(5, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()
    daemonEndpoints: Annotated[NodeDaemonEndpoints, Tag(6)] = field(default_factory=NodeDaemonEndpoints)
    nodeInfo: Annotated[NodeSystemInfo, Tag(7)] = field(default_factory=NodeSystemInfo)
    images: Annotated[tuple[ContainerImage, ...], Tag(8, listType="atomic")] = ()
    volumesInUse: Annotated[tuple[str, ...], Tag(9, listType="atomic")] = ()
    volumesAttached: Annotated[tuple[AttachedVolume, ...], Tag(10, listType="atomic")] = ()
    config: Annotated[NodeConfigStatus | None, Tag(11)] = None
    runtimeHandlers: Annotated[tuple[NodeRuntimeHandler, ...], Tag(12, listType="atomic")] = ()
    features: Annotated[NodeFeatures | None, Tag(13, gate="SupplementalGroupsPolicy")] = None
    declaredFeatures: Annotated[tuple[str, ...], Tag(14, listType="atomic", gate="NodeDeclaredFeatures")] = ()

    def set_defaults(self) -> None:
        """What the node has can be used, unless it says otherwise."""
        round_up(self.capacity)
        round_up(self.allocatable)
        self.allocatable = self.allocatable or dict(self.capacity)
