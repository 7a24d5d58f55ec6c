"""The thin shell around `decide`: informers in; bindings, conditions and events out.

One decision at a time over the node state; a placed pod is counted on its node at once (assumed), what it needs beyond
that is reserved (`volumes.py`), and it is bound by a task of its own, so that decisions do not wait for the API server.
If the binding fails the pod is taken off again and backs off; where only the answer was lost, the scheduler asks first
what became of it. A pod that fits nowhere may take the place of others (`eviction.py`). Pods, nodes and disruption
budgets come from the informers that the controllers share, and so does what `sources.py` follows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from kijabi.api import catalog
from kijabi.api.core.binding import Binding
from kijabi.api.core.container import Container
from kijabi.api.core.node import Node
from kijabi.api.core.pod import Pod
from kijabi.api.core.reference import ObjectReference
from kijabi.api.meta import ObjectMeta, time_now
from kijabi.api.policy.poddisruptionbudget import PodDisruptionBudget
from kijabi.base import rand
from kijabi.base.backoff import Backoff
from kijabi.base.errors import ApiError, ConnectionLost, KijabiError, NotFound
from kijabi.client.client import Client
from kijabi.client.events import Recorder
from kijabi.client.informer import Informers
from kijabi.scheduler import podinfo
from kijabi.scheduler.clearing import NO_VICTIMS, Clearing, clear
from kijabi.scheduler.decide import Placed, Refused, decide
from kijabi.scheduler.eviction import Evictions, Room, begun, for_group, for_pod
from kijabi.scheduler.framework import Bind, Change, Event, Reserve
from kijabi.scheduler.gangs import (
    BLAMED,
    SCHEDULER_ERROR,
    UNSCHEDULABLE,
    WAKES,
    Gangs,
    Outcome,
    never_preempts,
    priority_of,
)
from kijabi.scheduler.nodestate import NodeState
from kijabi.scheduler.podinfo import PodInfo
from kijabi.scheduler.preempt import choose
from kijabi.scheduler.queue import SchedulingQueue
from kijabi.scheduler.ranks import Ranks
from kijabi.scheduler.sources import Sources
from kijabi.scheduler.volumes import VolumeBinder

log = logging.getLogger(__name__)

DEFAULT_NAME = "default-scheduler"
BINDINGS_AT_ONCE = 64
REPORTS_AT_ONCE = 64


class DefaultBind:
    """Binds through the pod's `binding` subresource."""

    name = "DefaultBinder"

    def __init__(self, client: Client) -> None:
        self._client = client

    async def bind(self, pod: PodInfo, node: str) -> None:
        meta = pod.pod.metadata
        binding = Binding(
            metadata=ObjectMeta(name=meta.name, namespace=meta.namespace, uid=meta.uid),
            target=ObjectReference(kind="Node", name=node),
        )
        await self._client.subresource("POST", catalog.by_type(Pod), meta.name, meta.namespace, "binding", binding)


class Scheduler:
    """Places the pods that ask for it by name. `run` lasts until cancelled."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        recorder: Recorder,
        *,
        name: str = DEFAULT_NAME,
        bind: Bind | None = None,
    ) -> None:
        self.name = name
        self._sources = Sources(informers)
        self.nodes = NodeState(storage=self._sources.storage)
        self.nodes.defaults = self._sources.spreading
        self.queue = SchedulingQueue()
        self._client = client
        self._recorder = recorder
        self._gangs = Gangs(client, informers, self.nodes, self.queue)
        self._ranks = Ranks(self.nodes)
        self._volumes = VolumeBinder(client, self.nodes, self._exists)
        self._reserves: tuple[Reserve, ...] = (self._volumes,)
        self._bind = bind or DefaultBind(client)
        self._assumed: set[str] = set()
        self._evictions = Evictions(client, recorder, name, self.queue)
        self._slots = asyncio.Semaphore(BINDINGS_AT_ONCE)
        self._reports = asyncio.Semaphore(REPORTS_AT_ONCE)
        self._pods = informers.of(Pod)
        self._node_informer = informers.of(Node)
        self._budgets = informers.of(PodDisruptionBudget)
        self._pods.add_handler(self._on_pod)
        self._node_informer.add_handler(self._on_node)
        self._sources.tell(self._changed, self.nodes.matchers.set_namespace, self._volumes.wake)

    # ---- what the informers tell

    def _on_node(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            if old is not None:
                self.nodes.remove_node(old.metadata.name)
                self._changed(Event(Change.NODE_GONE, old, None))
            return
        change = node_change(old, new)
        if change or old is None or old.status.images != new.status.images:
            self.nodes.set_node(new)
        if change:
            self._changed(Event(change, old, new))

    def _changed(self, event: Event) -> None:
        """Wake the pods that wait for this, and those whose volumes are being bound."""
        self.queue.changed(event)
        self._volumes.wake()

    def _exists(self, info: PodInfo) -> bool:
        pod = self._pods.get(info.key)
        return pod is not None and pod.metadata.uid == info.uid

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        uid = (new or old).metadata.uid  # type: ignore[union-attr]
        if new is None or new.status.phase in ("Succeeded", "Failed"):
            self._assumed.discard(uid)
            self._evictions.forget(uid)
            self._gangs.forget(uid)
            self.queue.remove(uid)
            gone = self.nodes.remove_pod(uid)
            if gone is not None:
                self._changed(Event(Change.POD_GONE, gone, None))
            return
        if new.spec.nodeName:
            self._on_placed_pod(old, new)
            self._gangs.placed(new)
        elif uid not in self._assumed:
            self._on_waiting_pod(old, new)

    def _on_placed_pod(self, old: Pod | None, new: Pod) -> None:
        uid = new.metadata.uid
        self._assumed.discard(uid)
        self._evictions.forget(uid)
        self.queue.remove(uid)
        placed = old is not None and bool(old.spec.nodeName)
        known = self.nodes.get_pod(uid)
        if known is not None and self.nodes.node_of(uid) == new.spec.nodeName and not _matters(known.pod, new):
            if known.pod.status.startTime != new.status.startTime:
                self.nodes.refresh_pod(msgspec.structs.replace(known, pod=new))
            if not placed:
                self.queue.changed(Event(Change.POD_PLACED, None, known))
            return
        info = podinfo.of(new)
        self.nodes.add_pod(info, new.spec.nodeName)
        if not placed or known is None:
            self.queue.changed(Event(Change.POD_PLACED, None, info))
            return
        if any(info.requests.get(name, 0) < amount for name, amount in known.requests.items()):
            self.queue.changed(Event(Change.POD_SHRUNK, known, info))
        if known.kind[1] != info.kind[1]:
            self.queue.changed(Event(Change.POD_LABELS, known, info))

    def _on_waiting_pod(self, old: Pod | None, new: Pod) -> None:
        uid = new.metadata.uid
        mine = (new.spec.schedulerName or DEFAULT_NAME) == self.name
        if not mine or new.spec.schedulingGates or new.metadata.deletionTimestamp is not None:
            self.queue.remove(uid)
            self._evictions.forget(uid)
            if mine and new.metadata.deletionTimestamp is None:
                self._gangs.hold(new)
            else:
                self._gangs.forget(uid)
            return
        info = podinfo.of(new)
        self._evictions.seen(info, old)
        if not self._gangs.admit(info):
            return  # until the other pods of its group are there
        if old is None or uid not in self.queue or _differs(old, new):
            self.queue.add(info)
        else:
            self.queue.refresh(info)

    # ---- decisions

    async def run(self) -> None:
        """Place pods until cancelled; waits for the informers first."""
        await self._node_informer.wait_synced()
        await self._pods.wait_synced()
        await self._budgets.wait_synced()
        await self._sources.wait_synced()
        await self._gangs.start()
        async with asyncio.TaskGroup() as tasks:
            for info in self._gangs.untold():
                tasks.create_task(self._gangs.tell(info, Outcome([], {})), name=f"report the group of {info.key}")
            for room in begun(self.nodes):
                tasks.create_task(self._evictions.finish(room, self._pods.get), name="finish an eviction")
            while True:
                info = await self.queue.pop()
                if self._gangs.grouped(info):
                    self._place_together(info, tasks)
                else:
                    await self._slots.acquire()
                    self._place(info, tasks)
                await asyncio.sleep(0)

    def _decide(self, info: PodInfo) -> Placed | Refused:
        promised = self._evictions.promised(info, self.nodes)
        return decide(info, self.nodes, rand.rng(), promised=promised, preferred=self._evictions.nominated(info.uid))

    def _place_together(self, info: PodInfo, tasks: asyncio.TaskGroup) -> None:
        """One decision for all waiting pods of a pod's group, and a task for each that has a place."""
        pods, outcome = self._gangs.decide(info, self._decide, self._take, self._give)
        if not pods:
            return
        if outcome.why and not outcome.failed:
            outcome = self._make_room_together(pods, outcome, tasks)
        for pod, node in outcome.placed:
            tasks.create_task(self._bind_in_turn(pod, node), name=f"bind {pod.key}")
        reason = SCHEDULER_ERROR if outcome.failed else UNSCHEDULABLE
        for pod in pods:
            message = outcome.refused.get(pod.uid)
            if message is None:
                continue
            if outcome.failed:
                self.queue.failed(pod.uid)
            elif outcome.placed:
                self.queue.again(pod.uid)  # by themselves they may have others evicted
            else:
                self.queue.refused(pod.uid, WAKES, BLAMED)
            self._recorder.event(pod.pod, "Warning", "FailedScheduling", message)
            if not _says(pod.pod, message):
                tasks.create_task(self._report(pod, message, reason), name=f"report {pod.key}")
        tasks.create_task(self._gangs.tell(info, outcome), name=f"report the group of {info.key}")

    def _make_room_together(self, pods: Sequence[PodInfo], outcome: Outcome, tasks: asyncio.TaskGroup) -> Outcome:
        """Evict pods of lower priority if all of a group then fits; the outcome, with what came of that."""
        group = self._gangs.group(pods[0])
        assert group is not None, "the group of pods that were decided on is known"
        if never_preempts(pods):
            return outcome.with_preemption("not eligible due to preemptionPolicy=Never.")
        priority = priority_of(group)
        if self._evictions.under_way(pods, priority, self.nodes, self._pods.get):
            return outcome.with_preemption("ongoing preemption on nominated nodes", waiting=True)
        found = clear(
            pods,
            priority,
            self.nodes,
            tuple(self._budgets.items()),
            lambda: self._gangs.attempt(pods, self._decide, self._take, self._give),
            self._take,
            self._give,
            lambda info: self._evictions.promised(info, self.nodes),
            self._ranks,
        )
        if isinstance(found, Clearing):
            room = for_group(group, found, self.nodes)
            self._evictions.nominate(room)
            tasks.create_task(self._evict(room), name=f"evict for the group of {pods[0].key}")
            words = f"found a placement for podgroup, preempting {len(found.victims)} victims"
            return outcome.with_preemption(words, waiting=True)
        for pod in pods:
            if self._evictions.forget(pod.uid):
                tasks.create_task(self._evictions.withdraw(pod), name=f"withdraw {pod.key}")
        if found is None:
            return outcome.with_preemption(NO_VICTIMS, final=True)
        return outcome.with_preemption(found.why, failed=found.failed)

    def _take(self, info: PodInfo, node: str) -> None:
        """Count a pod of a group on its node, with what it needs beyond that; raises KijabiError."""
        self._assumed.add(info.uid)
        self.nodes.add_pod(info, node)
        try:
            for plugin in self._reserves:
                plugin.reserve(info, node)
        except KijabiError:
            self._give(info, node)
            raise

    def _give(self, info: PodInfo, node: str) -> None:
        for plugin in reversed(self._reserves):
            plugin.unreserve(info, node)
        self._assumed.discard(info.uid)
        self.nodes.remove_pod(info.uid)

    async def _bind_in_turn(self, info: PodInfo, node: str) -> None:
        await self._slots.acquire()
        await self._bind_pod(info, node)

    def _place(self, info: PodInfo, tasks: asyncio.TaskGroup) -> None:
        """One decision, and a task that makes it true; gives the binding slot back where none is needed."""
        match self._decide(info):
            case Placed(node=node):
                self._assumed.add(info.uid)
                self.nodes.add_pod(info, node)
                if self._reserve(info, node):
                    tasks.create_task(self._bind_pod(info, node), name=f"bind {info.key}")
                else:
                    self._slots.release()
            case Refused() as refused:
                self._slots.release()
                self.queue.refused(info.uid, refused.wakes, refused.blamed)
                message = self._make_room(info, refused, tasks)
                self._recorder.event(info.pod, "Warning", "FailedScheduling", message)
                if not _says(info.pod, message):
                    tasks.create_task(self._report(info, message), name=f"report {info.key}")

    def _make_room(self, info: PodInfo, refused: Refused, tasks: asyncio.TaskGroup) -> str:
        """Evict pods of lower priority if that helps; what to say about why the pod waits."""
        current = self._pods.get
        why_not = self._evictions.eligible(info, self.nodes, refused, current)
        if why_not:
            return refused.message(why_not)
        budgets = tuple(self._budgets.items())
        with self.nodes.supposed(self._evictions.promised(info, self.nodes)):
            chosen, stay = choose(info, self.nodes, refused.helpful, budgets, rand.rng(), ranks=self._ranks)
        if chosen is None:
            if self._evictions.forget(info.uid):
                tasks.create_task(self._evictions.withdraw(info), name=f"withdraw {info.key}")
            return refused.message(stay=stay)
        room = for_pod(info, chosen, self.nodes)
        self._evictions.nominate(room)
        tasks.create_task(self._evict(room), name=f"evict for {info.key}")
        return refused.why

    async def _evict(self, room: Room) -> None:
        """Make the room; whoever it is for tries again without waiting for anybody to leave if nobody will."""
        made = await self._evictions.carry_out(room, self._pods.get)
        if not made or not room.victims:
            for info, _ in room.places:
                self.queue.failed(info.uid)

    def _reserve(self, info: PodInfo, node: str) -> bool:
        """Take what the pod needs outside the node state; False if some of it is gone after all."""
        for plugin in self._reserves:
            try:
                plugin.reserve(info, node)
            except KijabiError as error:
                self._undo(info, node, f'running Reserve plugin "{plugin.name}"', error)
                return False
        return True

    async def _bind_pod(self, info: PodInfo, node: str) -> None:
        doing, asked = "", False
        try:
            if info.claims:
                self._slots.release()  # volumes may take minutes, and others need not wait for them
                try:
                    for plugin in self._reserves:
                        doing = f'running PreBind plugin "{plugin.name}"'
                        await plugin.prepare(info, node)
                finally:
                    await self._slots.acquire()
            doing = f"running Bind plugin {self._bind.name!r}".replace("'", '"')
            asked = True
            await self._bind.bind(info, node)
        except KijabiError as error:
            if not (asked and isinstance(error, ConnectionLost) and await self._bound(info, node)):
                message = self._undo(info, node, doing, error)
                if message and not asked and not _says(info.pod, message):  # else it may be bound, and no longer waits
                    await self._report(info, message, SCHEDULER_ERROR)
                return
        finally:
            self._slots.release()
        self.queue.remove(info.uid)
        self._recorder.event(info.pod, "Normal", "Scheduled", f"Successfully assigned {info.key} to {node}")

    async def _bound(self, info: PodInfo, node: str) -> bool:
        """Whether a binding of which nothing was heard happened. Nobody gets the room until that is known, or until the
        informer has seen what became of the pod.
        """
        meta, backoff = info.pod.metadata, Backoff(first=0.1, most=5.0)
        while info.uid in self._assumed:
            try:
                pod = await self._client.get(Pod, meta.name, meta.namespace)
                return pod.metadata.uid == meta.uid and pod.spec.nodeName == node
            except NotFound:
                return False
            except (ApiError, ConnectionLost) as error:
                wait = backoff.next()
                log.info("bound or not?", extra={"pod": info.key, "error": str(error), "retry_in": round(wait, 3)})
                await asyncio.sleep(wait)
        return False

    def _undo(self, info: PodInfo, node: str, doing: str, error: KijabiError) -> str:
        """The binding did not happen, as far as is known. If it did after all, the informer will say so. Gives what the
        pod's event tells, "" if nothing is to be told.
        """
        for plugin in reversed(self._reserves):
            plugin.unreserve(info, node)
        if info.uid not in self._assumed:
            return ""  # the informer has seen it placed, or gone, in the meantime
        self._assumed.discard(info.uid)
        self.nodes.remove_pod(info.uid)
        self._changed(Event(Change.POD_GONE, info, None))
        if isinstance(error, NotFound) and not self._exists(info):
            self.queue.remove(info.uid)
            return ""
        log.warning("binding failed", extra={"pod": info.key, "node": node, "error": str(error)})
        message = f"{doing}: {error}"
        self._recorder.event(info.pod, "Warning", "FailedScheduling", message)
        self.queue.failed(info.uid)
        return message

    async def _report(self, info: PodInfo, message: str, reason: str = UNSCHEDULABLE) -> None:
        """Write the PodScheduled condition. A report that fails is made again at the next try."""
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": reason,
            "message": message,
            "lastProbeTime": None,
            "observedGeneration": info.pod.metadata.generation or None,
        }
        had = next((c for c in info.pod.status.conditions if c.type == "PodScheduled"), None)
        if had is None or had.status != "False":
            condition["lastTransitionTime"] = str(time_now())
        meta = info.pod.metadata
        patch = {"metadata": {"uid": meta.uid}, "status": {"conditions": [condition]}}
        async with self._reports:
            try:
                await self._client.patch(
                    Pod, meta.name, patch, namespace=meta.namespace, type="strategic", subresource="status"
                )
            except (ApiError, ConnectionLost) as error:
                log.warning("reporting failed", extra={"pod": info.key, "error": str(error)})


def node_change(old: Node | None, new: Node) -> Change:
    """What about a node changed that can matter to a pod's place; empty for heartbeats and the like."""
    if old is None:
        return Change.NODE_ADDED
    change = Change(0)
    if old.status.allocatable != new.status.allocatable:
        change |= Change.NODE_ALLOCATABLE
    if old.metadata.labels != new.metadata.labels:
        change |= Change.NODE_LABELS
    if old.spec.taints != new.spec.taints or old.spec.unschedulable != new.spec.unschedulable:
        change |= Change.NODE_TAINTS
    return change


def _matters(old: Pod, new: Pod) -> bool:
    """Whether a pod with a node changed in what counts for others."""
    ending = (old.metadata.deletionTimestamp is None) != (new.metadata.deletionTimestamp is None)
    return (
        ending
        or old.metadata.labels != new.metadata.labels
        or old.spec.resources != new.spec.resources
        or any(one.resources != other.resources for one, other in zip(_containers(old), _containers(new), strict=False))
    )  # the rest of a pod's spec stays as it is


def _containers(pod: Pod) -> tuple[Container, ...]:
    return (*pod.spec.containers, *pod.spec.initContainers)


def _differs(old: Pod, new: Pod) -> bool:
    """Whether a waiting pod changed in what decides its place."""
    return old.spec != new.spec or old.metadata.labels != new.metadata.labels


def _says(pod: Pod, message: str) -> bool:
    return any(c.type == "PodScheduled" and c.status == "False" and c.message == message for c in pod.status.conditions)
