"""A cache that follows the server: list, watch, and say what changed.

Controllers, scheduler and kubelet read objects from informers and are told of changes by their handlers; they
never write to what they read here. The protocol is a state machine, drawn at `State`; `_next` decides what
follows an end or an error and does nothing else. What clients ask of a cache is client-go's `tools/cache` in
fewer parts.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from kijabi.api.meta import Object
from kijabi.api.sharing import Sharing
from kijabi.api.struct import NO_JSON
from kijabi.base import clock, rand
from kijabi.base.backoff import Backoff
from kijabi.base.errors import ApiError, BadRequest, ConnectionLost, Expired, Gone, Invalid
from kijabi.base.tasks import wait_for_event
from kijabi.client.cache import Cache, Handler, Index, key_of
from kijabi.client.client import Client, WatchEvent

T = TypeVar("T", bound=Object)

log = logging.getLogger(__name__)

# Objects of a page where the server cannot stream the initial state.
PAGE = 500
# A watch is asked to end after so many seconds, by chance between them, so that connections spread
# (client-go).
WATCH_SECONDS = (300, 600)
# A watch that ends sooner than this, in seconds, and brought nothing counts as failed: do not hammer the
# server.
SHORT = 1.0


@dataclass(frozen=True)
class Empty:
    """Nothing is known, or what is known is too old: bring everything anew."""


@dataclass(frozen=True)
class Collecting(Generic[T]):
    """The server streams everything there is (sendInitialEvents), up to the bookmark that ends it."""

    found: dict[str, T] = field(default_factory=dict)


@dataclass(frozen=True)
class Paging(Generic[T]):
    """Everything comes page by page, from servers without sendInitialEvents."""

    found: dict[str, T] = field(default_factory=dict)
    cont: str = ""


@dataclass(frozen=True)
class Following:
    """The cache is whole as of this resource version; changes after it are watched."""

    version: str


# Empty → Collecting → Following ↺, or Empty → Paging ↺ → Following ↺; too old or lost on the way: back to
# Empty.
State = Empty | Collecting[Any] | Paging[Any] | Following


def without_managed_fields(obj: T) -> T:
    """The object without its managedFields: a third of a pod's memory, and only the server needs them."""
    obj.metadata.managedFields = NO_JSON
    return obj


class Informer(Generic[T]):
    """The objects of one type, in a namespace or in all, that match the selectors.

    The lifecycle: make it, add handlers, give `run()` to a task, `await wait_synced()`, read. Handlers are
    called synchronously, in order: (None, new) for an addition, (old, new) for a change, (old, None) for a
    deletion; changes may be merged but the last state always comes. transform: keep its result instead of the
    object; it may return the object itself, shortened in place, for nobody else has seen it.
    """

    def __init__(
        self,
        client: Client,
        cls: type[T],
        *,
        namespace: str = "",
        fields: str = "",
        labels: str = "",
        indexes: Mapping[str, Index[T]] | None = None,
        transform: Callable[[T], T] = without_managed_fields,
    ) -> None:
        self.cls = cls
        self.state: State = Empty()
        self._client = client
        self._scope = {"namespace": namespace, "fields": fields, "labels": labels}
        self._transform = transform
        self._cache: Cache[T] = Cache(indexes or {})
        self._synced = asyncio.Event()
        self._retry = asyncio.Event()
        self._backoff = Backoff(first=0.1, most=30.0)
        self._streams = True  # whether the server knows sendInitialEvents

    # Reading

    @property
    def synced(self) -> bool:
        """Whether the whole state was there once."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        """Wait until the whole state was there once."""
        await self._synced.wait()

    @property
    def version(self) -> str:
        """The resource version that the cache has reached; empty before it is synced."""
        return self.state.version if isinstance(self.state, Following) else ""

    def get(self, key: str) -> T | None:
        """The object under "namespace/name", or "name" without a namespace."""
        return self._cache.objects.get(key)

    def items(self) -> Collection[T]:
        """All objects; do not hold on to it across an await."""
        return self._cache.objects.values()

    def index(self, name: str, value: str) -> tuple[T, ...]:
        """The objects for which an index function gives this value, as they are now."""
        return self._cache.index(name, value)

    def index_values(self, name: str) -> Collection[str]:
        """The values for which an index has objects."""
        return self._cache.index_values(name)

    def __len__(self) -> int:
        return len(self._cache.objects)

    def verify(self) -> None:
        """Raise MutatedCache if anybody wrote to an object; see `cache.DETECT_MUTATIONS`."""
        self._cache.verify()

    # Being told

    def add_handler(self, handler: Handler[T]) -> None:
        """Call `handler(old, new)` for every change; for what is there already, at once as additions."""
        self._cache.add_handler(handler)

    def remove_handler(self, handler: Handler[T]) -> None:
        """Stop calling a handler."""
        self._cache.handlers.remove(handler)

    def add_index(self, name: str, function: Index[T]) -> None:
        """Index by one more function; adding the same one again is nothing to do."""
        self._cache.add_index(name, function)

    # Following the server

    async def run(self) -> None:
        """Follow the server until cancelled."""
        while True:
            before = self.state
            error: ApiError | ConnectionLost | None = None
            try:
                await self._step()
            except (ApiError, ConnectionLost) as caught:
                error = caught
            self._next(error)
            if isinstance(before, Following) and isinstance(error, Expired | Gone):
                continue  # nothing is wrong with the server: bring everything anew, at once
            if error is not None:
                await self._wait(error)

    async def _wait(self, error: ApiError | ConnectionLost) -> None:
        """The back-off after an error, shorter if `retry` is called."""
        wait = self._backoff.next()
        log.log(
            logging.INFO if isinstance(error, ConnectionLost | Expired | Gone) else logging.WARNING,
            "watch interrupted",
            extra={"kind": self.cls.__name__, "error": str(error), "retry_in": round(wait, 3)},
        )
        self._retry.clear()
        await wait_for_event(self._retry, wait)

    def retry(self) -> None:
        """The server has come up: whatever is waited for after an error, try now."""
        self._backoff.reset()
        self._retry.set()

    async def _step(self) -> None:
        """Do what the state asks for until it is done, the connection ends, or an error is raised."""
        match self.state:
            case Empty():
                self.state = Collecting() if self._streams else Paging()
            case Paging(found, cont):
                await self._page(found, cont)
            case Collecting():
                await self._watch("", initial_events=True)
            case Following(version):
                await self._watch(version, initial_events=False)

    def _next(self, error: ApiError | ConnectionLost | None) -> None:
        """The state after a step ended by itself (None) or by an error."""
        match self.state, error:
            case Following(), Expired() | Gone():
                self.state = Empty()
            case Collecting(), BadRequest() | Invalid():
                self._streams = False
                self.state = Empty()
            case Collecting() | Paging(), ApiError() | ConnectionLost():
                self.state = Empty()

    async def _page(self, found: dict[str, T], cont: str) -> None:
        page = await self._client.list(self.cls, **self._scope, limit=PAGE, cont=cont)
        for obj in page.items:
            found[key_of(obj)] = self._kept(obj)
        if page.cont:
            self.state = Paging(found, page.cont)
        else:
            await self._whole(found, page.resourceVersion)

    async def _watch(self, version: str, *, initial_events: bool) -> None:
        events = self._client.watch(
            self.cls,
            **self._scope,
            resource_version=version,
            initial_events=initial_events,
            timeout=rand.rng().randint(*WATCH_SECONDS),
        )
        started, seen = clock.monotonic(), 0
        async with aclosing(events):  # type: ignore[type-var]
            async for event in events:
                await self._take(event)
                seen += 1
        if isinstance(self.state, Collecting):
            raise ConnectionLost("the watch ended before its initial events did")
        if not seen and clock.monotonic() - started < SHORT:
            raise ConnectionLost("the watch ended at once")

    async def _take(self, event: WatchEvent[T]) -> None:
        """Apply one event of a watch to the state that it finds."""
        obj: Any = event.object
        match self.state, event.type:
            case Collecting(found), "BOOKMARK":
                if event.ends_initial:
                    await self._whole(found, obj.metadata.resourceVersion)
            case Collecting(found), "DELETED":
                found.pop(key_of(obj), None)
            case Collecting(found), _:
                found[key_of(obj)] = self._kept(obj)
            case Following(), kind:
                version = obj.metadata.resourceVersion
                if kind == "DELETED":
                    self._cache.remove(key_of(obj), self._kept(obj))
                elif kind != "BOOKMARK":
                    self._cache.put(key_of(obj), self._kept(obj))
                self.state = Following(version)
                self._backoff.reset()

    async def _whole(self, found: dict[str, T], version: str) -> None:
        for _ in self._cache.replace(found):
            await asyncio.sleep(0)
        self.state = Following(version)
        self._backoff.reset()
        if not self._synced.is_set():
            log.debug("synced", extra={"kind": self.cls.__name__, "objects": len(found)})
            self._synced.set()

    def _kept(self, obj: T) -> T:
        return self._transform(obj)


class Informers:
    """One informer for each type and selection, shared by all who ask.

    The lifecycle: `of(…)` for each type, `run()` in a task, `await wait_synced()`. An informer asked for
    later is started at once.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self._sharing = Sharing()
        self._informers: dict[tuple[type[Object], str, str, str], Informer[Any]] = {}
        self._started: asyncio.TaskGroup | None = None

    def of(
        self,
        cls: type[T],
        *,
        namespace: str = "",
        fields: str = "",
        labels: str = "",
        indexes: Mapping[str, Index[T]] | None = None,
        transform: Callable[[T], T] | None = None,
    ) -> Informer[T]:
        """The informer of a type and selection; its indexes are those of all who asked.

        transform: that of whoever asked first. Without one objects lose their managed fields and share equal parts.
        """
        place = (cls, namespace, fields, labels)
        informer = self._informers.get(place)
        if informer is None:
            keep = transform or self._compact
            informer = Informer(self.client, cls, namespace=namespace, fields=fields, labels=labels, transform=keep)
            self._informers[place] = informer
            if self._started is not None:
                self._start(self._started, informer)
        for name, function in (indexes or {}).items():
            informer.add_index(name, function)
        return informer

    def _compact(self, obj: T) -> T:
        self._sharing.share(without_managed_fields(obj))
        return obj

    def __iter__(self) -> Iterable[Informer[Any]]:
        return iter(self._informers.values())

    def _start(self, group: asyncio.TaskGroup, informer: Informer[Any]) -> None:
        group.create_task(informer.run(), name=f"informer/{informer.cls.__name__}")

    async def run(self) -> None:
        """Run all informers, those asked for later too, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._started = group
            try:
                for informer in self._informers.values():
                    self._start(group, informer)
                await asyncio.Event().wait()
            finally:
                self._started = None

    def verify(self) -> None:
        """See `Informer.verify`, of all."""
        for informer in self._informers.values():
            informer.verify()

    def retry(self) -> None:
        """The server has come up: whoever waits after an error shall try now."""
        for informer in self._informers.values():
            informer.retry()

    async def wait_synced(self) -> None:
        """Wait until every informer asked for so far is synced."""
        for informer in tuple(self._informers.values()):
            await informer.wait_synced()
