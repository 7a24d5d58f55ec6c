"""The record of one request, filled in along its way and handed to the sinks at each of its stages.

`auditor.py` begins one; `server.py` says when the user is known (`received`) and what is answered (`answered`);
`call.py` gives bodies as they are decoded. A watch or a stream ends later than its answer begins: `answered` wraps it
so that its end is noticed. Rules: k8s.io/apiserver `pkg/endpoints/filters/audit.go`, `pkg/audit/request.go`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import msgspec

from kijabi.api import codec, gotext
from kijabi.api.audit.event import AuthenticationMetadata, Event, ObjectReference
from kijabi.api.authentication import tokenreview
from kijabi.api.meta import DeleteOptions, MicroTime, Status
from kijabi.apiserver.attributes import (
    MAX_AUDIT_ANNOTATIONS,
    Answer,
    Decision,
    Duplex,
    Peer,
    RequestInfo,
    StreamAnswer,
    UpgradeAnswer,
    UserInfo,
)
from kijabi.apiserver.audit import objects
from kijabi.apiserver.audit.context import CURRENT, NotStored
from kijabi.apiserver.audit.policy import Decided
from kijabi.base import clock
from kijabi.client.transport import Request, Response

if TYPE_CHECKING:
    from kijabi.apiserver.audit.auditor import Auditor
    from kijabi.apiserver.call import Call
    from kijabi.apiserver.watch import WatchAnswer

MAX_USER_AGENT = 1024  # characters that are recorded
TRUNCATED = "...TRUNCATED"
MAX_RECORDED = 64 * 1024 * 1024  # bytes of an answer; longer ones are recorded without it
QUEUED = 0.001  # seconds; less is no waiting
SLOW = 0.5  # seconds; slower requests are recorded with what took them so long
_AUTHORIZATION = "authorization.k8s.io/"
_OPTIONS_VERSION = "meta.k8s.io/__internal"  # under which upstream records DeleteOptions
_LATENCY = "apiserver.latency.k8s.io/"
_REQUEST_ONLY = "patch.webhook.admission.k8s.io/"  # annotations that hold pieces of the object
_STREAMS = frozenset(("attach", "exec", "proxy", "log", "portforward"))
_NEVER = Decided("None")


class Record:
    """What is known of one request. The audit log's view of it is `event`, made when the policy has decided."""

    __slots__ = (
        "_acting", "_latencies", "_long", "_panicked", "_peer", "_request", "_since", "_turn", "_user", "annotations",
        "audit_id", "auditor", "bare", "event", "omitted",
    )  # fmt: skip

    def __init__(self, auditor: Auditor, request: Request, peer: Peer, audit_id: str) -> None:
        self.auditor = auditor
        self.audit_id = audit_id
        self.annotations: dict[str, str] = {}
        self.event: Event | None = None
        self.omitted: frozenset[str] | None = None  # None: the policy has not been asked
        self.bare = False  # without managed fields
        self._request = request
        self._peer = peer
        self._user: UserInfo | None = None
        self._acting: tuple[UserInfo, str] | None = None
        self._since = self._turn = clock.wall()
        self._long = False
        self._panicked = ""
        self._latencies: dict[str, float] = {}

    # What is told it on the way

    def annotate(self, key: str, value: str) -> None:
        """Note something; what was noted before under this key stays."""
        if len(self.annotations) < MAX_AUDIT_ANNOTATIONS:
            self.annotations.setdefault(key, value)

    def identified(self, user: UserInfo) -> None:
        """Who asks, before he acts as anybody else."""
        self._user = user

    def impersonated(self, user: UserInfo, constraint: str) -> None:
        """As whom he acts, and by which constraint."""
        self._acting = user, constraint

    def spent(self, layer: str, seconds: float) -> None:
        """How long a layer took."""
        self._latencies[layer] = self._latencies.get(layer, 0.0) + seconds

    def panicked(self, error: Exception) -> None:
        """Answering it failed in a way that nobody foresaw."""
        self._panicked = f"APIServer panic'd: {error}"

    async def received(self, info: RequestInfo, user: UserInfo) -> None:
        """The user is known, so the policy can decide. Raises NotStored where the log must have it and did not."""
        self._lap("authentication")
        if self._user is None:
            self._user = user
        if self.omitted is None:
            self._decide(info, self._user)
        event = self.event
        if event is None:
            return
        if not await self._emit("RequestReceived", event):
            self.event = None
            self.auditor.counts.rejected += 1
            raise NotStored
        if self._acting is not None:
            acting, constraint = self._acting
            event.impersonatedUser = _user(acting)
            event.authenticationMetadata = AuthenticationMetadata(constraint) if constraint else None
        self._turn = clock.wall()

    def waited(self) -> None:
        """It is this request's turn, after others."""
        if clock.wall() - self._turn > QUEUED:
            self._lap("apf-queue-wait")
        self._turn = clock.wall()

    def judged(self, decision: Decision) -> None:
        """Whether the user may, and why."""
        self._lap("authorization")
        if decision.error and not decision.allowed:
            self.annotate(f"{_AUTHORIZATION}reason", "internal error")
        else:
            self.annotate(f"{_AUTHORIZATION}decision", "allow" if decision.allowed else "forbid")
            self.annotate(f"{_AUTHORIZATION}reason", decision.reason)

    def routed(self, call: Call) -> None:
        """Who answers it is known: what admission notes is ours."""
        call.audit_annotations = self.annotations

    def sent(self, call: Call, obj: Any) -> None:
        """The object that the client sent, decoded."""
        event = self.event
        if event is None:
            return
        own = getattr(obj, "metadata", None)
        ref = event.objectRef
        if own is not None and ref is not None:
            ref.namespace = ref.namespace or own.namespace
            ref.name = ref.name or own.name
            ref.uid = ref.uid or own.uid
            ref.resourceVersion = ref.resourceVersion or own.resourceVersion
        if event.level != "Metadata":
            event.requestObject = objects.sent(call, obj, self.bare)

    def options(self, wanted: DeleteOptions) -> None:
        """The options in the body of a deletion."""
        if self.event is not None and self.event.level != "Metadata":
            options = msgspec.structs.replace(wanted, kind="DeleteOptions", apiVersion=_OPTIONS_VERSION)
            self.event.requestObject = msgspec.Raw(codec.encode(options))

    def patch(self) -> None:
        """The request is a patch."""
        if self.event is not None and self.event.level != "Metadata":
            self.event.requestObject = objects.patch(self._request)

    # How it ends

    async def answered(self, answer: Answer | WatchAnswer, info: RequestInfo | None) -> Answer | WatchAnswer:
        """The answer, wrapped where it goes on; what is answered at once has ended with this."""
        CURRENT.set(None)
        if info is None:
            return answer
        if self.omitted is None:  # it did not come past authentication
            await self._turned_away(answer, info)
            return answer
        event = self.event
        if event is None:
            return answer
        event.annotations = self._annotations(event.level)
        event.responseStatus = Status(code=_code(answer))
        if isinstance(answer, Response):
            self._note(answer, event)
            if self._panicked:
                text = self._panicked
                event.responseStatus = Status(status="Failure", message=text, reason="InternalError", code=500)
                await self._emit("Panic", event)
                return answer
        if self._long:
            await self._emit("ResponseStarted", event)
        if isinstance(answer, Response):
            await self._emit("ResponseComplete", event)
        else:
            self._follow(answer, event)
        return answer

    def _follow(self, answer: StreamAnswer | UpgradeAnswer | WatchAnswer, event: Event) -> None:
        """Have `_ended` called when the answer does, with the object that it was where that is recorded."""
        if isinstance(answer, StreamAnswer):
            keep = event.level == "RequestResponse" and not self._long
            answer.chunks = _chunks(answer.chunks, self._ended, self._sent_all(answer, event) if keep else None)
        elif isinstance(answer, UpgradeAnswer):
            answer.serve = _serving(answer.serve, self._ended)
        else:
            answer.watcher.closed.append(self._ended)

    def _sent_all(self, answer: StreamAnswer, event: Event) -> Callable[[bytes], None]:
        def take(body: bytes) -> None:
            event.responseObject = objects.response(Response(headers=answer.headers, body=body), self.bare)

        return take

    async def _turned_away(self, answer: Answer | WatchAnswer, info: RequestInfo) -> None:
        """Nobody knows who asked, or he may not act as whom he wants to."""
        if self._user is not None:
            try:
                await self.received(info, self._user)
            except NotStored:
                return
            await self.answered(answer, info)
        elif isinstance(answer, Response) and answer.status == 401:
            self._decide(info, None)
            if self.event is not None:
                self._note(answer, self.event)
                self.event.annotations = self._annotations(self.event.level)
                await self._emit("ResponseStarted", self.event)

    def _note(self, answer: Response, event: Event) -> None:
        event.responseStatus = objects.status(answer)
        negotiated = event.objectRef is not None or event.requestURI.startswith("/api") or answer.status >= 400
        if event.level == "RequestResponse" and negotiated:
            event.responseObject = objects.response(answer, self.bare)

    def _ended(self) -> None:
        """A watch or stream has ended, wherever that was noticed."""
        if self.event is not None:
            event = msgspec.structs.replace(self.event, annotations=self._annotations(self.event.level))
            if "ResponseComplete" not in (self.omitted or ()):
                self.auditor.later(_staged(event, "ResponseComplete", _moment(clock.wall())))

    # Within

    def _lap(self, layer: str) -> None:
        """A layer has done its part, since the one before it."""
        now = clock.wall()
        self.spent(layer, now - self._turn)
        self._turn = now

    def _decide(self, info: RequestInfo, user: UserInfo | None) -> None:
        decided = self.auditor.policies.decide(user, info)
        self.auditor.counts.level(decided.level)
        self.omitted, self.bare = decided.omitted, decided.omit_managed_fields
        self._long = info.verb in ("watch", "proxy") or (info.is_resource and info.subresource in _STREAMS)
        if decided.level == _NEVER.level:
            return
        request = self._request
        agent = request.headers.get("user-agent", "")
        self.event = Event(
            level=decided.level,
            auditID=self.audit_id,
            requestURI=request.target or _target(request),
            verb=info.verb,
            user=_user(user) if user is not None else tokenreview.UserInfo(),
            sourceIPs=source_ips(
                request.headers.get("x-forwarded-for", ""), request.headers.get("x-real-ip", ""), self._peer.address
            ),
            userAgent=agent if len(agent) <= MAX_USER_AGENT else agent[:MAX_USER_AGENT] + TRUNCATED,
            objectRef=_reference(info) if info.is_resource else None,
            requestReceivedTimestamp=_moment(self._since),
        )

    async def _emit(self, stage: str, event: Event) -> bool:
        """Hand a copy to the sinks; whether the log has it, where it must."""
        if self.omitted and stage in self.omitted:
            return True
        received = stage == "RequestReceived"
        moment = event.requestReceivedTimestamp if received else _moment(clock.wall())
        return await self.auditor.emit(_staged(event, stage, moment))

    def _annotations(self, level: str) -> dict[str, str]:
        found = self.annotations
        total = clock.wall() - self._since
        if self._latencies and total > SLOW:
            took = {layer: seconds for layer, seconds in {**self._latencies, "total": total}.items() if seconds > 0}
            found = {**found, **{_LATENCY + layer: gotext.precise_duration(took[layer]) for layer in took}}
        if level == "Metadata" and any(key.startswith(_REQUEST_ONLY) for key in found):
            found = {key: value for key, value in found.items() if not key.startswith(_REQUEST_ONLY)}
        return found


def _staged(event: Event, stage: str, moment: MicroTime) -> Event:
    return msgspec.structs.replace(event, stage=stage, stageTimestamp=moment)


def _reference(info: RequestInfo) -> ObjectReference:
    return ObjectReference(
        resource=info.resource, namespace=info.namespace, name=info.name, apiGroup=info.group,
        apiVersion=info.version, subresource=info.subresource,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _known(name: str, uid: str, groups: tuple[str, ...]) -> tokenreview.UserInfo:
    return tokenreview.UserInfo(username=name, uid=uid, groups=groups)


def _user(user: UserInfo) -> tokenreview.UserInfo:
    if not user.extra:
        return _known(user.name, user.uid, user.groups)
    return tokenreview.UserInfo(username=user.name, uid=user.uid, groups=user.groups, extra=dict(user.extra))


def _target(request: Request) -> str:
    """Path and query of a request that came over no wire."""
    path = quote(request.path, safe="/:@!$&'()*+,;=~")
    return f"{path}?{urlencode(request.query)}" if request.query else path


@lru_cache(maxsize=1024)
def source_ips(forwarded: str, real: str, peer: str) -> tuple[str, ...]:
    """Where a request comes from: the proxies' chain, what the last of them saw, the peer itself.

    k8s.io/apimachinery `pkg/util/net/http.go` (SourceIPs).
    """
    found = [ip for part in forwarded.split(",") if (ip := _ip(part.strip()))]
    ip = _ip(real)
    if ip and ip not in found:
        found.append(ip)
    ip = _ip(peer)
    if ip and (not found or found[-1] != ip):
        found.append(ip)
    return tuple(found)


def _ip(text: str) -> str:
    """An address in its usual form; an IPv4 one also where it came as IPv6; empty for what is none."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def _moment(wall: float) -> MicroTime:
    """A moment on the wire; its second is formatted once."""
    second, rest = divmod(round(wall * 1_000_000), 1_000_000)
    return MicroTime(f"{_to_the_second(second)}.{rest:06d}Z")


@lru_cache(maxsize=8)
def _to_the_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _code(answer: Answer | WatchAnswer) -> int:
    return 101 if isinstance(answer, UpgradeAnswer) else answer.status


async def _chunks(
    chunks: AsyncIterator[bytes], ended: Callable[[], None], take: Callable[[bytes], None] | None
) -> AsyncIterator[bytes]:
    """The same chunks; when they end `ended` is called. take: gets all of them together, unless they are too many."""
    kept: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks:
            if take is not None and size <= MAX_RECORDED:
                kept.append(chunk)
                size += len(chunk)
            yield chunk
        if take is not None and size <= MAX_RECORDED:
            take(b"".join(kept))
    finally:
        ended()
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


def _serving(
    serve: Callable[[Duplex], Awaitable[None]], ended: Callable[[], None]
) -> Callable[[Duplex], Awaitable[None]]:
    async def served(duplex: Duplex) -> None:
        try:
            await serve(duplex)
        finally:
            ended()

    return served
