"""Objects, lists and watch events in protobuf, which Go's clients prefer: whole, or metadata only.

`forms.pick` comes here for clients that negotiated it. Built-in kinds alone have a protobuf form; tables have none.
Unlike JSON, whose bytes are those of the store, this is made of the decoded objects (`api/protobuf.py`), and messages
that were made are kept for a while, because what one client lists or watches another does too.

Wire form: k8s.io/apimachinery `runtime/serializer/protobuf`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from kijabi.api import codec, protobuf
from kijabi.api.meta import ListMeta, ObjectMeta, PartialObjectMetadata
from kijabi.api.protobuf_write import delimited, varint
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct
from kijabi.apiserver.forms import INITIAL_END, Envelope, Whole
from kijabi.apiserver.framing import binary_event
from kijabi.apiserver.negotiate import PROTOBUF, Media
from kijabi.apiserver.watchcache import Item
from kijabi.base import clock

MAX_KEPT = 128 * 1024 * 1024  # bytes of messages that one kind keeps; some 34,000 pods
KEEP_SECONDS = 60.0  # how long what is kept stays as it is once there is no more room


class _Binary(ABC):
    """What both forms have in common. kind, version: of single objects; listed: the kind of lists."""

    media = PROTOBUF
    sized = True
    grain = 4
    key: Any

    def __init__(self, cls: type[Struct], kind: str, version: str, listed: str) -> None:
        self.cls = cls
        self.names = protobuf.envelope_names(version, kind)
        self.list_names = protobuf.envelope_names(version, listed)
        self.meta_number, self.items_number = 1, 2

    @abstractmethod
    def message(self, item: Item, revision: int) -> bytes:
        """The bare message of an item."""

    def object(self, item: Item, revision: int) -> bytes:
        """See Form."""
        return self.names + delimited(protobuf.RAW, self.message(item, revision))

    def frame(self, kind: str, item: Item, revision: int, first: bool) -> bytes:
        """See Form."""
        return binary_event(kind, self.object(item, revision))

    def bookmark(self, revision: int, initial_end: bool) -> bytes:
        """See Form."""
        meta = ObjectMeta(resourceVersion=str(revision), annotations=INITIAL_END if initial_end else {})
        body = protobuf.encode(self.cls(metadata=meta))
        return binary_event("BOOKMARK", self.names + delimited(protobuf.RAW, body))

    def elements(self, items: Iterable[Item]) -> list[bytes]:
        """See Form."""
        number, message = self.items_number, self.message
        return [delimited(number, message(item, item.revision)) for item in items]

    def enclose(self, size: int, meta: dict[str, Any]) -> Envelope:
        """See Form."""
        own = delimited(self.meta_number, protobuf.encode(codec.from_builtins(ListMeta, meta)))
        head = self.list_names + varint(protobuf.RAW << 3 | 2) + varint(len(own) + size)
        return Envelope(head + own, b"", b"")


class _Made(msgspec.Struct, gc=False):
    """A message, unseen by the garbage collector: a pass over as many tuples as a long list has takes 50 ms."""

    revision: int
    message: bytes


class Kept:
    """Messages that were made, the newest of each object.

    When there is no room nothing more is kept for a while, and then all is forgotten. So a list that is too long
    finds a part of it here, where forgetting the oldest would leave it nothing; and what was deleted goes some time.
    """

    def __init__(self, limit: int = MAX_KEPT) -> None:
        self._limit = limit
        self._made: dict[str, _Made] = {}
        self._size = 0
        self._begun = clock.monotonic()

    def get(self, key: str, revision: int) -> bytes | None:
        """The message of an object at a revision."""
        found = self._made.get(key)
        return found.message if found is not None and found.revision == revision else None

    def put(self, key: str, revision: int, made: bytes) -> None:
        """Remember a message in place of the object's last one."""
        before = self._made.get(key)
        if before is not None and before.revision > revision:
            return
        size = self._size + len(made) - (len(before.message) if before is not None else 0)
        if size > self._limit:
            now = clock.monotonic()
            if now - self._begun < KEEP_SECONDS:
                return
            self._made.clear()
            self._begun, size = now, len(made)
        self._made[key] = _Made(revision, made)
        self._size = size

    def forget(self, key: str) -> None:
        """There is no such object any more."""
        before = self._made.pop(key, None)
        if before is not None:
            self._size -= len(before.message)


class BinaryWhole(_Binary):
    """Objects of a built-in kind. down: makes the served version of a stored object, where they differ."""

    def __init__(self, resource: Resource, down: Callable[[Any], Any] | None) -> None:
        super().__init__(resource.type, resource.kind, resource.api_version, resource.listed)
        self.key = ("protobuf", resource.api_version)
        self.down = down
        self._kept = Kept()

    def message(self, item: Item, revision: int) -> bytes:
        """See _Binary."""
        kept = self._kept.get(item.key, revision) if revision else None
        if kept is not None:
            return kept
        obj = item.obj if self.down is None else self.down(item.obj)
        made = protobuf.encode(_versioned(obj, revision))
        if revision != item.revision:  # it has gone
            self._kept.forget(item.key)
        elif revision:
            self._kept.put(item.key, revision, made)
        return made


class BinaryPartial(_Binary):
    """Metadata only: PartialObjectMetadata, of any kind, custom resources too."""

    def __init__(self, version: str) -> None:
        name = "PartialObjectMetadata"
        super().__init__(PartialObjectMetadata, name, f"meta.k8s.io/{version}", f"{name}List")
        self.key = ("protobuf partial", version)
        if version == "v1beta1":  # which numbers the members of its list the other way round
            self.meta_number, self.items_number = 2, 1

    def message(self, item: Item, revision: int) -> bytes:
        """See _Binary."""
        return protobuf.encode(_versioned(PartialObjectMetadata(metadata=item.obj.metadata), revision))


def _versioned(obj: Any, revision: int) -> Any:
    """An object with this resourceVersion; 0 is none."""
    version = str(revision or "")
    if obj.metadata.resourceVersion == version:
        return obj
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, resourceVersion=version))


def pick(resource: Resource, whole: Whole, media: Media) -> BinaryWhole | BinaryPartial:
    """The form that a client negotiated."""
    if media.convert:
        return BinaryPartial(media.version)
    if whole.binary is None:
        whole.binary = BinaryWhole(resource, getattr(whole, "down", None))
    found: BinaryWhole = whole.binary
    return found
