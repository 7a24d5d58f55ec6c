"""What the scheduler keeps of a pod: a projection, made once when the pod is first seen.

`loop` makes it from a Pod of the informer; the queue, the node state and the plugins read it.
"""

from __future__ import annotations

import msgspec

from kijabi.api.core.pod import Pod
from kijabi.api.core.podreferences import claim_of
from kijabi.api.core.requests import Amounts, nonzero_requests, pod_requests
from kijabi.scheduler import needs
from kijabi.scheduler.needs import Needs

# (host IP or "0.0.0.0", protocol, port)
HostPort = tuple[str, str, int]
ANY_ADDRESS = "0.0.0.0"
# (namespace, labels, not being deleted): all that terms of other pods see of one.
Kind = tuple[str, frozenset[tuple[str, str]], bool]


class PodInfo(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One pod as the scheduler sees it. requests: see api/core/requests.py. pod: the shared object, read only.

    claims: the claims of its volumes as (key, made for this pod alone). group: namespace and name of the pod group that
    it names, or empty.
    """

    key: str
    uid: str
    priority: int
    requests: Amounts
    nonzero: tuple[int, int]
    ports: tuple[HostPort, ...]
    node: str
    kind: Kind
    needs: Needs
    claims: tuple[tuple[str, bool], ...]
    group: str
    pod: Pod


def of(pod: Pod) -> PodInfo:
    """The projection of a pod."""
    meta = pod.metadata
    return PodInfo(
        key=f"{meta.namespace}/{meta.name}",
        uid=meta.uid,
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
        kind=(meta.namespace, frozenset(meta.labels.items()), meta.deletionTimestamp is None),
        needs=needs.of(pod),
        claims=_claims(pod),
        group=group_of(pod),
        pod=pod,
    )


def group_of(pod: Pod) -> str:
    """Namespace and name of the group that a pod names, or empty."""
    named = pod.spec.schedulingGroup
    return f"{pod.metadata.namespace}/{named.podGroupName}" if named is not None and named.podGroupName else ""


def _claims(pod: Pod) -> tuple[tuple[str, bool], ...]:
    named = [(claim_of(pod, volume), volume) for volume in pod.spec.volumes]
    return tuple((f"{pod.metadata.namespace}/{name}", volume.ephemeral is not None) for name, volume in named if name)


def conflicts(one: HostPort, other: HostPort) -> bool:
    """Two pods cannot have both on one node: same protocol and port, and an address in common."""
    if one[1:] != other[1:]:
        return False
    return one[0] == other[0] or ANY_ADDRESS in (one[0], other[0])
