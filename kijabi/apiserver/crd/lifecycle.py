"""What the server does to stored CustomResourceDefinitions by itself: it gives them names and finishes their deletion.

`serving.py` reports every change here. One task settles the status of one definition after another, so that two which
want the same name cannot both get it (`names.py` decides). A definition that is being deleted first loses all its
objects; those that wait for finalizers hold it up, and then its own finalizer goes. All of it starts from what is
stored, so a server that comes up in the middle goes on (apiextensions-apiserver `pkg/controller/finalizer`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from kijabi.api.apiextensions.customresourcedefinition import (
    RESOURCE,
    CustomResourceDefinition,
    CustomResourceDefinitionStatus,
)
from kijabi.api.apiextensions.lifecycle import CLEANUP
from kijabi.apiserver.crd import names
from kijabi.apiserver.deletion import Deletion
from kijabi.apiserver.storage import Changed, Storage
from kijabi.apiserver.watchcache import Cache, Item
from kijabi.base.backoff import Backoff
from kijabi.base.errors import ApiError, KijabiError
from kijabi.base.tasks import wait_for_event
from kijabi.store.interface import StoreClosed

log = logging.getLogger(__name__)

BATCH = 32  # objects that are deleted at once
PATIENCE = 60.0  # seconds until a definition says that its objects still wait for somebody


class Lifecycle:
    """The tasks of all definitions; `run` is their parent."""

    def __init__(self, storage: Storage, deletion: Deletion) -> None:
        self._storage = storage
        self._caches = storage.caches
        self._deletion = deletion
        self._cache = storage.caches.of(RESOURCE)
        self._todo: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._finishing: dict[str, str] = {}  # name → uid of definitions that a task is deleting

    def changed(self, old: CustomResourceDefinition | None, new: CustomResourceDefinition | None) -> None:
        """A definition came, changed or went: look at it, and at those that may want its names."""
        one = new if new is not None else old
        assert one is not None
        if new is not None:
            self._todo[new.metadata.name] = None
        if new is None or old is None or old.status.acceptedNames != new.status.acceptedNames:
            for other in self._group(one):
                if names.condition(other.status, names.NAMES_ACCEPTED) is not None and not _contented(other):
                    self._todo[other.metadata.name] = None
        self._wake.set()

    async def run(self) -> None:
        """Settle and finish what comes, until cancelled."""
        backoff = Backoff(first=0.05, most=10.0)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._todo:
                    name = next(iter(self._todo))
                    del self._todo[name]
                    try:
                        await self._look_at(name, tasks)
                        backoff.reset()
                    except StoreClosed:
                        return
                    except KijabiError as error:
                        log.warning("the definition %s cannot be settled now: %s", name, error)
                        self._todo[name] = None
                        await asyncio.sleep(backoff.next())

    async def _look_at(self, name: str, tasks: asyncio.TaskGroup) -> None:
        await self._caches.fresh()
        item = self._cache.get(name)
        if item is None:
            return
        crd: CustomResourceDefinition = item.obj
        if names.settled(crd, self._group(crd)) != crd.status:
            await self._set_status(name, crd.metadata.uid, None)
        own = crd.metadata
        if own.deletionTimestamp is not None and CLEANUP in own.finalizers and self._finishing.get(name) != own.uid:
            self._finishing[name] = own.uid
            tasks.create_task(self._finish(name, own.uid), name=f"deletion of {name}")

    def _group(self, crd: CustomResourceDefinition) -> list[CustomResourceDefinition]:
        """The other definitions of its group."""
        return [
            item.obj for item in self._cache.items.values()
            if item.obj.spec.group == crd.spec.group and item.obj.metadata.name != crd.metadata.name
        ]  # fmt: skip

    async def _set_status(self, name: str, uid: str, wanted: tuple[str, str, str, str] | None) -> bool:
        """Settle the status and set a condition (type, status, reason, message); whether it is still there."""
        while True:
            await self._caches.fresh()
            item = self._cache.get(name)
            if item is None or item.obj.metadata.uid != uid:
                return False
            crd: CustomResourceDefinition = item.obj
            status: CustomResourceDefinitionStatus = names.settled(crd, self._group(crd))
            if wanted is not None:
                status = names.with_condition(status, *wanted)
            if status == crd.status:
                return True
            try:
                await self._storage.put(self._cache, item.key, _with_status(crd, status), item.revision)
            except Changed:
                continue
            return True

    # Deletion

    async def _finish(self, name: str, uid: str) -> None:
        """Delete a definition's objects, then let it go. Errors are tried again."""
        backoff = Backoff(first=0.1, most=30.0)
        try:
            while True:
                try:
                    await self._finish_once(name, uid)
                    return
                except StoreClosed:
                    return
                except KijabiError as error:
                    log.warning("the deletion of %s goes on later: %s", name, error)
                    await asyncio.sleep(backoff.next())
        finally:
            if self._finishing.get(name) == uid:
                del self._finishing[name]

    async def _finish_once(self, name: str, uid: str) -> None:
        item = self._cache.get(name)
        if item is None or item.obj.metadata.uid != uid:
            return
        crd: CustomResourceDefinition = item.obj
        text = "CustomResource deletion is in progress"
        if not await self._set_status(name, uid, (names.TERMINATING, "True", "InstanceDeletionInProgress", text)):
            return
        await self._caches.fresh()  # what was written before nothing could be made any more is visible now
        cache = self._caches.custom(crd.spec.group, crd.spec.names.plural)
        if cache is None:
            reason, message = "OverlappingBuiltInResource", "instances overlap with built-in resources in storage"
        elif names.holds(crd, names.ESTABLISHED):
            if not await self._empty(name, uid, cache):
                return
            reason, message = "InstanceDeletionCompleted", "removed all instances"
        else:
            reason, message = "NeverEstablished", "resource was never established"
        await self._release(name, uid, (names.TERMINATING, "False", reason, message))

    async def _empty(self, name: str, uid: str, cache: Cache) -> bool:
        """Delete all objects and wait until the last is gone; whether the definition is still there."""
        gone = asyncio.Event()

        def watch(_: Any, new: Any) -> None:
            if new is None and not cache.items:
                gone.set()

        cache.subscribers.append(watch)
        try:
            while cache.items:
                gone.clear()
                try:
                    await self._delete(cache, tuple(cache.items.values()))
                    await self._caches.fresh()
                except ApiError as error:
                    message = f"could not issue all deletes: {error.message}"
                    wanted = (names.TERMINATING, "True", "InstanceDeletionFailed", message)
                    await self._set_status(name, uid, wanted)
                    raise
                if not cache.items:
                    break
                if not await wait_for_event(gone, PATIENCE):
                    message = "could not confirm zero CustomResources remaining: timed out waiting for the condition"
                    wanted = (names.TERMINATING, "True", "InstanceDeletionCheck", message)
                    if not await self._set_status(name, uid, wanted):
                        return False
        finally:
            cache.subscribers.remove(watch)
        return True

    async def _delete(self, cache: Cache, items: Iterable[Item]) -> None:
        """Begin the deletion of all items, some at once. Raises the first error after the others of its batch."""
        waiting = [item for item in items if item.obj.metadata.deletionTimestamp is None]
        for start in range(0, len(waiting), BATCH):
            batch = [self._deletion.delete_unasked(cache, item) for item in waiting[start : start + BATCH]]
            for outcome in await asyncio.gather(*batch, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome

    async def _release(self, name: str, uid: str, wanted: tuple[str, str, str, str]) -> None:
        """Take our finalizer off, which deletes the definition if it is the last."""
        while True:
            await self._caches.fresh()
            item = self._cache.get(name)
            if item is None or item.obj.metadata.uid != uid:
                return
            crd = _with_status(item.obj, names.with_condition(item.obj.status, *wanted))
            own = crd.metadata
            own.finalizers = tuple(each for each in own.finalizers if each != CLEANUP)
            try:
                if own.finalizers:
                    await self._storage.put(self._cache, item.key, crd, item.revision)
                else:
                    await self._deletion.remove(self._cache, item)
                return
            except Changed:
                continue


def _with_status(crd: CustomResourceDefinition, status: CustomResourceDefinitionStatus) -> CustomResourceDefinition:
    """A definition to be written, with another status; what it specifies is large, and shared."""
    return replace(crd, metadata=replace(crd.metadata), status=status)


def _contented(crd: CustomResourceDefinition) -> bool:
    """Whether a definition has all the names that it wants."""
    return crd.spec.names == crd.status.acceptedNames
