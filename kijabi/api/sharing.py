"""Equal parts of cached objects made one: a pod stamped from a template costs 3 KiB in memory instead of 13.

Caches call this once for each object that they take in (the API server's watch caches, the clients' informers); it
is safe because nobody writes to an object from a cache. Members of `spec` repeat from object to object as a whole,
so they are found by their encoding; in metadata and status only texts repeat.
"""

from __future__ import annotations

from typing import Any

from kijabi.api import codec
from kijabi.api.meta import Object
from kijabi.api.struct import Struct

MAX_PARTS = 16_384
MAX_TEXTS = 65_536
_LONGEST = 64  # characters of a text that is likely to come again
# Texts that are each object's own; remembering them would only drive out the others.
_UNIQUE = frozenset({"name", "uid", "resourceVersion", "containerID", "podIP", "ip"})


class Sharing:
    """What a process has seen so far. When a table is full it starts anew; objects keep what they share."""

    def __init__(self) -> None:
        self._parts: dict[tuple[type, bytes], Any] = {}
        self._texts: dict[str, str] = {}

    def share(self, obj: Object, old: Object | None = None) -> None:
        """Replace parts of an object by equal ones seen before. Only for objects that nobody else holds yet.

        old: what it takes the place of; most writes leave the spec or the status as it was, and that is seen at once.
        """
        if len(self._parts) > MAX_PARTS:
            self._parts.clear()
        if len(self._texts) > MAX_TEXTS:
            self._texts.clear()
        spec = getattr(obj, "spec", None)
        for attribute in obj.__struct_fields__:
            value = getattr(obj, attribute)
            if isinstance(value, Struct):
                if old is not None and (same := getattr(old, attribute)) == value:
                    setattr(obj, attribute, same)
                elif value is spec:
                    self._share_parts(spec)
                else:
                    self._share_texts(value)
            elif value.__class__ is str and attribute in ("kind", "apiVersion"):
                setattr(obj, attribute, self._texts.setdefault(value, value))

    def _share_parts(self, spec: Struct) -> None:
        for attribute in spec.__struct_fields__:
            value = getattr(spec, attribute)
            if not value:
                continue
            kind = value.__class__
            if kind is str:
                if len(value) <= _LONGEST:
                    setattr(spec, attribute, self._texts.setdefault(value, value))
            elif kind is tuple or kind is dict or isinstance(value, Struct):
                setattr(spec, attribute, self._parts.setdefault((kind, codec.encode_part(value)), value))

    def _share_texts(self, part: Struct) -> None:
        texts = self._texts
        for attribute in part.__struct_fields__:
            value = getattr(part, attribute)
            if not value:
                continue
            kind = value.__class__
            if kind is str:
                if len(value) <= _LONGEST and attribute not in _UNIQUE:
                    setattr(part, attribute, texts.setdefault(value, value))
            elif attribute == "ownerReferences":
                setattr(part, attribute, self._parts.setdefault((kind, codec.encode_part(value)), value))
            elif kind is tuple:
                for item in value:
                    if isinstance(item, Struct):
                        self._share_texts(item)
            elif kind is dict:
                for key, item in value.items():
                    if item.__class__ is str and len(item) <= _LONGEST:
                        value[key] = texts.setdefault(item, item)
            elif isinstance(value, Struct):
                self._share_texts(value)
