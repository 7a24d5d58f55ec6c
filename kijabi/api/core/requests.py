"""What a pod asks for in all: the arithmetic over its containers, init containers, sidecars and overhead.

The scheduler places by it, the kubelet admits by it. Source of the rule: KEP-753 (sidecar containers) and KEP-2837 (pod
level resources).
"""

from __future__ import annotations

from collections.abc import Mapping

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.quantity import Quantity

Amounts = dict[str, int]  # resource name → milli-cores for cpu, units (bytes, pieces) for all else


def amounts(quantities: Mapping[str, Quantity] | None) -> Amounts:
    """A ResourceList as whole numbers."""
    if not quantities:
        return {}
    return {name: q.milli() if name == "cpu" else q.value() for name, q in quantities.items()}


def _add(total: Amounts, more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _at_least(total: Amounts, other: Amounts) -> None:
    for name, amount in other.items():
        if amount > total.get(name, 0):
            total[name] = amount


def is_sidecar(container: Container) -> bool:
    """An init container that keeps running beside the pod's containers."""
    return container.restartPolicy == "Always"


def pod_requests(pod: Pod) -> Amounts:
    """What must be free on a node for this pod, its overhead included.

    Containers and sidecars run together; each init container runs beside the sidecars started before it.
    """
    total: Amounts = {}
    for container in pod.spec.containers:
        _add(total, amounts(container.resources.requests))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in pod.spec.initContainers:
        mine = amounts(container.resources.requests)
        if is_sidecar(container):
            _add(total, mine)
            _add(sidecars, mine)
            _at_least(peak, sidecars)
        else:
            _add(mine, sidecars)
            _at_least(peak, mine)
    _at_least(total, peak)
    if pod.spec.resources is not None:
        total.update(amounts(pod.spec.resources.requests))
    _add(total, amounts(pod.spec.overhead))
    return total


def nonzero_requests(pod: Pod, cpu: int = 100, memory: int = 200 << 20) -> tuple[int, int]:
    """Milli-cores and bytes with a stand-in for containers that ask for nothing, as scoring wants it."""

    def filled(container: Container) -> Amounts:
        mine = amounts(container.resources.requests)
        return {"cpu": mine.get("cpu", cpu), "memory": mine.get("memory", memory)}

    total: Amounts = {"cpu": 0, "memory": 0}
    for container in pod.spec.containers:
        _add(total, filled(container))
    for container in pod.spec.initContainers:
        if is_sidecar(container):
            _add(total, filled(container))
        else:
            _at_least(total, filled(container))
    overhead = amounts(pod.spec.overhead)
    return total["cpu"] + overhead.get("cpu", 0), total["memory"] + overhead.get("memory", 0)
