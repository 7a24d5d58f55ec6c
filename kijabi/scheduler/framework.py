"""What a plugin is: two small protocols over all nodes at once.

A filter gives, for one pod, masks over the node rows with the reason why those nodes cannot take it; a score gives a
number for every row. Both are pure: they read a PodInfo and the NodeState and write neither. `decide` calls them in
the order of `catalog`; `queue` asks a filter's `wakes` which events could change its mind.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Flag, auto
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo

Mask = NDArray[np.bool_]
Scores = NDArray[np.float64]

MAX_SCORE = 100.0


class Change(Flag):
    """What happened in the cluster, as far as it can let a waiting pod in."""

    NODE_ADDED = auto()
    NODE_ALLOCATABLE = auto()
    NODE_LABELS = auto()
    NODE_TAINTS = auto()
    POD_GONE = auto()
    POD_SHRUNK = auto()
    POD_CHANGED = auto()  # the waiting pod itself
    NODE_ANY = NODE_ADDED | NODE_ALLOCATABLE | NODE_LABELS | NODE_TAINTS


class Filter(Protocol):
    """Says which nodes cannot take a pod.

    final: eviction of other pods would not help (upstream's UnschedulableAndUnresolvable). wakes: the changes after
    which a pod that this filter refused is worth another try.
    """

    name: str
    final: bool
    wakes: Change

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[tuple[Mask, str]]:
        """(refused rows, reason) pairs; rows refused by none are feasible. Rows without a node do not matter."""
        ...

    def fits(self, pod: PodInfo, nodes: NodeState, row: int, gone: Sequence[PodInfo]) -> bool:
        """Whether one node could take the pod if these of its pods were gone; asked of filters that are not final."""
        ...


class Final:
    """What filters have in common whose refusal no eviction changes."""

    final = True

    def fits(self, pod: PodInfo, nodes: NodeState, row: int, gone: Sequence[PodInfo]) -> bool:
        """See Filter: nobody's leaving makes a difference."""
        return True


class Score(Protocol):
    """Says how good a node is, 0 to 100 for every feasible row after normalisation."""

    name: str

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores:
        """A number for every row; rows that are not feasible may have any. Whole numbers, as upstream's int64."""
        ...


class Reserve(Protocol):
    """Holds something outside the node state for a pod between decision and binding."""

    name: str

    def reserve(self, pod: PodInfo, node: str) -> None:
        """Take it; raises KijabiError if it is gone after all."""
        ...

    def unreserve(self, pod: PodInfo, node: str) -> None:
        """Give it back: the binding failed. Called also for what was never reserved."""
        ...


class Bind(Protocol):
    """Writes the decision to the API server."""

    name: str

    async def bind(self, pod: PodInfo, node: str) -> None:
        """Bind, or raise the error of the API server."""
        ...


def normalise(scores: Scores, feasible: Mask, *, reverse: bool = False) -> Scores:
    """Scale so that the best feasible row has 100 (or the worst, reversed: then the best has what is left)."""
    highest = scores[feasible].max(initial=0.0)
    if highest == 0:
        return np.full_like(scores, MAX_SCORE if reverse else 0.0)
    scaled: Scores = np.floor(MAX_SCORE * scores / highest)
    return MAX_SCORE - scaled if reverse else scaled
