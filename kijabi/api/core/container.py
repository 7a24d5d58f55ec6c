"""What runs in a pod: containers and their ports, mounts and restart rules; read by the kubelet."""

from typing import Annotated, ClassVar

from msgspec import field

from kijabi.api.core.env import EnvFromSource, EnvVar
from kijabi.api.core.image import pull_policy
from kijabi.api.core.probe import Lifecycle, Probe
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.core.security import SecurityContext
from kijabi.api.struct import Int32, Struct, Tag


class ContainerPort(Struct):
    """A port that a container listens on; hostPort opens it on the node as well."""

    name: Annotated[str, Tag(1)] = ""
    hostPort: Annotated[Int32, Tag(2)] = 0
    containerPort: Annotated[Int32, Tag(3, required=True)] = field(default_factory=int)
    protocol: Annotated[str, Tag(4, default="TCP")] = ""
    hostIP: Annotated[str, Tag(5)] = ""


class ContainerResizePolicy(Struct):
    """Whether a container restarts when its amount of a resource changes."""

    resourceName: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    restartPolicy: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class ContainerRestartRuleOnExitCodes(Struct):
    """Exit codes that a restart rule looks for."""

    operator: Annotated[str, Tag(1, required=True)] = ""
    values: Annotated[tuple[Int32, ...], Tag(2, listType="set")] = ()


class ContainerRestartRule(Struct):
    """What to do when a container exits in a certain way."""

    action: Annotated[str, Tag(1, required=True)] = ""
    exitCodes: Annotated[ContainerRestartRuleOnExitCodes | None, Tag(2)] = None


class VolumeMount(Struct):
    """Where a volume appears in a container."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    readOnly: Annotated[bool, Tag(2)] = False
    recursiveReadOnly: Annotated[str | None, Tag(7)] = None
    mountPath: Annotated[str, Tag(3, required=True)] = field(default_factory=str)
    subPath: Annotated[str, Tag(4)] = ""
    mountPropagation: Annotated[str | None, Tag(5)] = None
    subPathExpr: Annotated[str, Tag(6)] = ""
    bindMountOptions: Annotated[tuple[str, ...], Tag(8, listType="set", gate="VolumeBindMountOptions")] = ()


class VolumeDevice(Struct):
    """Where a raw block volume appears in a container."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    devicePath: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class Container(Struct):
    """An image, what to run of it, and with what."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    image: Annotated[str, Tag(2)] = ""
    command: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    args: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()
    workingDir: Annotated[str, Tag(5)] = ""
    ports: Annotated[
        tuple[ContainerPort, ...],
        Tag(
            6,
            listType="map",
            keys=("containerPort", "protocol"),
            strategy="merge",
            mergeKey="containerPort",
        ),
    ] = ()
    envFrom: Annotated[tuple[EnvFromSource, ...], Tag(19, listType="atomic")] = ()
    env: Annotated[
        tuple[EnvVar, ...],
        Tag(7, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()
    resources: Annotated[ResourceRequirements, Tag(8)] = field(default_factory=ResourceRequirements)
    resizePolicy: Annotated[
        tuple[ContainerResizePolicy, ...],
        Tag(23, listType="atomic", gate="InPlacePodVerticalScaling"),
    ] = ()
    restartPolicy: Annotated[str | None, Tag(24)] = None
    restartPolicyRules: Annotated[
        tuple[ContainerRestartRule, ...],
        Tag(25, listType="atomic", gate="ContainerRestartRules"),
    ] = ()
    volumeMounts: Annotated[
        tuple[VolumeMount, ...],
        Tag(9, listType="map", keys=("mountPath",), strategy="merge", mergeKey="mountPath"),
    ] = ()
    volumeDevices: Annotated[
        tuple[VolumeDevice, ...],
        Tag(21, listType="map", keys=("devicePath",), strategy="merge", mergeKey="devicePath"),
    ] = ()
    livenessProbe: Annotated[Probe | None, Tag(10)] = None
    readinessProbe: Annotated[Probe | None, Tag(11)] = None
    startupProbe: Annotated[Probe | None, Tag(22)] = None
    lifecycle: Annotated[Lifecycle | None, Tag(12)] = None
    terminationMessagePath: Annotated[str, Tag(13)] = ""
    terminationMessagePolicy: Annotated[str, Tag(20)] = ""
    imagePullPolicy: Annotated[str, Tag(14)] = ""
    securityContext: Annotated[SecurityContext | None, Tag(15)] = None
    stdin: Annotated[bool, Tag(16)] = False
    stdinOnce: Annotated[bool, Tag(17)] = False
    tty: Annotated[bool, Tag(18)] = False

    def set_defaults(self) -> None:
        """A tag other than latest is pulled once; the last words are read from a file."""
        self.imagePullPolicy = self.imagePullPolicy or pull_policy(self.image)
        self.terminationMessagePath = self.terminationMessagePath or "/dev/termination-log"
        self.terminationMessagePolicy = self.terminationMessagePolicy or "File"


class EphemeralContainerCommon(Struct):
    """What ephemeral containers share with others; ports, probes and resources must stay empty."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    image: Annotated[str, Tag(2)] = ""
    command: Annotated[tuple[str, ...], Tag(3, listType="atomic")] = ()
    args: Annotated[tuple[str, ...], Tag(4, listType="atomic")] = ()
    workingDir: Annotated[str, Tag(5)] = ""
    ports: Annotated[
        tuple[ContainerPort, ...],
        Tag(
            6,
            listType="map",
            keys=("containerPort", "protocol"),
            strategy="merge",
            mergeKey="containerPort",
        ),
    ] = ()
    envFrom: Annotated[tuple[EnvFromSource, ...], Tag(19, listType="atomic")] = ()
    env: Annotated[
        tuple[EnvVar, ...],
        Tag(7, listType="map", keys=("name",), strategy="merge", mergeKey="name"),
    ] = ()
    resources: Annotated[ResourceRequirements, Tag(8)] = field(default_factory=ResourceRequirements)
    resizePolicy: Annotated[
        tuple[ContainerResizePolicy, ...],
        Tag(23, listType="atomic", gate="InPlacePodVerticalScaling"),
    ] = ()
    restartPolicy: Annotated[str | None, Tag(24)] = None
    restartPolicyRules: Annotated[
        tuple[ContainerRestartRule, ...],
        Tag(25, listType="atomic", gate="ContainerRestartRules"),
    ] = ()
    volumeMounts: Annotated[
        tuple[VolumeMount, ...],
        Tag(9, listType="map", keys=("mountPath",), strategy="merge", mergeKey="mountPath"),
    ] = ()
    volumeDevices: Annotated[
        tuple[VolumeDevice, ...],
        Tag(21, listType="map", keys=("devicePath",), strategy="merge", mergeKey="devicePath"),
    ] = ()
    livenessProbe: Annotated[Probe | None, Tag(10)] = None
    readinessProbe: Annotated[Probe | None, Tag(11)] = None
    startupProbe: Annotated[Probe | None, Tag(22)] = None
    lifecycle: Annotated[Lifecycle | None, Tag(12)] = None
    terminationMessagePath: Annotated[str, Tag(13)] = ""
    terminationMessagePolicy: Annotated[str, Tag(20)] = ""
    imagePullPolicy: Annotated[str, Tag(14)] = ""
    securityContext: Annotated[SecurityContext | None, Tag(15)] = None
    stdin: Annotated[bool, Tag(16)] = False
    stdinOnce: Annotated[bool, Tag(17)] = False
    tty: Annotated[bool, Tag(18)] = False

    def set_defaults(self) -> None:
        """As a Container."""
        self.imagePullPolicy = self.imagePullPolicy or pull_policy(self.image)
        self.terminationMessagePath = self.terminationMessagePath or "/dev/termination-log"
        self.terminationMessagePolicy = self.terminationMessagePolicy or "File"


class EphemeralContainer(EphemeralContainerCommon):
    """A container added to a running pod, for `kubectl debug`; it is never restarted."""

    INLINE: ClassVar[int] = 1

    targetContainerName: Annotated[str, Tag(2)] = ""
