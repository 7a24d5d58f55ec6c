"""Watches the metadata of every object of every kind, also of kinds that come later, for the garbage collector.

It is the collector's one source (`runtime.Watched`): each event says which kind it is of. Kinds that this process
watches anyway come from the shared informers, the others from metadata-only ones that live as long as their kind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kijabi.api.meta import Object, ObjectMeta, PartialObjectMetadata
from kijabi.api.resource import Resource
from kijabi.base.tasks import first
from kijabi.client.informer import Informer
from kijabi.controllers.kinds import Kinds
from kijabi.controllers.runtime import Context


class Change(NamedTuple):
    """An event of one kind: old is None for an addition, new for a deletion; both for the kind itself.

    forgotten: the object is not known to be gone, but its kind is no longer watched.
    """

    resource: Resource
    old: Object | None
    new: Object | None
    forgotten: bool = False


Handler = Callable[[Any, Any], None]


class Watching:
    """See the module. shared: types that have an informer of their own in this process, by group and plural."""

    def __init__(
        self, context: Context, kinds: Kinds, shared: Mapping[tuple[str, str], type[Object]], ignored: frozenset[Any]
    ) -> None:
        self._context = context
        self._kinds = kinds
        self._shared = shared
        self._ignored = ignored
        self._handlers: list[Handler] = []
        self._informers: dict[tuple[str, str], Informer[Any]] = {}
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._went = asyncio.Event()
        for resource in kinds:
            self._watch(resource)
        self._first = list(self._informers.values())
        kinds.add_handler(self._changed)

    def add_handler(self, handler: Handler) -> None:
        """Call `handler(None, Change)` for every change."""
        self._handlers.append(handler)
        for resource in self._kinds:
            informer = self._informers.get((resource.group, resource.plural))
            if informer is not None:
                informer.add_handler(self._telling(resource))

    async def wait_synced(self) -> None:
        """Wait until all objects of the kinds that there were at the start have been told of."""
        for informer in self._first:
            while not informer.synced and informer in self._informers.values():
                self._went.clear()
                await first(informer.wait_synced(), self._went.wait())

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for place in self._informers:
                    self._start(place)
                await asyncio.get_running_loop().create_future()
            finally:
                self._group = None

    def _watch(self, resource: Resource) -> None:
        place = (resource.group, resource.plural)
        if place in self._ignored:
            return
        shared = self._shared.get(place)
        if shared is not None:
            informer: Informer[Any] = self._context.informers.of(shared)
        else:
            informer = Informer(self._context.client.metadata_of(resource), PartialObjectMetadata, transform=bare)
        self._informers[place] = informer
        if self._handlers:
            informer.add_handler(self._telling(resource))
        self._start(place)

    def _start(self, place: tuple[str, str]) -> None:
        if self._group is not None and place not in self._shared:
            name = f"garbage/{place[1]}.{place[0]}"
            self._tasks[place] = self._group.create_task(self._informers[place].run(), name=name)

    def _changed(self, added: Sequence[Resource], removed: Sequence[Resource]) -> None:
        back = {(one.group, one.plural) for one in added}
        for resource in removed:
            place = (resource.group, resource.plural)
            informer = self._informers.pop(place, None)
            task = self._tasks.pop(place, None)
            if task is not None:
                task.cancel()
            for obj in tuple(informer.items()) if informer is not None and place not in back else ():
                self._tell(Change(resource, obj, None, forgotten=True))
            self._tell(Change(resource, None, None, forgotten=True))
            self._went.set()
        for resource in added:
            self._watch(resource)
            self._tell(Change(resource, None, None))

    def _telling(self, resource: Resource) -> Callable[[Any, Any], None]:
        return lambda old, new: self._tell(Change(resource, old, new))

    def _tell(self, change: Change) -> None:
        for handler in self._handlers:
            handler(None, change)


def bare(obj: PartialObjectMetadata) -> PartialObjectMetadata:
    """Only what the graph needs is kept of an object that is watched for it alone."""
    meta = obj.metadata
    obj.metadata = ObjectMeta(
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        resourceVersion=meta.resourceVersion,
        deletionTimestamp=meta.deletionTimestamp,
        ownerReferences=meta.ownerReferences,
        finalizers=meta.finalizers,
    )
    return obj
