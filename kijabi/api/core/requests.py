"""What a pod asks for in all: the arithmetic over its containers, init containers, sidecars and overhead.

The scheduler places by it, the kubelet admits by it. Source of the rule: KEP-753 (sidecar containers) and KEP-2837 (pod
level resources).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.quantity import Quantity

Amounts = dict[str, int]  # resource name → milli-cores for cpu, units (bytes, pieces) for all else

_POD_LEVEL = ("cpu", "memory")


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


def _total(
    containers: Iterable[Container], inits: Iterable[Container], field: Literal["requests", "limits"]
) -> Amounts:
    """Containers and sidecars run together; each init container runs beside the sidecars started before it."""

    def of(container: Container) -> Amounts:
        resources = container.resources
        return amounts(resources.requests if field == "requests" else resources.limits)

    total: Amounts = {}
    for container in containers:
        _add(total, of(container))
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in inits:
        mine = of(container)
        if is_sidecar(container):
            _add(total, mine)
            _add(sidecars, mine)
            mine = sidecars
        else:
            mine = dict(mine)
            _add(mine, sidecars)
        _at_least(peak, mine)
    _at_least(total, peak)
    return total


def pod_requests(pod: Pod) -> Amounts:
    """What must be free on a node for this pod, its overhead included."""
    total = _total(pod.spec.containers, pod.spec.initContainers, "requests")
    if pod.spec.resources is not None:
        whole = amounts(pod.spec.resources.requests)
        total.update({name: amount for name, amount in whole.items() if name in _POD_LEVEL})
    _add(total, amounts(pod.spec.overhead))
    return total


def pod_limits(pod: Pod) -> Amounts:
    """The sum of limits, overhead included; a resource without a limit on every container is not limited."""
    total = _total(pod.spec.containers, pod.spec.initContainers, "limits")
    if pod.spec.resources is not None:
        whole = amounts(pod.spec.resources.limits)
        total.update({name: amount for name, amount in whole.items() if name in _POD_LEVEL})
    for name, amount in amounts(pod.spec.overhead).items():
        if name in total:
            total[name] += amount
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
