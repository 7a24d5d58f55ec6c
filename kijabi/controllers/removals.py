"""Deletions of kinds that are named at run time: what is counted may be a custom resource that came a second ago.

A controller asks `watch` for a kind; from then on its handlers are told of each object of that kind that goes, by its
metadata only. It is a `runtime.Watched`, as informers are; `run` belongs into the application's background.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from kijabi.api.meta import Object, ObjectMeta, PartialObjectMetadata
from kijabi.api.resource import Resource
from kijabi.base.errors import ServiceUnavailable
from kijabi.client.client import Client
from kijabi.client.informer import Informer

MAX_KINDS = 256  # that are watched; of more, nothing is told
PATIENCE = 10.0  # seconds that the first list of a kind may take


def bare(obj: PartialObjectMetadata) -> PartialObjectMetadata:
    """Only what says which object it is."""
    own = obj.metadata
    obj.metadata = ObjectMeta(
        name=own.name, namespace=own.namespace, uid=own.uid, resourceVersion=own.resourceVersion
    )  # fmt: skip
    return obj


class _Kind(NamedTuple):
    informer: Informer[PartialObjectMetadata]
    task: asyncio.Task[None]


class Removals:
    """See the module."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._handlers: list[Callable[[Any, Any], None]] = []
        self._kinds: dict[str, _Kind] = {}
        self._group: asyncio.TaskGroup | None = None

    def add_handler(self, handler: Callable[[Any, Any], None]) -> None:
        """Call `handler(old, None)` for each object that goes."""
        self._handlers.append(handler)

    async def wait_synced(self) -> None:
        """There is nothing to wait for: `watch` waits."""

    async def run(self) -> None:
        """Follow the kinds that are asked for, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            self._kinds.clear()

    async def watch(self, resource: Resource) -> None:
        """Follow a kind; returns when what is there is known, so that nothing that goes later is missed.

        Raises ServiceUnavailable if the server does not say it in time.
        """
        known = self._kinds.get(resource.qualified)
        if known is None:
            if self._group is None or len(self._kinds) >= MAX_KINDS:
                return
            informer = Informer(self._client.metadata_of(resource), PartialObjectMetadata, transform=bare)
            informer.add_handler(self._changed)
            task = self._group.create_task(informer.run(), name=f"removals/{resource.qualified}")
            known = self._kinds[resource.qualified] = _Kind(informer, task)
        try:
            async with asyncio.timeout(PATIENCE):
                await known.informer.wait_synced()
        except TimeoutError:
            self.drop(resource)
            raise ServiceUnavailable(f"{resource.qualified} cannot be listed") from None

    def drop(self, resource: Resource) -> None:
        """Follow a kind no more: it does not exist any longer."""
        known = self._kinds.pop(resource.qualified, None)
        if known is not None:
            known.task.cancel()

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            for handler in self._handlers:
                handler(old, None)
