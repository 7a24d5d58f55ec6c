"""Objects in memory, read as the watch caches are: for tests of authorisation, admission and subresources alone.

Fulfils `apiserver.attributes.Reader`. What is put or deleted is told to subscribers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from kijabi.api.struct import Struct

T = TypeVar("T", bound=Struct)
_Changed = Callable[[Any, Any], None]


class Objects:
    """A reader over a dictionary."""

    def __init__(self, *objects: Any) -> None:
        self._objects: dict[type[Any], dict[tuple[str, str], Any]] = {}
        self._subscribers: dict[type[Any], list[_Changed]] = {}
        self.put(*objects)

    def put(self, *objects: Any) -> None:
        """Create or replace objects."""
        for obj in objects:
            kind, key = type(obj), (obj.metadata.namespace, obj.metadata.name)
            old = self._objects.setdefault(kind, {}).get(key)
            self._objects[kind][key] = obj
            for changed in self._subscribers.get(kind, ()):
                changed(old, obj)

    def delete(self, cls: type[Any], name: str, namespace: str = "") -> None:
        """Delete an object that is there."""
        old = self._objects[cls].pop((namespace, name))
        for changed in self._subscribers.get(cls, ()):
            changed(old, None)

    def serves(self, cls: type[Struct]) -> bool:
        """See Reader: anything."""
        return True

    def get(self, cls: type[T], name: str, namespace: str = "") -> T | None:
        """See Reader."""
        found: T | None = self._objects.get(cls, {}).get((namespace, name))
        return found

    def items(self, cls: type[T], namespace: str = "") -> Iterable[T]:
        """See Reader."""
        there = self._objects.get(cls, {}).items()
        return [obj for (where, _), obj in there if not namespace or where == namespace]

    def index(self, cls: type[T], index: str, value: str) -> Iterable[T]:
        """See Reader."""
        parts = index.split(".")
        found = []
        for obj in self.items(cls):
            field: Any = obj
            for part in parts:
                field = getattr(field, part)
            if field == value:
                found.append(obj)
        return found

    def subscribe(self, cls: type[T], changed: Callable[[T | None, T | None], None]) -> None:
        """See Reader."""
        self._subscribers.setdefault(cls, []).append(changed)
        for obj in self._objects.get(cls, {}).values():
            changed(None, obj)
