"""Where one volume is to be attached, from where it goes, and who must wait; pure.

A volume for one node goes to the next one only when its VolumeAttachment for the last has gone. It leaves a node when
no pod there wants it and the kubelet says that it is not in use; from a node that is not ready, six minutes later
whatever was in use, and at once from one that is tainted out-of-service (KEP-2268; k8s.io/kubernetes
`pkg/controller/volume/attachdetach/reconciler`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kijabi.api.core.pod import Pod

FORCE_AFTER = 360.0
"""Seconds that a volume nobody wants may be in use on a node that is not ready."""


_EXCLUSIVE = (
    "Volume is already exclusively attached to one node, waiting on detach before it can be attached to another node"
)


class Place(NamedTuple):
    """A node: whether it is there and ready, declared dead, and says that the volume is in use."""

    ready: bool = True
    out_of_service: bool = False
    in_use: bool = False


class Attachment(NamedTuple):
    """A VolumeAttachment. going: it is being deleted."""

    name: str
    attached: bool = False
    going: bool = False


class Detach(NamedTuple):
    """Take it from a node. sure: without asking the node once more whether it is in use."""

    node: str
    sure: bool


class Blocked(NamedTuple):
    """A node must wait until others have let it go."""

    node: str
    by: tuple[str, ...]


class Plan(NamedTuple):
    """What there is to do now, and in how many seconds again."""

    attach: tuple[str, ...] = ()
    detach: tuple[Detach, ...] = ()
    blocked: tuple[Blocked, ...] = ()
    again: float | None = None


def plan(
    wanted: Mapping[str, Sequence[Pod]],
    held: Mapping[str, Attachment],
    places: Mapping[str, Place],
    waited: Mapping[str, float],
    *,
    shared: bool,
) -> Plan:
    """For one volume: wanted by these nodes' pods, held by those nodes.

    places: of every node in either. waited: seconds since nobody on a node wants it any more. shared: for several
    nodes.
    """
    detach, waits = [], []
    for node, attachment in held.items():
        if node in wanted or attachment.going:
            continue
        place, since = places[node], waited.get(node, 0.0)
        late = since >= FORCE_AFTER
        if not place.in_use or place.out_of_service or (late and not place.ready):
            detach.append(Detach(node, late or place.out_of_service))
        elif not place.ready:
            waits.append(FORCE_AFTER - since)
    attach: list[str] = []
    blocked = []
    for node in sorted(wanted, key=lambda name: _first(wanted[name])):
        if node in held:
            continue
        others = () if shared else tuple(sorted({*held, *attach}))
        if others:
            blocked.append(Blocked(node, others))
        else:
            attach.append(node)
    return Plan(tuple(attach), tuple(detach), tuple(blocked), min(waits, default=None))


def _first(pods: Sequence[Pod]) -> tuple[str, str]:
    """Who came first, gets it first."""
    return min((str(pod.metadata.creationTimestamp), pod.metadata.uid) for pod in pods)


def multi_attach(pod: Pod, others: Sequence[Pod]) -> str:
    """What a pod that must wait is told; others: the pods that use the volume elsewhere.

    Names are told within a namespace only.
    """
    if not others:
        return _EXCLUSIVE
    mine = [other.metadata.name for other in others if other.metadata.namespace == pod.metadata.namespace]
    foreign = len(others) - len(mine)
    if not mine:
        return f"Volume is already used by {foreign} pod(s) in different namespaces"
    text = f"Volume is already used by pod(s) {', '.join(sorted(mine))}"
    return f"{text} and {foreign} pod(s) in different namespaces" if foreign else text
