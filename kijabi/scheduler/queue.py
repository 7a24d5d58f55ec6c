"""Who waits for a node: the ready, by priority; those that back off; and those that only an event can help.

The states are upstream's (KEP-4247, scheduling queue): active → (popped) in flight → bound, or backoff after an error,
or unschedulable until a `Change` that one of the refusing plugins waits for, then backoff and active again. A pod that
waited `LONGEST_WAIT` for an event is tried anyway. Time is the loop's.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Sequence

from kijabi.scheduler.framework import Change, Event, Filter
from kijabi.scheduler.podinfo import PodInfo

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 10.0
LONGEST_WAIT = 300.0
MOST_MISSED = 100  # events noted for a pod in flight; after more of them any could have been the right one


class _Waiting:
    """A pod in the queue. stamp: which of its heap entries counts; attempts: how often it was refused.

    wakes, blamed: the changes that may help, and the filters that know whether an event does.
    """

    __slots__ = ("added", "attempts", "blamed", "info", "last_try", "missed", "stamp", "state", "wakes")

    def __init__(self, info: PodInfo, added: int) -> None:
        self.info = info
        self.added = added
        self.attempts = 0
        self.last_try = 0.0
        self.state = "active"
        self.stamp = 0
        self.wakes = Change(0)
        self.blamed: Sequence[Filter] = ()
        self.missed: list[Event] = []

    def helped_by(self, event: Event) -> bool:
        """Whether an event could let the pod in."""
        if not event.change & self.wakes:
            return False
        if not self.blamed:
            return True
        return any(event.change & plugin.wakes and plugin.worth(self.info, event) for plugin in self.blamed)


class SchedulingQueue:
    """Pods without a node. One consumer calls `pop`; `loop` reports pods, outcomes and changes."""

    def __init__(self) -> None:
        self._pods: dict[str, _Waiting] = {}
        self._active: list[tuple[int, int, int, str]] = []  # (-priority, order of arrival, stamp, uid)
        self._order = itertools.count()
        self._stamps = itertools.count(1)
        self._ready = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._flying: dict[str, _Waiting] = {}
        self._parked: dict[Change, dict[str, _Waiting]] = {}  # the unschedulable, by each change that may help

    def __len__(self) -> int:
        return len(self._pods)

    def __contains__(self, uid: object) -> bool:
        return uid in self._pods

    def statistics(self) -> dict[str, int]:
        """How many pods are in each state."""
        counts = {"active": 0, "inflight": 0, "backoff": 0, "unschedulable": 0}
        for waiting in self._pods.values():
            counts[waiting.state] += 1
        return counts

    def add(self, info: PodInfo) -> None:
        """A pod without a node appeared, or one that waits has changed."""
        waiting = self._pods.get(info.uid)
        if waiting is None:
            waiting = self._pods[info.uid] = _Waiting(info, next(self._order))
            self._activate(waiting)
            return
        event = Event(Change.POD_CHANGED, waiting.info, info)
        waiting.info = info
        if waiting.state == "inflight":
            self._miss(waiting, event)
        elif waiting.state == "unschedulable" and waiting.helped_by(event):
            self._back_off(waiting)

    def refresh(self, info: PodInfo) -> None:
        """Take over a new version of a waiting pod that cannot matter to where it fits (its status changed)."""
        waiting = self._pods.get(info.uid)
        if waiting is not None:
            waiting.info = info

    def remove(self, uid: str) -> None:
        """The pod was bound or is gone."""
        waiting = self._pods.pop(uid, None)
        if waiting is not None:
            self._settle(waiting)

    async def pop(self) -> PodInfo:
        """The next pod to place: highest priority, then longest waiting. It is in flight until reported on."""
        while True:
            while self._active:
                *_, stamp, uid = heapq.heappop(self._active)
                waiting = self._pods.get(uid)
                if waiting is not None and waiting.stamp == stamp and waiting.state == "active":
                    waiting.state = "inflight"
                    waiting.missed = []
                    self._flying[uid] = waiting
                    waiting.last_try = asyncio.get_running_loop().time()
                    return waiting.info
            self._ready.clear()
            await self._ready.wait()

    def take(self, uid: str) -> None:
        """A pod is decided on with the one that was popped, whatever it waits for: it is in flight as well."""
        waiting = self._pods.get(uid)
        if waiting is None or waiting.state == "inflight":
            return
        self._settle(waiting)
        waiting.state = "inflight"
        waiting.missed = []
        self._flying[uid] = waiting
        waiting.last_try = asyncio.get_running_loop().time()

    def refused(self, uid: str, wakes: Change, blamed: Sequence[Filter] = ()) -> None:
        """No node could take it: wait for one of these changes. One that came while it was in flight counts."""
        waiting = self._pods.get(uid)
        if waiting is None:
            return
        self._settle(waiting)
        waiting.attempts += 1
        waiting.wakes, waiting.blamed = wakes, blamed
        if len(waiting.missed) >= MOST_MISSED or any(waiting.helped_by(event) for event in waiting.missed):
            self._back_off(waiting)
            return
        waiting.state = "unschedulable"
        for change in wakes:
            self._parked.setdefault(change, {})[uid] = waiting
        self._at(uid, asyncio.get_running_loop().time() + LONGEST_WAIT)

    def again(self, uid: str) -> None:
        """Nothing speaks against another try at once: others that it was decided on with found their places."""
        waiting = self._pods.get(uid)
        if waiting is not None:
            self._activate(waiting)

    def failed(self, uid: str) -> None:
        """Binding went wrong: try again after a back-off."""
        waiting = self._pods.get(uid)
        if waiting is not None:
            waiting.attempts += 1
            self._back_off(waiting)

    def changed(self, event: Event) -> None:
        """Something happened in the cluster: who waits for it is worth another try."""
        for waiting in self._flying.values():
            self._miss(waiting, event)
        found: dict[str, _Waiting] = {}
        for change in event.change:
            found.update(self._parked.get(change, {}))
        for waiting in found.values():
            if waiting.helped_by(event):
                self._back_off(waiting)

    def _miss(self, waiting: _Waiting, event: Event) -> None:
        if len(waiting.missed) < MOST_MISSED:
            waiting.missed.append(event)

    def _settle(self, waiting: _Waiting) -> None:
        """Take it out of wherever its state has put it."""
        uid = waiting.info.uid
        self._cancel_timer(uid)
        self._flying.pop(uid, None)
        if waiting.state == "unschedulable":
            for change in waiting.wakes:
                self._parked[change].pop(uid, None)

    def _back_off(self, waiting: _Waiting) -> None:
        """Active once the back-off since its last try is over: at once if it is over already."""
        delay = min(FIRST_BACKOFF * 2 ** max(waiting.attempts - 1, 0), LONGEST_BACKOFF)
        when = waiting.last_try + delay
        if when <= asyncio.get_running_loop().time():
            self._activate(waiting)
            return
        self._settle(waiting)
        waiting.state = "backoff"
        self._at(waiting.info.uid, when)

    def _activate(self, waiting: _Waiting) -> None:
        self._settle(waiting)
        waiting.state = "active"
        waiting.stamp = next(self._stamps)
        heapq.heappush(self._active, (-waiting.info.priority, waiting.added, waiting.stamp, waiting.info.uid))
        self._ready.set()

    def _at(self, uid: str, when: float) -> None:
        self._cancel_timer(uid)
        self._timers[uid] = asyncio.get_running_loop().call_at(when, self._due, uid)

    def _due(self, uid: str) -> None:
        self._timers.pop(uid, None)
        waiting = self._pods.get(uid)
        if waiting is not None and waiting.state in ("backoff", "unschedulable"):
            self._activate(waiting)

    def _cancel_timer(self, uid: str) -> None:
        timer = self._timers.pop(uid, None)
        if timer is not None:
            timer.cancel()
