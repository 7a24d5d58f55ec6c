"""The APIServices of what is served here: built-in versions, and those of CustomResourceDefinitions.

`aggregator.py` calls `install` at start and `sync` for names that may have changed. What this module makes carries
the label of `kube-aggregator`'s autoregister controller, with its meaning: an object without it is somebody's own and
stays as it is; `onstart` objects are mended at each start, `true` ones always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from kijabi.api import catalog
from kijabi.api.apiextensions.customresourcedefinition import CustomResourceDefinition
from kijabi.api.apiregistration.apiservice import APIService, APIServiceSpec, set_local
from kijabi.api.meta import ObjectMeta
from kijabi.apiserver import metadata
from kijabi.apiserver.aggregation import ranks
from kijabi.apiserver.aggregation.ranks import Rank
from kijabi.apiserver.storage import Changed, Storage
from kijabi.apiserver.watchcache import Item
from kijabi.base.errors import NotFound

MANAGED = "kube-aggregator.kubernetes.io/automanaged"
ON_START, ALWAYS = "onstart", "true"
_METRICS = "metrics.k8s.io"  # often served by a metrics server of the user's instead: left to whoever changes it


class Registration:
    """Keeps local APIServices. versions: those that this server brings along, (group, version)."""

    def __init__(self, storage: Storage, versions: Iterable[tuple[str, str]]) -> None:
        self._storage = storage
        self._cache = storage.caches.of(catalog.by_type(APIService))
        self._custom: dict[str, set[str]] = {}  # APIService → the definitions that serve its version
        self._builtin = {name_of(*key): wanted for key, wanted in _builtin(versions).items()}

    def definition_changed(
        self, old: CustomResourceDefinition | None, new: CustomResourceDefinition | None
    ) -> set[str]:
        """A definition came, changed or went; the names of the APIServices that `sync` must look at."""
        before, after = _served(old), _served(new)
        either = new or old
        assert either is not None
        for name in before - after:
            self._custom.get(name, set()).discard(either.metadata.name)
        for name in after:
            self._custom.setdefault(name, set()).add(either.metadata.name)
        return before ^ after

    async def install(self) -> None:
        """Make and mend the built-in ones, and drop those whose version is no longer built in."""
        async with asyncio.TaskGroup() as together:  # so that the store writes them in few transactions
            for name, wanted in self._builtin.items():
                together.create_task(self._settle(name, wanted))
        for item in tuple(self._cache.range()):
            if _managed(item) == ON_START and item.name not in self._builtin:
                await self._remove(item)
        await self._storage.caches.fresh()

    async def sync(self, name: str) -> None:
        """Make, mend or remove the APIService of a version of custom resources."""
        if name in self._builtin:
            return
        if self._custom.get(name):
            version, _, group = name.partition(".")
            await self._settle(name, _wanted(group, version, ranks.CUSTOM, ALWAYS))
            return
        self._custom.pop(name, None)
        item = self._cache.get(name)
        if item is not None and _managed(item) == ALWAYS:
            await self._remove(item)

    async def _settle(self, name: str, wanted: APIService) -> None:
        item = self._cache.get(name)
        try:
            if item is None:
                new = msgspec.structs.replace(wanted, metadata=msgspec.structs.replace(wanted.metadata))
                metadata.begin_create(new)
                await self._storage.put(self._cache, name, new, 0)
            elif _managed(item) and item.obj.spec != wanted.spec:

                def change(obj: APIService) -> None:
                    obj.spec = wanted.spec
                    set_local(obj)

                await self._storage.rewrite(self._cache, name, change)
        except (Changed, NotFound):
            return  # somebody else wrote it: that event brings us back

    async def _remove(self, item: Item) -> None:
        try:
            await self._storage.remove(self._cache, item.key, item.revision)
        except Changed:
            return  # see above


def name_of(group: str, version: str) -> str:
    """`v1.apps`."""
    return f"{version}.{group}"


def _managed(item: Item) -> str:
    return str((item.obj.metadata.labels or {}).get(MANAGED, ""))


def _wanted(group: str, version: str, rank: Rank, how: str) -> APIService:
    labels = {MANAGED: how} if how else {}
    spec = APIServiceSpec(
        group=group, version=version, groupPriorityMinimum=rank.group, versionPriority=rank.version
    )  # fmt: skip
    found = APIService(metadata=ObjectMeta(name=name_of(group, version), labels=labels), spec=spec)
    set_local(found)
    return found


def _builtin(versions: Iterable[tuple[str, str]]) -> dict[tuple[str, str], APIService]:
    """The APIServices of what this server brings along."""
    found = {}
    for group, version in versions:
        rank = ranks.builtin(group, version)
        if rank is not None and ranks.has_service(group):
            found[group, version] = _wanted(group, version, rank, "" if group == _METRICS else ON_START)
    return found


def _served(definition: CustomResourceDefinition | None) -> set[str]:
    """The APIServices that a definition's versions need."""
    if definition is None:
        return set()
    spec = definition.spec
    return {name_of(spec.group, each.name) for each in spec.versions if each.served}
