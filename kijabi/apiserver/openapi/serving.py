"""Answers requests for OpenAPI, versions 2 and 3, from documents that are made when first asked for and kept.

`plain.py` asks for `/openapi/...`. Each group and version is made by itself (`paths.py`, `version2.py`) and again
only when `routes.Routes` says that something there has changed; a document of the whole is joined from what is there.
Between two pieces other requests have their turn. Aggregated API servers' documents are handed in by `aggregation/`.
URLs of version 3 carry a hash, so clients may keep what is behind them for ever (KEP-2896).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from kijabi.apiserver import negotiate
from kijabi.apiserver.document import Document
from kijabi.apiserver.openapi import merge, paths
from kijabi.apiserver.openapi.schema import Names
from kijabi.apiserver.openapi.version2 import Pieces, convert
from kijabi.apiserver.routes import Routes
from kijabi.base.errors import NotAcceptable
from kijabi.client.transport import Request, Response

log = logging.getLogger(__name__)

ROOT = "/openapi/v3"
OLD_ROOT = "/openapi/v2"
FOREVER = "public, immutable"
EXPIRES = "Thu, 31 Dec 2099 23:59:59 GMT"  # a hash never means another document
# Each with its old name, which media types do not allow and clients ask for.
_OLD_BINARY = tuple(f"application/com.github.proto-openapi.spec.v2{at}v1.0+protobuf" for at in ".@")
_BINARY = tuple(f"application/com.github.proto-openapi.spec.v3{at}v1.0+protobuf" for at in ".@")
_FORMS = {negotiate.JSON: merge.JSON, **dict.fromkeys(_OLD_BINARY, merge.PROTOBUF)}
# What a schema can raise that nobody can describe: it takes only its own group and version with it.
_UNSPEAKABLE = (RecursionError, TypeError, ValueError, KeyError, AttributeError, OverflowError)
Key = tuple[str, str]  # group and version


class Foreign(NamedTuple):
    """What an aggregated API server says about one group and version. document: version 3, None if it has none."""

    document: Document | None
    pieces: Pieces


class OpenApi:
    """The documents of all groups."""

    def __init__(self, routes: Routes) -> None:
        self.routes = routes
        self.names = Names()
        self._foreign: dict[Key, Foreign] = {}
        self._documents: dict[Key, Document] = {}
        self._binary: dict[Key, Document] = {}
        self._index: Document | None = None
        self._parts: dict[tuple[str, Key], merge.Part] = {}
        self._merged: dict[str, Document] = {}
        self._generation = 0
        routes.listen(self.changed)

    def changed(self, group: str, version: str) -> None:
        """What is served under a group and version has changed."""
        key = (group, version)
        self._generation += 1
        self._index = None
        self._merged.clear()
        self._documents.pop(key, None)
        self._binary.pop(key, None)
        for form in (merge.JSON, merge.PROTOBUF):
            self._parts.pop((form.media, key), None)

    def publish(self, group: str, version: str, foreign: Foreign) -> None:
        """An aggregated API server's documents, in place of what was there."""
        if self._foreign.get((group, version)) != foreign:
            self._foreign[group, version] = foreign
            self.changed(group, version)

    def withdraw(self, group: str, version: str) -> None:
        """A group and version is no longer served by somebody else; nothing if it was not."""
        if self._foreign.pop((group, version), None) is not None:
            self.changed(group, version)

    async def answer(self, request: Request, path: str) -> Response | None:
        """The index, a document, or None where there is none. Raises NotAcceptable."""
        if path == OLD_ROOT:
            return await self._version_2(request)
        if path == ROOT:
            index = self._index or await self._list()
            return await index.respond(request, {"Content-Type": negotiate.JSON})
        if not path.startswith(f"{ROOT}/"):
            return None
        key = key_of(path.removeprefix(f"{ROOT}/"))
        found = await self._document(key) if key is not None else None
        return await self._versioned(request, path, key, found) if found is not None and key is not None else None

    async def _versioned(self, request: Request, path: str, key: Key, found: Document) -> Response:
        media = _accepted(request, (negotiate.JSON, *_BINARY))
        if media != negotiate.JSON:
            media, found = _BINARY[0], await self._binary_of(key, found)
        headers = {"Content-Type": media, "Vary": "Accept"}
        asked = request.param("hash")
        if asked and asked != found.digest:
            return Response(status=301, headers={"Location": f"{path}?hash={quote(found.digest)}"})
        if asked:
            headers |= {"Cache-Control": FOREVER, "Expires": EXPIRES}
        return await found.respond(request, headers)

    async def _binary_of(self, key: Key, found: Document) -> Document:
        """The same document as protobuf, under the same hash."""
        made = self._binary.get(key)
        if made is None or made.digest != found.digest:
            from kijabi.apiserver.openapi import gnostic3  # hardly a client asks for it

            made = Document(await gnostic3.document(msgspec.json.decode(found.body)), found.digest)
            self._binary[key] = made
        return made

    async def _list(self) -> Document:
        """Where the documents are. They are all made for it, because their URLs state their hashes."""
        generation, places = self._generation, {}
        for key in self._keys():
            found = await self._document(key)
            if found is not None:
                name = name_of(key)
                places[name] = {"serverRelativeURL": f"{ROOT}/{name}?hash={found.digest}"}
        index = Document(msgspec.json.encode({"paths": places}))
        if generation == self._generation:
            self._index = index
        return index

    def _keys(self) -> list[Key]:
        """Every group and version, those of aggregated API servers last."""
        return [*self.routes.versions, *(key for key in self._foreign if key not in self.routes.versions)]

    async def _document(self, key: Key) -> Document | None:
        """The version 3 document of a group and version."""
        foreign = self._foreign.get(key)
        if foreign is not None and foreign.document is not None:
            return foreign.document
        found = self._documents.get(key)
        if found is None and key in self.routes.versions:
            generation = self._generation
            try:
                found = Document(msgspec.json.encode(await self._make(key)))
            except _UNSPEAKABLE as problem:
                log.error("no OpenAPI document can be made", extra={"version": name_of(key), "reason": str(problem)})
                return None
            if generation == self._generation:
                self._documents[key] = found
        return found

    async def _make(self, key: Key) -> paths.Document:
        return await paths.document(f"/{name_of(key)}", self.routes.versions[key].values(), self.names)

    # Version 2

    async def _version_2(self, request: Request) -> Response:
        form = _FORMS[_accepted(request, _FORMS)]
        found = self._merged.get(form.media) or await self._merge(form)
        return await found.respond(request, {"Content-Type": form.media, "Vary": "Accept"})

    async def _merge(self, form: merge.Form) -> Document:
        generation, parts = self._generation, []
        for key in self._keys():
            part = self._parts.get((form.media, key)) or await self._part(form, key)
            if part is not None:
                parts.append(part)
        found = merge.merge(form, parts)
        if generation == self._generation:
            self._merged[form.media] = found
        return found

    async def _part(self, form: merge.Form, key: Key) -> merge.Part | None:
        """One group and version, encoded; None for one that went meanwhile."""
        generation = self._generation
        foreign = self._foreign.get(key)
        try:
            if foreign is not None:
                pieces = foreign.pieces
            elif key in self.routes.versions:
                resources = [each.resource for each in self.routes.versions[key].values()]
                pieces = convert(await self._make(key), resources)
            else:
                return None
            await asyncio.sleep(0)
            found = await merge.part(form, pieces)
        except _UNSPEAKABLE as problem:
            log.error("no OpenAPI v2 can be made", extra={"version": name_of(key), "reason": str(problem)})
            found = merge.Part({}, {}, b"")
        await asyncio.sleep(0)
        if generation == self._generation:
            self._parts[form.media, key] = found
        return found


def _accepted(request: Request, offered: Iterable[str]) -> str:
    """The first media type on offer that a client takes, as it asks for it. Raises NotAcceptable."""
    there = tuple(offered)
    for clause in negotiate.parse_accept(request.headers.get("accept", "") or "*/*"):
        for each in there:
            kind, _, sub = each.partition("/")
            if clause.type in (kind, "*") and clause.subtype in (sub, "*"):
                return each
    raise NotAcceptable(f"only the following media types are accepted: {', '.join(there)}")


def name_of(key: Key) -> str:
    """`apis/apps/v1`, or `api/v1`."""
    group, version = key
    return f"apis/{group}/{version}" if group else f"api/{version}"


def key_of(name: str) -> Key | None:
    """The group and version behind `apis/apps/v1`."""
    match name.split("/"):
        case ["api", version]:
            return ("", version)
        case ["apis", group, version]:
            return (group, version)
        case _:
            return None
