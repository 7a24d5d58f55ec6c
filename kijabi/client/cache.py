"""What an informer holds: objects by key, indexes over them, handlers told of each change.

`client.informer` writes here what the server says; everybody else reads. With `DETECT_MUTATIONS` (tests turn
it on) each object's bytes are kept beside it, and an object that somebody wrote to is found out when it is
next replaced or by `Cache.verify`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from kijabi.api import codec
from kijabi.api.meta import Object
from kijabi.base.errors import KijabiError

T = TypeVar("T", bound=Object)

Handler = Callable[[T | None, T | None], None]
Index = Callable[[T], Iterable[str]]

# Objects that are replaced at once, handlers called, before others may run: a few milliseconds.
SLICE = 500

# Whether caches check that nobody writes to what they share; read when a cache is made.
DETECT_MUTATIONS = False


class MutatedCache(KijabiError):
    """Somebody wrote to an object of a cache; clone before you write."""


def key_of(obj: Any) -> str:
    """ "namespace/name", or "name" for what has no namespace."""
    meta = obj.metadata
    return f"{meta.namespace}/{meta.name}" if meta.namespace else str(meta.name)


class Cache(Generic[T]):
    """Objects by key with indexes; `put`, `remove` and `replace` tell the handlers."""

    def __init__(self, indexes: Mapping[str, Index[T]]) -> None:
        self.objects: dict[str, T] = {}
        self.handlers: list[Handler[T]] = []
        self._functions: dict[str, Index[T]] = {}
        self._indexes: dict[str, dict[str, dict[str, T]]] = {}
        self._witness: dict[str, bytes] | None = {} if DETECT_MUTATIONS else None
        for name, function in indexes.items():
            self.add_index(name, function)

    def index(self, name: str, value: str) -> tuple[T, ...]:
        """The objects for which an index gives this value, as they are now."""
        return tuple(self._indexes[name].get(value, {}).values())

    def index_values(self, name: str) -> Collection[str]:
        """The values for which an index has objects."""
        return self._indexes[name].keys()

    def add_index(self, name: str, function: Index[T]) -> None:
        """Index by one more function; the same again is nothing to do.

        Raises ValueError for another function under the same name.
        """
        known = self._functions.get(name)
        if known is not None:
            if known is not function:
                raise ValueError(f"there is another index called {name}")
            return
        self._functions[name] = function
        self._indexes[name] = {}
        for key, obj in self.objects.items():
            self._enter(name, function(obj), key, obj)

    def add_handler(self, handler: Handler[T]) -> None:
        """Tell a handler of every change from now on, and of what is there as additions."""
        self.handlers.append(handler)
        for obj in tuple(self.objects.values()):
            handler(None, obj)

    def put(self, key: str, new: T) -> None:
        """Add or replace an object."""
        old = self._store(key, new)
        self._tell(old, new)

    def remove(self, key: str, last: T | None = None) -> None:
        """Take an object out; handlers get its last state if it is known, for it says why it went."""
        old = self._drop(key)
        if old is not None:
            self._tell(last if last is not None else old, None)

    def replace(self, found: dict[str, T]) -> Iterator[None]:
        """Make this the whole state: what is not in it is gone, what has the same version has not changed.

        Yields every SLICE objects, for its caller to let others run.
        """
        for number, key in enumerate([key for key in self.objects if key not in found]):
            self.remove(key)
            if number % SLICE == SLICE - 1:
                yield
        for number, (key, new) in enumerate(found.items()):
            old = self.objects.get(key)
            if old is None or _version(old) != _version(new):
                self.put(key, new)
            if number % SLICE == SLICE - 1:
                yield

    def verify(self) -> None:
        """Raise MutatedCache if anybody wrote to an object here; only with `DETECT_MUTATIONS`."""
        for key, obj in self.objects.items():
            self._check(key, obj)

    def _store(self, key: str, new: T) -> T | None:
        old = self.objects.get(key)
        if self._witness is not None:
            if old is not None:
                self._check(key, old)
            self._witness[key] = codec.encode(new)
        self.objects[key] = new
        for name, function in self._functions.items():
            values = tuple(function(new))
            if old is not None:
                self._leave(name, (value for value in function(old) if value not in values), key)
            self._enter(name, values, key, new)
        return old

    def _drop(self, key: str) -> T | None:
        old = self.objects.pop(key, None)
        if old is None:
            return None
        if self._witness is not None:
            self._check(key, old)
            del self._witness[key]
        for name, function in self._functions.items():
            self._leave(name, function(old), key)
        return old

    def _enter(self, name: str, values: Iterable[str], key: str, obj: T) -> None:
        index = self._indexes[name]
        for value in values:
            index.setdefault(value, {})[key] = obj

    def _leave(self, name: str, values: Iterable[str], key: str) -> None:
        index = self._indexes[name]
        for value in values:
            group = index[value]
            group.pop(key, None)
            if not group:
                del index[value]

    def _tell(self, old: T | None, new: T | None) -> None:
        for handler in self.handlers:
            handler(old, new)

    def _check(self, key: str, obj: T) -> None:
        if self._witness is not None and codec.encode(obj) != self._witness[key]:
            raise MutatedCache(f"somebody wrote to the cached {type(obj).__name__} {key}")


def _version(obj: Any) -> str:
    return str(obj.metadata.resourceVersion)
