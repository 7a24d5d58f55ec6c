"""A small API server behind `Transport`: just enough HTTP, lists and watches to test the client against.

Objects lie in a MemoryStore under their paths. Selectors: only `metadata.name=x`. Faults are
`testing.faults`'s part.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

from kijabi.api import status
from kijabi.base.errors import ApiError
from kijabi.client.transport import Request, Response, Stream
from kijabi.store.interface import Compacted, Entry, Event, Guard, Op
from kijabi.store.keys import prefix_end
from kijabi.store.memory import MemoryStore

BOOKMARK_SECONDS = 60.0


class _Answer:
    def __init__(self, status: int, chunks: AsyncIterator[bytes]) -> None:
        self.status = status
        self.headers: dict[str, str] = {}
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks


class FakeServer:
    """streams: whether sendInitialEvents is known. `requests` records (method, path, query)."""

    def __init__(self, *, streams: bool = True) -> None:
        self.store = MemoryStore()
        self.streams = streams
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.watches = 0

    async def request(self, request: Request) -> Response:
        self.requests.append((request.method, request.path, dict(request.query)))
        try:
            return await self._answer(request)
        except ApiError as error:
            return Response(status=error.code, body=json.dumps(status.to_wire(error)).encode())
        except Compacted:
            error = status.resource_expired("The provided continue parameter is too old")
            return Response(status=410, body=json.dumps(status.to_wire(error)).encode())

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        self.requests.append((request.method, request.path, dict(request.query)))
        if request.param("sendInitialEvents") and not self.streams:
            error = status.bad_request("sendInitialEvents is forbidden for watch")
            yield _Answer(400, _once(json.dumps(status.to_wire(error)).encode()))
            return
        self.watches += 1
        try:
            async with aclosing(self._watch(request)) as chunks:
                yield _Answer(200, chunks)
        finally:
            self.watches -= 1

    async def close(self) -> None:
        await self.store.close()

    async def _answer(self, request: Request) -> Response:
        parts = request.path.strip("/").split("/")
        item = _item(parts)
        match request.method:
            case "GET" if item:
                return _ok(_object(await self._found(request.path)))
            case "GET":
                return await self._list(request)
            case "POST":
                obj = json.loads(request.body)
                key = f"{request.path}/{obj['metadata']['name']}"
                obj["metadata"].setdefault("uid", f"uid-{self.store.revision}")
                done = await self.store.txn((Guard(key, 0),), (Op(key, json.dumps(obj).encode()),))
                if not done.ok:
                    raise status.already_exists(parts[-1], obj["metadata"]["name"])
                return _ok(_object(await self._found(key)), 201)
            case "PUT":
                return await self._put(request, parts)
            case "PATCH":
                entry = await self._found(request.path)
                obj = _merge(_object(entry), json.loads(request.body))
                await self.store.txn((), (Op(entry.key, json.dumps(obj).encode()),))
                return _ok(_object(await self._found(request.path)))
            case "DELETE":
                entry = await self._found(request.path)
                await self.store.txn((), (Op(entry.key, None),))
                return _ok({"kind": "Status", "status": "Success"})
        raise status.method_not_supported(parts[-1], request.method)

    async def _put(self, request: Request, parts: list[str]) -> Response:
        obj = json.loads(request.body)
        path = request.path.removesuffix("/status")
        entry = await self._found(path)
        given = obj["metadata"].get("resourceVersion", "")
        if given and given != str(entry.revision):
            raise status.conflict(parts[-2], parts[-1])
        await self.store.txn((), (Op(path, json.dumps(obj).encode()),))
        return _ok(_object(await self._found(path)))

    async def _found(self, path: str) -> Entry:
        entry = await self.store.get(path)
        if entry is None:
            raise status.not_found(path.split("/")[-2], path.split("/")[-1])
        return entry

    async def _list(self, request: Request) -> Response:
        limit = int(request.param("limit", "0"))
        revision, start = 0, ""
        if request.param("continue"):
            revision, start = json.loads(request.param("continue"))
        found = await self.store.range("/", "0", revision=revision)
        entries = [e for e in found.entries if _under(request, e.key) and e.key >= start]
        page = entries[:limit] if limit else entries
        meta: dict[str, Any] = {"resourceVersion": str(found.revision)}
        if len(page) < len(entries):
            meta |= {
                "continue": json.dumps([found.revision, page[-1].key + "\0"]),
                "remainingItemCount": len(entries) - len(page),
            }
        return _ok({"kind": "List", "metadata": meta, "items": [_object(entry) for entry in page]})

    async def _watch(self, request: Request) -> AsyncIterator[bytes]:
        after = int(request.param("resourceVersion") or "0") or self.store.revision
        if request.param("sendInitialEvents"):
            found = await self.store.range("/", prefix_end("/"))
            after = found.revision
            for entry in found.entries:
                if _under(request, entry.key):
                    yield _frame("ADDED", _object(entry))
            mark = {"resourceVersion": str(after), "annotations": {"k8s.io/initial-events-end": "true"}}
            yield _frame("BOOKMARK", {"metadata": mark})
        events = self.store.watch("/", after)
        seconds = int(request.param("timeoutSeconds") or "3600")
        try:
            async with asyncio.timeout(seconds):
                async for batch in events:
                    yield b"".join(_shown(event) for event in batch if _under(request, event.key))
        except TimeoutError:
            return
        except Compacted:
            error = status.resource_expired(f"too old resource version: {after}")
            yield _frame("ERROR", status.to_wire(error))


def _item(parts: list[str]) -> bool:
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    return len(rest) % 2 == 0 or (rest[0] == "namespaces" and len(rest) in (2, 4, 5))


def _under(request: Request, key: str) -> bool:
    base, _, plural = request.path.rpartition("/")
    name = request.param("fieldSelector").removeprefix("metadata.name=")
    if name and not key.endswith(f"/{name}"):
        return False
    return key.startswith(f"{request.path}/") or (
        key.startswith(f"{base}/namespaces/") and key.split("/")[-2] == plural
    )


def _object(entry: Entry) -> dict[str, Any]:
    obj: dict[str, Any] = json.loads(entry.value)
    obj["metadata"]["resourceVersion"] = str(entry.revision)
    return obj


def _shown(event: Event) -> bytes:
    if event.entry is None:
        assert event.previous is not None
        gone = _object(event.previous)
        gone["metadata"]["resourceVersion"] = str(event.revision)
        return _frame("DELETED", gone)
    return _frame("MODIFIED" if event.previous else "ADDED", _object(event.entry))


def _frame(kind: str, obj: dict[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def _merge(obj: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(obj.get(key), dict):
            _merge(obj[key], value)
        elif value is None:
            obj.pop(key, None)
        else:
            obj[key] = value
    return obj


def _ok(body: dict[str, Any], code: int = 200) -> Response:
    return Response(status=code, body=json.dumps(body).encode())


async def _once(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk
