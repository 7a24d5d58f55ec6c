"""Between the kubelet's words and the CRI's: pure functions from interface Structs to messages and back.

`cri` calls them on both sides of each call. Rules of translation are those of the kubelet and of containerd's CRI
plugin (k8s.io/cri-api `runtime/v1`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from kijabi.kubelet.runtime import cri_image_messages as im
from kijabi.kubelet.runtime import cri_messages as m
from kijabi.kubelet.runtime import interface as i

# Why a pull failed: a part of containerd's message → the reason users see (upstream `pkg/kubelet/images/types.go`).
_PULL_REASONS = (
    ("invalid reference format", "InvalidImageName"),
    ("failed to parse image reference", "InvalidImageName"),
    ("RegistryUnavailable", "RegistryUnavailable"),
    ("SignatureValidationFailed", "SignatureValidationFailed"),
)
NANOSECOND = 1e-9


def sandbox_config(config: i.SandboxConfig) -> m.PodSandboxConfig:
    """A pod's shared part. A pod in the node's network has the node's host name, so it must ask for none."""
    dns = None
    if config.dns_servers or config.dns_searches or config.dns_options:
        dns = m.DNSConfig(servers=config.dns_servers, searches=config.dns_searches, options=config.dns_options)
    return m.PodSandboxConfig(
        metadata=m.PodSandboxMetadata(
            name=config.name, uid=config.uid, namespace=config.namespace, attempt=config.attempt
        ),
        hostname="" if config.host_network else config.hostname,
        log_directory=config.log_directory,
        dns_config=dns,
        port_mappings=tuple(
            m.PortMapping(
                protocol=m.PROTOCOLS[port.protocol],
                container_port=port.container_port,
                host_port=port.host_port,
                host_ip=port.host_ip,
            )
            for port in config.ports
        ),
        labels=dict(config.labels),
        annotations=dict(config.annotations),
        linux=m.LinuxPodSandboxConfig(
            cgroup_parent=config.cgroup_parent,
            sysctls=dict(config.sysctls),
            security_context=m.LinuxSandboxSecurityContext(
                namespace_options=_namespaces(config),
                run_as_user=_optional(config.run_as_user),
                run_as_group=_optional(config.run_as_group),
                supplemental_groups=_groups(config, config.supplemental_groups),
                privileged=config.privileged,
                seccomp=_seccomp(config.seccomp),
            ),
        ),
    )


def container_config(config: i.ContainerConfig, sandbox: i.SandboxConfig) -> m.ContainerConfig:
    """One container of a pod."""
    namespaces = _namespaces(sandbox)
    if config.target_container:
        namespaces.pid, namespaces.target_id = m.TARGET, config.target_container
    # nothing masked is what a privileged container gets; there is no way to say "none" in the message
    security = m.LinuxContainerSecurityContext(
        capabilities=m.Capability(add_capabilities=config.add_capabilities, drop_capabilities=config.drop_capabilities),
        privileged=config.privileged,
        namespace_options=namespaces,
        run_as_user=_optional(config.run_as_user),
        run_as_username=config.run_as_username,
        run_as_group=_optional(config.run_as_group),
        readonly_rootfs=config.read_only_root,
        supplemental_groups=_groups(sandbox, config.supplemental_groups),
        no_new_privs=config.no_new_privileges,
        masked_paths=DEFAULT_MASKED if config.masked_paths is None else config.masked_paths,
        readonly_paths=DEFAULT_READONLY if config.readonly_paths is None else config.readonly_paths,
        seccomp=_seccomp(config.seccomp),
    )
    return m.ContainerConfig(
        metadata=m.ContainerMetadata(name=config.name, attempt=config.attempt),
        image=m.ImageSpec(image=config.image_ref or config.image),
        command=config.command,
        args=config.args,
        working_dir=config.working_dir,
        envs=tuple(m.KeyValue(key=key, value=value) for key, value in config.env),
        mounts=tuple(
            m.Mount(
                container_path=mount.container_path,
                host_path=mount.host_path,
                readonly=mount.read_only,
                propagation=m.PROPAGATIONS[mount.propagation],
            )
            for mount in config.mounts
        ),
        devices=tuple(
            m.Device(container_path=device.container_path, host_path=device.host_path, permissions=device.permissions)
            for device in config.devices
        ),
        labels=dict(config.labels),
        annotations=dict(config.annotations),
        log_path=config.log_path,
        stdin=config.stdin,
        stdin_once=config.stdin_once,
        tty=config.tty,
        linux=m.LinuxContainerConfig(resources=resources(config.resources), security_context=security),
    )


# What of /proc and /sys an unprivileged container must not see or write (the defaults of every CRI client).
DEFAULT_MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
DEFAULT_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def resources(limits: i.Resources) -> m.LinuxContainerResources:
    """cgroup limits; a quota of zero is "unlimited" and then the period says nothing."""
    return m.LinuxContainerResources(
        cpu_period=limits.cpu_period,
        cpu_quota=limits.cpu_quota,
        cpu_shares=limits.cpu_shares,
        memory_limit_in_bytes=limits.memory_limit,
        oom_score_adj=limits.oom_score_adj,
        cpuset_cpus=limits.cpuset_cpus,
    )


def auth_config(auth: i.ImageAuth | None) -> im.AuthConfig | None:
    """Registry credentials."""
    if auth is None:
        return None
    return im.AuthConfig(
        username=auth.username,
        password=auth.password,
        auth=auth.auth,
        server_address=auth.server_address,
        identity_token=auth.identity_token,
        registry_token=auth.registry_token,
    )


def listed_sandbox(item: m.PodSandbox) -> i.Sandbox:
    """A sandbox from a list: without addresses and namespaces."""
    metadata = item.metadata or m.PodSandboxMetadata()
    return i.Sandbox(
        id=item.id,
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        attempt=metadata.attempt,
        ready=item.state == m.SANDBOX_READY,
        created_at=item.created_at * NANOSECOND,
        labels=item.labels,
        annotations=item.annotations,
    )


def sandbox(status: m.PodSandboxStatus, info: Mapping[str, str]) -> i.Sandbox:
    """A sandbox with its addresses and, from the verbose part of the answer, its process."""
    metadata = status.metadata or m.PodSandboxMetadata()
    network = status.network or m.PodSandboxNetworkStatus()
    options = (status.linux and status.linux.namespaces and status.linux.namespaces.options) or m.NamespaceOption()
    details = json.loads(info.get("info", "{}"))
    return i.Sandbox(
        id=status.id,
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        attempt=metadata.attempt,
        ready=status.state == m.SANDBOX_READY,
        created_at=status.created_at * NANOSECOND,
        ips=tuple(ip for ip in (network.ip, *(more.ip for more in network.additional_ips)) if ip),
        host_network=options.network == m.NODE,
        pid=int(details.get("pid", 0)),
        labels=status.labels,
        annotations=status.annotations,
    )


def listed_container(item: m.Container) -> i.ContainerInfo:
    """A container from a list: without times and exit details."""
    metadata = item.metadata or m.ContainerMetadata()
    return i.ContainerInfo(
        id=item.id,
        sandbox_id=item.pod_sandbox_id,
        name=metadata.name,
        attempt=metadata.attempt,
        state=m.CONTAINER_STATES[item.state],  # type: ignore[arg-type]
        image=item.image.image if item.image else "",
        image_ref=item.image_ref,
        created_at=item.created_at * NANOSECOND,
        labels=item.labels,
        annotations=item.annotations,
    )


def container(status: m.ContainerStatus, info: Mapping[str, str], sandbox_id: str = "") -> i.ContainerInfo:
    """A container with everything known of it; its sandbox from the verbose part unless it is known."""
    metadata = status.metadata or m.ContainerMetadata()
    details = json.loads(info.get("info", "{}"))
    return i.ContainerInfo(
        id=status.id,
        sandbox_id=sandbox_id or details.get("sandboxID", ""),
        name=metadata.name,
        attempt=metadata.attempt,
        state=m.CONTAINER_STATES[status.state],  # type: ignore[arg-type]
        image=status.image.image if status.image else "",
        image_ref=status.image_ref,
        created_at=status.created_at * NANOSECOND,
        started_at=status.started_at * NANOSECOND,
        finished_at=status.finished_at * NANOSECOND,
        exit_code=status.exit_code,
        reason=status.reason,
        message=status.message,
        log_path=status.log_path,
        labels=status.labels,
        annotations=status.annotations,
    )


def image(found: im.Image, sandbox_image: str = "") -> i.Image:
    """An image; the message has either a numeric or a named user. containerd 1.6 does not pin the sandboxes' image."""
    return i.Image(
        id=found.id,
        tags=found.repo_tags,
        digests=found.repo_digests,
        size=found.size,
        uid=found.uid.value if found.uid else None,
        username=found.username,
        pinned=found.pinned or sandbox_image in found.repo_tags,
    )


def usage(stats: im.ContainerStats) -> i.ContainerUsage:
    """What a container uses; what the runtime did not measure is zero."""
    memory = stats.memory or im.MemoryUsage()
    layer = stats.writable_layer or im.FilesystemUsage()
    return i.ContainerUsage(
        id=stats.attributes.id if stats.attributes else "",
        cpu_nanoseconds=_number(stats.cpu.usage_core_nano_seconds if stats.cpu else None),
        memory_working_set=_number(memory.working_set_bytes),
        memory_usage=_number(memory.usage_bytes),
        rootfs_bytes=_number(layer.used_bytes),
    )


def fs_usage(usage: im.FilesystemUsage) -> i.FsUsage:
    """The file system that images are on."""
    return i.FsUsage(
        mountpoint=usage.fs_id.mountpoint if usage.fs_id else "",
        used_bytes=_number(usage.used_bytes),
        inodes_used=_number(usage.inodes_used),
    )


# What keeps a container from starting is told without gRPC's code (k8s.io/kubernetes `pkg/kubelet/kuberuntime`).
_OF_CONTAINERS = frozenset(("CreateContainerError", "RunContainerError"))


def failure(reason: str, code: str, message: str) -> i.RuntimeFailure:
    """A refused call; `code` is gRPC's status name. Users see the text that Go's gRPC would print."""
    kind = i.RuntimeGone if code == "NOT_FOUND" else i.RuntimeFailure
    if reason in _OF_CONTAINERS:
        return kind(reason, message)
    return kind(reason, f"rpc error: code = {_camel(code)} desc = {message}")


def pull_failure(image_name: str, code: str, message: str) -> i.RuntimeFailure:
    """Why an image could not be pulled, by the reasons that `kubectl get pods` shows."""
    reason = next((reason for part, reason in _PULL_REASONS if part in message), "ErrImagePull")
    if reason == "InvalidImageName":
        cause = f'couldn\'t parse image name "{image_name}": {message}'
        return i.RuntimeFailure(reason, f'Failed to apply default image tag "{image_name}": {cause}')
    # an unknown code adds nothing and is left out, as upstream's remote image service does
    return i.RuntimeFailure(reason, message) if code == "UNKNOWN" else failure(reason, code, message)


def _camel(code: str) -> str:
    """gRPC's NOT_FOUND as Go prints it: NotFound."""
    return "".join(word.capitalize() for word in code.split("_"))


def _namespaces(config: i.SandboxConfig) -> m.NamespaceOption:
    if config.host_pid:
        pid = m.NODE
    else:
        pid = m.POD if config.share_pid else m.CONTAINER
    return m.NamespaceOption(
        network=m.NODE if config.host_network else m.POD,
        pid=pid,
        ipc=m.NODE if config.host_ipc else m.POD,
    )


def _groups(sandbox: i.SandboxConfig, groups: tuple[int, ...]) -> tuple[int, ...]:
    """fsGroup is one more supplemental group of every process."""
    extra = () if sandbox.fs_group is None or sandbox.fs_group in groups else (sandbox.fs_group,)
    return groups + extra


def _seccomp(profile: str) -> m.SecurityProfile:
    """No profile means Unconfined, as the kubelet has it."""
    kind, _, path = profile.partition("/")
    if kind == "RuntimeDefault":
        return m.SecurityProfile(profile_type=m.RUNTIME_DEFAULT)
    if kind == "Localhost":
        return m.SecurityProfile(profile_type=m.LOCALHOST, localhost_ref="/" + path.lstrip("/"))
    return m.SecurityProfile(profile_type=m.UNCONFINED)


def _optional(value: int | None) -> m.Int64Value | None:
    return None if value is None else m.Int64Value(value=value)


def _number(value: m.UInt64Value | None) -> int:
    return value.value if value else 0
