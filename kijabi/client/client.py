"""Typed calls to the API server: objects in, objects out, errors from the one tree.

Controllers, scheduler, kubelet and proxy speak to the server through a `Client` over a `Transport`. Paths
derive from `api/catalog.py`, bodies are JSON through `api/codec.py`, and a Status that says failure is raised
as the class of `base/errors.py` that the server raised. Nothing is repeated here: after `ConnectionLost` only
the caller knows whether a repetition is safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import msgspec

from kijabi.api import catalog, codec
from kijabi.api.custom import Custom
from kijabi.api.meta import DeleteOptions, ListMeta, Object, Preconditions
from kijabi.api.resource import Resource
from kijabi.api.struct import Struct
from kijabi.base.errors import ConnectionLost
from kijabi.client import frames
from kijabi.client.transport import Request, Response, Transport

T = TypeVar("T", bound=Object)

JSON = "application/json"
# What a metadata-only client accepts; a list is of another kind.
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
PATCH_TYPES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
# Seconds until a request without an answer counts as lost.
TIMEOUT = 60.0


class Items(NamedTuple, Generic[T]):
    """A list, or a page of one.

    cont: the token of the next page, empty at the end. remaining: how many objects come after it, if known.
    """

    items: tuple[T, ...]
    resourceVersion: str
    cont: str = ""
    remaining: int | None = None


class WatchEvent(NamedTuple, Generic[T]):
    """One change. type: ADDED, MODIFIED, DELETED or BOOKMARK.

    The object of a bookmark has only its resourceVersion and annotations.
    """

    type: str
    object: T

    @property
    def ends_initial(self) -> bool:
        """The bookmark after the initial events that `watch(initial_events=True)` asked for."""
        annotations = self.object.metadata.annotations
        return self.type == "BOOKMARK" and bool(annotations) and annotations.get(INITIAL_EVENTS_END) == "true"


class _List(msgspec.Struct):
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    items: tuple[msgspec.Raw, ...] | None = None


class _Version(msgspec.Struct):
    resourceVersion: str = ""


class _Marked(msgspec.Struct):
    """What the answer to a deletion tells: the object's version, or (in a Status) none."""

    metadata: _Version = msgspec.field(default_factory=_Version)


_MARKED = msgspec.json.Decoder(_Marked)


def resource_path(resource: Resource, namespace: str = "", name: str = "", sub: str = "") -> str:
    """`/apis/apps/v1/namespaces/default/deployments/web/status`."""
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    scope = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
    return "/".join(part for part in (f"{root}{scope}/{resource.plural}", name, sub) if part)


class Client:
    """Calls by type: `await client.get(Pod, "web", "default")`. Safe to share between tasks.

    Every call raises an ApiError (`NotFound`, `Conflict`, …) for an answer that says failure and
    `ConnectionLost` when there was none within `timeout` seconds.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        user_agent: str = "kijabi",
        timeout: float = TIMEOUT,
        only: Resource | None = None,
        metadata: bool = False,
    ) -> None:
        """only: every call is about this resource, whatever the class. metadata: answers are to bring no more."""
        self.transport = transport
        self._timeout = timeout
        self._headers = {"user-agent": user_agent, "accept": METADATA if metadata else JSON}
        self._only = only
        self._list_accept = METADATA_LIST if metadata else JSON

    def of(self, resource: Resource) -> Client:
        """A client of one resource that the catalog need not have, to be called with the resource's type.

        For custom resources that is `Custom`: `await client.of(widgets).get(Custom, "a", "default")`, and
        `Informer(client.of(widgets), Custom)`. `discovery.find` gives the Resource; a program that knows its own may as
        well write `Resource(group="example.com", version="v1", kind="Widget", plural="widgets", type=Custom)`.
        """
        return Client(self.transport, user_agent=self._headers["user-agent"], timeout=self._timeout, only=resource)

    def metadata_of(self, resource: Resource) -> Client:
        """A client of one resource, of the catalog or not, to be called with PartialObjectMetadata."""
        agent = self._headers["user-agent"]
        return Client(self.transport, user_agent=agent, timeout=self._timeout, only=resource, metadata=True)

    def _resource(self, cls: type[Struct]) -> Resource:
        return self._only if self._only is not None else catalog.by_type(cls)

    async def get(self, cls: type[T], name: str, namespace: str = "") -> T:
        """One object, as it is now."""
        resource = self._resource(cls)
        return self._decode(cls, resource, await self._call("GET", resource_path(resource, namespace, name)))

    async def list(
        self,
        cls: type[T],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        resource_version: str = "",
        limit: int = 0,
        cont: str = "",
    ) -> Items[T]:
        """Objects of a namespace or of all (""), by selectors. limit: at most so many; go on with the
        answer's `cont`.

        Raises Expired when `cont` or `resource_version` is too old.
        """
        resource = self._resource(cls)
        query = _query(
            labelSelector=labels,
            fieldSelector=fields,
            resourceVersion=resource_version,
            limit=str(limit) if limit else "",
            **{"continue": cont},
        )
        accept = self._list_accept
        answer = await self._call("GET", resource_path(resource, namespace), query=query, accept=accept)
        found = frames.decode(_List, answer.body)
        items = tuple(self._fill(codec.decode(cls, bytes(raw)), resource) for raw in found.items or ())
        meta = found.metadata
        return Items(items, meta.resourceVersion, meta.continue_, meta.remainingItemCount)

    async def create(self, obj: T) -> T:
        """Create it in the namespace of its metadata; the stored object. Raises AlreadyExists, Invalid."""
        resource = self._resource(type(obj))
        path = resource_path(resource, obj.metadata.namespace)
        return self._decode(type(obj), resource, await self._send("POST", path, resource, obj))

    async def update(self, obj: T) -> T:
        """Replace it; raises Conflict if its resourceVersion is not the newest."""
        return await self._put(obj, "")

    async def update_status(self, obj: T) -> T:
        """Replace its status and nothing else; raises Conflict if its resourceVersion is not the newest."""
        return await self._put(obj, "status")

    async def _put(self, obj: T, sub: str) -> T:
        resource = self._resource(type(obj))
        path = resource_path(resource, obj.metadata.namespace, obj.metadata.name, sub)
        return self._decode(type(obj), resource, await self._send("PUT", path, resource, obj))

    async def patch(
        self,
        cls: type[T],
        name: str,
        patch: Any,
        *,
        namespace: str = "",
        type: Literal["merge", "strategic", "json"] = "merge",
        subresource: str = "",
    ) -> T:
        """Change part of an object. patch: a mapping (a list of operations for `json`), or JSON bytes."""
        resource = self._resource(cls)
        body = patch if isinstance(patch, bytes) else _patch_encoder.encode(patch)
        path = resource_path(resource, namespace, name, subresource)
        answer = await self._call("PATCH", path, body=body, content_type=PATCH_TYPES[type])
        return self._decode(cls, resource, answer)

    async def delete(
        self,
        cls: type[T],
        name: str,
        namespace: str = "",
        *,
        grace: int | None = None,
        propagation: str = "",
        uid: str = "",
        resource_version: str = "",
    ) -> int:
        """Delete an object, or begin to. grace: seconds, None for the object's own.

        propagation: Background, Foreground or Orphan. Gives the resource version at which the object was marked, 0
        where the answer does not tell. Raises Conflict if uid or resource_version is not the object's.
        """
        resource = self._resource(cls)
        body = _delete_options(grace, propagation, uid, resource_version)
        answer = await self._call("DELETE", resource_path(resource, namespace, name), body=body)
        return int(_MARKED.decode(answer.body).metadata.resourceVersion or 0)

    async def delete_collection(
        self,
        cls: type[T],
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        grace: int | None = None,
        propagation: str = "",
    ) -> None:
        """Delete what the selectors match in a namespace."""
        path = resource_path(self._resource(cls), namespace)
        query = _query(labelSelector=labels, fieldSelector=fields)
        accept = self._list_accept  # the answer is the list of what was deleted
        body = _delete_options(grace, propagation, "", "")
        await self._call("DELETE", path, query=query, body=body, accept=accept)

    async def watch(
        self,
        cls: type[T],
        namespace: str = "",
        *,
        resource_version: str,
        labels: str = "",
        fields: str = "",
        initial_events: bool = False,
        timeout: int = 0,
    ) -> AsyncIterator[WatchEvent[T]]:
        """Changes after a resource version, until the server ends the watch; close it with
        `contextlib.aclosing`.

        initial_events: first an ADDED for each object there is, then a bookmark whose `ends_initial` is true.
        timeout: seconds after which the server ends it, 0 for its own choice. An ERROR event is raised:
        Expired when the resource version is too old. ConnectionLost when nothing came for so long that the
        peer must be gone.
        """
        resource = self._resource(cls)
        query = _query(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=labels,
            fieldSelector=fields,
            sendInitialEvents="true" if initial_events else "",
            resourceVersionMatch="NotOlderThan" if initial_events else "",
            timeoutSeconds=str(timeout) if timeout else "",
        )
        request = Request(
            method="GET", path=resource_path(resource, namespace), query=query, headers=dict(self._headers)
        )
        async with self.transport.stream(request) as stream:
            if stream.status >= 400:
                raise frames.failure(stream.status, await frames.rest(stream))
            async for kind, raw in frames.events(stream):
                yield WatchEvent(kind, self._fill(codec.decode(cls, bytes(raw)), resource))

    async def subresource(
        self,
        method: str,
        resource: Resource,
        name: str,
        namespace: str = "",
        sub: str = "",
        body: Struct | bytes | None = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> Response:
        """A call on `pods/binding` and its like: the whole answer. Raises as every call."""
        data = codec.encode(body) if isinstance(body, Struct) else body or b""
        path = resource_path(resource, namespace, name, sub)
        return await self._call(method, path, query=_query(**(query or {})), body=data)

    async def request_raw(self, request: Request) -> Response:
        """Any request as it is, with this client's headers where it has none; raises as every call."""
        request.headers = {**self._headers, **request.headers}
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self.transport.request(request)
        except TimeoutError as error:
            lost = f"no answer to {request.method} {request.path} in {self._timeout:g} s"
            raise ConnectionLost(lost) from error
        if answer.status >= 400:
            raise frames.failure(answer.status, answer.body)
        return answer

    async def _send(self, method: str, path: str, resource: Resource, obj: Object) -> Response:
        if isinstance(obj, Custom) and not obj.kind:
            obj = Custom(
                apiVersion=resource.api_version, kind=resource.kind, metadata=obj.metadata, content=obj.content
            )
        return await self._call(method, path, body=codec.encode(obj))

    async def _call(
        self,
        method: str,
        path: str,
        *,
        query: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        content_type: str = JSON,
        accept: str = "",
    ) -> Response:
        headers = {"content-type": content_type} if body else {}
        if accept:
            headers["accept"] = accept
        return await self.request_raw(Request(method=method, path=path, query=query, headers=headers, body=body))

    def _decode(self, cls: type[T], resource: Resource, answer: Response) -> T:
        return self._fill(codec.decode(cls, answer.body), resource)

    def _fill(self, obj: T, resource: Resource) -> T:
        """Say what it is: items of a list come without kind and apiVersion. The object is ours still."""
        obj.kind = resource.kind
        obj.apiVersion = resource.api_version
        return obj


def _text(value: Any) -> str:
    """Times and quantities in a patch are strings to JSON."""
    if isinstance(value, str):
        return str.__str__(value)
    raise TypeError(f"cannot send {type(value).__name__} in a patch")


_patch_encoder = msgspec.json.Encoder(enc_hook=_text)


def _query(**parameters: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in parameters.items() if value)


def _delete_options(grace: int | None, propagation: str, uid: str, resource_version: str) -> bytes:
    if grace is None and not propagation and not uid and not resource_version:
        return b""
    preconditions = None
    if uid or resource_version:
        preconditions = Preconditions(uid=uid or None, resourceVersion=resource_version or None)
    options = DeleteOptions(
        apiVersion="v1",
        kind="DeleteOptions",
        gracePeriodSeconds=grace,
        propagationPolicy=propagation or None,
        preconditions=preconditions,
    )
    return codec.encode(options)
