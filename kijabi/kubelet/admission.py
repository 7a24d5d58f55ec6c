"""Whether this node takes a pod that was bound to it; pure.

The scheduler has checked all this; but pods may be bound directly, and two schedulers may bind at once. `loop.py` asks
before it makes a worker; a pod that is refused is Failed with the reason given here (k8s `pkg/kubelet/lifecycle`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kijabi.api.core import nodefit
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.requests import pod_requests
from kijabi.api.quantity import Quantity
from kijabi.kubelet import podspec


class Rejection(NamedTuple):
    """Why a pod is refused; the reason becomes the pod's status.reason."""

    reason: str
    message: str


# Sysctls that touch nothing outside of their pod ("Using sysctls in a Kubernetes Cluster").
SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
        "net.ipv4.tcp_slow_start_after_idle",
        "net.ipv4.tcp_notsent_lowat",
    }
)


def admit(pod: Pod, node: Node, others: Iterable[Pod], *, apparmor: bool = False) -> Rejection | None:
    """None to take the pod. others: the pods that this node has already and that have not ended.

    apparmor: whether the kernel enforces it.
    """
    if pod.spec.os is not None and pod.spec.os.name not in ("", "linux"):
        return Rejection("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    held = tuple(others)
    return (
        _resources(pod, node.status.allocatable, held)
        or _affinity(pod, node)
        or _ports(pod, held)
        or _taints(pod, node)
        or _sysctls(pod)
        or _apparmor(pod, apparmor)
    )


def _failed(name: str, text: str) -> Rejection:
    return Rejection(name, f"Predicate {name} failed: {text}")


def _resources(pod: Pod, allocatable: Mapping[str, Quantity], others: tuple[Pod, ...]) -> Rejection | None:
    wanted = pod_requests(pod)
    wanted = {name: amount for name, amount in wanted.items() if amount}
    limit = allocatable.get("pods")
    if limit is not None and len(others) + 1 > limit.value():
        return _out_of("pods", 1, len(others), limit.value())
    used: dict[str, int] = {}
    for other in others:
        for name, amount in pod_requests(other).items():
            used[name] = used.get(name, 0) + amount
    for name, amount in wanted.items():
        if name not in allocatable:
            continue  # an extended resource of the cluster, not of nodes
        size = allocatable[name].milli() if name == "cpu" else allocatable[name].value()
        if amount + used.get(name, 0) > size:
            return _out_of(name, amount, used.get(name, 0), size)
    return None


def _out_of(name: str, wanted: int, used: int, size: int) -> Rejection:
    return Rejection(
        f"OutOf{name}",
        f"Node didn't have enough resource: {name}, requested: {wanted}, used: {used}, capacity: {size}",
    )


def _affinity(pod: Pod, node: Node) -> Rejection | None:
    if not nodefit.selects(pod.spec, node):
        return _failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    if pod.spec.nodeName and pod.spec.nodeName != node.metadata.name:
        return _failed("NodeName", "node(s) didn't match the requested node name")
    return None


def _ports(pod: Pod, others: tuple[Pod, ...]) -> Rejection | None:
    taken = {port for other in others for port in _host_ports(other)}
    for address, protocol, number in _host_ports(pod):
        for other, other_protocol, other_number in taken:
            clash = (protocol, number) == (other_protocol, other_number)
            if clash and (address == other or "0.0.0.0" in (address, other)):
                return _failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    return None


def _host_ports(pod: Pod) -> set[tuple[str, str, int]]:
    return {
        (port.hostIP or "0.0.0.0", port.protocol or "TCP", port.hostPort)
        for kind, container in podspec.containers(pod.spec)
        if kind == "container" or podspec.is_sidecar(container)
        for port in container.ports
        if port.hostPort
    }


def _taints(pod: Pod, node: Node) -> Rejection | None:
    if nodefit.untolerated(node.spec.taints, pod.spec.tolerations, ("NoExecute",)) is not None:
        return _failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")
    return None


def _sysctls(pod: Pod) -> Rejection | None:
    for sysctl in pod.spec.securityContext.sysctls if pod.spec.securityContext is not None else ():
        if sysctl.name.replace("/", ".") not in SAFE_SYSCTLS:
            return Rejection("SysctlForbidden", f'forbidden sysctl: "{sysctl.name}" not allowlisted')
    return None


def _apparmor(pod: Pod, enabled: bool) -> Rejection | None:
    """The runtime's own profile applies by itself where there is AppArmor; others cannot be given to it here."""
    contexts = [pod.spec.securityContext, *(c.securityContext for _, c in podspec.containers(pod.spec))]
    profiles = {c.appArmorProfile.type for c in contexts if c is not None and c.appArmorProfile is not None}
    if not enabled and profiles - {"Unconfined"}:
        return Rejection("AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host")
    if "Localhost" in profiles:
        return Rejection("AppArmor", "Cannot enforce AppArmor: this node does not load profiles of its own")
    return None
