"""Carrying preemption out: victims are marked and deleted, the pod is promised their node.

`loop` decides with `preempt`, or for a whole pod group with `clearing`, and hands the choice over. A promise
(nomination) is written into the pod's status, and counts against pods of the same or lower priority until the pod is
placed or gone, so that nobody else takes the room while the victims end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Container, Iterable
from typing import Any, NamedTuple

from kijabi.api.core.pod import Pod
from kijabi.api.meta import time_now
from kijabi.api.scheduling.podgroup import PodGroup
from kijabi.base.backoff import Backoff
from kijabi.base.errors import ApiError, Conflict, ConnectionLost, NotFound
from kijabi.client.client import Client
from kijabi.client.events import Recorder
from kijabi.scheduler.clearing import Clearing
from kijabi.scheduler.decide import Promised, Refused
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.preempt import Candidate
from kijabi.scheduler.units import priority_of

log = logging.getLogger(__name__)

TARGET, REASON = "DisruptionTarget", "PreemptionByScheduler"


Current = Callable[[str], Pod | None]
"""A pod by `namespace/name`, as the informer has it now."""


class Room(NamedTuple):
    """Whom to evict, and for whom. places: what is promised to whom; kind, uid: who asks; at: where, in words.

    bound: those of the victims, by uid, that are in a group that goes as a whole.
    """

    places: tuple[tuple[PodInfo, str], ...]
    victims: tuple[PodInfo, ...]
    bound: frozenset[str]
    kind: str
    uid: str = ""
    at: str = ""

    @property
    def together(self) -> bool:
        """It is for a whole group."""
        return self.kind != "pod"


def for_pod(info: PodInfo, chosen: Candidate, nodes: NodeState) -> Room:
    """Room for one pod."""
    bound = _bound(chosen.victims, nodes)
    return Room(((info, chosen.node),), chosen.victims, bound, "pod", info.uid, chosen.node)


def for_group(group: PodGroup, chosen: Clearing, nodes: NodeState) -> Room:
    """Room for a whole group."""
    bound = _bound(chosen.victims, nodes)
    return Room(chosen.places, chosen.victims, bound, "podgroup", group.metadata.uid, "cluster")


def begun(nodes: NodeState) -> list[Room]:
    """The groups that go as a whole of which somebody was about to be evicted when nobody lived to finish that."""
    found: dict[str, Room] = {}
    for info in nodes.pods():
        terms = nodes.terms(info)
        words = _marked(info.pod)
        if terms is not None and terms.whole and words and info.group not in found:
            members = tuple(nodes.members(info.group))
            found[info.group] = Room((), members, _bound(members, nodes), words.rpartition(" ")[2])
    return list(found.values())


def _bound(victims: Iterable[PodInfo], nodes: NodeState) -> frozenset[str]:
    return frozenset(one.uid for one in victims if (terms := nodes.terms(one)) is not None and terms.whole)


class Evictions:
    """Who is promised which node, and the requests that make room. queued: the uids of pods that may be placed now."""

    def __init__(self, client: Client, recorder: Recorder, scheduler: str, queued: Container[str]) -> None:
        self._queued = queued
        self._client = client
        self._recorder = recorder
        self._scheduler = scheduler
        self._promised: dict[str, tuple[str, PodInfo]] = {}
        self._victims: dict[str, frozenset[str]] = {}  # a pod: those that were evicted for it

    # ---- promises

    def nominate(self, room: Room) -> None:
        """Promise the pods the nodes on which room is being made for them."""
        leaving = frozenset(victim.uid for victim in room.victims)
        for info, node in room.places:
            self._promised[info.uid] = (node, info)
            self._victims[info.uid] = leaving

    def nominated(self, uid: str) -> str:
        """The node that a pod is promised, or empty."""
        return self._promised[uid][0] if uid in self._promised else ""

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
        """Those whom a pod must not displace, with the nodes that they are promised.

        Pods that wait for others of their group hold no room: nobody knows whether those ever come.
        """
        if not self._promised:
            return ()
        return [
            (other, node)
            for uid, (node, other) in self._promised.items()
            if uid != info.uid and other.priority >= info.priority and uid in self._queued and not nodes.node_of(uid)
        ]

    def eligible(self, info: PodInfo, nodes: NodeState, refused: Refused, current: Current) -> str:
        """Why the pod may not have others evicted now; empty if it may."""
        if info.pod.spec.preemptionPolicy == "Never":
            return "not eligible due to preemptionPolicy=Never."
        node, _ = self._promised.get(info.uid, ("", info))
        row = nodes.rows.get(node)
        if row is None or not refused.helpful[row]:
            return ""
        evicted = self._victims.get(info.uid, frozenset())
        if _leaving(node, info.priority, evicted, nodes, current):
            return "not eligible due to a terminating pod on the nominated node."
        return ""

    def under_way(self, pods: Iterable[PodInfo], priority: int, nodes: NodeState, current: Current) -> bool:
        """Whether pods of lower priority still leave a node that one of these pods of a group is promised."""
        promised = [(self.nominated(info.uid), self._victims.get(info.uid, frozenset())) for info in pods]
        evicted = frozenset().union(*(victims for _, victims in promised))
        return any(_leaving(node, priority, evicted, nodes, current) for node in {node for node, _ in promised} - {""})

    # ---- evictions

    async def carry_out(self, room: Room, current: Current) -> bool:
        """Evict the victims and write the promises; False if that failed, and is to be tried again.

        Victims that are being deleted already need no request. A group is promised its nodes first, and keeps them if
        more fails: its room is in several parts, and nobody must give one of them away while they become free.
        """
        failed: BaseExceptionGroup[ApiError | ConnectionLost] | None = None
        try:
            if room.together:
                await self._promise(room)
            await self.finish(room, current)
            async with asyncio.TaskGroup() as tasks:
                for victim in room.victims:
                    if victim.uid not in room.bound and not _going(victim, current):
                        tasks.create_task(self._evict(room, victim))
            if not room.together:
                await self._promise(room)
                await self._outdo(room)
        except* (ApiError, ConnectionLost) as errors:
            failed = errors
        if failed is not None:
            names = ", ".join(info.key for info, _ in room.places)
            log.warning("preemption failed", extra={"pods": names, "error": str(failed.exceptions[0])})
            for info, _ in room.places:
                self._victims.pop(info.uid, None)
                if not room.together:
                    self.forget(info.uid)
        return failed is None

    async def finish(self, room: Room, current: Current) -> None:
        """Evict those that go only together, and do not give up: half of such a group is worth nothing.

        All are marked before the first is deleted, so that `begun` finds those that are left after a crash.
        """
        left = [one for one in room.victims if one.uid in room.bound and not _going(one, current)]
        backoff = Backoff(first=0.1, most=30.0)
        while left:
            failed = False
            try:
                async with asyncio.TaskGroup() as tasks:
                    for victim in left:
                        tasks.create_task(self._mark(room, victim))
                async with asyncio.TaskGroup() as tasks:
                    for victim in left:
                        tasks.create_task(self._delete(room, victim))
            except* (ApiError, ConnectionLost) as errors:
                failed = True
                log.warning("eviction of a whole group failed", extra={"error": str(errors.exceptions[0])})
            if not failed:
                return
            await asyncio.sleep(backoff.next())
            left = [one for one in left if not _going(one, current)]

    async def _promise(self, room: Room) -> None:
        async with asyncio.TaskGroup() as tasks:
            for info, node in room.places:
                tasks.create_task(self._write(info, node))

    async def _outdo(self, room: Room) -> None:
        """Pods of lower priority that were promised the node are to look for another."""
        for info, chosen in room.places:
            for node, other in list(self._promised.values()):
                if node == chosen and other.priority < info.priority:
                    self.forget(other.uid)
                    await self._write(other, None)

    async def _evict(self, room: Room, victim: PodInfo) -> None:
        await self._mark(room, victim)
        await self._delete(room, victim)

    async def _mark(self, room: Room, victim: PodInfo) -> None:
        condition = {
            "type": TARGET,
            "status": "True",
            "reason": REASON,
            "message": f"{self._scheduler}: preempting to accommodate a higher priority {room.kind}",
            "lastTransitionTime": str(time_now()),
        }
        try:
            await self._patch(victim, {"conditions": [condition]})
        except (NotFound, Conflict):  # Gone, or another pod has its name by now.
            return

    async def _delete(self, room: Room, victim: PodInfo) -> None:
        meta = victim.pod.metadata
        try:
            await self._client.delete(Pod, meta.name, meta.namespace, uid=meta.uid)
        except (NotFound, Conflict):
            return
        words = f"Preempted by {room.kind} {room.uid} on node {room.at}" if room.uid else "Preempted with its pod group"
        self._recorder.event(victim.pod, "Normal", "Preempted", words)

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


def _leaving(node: str, priority: int, evicted: Collection[str], nodes: NodeState, current: Current) -> bool:
    """Whether somebody of lower priority was preempted on a node, and is still there."""
    for other in nodes.pods_on(node):
        pod = current(other.key)
        if priority_of(other, nodes) >= priority or pod is None or pod.metadata.uid != other.uid:
            continue
        if other.uid in evicted or _ending(pod):
            return True
    return False


def _going(victim: PodInfo, current: Current) -> bool:
    """Whether the pod is being deleted, or gone."""
    pod = current(victim.key)
    return pod is None or pod.metadata.uid != victim.uid or pod.metadata.deletionTimestamp is not None


def _ending(pod: Pod) -> bool:
    """The pod was preempted and has not ended yet."""
    return pod.metadata.deletionTimestamp is not None and bool(_marked(pod))


def _marked(pod: Pod) -> str:
    """With what words a pod was marked to be preempted, empty if it was not."""
    for one in pod.status.conditions:
        if one.type == TARGET and one.status == "True" and one.reason == REASON:
            return one.message
    return ""
