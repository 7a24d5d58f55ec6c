"""The messages of the Container Runtime Interface that we send and read, as Structs with protobuf numbers.

Numbers and names are those of k8s.io/cri-api `runtime/v1`; fields that nobody here uses are left out (a decoder skips
what it does not know). `cri` builds and reads them, `kijabi.api.protobuf` puts them on the wire. Enums are ints, named
where they are used.
"""

from __future__ import annotations

from typing import Annotated

from kijabi.api.struct import Struct, Tag

Labels = dict[str, str]

# enum Protocol
PROTOCOLS = {"TCP": 0, "UDP": 1, "SCTP": 2}
# enum MountPropagation
PROPAGATIONS = {"private": 0, "rslave": 1, "rshared": 2}
# enum NamespaceMode
POD, CONTAINER, NODE, TARGET = 0, 1, 2, 3
# enum SecurityProfile.ProfileType
RUNTIME_DEFAULT, UNCONFINED, LOCALHOST = 0, 1, 2
# enum PodSandboxState
SANDBOX_READY, SANDBOX_NOTREADY = 0, 1
# enum ContainerState, by position
CONTAINER_STATES = ("created", "running", "exited", "unknown")


class Empty(Struct):
    """A request or reply without fields, or whose fields nobody reads."""


class Int64Value(Struct):
    """A number that may be absent."""

    value: Annotated[int, Tag(1)] = 0


class UInt64Value(Struct):
    """A number that may be absent."""

    value: Annotated[int, Tag(1)] = 0


class VersionRequest(Struct):
    """Whom we speak to; the version asked for may stay empty."""

    version: Annotated[str, Tag(1)] = ""


class VersionResponse(Struct):
    """The runtime's name and version."""

    version: Annotated[str, Tag(1)] = ""
    runtime_name: Annotated[str, Tag(2)] = ""
    runtime_version: Annotated[str, Tag(3)] = ""
    runtime_api_version: Annotated[str, Tag(4)] = ""


class RuntimeCondition(Struct):
    """RuntimeReady or NetworkReady, and why not."""

    type: Annotated[str, Tag(1)] = ""
    status: Annotated[bool, Tag(2)] = False
    reason: Annotated[str, Tag(3)] = ""
    message: Annotated[str, Tag(4)] = ""


class RuntimeStatus(Struct):
    """The runtime's conditions."""

    conditions: Annotated[tuple[RuntimeCondition, ...], Tag(1)] = ()


class StatusResponse(Struct):
    """How the runtime is."""

    status: Annotated[RuntimeStatus | None, Tag(1)] = None


# Sandboxes


class DNSConfig(Struct):
    """What goes into resolv.conf."""

    servers: Annotated[tuple[str, ...], Tag(1)] = ()
    searches: Annotated[tuple[str, ...], Tag(2)] = ()
    options: Annotated[tuple[str, ...], Tag(3)] = ()


class PortMapping(Struct):
    """A host port."""

    protocol: Annotated[int, Tag(1)] = 0
    container_port: Annotated[int, Tag(2)] = 0
    host_port: Annotated[int, Tag(3)] = 0
    host_ip: Annotated[str, Tag(4)] = ""


class NamespaceOption(Struct):
    """Whose namespaces a sandbox or container is in."""

    network: Annotated[int, Tag(1)] = POD
    pid: Annotated[int, Tag(2)] = POD
    ipc: Annotated[int, Tag(3)] = POD
    target_id: Annotated[str, Tag(4)] = ""


class SecurityProfile(Struct):
    """A seccomp profile."""

    profile_type: Annotated[int, Tag(1)] = RUNTIME_DEFAULT
    localhost_ref: Annotated[str, Tag(2)] = ""


class LinuxSandboxSecurityContext(Struct):
    """How a sandbox is confined."""

    namespace_options: Annotated[NamespaceOption | None, Tag(1)] = None
    run_as_user: Annotated[Int64Value | None, Tag(3)] = None
    readonly_rootfs: Annotated[bool, Tag(4)] = False
    supplemental_groups: Annotated[tuple[int, ...], Tag(5)] = ()
    privileged: Annotated[bool, Tag(6)] = False
    run_as_group: Annotated[Int64Value | None, Tag(8)] = None
    seccomp: Annotated[SecurityProfile | None, Tag(9)] = None


class LinuxPodSandboxConfig(Struct):
    """A sandbox's control group, kernel settings and confinement."""

    cgroup_parent: Annotated[str, Tag(1)] = ""
    security_context: Annotated[LinuxSandboxSecurityContext | None, Tag(2)] = None
    sysctls: Annotated[Labels, Tag(3)] = {}


class PodSandboxMetadata(Struct):
    """Which pod, and which attempt at it."""

    name: Annotated[str, Tag(1)] = ""
    uid: Annotated[str, Tag(2)] = ""
    namespace: Annotated[str, Tag(3)] = ""
    attempt: Annotated[int, Tag(4)] = 0


class PodSandboxConfig(Struct):
    """A pod's shared part."""

    metadata: Annotated[PodSandboxMetadata | None, Tag(1)] = None
    hostname: Annotated[str, Tag(2)] = ""
    log_directory: Annotated[str, Tag(3)] = ""
    dns_config: Annotated[DNSConfig | None, Tag(4)] = None
    port_mappings: Annotated[tuple[PortMapping, ...], Tag(5)] = ()
    labels: Annotated[Labels, Tag(6)] = {}
    annotations: Annotated[Labels, Tag(7)] = {}
    linux: Annotated[LinuxPodSandboxConfig | None, Tag(8)] = None


class RunPodSandboxRequest(Struct):
    """Start a sandbox; its answer is a SandboxId."""

    config: Annotated[PodSandboxConfig | None, Tag(1)] = None
    runtime_handler: Annotated[str, Tag(2)] = ""


class SandboxId(Struct):
    """RunPodSandboxResponse, StopPodSandboxRequest, RemovePodSandboxRequest."""

    pod_sandbox_id: Annotated[str, Tag(1)] = ""


class PodSandboxStatusRequest(Struct):
    """Which sandbox; verbose adds its process id."""

    pod_sandbox_id: Annotated[str, Tag(1)] = ""
    verbose: Annotated[bool, Tag(2)] = False


class PodIP(Struct):
    """One more address of a pod."""

    ip: Annotated[str, Tag(1)] = ""


class PodSandboxNetworkStatus(Struct):
    """A pod's addresses."""

    ip: Annotated[str, Tag(1)] = ""
    additional_ips: Annotated[tuple[PodIP, ...], Tag(2)] = ()


class Namespace(Struct):
    """A sandbox's namespaces."""

    options: Annotated[NamespaceOption | None, Tag(2)] = None


class LinuxPodSandboxStatus(Struct):
    """A sandbox's namespaces."""

    namespaces: Annotated[Namespace | None, Tag(1)] = None


class PodSandboxStatus(Struct):
    """A sandbox with its addresses."""

    id: Annotated[str, Tag(1)] = ""
    metadata: Annotated[PodSandboxMetadata | None, Tag(2)] = None
    state: Annotated[int, Tag(3)] = SANDBOX_READY
    created_at: Annotated[int, Tag(4)] = 0
    network: Annotated[PodSandboxNetworkStatus | None, Tag(5)] = None
    linux: Annotated[LinuxPodSandboxStatus | None, Tag(6)] = None
    labels: Annotated[Labels, Tag(7)] = {}
    annotations: Annotated[Labels, Tag(8)] = {}


class PodSandboxStatusResponse(Struct):
    """A sandbox, and JSON about it if verbose."""

    status: Annotated[PodSandboxStatus | None, Tag(1)] = None
    info: Annotated[Labels, Tag(2)] = {}


class PodSandbox(Struct):
    """A sandbox in a list."""

    id: Annotated[str, Tag(1)] = ""
    metadata: Annotated[PodSandboxMetadata | None, Tag(2)] = None
    state: Annotated[int, Tag(3)] = SANDBOX_READY
    created_at: Annotated[int, Tag(4)] = 0
    labels: Annotated[Labels, Tag(5)] = {}
    annotations: Annotated[Labels, Tag(6)] = {}


class ListPodSandboxResponse(Struct):
    """All sandboxes."""

    items: Annotated[tuple[PodSandbox, ...], Tag(1)] = ()


# Containers


class ImageSpec(Struct):
    """An image by name or id."""

    image: Annotated[str, Tag(1)] = ""
    annotations: Annotated[Labels, Tag(2)] = {}


class KeyValue(Struct):
    """An environment variable."""

    key: Annotated[str, Tag(1)] = ""
    value: Annotated[str, Tag(2)] = ""


class Mount(Struct):
    """A host path in a container."""

    container_path: Annotated[str, Tag(1)] = ""
    host_path: Annotated[str, Tag(2)] = ""
    readonly: Annotated[bool, Tag(3)] = False
    propagation: Annotated[int, Tag(5)] = 0


class Device(Struct):
    """A device in a container."""

    container_path: Annotated[str, Tag(1)] = ""
    host_path: Annotated[str, Tag(2)] = ""
    permissions: Annotated[str, Tag(3)] = ""


class LinuxContainerResources(Struct):
    """Limits."""

    cpu_period: Annotated[int, Tag(1)] = 0
    cpu_quota: Annotated[int, Tag(2)] = 0
    cpu_shares: Annotated[int, Tag(3)] = 0
    memory_limit_in_bytes: Annotated[int, Tag(4)] = 0
    oom_score_adj: Annotated[int, Tag(5)] = 0
    cpuset_cpus: Annotated[str, Tag(6)] = ""


class Capability(Struct):
    """Capabilities to add to and drop from the default ones."""

    add_capabilities: Annotated[tuple[str, ...], Tag(1)] = ()
    drop_capabilities: Annotated[tuple[str, ...], Tag(2)] = ()


class LinuxContainerSecurityContext(Struct):
    """How a container is confined."""

    capabilities: Annotated[Capability | None, Tag(1)] = None
    privileged: Annotated[bool, Tag(2)] = False
    namespace_options: Annotated[NamespaceOption | None, Tag(3)] = None
    run_as_user: Annotated[Int64Value | None, Tag(5)] = None
    run_as_username: Annotated[str, Tag(6)] = ""
    readonly_rootfs: Annotated[bool, Tag(7)] = False
    supplemental_groups: Annotated[tuple[int, ...], Tag(8)] = ()
    no_new_privs: Annotated[bool, Tag(11)] = False
    run_as_group: Annotated[Int64Value | None, Tag(12)] = None
    masked_paths: Annotated[tuple[str, ...], Tag(13)] = ()
    readonly_paths: Annotated[tuple[str, ...], Tag(14)] = ()
    seccomp: Annotated[SecurityProfile | None, Tag(15)] = None


class LinuxContainerConfig(Struct):
    """A container's limits and confinement."""

    resources: Annotated[LinuxContainerResources | None, Tag(1)] = None
    security_context: Annotated[LinuxContainerSecurityContext | None, Tag(2)] = None


class ContainerMetadata(Struct):
    """Which container, and which attempt at it."""

    name: Annotated[str, Tag(1)] = ""
    attempt: Annotated[int, Tag(2)] = 0


class ContainerConfig(Struct):
    """One container of a pod."""

    metadata: Annotated[ContainerMetadata | None, Tag(1)] = None
    image: Annotated[ImageSpec | None, Tag(2)] = None
    command: Annotated[tuple[str, ...], Tag(3)] = ()
    args: Annotated[tuple[str, ...], Tag(4)] = ()
    working_dir: Annotated[str, Tag(5)] = ""
    envs: Annotated[tuple[KeyValue, ...], Tag(6)] = ()
    mounts: Annotated[tuple[Mount, ...], Tag(7)] = ()
    devices: Annotated[tuple[Device, ...], Tag(8)] = ()
    labels: Annotated[Labels, Tag(9)] = {}
    annotations: Annotated[Labels, Tag(10)] = {}
    log_path: Annotated[str, Tag(11)] = ""
    stdin: Annotated[bool, Tag(12)] = False
    stdin_once: Annotated[bool, Tag(13)] = False
    tty: Annotated[bool, Tag(14)] = False
    linux: Annotated[LinuxContainerConfig | None, Tag(15)] = None


class CreateContainerRequest(Struct):
    """Create a container; its answer is a ContainerId."""

    pod_sandbox_id: Annotated[str, Tag(1)] = ""
    config: Annotated[ContainerConfig | None, Tag(2)] = None
    sandbox_config: Annotated[PodSandboxConfig | None, Tag(3)] = None


class ContainerId(Struct):
    """CreateContainerResponse and the Start, Remove, Status, ReopenLog and Stats requests."""

    container_id: Annotated[str, Tag(1)] = ""


class StopContainerRequest(Struct):
    """timeout: seconds between SIGTERM and SIGKILL."""

    container_id: Annotated[str, Tag(1)] = ""
    timeout: Annotated[int, Tag(2)] = 0


class Container(Struct):
    """A container in a list."""

    id: Annotated[str, Tag(1)] = ""
    pod_sandbox_id: Annotated[str, Tag(2)] = ""
    metadata: Annotated[ContainerMetadata | None, Tag(3)] = None
    image: Annotated[ImageSpec | None, Tag(4)] = None
    image_ref: Annotated[str, Tag(5)] = ""
    state: Annotated[int, Tag(6)] = 0
    created_at: Annotated[int, Tag(7)] = 0
    labels: Annotated[Labels, Tag(8)] = {}
    annotations: Annotated[Labels, Tag(9)] = {}


class ListContainersResponse(Struct):
    """All containers."""

    containers: Annotated[tuple[Container, ...], Tag(1)] = ()


class ContainerStatus(Struct):
    """A container with times and exit details."""

    id: Annotated[str, Tag(1)] = ""
    metadata: Annotated[ContainerMetadata | None, Tag(2)] = None
    state: Annotated[int, Tag(3)] = 0
    created_at: Annotated[int, Tag(4)] = 0
    started_at: Annotated[int, Tag(5)] = 0
    finished_at: Annotated[int, Tag(6)] = 0
    exit_code: Annotated[int, Tag(7)] = 0
    image: Annotated[ImageSpec | None, Tag(8)] = None
    image_ref: Annotated[str, Tag(9)] = ""
    reason: Annotated[str, Tag(10)] = ""
    message: Annotated[str, Tag(11)] = ""
    labels: Annotated[Labels, Tag(12)] = {}
    annotations: Annotated[Labels, Tag(13)] = {}
    log_path: Annotated[str, Tag(15)] = ""


class ContainerStatusRequest(Struct):
    """Which container; verbose adds its sandbox."""

    container_id: Annotated[str, Tag(1)] = ""
    verbose: Annotated[bool, Tag(2)] = False


class ContainerStatusResponse(Struct):
    """A container, and JSON about it if verbose."""

    status: Annotated[ContainerStatus | None, Tag(1)] = None
    info: Annotated[Labels, Tag(2)] = {}


class UpdateContainerResourcesRequest(Struct):
    """New limits."""

    container_id: Annotated[str, Tag(1)] = ""
    linux: Annotated[LinuxContainerResources | None, Tag(2)] = None


class ExecSyncRequest(Struct):
    """A command to run to its end; timeout in seconds."""

    container_id: Annotated[str, Tag(1)] = ""
    cmd: Annotated[tuple[str, ...], Tag(2)] = ()
    timeout: Annotated[int, Tag(3)] = 0


class ExecSyncResponse(Struct):
    """How the command ended."""

    stdout: Annotated[bytes, Tag(1)] = b""
    stderr: Annotated[bytes, Tag(2)] = b""
    exit_code: Annotated[int, Tag(3)] = 0


class AttachRequest(Struct):
    """Which streams of a container's process."""

    container_id: Annotated[str, Tag(1)] = ""
    stdin: Annotated[bool, Tag(2)] = False
    tty: Annotated[bool, Tag(3)] = False
    stdout: Annotated[bool, Tag(4)] = False
    stderr: Annotated[bool, Tag(5)] = False


class StreamUrl(Struct):
    """AttachResponse."""

    url: Annotated[str, Tag(1)] = ""
