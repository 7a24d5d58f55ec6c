"""The Node object and its status, made purely from what is known of the machine and the runtime.

`node.py` gathers the facts and sends the result.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kijabi import KUBERNETES_VERSION
from kijabi.api.core.node import Node, NodeSpec
from kijabi.api.core.nodestatus import (
    ContainerImage,
    DaemonEndpoint,
    NodeAddress,
    NodeCondition,
    NodeDaemonEndpoints,
    NodeStatus,
    NodeSystemInfo,
)
from kijabi.api.meta import ObjectMeta, Time
from kijabi.api.quantity import Quantity
from kijabi.kubelet.config import KubeletConfig
from kijabi.kubelet.machine import Capacity, Identity
from kijabi.kubelet.runtime.interface import Image, RuntimeInfo

MAX_IMAGES, MAX_NAMES = 50, 5


class Pressure(msgspec.Struct, frozen=True):
    """What the node runs short of."""

    memory: bool = False
    disk: bool = False
    pids: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a status is made of. trouble: why the node is not ready, "" if it is."""

    identity: Identity
    capacity: Capacity
    runtime: RuntimeInfo | None
    images: tuple[Image, ...] = ()
    pressure: Pressure = Pressure()
    trouble: str = ""


def new_node(config: KubeletConfig, architecture: str) -> Node:
    """The object that registers the node."""
    labels = {
        "beta.kubernetes.io/arch": architecture,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": architecture,
        "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": config.node,
        **config.labels,
    }
    meta = ObjectMeta(name=config.node, labels=labels, annotations=dict(config.annotations))
    return Node(metadata=meta, spec=NodeSpec(taints=config.taints))


def node_status(config: KubeletConfig, found: Found, previous: NodeStatus, now: Time) -> NodeStatus:
    """The status now; what others put into it (attached volumes) stays."""
    status = msgspec.structs.replace(previous)
    status.capacity = _capacity(config, found.capacity)
    status.allocatable = _allocatable(config, status.capacity)
    if not (config.external_cloud and status.addresses):
        status.addresses = (
            NodeAddress(type="InternalIP", address=config.address),
            NodeAddress(type="Hostname", address=config.node),
        )
    if config.port:
        status.daemonEndpoints = NodeDaemonEndpoints(kubeletEndpoint=DaemonEndpoint(Port=config.port))
    status.nodeInfo = _info(config, found)
    status.images = _images(found.images)
    status.conditions = _conditions(found, previous, now)
    return status


def _capacity(config: KubeletConfig, size: Capacity) -> dict[str, Quantity]:
    return {
        "cpu": Quantity.of_milli(size.cpu),
        "memory": Quantity(f"{size.memory // 1024}Ki"),
        "ephemeral-storage": Quantity(f"{size.storage // 1024}Ki"),
        "pods": Quantity.of(config.max_pods),
        "hugepages-1Gi": Quantity("0"),
        "hugepages-2Mi": Quantity("0"),
    }


def _allocatable(config: KubeletConfig, capacity: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """Capacity less what is kept for the system and what hard eviction leaves free."""
    memory = capacity["memory"].value() - config.reserved_memory - config.evict_memory
    storage = int(capacity["ephemeral-storage"].value() * (1 - config.evict_disk))
    return {
        **capacity,
        "cpu": Quantity.of_milli(max(capacity["cpu"].milli() - config.reserved_cpu, 0)),
        "memory": Quantity(f"{max(memory, 0) // 1024}Ki"),
        "ephemeral-storage": Quantity(str(max(storage, 0))),
    }


def _info(config: KubeletConfig, found: Found) -> NodeSystemInfo:
    who = found.identity
    version = f"{config.runtime_name}://{found.runtime.version if found.runtime else 'Unknown'}"
    return NodeSystemInfo(
        machineID=who.machine_id,
        systemUUID=who.system_uuid,
        bootID=who.boot_id,
        kernelVersion=who.kernel,
        osImage=who.os_image,
        containerRuntimeVersion=version,
        kubeletVersion=KUBERNETES_VERSION,
        operatingSystem="linux",
        architecture=who.architecture,
    )


def _images(images: tuple[Image, ...]) -> tuple[ContainerImage, ...]:
    """The biggest images, as the scheduler's image locality wants them."""
    biggest = sorted(images, key=lambda image: (-image.size, image.id))[:MAX_IMAGES]
    return tuple(
        ContainerImage(names=(*image.digests, *image.tags)[:MAX_NAMES], sizeBytes=image.size) for image in biggest
    )


def _conditions(found: Found, previous: NodeStatus, now: Time) -> tuple[NodeCondition, ...]:
    """Pressure first and Ready last, as it always was; foreign conditions stay."""
    short = found.pressure
    made = [
        _pressure("MemoryPressure", short.memory, "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory",
                  "kubelet has insufficient memory available", "kubelet has sufficient memory available"),
        _pressure("DiskPressure", short.disk, "KubeletHasDiskPressure", "KubeletHasNoDiskPressure",
                  "kubelet has disk pressure", "kubelet has no disk pressure"),
        _pressure("PIDPressure", short.pids, "KubeletHasInsufficientPID", "KubeletHasSufficientPID",
                  "kubelet has insufficient PID available", "kubelet has sufficient PID available"),
        _ready(found.trouble),
    ]  # fmt: skip
    old = {c.type: c for c in previous.conditions}
    for condition in made:
        before = old.pop(condition.type, None)
        same = before is not None and before.status == condition.status
        condition.lastHeartbeatTime = now
        condition.lastTransitionTime = before.lastTransitionTime if before is not None and same else now
    return (*old.values(), *made)


def _pressure(kind: str, under: bool, bad: str, good: str, bad_text: str, good_text: str) -> NodeCondition:
    return NodeCondition(
        type=kind,
        status="True" if under else "False",
        reason=bad if under else good,
        message=bad_text if under else good_text,
    )


def _ready(trouble: str) -> NodeCondition:
    if trouble:
        return NodeCondition(type="Ready", status="False", reason="KubeletNotReady", message=trouble)
    return NodeCondition(type="Ready", status="True", reason="KubeletReady", message="kubelet is posting ready status")


def differs(old: NodeStatus, new: NodeStatus) -> bool:
    """Whether anything but heartbeat times changed."""
    return _timeless(old) != _timeless(new)


def _timeless(status: NodeStatus) -> NodeStatus:
    bare = msgspec.structs.replace(status)
    bare.conditions = tuple(
        msgspec.structs.replace(condition, lastHeartbeatTime=Time()) for condition in status.conditions
    )
    return bare


def trouble_of(info: RuntimeInfo | None, failure: str) -> str:
    """Why the node cannot run pods. failure: why the runtime does not answer, ""."""
    if info is None or failure:
        return f"container runtime is down: {failure or 'not connected yet'}"
    problems = []
    if not info.runtime_ready:
        problems.append(f"container runtime not ready: {info.runtime_message}")
    if not info.network_ready:
        problems.append(
            "container runtime network not ready: NetworkReady=false "
            f"reason:NetworkPluginNotReady message:{info.network_message}"
        )
    return ", ".join(problems)
