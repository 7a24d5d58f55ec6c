"""What is known of all nodes that concern a DaemonSet, so that an event on one costs no look at the others.

`controller.py` notes here which nodes changed and has those judged anew before it plans; `plan.py` decides from how
many nodes are of which kind. Nothing here is a source of truth: a book is made from the caches, and made again whenever
the set itself changes.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from heapq import merge
from typing import NamedTuple

from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.controllers.daemonset import pod as daemon
from kijabi.controllers.daemonset.place import Kind, Place, View, judge


class Terms(NamedTuple):
    """What verdicts hang on beside node and pods and time: a book is good for one set of terms."""

    uid: str
    generation: int
    observed: int
    template: str
    code: str

    @classmethod
    def of(cls, view: View) -> Terms:
        meta, generation = view.ds.metadata, daemon.generation_of(view.ds)
        return cls(meta.uid, meta.generation, view.ds.status.observedGeneration, generation, view.code)


class Book:
    """The verdicts on nodes, and the nodes by kind. Nodes that a set has nothing to do with are not in it.

    changed: nodes on which the verdict is out of date; whoever learns of a change adds to it.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.places: dict[str, Place] = {}
        self.kinds: dict[Kind, list[str]] = {}
        self.changed: set[str] = set()
        self._turns: list[tuple[float, str]] = []
        self._judged = datetime.min.replace(tzinfo=UTC)

    def good(self, view: View) -> bool:
        """Its verdicts still hold, but for nodes that changed. A clock that was set back makes none of them hold."""
        return self.terms == Terms.of(view) and view.now >= self._judged

    def outdated(self, now: datetime) -> set[str]:
        """The nodes to be judged anew: those that changed, and those whose time has come."""
        turned = self._turns[: bisect_left(self._turns, (math.nextafter(now.timestamp(), math.inf), ""))]
        return self.changed.union(name for _, name in turned)

    def judge(
        self, view: View, names: Iterable[str], node: Callable[[str], Node | None], pods: Mapping[str, Sequence[Pod]]
    ) -> None:
        """Judge nodes by what they are now. pods: the set's own by the node that they are meant for."""
        for name in names:
            self._put(name, judge(view, name, node(name), pods.get(name, ())))
            self.changed.discard(name)
        self._judged = view.now

    def turn(self, now: datetime) -> float | None:
        """Seconds until a verdict changes by itself."""
        return self._turns[0][0] - now.timestamp() if self._turns else None

    def among(self, kinds: Iterable[Kind]) -> Iterator[str]:
        """The nodes of some kinds, by name."""
        return merge(*[self.kinds[kind] for kind in kinds])

    def _put(self, name: str, place: Place | None) -> None:
        before = self.places.pop(name, None)
        if before is not None:
            names = self.kinds[before.kind]
            del names[bisect_left(names, name)]
            if not names:
                del self.kinds[before.kind]
            if before.until < math.inf:
                del self._turns[bisect_left(self._turns, (before.until, name))]
        if place is not None:
            self.places[name] = place
            insort(self.kinds.setdefault(place.kind, []), name)
            if place.until < math.inf:
                insort(self._turns, (place.until, name))


def group(pods: Iterable[Pod]) -> dict[str, list[Pod]]:
    """Pods by the node that they are meant for."""
    found: dict[str, list[Pod]] = {}
    for pod in pods:
        found.setdefault(daemon.target(pod), []).append(pod)
    return found
