"""Serves what the stored CustomResourceDefinitions say: each change of one changes the routes, at once.

`app.py` starts it when the caches are loaded and runs it as long as the server lives. It follows the definitions, makes
Resources of them (`definition.py`) and a View for each served version, and puts these into the routes; discovery,
OpenAPI and admission are told by the routes. The objects' caches are there already (`Caches.custom`). All of this
happens between two requests, in the same step in which the definition becomes visible, so nobody sees a half of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, NamedTuple

from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.resource import Resource
from kijabi.apiserver.crd import names
from kijabi.apiserver.crd.conversion import Converter, Renaming
from kijabi.apiserver.crd.conversionhook import Hook
from kijabi.apiserver.crd.definition import Definition
from kijabi.apiserver.crd.lifecycle import Lifecycle
from kijabi.apiserver.crd.rendering import Rendering
from kijabi.apiserver.crd.view import VersionView
from kijabi.apiserver.deletion import Deletion
from kijabi.apiserver.forms import Whole
from kijabi.apiserver.routes import Routes, Served
from kijabi.apiserver.storage import Storage
from kijabi.apiserver.watchcache import Cache
from kijabi.apiserver.webhooks.client import Webhooks

log = logging.getLogger(__name__)


class _Present(NamedTuple):
    """A definition that is served, with what was made of it."""

    crd: CustomResourceDefinition
    cache: Cache
    views: tuple[VersionView, ...]
    resources: tuple[Resource, ...]


class CustomResources:
    """All definitions. `start` when the caches are loaded, `run` for as long as the server lives."""

    def __init__(self, routes: Routes, storage: Storage, deletion: Deletion, webhooks: Webhooks) -> None:
        self._routes = routes
        self._caches = storage.caches
        self._webhooks = webhooks
        self._lifecycle = Lifecycle(storage, deletion)
        self._present: dict[str, _Present] = {}
        self._tasks: asyncio.TaskGroup | None = None

    def start(self) -> None:
        """Serve what is stored, and follow it from now on."""
        self._caches.subscribe(CustomResourceDefinition, self._changed)

    async def run(self) -> None:
        """Give names, finish deletions, convert objects, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await self._lifecycle.run()
            finally:
                self._tasks = None

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self._tasks is None:
            work.close()
            raise RuntimeError("custom resources are not running")
        self._tasks.create_task(work, name=f"view of {name}")

    def _changed(self, old: CustomResourceDefinition | None, new: CustomResourceDefinition | None) -> None:
        """A definition came, changed or went."""
        one = new if new is not None else old
        assert one is not None
        present = self._present.get(one.metadata.name)
        if new is None or not names.is_served(new):
            self._remove(one.metadata.name, gone=new is None)
        elif present is None or not _same(present.crd, new):
            try:
                self._replace(new)
            except Exception:  # a definition that cannot be served must not end the others
                log.exception("the definition %s cannot be served", new.metadata.name)
                self._remove(new.metadata.name, gone=False)
        elif _ending(new) != present.cache.ending:
            self._end(present)
        self._lifecycle.changed(old, new)

    def _replace(self, crd: CustomResourceDefinition) -> None:
        """Serve a definition as it is now, instead of how it was."""
        name = crd.metadata.name
        definition = Definition(crd)
        cache = self._caches.custom(definition.group, definition.names.plural)
        if cache is None:
            return  # what the server brings itself comes first
        cache.ending = _ending(crd)
        converter = self._converter(crd)
        before = self._present.get(name)
        views: list[VersionView] = []
        resources: list[Resource] = []
        cache.resource = definition.versions[definition.storage].resource
        for version in definition.served:
            resource = version.resource
            there = self._routes.find(resource.group, resource.version, resource.plural)
            if there is not None and not there.resource.custom:
                continue  # as above, where it is stored under another name or not at all
            view = VersionView(cache, Rendering(version, converter), self._caches, self._spawn)
            served = Served(
                resource=resource, cache=cache, whole=Whole(resource), view=view,
                subresources={sub.name: sub for sub in resource.subresources},
            )  # fmt: skip
            self._routes.serve(served)
            views.append(view)
            resources.append(resource)
        self._present[name] = _Present(crd, cache, tuple(views), tuple(resources))
        if before is not None:
            kept = {resource.version for resource in resources}
            self._leave(before, [resource for resource in before.resources if resource.version not in kept])

    def _converter(self, crd: CustomResourceDefinition) -> Converter:
        conversion = crd.spec.conversion
        if conversion is not None and conversion.strategy == "Webhook" and conversion.webhook is not None:
            return Hook(crd, conversion.webhook, self._webhooks)
        return Renaming()

    def _leave(self, present: _Present, resources: list[Resource]) -> None:
        """End what was made of an earlier form of a definition, and serve these resources no longer."""
        for view in present.views:
            view.end()
        for resource in resources:
            self._routes.remove(resource)

    def _end(self, present: _Present) -> None:
        """The definition is being deleted: discovery no longer shows that objects can be made."""
        present.cache.ending = True
        for resource in present.resources:
            served = self._routes.find(resource.group, resource.version, resource.plural)
            if served is not None:
                self._routes.serve(served)

    def _remove(self, name: str, *, gone: bool) -> None:
        present = self._present.pop(name, None)
        if present is None:
            return
        self._leave(present, list(present.resources))
        if gone:
            self._caches.drop(present.cache)


def _ending(crd: CustomResourceDefinition) -> bool:
    """Whether no objects may be made any more."""
    return crd.metadata.deletionTimestamp is not None or names.holds(crd, names.TERMINATING)


def _same(one: CustomResourceDefinition, other: CustomResourceDefinition) -> bool:
    """Whether two states of a definition are served alike."""
    return (
        one.metadata.uid == other.metadata.uid
        and one.spec == other.spec
        and one.status.acceptedNames == other.status.acceptedNames
    )
