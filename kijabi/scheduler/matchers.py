"""How many of the pods that somebody means are on each node, and what the pods on nodes mean of others; as columns.

`nodestate` reports every pod that comes to a row or leaves it; the plugins about other pods ask. A tally is made at the
first question about a set of pods and kept true from then on. Pods with the same namespace and labels are one kind,
which knows the tallies that count it, so that a pod that nobody means costs a look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kijabi.scheduler.needs import Meant, Term
from kijabi.scheduler.podinfo import Kind, PodInfo

# Tallies kept; of more than that the one not asked for longest is forgotten, and made anew when it is asked for.
MOST_TALLIES = 500
# Kinds of pods for which it is remembered which terms of others mean them.
MOST_MEANT = 5_000

Counts = NDArray[np.float64]


class Group(NamedTuple):
    """Pods that are meant by every part. living: only those that are not being deleted."""

    parts: tuple[Meant, ...]
    living: bool = False


class _Kind:
    """All pods of one namespace and the same labels: how many on which row, and the tallies that count them."""

    __slots__ = ("rows", "tallies")

    def __init__(self, tallies: dict[Group, Counts]) -> None:
        self.rows: dict[int, int] = {}
        self.tallies = tallies


class Held:
    """A term that pods on nodes have: how many of them on each row (required), or the weight (preferred)."""

    __slots__ = ("column", "pods")

    def __init__(self, capacity: int) -> None:
        self.column: Counts = np.zeros(capacity, dtype=np.float64)
        self.pods = 0


class Matchers:
    """The tallies and terms of one node state. namespaces: labels by name, for terms that select namespaces."""

    def __init__(self, capacity: int) -> None:
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self._capacity = capacity
        self._tallies: dict[Group, Counts] = {}
        self._kinds: dict[Kind, _Kind] = {}
        self._held: dict[tuple[Term, bool], Held] = {}  # (term, whether it is a required anti-affinity)
        self._meant: dict[tuple[str, frozenset[tuple[str, str]]], tuple[tuple[Term, bool], ...]] = {}

    def grow(self, capacity: int) -> None:
        """There are more rows from now on."""
        more = capacity - self._capacity
        self._capacity = capacity
        wider = {group: np.concatenate([counts, np.zeros(more)]) for group, counts in self._tallies.items()}
        self._tallies = wider
        for kind in self._kinds.values():
            kind.tallies = {group: wider[group] for group in kind.tallies}
        for held in self._held.values():
            held.column = np.concatenate([held.column, np.zeros(more)])

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """A namespace has these labels, or is gone: what selects namespaces is counted anew when asked for."""
        if self.namespaces.get(name) == labels:
            return
        if labels is None:
            del self.namespaces[name]
        else:
            self.namespaces[name] = labels
        for group in [group for group in self._tallies if any(part.within.requirements for part in group.parts)]:
            self._forget(group)
        self._meant.clear()

    # ---- pods come and go

    def charge(self, row: int, info: PodInfo, sign: int) -> None:
        """A pod comes to a row (1), or leaves it (-1)."""
        kind = self._kinds.get(info.kind)
        if kind is None:
            kind = self._kinds[info.kind] = _Kind(
                {group: counts for group, counts in self._tallies.items() if self._counts(group, info.kind)}
            )
        number = kind.rows.get(row, 0) + sign
        if number:
            kind.rows[row] = number
        else:
            del kind.rows[row]
            if not kind.rows:
                del self._kinds[info.kind]
        for counts in kind.tallies.values():
            counts[row] += sign
        needs = info.needs
        for term in needs.away:
            self._hold(term, True, row, sign, sign)
        for term in needs.near:
            self._hold(term, False, row, sign, sign)
        for weight, term in needs.wishes:
            self._hold(term, False, row, sign * weight, sign)

    def _hold(self, term: Term, away: bool, row: int, amount: int, sign: int) -> None:
        place = (term, away)
        held = self._held.get(place)
        if held is None:
            held = self._held[place] = Held(self._capacity)
            self._meant.clear()
        held.column[row] += amount
        held.pods += sign
        if not held.pods:
            del self._held[place]
            self._meant.clear()

    # ---- questions

    def tally(self, group: Group) -> Counts:
        """How many pods of a group are on each row; not to be written to."""
        counts = self._tallies.pop(group, None)
        if counts is None:
            counts = np.zeros(self._capacity, dtype=np.float64)
            while len(self._tallies) >= MOST_TALLIES:
                self._forget(next(iter(self._tallies)))
            for key, kind in self._kinds.items():
                if self._counts(group, key):
                    kind.tallies[group] = counts
                    for row, number in kind.rows.items():
                        counts[row] += number
        self._tallies[group] = counts  # the last is the one asked for last
        return counts

    def means(self, group: Group, info: PodInfo) -> bool:
        """Whether a group has this pod."""
        return self._counts(group, info.kind)

    def held(self, info: PodInfo) -> Iterator[tuple[Term, bool, Counts]]:
        """The terms of pods on nodes that mean this pod: term, whether it keeps it away, and its column."""
        if not self._held:
            return
        namespace, labels, _ = info.kind
        mine = self._meant.get((namespace, labels))
        if mine is None:
            named = dict(labels)
            mine = tuple(place for place in self._held if place[0].meant.has(namespace, named, self.namespaces))
            while len(self._meant) >= MOST_MEANT:
                del self._meant[next(iter(self._meant))]
            self._meant[namespace, labels] = mine
        for place in mine:
            yield (*place, self._held[place].column)

    def _counts(self, group: Group, kind: Kind) -> bool:
        namespace, labels, living = kind
        if group.living and not living:
            return False
        named = dict(labels)
        return all(part.has(namespace, named, self.namespaces) for part in group.parts)

    def _forget(self, group: Group) -> None:
        del self._tallies[group]
        for kind in self._kinds.values():
            kind.tallies.pop(group, None)
