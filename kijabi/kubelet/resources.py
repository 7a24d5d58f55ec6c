"""From requests and limits to cgroups: shares, quota, memory limit, out-of-memory score, pod totals.

Pure, called by `configs.py`, `admission.py` and `node.py`; formulas of k8s.io/kubernetes `pkg/kubelet/cm` and of the
scheduler's pod requests (init containers by their maximum, sidecars added, KEP-753).
"""

from __future__ import annotations

from collections.abc import Mapping

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.quantity import Quantity
from kijabi.kubelet import podspec
from kijabi.kubelet.runtime.interface import Resources

MIN_SHARES, MAX_SHARES = 2, 262_144
PERIOD, MIN_QUOTA = 100_000, 1_000


def shares(milli: int) -> int:
    """cgroup v1 cpu.shares for a cpu request in thousandths."""
    return min(max(milli * 1024 // 1000, MIN_SHARES), MAX_SHARES)


def quota(milli: int) -> int:
    """The CFS quota in µs a period for a cpu limit in thousandths; 0 is unlimited."""
    return max(milli * PERIOD // 1000, MIN_QUOTA) if milli else 0


def _get(amounts: Mapping[str, Quantity] | None, name: str) -> Quantity:
    return (amounts or {}).get(name, Quantity("0"))


def container_resources(pod: Pod, container: Container, node_memory: int) -> Resources:
    """The cgroup values of one container. node_memory: of the machine in bytes, for the out-of-memory score."""
    own, whole = container.resources, pod.spec.resources or ResourceRequirements()
    limit_cpu = _get(own.limits, "cpu").milli() or _get(whole.limits, "cpu").milli()
    memory = _get(own.limits, "memory").value() or _get(whole.limits, "memory").value()
    has_request = "cpu" in (own.requests or {})
    request_cpu = _get(own.requests, "cpu").milli() if has_request else limit_cpu
    return Resources(
        cpu_shares=shares(request_cpu),
        cpu_quota=quota(limit_cpu),
        cpu_period=PERIOD,
        memory_limit=memory,
        oom_score_adj=oom_score(pod, container, node_memory),
    )


def oom_score(pod: Pod, container: Container, node_memory: int) -> int:
    """-997 guaranteed, 1000 best effort, and between them the less the more memory is requested."""
    if (pod.spec.priority or 0) >= 2_000_001_000:
        return -997
    match podspec.qos_class(pod):
        case "Guaranteed":
            return -997
        case "BestEffort":
            return 1000
    request = _get(container.resources.requests, "memory").value()
    if podspec.is_sidecar(container):
        regular = (_get(c.resources.requests, "memory").value() for c in pod.spec.containers)
        request = max(request, min(regular, default=0))
    score = 1000 - 1000 * request // max(node_memory, 1)
    # Neither below the guaranteed nor as high as best effort, so that the classes stay apart.
    return min(max(score, 3), 999)


def pod_limits(pod: Pod) -> tuple[int, int]:
    """The pod cgroup's cpu (thousandths) and memory (bytes) limits; 0 where any container has none."""
    whole = pod.spec.resources.limits if pod.spec.resources is not None else None
    found = []
    for name in ("cpu", "memory"):
        if whole and name in whole:
            found.append(_units(name, whole[name]))
            continue
        limits = [(c.resources.limits or {}).get(name) for k, c in podspec.containers(pod.spec) if k != "ephemeral"]
        regular = [_units(name, c.resources.limits[name]) for c in _steady(pod) if name in (c.resources.limits or {})]
        steps = [_units(name, amount) for amount in limits if amount is not None]
        found.append(max(sum(regular), *steps) if limits and None not in limits else 0)
    return found[0], found[1]


def _steady(pod: Pod) -> list[Container]:
    """The containers that run at the same time."""
    return [*(c for c in pod.spec.initContainers if podspec.is_sidecar(c)), *pod.spec.containers]


def _units(name: str, amount: Quantity) -> int:
    return amount.milli() if name == "cpu" else amount.value()
