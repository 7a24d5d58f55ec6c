"""One node as a DaemonSet sees it: whether a pod belongs there, what is wrong with its pods, how far it has rolled out.

Pure. `judge` sums a node up; `book.py` keeps the verdicts on all nodes, `plan.py` decides from them. Source: apps/v1
DaemonSet; k8s.io/kubernetes `pkg/controller/daemon`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from kijabi.api.apps.daemonset import DaemonSet
from kijabi.api.core import nodefit
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.controllers import pods as podlib
from kijabi.controllers.daemonset import pod as daemon
from kijabi.controllers.deployment.scale import scaled
from kijabi.controllers.revisions import HASH_LABEL


class View(NamedTuple):
    """By what a DaemonSet's nodes are judged. code: the hash of the present template; held: seconds that a failed pod
    on a node must still wait to be replaced.
    """

    ds: DaemonSet
    code: str
    now: datetime
    held: Callable[[str], float] = lambda node: 0.0

    def available(self, pod: Pod) -> bool:
        """It has been ready for minReadySeconds."""
        return podlib.available(pod, self.ds.spec.minReadySeconds, self.now)

    def is_new(self, pod: Pod) -> bool:
        """It is of the present template."""
        return daemon.is_updated(pod, self.code, daemon.generation_of(self.ds))


class Plan(NamedTuple):
    """What to do, on one node or on all.

    create: nodes that get a pod; delete: pods that go. failed, succeeded: those of them that ended by themselves.
    again: seconds until it is worth looking again, None if only an event can change anything.
    """

    create: tuple[str, ...] = ()
    delete: tuple[Pod, ...] = ()
    failed: tuple[Pod, ...] = ()
    succeeded: tuple[Pod, ...] = ()
    again: float | None = None


class Oldest(NamedTuple):
    """The pod that counts for a node in the status."""

    ready: bool
    available: bool
    new: bool


class Kind(NamedTuple):
    """All that is asked of a node when all are counted, so that nodes of one kind need not be looked at one by one.

    should: a pod should be started there; wrong: `tidy` has something to do. codes: the revisions that its pods are of.
    oldest: None without pods. new, old: whether the one pod of the present, of an older template is available, None
    without such a one; twins: there are several of a sort, and new and old say nothing.
    """

    exists: bool
    should: bool
    wrong: bool
    codes: tuple[str, ...] = ()
    oldest: Oldest | None = None
    new: bool | None = None
    old: bool | None = None
    twins: bool = False


class Place(NamedTuple):
    """The verdict on a node. todo: what `tidy` says; old: the pod that a rollout replaces; until: when the verdict
    changes by itself, in seconds since the epoch.
    """

    kind: Kind
    todo: Plan = Plan()
    old: Pod | None = None
    until: float = math.inf


def belongs(ds: DaemonSet, node: Node | None) -> tuple[bool, bool]:
    """(a pod should be started on the node, one that is there may go on)."""
    spec = ds.spec.template.spec
    if node is None or spec.nodeName not in ("", node.metadata.name) or not nodefit.selects(spec, node):
        return False, False
    if not node.spec.taints:
        return True, True
    allowed = daemon.tolerations(spec)
    if nodefit.untolerated(node.spec.taints, allowed) is not None:
        return False, nodefit.untolerated(node.spec.taints, allowed, ("NoExecute",)) is None
    return True, True


def reach(ds: DaemonSet) -> tuple[str]:
    """One thing that a node must have for a pod to belong there, of those in `features`; empty if any node may do."""
    spec = ds.spec.template.spec
    if spec.nodeName:
        return (f"={spec.nodeName}",)
    return ("{}={}".format(*min(spec.nodeSelector.items())) if spec.nodeSelector else "",)


def features(node: Node) -> tuple[str, ...]:
    """What a set may reach the node by."""
    return ("", f"={node.metadata.name}", *(f"{key}={value}" for key, value in node.metadata.labels.items()))


def oldest_first(pods: Iterable[Pod]) -> list[Pod]:
    """Scheduled ones before others, then by age, then by name."""
    return sorted(pods, key=lambda pod: (not pod.spec.nodeName, str(pod.metadata.creationTimestamp), pod.metadata.name))


def judge(view: View, name: str, node: Node | None, owned: Sequence[Pod]) -> Place | None:
    """The verdict on a node, or on the name of one that is gone; None if the set has nothing to do with it.

    owned: the set's pods that are meant for it; under the empty name those that do not say for which.
    """
    should, may = belongs(view.ds, node)
    if not (should or owned):
        return None
    # Pods that ended and are being deleted are nobody's concern any more, but for the revision that they are of.
    pods = [pod for pod in owned if name and not (podlib.terminal(pod) and pod.metadata.deletionTimestamp is not None)]
    todo = tidy(view, name, node, pods, should, may)
    new, old, twins = _pair(view, pods)
    kind = Kind(
        exists=node is not None,
        should=should,
        wrong=bool(todo.create or todo.delete),
        codes=tuple(sorted({pod.metadata.labels.get(HASH_LABEL, "") for pod in owned})),
        oldest=_oldest(view, pods),
        new=None if new is None else view.available(new),
        old=None if old is None else view.available(old),
        twins=twins,
    )
    return Place(kind, todo, old, _until(view, pods, todo.again))


def _until(view: View, pods: Sequence[Pod], held: float | None) -> float:
    """When a pod becomes available, or one that failed is held no longer."""
    now, wait = view.now.timestamp(), view.ds.spec.minReadySeconds
    ready = [since + wait for pod in pods if (since := podlib.ready_since(pod)) is not None] if wait else []
    held_until = math.inf if held is None else max(now + held, math.nextafter(now, math.inf))
    return min((at for at in (*ready, held_until) if at > now), default=math.inf)


def _oldest(view: View, pods: Sequence[Pod]) -> Oldest | None:
    if not pods:
        return None
    first = oldest_first(pods)[0]
    return Oldest(podlib.ready(first), view.available(first), view.is_new(first))


def _pair(view: View, pods: Sequence[Pod]) -> tuple[Pod | None, Pod | None, bool]:
    """(new pod, old pod, there are several of a sort, which `tidy` mends), of those that stay."""
    staying = [pod for pod in pods if pod.metadata.deletionTimestamp is None]
    new = [pod for pod in staying if view.is_new(pod)]
    old = [pod for pod in staying if not view.is_new(pod)]
    if len(new) > 1 or len(old) > 1:
        return None, None, True
    return (new[0] if new else None), (old[0] if old else None), False


def tidy(view: View, name: str, node: Node | None, pods: Sequence[Pod], should: bool, may: bool) -> Plan:
    """Put a node right by itself: a pod where one belongs, none where not, no ended ones, none too many."""
    if node is None:  # those that wait to be bound would do so for ever
        return Plan(delete=tuple([pod for pod in pods if not pod.spec.nodeName]))
    staying = [pod for pod in pods if pod.metadata.deletionTimestamp is None]
    if not may:
        return Plan(delete=tuple(staying))
    if not pods:
        return Plan(create=(name,) if should else ())
    running = [pod for pod in staying if not podlib.terminal(pod)]
    succeeded = tuple([pod for pod in staying if pod.status.phase == "Succeeded"])
    failed = tuple([pod for pod in staying if pod.status.phase == "Failed"][:1])  # then the node is held for a while
    wait = view.held(name) if failed else 0.0
    if wait:
        failed = ()
    surplus = _beyond_two(view, running) if surges(view.ds) else oldest_first(running)[1:]
    # Not while the node is held. (Upstream makes one pod after the other where the kubelet refuses them.)
    create = (name,) if should and surges(view.ds) and not running and not wait else ()
    return Plan(create, (*failed, *succeeded, *surplus), failed, succeeded, wait or None)


def _beyond_two(view: View, running: Sequence[Pod]) -> list[Pod]:
    """While surging a node may have one old and one new pod, until the new one is available or the old not ready."""
    if len(running) <= 1:
        return []
    new: Pod | None = None
    old: Pod | None = None
    surplus: list[Pod] = []
    for pod in oldest_first(running):
        if daemon.is_of(pod, view.code) and new is None:
            new = pod
        elif not daemon.is_of(pod, view.code) and old is None:
            old = pod
        else:
            surplus.append(pod)
    if new is not None and old is not None and (not podlib.ready(old) or view.available(new)):
        surplus.append(old)
    return surplus


def surges(ds: DaemonSet) -> bool:
    """Whether a node may have two pods for a while."""
    rolling = ds.spec.updateStrategy.rollingUpdate
    return (
        ds.spec.updateStrategy.type == "RollingUpdate"
        and rolling is not None
        and scaled(rolling.maxSurge, 1, up=True) > 0
    )
