"""What a kubelet reports of a pod and its containers; read by controllers and people."""

from typing import Annotated

from msgspec import field

from kijabi.api.core.persistentvolumeclaim import VolumeHealthCondition
from kijabi.api.core.resources import ResourceList, ResourceRequirements, ResourceStatus
from kijabi.api.meta import Time
from kijabi.api.quantity import Quantity
from kijabi.api.struct import Int32, Int64, Struct, Tag, empty_list


class PodCondition(Struct):
    """PodScheduled, Initialized, ContainersReady, Ready and their like."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    observedGeneration: Annotated[Int64, Tag(7)] = 0
    status: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    lastProbeTime: Annotated[Time, Tag(3)] = Time()
    lastTransitionTime: Annotated[Time, Tag(4)] = Time()
    reason: Annotated[str, Tag(5)] = ""
    message: Annotated[str, Tag(6)] = ""


class HostIP(Struct):
    """An address of the pod's node."""

    ip: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class PodIP(Struct):
    """An address of the pod."""

    ip: Annotated[str, Tag(1, required=True)] = field(default_factory=str)


class ContainerStateWaiting(Struct):
    """Not started yet, and why."""

    reason: Annotated[str, Tag(1)] = ""
    message: Annotated[str, Tag(2)] = ""


class ContainerStateRunning(Struct):
    """Running, and since when."""

    startedAt: Annotated[Time, Tag(1)] = Time()


class ContainerStateTerminated(Struct):
    """Ended: exit code, signal, reason, and from when to when it ran."""

    exitCode: Annotated[Int32, Tag(1, required=True)] = field(default_factory=int)
    signal: Annotated[Int32, Tag(2)] = 0
    reason: Annotated[str, Tag(3)] = ""
    message: Annotated[str, Tag(4)] = ""
    startedAt: Annotated[Time, Tag(5)] = Time()
    finishedAt: Annotated[Time, Tag(6)] = Time()
    containerID: Annotated[str, Tag(7)] = ""


class ContainerState(Struct):
    """Where a container stands; one member is set, none means waiting."""

    waiting: Annotated[ContainerStateWaiting | None, Tag(1)] = None
    running: Annotated[ContainerStateRunning | None, Tag(2)] = None
    terminated: Annotated[ContainerStateTerminated | None, Tag(3)] = None


class ImageVolumeStatus(Struct):
    """The image behind an image volume."""

    imageRef: Annotated[str, Tag(1, required=True)] = ""


class VolumeStatus(Struct):
    """What is known of a mounted volume beyond its mount."""

    image: Annotated[ImageVolumeStatus | None, Tag(1, gate="ImageVolumeWithDigest")] = None


class VolumeMountStatus(Struct):
    """A mount as it was made."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    mountPath: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(3)] = False
    recursiveReadOnly: Annotated[str | None, Tag(4)] = None
    volumeStatus: Annotated[VolumeStatus | None, Tag(5)] = None


class LinuxContainerUser(Struct):
    """The user and groups that the first process began with."""

    uid: Annotated[Int64, Tag(1, required=True)] = field(default_factory=int)
    gid: Annotated[Int64, Tag(2, required=True)] = field(default_factory=int)
    supplementalGroups: Annotated[tuple[Int64, ...], Tag(3, listType="atomic")] = ()


class ContainerUser(Struct):
    """The identity that the first process began with."""

    linux: Annotated[LinuxContainerUser | None, Tag(1)] = None


class ContainerStatus(Struct):
    """A container's state, image, restarts, readiness and resources."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    state: Annotated[ContainerState, Tag(2)] = field(default_factory=ContainerState)
    lastState: Annotated[ContainerState, Tag(3)] = field(default_factory=ContainerState)
    ready: Annotated[bool, Tag(4, required=True)] = field(default_factory=bool)
    restartCount: Annotated[Int32, Tag(5, required=True)] = field(default_factory=int)
    image: Annotated[str, Tag(6, required=True)] = field(default_factory=str)
    imageID: Annotated[str, Tag(7, required=True)] = field(default_factory=str)
    containerID: Annotated[str, Tag(8)] = ""
    started: Annotated[bool | None, Tag(9)] = None
    allocatedResources: Annotated[ResourceList, Tag(10)] = {}
    resources: Annotated[ResourceRequirements | None, Tag(11, gate="InPlacePodVerticalScaling")] = None
    volumeMounts: Annotated[
        tuple[VolumeMountStatus, ...],
        Tag(12, listType="map", keys=("mountPath",), strategy="merge", mergeKey="mountPath"),
    ] = ()
    user: Annotated[ContainerUser | None, Tag(13, gate="SupplementalGroupsPolicy")] = None
    allocatedResourcesStatus: Annotated[
        tuple[ResourceStatus, ...],
        Tag(
            14,
            listType="map",
            keys=("name",),
            strategy="merge",
            mergeKey="name",
            gate="ResourceHealthStatus",
        ),
    ] = ()
    stopSignal: Annotated[str | None, Tag(15, gate="ContainerStopSignals")] = None


class PodResourceClaimStatus(Struct):
    """The claim that was made from a template."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resourceClaimName: Annotated[str | None, Tag(2)] = None


class ContainerExtendedResourceRequest(Struct):
    """Which device request stands behind a container's extended resource."""

    containerName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    resourceName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)
    requestName: Annotated[str, Tag(3, required=True)] = field(default_factory=str)


class PodExtendedResourceClaimStatus(Struct):
    """The claim that was made for extended resources."""

    requestMappings: Annotated[
        tuple[ContainerExtendedResourceRequest, ...],
        Tag(1, listType="atomic", required=True),
    ] = field(default_factory=empty_list)
    resourceClaimName: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class NodeAllocatableMappedResources(Struct):
    """Node resources that a device claim stands for."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    quantity: Annotated[Quantity | None, Tag(2, required=True)] = None


class NodeAllocatableOverheadResources(Struct):
    """Node resources that a device claim costs besides."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    perPod: Annotated[Quantity | None, Tag(2)] = None
    perContainer: Annotated[Quantity | None, Tag(3)] = None


class NodeAllocatableResourceClaimStatus(Struct):
    """The node resources behind a device claim."""

    resourceClaimName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    containers: Annotated[tuple[str, ...], Tag(2, listType="set")] = ()
    mapping: Annotated[
        tuple[NodeAllocatableMappedResources, ...],
        Tag(4, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()
    overhead: Annotated[
        tuple[NodeAllocatableOverheadResources, ...],
        Tag(5, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()


class PodVolumeHealth(Struct):
    """The health of one of the pod's volumes."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    healthConditions: Annotated[
        tuple[VolumeHealthCondition, ...],
        Tag(2, listType="map", keys=("status", "reason"), strategy="merge", mergeKey="status"),
    ] = ()
    lastTransitionTime: Annotated[Time, Tag(3)] = Time()


class PodStatus(Struct):
    """Phase, conditions, addresses and container states of a pod."""

    observedGeneration: Annotated[Int64, Tag(17)] = 0
    phase: Annotated[str, Tag(1)] = ""
    conditions: Annotated[
        tuple[PodCondition, ...],
        Tag(2, listType="map", keys=("type",), strategy="merge", mergeKey="type"),
    ] = ()
    message: Annotated[str, Tag(3)] = ""
    reason: Annotated[str, Tag(4)] = ""
    nominatedNodeName: Annotated[str, Tag(11)] = ""
    hostIP: Annotated[str, Tag(5)] = ""
    hostIPs: Annotated[tuple[HostIP, ...], Tag(16, listType="atomic", strategy="merge", mergeKey="ip")] = ()
    podIP: Annotated[str, Tag(6)] = ""
    podIPs: Annotated[
        tuple[PodIP, ...],
        Tag(12, listType="map", keys=("ip",), strategy="merge", mergeKey="ip"),
    ] = ()
    startTime: Annotated[Time | None, Tag(7)] = None
    initContainerStatuses: Annotated[tuple[ContainerStatus, ...], Tag(10, listType="atomic")] = ()
    containerStatuses: Annotated[tuple[ContainerStatus, ...], Tag(8, listType="atomic")] = ()
    qosClass: Annotated[str, Tag(9)] = ""
    ephemeralContainerStatuses: Annotated[tuple[ContainerStatus, ...], Tag(13, listType="atomic")] = ()
    resize: Annotated[str, Tag(14, gate="InPlacePodVerticalScaling")] = ""
    resourceClaimStatuses: Annotated[
        tuple[PodResourceClaimStatus, ...],
        Tag(
            15,
            listType="map",
            keys=("name",),
            strategy="merge,retainKeys",
            mergeKey="name",
            gate="DynamicResourceAllocation",
        ),
    ] = ()
    extendedResourceClaimStatus: Annotated[
        PodExtendedResourceClaimStatus | None,
        Tag(18, gate="DRAExtendedResource"),
    ] = None
    allocatedResources: Annotated[ResourceList, Tag(19, gate="InPlacePodLevelResourcesVerticalScaling")] = {}
    resources: Annotated[
        ResourceRequirements | None,
        Tag(20, gate="InPlacePodLevelResourcesVerticalScaling"),
    ] = None
    nodeAllocatableResourceClaimStatuses: Annotated[
        tuple[NodeAllocatableResourceClaimStatus, ...],
        Tag(
            21,
            listType="map",
            keys=("resourceClaimName",),
            strategy="merge",
            mergeKey="resourceClaimName",
            gate="DRANodeAllocatableResources",
        ),
    ] = ()
    volumeHealth: Annotated[
        tuple[PodVolumeHealth, ...],
        Tag(22, listType="map", keys=("name",), gate="CSIVolumeHealth"),
    ] = ()

    def set_defaults(self) -> None:
        """The first address stands in podIP too."""
        if self.podIP and (not self.podIPs or self.podIPs[0].ip != self.podIP):
            self.podIPs = (PodIP(ip=self.podIP),)
        elif self.podIPs:
            self.podIP = self.podIPs[0].ip
