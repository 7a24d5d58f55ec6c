"""All nodes as NumPy columns, with what the pods on them take.

A row per node; a float64 column per resource (floor division is exact below 2**53); taint sets and label values are
interned to ids, one int32 column each, so that a plugin evaluates each distinct set once and gathers the answer for
all rows. `loop` keeps it true from the informers and by assuming its own decisions; plugins only read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from kijabi.api.core.node import Node, Taint
from kijabi.api.core.requests import amounts
from kijabi.scheduler.podinfo import HostPort, PodInfo

PODS = "pods"
ABSENT = 0  # the id of a label that a node does not have

TaintSet = frozenset[tuple[str, str, str]]  # (key, value, effect)


class Interned:
    """Values of one kind as small numbers: id → value, and back."""

    def __init__(self, first: object) -> None:
        self.values: list[object] = [first]
        self._ids: dict[object, int] = {first: 0}

    def id(self, value: object) -> int:
        number = self._ids.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class NodeState:
    """The columns. `size` rows are in use or free; `live` marks those that hold a node."""

    def __init__(self, capacity: int = 16) -> None:
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
        self._ports: list[dict[HostPort, int]] = [{} for _ in range(capacity)]
        self._pods: dict[str, tuple[str, PodInfo]] = {}
        self._pods_on: dict[str, dict[str, PodInfo]] = {}
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
        more = self.capacity
        self.nodes.extend([None] * more)
        self._ports.extend({} for _ in range(more))
        self.live = np.concatenate([self.live, np.zeros(more, dtype=np.bool_)])
        self.unschedulable = np.concatenate([self.unschedulable, np.zeros(more, dtype=np.bool_)])
        self.taints = np.concatenate([self.taints, np.zeros(more, dtype=np.int32)])
        for table in (self.allocatable, self.requested, self.nonzero):
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
        wanted = amounts(node.status.allocatable)
        for resource in {*self.allocatable, *wanted}:
            self._column(self.allocatable, resource)[row] = wanted.get(resource, 0)
        for key, (values, ids) in self._labels.items():
            ids[row] = _label_id(values, node.metadata.labels, key)

    def remove_node(self, name: str) -> None:
        """Forget a node; its pods are remembered, for it may come back."""
        row = self.rows.pop(name, None)
        if row is None:
            return
        self.live[row] = False
        self.nodes[row] = None
        self.taints[row] = 0
        self.unschedulable[row] = False
        self._ports[row] = {}
        for table in (self.allocatable, self.requested, self.nonzero):
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

    # ---- pods

    def add_pod(self, info: PodInfo, node: str) -> None:
        """A pod takes its share of a node, from now on; a pod that was elsewhere moves."""
        self.remove_pod(info.uid)
        self._pods[info.uid] = (node, info)
        self._pods_on.setdefault(node, {})[info.uid] = info
        row = self.rows.get(node)
        if row is not None:
            self._charge(row, info, 1)

    def remove_pod(self, uid: str) -> bool:
        """Give a pod's share back; False if it held none."""
        held = self._pods.pop(uid, None)
        if held is None:
            return False
        node, info = held
        on_node = self._pods_on[node]
        del on_node[uid]
        if not on_node:
            del self._pods_on[node]
        row = self.rows.get(node)
        if row is not None:
            self._charge(row, info, -1)
        return True

    def node_of(self, uid: str) -> str:
        """Where a pod is counted, or ""."""
        held = self._pods.get(uid)
        return held[0] if held else ""

    def pods_on(self, node: str) -> Iterable[PodInfo]:
        """The pods counted on a node."""
        return self._pods_on.get(node, {}).values()

    def ports_on(self, row: int) -> Mapping[HostPort, int]:
        """Host ports in use on a row, with how many pods hold each."""
        return self._ports[row]

    def _charge(self, row: int, info: PodInfo, sign: int) -> None:
        for resource, amount in info.requests.items():
            self._column(self.requested, resource)[row] += sign * amount
        self.requested[PODS][row] += sign
        self.nonzero["cpu"][row] += sign * info.nonzero[0]
        self.nonzero["memory"][row] += sign * info.nonzero[1]
        held = self._ports[row]
        for port in info.ports:
            count = held.get(port, 0) + sign
            if count:
                held[port] = count
            else:
                del held[port]


def taint_set(taints: Iterable[Taint]) -> TaintSet:
    """A node's taints as one comparable value."""
    return frozenset((taint.key, taint.value, taint.effect) for taint in taints)


def _label_id(values: Interned, labels: Mapping[str, str], key: str) -> int:
    return values.id(labels[key]) if key in labels else ABSENT
