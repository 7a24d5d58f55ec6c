"""The representations an object, a list or a watch event can be sent in: whole, metadata only, or rows of a table.

A Form turns `watchcache.Item`s into bytes. `reading.py` picks one by content negotiation (`pick`), watchers encode
each event with it once for all clients that want the same form. Whole objects are not encoded again: the stored
bytes get their apiVersion, kind and resourceVersion put in front. Lists are made an element at a time, so that whoever
sends a large one need not hold it, nor hold up others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import msgspec

from kijabi.api import codec
from kijabi.api.custom import Custom
from kijabi.api.resource import Resource
from kijabi.apiserver import table
from kijabi.apiserver.framing import json_event
from kijabi.apiserver.negotiate import JSON, PROTOBUF, Media
from kijabi.apiserver.watchcache import Item

_encode = msgspec.json.Encoder().encode
INITIAL_END = {"k8s.io/initial-events-end": "true"}


class Envelope(NamedTuple):
    """What stands around the elements of a list."""

    head: bytes
    glue: bytes
    tail: bytes


class Form(Protocol):
    """One representation. Forms with equal keys give equal bytes, so encoded events can be shared by key."""

    key: Any
    media: str
    """The media type of objects and lists."""
    sized: bool
    """Whether `enclose` must know how long the elements are together, as what is framed by lengths must."""
    grain: int
    """How many elements may be made without looking at the clock: some 100 µs of work."""

    def object(self, item: Item, revision: int) -> bytes:
        """One object, as a whole answer or inside a watch event, with this resourceVersion."""
        ...

    def frame(self, kind: str, item: Item, revision: int, first: bool) -> bytes:
        """One watch event with its newline. first: whether it is the first that its watcher sees."""
        ...

    def bookmark(self, revision: int, initial_end: bool) -> bytes:
        """A BOOKMARK event; initial_end marks the one that ends the initial events of a watch."""
        ...

    def elements(self, items: Iterable[Item]) -> list[bytes]:
        """Items as they stand in a list, each by itself."""
        ...

    def enclose(self, size: int, meta: dict[str, Any]) -> Envelope:
        """What stands around the elements; meta is the ListMeta in wire form.

        size: how many bytes the elements are, if the form is `sized`; if not, 0 only when there are none.
        """
        ...


def assemble(form: Form, items: Iterable[Item], meta: dict[str, Any]) -> bytes:
    """A list of few items, whole."""
    parts = form.elements(items)
    head, glue, tail = form.enclose(sum(map(len, parts)), meta)
    return b"%b%b%b" % (head, glue.join(parts), tail)


def _bookmark_meta(revision: int, initial_end: bool) -> dict[str, Any]:
    meta: dict[str, Any] = {"resourceVersion": str(revision)}
    if initial_end:
        meta["annotations"] = INITIAL_END
    return meta


class _Json:
    """What all forms in JSON have in common."""

    media = JSON
    sized = False
    grain = 32


class Whole(_Json):
    """Objects as they are stored."""

    def __init__(self, resource: Resource) -> None:
        self.key: Any = ("object", resource.api_version)
        kind, version = _encode(resource.kind), _encode(resource.api_version)
        self.head = b'{"kind":%b,"apiVersion":%b,"metadata":{"resourceVersion":"' % (kind, version)
        self.list_head = b'{"kind":%b,"apiVersion":%b,"metadata":' % (
            _encode(resource.listed),
            version,
        )
        # Items leave out kind and apiVersion, as in typed Go lists; those of custom resources do not.
        self.item_head = self.head if issubclass(resource.type, Custom) else b'{"metadata":{"resourceVersion":"'
        self.ids = {"kind": resource.kind, "apiVersion": resource.api_version}
        self.binary: Any = None  # the same in protobuf, once asked for

    def object(self, item: Item, revision: int) -> bytes:
        """See Form."""
        return b'%b%d",%b' % (self.head, revision, item.tail())

    def wire(self, value: bytes, revision: int) -> bytes:
        """As `object`, for stored bytes that are in no cache yet; revision 0: they are nowhere (dryRun)."""
        if not revision:
            return value
        return b'%b%d",%b' % (self.head, revision, value[value.index(b'"metadata":{') + 12 :])

    def frame(self, kind: str, item: Item, revision: int, first: bool) -> bytes:
        """See Form."""
        return b'{"type":"%b","object":%b%d",%b}\n' % (kind.encode(), self.head, revision, item.tail())

    def bookmark(self, revision: int, initial_end: bool) -> bytes:
        """See Form."""
        return json_event("BOOKMARK", _encode({**self.ids, "metadata": _bookmark_meta(revision, initial_end)}))

    def elements(self, items: Iterable[Item]) -> list[bytes]:
        """See Form."""
        head = self.item_head
        return [b'%b%d",%b' % (head, item.revision, item.tail()) for item in items]

    def enclose(self, size: int, meta: dict[str, Any]) -> Envelope:
        """See Form."""
        return Envelope(b'%b%b,"items":[' % (self.list_head, _encode(meta)), b",", b"]}")


class Viewed(Whole):
    """Objects of another version or group than the stored one: converted, then encoded."""

    def __init__(self, resource: Resource, down: Callable[[Any], Any]) -> None:
        super().__init__(resource)
        self.down = down

    def object(self, item: Item, revision: int) -> bytes:
        """See Form."""
        obj = self.down(item.obj)
        unversioned = msgspec.structs.replace(obj.metadata, resourceVersion="")
        return self.wire(codec.encode(msgspec.structs.replace(obj, metadata=unversioned)), revision)

    def frame(self, kind: str, item: Item, revision: int, first: bool) -> bytes:
        """See Form."""
        return json_event(kind, self.object(item, revision))

    def elements(self, items: Iterable[Item]) -> list[bytes]:
        """See Form."""
        begin, head = len(self.head), self.item_head
        return [head + self.object(item, item.revision)[begin:] for item in items]


class Computed(Whole):
    """Objects that are stored nowhere, and so have no resourceVersion."""

    def object(self, item: Item, revision: int) -> bytes:
        """See Form."""
        return item.value

    def elements(self, items: Iterable[Item]) -> list[bytes]:
        """See Form."""
        return [b'{"metadata":{%b' % item.tail() for item in items]


class Partial(_Json):
    """Metadata only: PartialObjectMetadata (k8s.io/apimachinery `pkg/apis/meta/v1`)."""

    def __init__(self, version: str) -> None:
        self.key: Any = ("partial", version)
        self.ids = {"kind": "PartialObjectMetadata", "apiVersion": f"meta.k8s.io/{version}"}
        self.head = b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/%b","metadata":' % version.encode()

    def object(self, item: Item, revision: int) -> bytes:
        """See Form."""
        meta, version = item.obj.metadata, str(revision or "")
        if meta.resourceVersion != version:
            meta = msgspec.structs.replace(meta, resourceVersion=version)
        return b"%b%b}" % (self.head, codec.encode(meta))

    def frame(self, kind: str, item: Item, revision: int, first: bool) -> bytes:
        """See Form."""
        return json_event(kind, self.object(item, revision))

    def bookmark(self, revision: int, initial_end: bool) -> bytes:
        """See Form."""
        return json_event("BOOKMARK", _encode({**self.ids, "metadata": _bookmark_meta(revision, initial_end)}))

    def elements(self, items: Iterable[Item]) -> list[bytes]:
        """See Form."""
        return [self.object(item, item.revision) for item in items]

    def enclose(self, size: int, meta: dict[str, Any]) -> Envelope:
        """See Form."""
        ids = b'"kind":"PartialObjectMetadataList","apiVersion":%b' % _encode(self.ids["apiVersion"])
        return Envelope(b'{%b,"metadata":%b,"items":[' % (ids, _encode(meta)), b",", b"]}")


class Rows(_Json):
    """Rows of a Table, with each row's object whole, as metadata, or left out."""

    grain = 8

    def __init__(self, resource: Resource, version: str, include: str, whole: Whole) -> None:
        self.key: Any = ("table", version, include, whole.key)
        self.columns = table.columns(resource)
        self.down = whole.down if isinstance(whole, Viewed) else None
        self.definitions = _encode(table.definitions(self.columns))
        self.version = version.encode()
        self.inner: Whole | Partial | None = Partial(version)
        if include == "Object":
            self.inner = whole
        elif include == "None":
            self.inner = None

    def _row(self, item: Item, revision: int) -> bytes:
        obj = self.down(item.obj) if self.down is not None else item.obj
        cells = _encode(table.cells(self.columns, obj))
        inner = self.inner.object(item, revision) if self.inner is not None else b"null"
        return b'{"cells":%b,"object":%b}' % (cells, inner)

    def _table(self, rows: bytes, meta: dict[str, Any], columns: bool = True) -> bytes:
        return b"%b%b]}" % (self._head(meta, self.definitions if columns else b"[]"), rows)

    def _head(self, meta: dict[str, Any], definitions: bytes) -> bytes:
        return b'{"kind":"Table","apiVersion":"meta.k8s.io/%b","metadata":%b,"columnDefinitions":%b,"rows":[' % (
            self.version, _encode(meta), definitions,
        )  # fmt: skip

    def object(self, item: Item, revision: int) -> bytes:
        """See Form."""
        return self._table(self._row(item, revision), {"resourceVersion": str(revision)})

    def frame(self, kind: str, item: Item, revision: int, first: bool) -> bytes:
        """See Form. Only the first event of a watch carries the column definitions."""
        row = self._row(item, revision)
        return json_event(kind, self._table(row, {"resourceVersion": str(revision)}, columns=first))

    def bookmark(self, revision: int, initial_end: bool) -> bytes:
        """See Form."""
        return json_event("BOOKMARK", self._table(b"", _bookmark_meta(revision, initial_end)))

    def elements(self, items: Iterable[Item]) -> list[bytes]:
        """See Form."""
        return [self._row(item, item.revision) for item in items]

    def enclose(self, size: int, meta: dict[str, Any]) -> Envelope:
        """See Form."""
        return Envelope(self._head(meta, self.definitions), b",", b"]}")


def pick(resource: Resource, whole: Whole, media: Media, include: str) -> Form:
    """The form that a client negotiated. include: its `includeObject` parameter, for tables."""
    if media.type == PROTOBUF:
        from kijabi.apiserver import forms_binary  # Go's clients ask for it

        return forms_binary.pick(resource, whole, media)
    if media.convert == "Table":
        return Rows(resource, media.version, include, whole)
    if media.convert:
        return Partial(media.version)
    return whole
