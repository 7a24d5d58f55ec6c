"""Carrying preemption out: victims are marked and deleted, the pod is promised their node.

`loop` decides with `preempt` and hands the choice over. A promise (nomination) is written into the pod's status, and
counts against pods of the same or lower priority until the pod is placed or gone, so that nobody else takes the room
while the victims end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from kijabi.api.core.pod import Pod
from kijabi.api.meta import time_now
from kijabi.base.errors import ApiError, Conflict, ConnectionLost, NotFound
from kijabi.client.client import Client
from kijabi.client.events import Recorder
from kijabi.scheduler.decide import Promised, Refused
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.preempt import Candidate

log = logging.getLogger(__name__)

TARGET, REASON = "DisruptionTarget", "PreemptionByScheduler"


class Evictions:
    """Who is promised which node, and the requests that make room."""

    def __init__(self, client: Client, recorder: Recorder, scheduler: str) -> None:
        self._client = client
        self._recorder = recorder
        self._scheduler = scheduler
        self._promised: dict[str, tuple[str, PodInfo]] = {}
        self._victims: dict[str, frozenset[str]] = {}  # a pod: those that were evicted for it

    # ---- promises

    def nominate(self, info: PodInfo, chosen: Candidate) -> None:
        """Promise the pod the node on which room is being made for it."""
        self._promised[info.uid] = (chosen.node, info)
        self._victims[info.uid] = frozenset(victim.uid for victim in chosen.victims)

    def forget(self, uid: str) -> bool:
        """The pod is placed, or gone, or must look elsewhere; whether it was promised a node."""
        self._victims.pop(uid, None)
        return self._promised.pop(uid, None) is not None

    def seen(self, info: PodInfo, old: Pod | None) -> None:
        """A waiting pod as the server has it: promises of its status hold, such as those from before a restart."""
        node = info.pod.status.nominatedNodeName
        if node and (old is None or old.status.nominatedNodeName != node):
            self._promised[info.uid] = (node, info)
        elif not node and old is not None and old.status.nominatedNodeName:
            self._promised.pop(info.uid, None)

    def promised(self, info: PodInfo, nodes: NodeState) -> Promised:
        """Those whom a pod must not displace, with the nodes that they are promised."""
        if not self._promised:
            return ()
        return [
            (other, node)
            for uid, (node, other) in self._promised.items()
            if uid != info.uid and other.priority >= info.priority and not nodes.node_of(uid)
        ]

    def eligible(
        self, info: PodInfo, nodes: NodeState, refused: Refused, current: Callable[[str], Pod | None]
    ) -> str:
        """Why the pod may not have others evicted now; empty if it may. current: a pod by `namespace/name`."""
        if info.pod.spec.preemptionPolicy == "Never":
            return "not eligible due to preemptionPolicy=Never."
        node, _ = self._promised.get(info.uid, ("", info))
        row = nodes.rows.get(node)
        if row is None or not refused.helpful[row]:
            return ""
        evicted = self._victims.get(info.uid, frozenset())
        for other in nodes.pods_on(node):
            pod = current(other.key)
            if other.priority >= info.priority or pod is None or pod.metadata.uid != other.uid:
                continue
            if other.uid in evicted or _ending(pod):
                return "not eligible due to a terminating pod on the nominated node."
        return ""

    # ---- evictions

    async def carry_out(self, info: PodInfo, chosen: Candidate, current: Callable[[str], Pod | None]) -> bool:
        """Evict the victims and write the promise; False if that failed, and the promise is off.

        Victims that are being deleted already need no request.
        """
        failed: BaseExceptionGroup[ApiError | ConnectionLost] | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                for victim in chosen.victims:
                    pod = current(victim.key)
                    if pod is not None and pod.metadata.deletionTimestamp is not None:
                        continue
                    tasks.create_task(self._evict(info, victim, chosen.node))
            await self._write(info, chosen.node)
            for node, other in list(self._promised.values()):
                if node == chosen.node and other.priority < info.priority:
                    self.forget(other.uid)  # it is to look for another place
                    await self._write(other, None)
        except* (ApiError, ConnectionLost) as errors:
            failed = errors
        if failed is not None:
            log.warning("preemption failed", extra={"pod": info.key, "error": str(failed.exceptions[0])})
            self.forget(info.uid)
        return failed is None

    async def _evict(self, info: PodInfo, victim: PodInfo, node: str) -> None:
        meta = victim.pod.metadata
        condition = {
            "type": TARGET,
            "status": "True",
            "reason": REASON,
            "message": f"{self._scheduler}: preempting to accommodate a higher priority pod",
            "lastTransitionTime": str(time_now()),
        }
        try:
            await self._patch(victim, {"conditions": [condition]})
            await self._client.delete(Pod, meta.name, meta.namespace, uid=meta.uid)
        except (NotFound, Conflict):  # Gone, or another pod has its name by now.
            return
        self._recorder.event(victim.pod, "Normal", "Preempted", f"Preempted by pod {info.uid} on node {node}")

    async def withdraw(self, info: PodInfo) -> None:
        """Take a promise back that no longer holds."""
        try:
            await self._write(info, None)
        except (ApiError, ConnectionLost) as error:
            log.warning("withdrawing a promise failed", extra={"pod": info.key, "error": str(error)})

    async def _write(self, info: PodInfo, node: str | None) -> None:
        """Write or take back the promise; of a pod that is gone there is nothing to write."""
        try:
            await self._patch(info, {"nominatedNodeName": node})
        except (NotFound, Conflict):
            self.forget(info.uid)

    async def _patch(self, info: PodInfo, status: dict[str, Any]) -> None:
        meta = info.pod.metadata
        patch = {"metadata": {"uid": meta.uid}, "status": status}
        await self._client.patch(
            Pod, meta.name, patch, namespace=meta.namespace, type="strategic", subresource="status"
        )


def _ending(pod: Pod) -> bool:
    """The pod was preempted and has not ended yet."""
    if pod.metadata.deletionTimestamp is None:
        return False
    return any(one.type == TARGET and one.status == "True" and one.reason == REASON for one in pod.status.conditions)
