"""What the scheduler keeps of a pod: a projection, made once when the pod is first seen.

`loop` makes it from a Pod of the informer; the queue, the node state and the plugins read it.
"""

from __future__ import annotations

import msgspec

from kijabi.api.core.pod import Pod
from kijabi.api.core.requests import Amounts, nonzero_requests, pod_requests

# (host IP or "0.0.0.0", protocol, port)
HostPort = tuple[str, str, int]
ANY_ADDRESS = "0.0.0.0"


class PodInfo(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One pod as the scheduler sees it. requests: see api/core/requests.py. pod: the shared object, read only."""

    key: str
    uid: str
    priority: int
    requests: Amounts
    nonzero: tuple[int, int]
    ports: tuple[HostPort, ...]
    node: str
    pod: Pod


def of(pod: Pod) -> PodInfo:
    """The projection of a pod."""
    return PodInfo(
        key=f"{pod.metadata.namespace}/{pod.metadata.name}",
        uid=pod.metadata.uid,
        priority=pod.spec.priority or 0,
        requests=pod_requests(pod),
        nonzero=nonzero_requests(pod),
        ports=tuple(
            (port.hostIP or ANY_ADDRESS, port.protocol or "TCP", port.hostPort)
            for container in (*pod.spec.containers, *pod.spec.initContainers)
            for port in container.ports
            if port.hostPort
        ),
        node=pod.spec.nodeName,
        pod=pod,
    )


def conflicts(one: HostPort, other: HostPort) -> bool:
    """Two pods cannot have both on one node: same protocol and port, and an address in common."""
    if one[1:] != other[1:]:
        return False
    return one[0] == other[0] or ANY_ADDRESS in (one[0], other[0])
