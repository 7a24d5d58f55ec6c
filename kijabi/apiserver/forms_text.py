"""Lists for people to read: in YAML, or indented, each made of a form in JSON an element at a time.

`listing.py` puts them around the form that `forms.pick` gave. Objects that stand alone are converted as a whole
(`call.encoded`, `negotiate.finish`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from kijabi.apiserver.forms import Envelope, Form
from kijabi.apiserver.negotiate import JSON, YAML
from kijabi.apiserver.watchcache import Item


class _Around:
    """A form in JSON, written otherwise: lists only."""

    def __init__(self, inner: Form) -> None:
        self.inner = inner
        self.key: Any = (type(self).__name__, inner.key)
        self.sized = inner.sized

    def object(self, item: Item, revision: int) -> bytes:
        """See Form."""
        return self.inner.object(item, revision)

    def frame(self, kind: str, item: Item, revision: int, first: bool) -> bytes:
        """See Form."""
        return self.inner.frame(kind, item, revision, first)

    def bookmark(self, revision: int, initial_end: bool) -> bytes:
        """See Form."""
        return self.inner.bookmark(revision, initial_end)


def _indent(data: bytes) -> bytes:
    return msgspec.json.format(data, indent=2)


class Indented(_Around):
    """Indented as for people; what `negotiate.finish` makes of a whole list, an element at a time."""

    media = JSON
    grain = 8

    def elements(self, items: Iterable[Item]) -> list[bytes]:
        """See Form."""
        return [b"    " + _indent(each).replace(b"\n", b"\n    ") for each in self.inner.elements(items)]

    def enclose(self, size: int, meta: dict[str, Any]) -> Envelope:
        """See Form."""
        head, _, tail = self.inner.enclose(size, meta)
        empty = _indent(head + tail)
        end = empty.rindex(b"[]") + 1
        return Envelope(empty[:end] + b"\n", b",\n", b"\n  " + empty[end:] + b"\n")


class Yaml(_Around):
    """In YAML: what a whole list would be, an element at a time."""

    media = YAML
    grain = 1

    def __init__(self, inner: Form) -> None:
        super().__init__(inner)
        import yaml  # hardly a client asks for it

        self._write: Callable[[Any], bytes] = lambda value: yaml.dump(
            value, Dumper=yaml.CSafeDumper, sort_keys=True
        ).encode()

    def elements(self, items: Iterable[Item]) -> list[bytes]:
        """See Form."""
        return [self._write([msgspec.json.decode(each)]) for each in self.inner.elements(items)]

    def enclose(self, size: int, meta: dict[str, Any]) -> Envelope:
        """See Form. Keys are in order, so some come after the elements."""
        head, _, tail = self.inner.enclose(size, meta)
        around = msgspec.json.decode(head + tail)
        name = next(reversed(around))  # of the elements
        before = {key: value for key, value in around.items() if key < name}
        after = {key: value for key, value in around.items() if key > name}
        opened = f"{name}:\n" if size else f"{name}: []\n"
        return Envelope(self._write(before) + opened.encode(), b"", self._write(after) if after else b"")
