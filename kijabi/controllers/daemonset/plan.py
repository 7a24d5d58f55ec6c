"""Which nodes get a daemon pod and which daemon pods go. Pure; `controller.py` carries it out.

`plan` first puts every node right by itself (`manage`); only when nothing is left to do there, it rolls out a new
template (`roll`): by deleting old pods within maxUnavailable, or by doubling pods within maxSurge (KEP-1591). Source:
apps/v1 DaemonSet; k8s.io/kubernetes `pkg/controller/daemon`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from kijabi.api.apps.daemonset import DaemonSet, DaemonSetStatus
from kijabi.api.core import nodefit
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.controllers import pods as podlib
from kijabi.controllers.daemonset import pod as daemon
from kijabi.controllers.deployment.scale import scaled

BURST = 250
"""Pods created, and pods deleted, in one reconcile at most."""

ByNode = Mapping[str, Sequence[Pod]]


class View(NamedTuple):
    """What a DaemonSet is planned from. nodes: all of them; pods: its own by the node they are on or meant for; code:
    the hash of the present template; held: seconds that a failed pod on a node must still wait to be replaced.
    """

    ds: DaemonSet
    nodes: Sequence[Node]
    pods: ByNode
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
    """create: nodes that get a pod; delete: pods that go. failed, succeeded: those of them that ended by themselves.

    again: seconds until it is worth looking again, None if only an event can change anything.
    """

    create: tuple[str, ...] = ()
    delete: tuple[Pod, ...] = ()
    failed: tuple[Pod, ...] = ()
    succeeded: tuple[Pod, ...] = ()
    again: float | None = None


def belongs(ds: DaemonSet, node: Node) -> tuple[bool, bool]:
    """(a pod should be started on the node, one that is there may go on)."""
    spec = ds.spec.template.spec
    if spec.nodeName not in ("", node.metadata.name) or not nodefit.selects(spec, node):
        return False, False
    allowed = daemon.tolerations(spec)
    if nodefit.untolerated(node.spec.taints, allowed) is not None:
        return False, nodefit.untolerated(node.spec.taints, allowed, ("NoExecute",)) is None
    return True, True


def group(pods: Iterable[Pod]) -> dict[str, list[Pod]]:
    """Pods by target node; those that ended and are being deleted are nobody's concern any more."""
    found: dict[str, list[Pod]] = {}
    for pod in pods:
        gone = podlib.terminal(pod) and pod.metadata.deletionTimestamp is not None
        node = "" if gone else daemon.target(pod)
        if node:
            found.setdefault(node, []).append(pod)
    return found


def oldest_first(pods: Iterable[Pod]) -> list[Pod]:
    """Scheduled ones before others, then by age, then by name."""
    return sorted(
        pods, key=lambda pod: (not pod.spec.nodeName, str(pod.metadata.creationTimestamp), pod.metadata.name)
    )


def plan(view: View) -> Plan:
    """What to do now."""
    found = manage(view)
    if not (found.create or found.delete) and view.ds.spec.updateStrategy.type == "RollingUpdate":
        rolled = roll(view)
        found = found._replace(create=rolled.create, delete=rolled.delete)
    waits = [
        wait
        for pods in view.pods.values()
        for pod in pods
        if (wait := podlib.available_in(pod, view.ds.spec.minReadySeconds, view.now))
    ]
    again = min((seconds for seconds in (found.again, *waits) if seconds is not None), default=None)
    return found._replace(create=found.create[:BURST], delete=found.delete[:BURST], again=again)


def manage(view: View) -> Plan:
    """Each node by itself: a pod where one belongs, none where not, no ended ones, none too many."""
    create: list[str] = []
    delete: list[Pod] = []
    failed: list[Pod] = []
    succeeded: list[Pod] = []
    waits: list[float] = []
    for node in view.nodes:
        name = node.metadata.name
        should, may = belongs(view.ds, node)
        pods = view.pods.get(name, ())
        if not may:
            delete += [pod for pod in pods if pod.metadata.deletionTimestamp is None]
            continue
        if not pods:
            create += [name] * should
            continue
        running: list[Pod] = []
        replaced = False
        for pod in pods:
            if pod.metadata.deletionTimestamp is not None:
                continue
            if pod.status.phase == "Failed" and (wait := view.held(name)):
                waits.append(wait)
            elif pod.status.phase == "Failed":
                failed += [] if replaced else [pod]  # one at a time: from the first on, the node is held
                replaced = True
            elif pod.status.phase == "Succeeded":
                succeeded.append(pod)
            else:
                running.append(pod)
        if surges(view.ds):
            if should and not running:
                create.append(name)
            delete += _beyond_two(view, running)
        else:
            delete += oldest_first(running)[1:]
    known = {node.metadata.name for node in view.nodes}
    for name, pods in view.pods.items():  # waiting to be bound to a node that is gone
        delete += [pod for pod in pods if name not in known and not pod.spec.nodeName]
    ended = (*failed, *succeeded)
    return Plan(tuple(create), (*ended, *delete), tuple(failed), tuple(succeeded), min(waits, default=None))


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


def limits(view: View) -> tuple[int, int, int]:
    """(maxSurge, maxUnavailable, nodes that should have a pod); a rollout that could never move may take one down."""
    wanted = sum(belongs(view.ds, node)[0] for node in view.nodes)
    rolling = view.ds.spec.updateStrategy.rollingUpdate
    surge = scaled(rolling.maxSurge, wanted, up=True) if rolling is not None else 0
    unavailable = scaled(rolling.maxUnavailable, wanted, up=True) if rolling is not None else 0
    if wanted and not surge and not unavailable:
        unavailable = 1
    return surge, unavailable, wanted


def _pair(view: View, pods: Sequence[Pod]) -> tuple[Pod | None, Pod | None] | None:
    """(new, old) pod of a node, of those that stay; None if there are several of a sort, which `manage` mends."""
    staying = [pod for pod in pods if pod.metadata.deletionTimestamp is None]
    new = [pod for pod in staying if view.is_new(pod)]
    old = [pod for pod in staying if not view.is_new(pod)]
    if len(new) > 1 or len(old) > 1:
        return None
    return (new[0] if new else None), (old[0] if old else None)


def roll(view: View) -> Plan:
    """The next steps of a rollout."""
    surge, unavailable, wanted = limits(view)
    places = {node.metadata.name: node for node in view.nodes}
    bare = [name for name in places if name not in view.pods and belongs(view.ds, places[name])[0]]
    names = sorted((*view.pods, *bare))
    if surge:
        return _roll_by_surge(view, [name for name in names if name in places], places, surge, wanted)
    return _roll_by_deletion(view, names, unavailable)


def _roll_by_deletion(view: View, names: Iterable[str], limit: int) -> Plan:
    """Delete old pods: those that are not available anyway, and as many others as may be down at once."""
    down = 0
    broken: list[Pod] = []
    candidates: list[Pod] = []
    for name in names:
        pair = _pair(view, view.pods.get(name, ()))
        new, old = pair if pair is not None else (None, None)
        if old is None or new is not None:
            down += new is None or old is not None or not view.available(new)
        elif view.available(old):
            candidates.append(old)
        else:
            broken.append(old)
            down += 1
    return Plan(delete=(*broken, *candidates[: max(0, limit - down)]))


def _roll_by_surge(view: View, names: Iterable[str], places: Mapping[str, Node], limit: int, wanted: int) -> Plan:
    """Start new pods beside old ones, and delete the old where the new one is available."""
    surging = available = 0
    at_once: list[str] = []
    candidates: list[str] = []
    delete: list[Pod] = []
    misplaced: list[Pod] = []
    for name in names:
        pair = _pair(view, view.pods.get(name, ()))
        if pair is None:
            surging += 1
            continue
        new, old = pair
        shown = old if old is not None else new
        available += shown is not None and view.available(shown)
        if old is None:
            continue
        if new is not None:
            if view.available(new):
                delete.append(old)
            else:
                surging += 1
        elif not belongs(view.ds, places[name])[0]:
            (misplaced if view.available(old) else delete).append(old)
        elif view.available(old):
            candidates.append(name)
        else:
            at_once.append(name)
    # Old pods on nodes where none belongs any more go only as others take their place.
    delete += misplaced[: max(0, available - wanted)]
    return Plan(create=(*at_once, *candidates[: max(0, limit - surging)]), delete=tuple(delete))


def status_of(view: View, observed: int) -> DaemonSetStatus:
    """The status that these pods amount to; a node's oldest pod counts. observed: the generation acted upon."""
    desired = current = misplaced = ready = updated = available = 0
    for node in view.nodes:
        pods = view.pods.get(node.metadata.name, ())
        if not belongs(view.ds, node)[0]:
            misplaced += bool(pods)
            continue
        desired += 1
        if not pods:
            continue
        current += 1
        first = oldest_first(pods)[0]
        ready += podlib.ready(first)
        available += view.available(first)
        updated += view.is_new(first)
    before = view.ds.status
    return DaemonSetStatus(
        currentNumberScheduled=current,
        numberMisscheduled=misplaced,
        desiredNumberScheduled=desired,
        numberReady=ready,
        observedGeneration=observed,
        updatedNumberScheduled=updated,
        numberAvailable=available,
        numberUnavailable=desired - available,
        collisionCount=before.collisionCount,
        conditions=before.conditions,
    )
