"""Puts the version 2 document together from pieces that were encoded before, as JSON or as protobuf.

`serving.py` keeps a Part for each group and version in the forms that were asked for, so a change costs its own part
and the joining of bytes. What is named twice (ObjectMeta, say) is taken from the first part that has it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from kijabi.apiserver.document import Document
from kijabi.apiserver.openapi import gnostic
from kijabi.apiserver.openapi.paths import INFO
from kijabi.apiserver.openapi.version2 import Pieces

SWAGGER = "2.0"
SLICE = 32  # entries that are encoded between two looks at everything else
_encode = msgspec.json.encode


class Part(NamedTuple):
    """One group and version, encoded: paths and definitions by name."""

    paths: dict[str, bytes]
    definitions: dict[str, bytes]
    digest: bytes


class Form(NamedTuple):
    """A way to write the document. path and definition write one entry, join the whole of joined entries."""

    media: str
    separator: bytes
    path: Callable[[str, Mapping[str, Any]], bytes]
    definition: Callable[[str, Mapping[str, Any]], bytes]
    join: Callable[[bytes, bytes], bytes]


def _entry(name: str, value: Mapping[str, Any]) -> bytes:
    return b"%b:%b" % (_encode(name), _encode(value))


def _join(paths: bytes, definitions: bytes) -> bytes:
    head = b'{"swagger":%b,"info":%b' % (_encode(SWAGGER), _encode(INFO))
    return b'%b,"paths":{%b},"definitions":{%b}}' % (head, paths, definitions)


JSON = Form("application/json", b",", _entry, _entry, _join)
PROTOBUF = Form(
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", b"", gnostic.path, gnostic.definition,
    lambda paths, definitions: gnostic.document(SWAGGER, INFO, paths, definitions),
)  # fmt: skip


async def part(form: Form, pieces: Pieces) -> Part:
    """Encode pieces, other requests having their turn. Raises TypeError, ValueError … for what is no OpenAPI."""
    paths = await _written(form.path, pieces.paths)
    definitions = await _written(form.definition, pieces.definitions)
    digest = hashlib.sha512()
    for body in (*paths.values(), *definitions.values()):
        digest.update(body)
    return Part(paths, definitions, digest.digest())


async def _written(write: Callable[[str, Mapping[str, Any]], bytes], entries: Mapping[str, Any]) -> dict[str, bytes]:
    found = {}
    for n, (name, entry) in enumerate(entries.items(), 1):
        found[name] = write(name, entry)
        if n % SLICE == 0:
            await asyncio.sleep(0)
    return found


def merge(form: Form, parts: Iterable[Part]) -> Document:
    """The whole document; its digest is made of those of the parts. What parts have in common they share afterwards."""
    paths: dict[str, bytes] = {}
    definitions: dict[str, bytes] = {}
    digest = hashlib.sha512(form.media.encode())
    for each in parts:
        for known, more in ((paths, each.paths), (definitions, each.definitions)):
            for name, entry in more.items():
                more[name] = kept if (kept := known.setdefault(name, entry)) == entry else entry
        digest.update(each.digest)
    body = form.join(form.separator.join(paths.values()), form.separator.join(definitions.values()))
    return Document(body, digest.hexdigest().upper())
