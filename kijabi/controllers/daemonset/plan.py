"""Which nodes get a daemon pod and which daemon pods go. Pure; `controller.py` carries it out.

`plan` first puts every node right by itself (`manage`); only when nothing is left to do there, it rolls out a new
template (`roll`): by deleting old pods within maxUnavailable, or by doubling pods within maxSurge (KEP-1591). It counts
nodes by their kind, and looks only at those on which something is to be done. Source: apps/v1 DaemonSet;
k8s.io/kubernetes `pkg/controller/daemon`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from kijabi.api.apps.daemonset import DaemonSet, DaemonSetStatus
from kijabi.api.core.pod import Pod
from kijabi.controllers.daemonset.book import Book
from kijabi.controllers.daemonset.place import Kind, Plan, View
from kijabi.controllers.deployment.scale import scaled

BURST = 250
"""Pods created, and pods deleted, in one reconcile at most."""


def plan(view: View, book: Book) -> Plan:
    """What to do now."""
    found = manage(book)
    if not (found.create or found.delete) and view.ds.spec.updateStrategy.type == "RollingUpdate":
        found = roll(view.ds, book)
    return found._replace(create=found.create[:BURST], delete=found.delete[:BURST], again=book.turn(view.now))


def manage(book: Book) -> Plan:
    """What is to be done on the nodes where something is wrong."""
    todo = [book.places[name].todo for name in book.among([kind for kind in book.kinds if kind.wrong])]
    return Plan(
        create=tuple([name for one in todo for name in one.create]),
        delete=tuple([pod for one in todo for pod in one.delete]),
        failed=tuple([pod for one in todo for pod in one.failed]),
        succeeded=tuple([pod for one in todo for pod in one.succeeded]),
    )


def limits(ds: DaemonSet, book: Book) -> tuple[int, int, int]:
    """(maxSurge, maxUnavailable, nodes that should have a pod); a rollout that could never move may take one down."""
    wanted = sum(len(names) for kind, names in book.kinds.items() if kind.should)
    rolling = ds.spec.updateStrategy.rollingUpdate
    surge = scaled(rolling.maxSurge, wanted, up=True) if rolling is not None else 0
    unavailable = scaled(rolling.maxUnavailable, wanted, up=True) if rolling is not None else 0
    if wanted and not surge and not unavailable:
        unavailable = 1
    return surge, unavailable, wanted


def roll(ds: DaemonSet, book: Book) -> Plan:
    """The next steps of a rollout."""
    surge, unavailable, wanted = limits(ds, book)
    return _roll_by_surge(book, surge, wanted) if surge else _roll_by_deletion(book, unavailable)


def _old(book: Book, kinds: Iterable[Kind], most: int | None = None) -> list[Pod]:
    """The old pods on nodes of some kinds."""
    return [pod for name in islice(book.among(kinds), most) if (pod := book.places[name].old) is not None]


def _roll_by_deletion(book: Book, limit: int) -> Plan:
    """Delete old pods: those that are not available anyway, and as many others as may be down at once."""
    down = 0
    broken: list[Kind] = []
    candidates: list[Kind] = []
    for kind, names in book.kinds.items():
        if kind.oldest is None and not kind.should:
            continue
        if kind.twins or (kind.old is None) == (kind.new is None):
            down += len(names)
        elif kind.old is None:
            down += 0 if kind.new else len(names)
        elif kind.old:
            candidates.append(kind)
        else:
            broken.append(kind)
            down += len(names)
    return Plan(delete=(*_old(book, broken), *_old(book, candidates, max(0, limit - down))))


def _roll_by_surge(book: Book, limit: int, wanted: int) -> Plan:
    """Start new pods beside old ones, and delete the old where the new one is available."""
    surging = available = 0
    at_once: list[Kind] = []
    candidates: list[Kind] = []
    done: list[Kind] = []
    misplaced: list[Kind] = []
    for kind, names in book.kinds.items():
        if not kind.exists:
            continue
        if kind.twins:
            surging += len(names)
            continue
        if kind.new if kind.old is None else kind.old:
            available += len(names)
        if kind.old is None:
            continue
        if kind.new is False:
            surging += len(names)
        elif kind.new:
            done.append(kind)
        elif not kind.should:
            (misplaced if kind.old else done).append(kind)
        else:
            (candidates if kind.old else at_once).append(kind)
    # Old pods on nodes where none belongs any more go only as others take their place.
    delete = (*_old(book, done), *_old(book, misplaced, max(0, available - wanted)))
    started = islice(book.among(candidates), max(0, limit - surging))
    return Plan(create=(*book.among(at_once), *started), delete=delete)


def status_of(view: View, book: Book, observed: int) -> DaemonSetStatus:
    """The status that these nodes amount to; a node's oldest pod counts. observed: the generation acted upon."""
    desired = current = misplaced = ready = updated = available = 0
    for kind, names in book.kinds.items():
        number, oldest = len(names), kind.oldest
        if not kind.should:
            misplaced += number if kind.exists and oldest is not None else 0
            continue
        desired += number
        if oldest is None:
            continue
        current += number
        ready += number * oldest.ready
        available += number * oldest.available
        updated += number * oldest.new
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
