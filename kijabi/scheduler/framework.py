"""What a plugin is: small protocols over all nodes at once.

A filter gives, for one pod, masks over the node rows with the reason why those nodes cannot take it; a score gives a
number for every row. Both are pure: they read a PodInfo and the NodeState and write neither. `decide` calls them in
the order of `catalog`, `preempt` asks a filter's `trial` what would be if some pods were gone, and `queue` asks its
`wakes` and `worth` which events could change its mind.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Flag, auto
from typing import Any, NamedTuple, Protocol

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
    NODE_GONE = auto()
    NODE_ALLOCATABLE = auto()
    NODE_LABELS = auto()
    NODE_TAINTS = auto()
    POD_PLACED = auto()
    POD_LABELS = auto()  # of a pod that has a node
    POD_GONE = auto()
    POD_SHRUNK = auto()
    POD_CHANGED = auto()  # the waiting pod itself
    CLAIM = auto()
    VOLUME = auto()
    STORAGE_CLASS = auto()
    CSI_NODE = auto()
    CSI_DRIVER = auto()
    STORAGE_CAPACITY = auto()
    DETACHED = auto()
    DEVICE_CLAIM = auto()
    GROUP = auto()  # a pod joined a group, or the group needs fewer; new is the group's key
    NODE_ANY = NODE_ADDED | NODE_GONE | NODE_ALLOCATABLE | NODE_LABELS | NODE_TAINTS


class Event(NamedTuple):
    """A change, with the object before and after where there is one; pods come as PodInfo."""

    change: Change
    old: Any = None
    new: Any = None


class Refusal(NamedTuple):
    """Rows that cannot take the pod. final: no eviction helps (upstream's UnschedulableAndUnresolvable).

    reason: empty if another refusal gives it, and this only adds that it is final.
    """

    rows: Mask
    reason: str
    final: bool = False


# What would be if these of a row's pods were gone: the reasons why the pod would not fit, none if it would.
Trial = Callable[[int, Sequence[PodInfo]], tuple[str, ...]]


class Filter(Protocol):
    """Says which nodes cannot take a pod. wakes: the changes after which a pod refused is worth another try."""

    name: str
    wakes: Change

    def begin(self, pod: PodInfo, nodes: NodeState) -> str | Mask | None:
        """Before any filter: why no node at all can take the pod, or the rows that need not be looked at."""
        ...

    def filter(self, pod: PodInfo, nodes: NodeState) -> Sequence[Refusal]:
        """Rows refused by none are feasible. Rows without a node do not matter."""
        ...

    def trial(self, pod: PodInfo, nodes: NodeState) -> Trial | None:
        """For preemption; None if who else is on a node makes no difference to this pod."""
        ...

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """Whether an event of those in `wakes` could let this pod in (upstream's queueing hint)."""
        ...


class Static:
    """What filters have in common that look at the pod and the node alone; others override what they need."""

    def begin(self, pod: PodInfo, nodes: NodeState) -> str | Mask | None:
        """See Filter: nothing to say beforehand."""
        return None

    def trial(self, pod: PodInfo, nodes: NodeState) -> Trial | None:
        """See Filter: nobody's leaving makes a difference."""
        return None

    def worth(self, pod: PodInfo, event: Event) -> bool:
        """See Filter: every event of the kinds in `wakes` may help."""
        return True


class Score(Protocol):
    """Says how good a node is, 0 to 100 for every feasible row after normalisation."""

    name: str

    def score(self, pod: PodInfo, nodes: NodeState, feasible: Mask) -> Scores | None:
        """A number for every row; rows that are not feasible may have any. Whole numbers, as upstream's int64.

        None: all feasible rows are alike to this score.
        """
        ...


class Reserve(Protocol):
    """Holds something outside the node state for a pod, from the decision to the binding and if need be longer.

    The lifecycle: `reserve` with the decision, `prepare` in the task that binds, then the pod is bound; `unreserve` if
    any of these failed.
    """

    name: str

    def reserve(self, pod: PodInfo, node: str) -> None:
        """Take it; raises KijabiError if it is gone after all."""
        ...

    async def prepare(self, pod: PodInfo, node: str) -> None:
        """Make it true at the API server before the pod is bound; may wait. Raises KijabiError if that fails."""
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


def normalise(scores: Scores, feasible: Mask, *, reverse: bool = False) -> Scores | None:
    """Scale so that the best feasible row has 100 (or the worst, reversed: then the best has what is left)."""
    highest = scores[feasible].max(initial=0.0)
    if highest == 0:
        return None
    scaled: Scores = np.floor(MAX_SCORE * scores / highest)
    return MAX_SCORE - scaled if reverse else scaled
