"""Taint-based eviction: pods leave a node whose NoExecute taints they do not tolerate, or not for longer.

Receives nodes and pods; deletes pods gracefully. `eviction` is pure (core/v1 Taint and Toleration; KEP-3902).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kijabi.api.core.node import Node, Taint
from kijabi.api.core.nodefit import tolerates
from kijabi.api.core.pod import Pod
from kijabi.base import clock
from kijabi.client.cache import key_of
from kijabi.controllers import pods as podlib
from kijabi.controllers import removal
from kijabi.controllers.runtime import WORKERS, Context, Source
from kijabi.controllers.sources import NODE, nodes, pods


def executing(node: Node | None) -> tuple[Taint, ...]:
    """The taints that evict."""
    return tuple(t for t in node.spec.taints if t.effect == "NoExecute") if node is not None else ()


def eviction(pod: Pod, taints: Iterable[Taint], since: Callable[[Taint], float]) -> float | None:
    """When the pod must go, in seconds since the epoch; None if it may stay, minus infinity for at once.

    since: when a taint came. A toleration holds for its tolerationSeconds from then, or from when the pod was
    bound if that is later; of several that match a taint the first counts.
    """
    bound = podlib.condition(pod, "PodScheduled")
    start = bound.lastTransitionTime.timestamp() if bound is not None and bound.lastTransitionTime else 0.0
    ends: list[float] = []
    for taint in taints:
        used = next((one for one in pod.spec.tolerations if tolerates(one, taint)), None)
        if used is None or (used.tolerationSeconds is not None and used.tolerationSeconds <= 0):
            return float("-inf")
        if used.tolerationSeconds is not None:
            ends.append(max(since(taint), start) + used.tolerationSeconds)
    return min(ends, default=None)


class TaintEviction:
    """The controller; a key is a pod's."""

    name = "taint-eviction"
    workers = WORKERS

    def __init__(self, context: Context) -> None:
        self.client = context.client
        self.recorder = context.recorder("taint-eviction-controller")
        self.nodes = nodes(context.informers)
        self.pods = pods(context.informers)
        self._seen: dict[str, dict[tuple[str, str], float]] = {}  # node: when a taint without a time was first seen
        self._due: set[str] = set()  # pods that were told when they must go

    def sources(self) -> Sequence[Source]:
        return (Source(self.nodes, self._keys_of_node), Source(self.pods, self._keys_of_pod))

    def _keys_of_node(self, old: Node | None, new: Node | None) -> Iterable[str]:
        """All pods of a node whose evicting taints changed."""
        one = new if new is not None else old
        if one is None or executing(old) == executing(new):
            return ()
        name, now = one.metadata.name, clock.wall()
        before = self._seen.pop(name, {})
        if untimed := {(t.key, t.value) for t in executing(new) if not t.timeAdded}:
            self._seen[name] = {taint: before.get(taint, now) for taint in untimed}
        return [key_of(pod) for pod in self.pods.index(NODE, name)]

    def _keys_of_pod(self, old: Pod | None, new: Pod | None) -> Iterable[str]:
        if new is None:
            return (key_of(old),) if old is not None and key_of(old) in self._due else ()
        if (
            old is not None
            and old.metadata.uid == new.metadata.uid
            and old.spec.nodeName == new.spec.nodeName
            and old.spec.tolerations == new.spec.tolerations
        ):
            return ()
        return (key_of(new),) if executing(self.nodes.get(new.spec.nodeName)) else ()

    async def reconcile(self, key: str) -> float | None:
        pod = self.pods.get(key)
        if pod is None or pod.metadata.deletionTimestamp is not None:
            self._due.discard(key)
            return None
        node = self.nodes.get(pod.spec.nodeName)
        known = self._seen.get(pod.spec.nodeName, {})

        def since(taint: Taint) -> float:
            return taint.timeAdded.timestamp() if taint.timeAdded else known.get((taint.key, taint.value), clock.wall())

        at = eviction(pod, executing(node), since)
        if at is None:
            if key in self._due:
                self._due.discard(key)
                self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Cancelling deletion of Pod {key}")
            return None
        if (wait := at - clock.wall()) > 0:
            self._due.add(key)
            return wait
        self._due.discard(key)
        self.recorder.event(pod, "Normal", "TaintManagerEviction", f"Marking for deletion Pod {key}")
        text = "Taint manager: deleting due to NoExecute taint"
        await removal.evict(self.client, pod, "DeletionByTaintManager", text)
        return None
