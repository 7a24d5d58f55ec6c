"""Rights and confinement of containers; applied by the kubelet, judged at admission."""

from typing import Annotated

from msgspec import field

from kijabi.api.struct import Int64, Struct, Tag


class Capabilities(Struct):
    """Linux capabilities to add and to drop."""

    add: Annotated[tuple[str, ...], Tag(1, listType="atomic")] = ()
    drop: Annotated[tuple[str, ...], Tag(2, listType="atomic")] = ()


class SELinuxOptions(Struct):
    """The labels of an SELinux context."""

    user: Annotated[str, Tag(1)] = ""
    role: Annotated[str, Tag(2)] = ""
    type: Annotated[str, Tag(3)] = ""
    level: Annotated[str, Tag(4)] = ""


class WindowsSecurityContextOptions(Struct):
    """Identity and host access of Windows containers."""

    gmsaCredentialSpecName: Annotated[str | None, Tag(1)] = None
    gmsaCredentialSpec: Annotated[str | None, Tag(2)] = None
    runAsUserName: Annotated[str | None, Tag(3)] = None
    hostProcess: Annotated[bool | None, Tag(4)] = None


class SeccompProfile(Struct):
    """Which system calls are allowed: RuntimeDefault, Unconfined, or a file on the node."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    localhostProfile: Annotated[str | None, Tag(2)] = None


class AppArmorProfile(Struct):
    """The AppArmor profile: RuntimeDefault, Unconfined, or one loaded on the node."""

    type: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    localhostProfile: Annotated[str | None, Tag(2)] = None


class SecurityContext(Struct):
    """Rights and confinement of one container; goes before the pod's."""

    capabilities: Annotated[Capabilities | None, Tag(1)] = None
    privileged: Annotated[bool | None, Tag(2)] = None
    seLinuxOptions: Annotated[SELinuxOptions | None, Tag(3)] = None
    windowsOptions: Annotated[WindowsSecurityContextOptions | None, Tag(10)] = None
    runAsUser: Annotated[Int64 | None, Tag(4)] = None
    runAsGroup: Annotated[Int64 | None, Tag(8)] = None
    runAsNonRoot: Annotated[bool | None, Tag(5)] = None
    readOnlyRootFilesystem: Annotated[bool | None, Tag(6)] = None
    allowPrivilegeEscalation: Annotated[bool | None, Tag(7)] = None
    procMount: Annotated[str | None, Tag(9)] = None
    seccompProfile: Annotated[SeccompProfile | None, Tag(11)] = None
    appArmorProfile: Annotated[AppArmorProfile | None, Tag(12)] = None


class Sysctl(Struct):
    """A kernel parameter of the pod's namespaces."""

    name: Annotated[str, Tag(1, required=True)] = field(default_factory=str)
    value: Annotated[str, Tag(2, required=True)] = field(default_factory=str)


class PodSecurityContext(Struct):
    """Rights and confinement of all containers of a pod."""

    seLinuxOptions: Annotated[SELinuxOptions | None, Tag(1)] = None
    windowsOptions: Annotated[WindowsSecurityContextOptions | None, Tag(8)] = None
    runAsUser: Annotated[Int64 | None, Tag(2)] = None
    runAsGroup: Annotated[Int64 | None, Tag(6)] = None
    runAsNonRoot: Annotated[bool | None, Tag(3)] = None
    supplementalGroups: Annotated[tuple[Int64, ...], Tag(4, listType="atomic")] = ()
    supplementalGroupsPolicy: Annotated[str | None, Tag(12, gate="SupplementalGroupsPolicy")] = None
    fsGroup: Annotated[Int64 | None, Tag(5)] = None
    sysctls: Annotated[tuple[Sysctl, ...], Tag(7, listType="atomic")] = ()
    fsGroupChangePolicy: Annotated[str | None, Tag(9)] = None
    seccompProfile: Annotated[SeccompProfile | None, Tag(10)] = None
    appArmorProfile: Annotated[AppArmorProfile | None, Tag(11)] = None
    seLinuxChangePolicy: Annotated[str | None, Tag(13, gate="SELinuxChangePolicy")] = None
