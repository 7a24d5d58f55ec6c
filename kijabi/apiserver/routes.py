"""Which resources are served, each with what serving it needs: its cache, its forms, its subresources.

Built from the catalog by `app.py`; `server.py` finds the Served of a request here, `registry.py` and `reading.py` work
on it, discovery and OpenAPI list it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from kijabi.api import catalog
from kijabi.api.resource import Resource, Subresource
from kijabi.apiserver.forms import Viewed, Whole
from kijabi.apiserver.watchcache import Cache, Caches, Item


class View(Protocol):
    """Stored objects in the version that is served, where that takes more than a function: of custom resources.

    Objects are stored in several versions and by the rules of older schemas, and a webhook may have to convert them.
    So every way out is awaited, and may raise the ApiError that a failed conversion gives.
    """

    cache: Cache
    """The objects as they are served, with history and watchers of its own: level after `open`."""

    ended: bool
    """Whether another has taken its place: watches that begin on it end at once."""

    @property
    def revision(self) -> int:
        """The revision up to which `cache` has everything."""
        ...

    async def open(self) -> int:
        """Bring `cache` to where the stored objects are now, and keep it level; its revision."""
        ...

    async def items(self, stored: Sequence[Item]) -> list[Item]:
        """Stored items as they are served, in the same order."""
        ...

    async def stored(self, obj: Any) -> Any:
        """An object as it is served, in the form in which it is to be stored; `obj` may be it."""
        ...


class Served(msgspec.Struct, eq=False, kw_only=True):
    """One resource in one version. cache: where its objects are, None if none are stored (reviews).

    view: how they become what is served, of custom resources.
    """

    resource: Resource
    cache: Cache | None
    whole: Whole
    subresources: dict[str, Subresource]
    view: View | None = None

    @property
    def shown(self) -> Cache | None:
        """Where the objects are as they are served; of a view after it was opened."""
        return self.view.cache if self.view is not None else self.cache

    @property
    def viewed(self) -> bool:
        """Whether this is another form of a resource that is stored as something else."""
        return isinstance(self.whole, Viewed)


class Routes:
    """All of them, by group, version and plural name."""

    def __init__(self, resources: Iterable[Resource], caches: Caches) -> None:
        self.caches = caches
        self.versions: dict[tuple[str, str], dict[str, Served]] = {}
        self._listeners: list[Callable[[str, str], None]] = []
        for resource in resources:
            self.add(resource)
        self.own = frozenset(self.versions)  # (group, version) that is there always

    def listen(self, changed: Callable[[str, str], None]) -> None:
        """Call `changed(group, version)` whenever what is served there changes (discovery, OpenAPI)."""
        self._listeners.append(changed)

    def _changed(self, group: str, version: str) -> None:
        for changed in self._listeners:
            changed(group, version)

    def remove(self, resource: Resource) -> None:
        """Serve a resource no longer; nothing if it is not served."""
        version_of = self.versions.get((resource.group, resource.version), {})
        if version_of.pop(resource.plural, None) is None:
            return
        if not version_of:
            del self.versions[resource.group, resource.version]
        self._changed(resource.group, resource.version)

    def add(self, resource: Resource) -> Served:
        """Serve a resource, in place of the one under the same name; its cache must be there already."""
        cache: Cache | None = None
        whole = Whole(resource)
        if resource.stored_as is not None:
            stored = catalog.by_kind(*resource.stored_as)
            if stored is None or resource.down is None:
                raise LookupError(f"{resource.qualified} cannot be served: no stored form {resource.stored_as}")
            cache, whole = self.caches.of(stored), Viewed(resource, resource.down)
        elif is_stored(resource):
            cache = self.caches.of(resource)
        subresources = {sub.name: sub for sub in resource.subresources}
        served = Served(resource=resource, cache=cache, whole=whole, subresources=subresources)
        self.versions.setdefault((resource.group, resource.version), {})[resource.plural] = served
        self._changed(resource.group, resource.version)
        return served

    def serve(self, served: Served) -> None:
        """Serve a custom resource, in place of the one under the same name."""
        resource = served.resource
        place = (resource.group, resource.version)
        self.versions.setdefault(place, {})[resource.plural] = served
        self._changed(*place)

    def built_in(self, group: str, version: str) -> bool:
        """Whether this version of a group is there always."""
        return (group, version) in self.own

    def find(self, group: str, version: str, plural: str) -> Served | None:
        """The served resource of a path."""
        version_of = self.versions.get((group, version))
        return version_of.get(plural) if version_of is not None else None


def is_stored(resource: Resource) -> bool:
    """Whether objects of this resource are kept in the store under its own name."""
    return resource.storage and resource.stored_as is None and "watch" in resource.verbs
