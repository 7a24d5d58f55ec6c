"""The kinds that the server has, kept level: definitions of custom resources and aggregated APIs come and go.

A controller that must not miss a kind (the garbage collector) makes a Kinds of what was discovered at its start and is
told of what comes and goes afterwards. Nothing is polled: any change of a CustomResourceDefinition or an APIService
makes it discover again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kijabi.api import catalog
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.apiregistration.apiservice import APIService
from kijabi.api.meta import ObjectMeta, PartialObjectMetadata
from kijabi.api.resource import Resource
from kijabi.base.backoff import Backoff
from kijabi.base.errors import ApiError, ConnectionLost
from kijabi.client.client import Client
from kijabi.client.informer import Informer
from kijabi.controllers.discovery import discover

log = logging.getLogger(__name__)

VERBS = ("delete", "list", "watch")
"""What can be done with every kind that is told of."""
Changed = Callable[[Sequence[Resource], Sequence[Resource]], None]


class Kinds:
    """All kinds with VERBS, each in its preferred version. `run` belongs into the application's background."""

    def __init__(self, client: Client, found: Sequence[Resource]) -> None:
        self._client = client
        self._known = {(one.group, one.plural): one for one in found}
        self._changed: list[Changed] = []
        self._stale = asyncio.Event()
        self._causes = [
            Informer(client.metadata_of(catalog.by_type(cls)), PartialObjectMetadata, transform=_bare)
            for cls in (CustomResourceDefinition, APIService)
        ]

    def __iter__(self) -> Iterator[Resource]:
        return iter(tuple(self._known.values()))

    def add_handler(self, changed: Changed) -> None:
        """Call `changed(added, removed)` from now on; a kind whose version or scope changes is in both."""
        self._changed.append(changed)

    async def run(self) -> None:
        """Follow until cancelled."""
        backoff = Backoff(first=0.1, most=30.0)
        async with asyncio.TaskGroup() as tasks:
            for cause in self._causes:
                cause.add_handler(self._look_again)
                tasks.create_task(cause.run(), name="kinds")
            for cause in self._causes:
                await cause.wait_synced()
            self._stale.set()  # for what came after the first discovery
            while True:
                await self._stale.wait()
                self._stale.clear()
                try:
                    found = await discover(self._client, *VERBS)
                except (ApiError, ConnectionLost) as error:
                    log.info("discovery failed, trying again", extra={"error": str(error)})
                    self._stale.set()
                    await asyncio.sleep(backoff.next())
                    continue
                backoff.reset()
                self._settle(found)

    def _look_again(self, old: Any, new: Any) -> None:
        self._stale.set()

    def _settle(self, found: Sequence[Resource]) -> None:
        now = {(one.group, one.plural): one for one in found}
        added = [one for place, one in now.items() if not _same(self._known.get(place), one)]
        removed = [one for place, one in self._known.items() if not _same(now.get(place), one)]
        self._known = now
        if added or removed:
            for changed in self._changed:
                changed(added, removed)


def _bare(obj: PartialObjectMetadata) -> PartialObjectMetadata:
    """Only that something changed matters."""
    own = obj.metadata
    obj.metadata = ObjectMeta(name=own.name, uid=own.uid, resourceVersion=own.resourceVersion)
    return obj


def _same(one: Resource | None, other: Resource) -> bool:
    """Whether a kind is the same to who watches it."""
    if one is None:
        return False
    return (one.version, one.kind, one.namespaced) == (other.version, other.kind, other.namespaced)
