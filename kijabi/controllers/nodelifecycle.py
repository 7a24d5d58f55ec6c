"""Node lifecycle: notices nodes that went silent, taints them, and takes their pods out of service.

Receives nodes, their leases and pods; writes node conditions and taints and the readiness of pods on nodes that are
not ready. `nodehealth.py` decides; `tainteviction.py` then evicts by the taints written here
(k8s.io/kubernetes `pkg/controller/nodelifecycle`, without its polling: a timer runs for each node). Evictions begin one
node at a time in each zone, so that a cut network does not empty a whole zone at once; those who wait stand in a line,
of which only the first has a timer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from kijabi.api import codec
from kijabi.api.coordination.lease import Lease
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.base import clock
from kijabi.base.errors import Conflict, ConnectionLost, NotFound
from kijabi.client.cache import key_of
from kijabi.controllers import nodehealth, removal
from kijabi.controllers import pods as podlib
from kijabi.controllers.nodehealth import Limits, Line, Signs
from kijabi.controllers.runtime import WORKERS, Bell, Context, Source
from kijabi.controllers.sources import NODE, pods

LEASES = "kube-node-lease"
EXEMPT = "node.kubernetes.io/exclude-disruption"
HEALTH = "health"


def _health(node: Node) -> tuple[str, ...]:
    """Index: `zone/True` or `zone/False`, by whether the node is ready."""
    if EXEMPT in node.metadata.labels:
        return ()
    return (f"{nodehealth.zone_of(node)}/{nodehealth.ready_status(node) == 'True'}",)


class NodeLifecycle:
    """The controller. Its keys are nodes ("name") and pods ("namespace/name")."""

    name = "node-lifecycle"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.flags = flags = context.config.flags
        self.limits = Limits(
            flags.node_eviction_rate,
            flags.secondary_node_eviction_rate,
            flags.large_cluster_size_threshold,
            flags.unhealthy_zone_threshold,
        )
        self.client = context.client
        self.recorder = context.recorder("node-controller")
        self.nodes = context.informers.of(Node, indexes={HEALTH: _health})
        self.leases = context.informers.of(Lease, namespace=LEASES)
        self.pods = pods(context.informers)
        self.turns = Bell()
        self._signs: dict[str, Signs] = {}
        self._marked: set[str] = set()  # nodes whose pods were told that they are not ready
        self._lines: dict[str, Line] = {}  # by zone
        self._waiting: dict[str, str] = {}  # node: the zone in whose line it stands
        self._calm = False

    def sources(self) -> Sequence[Source]:
        return (
            Source(self.nodes, self._keys_of_node),
            Source(self.leases, lambda old, new: (new.metadata.name,) if new is not None else ()),
            Source(self.pods, self._keys_of_pod),
            Source(self.turns, lambda old, new: (new,)),
        )

    def _keys_of_node(self, old: Node | None, new: Node | None) -> Iterable[str]:
        """The node; who is next in a zone whose pace changes; and all that are not ready, when the cluster as a whole
        loses or regains its last ready node.
        """
        one = new if new is not None else old
        keys = {one.metadata.name} if one is not None else set()
        if old is None and new is not None:
            self._tell(new, "RegisteredNode", f"Registered Node {new.metadata.name} in Controller")
        elif old is not None and new is None:
            self._tell(old, "RemovingNode", f"Removing Node {old.metadata.name} from Controller")
        now = clock.monotonic()
        calm = not any(value.endswith("/True") for value in self.nodes.index_values(HEALTH))
        if calm != self._calm:
            self._calm = calm
            if not calm:  # Who is still silent gets its whole grace anew: it may have been us who were cut off.
                self._signs = {name: signs._replace(since=now) for name, signs in self._signs.items()}
            keys.update(self._unready())
            zones = set(self._lines)
        else:
            zones = {nodehealth.zone_of(n) for n in (old, new) if n is not None}
        for zone in zones:
            line = self._line(zone)
            if line.set_rate(self._rate(zone), now) and (first := line.first()) is not None:
                keys.add(first)
        return keys

    def _unready(self) -> Iterable[str]:
        return [n.metadata.name for n in self.nodes.items() if nodehealth.ready_status(n) != "True"]

    def _line(self, zone: str) -> Line:
        return self._lines.setdefault(zone, Line(self.limits.usual))

    def _rate(self, zone: str) -> float:
        ready, unready = (len(self.nodes.index(HEALTH, f"{zone}/{ready}")) for ready in (True, False))
        return 0.0 if self._calm else nodehealth.eviction_rate(ready, unready, self.limits)

    def _tell(self, node: Node, reason: str, text: str) -> None:
        self.recorder.event(node, "Normal", reason, f"Node {node.metadata.name} event: {text}")

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        """A pod that was just bound to a node: the node may not be ready."""
        if new is None or not new.spec.nodeName or (old is not None and old.spec.nodeName):
            return ()
        return (key_of(new),)

    async def reconcile(self, key: str) -> float | None:
        if "/" in key:
            await self._bound(key)
            return None
        node = self.nodes.get(key)
        if node is None:
            self._signs.pop(key, None)
            self._marked.discard(key)
            self._leave(key)
            return None
        lease = self.leases.get(f"{LEASES}/{key}")
        now = clock.monotonic()
        signs = self._signs[key] = nodehealth.observe(self._signs.get(key), node, lease, now)
        wait = self._overdue_in(node, signs, now)
        if wait <= 0:
            node = await self._silent(node, signs)
        if wait <= 0 and (left := self._overdue_in(node, self._signs[key], now)) > 0:
            return left  # The cache was behind.
        later = await self._taint(node)
        await self._mark_pods(node)
        waits = [seconds for seconds in (wait, later) if seconds is not None and seconds > 0]
        return min(waits, default=None)

    def _overdue_in(self, node: Node, signs: Signs, now: float) -> float:
        usual, first = self.flags.node_monitor_grace_period, self.flags.node_startup_grace_period
        return nodehealth.overdue_in(node, signs, usual, first, now)

    async def _silent(self, node: Node, signs: Signs) -> Node:
        """Believe it only if the server too knows of no newer sign; then say so in the node's conditions."""
        name = node.metadata.name
        if nodehealth.unknown(node, clock.now()) is None:
            return node  # Said already.
        try:
            lease = await self.client.get(Lease, name, LEASES)
        except NotFound:
            lease = None
        now = clock.monotonic()
        fresh = self._signs[name] = nodehealth.observe(signs, node, lease, now)
        status = nodehealth.unknown(node, clock.now())
        if status is None or self._overdue_in(node, fresh, now) > 0:
            return node
        was_ready = nodehealth.ready_status(node) == "True"
        node = await self.client.update_status(replace(node, status=status))
        if was_ready:
            text = f"Node {name} status is now: NodeNotReady"
            self.recorder.event(node, "Normal", "NodeNotReady", text)
        return node

    async def _taint(self, node: Node) -> float | None:
        """Bring taints and labels in line; seconds until it may begin to evict, if it is the next in its zone."""
        name, zone = node.metadata.name, nodehealth.zone_of(node)
        taints = nodehealth.taints_of(node, may_evict=True, calm=self._calm, now=clock.now())
        if not taints.evicting or self._waiting.get(name, zone) != zone:
            self._leave(name)
        turn: float | None = None
        if taints.evicting:
            self._waiting[name] = zone
            self._line(zone).join(name)
            turn = self._line(zone).wait(name, clock.monotonic())
            if turn != 0:
                taints = nodehealth.taints_of(node, may_evict=False, calm=self._calm, now=clock.now())
        patch: dict[str, Any] = {}
        if taints.wanted != node.spec.taints:
            patch["spec"] = {"taints": [codec.to_builtins(taint) for taint in taints.wanted]}
        if labels := nodehealth.old_labels(node):
            patch["metadata"] = {"labels": labels}
        if patch:
            patch.setdefault("metadata", {})["resourceVersion"] = node.metadata.resourceVersion
            try:
                await self.client.patch(Node, name, patch)
            except ConnectionLost:
                if turn == 0:  # It may have been written: the next waits as if it had.
                    self._line(zone).passed(clock.monotonic())
                raise
        if turn == 0:
            self._line(zone).passed(clock.monotonic())
            self._leave(name)
        return turn or None

    def _leave(self, name: str) -> None:
        """Wait no more for a turn; who is next by that is told."""
        zone = self._waiting.pop(name, None)
        if zone is not None and self._lines[zone].leave(name) and (first := self._lines[zone].first()) is not None:
            self.turns.ring(first)

    async def _mark_pods(self, node: Node) -> None:
        """Once, when a node stops being ready: its pods are not ready either, so that services pass them by."""
        name = node.metadata.name
        if nodehealth.ready_of(node) is None or nodehealth.ready_status(node) == "True":
            self._marked.discard(name)
        elif name not in self._marked:
            for pod in tuple(self.pods.index(NODE, name)):
                await self._mark(pod)
            self._marked.add(name)

    async def _bound(self, key: str) -> None:
        pod = self.pods.get(key)
        node = self.nodes.get(pod.spec.nodeName) if pod is not None else None
        said = nodehealth.ready_of(node) if node is not None else None
        if pod is not None and said is not None and said.status != "True":
            await self._mark(pod)

    async def _mark(self, pod: Pod) -> None:
        known = podlib.condition(pod, "Ready")
        if known is None or known.status != "True":
            return
        change = removal.condition(pod, "Ready", "False", known.reason, known.message)
        if change is None:
            return
        try:
            await removal.patch_status(self.client, pod, {"conditions": [change]})
        except (NotFound, Conflict):
            return
        self.recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")
