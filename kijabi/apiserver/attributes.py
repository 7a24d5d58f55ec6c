"""The vocabulary that the parts of the API server share: who asks, what for, and who may have a say.

`http.py` (or a simulation) makes the Peer; `requestinfo.py` reads the RequestInfo off the path; `authn/`
finds the UserInfo, `authz/` decides on both; `registry.py` hands an Attributes to `admission/`;
`subresources/` get a Call (`call.py`). The Protocols here are the seams: `app.py` builds the real ones and
gives them to `server.ApiServer`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from kijabi.api.resource import Resource, Subresource
from kijabi.api.struct import Struct
from kijabi.client.transport import Request, Response

T = TypeVar("T", bound=Struct)

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
MAX_AUDIT_ANNOTATIONS = 256  # of one request; more are left out


class Presence:
    """What is known of a connection while it lasts. gone: nobody is at the other end any more, for whom there were
    something to be done; stream: whose share of the server's time its last request was of (`flowcontrol/line.py`)."""

    __slots__ = ("gone", "stream")

    def __init__(self) -> None:
        self.gone = False
        self.stream: Any = None


class Peer(msgspec.Struct, frozen=True):
    """The other end of the connection: its certificate (DER, verified by TLS; or None) and address."""

    cert_der: bytes | None = None
    address: str = ""
    presence: Presence = msgspec.field(default_factory=Presence)


class UserInfo(msgspec.Struct, frozen=True):
    """Who asks, as authentication found (k8s.io/apiserver `pkg/authentication/user`).

    by: who really asks, where somebody acts as this user; constraint: the verb that allowed it, if it was one of
    constrained impersonation (KEP-5284).
    """

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = {}
    by: UserInfo | None = None
    constraint: str = ""


class RequestInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, read off method, path and query (k8s.io/apiserver `pkg/endpoints/request`).

    verb: get, list, watch, create, update, patch, delete, deletecollection; for a path that is no resource
    the lower-case HTTP method. rest: what follows the subresource (`pods/x/proxy/a/b` → `a/b`, with its
    leading slash, or empty). The selectors are the raw query texts (authorisation of nodes reads them).
    """

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    rest: str = ""
    field_selector: str = ""
    label_selector: str = ""


class Reinvocation(msgspec.Struct, kw_only=True):
    """What the two rounds of mutating admission tell each other (k8s.io/apiserver `pkg/admission/reinvocation.go`).

    second: this is the second round, which there is if somebody set `wanted` in the first. memory: what plug-ins keep
    from the first to the second, by their names.
    """

    second: bool = False
    wanted: bool = False
    memory: dict[str, Any] = msgspec.field(default_factory=dict)


class Attributes(msgspec.Struct, kw_only=True):
    """One write on its way through admission (k8s.io/apiserver `pkg/admission` Attributes).

    object: the new object, privately owned: `mutate` changes it in place; None on DELETE. old: the stored
    object, shared: never written to; None on CREATE. For a subresource with a body of its own (binding,
    eviction, scale, token) object is that body. options: CreateOptions, UpdateOptions, DeleteOptions as read,
    or None. audit_annotations: what plug-ins tell the audit log, by `plugin.domain/key`. reservation: what must be
    written in the same transaction as the object, if it is written (a quota's charge). sub: the declaration of the
    subresource, None for the resource itself. deadline: the loop's time when the request ends, 0 for never.
    """

    user: UserInfo
    resource: Resource
    operation: Operation
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    object: Any = None
    old: Any = None
    options: Any = None
    dry_run: bool = False
    warnings: list[str] = msgspec.field(default_factory=list)
    audit_annotations: dict[str, str] = msgspec.field(default_factory=dict)
    reservation: Any = None
    sub: Subresource | None = None
    deadline: float = 0.0
    rounds: Reinvocation = msgspec.field(default_factory=Reinvocation)

    @property
    def is_status(self) -> bool:
        """Whether this writes the status subresource."""
        return self.subresource == "status"

    @property
    def kind(self) -> tuple[str, str, str]:
        """Group, version and kind of the object: of the subresource's body where it has one of its own."""
        resource, sub = self.resource, self.sub
        if sub is None:
            return resource.group, resource.version, resource.kind
        return sub.group or resource.group, sub.version or resource.version, sub.kind

    def annotate(self, key: str, value: str) -> None:
        """Tell the audit log something; what was told before under this key stays."""
        if len(self.audit_annotations) < MAX_AUDIT_ANNOTATIONS:
            self.audit_annotations.setdefault(key, value)


class Decision(msgspec.Struct, frozen=True):
    """Whether it is allowed, and why (the text that follows the standard Forbidden message).

    denied: nobody else is to be asked. error: what kept the authorizer from a better answer; unless somebody allows it,
    the request has then failed rather than been refused.
    """

    allowed: bool
    reason: str = ""
    denied: bool = False
    error: str = ""


class Authenticator(Protocol):
    """Finds out who asks."""

    async def authenticate(self, request: Request, peer: Peer) -> UserInfo | None:
        """The user; None if the request carries no credentials that this method knows.

        Raises Unauthorized when it carries credentials that are wrong.
        """
        ...


class Authorizer(Protocol):
    """Decides whether a user may do a thing."""

    async def authorize(self, user: UserInfo, info: RequestInfo) -> Decision:
        """Never raises for a denial: the server turns it into Forbidden with upstream's text."""
        ...


class Admission(Protocol):
    """One admission plug-in. `handles` is asked once for each kind of write and the answer remembered."""

    name: str

    def handles(self, resource: Resource, subresource: str, operation: Operation) -> bool:
        """Whether this plug-in has a say in such writes at all; pure."""
        ...

    async def mutate(self, attrs: Attributes) -> None:
        """Change `attrs.object` in place, or raise an ApiError (Forbidden, Invalid …) to refuse."""
        ...

    async def validate(self, attrs: Attributes) -> None:
        """Look at the final object; raise an ApiError to refuse."""
        ...


class Reader(Protocol):
    """What authorisation, admission and subresources read: the watch caches, by type. Objects are shared.

    Exact: a write that the server acknowledged before the call is visible.
    """

    def serves(self, cls: type[Struct]) -> bool:
        """Whether there may be such objects at all: not those of a feature that is off."""
        ...

    def get(self, cls: type[T], name: str, namespace: str = "") -> T | None:
        """The object, or None."""
        ...

    def items(self, cls: type[T], namespace: str = "") -> Iterable[T]:
        """All objects of a type, or those of one namespace."""
        ...

    def index(self, cls: type[T], index: str, value: str) -> Iterable[T]:
        """Objects whose indexed field is `value`: pods have `spec.nodeName`."""
        ...

    def subscribe(self, cls: type[T], changed: Callable[[T | None, T | None], None]) -> None:
        """Call `changed(old, new)` on each event from now on, and at once (None, obj) for each present."""
        ...


class Duplex(Protocol):
    """The client's raw byte stream after a protocol upgrade."""

    async def read(self, limit: int = 65536) -> bytes:
        """Up to `limit` bytes; b"" when the client has closed its side."""
        ...

    async def write(self, data: bytes) -> None:
        """Send; waits while the client is slow. Raises ConnectionLost when it has gone."""
        ...

    def close(self) -> None:
        """End the connection; idempotent."""
        ...


class StreamAnswer(msgspec.Struct, kw_only=True):
    """An answer that goes on (log follow, proxied bodies): the adapter writes each chunk as it comes.

    The adapter closes `chunks` (`aclose`) when the client goes away. seconds: how long it may take, 0 for ever; an
    answer that has not gone out by then is broken off.
    """

    chunks: AsyncIterator[bytes]
    status: int = 200
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    seconds: float = 0.0


class UpgradeAnswer(msgspec.Struct, kw_only=True):
    """`101 Switching Protocols` with these headers (Connection and Upgrade among them), then `serve` owns the
    bytes.

    The adapter awaits `serve` and closes the connection when it returns; it is cancelled if the server stops.
    """

    serve: Callable[[Duplex], Awaitable[None]]
    headers: dict[str, str] = msgspec.field(default_factory=dict)


# What a subresource gives back; `server.ApiServer.handle` adds `watchcache.WatchAnswer`.
Answer = Response | StreamAnswer | UpgradeAnswer
