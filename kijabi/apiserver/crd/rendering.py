"""What a stored custom object looks like in one version, and what is stored of one that comes in that version.

`view.py` and, through it, the registry and the read path come here for every object. On the way out, an object is
pruned and defaulted by the schema of the version that it was stored in, converted, and pruned again; on the way in, it
is converted to the storage version and pruned by that (apiextensions documentation, "Versions in
CustomResourceDefinitions"; the order of apiextensions-apiserver's storage codec).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from kijabi.api import codec
from kijabi.api.apiextensions.defaulting import apply_defaults
from kijabi.api.apiextensions.prune import copy, prune
from kijabi.api.custom import Custom
from kijabi.apiserver.crd.conversion import ConversionError, Converter, identity
from kijabi.apiserver.crd.definition import Version
from kijabi.apiserver.watchcache import Item
from kijabi.base.errors import BadRequest


class Rendering:
    """Of one version of a definition."""

    def __init__(self, version: Version, converter: Converter) -> None:
        self.version = version
        self._definition = version.definition
        self._converter = converter

    def at_once(self, item: Item) -> Item | None:
        """A stored item in this version, if that takes no webhook; the item itself if it is as it should be.

        Raises ConversionError for an item of a version that there is no more.
        """
        obj = self._as_stored(item.obj)
        shown = self._converter.at_once(obj, self.version.api_version)
        return self._finish(item, shown) if shown is not None else None

    async def items(self, items: Sequence[Item], *, listed: bool = False) -> list[Item]:
        """Stored items in this version, in order. listed: they are a list's, as errors tell. Raises ConversionError."""
        found: list[Item | None] = [self.at_once(item) for item in items]
        waiting = [place for place, item in enumerate(found) if item is None]
        if waiting:
            names = self._definition.names
            api_version = self.version.api_version if listed else items[waiting[0]].obj.apiVersion
            about = identity(api_version, names.listKind if listed else names.kind)
            objects = [self._as_stored(items[place].obj) for place in waiting]
            converted = await self._converter.convert(objects, self.version.api_version, about=about, listed=listed)
            for place, obj in zip(waiting, converted, strict=True):
                found[place] = self._finish(items[place], obj)
        return [item for item in found if item is not None]

    async def stored(self, obj: Custom) -> Custom:
        """An object of this version as it is to be stored. Raises ConversionError."""
        storage = self._definition.versions[self._definition.storage]
        if storage is self.version:
            return obj
        target = self._converter.at_once(obj, storage.api_version)
        if target is None:
            about = identity(obj.apiVersion, obj.kind)
            target = (await self._converter.convert([obj], storage.api_version, about=about))[0]
        content = _pruned(target.content, storage)
        return Custom(apiVersion=storage.api_version, kind=target.kind, metadata=target.metadata, content=content)

    def _as_stored(self, obj: Custom) -> Custom:
        """The object by the rules of the version that it is stored in, as they are now; itself if it keeps them.

        Raises ConversionError if there is no such version, or the object cannot be walked.
        """
        version = self._definition.version_of(obj.apiVersion)
        if version is None:
            raise ConversionError(f"request to convert CR from an invalid group/version: {obj.apiVersion}")
        content = _pruned(obj.content, version)
        apply_defaults(content, version.structural)
        metadata = obj.metadata
        if content == obj.content and metadata.generation:
            return obj
        if not metadata.generation:  # objects of very old servers have none
            metadata = msgspec.structs.replace(metadata, generation=1)
        return Custom(apiVersion=obj.apiVersion, kind=obj.kind, metadata=metadata, content=content)

    def _finish(self, item: Item, shown: Custom) -> Item:
        """An item of the converted object; the bytes are kept where nothing but the version changed."""
        stored = item.obj
        if shown is stored:
            return item
        content = shown.content
        if stored.apiVersion != shown.apiVersion:
            content = _pruned(content, self.version)
            if content == shown.content:
                content = shown.content
        same = content is stored.content and shown.metadata is stored.metadata
        obj = Custom(apiVersion=shown.apiVersion, kind=shown.kind, metadata=shown.metadata, content=content)
        if same:
            value = item.value
        else:
            unversioned = msgspec.structs.replace(shown.metadata, resourceVersion="")
            value = codec.encode(msgspec.structs.replace(obj, metadata=unversioned))
        return Item(item.key, item.namespace, item.name, obj, value, item.revision)


def _pruned(content: dict[str, Any], version: Version) -> dict[str, Any]:
    """A copy without what a version does not know. Raises ConversionError."""
    try:
        content = copy(content)
        prune(content, version.structural)
    except (RecursionError, BadRequest):
        raise ConversionError("exceeded max depth") from None
    return content
