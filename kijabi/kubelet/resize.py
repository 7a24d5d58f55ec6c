"""In-place resize of running pods: what differs, and whether the node can give it (KEP-1287); pure.

`podworker.py` asks on every look; a container that only needs other control group values is updated, one whose
resizePolicy says so is restarted, and what the node cannot give shows in the PodResizePending condition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from kijabi.api import codec
from kijabi.api.core.container import Container
from kijabi.api.core.pod import Pod
from kijabi.api.core.requests import pod_requests
from kijabi.api.core.resources import ResourceRequirements
from kijabi.api.quantity import Quantity
from kijabi.kubelet import podspec
from kijabi.kubelet.podspec import Kind
from kijabi.kubelet.runtime.interface import ContainerInfo
from kijabi.kubelet.view import RESOURCES, PodView

PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
_COMPUTE = ("cpu", "memory")


class Change(NamedTuple):
    """A running container that has other resources than its spec wants."""

    kind: Kind
    position: int
    id: str
    container: Container
    restart: bool


def held(
    info: ContainerInfo, container: Container, actuated: Mapping[str, ResourceRequirements]
) -> ResourceRequirements:
    """The resources that a container was last given; those of its spec where nobody knows."""
    if info.id in actuated:
        return actuated[info.id]
    text = info.annotations.get(RESOURCES)
    return codec.decode(ResourceRequirements, text.encode()) if text else container.resources


def changes(pod: Pod, view: PodView, actuated: Mapping[str, ResourceRequirements]) -> tuple[Change, ...]:
    """The containers to resize, in the order of the spec."""
    found = []
    counters: dict[str, int] = {}
    for kind, container in podspec.containers(pod.spec):
        position = counters[kind] = counters.get(kind, -1) + 1
        info = view.active(container.name)
        if kind == "ephemeral" or info is None or info.state != "running":
            continue
        differing = _differing(held(info, container, actuated), container.resources)
        if differing:
            policies = {each.resourceName: each.restartPolicy for each in container.resizePolicy}
            restart = any(policies.get(name) == "RestartContainer" for name in differing)
            found.append(Change(kind, position, info.id, container, restart))
    return tuple(found)


def _differing(old: ResourceRequirements, new: ResourceRequirements) -> set[str]:
    return {
        name
        for name in _COMPUTE
        for before, after in ((old.requests, new.requests), (old.limits, new.limits))
        if _milli(before, name) != _milli(after, name)
    }


def _milli(amounts: Mapping[str, Quantity], name: str) -> int:
    return amounts[name].milli() if name in amounts else -1


def verdict(pod: Pod, allocatable: Mapping[str, Quantity], others: Iterable[Pod]) -> tuple[str, str] | None:
    """None if the node can give what the pod now asks for, else the reason (Infeasible, Deferred) and a message."""
    wanted = pod_requests(pod)
    used: dict[str, int] = {}
    for other in others:
        for name, amount in pod_requests(other).items():
            used[name] = used.get(name, 0) + amount
    for name in _COMPUTE:
        if name not in allocatable:
            continue
        size = allocatable[name].milli() if name == "cpu" else allocatable[name].value()
        amount, taken = wanted.get(name, 0), used.get(name, 0)
        if amount > size:
            text = f"Node didn't have enough capacity: {name}, requested: {amount}, capacity: {size}"
            return "Infeasible", text
        if amount + taken > size:
            text = f"Node didn't have enough resource: {name}, requested: {amount}, used: {taken}, capacity: {size}"
            return "Deferred", text
    return None


def summary(pod: Pod, prefix: str, error: str = "") -> str:
    """The text of a resize event: what is wanted, as JSON."""
    names = {"init": "initContainers", "container": "containers"}
    parts: dict[str, list[dict[str, object]]] = {}
    for kind, container in podspec.containers(pod.spec):
        if kind in names:
            entry: dict[str, object] = {"name": container.name, "resources": codec.to_builtins(container.resources)}
            parts.setdefault(names[kind], []).append(entry)
    body: dict[str, object] = {**parts, "generation": pod.metadata.generation}
    if error:
        body["error"] = error
    return f"{prefix}: {msgspec.json.encode(body).decode()}"
