"""What the runtime holds, kept up to date by its events, with a slow resync as the safety net.

Receives events and listings from the runtime (`runtime/interface.py`); hands pod views to the pod workers and tells
which pods changed. A kubelet that starts finds here the containers that ran on without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.runtime.interface import ContainerInfo, Runtime, RuntimeFailure, RuntimeGone, Sandbox
from kijabi.kubelet.view import PodView, newest_first, owner_uid

log = logging.getLogger(__name__)

RESYNC_SECONDS = 60.0
RETRY_SECONDS = 1.0


def _as_is(info: ContainerInfo) -> ContainerInfo:
    return info


class RuntimeCache:
    """All sandboxes and containers of our pods, indexed by pod uid.

    changed(uid) is called, on the loop, for every pod whose view is no longer the same. enrich(info) is asked once
    for every container that ended, to add the message that it left.
    """

    def __init__(
        self,
        runtime: Runtime,
        changed: Callable[[str], None],
        enrich: Callable[[ContainerInfo], ContainerInfo] = _as_is,
    ) -> None:
        self._runtime = runtime
        self._changed = changed
        self._enrich = enrich
        self._boxes: dict[str, Sandbox] = {}
        self._containers: dict[str, ContainerInfo] = {}
        self._pods: dict[str, set[str]] = {}
        self._views: dict[str, PodView] = {}
        self._tick = 0
        self._touched: dict[str, int] = {}
        self._synced = asyncio.Event()

    async def run(self) -> None:
        """Follow the runtime for ever; a task for a TaskGroup."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="runtime events")
            group.create_task(self._resync_slowly(), name="runtime resync")

    async def wait_synced(self) -> None:
        """Return once everything in the runtime has been seen."""
        await self._synced.wait()

    def view(self, uid: str) -> PodView:
        """The pod's view now; empty for a pod that the runtime does not know."""
        ids = self._pods.get(uid)
        if not ids:
            return PodView(uid=uid)
        made = self._views.get(uid)
        if made is None:
            boxes = [self._boxes[i] for i in ids if i in self._boxes]
            held = [self._containers[i] for i in ids if i in self._containers]
            made = self._views[uid] = newest_first(uid, boxes, held)
        return made

    def uids(self) -> frozenset[str]:
        """The pods that have anything in the runtime."""
        return frozenset(uid for uid, ids in self._pods.items() if ids)

    async def refresh(self, some_id: str) -> None:
        """Look at one container or sandbox again; one that is gone is forgotten."""
        if some_id in self._boxes:
            found = await self._look_at_sandbox(some_id)
        else:
            found = await self._look_at_container(some_id) or await self._look_at_sandbox(some_id)
        if not found:
            self.forget(some_id)

    async def refresh_pod(self, uid: str) -> PodView:
        """Look at everything that the pod is known to have, and give the view."""
        for some_id in tuple(self._pods.get(uid, ())):
            await self.refresh(some_id)
        return self.view(uid)

    def forget(self, some_id: str) -> None:
        """Drop a container or sandbox that was removed."""
        held = self._boxes.pop(some_id, None) or self._containers.pop(some_id, None)
        self._touch(some_id)
        if held is not None:
            uid = owner_uid(held.labels)
            ids = self._pods.get(uid, set())
            ids.discard(some_id)
            if not ids:
                self._pods.pop(uid, None)
            self._announce(uid)

    async def resync(self) -> None:
        """Compare with full listings; what was looked at meanwhile is newer than the listing and stays."""
        mark = self._tick
        boxes = {box.id: box for box in await self._runtime.list_sandboxes()}
        held = {info.id: info for info in await self._runtime.list_containers()}
        for some_id in (*self._boxes, *self._containers):
            if some_id not in boxes and some_id not in held and self._touched.get(some_id, 0) <= mark:
                self.forget(some_id)
        for box in boxes.values():
            if owner_uid(box.labels) and self._touched.get(box.id, 0) <= mark:
                await self._note_sandbox(box)
        for info in held.values():
            if owner_uid(info.labels) and self._touched.get(info.id, 0) <= mark:
                await self._note_container(info)
        self._touched = {key: tick for key, tick in self._touched.items() if tick > mark}
        self._synced.set()

    async def _follow(self) -> None:
        async for event in self._runtime.events():
            try:
                if event.kind == "resync":
                    await self.resync()
                elif event.kind == "delete":
                    self.forget(event.container_id)
                else:
                    await self._refresh_with_sandbox(event.container_id, ended=event.kind == "exit")
            except (ConnectionLost, RuntimeFailure) as problem:
                log.warning("runtime did not answer", extra={"event": event.kind, "reason": str(problem)})

    async def _refresh_with_sandbox(self, some_id: str, *, ended: bool) -> None:
        """A container that ended may have gone down with its sandbox; then it must not be restarted in that one."""
        info = self._containers.get(some_id)
        if ended and info is not None:
            await self.refresh(info.sandbox_id)
        await self.refresh(some_id)

    async def _resync_slowly(self) -> None:
        while True:
            try:
                await self.resync()
                await asyncio.sleep(RESYNC_SECONDS)
            except (ConnectionLost, RuntimeFailure) as problem:
                log.warning("runtime cannot be listed", extra={"reason": str(problem)})
                await asyncio.sleep(RETRY_SECONDS)

    async def _look_at_container(self, container_id: str) -> bool:
        try:
            self._store_container(await self._runtime.container_status(container_id))
        except RuntimeGone:
            return False
        return True

    async def _look_at_sandbox(self, sandbox_id: str) -> bool:
        try:
            self._store_sandbox(await self._runtime.sandbox_status(sandbox_id))
        except RuntimeGone:
            return False
        return True

    async def _note_sandbox(self, listed: Sandbox) -> None:
        """A listed sandbox: its addresses need a closer look when it is new or its state changed."""
        known = self._boxes.get(listed.id)
        if known is None or known.ready != listed.ready:
            await self._look_at_sandbox(listed.id)

    async def _note_container(self, listed: ContainerInfo) -> None:
        known = self._containers.get(listed.id)
        if known is None or known.state != listed.state:
            await self._look_at_container(listed.id)

    def _store_sandbox(self, box: Sandbox) -> None:
        known = self._boxes.get(box.id)
        self._touch(box.id)
        if known is not None and not known.ready:
            return
        if known != box and owner_uid(box.labels):
            self._boxes[box.id] = box
            self._place(box.id, owner_uid(box.labels))

    def _store_container(self, info: ContainerInfo) -> None:
        known = self._containers.get(info.id)
        self._touch(info.id)
        if known is not None and known.state == "exited":
            return  # final: an answer that says otherwise was given before the exit
        if info.state == "exited":
            info = self._enrich(info)
        if known != info and owner_uid(info.labels):
            self._containers[info.id] = info
            self._place(info.id, owner_uid(info.labels))

    def _place(self, some_id: str, uid: str) -> None:
        self._pods.setdefault(uid, set()).add(some_id)
        self._announce(uid)

    def _touch(self, some_id: str) -> None:
        self._tick += 1
        self._touched[some_id] = self._tick

    def _announce(self, uid: str) -> None:
        self._views.pop(uid, None)
        self._changed(uid)
