"""The current objects of every resource, exact and decoded, and the recent history that watches resume from.

`Caches` loads the store once and then follows it with one watch over everything; it is the only reader of the store
on the hot path. `registry.py` reads objects from here and announces its writes (`expect`), so that an object is
decoded once; `watch.py` watchers, authorisation, admission and allocators are told of every event. Objects and
bytes are shared: nobody writes to them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from operator import attrgetter
from typing import Any, Protocol, TypeVar

import msgspec

from kijabi.api import codec
from kijabi.api.custom import Custom
from kijabi.api.resource import Resource
from kijabi.api.sharing import Sharing
from kijabi.api.struct import Struct
from kijabi.apiserver.delivery import Delivery
from kijabi.apiserver.ordered import Ordered
from kijabi.apiserver.watch import Watcher
from kijabi.base import clock
from kijabi.base.errors import KijabiError
from kijabi.store.interface import Compacted, Entry, Store, StoreClosed
from kijabi.store.interface import Event as StoreEvent

T = TypeVar("T", bound=Struct)
log = logging.getLogger(__name__)

ROOT = "/registry/"
EVERYTHING = "/"
HISTORY_SECONDS = 75.0  # events younger than this are kept for watches that resume …
HISTORY_LIMIT = 16_384  # … but never more of one resource than this
HISTORY_LEAST = 128  # and this many however old
LOAD_PAGE = 2_000  # entries a range at start
FOLLOW_RETRY = 0.5  # seconds before following the store again after it lost us
_META = b'"metadata":{'
_KEY = attrgetter("key")


class Item(msgspec.Struct, gc=False, eq=False):
    """One object as stored at one revision: decoded, and as JSON bytes without its resourceVersion.

    key is `namespace/name`, or `name`.
    """

    key: str
    namespace: str
    name: str
    obj: Any
    value: bytes
    revision: int

    def tail(self) -> bytes:
        """The bytes that follow `"metadata":{`."""
        return self.value[self.value.index(_META) + len(_META) :]


class Event(msgspec.Struct, gc=False, eq=False):
    """One write to one object: old is None when it was created, new when it was deleted.

    frames holds the encoded watch events by (type, form key) while the event is published: each is encoded once
    for all watchers.
    """

    revision: int
    time: float
    old: Item | None
    new: Item | None
    frames: dict[Any, bytes]


class Cache:
    """The objects of one stored resource in key order, with indexes, history, watchers and subscribers."""

    def __init__(self, resource: Resource, indexed: Sequence[str] = ()) -> None:
        self.resource = resource
        self.cls = resource.type
        self.prefix = f"{ROOT}{resource.group or 'core'}/{resource.plural}/"
        self.items: dict[str, Item] = {}
        self.ordered = Ordered()
        self.history: deque[Event] = deque()
        self.floor = 0  # events at or before this revision are not in the history
        self.changed = 0  # revision of the last event
        self.watchers: dict[tuple[str, str], dict[Watcher, None]] = {}
        self.delivery = Delivery()
        self.subscribers: list[Callable[[Any, Any], None]] = []
        self.followers: list[Follower] = []
        self.ending = False  # the resource itself is being deleted: no objects may be made any more
        getters = dict(resource.fields)
        self.getters = {field: getters[field] for field in indexed if field in getters}
        self.indexes: dict[str, dict[str, dict[str, Item]]] = {field: {} for field in self.getters}

    def clear(self, revision: int) -> None:
        """Begin anew at a revision."""
        self.items.clear()
        self.ordered.clear()
        self.history.clear()
        for index in self.indexes.values():
            index.clear()
        self.floor = self.changed = revision

    def get(self, key: str) -> Item | None:
        """The item of `namespace/name` or `name`."""
        return self.items.get(key)

    def range(self, namespace: str = "", after: str = "") -> Iterator[Item]:
        """The items of this moment in key order, of one namespace or all, from the first key >= `after`."""
        return self.ordered.between(*_bounds(namespace, after))

    def count(self, namespace: str = "", after: str = "") -> int:
        """How many items `range` would give."""
        return self.ordered.count(*_bounds(namespace, after))

    def past(self, revision: int, namespace: str = "", after: str = "") -> tuple[Iterator[Item], int]:
        """As `range` and `count`, at a revision that is not before `floor`."""
        start, end = _bounds(namespace, after)
        then: dict[str, Item | None] = {}  # as they were, where they have changed
        for event in reversed(self.history):
            if event.revision <= revision:
                break
            key = (event.new or event.old).key  # type: ignore[union-attr]
            if start <= key and (not end or key < end):
                then[key] = event.old
        present, count = self.ordered.between(start, end), self.ordered.count(start, end)
        if not then:
            return present, count
        gone = sorted((old for key, old in then.items() if old is not None and key not in self.items), key=_KEY)
        count += len(gone) - sum(old is None and key in self.items for key, old in then.items())
        kept = (old for item in present if (old := then.get(item.key, item)) is not None)
        return (merge(kept, gone, key=_KEY) if gone else kept), count

    def index(self, field: str, value: str) -> Iterable[Item]:
        """Items whose indexed field is `value`, in no order. KeyError for a field that is not indexed."""
        return tuple(self.indexes[field].get(value, {}).values())

    def put(self, item: Item) -> Item | None:
        """Replace or add one item; the one that was there."""
        key, old = item.key, self.items.get(item.key)
        self.items[key] = item
        self.ordered.put(item)
        for field, getter in self.getters.items():
            value = getter(item.obj)
            if old is not None:
                before = getter(old.obj)
                if before != value:
                    self._unindex(field, before, key)
            self.indexes[field].setdefault(value, {})[key] = item
        return old

    def pop(self, key: str) -> Item | None:
        """Remove one item; the one that was there."""
        old = self.items.pop(key, None)
        if old is not None:
            self.ordered.remove(key)
            for field, getter in self.getters.items():
                self._unindex(field, getter(old.obj), key)
        return old

    def _unindex(self, field: str, value: str, key: str) -> None:
        bucket = self.indexes[field].get(value)
        if bucket is not None:
            bucket.pop(key, None)
            if not bucket:
                del self.indexes[field][value]

    def publish(self, event: Event) -> None:
        """Remember an event and offer it to the watchers that may care and to all subscribers."""
        self.changed = event.revision
        history = self.history
        history.append(event)
        oldest = event.time - HISTORY_SECONDS
        while len(history) > HISTORY_LEAST and (len(history) > HISTORY_LIMIT or history[0].time < oldest):
            self.floor = history.popleft().revision
        if self.watchers:
            found: list[Watcher] = []
            for bucket in self.buckets(event):
                found.extend(self.watchers.get(bucket, ()))
            if found:
                self.delivery.send(event, found)
        for follower in self.followers:
            follower.offer(event)
        before = event.old.obj if event.old else None
        after = event.new.obj if event.new else None
        for changed in self.subscribers:
            changed(before, after)

    def buckets(self, event: Event) -> Iterator[tuple[str, str]]:
        """Where the watchers stand that this event can concern: for all, a namespace, a name, an indexed field."""
        item = event.new or event.old
        assert item is not None
        yield ("", "")
        yield ("metadata.name", item.key)
        if item.namespace:
            yield ("metadata.namespace", item.namespace)
        for field, getter in self.getters.items():
            values = {getter(each.obj) for each in (event.old, event.new) if each is not None}
            for value in sorted(values):
                yield (field, value)

    def attach(self, watcher: Watcher) -> None:
        """Offer events to a watcher from now on."""
        self.watchers.setdefault(watcher.bucket, {})[watcher] = None

    def detach(self, watcher: Watcher) -> None:
        """Stop; idempotent."""
        bucket = self.watchers.get(watcher.bucket)
        if bucket is not None:
            bucket.pop(watcher, None)
            if not bucket:
                del self.watchers[watcher.bucket]

    def cut_watchers(self) -> None:
        """End every watch: what follows is no continuation of what they have seen."""
        for bucket in tuple(self.watchers.values()):
            for watcher in tuple(bucket):
                watcher.close()
        for follower in self.followers:
            follower.reset()


def _bounds(namespace: str, after: str) -> tuple[str, str]:
    """The first key and the end of a namespace's keys, or of all: no end."""
    return (max(f"{namespace}/", after), f"{namespace}0") if namespace else (after, "")


class Follower(Protocol):
    """What makes other items of a cache's: those of a custom resource in one of its versions."""

    def offer(self, event: Event) -> None:
        """Take an event; called in order, before the subscribers."""
        ...

    def reset(self) -> None:
        """What follows is no continuation of what was offered."""
        ...


class Caches:
    """All caches, kept level with the store by one task (`run`). Also the Reader that authorisation and admission use.

    `load` first, then `run` for as long as the server lives. Reads after `await fresh()` see every write that the
    store had acknowledged before.
    """

    def __init__(self, store: Store, resources: Iterable[Resource]) -> None:
        self.store = store
        self.revision = 0
        self.by_prefix: dict[str, Cache] = {}
        self.by_type: dict[type[Struct], Cache] = {}
        self._expected: dict[str, tuple[bytes, Any]] = {}
        self._sharing = Sharing()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._loaded = asyncio.Event()
        self.ended = False  # whether `run` has come to its end: nothing new will be seen
        for resource in resources:
            self.add(resource)

    def add(self, resource: Resource) -> Cache:
        """Serve a resource that is stored under its own group and name."""
        cache = Cache(resource, INDEXED.get(resource.qualified, ()))
        self.by_prefix[cache.prefix] = cache
        self.by_type.setdefault(resource.type, cache)
        return cache

    def custom(self, group: str, plural: str) -> Cache | None:
        """The cache of a custom resource's stored objects, in whatever versions they are.

        None if the server itself brings a resource of that name, which nobody can take. It is there as soon as the
        store has objects of that name, whether or not they are served: so nothing needs to be read when their
        definition comes, and what comes meanwhile is not missed.
        """
        found = self.by_prefix.get(f"{ROOT}{group}/{plural}/")
        if found is None:
            found = Cache(Resource(group=group, version="", kind="", plural=plural, type=Custom))
            found.clear(self.revision)
            self.by_prefix[found.prefix] = found
        return found if found.cls is Custom else None

    def drop(self, cache: Cache) -> None:
        """Forget a custom resource; its objects, if it has any, stay."""
        cache.ending = True  # for writes that are under way
        cache.cut_watchers()
        if not cache.items:
            self.by_prefix.pop(cache.prefix, None)

    def of(self, resource: Resource) -> Cache:
        """The cache where a resource's objects are stored."""
        return self.by_prefix[f"{ROOT}{resource.group or 'core'}/{resource.plural}/"]

    # Following the store

    async def load(self) -> None:
        """Read everything at one revision. Watches that resume from before it get Expired."""
        revision, start = 0, ROOT
        loaded: list[tuple[Cache, Item]] = []
        while True:
            page = await self.store.range(start, "/registry0", revision=revision, limit=LOAD_PAGE)
            revision = page.revision
            for entry in page.entries:
                place = self._split(entry.key)
                item = self._decode(*place, entry) if place is not None else None
                if place is not None and item is not None:
                    loaded.append((place[0], item))
            if not page.more:
                break
            start = page.entries[-1].key + "\0"
        for cache in self.by_prefix.values():
            cache.clear(revision)
        for cache, item in loaded:
            cache.put(item)
        self._reached(revision)
        self._loaded.set()

    async def run(self) -> None:
        """Follow the store until it is closed; when it has lost us, end all watches, load again and go on."""
        try:
            while True:
                try:
                    async for batch in self.store.watch(EVERYTHING, self.revision):
                        self._apply(batch)
                    return
                except Compacted:
                    log.warning("the watch cache fell behind the store: loading everything again")
                await asyncio.sleep(FOLLOW_RETRY)
                await self._reload()
        finally:
            self.ended = True
            self._give_up()

    def _give_up(self) -> None:
        """Nothing more will be seen: end all watches, and the waiting of those who wait for a revision."""
        for cache in self.by_prefix.values():
            cache.cut_watchers()
        waiting, self._waiters = self._waiters, []
        for _, waiter in waiting:
            if not waiter.done():
                waiter.set_exception(StoreClosed("the store is closed"))

    async def _reload(self) -> None:
        before = {cache.prefix: dict(cache.items) for cache in self.by_prefix.values()}
        for cache in self.by_prefix.values():
            cache.cut_watchers()
        await self.load()
        for cache in self.by_prefix.values():
            old = before.get(cache.prefix, {})
            for key in old.keys() | cache.items.keys():
                was, now = old.get(key), cache.items.get(key)
                if was is None or now is None or was.revision != now.revision:
                    for changed in cache.subscribers:
                        changed(was.obj if was else None, now.obj if now else None)

    def _split(self, key: str) -> tuple[Cache, str] | None:
        """The cache that a store key belongs to, and the key within it."""
        end = key.find("/", key.find("/", len(ROOT)) + 1) + 1
        cache = self.by_prefix.get(key[:end])
        if cache is None:
            group, _, plural = key[len(ROOT) : end - 1].partition("/")
            if "." not in group or not plural or not key.startswith(ROOT):
                return None
            cache = self.custom(group, plural)
        return (cache, key[end:]) if cache is not None else None

    def _decode(self, cache: Cache, key: str, entry: Entry) -> Item | None:
        """An entry as an Item, without decoding what this server has just written; None if it cannot be read."""
        expected = self._expected.pop(entry.key, None)
        if expected is not None and expected[0] == entry.value:
            obj = expected[1]
        else:
            try:
                obj = codec.decode(cache.cls, entry.value)
            except (KijabiError, msgspec.MsgspecError, ValueError) as problem:
                log.error("stored object %s cannot be decoded and is not served: %s", entry.key, problem)
                return None
        obj.metadata.resourceVersion = str(entry.revision)
        old = cache.get(key)
        self._sharing.share(obj, old.obj if old is not None else None)
        namespace, _, name = key.rpartition("/")
        return Item(key, namespace, name, obj, entry.value, entry.revision)

    def _apply(self, batch: Sequence[StoreEvent]) -> None:
        now = clock.monotonic()
        for change in batch:
            found = self._split(change.key)
            if found is None:
                continue
            cache, key = found
            new = self._decode(cache, key, change.entry) if change.entry is not None else None
            old = cache.put(new) if new is not None else cache.pop(key)
            if old is not None or new is not None:
                cache.publish(Event(change.revision, now, old, new, {}))
        self._reached(batch[-1].revision)

    def _reached(self, revision: int) -> None:
        self.revision = revision
        if self._waiters:
            waiting, self._waiters = self._waiters, []
            for target, waiter in waiting:
                if target > revision:
                    self._waiters.append((target, waiter))
                elif not waiter.done():
                    waiter.set_result(None)

    # Reading

    async def fresh(self) -> int:
        """Wait until everything that the store has acknowledged is visible here; the revision reached."""
        target = self.store.revision
        if self.revision < target:
            await self.reach(target)
        return self.revision

    async def reach(self, revision: int) -> None:
        """Wait until the event at a revision that the store has acknowledged is visible here."""
        if self.revision < revision:
            if self.ended:
                raise StoreClosed("the store is closed")
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((revision, waiter))
            await waiter

    @property
    def ready(self) -> bool:
        """Whether the first load is done."""
        return self._loaded.is_set()

    def expect(self, key: str, value: bytes, obj: Any) -> None:
        """Announce a write: when it comes back from the store, `obj` is what `value` decodes to. Do not write to it."""
        self._expected[key] = (value, obj)

    def forget(self, key: str, value: bytes) -> None:
        """The announced write did not happen."""
        expected = self._expected.get(key)
        if expected is not None and expected[0] is value:
            del self._expected[key]

    # Reader (attributes.py)

    def get(self, cls: type[T], name: str, namespace: str = "") -> T | None:
        """The object, or None."""
        item = self.by_type[cls].get(f"{namespace}/{name}" if namespace else name)
        return item.obj if item is not None else None

    def serves(self, cls: type[Struct]) -> bool:
        """See Reader."""
        return cls in self.by_type

    def items(self, cls: type[T], namespace: str = "") -> Iterable[T]:
        """All objects of a type, or those of one namespace, in key order."""
        return (item.obj for item in self.by_type[cls].range(namespace))

    def index(self, cls: type[T], index: str, value: str) -> Iterable[T]:
        """Objects whose indexed field is `value`."""
        return (item.obj for item in self.by_type[cls].index(index, value))

    def subscribe(self, cls: type[T], changed: Callable[[T | None, T | None], None]) -> None:
        """Call `changed(old, new)` on each event from now on, and at once (None, obj) for each present."""
        cache = self.by_type[cls]
        cache.subscribers.append(changed)
        for item in cache.range():
            changed(None, item.obj)


# Fields that are asked for often enough to keep an index: kubelets list and watch their node's pods.
INDEXED: dict[str, tuple[str, ...]] = {"pods": ("spec.nodeName",)}
