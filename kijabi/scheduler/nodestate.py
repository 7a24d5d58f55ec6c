"""All nodes as NumPy columns, with what the pods on them take.

A row per node; a float64 column per resource (floor division is exact below 2**53); taint sets and label values are
interned to ids, one int32 column each, so that a plugin evaluates each distinct set once and gathers the answer for
all rows. `loop` keeps it true from the informers and by assuming its own decisions; plugins only read. `matchers` says
how many pods of a kind are where, `storage` what there is of volumes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
import numpy as np
from numpy.typing import NDArray

from kijabi.api.core.node import Node, Taint
from kijabi.api.core.requests import amounts
from kijabi.scheduler.matchers import Matchers
from kijabi.scheduler.needs import Spread
from kijabi.scheduler.podinfo import HostPort, PodInfo, conflicts
from kijabi.scheduler.storage import Storage

PODS = "pods"
ABSENT = 0  # the id of a label that a node does not have
MOST_IMAGES = 500  # columns of images kept; one more pushes out the oldest

MOST_KEPT = 200  # columns that depend on a pod's requests, for as many different requests
LONGEST_LOG = 20_000  # changes of rows that are remembered for them

Rows = slice | NDArray[np.intp]
EVERY: Rows = slice(None)
TaintSet = frozenset[tuple[str, str, str]]  # (key, value, effect)
_NO_COLUMN: NDArray[np.float64] = np.zeros(0, dtype=np.float64)


class Interned:
    """Values of one kind as small numbers: id → value, and back."""

    def __init__(self, first: object) -> None:
        self.values: list[object] = [first]
        self._ids: dict[object, int] = {first: 0}

    def find(self, value: object) -> int:
        """The number of a value, -1 if it has none."""
        return self._ids.get(value, -1)

    def id(self, value: object) -> int:
        """The number of a value, from now on if it has none."""
        number = self._ids.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class Terms(msgspec.Struct, frozen=True):
    """What a pod group means to preemption: the priority of its pods, and whether they go only all together."""

    priority: int
    whole: bool


class NodeState:
    """The columns. `size` rows are in use or free; `live` marks those that hold a node.

    groups: the pod groups that there are; None where the server has no such kind, and pods are in none.
    """

    def __init__(self, capacity: int = 16, storage: Storage | None = None) -> None:
        self.storage = storage or Storage()
        self.matchers = Matchers(capacity)
        self.touched: set[int] = set()  # rows whose pods changed since `ranks` looked
        self._log: list[int] = []  # rows in the order in which what they have or take changed
        self._forgotten = 0  # how many of the log were dropped
        self._kept: dict[object, tuple[int, NDArray[np.float64]]] = {}
        self.rows: dict[str, int] = {}
        self.nodes: list[Node | None] = [None] * capacity
        self.live: NDArray[np.bool_] = np.zeros(capacity, dtype=np.bool_)
        self.unschedulable: NDArray[np.bool_] = np.zeros(capacity, dtype=np.bool_)
        self.taints: NDArray[np.int32] = np.zeros(capacity, dtype=np.int32)
        self.taint_sets = Interned(frozenset())
        self.allocatable: dict[str, NDArray[np.float64]] = {}
        self.requested: dict[str, NDArray[np.float64]] = {}
        self.nonzero: dict[str, NDArray[np.float64]] = {}
        self._labels: dict[str, tuple[Interned, NDArray[np.int32]]] = {}
        self._images: dict[str, NDArray[np.float64]] = {}
        self._ports: dict[tuple[str, int], dict[int, list[HostPort]]] = {}  # (protocol, port): row: who holds it
        self._pods: dict[str, tuple[str, PodInfo]] = {}
        self._pods_on: dict[str, dict[str, PodInfo]] = {}
        self._users: dict[str, set[str]] = {}  # claim: the pods with a node that use it
        self.groups: dict[str, Terms] | None = None
        self._members: dict[str, dict[str, PodInfo]] = {}  # a group: its pods with a node, by uid
        self.defaults: Callable[[PodInfo], Sequence[Spread]] = _no_defaults
        for name in ("cpu", "memory", PODS):
            self._column(self.allocatable, name)
            self._column(self.requested, name)
        for name in ("cpu", "memory"):
            self._column(self.nonzero, name)

    @property
    def capacity(self) -> int:
        return len(self.nodes)

    def __len__(self) -> int:
        return len(self.rows)

    def _column(self, table: dict[str, NDArray[np.float64]], name: str) -> NDArray[np.float64]:
        column = table.get(name)
        if column is None:
            column = table[name] = np.zeros(self.capacity, dtype=np.float64)
        return column

    def _grow(self) -> None:
        more = max(self.capacity // 4, 16)  # free rows cost each decision as much as others
        self.nodes.extend([None] * more)
        self.matchers.grow(self.capacity)
        self.live = np.concatenate([self.live, np.zeros(more, dtype=np.bool_)])
        self.unschedulable = np.concatenate([self.unschedulable, np.zeros(more, dtype=np.bool_)])
        self.taints = np.concatenate([self.taints, np.zeros(more, dtype=np.int32)])
        for table in (self.allocatable, self.requested, self.nonzero, self._images):
            for name, column in table.items():
                table[name] = np.concatenate([column, np.zeros(more, dtype=np.float64)])
        for key, (values, ids) in self._labels.items():
            self._labels[key] = (values, np.concatenate([ids, np.zeros(more, dtype=np.int32)]))

    # ---- nodes

    def set_node(self, node: Node) -> None:
        """Add a node or take over its new state. Pods seen on it before it was known count from now on."""
        name = node.metadata.name
        row = self.rows.get(name)
        if row is None:
            free = np.flatnonzero(~self.live)
            if len(free) == 0:
                row = self.capacity
                self._grow()
            else:
                row = int(free[0])
            self.rows[name] = row
            self.live[row] = True
            for info in self._pods_on.get(name, {}).values():
                self._charge(row, info, 1)
        self.nodes[row] = node
        self.unschedulable[row] = node.spec.unschedulable
        self.taints[row] = self.taint_sets.id(taint_set(node.spec.taints))
        self._note(row)
        wanted = amounts(node.status.allocatable)
        for resource in {*self.allocatable, *wanted}:
            self._column(self.allocatable, resource)[row] = wanted.get(resource, 0)
        for key, (values, ids) in self._labels.items():
            ids[row] = _label_id(values, node.metadata.labels, key)
        if self._images:
            sizes = image_sizes(node)
            for image, column in self._images.items():
                column[row] = sizes.get(image, 0)

    def remove_node(self, name: str) -> None:
        """Forget a node; its pods are remembered, for it may come back."""
        row = self.rows.pop(name, None)
        if row is None:
            return
        for info in self._pods_on.get(name, {}).values():
            self._charge(row, info, -1)
        self._note(row)
        self.live[row] = False
        self.nodes[row] = None
        self.taints[row] = 0
        self.unschedulable[row] = False
        for table in (self.allocatable, self.requested, self.nonzero, self._images):
            for column in table.values():
                column[row] = 0
        for _, ids in self._labels.values():
            ids[row] = ABSENT

    def label(self, key: str) -> tuple[Interned, NDArray[np.int32]]:
        """A label key as (values, id per row); id 0 is a node without it. Made at the first question, then kept."""
        if key not in self._labels:
            values = Interned(None)
            ids = np.zeros(self.capacity, dtype=np.int32)
            for row in self.rows.values():
                node = self.nodes[row]
                if node is not None:
                    ids[row] = _label_id(values, node.metadata.labels, key)
            self._labels[key] = (values, ids)
        return self._labels[key]

    def image(self, name: str) -> NDArray[np.float64]:
        """How large an image is on each row, 0 where it is not. Made at the first question, then kept."""
        column = self._images.get(name)
        if column is None:
            while len(self._images) >= MOST_IMAGES:
                del self._images[next(iter(self._images))]
            column = self._images[name] = np.zeros(self.capacity, dtype=np.float64)
            for row in self.rows.values():
                node = self.nodes[row]
                if node is not None and node.status.images:
                    column[row] = image_sizes(node).get(name, 0)
        return column

    # ---- columns kept

    def _note(self, row: int) -> None:
        self._log.append(row)
        if len(self._log) > LONGEST_LOG:
            half = LONGEST_LOG // 2
            del self._log[:half]
            self._forgotten += half

    def kept(self, key: object, compute: Callable[[Rows], NDArray[np.float64]]) -> NDArray[np.float64]:
        """A column that follows from what rows have and take; computed anew only for the rows that have changed.

        key: says what is computed. The column is not to be written to, and holds until the next change.
        """
        end = self._forgotten + len(self._log)
        position, column = self._kept.pop(key, (-1, _NO_COLUMN))
        if position < self._forgotten or len(column) != self.capacity:
            while len(self._kept) >= MOST_KEPT:
                del self._kept[next(iter(self._kept))]
            column = compute(EVERY)
        elif position < end:
            rows = np.array(sorted(set(self._log[position - self._forgotten :])), dtype=np.intp)
            column[rows] = compute(rows)
        self._kept[key] = (end, column)
        return column

    # ---- pods

    def add_pod(self, info: PodInfo, node: str) -> None:
        """A pod takes its share of a node, from now on; a pod that was elsewhere moves."""
        self.remove_pod(info.uid)
        self._pods[info.uid] = (node, info)
        self._pods_on.setdefault(node, {})[info.uid] = info
        for claim, _ in info.claims:
            self._users.setdefault(claim, set()).add(info.uid)
        if info.group:
            self._members.setdefault(info.group, {})[info.uid] = info
        row = self.rows.get(node)
        if row is not None:
            self._charge(row, info, 1)

    def refresh_pod(self, info: PodInfo) -> None:
        """A pod has changed in nothing that is counted: keep its new state."""
        node, _ = self._pods[info.uid]
        self._pods[info.uid] = (node, info)
        self._pods_on[node][info.uid] = info
        if info.group:
            self._members[info.group][info.uid] = info
        row = self.rows.get(node)
        if row is not None:
            self.touched.add(row)

    def remove_pod(self, uid: str) -> PodInfo | None:
        """Give a pod's share back; the pod, None if it held none."""
        held = self._pods.pop(uid, None)
        if held is None:
            return None
        node, info = held
        on_node = self._pods_on[node]
        del on_node[uid]
        if not on_node:
            del self._pods_on[node]
        for claim, _ in info.claims:
            users = self._users.get(claim, set())
            users.discard(uid)
            if not users:
                self._users.pop(claim, None)
        if info.group:
            members = self._members[info.group]
            del members[uid]
            if not members:
                del self._members[info.group]
        row = self.rows.get(node)
        if row is not None:
            self._charge(row, info, -1)
        return info

    def get_pod(self, uid: str) -> PodInfo | None:
        """A pod that is counted somewhere."""
        held = self._pods.get(uid)
        return held[1] if held else None

    def node_of(self, uid: str) -> str:
        """Where a pod is counted, or ""."""
        held = self._pods.get(uid)
        return held[0] if held else ""

    def pods_on(self, node: str) -> Iterable[PodInfo]:
        """The pods counted on a node."""
        return self._pods_on.get(node, {}).values()

    def users(self, claim: str) -> Collection[str]:
        """The pods with a node, by uid, that use a claim."""
        return self._users.get(claim, ())

    def pods(self) -> Iterable[PodInfo]:
        """All pods that are counted on a node that there is."""
        return (info for name in self.rows for info in self.pods_on(name))

    # ---- pod groups

    def set_group(self, key: str, terms: Terms | None) -> None:
        """A group is there, or is not any more."""
        if self.groups is None:
            self.groups = {}
        if self.groups.get(key) == terms:
            return
        if terms is None:
            del self.groups[key]
        else:
            self.groups[key] = terms
        rows = (self.rows.get(self.node_of(uid)) for uid in self._members.get(key, ()))
        self.touched.update(row for row in rows if row is not None)

    def terms(self, info: PodInfo) -> Terms | None:
        """Those of a pod's group, None if it is in none that there is."""
        return self.groups.get(info.group) if info.group and self.groups else None

    def members(self, group: str) -> Collection[PodInfo]:
        """The pods of a group that have a node."""
        return self._members.get(group, {}).values()

    # ---- questions

    def port_rows(self, port: HostPort) -> Iterable[int]:
        """The rows where somebody holds a host port that excludes this one."""
        held = self._ports.get(port[1:])
        return [row for row, ports in held.items() if any(conflicts(port, one) for one in ports)] if held else ()

    def ports_at(self, row: int, port: HostPort) -> list[HostPort]:
        """The host ports held on a row that exclude this one, each as often as it is held."""
        held = self._ports.get(port[1:], {}).get(row, ())
        return [one for one in held if conflicts(port, one)]

    @contextmanager
    def supposed(self, pods: Iterable[tuple[PodInfo, str]]) -> Iterator[None]:
        """The state as if these pods, which have no node yet, were on these nodes; for the length of a `with`."""
        added = []
        for info, node in pods:
            self.add_pod(info, node)
            added.append(info.uid)
        try:
            yield
        finally:
            for uid in added:
                self.remove_pod(uid)

    @contextmanager
    def missing(self, pods: Iterable[PodInfo]) -> Iterator[None]:
        """The state as if these pods were gone; for the length of a `with`."""
        gone = [(info, self.node_of(info.uid)) for info in pods]
        for info, _ in gone:
            self.remove_pod(info.uid)
        try:
            yield
        finally:
            for info, node in gone:
                self.add_pod(info, node)

    @contextmanager
    def relieved(
        self, requested: Mapping[str, NDArray[np.float64]], nonzero: Mapping[str, NDArray[np.float64]]
    ) -> Iterator[None]:
        """The state as if so much less were taken of each row, by the same pods; for the length of a `with`."""
        before = self.requested, self.nonzero, self._kept
        self.requested = {name: column - requested.get(name, 0) for name, column in self.requested.items()}
        self.nonzero = {name: column - nonzero.get(name, 0) for name, column in self.nonzero.items()}
        self._kept = {}
        try:
            yield
        finally:
            self.requested, self.nonzero, self._kept = before

    def weigh(self, info: PodInfo, sign: int) -> None:
        """Count again what a pod takes of its node (1), or no longer (-1), while `relieved` leaves it out."""
        row = self.rows.get(self.node_of(info.uid))
        if row is None:
            return
        for resource, amount in info.requests.items():
            self._column(self.requested, resource)[row] += sign * amount
        self.requested[PODS][row] += sign

    def _charge(self, row: int, info: PodInfo, sign: int) -> None:
        self.touched.add(row)
        self._note(row)
        for resource, amount in info.requests.items():
            self._column(self.requested, resource)[row] += sign * amount
        self.requested[PODS][row] += sign
        self.nonzero["cpu"][row] += sign * info.nonzero[0]
        self.nonzero["memory"][row] += sign * info.nonzero[1]
        self.matchers.charge(row, info, sign)
        for port in info.ports:
            rows = self._ports.setdefault(port[1:], {})
            held = rows.setdefault(row, [])
            if sign > 0:
                held.append(port)
                continue
            held.remove(port)
            if not held:
                del rows[row]
                if not rows:
                    del self._ports[port[1:]]


def _no_defaults(pod: PodInfo) -> Sequence[Spread]:
    return ()


def taint_set(taints: Iterable[Taint]) -> TaintSet:
    """A node's taints as one comparable value."""
    return frozenset((taint.key, taint.value, taint.effect) for taint in taints)


def image_sizes(node: Node) -> dict[str, int]:
    """The images of a node by each of their names."""
    return {name: image.sizeBytes for image in node.status.images for name in image.names}


def _label_id(values: Interned, labels: Mapping[str, str], key: str) -> int:
    return values.id(labels[key]) if key in labels else ABSENT
