"""The other versions in which a resource is served, and objects turned from one into another.

A webhook or policy that names `deployments` of one version must see a write to another one too (matchPolicy
Equivalent), in the version that it named. `webhooks.py` and the policies ask here; the answers come from the routes, so
custom resources are included and a CustomResourceDefinition that changes is seen at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kijabi.api import codec
from kijabi.api.resource import Resource
from kijabi.apiserver.attributes import Attributes
from kijabi.apiserver.routes import Routes, Served
from kijabi.apiserver.watchcache import Item


class Target(NamedTuple):
    """In which form a webhook or policy sees a write: the resource, and group, version and kind of the object."""

    resource: Resource
    kind: tuple[str, str, str]


class Kinds:
    """What the routes say of kinds and their versions."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes

    def own(self, attrs: Attributes) -> Target:
        """The form in which the write was asked for."""
        return Target(attrs.resource, attrs.kind)

    def others(self, attrs: Attributes) -> list[Target]:
        """The forms under other versions or groups of the same stored resource, which have the subresource too."""
        resource = attrs.resource
        served = self.routes.find(resource.group, resource.version, resource.plural)
        if served is None or served.cache is None:
            return []
        found = []
        for version in self.routes.versions.values():
            for other in version.values():
                if other.cache is not served.cache or other is served:
                    continue
                target = _target(other, attrs.subresource)
                if target is not None:
                    found.append(target)
        return found

    def by_kind(self, api_version: str, kind: str) -> Served | None:
        """The resource whose objects are of a kind; None if there is none that is stored."""
        group, _, version = api_version.rpartition("/")
        resources = self.routes.versions.get((group, version), {})
        return next((each for each in resources.values() if each.resource.kind == kind and each.cache), None)

    async def read(self, served: Served, items: Sequence[Item]) -> list[Any]:
        """Stored objects in the version that is served. Raises what a failed conversion gives."""
        if served.view is not None:
            return [item.obj for item in await served.view.items(items)]
        down = served.resource.down
        return [down(item.obj) if served.viewed and down is not None else item.obj for item in items]

    async def convert(self, obj: Any, source: Resource, target: Resource) -> Any:
        """An object of one version as one of another; it may be the same object. Raises what a failed conversion
        gives, and LookupError where one of them is not served any more."""
        if source is target or not isinstance(obj, source.type):
            return obj  # a subresource's body is the same in all versions
        ours, theirs = self._served(source), self._served(target)
        stored = await _stored(ours, obj)
        own = stored.metadata
        return (await self.read(theirs, [Item("", own.namespace, own.name, stored, codec.encode(stored), 0)]))[0]

    def _served(self, resource: Resource) -> Served:
        found = self.routes.find(resource.group, resource.version, resource.plural)
        if found is None:
            raise LookupError(f"unable to convert to {resource.api_version}, Resource={resource.plural}: unknown kind")
        return found


async def _stored(served: Served, obj: Any) -> Any:
    """An object in the form in which it is stored."""
    if served.view is not None:
        return await served.view.stored(obj)
    up = served.resource.up
    return up(obj) if served.viewed and up is not None else obj


def _target(served: Served, subresource: str) -> Target | None:
    """A resource with a subresource as a target, None if it has no such one."""
    resource = served.resource
    if not subresource:
        return Target(resource, (resource.group, resource.version, resource.kind))
    sub = served.subresources.get(subresource)
    if sub is None:
        return None
    return Target(resource, (sub.group or resource.group, sub.version or resource.version, sub.kind))
