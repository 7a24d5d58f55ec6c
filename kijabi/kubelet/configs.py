"""The runtime's configs of a pod: its sandbox, and each of its containers.

Pure: `actions.py` gathers what is needed (environment, mounts, the image) and calls these when it starts something.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.kubelet import dns, podspec, resources, security, view
from kijabi.kubelet.env import expand
from kijabi.kubelet.problems import ConfigProblem
from kijabi.kubelet.runtime.interface import (
    ContainerConfig,
    Device,
    Image,
    Mount,
    PortMapping,
    Resources,
    SandboxConfig,
)


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What configs need to know of the node. host_resolver: its resolv.conf, as `dns.parse_resolv_conf` gives it."""

    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    host_resolver: dns.Resolver = dns.Resolver()
    memory: int = 0
    log_root: str = ""
    use_cgroups: bool = True


def log_directory(pod: Pod, facts: NodeFacts) -> str:
    """Where the pod's logs are: `<root>/<namespace>_<name>_<uid>`."""
    meta = pod.metadata
    return f"{facts.log_root}/{meta.namespace}_{meta.name}_{meta.uid}"


def sandbox_config(
    pod: Pod, attempt: int, facts: NodeFacts, *, cgroup_parent: str, handler: str = ""
) -> tuple[SandboxConfig, tuple[str, ...]]:
    """The sandbox's config, and warnings about the resolver (event DNSConfigForming)."""
    spec, meta = pod.spec, pod.metadata
    resolver, warnings = dns.resolver(pod, facts.host_resolver, facts.cluster_dns, facts.cluster_domain)
    whole = spec.securityContext
    made = SandboxConfig(
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        attempt=attempt,
        hostname="" if spec.hostNetwork else dns.sandbox_hostname(pod, facts.cluster_domain),
        log_directory=log_directory(pod, facts),
        dns_servers=resolver.servers,
        dns_searches=resolver.searches,
        dns_options=resolver.options,
        ports=() if spec.hostNetwork else _ports(pod),
        labels=view.pod_labels(pod),
        annotations=dict(meta.annotations or {}),
        cgroup_parent=cgroup_parent,
        sysctls={s.name.replace("/", "."): s.value for s in whole.sysctls} if whole else {},
        host_network=spec.hostNetwork,
        host_pid=spec.hostPID,
        host_ipc=spec.hostIPC,
        share_pid=bool(spec.shareProcessNamespace),
        privileged=any(c.securityContext and c.securityContext.privileged for _, c in podspec.containers(spec)),
        run_as_user=whole.runAsUser if whole else None,
        run_as_group=whole.runAsGroup if whole else None,
        fs_group=whole.fsGroup if whole else None,
        supplemental_groups=security.pod_groups(pod),
        seccomp=security.seccomp(pod) or "RuntimeDefault",
        runtime_handler=handler,
    )
    return made, warnings


def _ports(pod: Pod) -> tuple[PortMapping, ...]:
    return tuple(
        PortMapping(
            protocol=port.protocol or "TCP",
            container_port=port.containerPort,
            host_port=port.hostPort,
            host_ip=port.hostIP,
        )
        for kind, container in podspec.containers(pod.spec)
        if kind != "ephemeral"
        for port in container.ports
        if port.hostPort
    )


def container_config(
    pod: Pod,
    container: Container,
    attempt: int,
    image: Image,
    env: Mapping[str, str],
    mounts: tuple[Mount, ...],
    facts: NodeFacts,
    *,
    devices: tuple[Device, ...] = (),
    message_file: str = "",
    target: str = "",
) -> ContainerConfig:
    """One container's config. message_file: the host file behind terminationMessagePath, mounted by `mounts`.

    target: the id of the container whose processes an ephemeral container is to see.
    Raises ConfigProblem where the security context cannot be kept.
    """
    rights = security.container_security(pod, container, image)
    if pod.spec.os is not None and pod.spec.os.name not in ("", "linux"):
        raise ConfigProblem(f"pods for {pod.spec.os.name} cannot run on this node")
    return ContainerConfig(
        name=container.name,
        attempt=attempt,
        image=container.image,
        image_ref=image.id,
        command=tuple(expand(part, env) for part in container.command),
        args=tuple(expand(part, env) for part in container.args),
        working_dir=container.workingDir,
        env=tuple(env.items()),
        mounts=mounts,
        devices=devices,
        labels=view.container_labels(pod, container),
        annotations=view.container_annotations(pod, container, attempt, message_file),
        log_path=f"{container.name}/{attempt}.log",
        stdin=container.stdin,
        stdin_once=container.stdinOnce,
        tty=container.tty,
        resources=resources.container_resources(pod, container, facts.memory) if facts.use_cgroups else Resources(),
        target_container=target,
        **msgspec.structs.asdict(rights),
    )
