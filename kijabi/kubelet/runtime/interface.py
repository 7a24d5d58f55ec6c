"""What the kubelet asks of a container runtime: sandboxes, containers, images, streams and events.

The model is the Container Runtime Interface (k8s.io/cri-api `runtime/v1`), reduced to what a kubelet needs. `cri`
speaks it to containerd, `fake` plays it for simulations and hollow nodes; `suite.py` is the contract as tests.

A pod's life: `run_sandbox` (network namespace and pause process) → per container `pull_image`,
`create_container`, `start_container` … `stop_container`, `remove_container` → `stop_sandbox` → `remove_sandbox`.
Every call can be repeated: stopping what is stopped or removing what is gone is not an error. The runtime survives
its own and the kubelet's restart: `list_sandboxes` and `list_containers` are the truth, found again by labels.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Literal, Protocol

import msgspec

from kijabi.base.errors import KijabiError


class RuntimeFailure(KijabiError):
    """The runtime refused or failed; `reason` is the container state reason that users see.

    reason: RunContainerError, CreateContainerError, CreateContainerConfigError, ErrImagePull, InvalidImageName,
    ErrImageNeverPull, RegistryUnavailable, CreatePodSandboxError, NetworkNotReady …
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RuntimeGone(RuntimeFailure):
    """The sandbox, container or image asked for does not exist."""


class PortMapping(msgspec.Struct, frozen=True, kw_only=True):
    """A hostPort: traffic to the node's port goes to the container's."""

    protocol: str = "TCP"
    container_port: int
    host_port: int
    host_ip: str = ""


class SandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """A pod's shared part. host_network, host_pid, host_ipc, share_pid: its namespaces. dns: resolv.conf's three."""

    name: str
    namespace: str
    uid: str
    attempt: int = 0
    hostname: str = ""
    log_directory: str = ""
    dns_servers: tuple[str, ...] = ()
    dns_searches: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    ports: tuple[PortMapping, ...] = ()
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    cgroup_parent: str = ""
    sysctls: Mapping[str, str] = {}
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_pid: bool = False
    privileged: bool = False
    run_as_user: int | None = None
    run_as_group: int | None = None
    fs_group: int | None = None
    supplemental_groups: tuple[int, ...] = ()
    seccomp: str = ""  # "", "RuntimeDefault", "Unconfined", "Localhost/<path>"
    runtime_handler: str = ""


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A host path in a container. propagation: private, rslave (HostToContainer) or rshared (Bidirectional)."""

    container_path: str
    host_path: str
    read_only: bool = False
    propagation: Literal["private", "rslave", "rshared"] = "private"


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device node given to a container; permissions such as `rwm`."""

    container_path: str
    host_path: str
    permissions: str = "rwm"


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """cgroup limits. cpu_quota and cpu_period in µs; memory_limit in bytes; zeros mean unlimited."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 100_000
    memory_limit: int = 0
    oom_score_adj: int = 0
    cpuset_cpus: str = ""


class ContainerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One container of a pod. log_path is relative to the sandbox's log_directory."""

    name: str
    attempt: int = 0
    image: str
    image_ref: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    env: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    log_path: str = ""
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    resources: Resources = Resources()
    privileged: bool = False
    add_capabilities: tuple[str, ...] = ()
    drop_capabilities: tuple[str, ...] = ()
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_username: str = ""
    supplemental_groups: tuple[int, ...] = ()
    read_only_root: bool = False
    no_new_privileges: bool = False
    seccomp: str = ""
    masked_paths: tuple[str, ...] | None = None  # None: the runtime's defaults
    readonly_paths: tuple[str, ...] | None = None
    target_container: str = ""  # ephemeral containers: whose PID namespace to join


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox as listed. created_at in seconds since the epoch. pid: of the pause process, 0 if unknown."""

    id: str
    name: str
    namespace: str
    uid: str
    attempt: int = 0
    ready: bool = False
    created_at: float = 0.0
    ips: tuple[str, ...] = ()
    host_network: bool = False
    pid: int = 0
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class ContainerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A container as it is. Times in seconds since the epoch, 0 where it did not happen.

    reason: Completed, Error, OOMKilled, StartError, ContainerCannotRun …
    """

    id: str
    sandbox_id: str
    name: str
    attempt: int = 0
    state: Literal["created", "running", "exited", "unknown"] = "unknown"
    image: str = ""
    image_ref: str = ""
    created_at: float = 0.0
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    log_path: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image on this node. size in bytes; user is the numeric or named user of its config."""

    id: str
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    size: int = 0
    uid: int | None = None
    username: str = ""
    pinned: bool = False


class ImageAuth(msgspec.Struct, frozen=True, kw_only=True):
    """Credentials for a registry, from an image pull secret."""

    username: str = ""
    password: str = ""
    auth: str = ""
    identity_token: str = ""
    registry_token: str = ""
    server_address: str = ""


class ExecResult(msgspec.Struct, frozen=True):
    """How a command in a container ended; output is cut at 16 MiB by the runtime."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class ContainerUsage(msgspec.Struct, frozen=True, kw_only=True):
    """cpu in nanoseconds of core time since start; memory_working_set and rootfs in bytes."""

    id: str
    cpu_nanoseconds: int = 0
    memory_working_set: int = 0
    memory_usage: int = 0
    rootfs_bytes: int = 0


class FsUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The image file system. Bytes and inodes."""

    mountpoint: str = ""
    used_bytes: int = 0
    inodes_used: int = 0


class RuntimeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Who the runtime is and whether it and its network are ready; the messages say why not."""

    name: str
    version: str
    runtime_ready: bool = True
    network_ready: bool = True
    runtime_message: str = ""
    network_message: str = ""


class ContainerEvent(msgspec.Struct, frozen=True):
    """Something changed: kind is `exit`, `oom`, `start`, `create`, `delete` or `resync` (look at everything)."""

    kind: Literal["exit", "oom", "start", "create", "delete", "resync"]
    container_id: str = ""


class ByteReader(Protocol):
    """Where bytes come from, such as asyncio.StreamReader: up to n of them, b"" at the end."""

    async def read(self, n: int = -1, /) -> bytes: ...


class ByteWriter(Protocol):
    """Where bytes go, such as asyncio.StreamWriter: `drain` waits while too many are on their way."""

    def write(self, data: bytes, /) -> None: ...
    async def drain(self) -> None: ...
    def write_eof(self) -> None: ...
    def close(self) -> None: ...


class ExecSession(Protocol):
    """A running command or an attached container, with its streams.

    stdin: write and close it; closing it half-closes, the output goes on. stdout and stderr end at EOF (with tty
    everything is on stdout). `wait` gives the exit code (0 for attach). `resize` sets the terminal's size.
    `close` ends the session, and kills the command if it still runs.
    """

    @property
    def stdin(self) -> ByteWriter | None: ...
    @property
    def stdout(self) -> ByteReader: ...
    @property
    def stderr(self) -> ByteReader | None: ...

    async def resize(self, width: int, height: int) -> None: ...
    async def wait(self) -> int: ...
    async def close(self) -> None: ...


class ImageViews(Protocol):
    """Shows the files of images outside of containers. Calls raise as those of Runtime, and OSError."""

    async def show(self, image_id: str, path: str, owner: str) -> None:
        """Mount an image's files, read only, at a directory that is there; nothing if something is mounted there.

        They stay until `release`, whatever becomes of the image.
        """
        ...

    async def release(self, owner: str) -> None:
        """What is shown for an owner is no longer needed. Does not unmount it."""
        ...


class Runtime(Protocol):
    """A container runtime. Calls raise RuntimeFailure, RuntimeGone, or ConnectionLost when it does not answer."""

    @property
    def views(self) -> ImageViews: ...
    async def info(self) -> RuntimeInfo: ...
    def events(self) -> AsyncIterator[ContainerEvent]:
        """Changes as they happen, across reconnects; after each (re)connect a `resync` comes first."""
        ...

    async def run_sandbox(self, config: SandboxConfig) -> str: ...
    async def stop_sandbox(self, sandbox_id: str) -> None: ...
    async def remove_sandbox(self, sandbox_id: str) -> None: ...
    async def list_sandboxes(self) -> tuple[Sandbox, ...]:
        """All sandboxes; `ips` may be empty here, see sandbox_status."""
        ...

    async def sandbox_status(self, sandbox_id: str) -> Sandbox: ...
    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str: ...
    async def start_container(self, container_id: str) -> None: ...
    async def stop_container(self, container_id: str, grace: int) -> None:
        """SIGTERM (or the image's stop signal), then SIGKILL after `grace` seconds; returns once it is down."""
        ...

    async def remove_container(self, container_id: str) -> None: ...
    async def list_containers(self) -> tuple[ContainerInfo, ...]:
        """All containers, running or not; exit details may be missing here, see container_status."""
        ...

    async def container_status(self, container_id: str) -> ContainerInfo: ...
    async def update_resources(self, container_id: str, resources: Resources) -> None: ...
    async def reopen_log(self, container_id: str) -> None: ...
    async def exec_sync(self, container_id: str, command: tuple[str, ...], timeout: float) -> ExecResult:
        """Run a command to its end; raises TimeoutError after `timeout` seconds (0: none)."""
        ...

    async def exec(self, container_id: str, command: tuple[str, ...], *, stdin: bool, tty: bool) -> ExecSession: ...
    async def attach(self, container_id: str, *, stdin: bool, tty: bool) -> ExecSession: ...
    async def connect(self, sandbox_id: str, port: int) -> tuple[ByteReader, ByteWriter]:
        """A TCP connection to localhost:port inside the sandbox's network namespace (port-forward)."""
        ...

    async def pull_image(self, image: str, auth: ImageAuth | None = None) -> str:
        """Pull and give the image id."""
        ...

    async def image_status(self, image: str) -> Image | None: ...
    async def list_images(self) -> tuple[Image, ...]: ...
    async def remove_image(self, image_id: str) -> None: ...
    async def usage(self) -> tuple[ContainerUsage, ...]: ...
    async def image_fs(self) -> FsUsage: ...
    async def close(self) -> None: ...
