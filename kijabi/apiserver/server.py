"""The API server as a function: a request and a peer in, an answer out, no sockets.

`http.py` calls `ApiServer.handle` for requests off the wire, the simulation calls it directly. The flow is
authenticate → wait for one's turn (`flowcontrol/`) → authorise → route → `registry.py` (writes), `reading.py`
(reads), `deletion.py`, a handler in `subresources/`, or, for a path that is no resource, one of `plain.py`. Whatever
goes wrong becomes a Status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from kijabi.api import duration, status
from kijabi.api.apiregistration.apiservice import APIService
from kijabi.api.resource import Subresource
from kijabi.apiserver import body, deletion, denial, negotiate, options, patching, requestinfo
from kijabi.apiserver.aggregation.aggregator import Aggregator
from kijabi.apiserver.attributes import (
    Authenticator,
    Authorizer,
    Peer,
    RequestInfo,
    StreamAnswer,
    UpgradeAnswer,
    UserInfo,
)
from kijabi.apiserver.audit.context import CURRENT, NotStored, annotate
from kijabi.apiserver.call import EVERY, Call, Chain, Handler, encode
from kijabi.apiserver.continuing import ContinueExpired
from kijabi.apiserver.flowcontrol.inflight import Gate, Rejected
from kijabi.apiserver.flowcontrol.watches import WatchLimit
from kijabi.apiserver.listing import Found
from kijabi.apiserver.metrics import Metrics
from kijabi.apiserver.reading import Reading
from kijabi.apiserver.registry import Registry, key_in
from kijabi.apiserver.routes import Routes, Served
from kijabi.apiserver.subresources.streams import is_upgrade
from kijabi.apiserver.subresources.websocket import stream_answer
from kijabi.apiserver.watch import WatchAnswer
from kijabi.base import rand
from kijabi.base.errors import ApiError, BadRequest, InternalError, KijabiError, Unauthorized
from kijabi.client.transport import Request, Response
from kijabi.store.interface import StoreClosed

if TYPE_CHECKING:
    from kijabi.apiserver.audit.auditor import Auditor

log = logging.getLogger(__name__)

Answered = Response | StreamAnswer | UpgradeAnswer | WatchAnswer
Plain = Callable[[Request, UserInfo], Awaitable[Response | None]]
LATE = "request did not complete within the allotted timeout"
# Subresources whose answers go on for as long as the client likes.
_LONG_RUNNING = frozenset(("log", "exec", "attach", "portforward", "proxy"))
# What clients of old resources are told (k8s.io/api `core/v1/lifecycle.go`).
_DEPRECATED = {
    "componentstatuses": "v1 ComponentStatus is deprecated in v1.19+",
    "endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
}
_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


class Nowhere(Exception):
    """There is no such path."""


class ApiServer:
    """Answers requests. plain: what answers paths that are no resources, None from it meaning 404. gate: where requests
    wait until they may be answered. timeout: seconds that any request but a watch or a stream may take."""

    def __init__(
        self,
        routes: Routes,
        reading: Reading,
        registry: Registry,
        *,
        authenticator: Authenticator,
        authorizer: Authorizer,
        admission: Chain,
        plain: Plain,
        handlers: Mapping[tuple[str, str], Handler],
        metrics: Metrics,
        aggregator: Aggregator,
        gate: Gate,
        watches: WatchLimit,
        timeout: float,
    ) -> None:
        self.aggregator = aggregator
        self.routes = routes
        self.reading = reading
        self.registry = registry
        self.authenticator = authenticator
        self.authorizer = authorizer
        self.admission = admission
        self.plain = plain
        self.handlers = dict(handlers)
        self.metrics = metrics
        self.auditor: Auditor | None = None
        self._chance = rand.generator()
        self.gate = gate
        self.watches = watches
        self.timeout = timeout

    async def handle(self, request: Request, peer: Peer) -> Answered:
        """The answer to one request. Never raises: failures are answers too."""
        started = self.metrics.begin()
        record = None if self.auditor is None else self.auditor.begin(request, peer, self._audit_id(request))
        info: RequestInfo | None = None
        said: dict[str, str] = {}
        try:
            info = requestinfo.parse(request)
            answer = await self._answer(request, peer, info, started, said)
        except Rejected as rejected:
            answer = rejected.answer
        except Nowhere:
            answer = not_found_page()
        except NotStored:
            answer = denial.failed(request, "failed to store audit event")
        except ApiError as error:
            answer = failure(error, request)
        except StoreClosed as error:
            answer = failure(status.service_unavailable(str(error)), request)
        except RecursionError:
            answer = failure(BadRequest("the request nests too deep"), request)
        except KijabiError as error:
            log.warning("%s %s failed: %s", request.method, request.path, error)
            answer = failure(status.internal(str(error)), request)
        except Exception as error:  # the last line: one request's failure is not the server's
            log.exception("%s %s panicked", request.method, request.path)
            if record is not None:
                record.panicked(error)
            reason = f"This request caused apiserver to panic: {type(error).__name__}. Look in the logs for details."
            answer = failure(InternalError(reason), request)
        headers = answer.headers
        headers["Audit-Id"] = self._audit_id(request) if record is None else record.audit_id
        headers.setdefault("Cache-Control", "no-cache, private")
        headers.update(said)
        if record is not None:
            answer = await record.answered(answer, info)
        self.metrics.finish(started, request, info, answer)
        return answer

    def _audit_id(self, request: Request) -> str:
        """What the client calls its request, or an identifier like a UUID; it names it in logs and guards nothing."""
        given = request.headers.get("audit-id")
        if given:
            return given
        text = f"{self._chance.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    async def _answer(
        self, request: Request, peer: Peer, info: RequestInfo, started: float, said: dict[str, str]
    ) -> Answered:
        """The answer, as soon as it is this request's turn. said: gets headers that every answer carries."""
        if not self.gate.may_begin(peer):
            await self.gate.begin(peer)
        await self.routes.caches.fresh()  # what was acknowledged before is seen by everybody below
        user = await self.authenticator.authenticate(request, peer)
        if user is None:
            raise Unauthorized("Unauthorized")
        record = CURRENT.get()
        if record is not None:
            await record.received(info, user)
        if info.verb == "proxy" or info.subresource in _LONG_RUNNING:
            return await self._serve(request, peer, user, info, 0.0)
        bounded = request.query and info.verb != "watch"
        seconds = deadline(request, self.timeout) if bounded else self.timeout
        work = partial(self._serve, request, peer, user, info, started + seconds)
        return await self.gate.answer(user, info, request, peer, seconds, said, work)

    async def _serve(self, request: Request, peer: Peer, user: UserInfo, info: RequestInfo, until: float) -> Answered:
        """Authorise and answer. until: the loop's time by which it must have been done, 0 for never."""
        record = CURRENT.get()
        if record is not None:
            record.waited()
        decision = await self.authorizer.authorize(user, info)
        if record is not None:
            record.judged(decision)
        if not decision.allowed:
            if decision.error:
                return denial.undecided(request, decision.error)
            raise denial.forbidden(user, info, decision.reason)
        service = self.aggregator.find(request.path)
        if service is not None:
            return await self._forward(service, request, peer, user, info, until)
        if unbounded(request, info):
            return await self._resource(request, peer, user, info)
        try:
            async with asyncio.timeout_at(until):
                if info.is_resource:
                    return await self._resource(request, peer, user, info, until)
                response = await self.plain(request, user)
        except TimeoutError:
            raise status.timeout(LATE) from None
        return response if response is not None else not_found_page()

    async def _forward(
        self, service: APIService, request: Request, peer: Peer, user: UserInfo, info: RequestInfo, end: float
    ) -> Answered:
        """Let the API server answer that serves this version. It must begin in time; watches and streams may last."""
        lasting = info.verb == "watch" or info.subresource in _LONG_RUNNING or is_upgrade(request)
        begin_by = end or asyncio.get_running_loop().time() + self.timeout
        try:
            async with asyncio.timeout_at(begin_by):
                return await self.aggregator.forward(service, request, peer, user, None if lasting else begin_by)
        except TimeoutError:
            raise status.timeout(LATE) from None

    async def _resource(
        self, request: Request, peer: Peer, user: UserInfo, info: RequestInfo, deadline: float = 0.0
    ) -> Answered:
        served = self.routes.find(info.group, info.version, info.resource)
        if served is None or info.verb == "proxy":
            if self.routes.built_in(info.group, info.version):
                raise status.generic(404, said="404: Page Not Found")
            return not_found_page()
        sub = self._place(request, served, info)
        call = Call(
            request=request, peer=peer, user=user, info=info, resource=served.resource, sub=sub,
            admission=self.admission, deadline=deadline,
        )  # fmt: skip
        record = CURRENT.get()
        if record is not None:
            record.routed(call)
        if info.subresource in _LONG_RUNNING:
            return await self.handlers[served.resource.qualified, info.subresource](call)
        # Tables and bare metadata are made of stored objects and scales; reviews and their like are what they are.
        if sub is not None:
            stored = sub.type is served.resource.type or sub.name == "scale"
        else:
            stored = "list" in served.resource.verbs
        whole_custom = served.resource.custom and (sub is None or sub.name != "scale")
        endpoint: negotiate.Endpoint = "plain" if not stored else "custom" if whole_custom else "resource"
        call.media = negotiate.output(request, endpoint, stream=info.verb == "watch")
        applies = False
        if info.verb == "patch":  # an unknown kind of patch is refused before its options are read
            applies = patching.patch_type(call) == negotiate.APPLY_PATCH
            if record is not None:
                record.patch()
        kind = _OPTIONS.get(info.verb)
        if kind is not None:
            call.options = options.write_options(request, kind, applies=applies)
        deprecated = served.resource.deprecated or _DEPRECATED.get(served.resource.qualified)
        if deprecated:
            call.warn(deprecated)
            annotate("k8s.io/deprecated", "true")
        handler = self.handlers.get((served.resource.qualified, info.subresource)) or self.handlers.get(
            (EVERY, info.subresource)
        )
        answer = await (handler(call) if handler is not None else self._verb(call, served))
        if call.warnings:
            answer.headers["Warning"] = body.warning_header(call.warnings)
        if isinstance(answer, Response):
            negotiate.finish(request, answer, call.media.pretty)
        elif isinstance(answer, WatchAnswer) and request.headers.get("upgrade", "").lower() == "websocket":
            return stream_answer(request, answer.events(), text=call.media.type == negotiate.JSON)
        return answer

    def _place(self, request: Request, served: Served, info: RequestInfo) -> Subresource | None:
        """Whether there is such a place at all: NotFound, or MethodNotAllowed. The subresource, if it is one."""
        resource, verb = served.resource, info.verb
        if resource.custom:
            self._place_custom(served, info)
        sub = served.subresources.get(info.subresource) if info.subresource else None
        if (info.subresource and sub is None) or (info.rest and info.subresource not in _LONG_RUNNING):
            raise status.generic(404, said="404: Page Not Found")
        collection = verb in ("list", "watch", "deletecollection") or (verb == "create" and not info.name)
        if resource.namespaced:
            lost = not info.namespace and not collection
        else:
            lost = bool(info.namespace) and resource.qualified != "namespaces"
        if lost:
            raise status.generic(404, said="404: Page Not Found")
        allowed = verb in (sub.verbs if sub is not None else resource.verbs)
        if info.subresource == "proxy" and request.method == "OPTIONS":
            allowed = True  # the one method without a verb of its own; whoever stands behind the proxy answers it
        if resource.namespaced and not info.namespace:
            allowed = allowed and verb in ("list", "watch")
        if sub is None and not collection and bool(info.name) == (verb == "create"):
            allowed = False  # POST is for collections, PUT and PATCH are for single objects
        if verb == "watch" and request.method not in ("GET", "HEAD"):
            allowed = False
        if request.method == "HEAD" and not resource.custom and info.subresource != "proxy":
            allowed = False  # routes of built-in kinds are for GET; the handler of custom ones asks for the verb only
        if not allowed:
            raise status.generic(405)
        return sub

    def _place_custom(self, served: Served, info: RequestInfo) -> None:
        """Raises NotFound for what a custom resource does not have, in the words that its handler has for it."""
        resource = served.resource
        if info.subresource and info.subresource not in served.subresources:
            raise status.not_found(resource, info.name)
        everywhere = info.verb in ("list", "watch")
        if bool(info.namespace) != resource.namespaced and not (resource.namespaced and everywhere):
            raise Nowhere

    async def _verb(self, call: Call, served: Served) -> Answered:
        match call.info.verb:
            case "get":
                return await self.reading.get(call, served, key_in(call))
            case "list":
                return await self.reading.list(call, served)
            case "watch":
                self.watches.check(call.user)
                answer = await self.reading.watch(call, served)
                self.watches.count(call.user, answer.watcher)
                return answer
            case "create":
                return await self.registry.create(call, served)
            case "update":
                return await self.registry.update(call, served)
            case "patch":
                return await patching.change(call, self.registry, served)
            case "delete":
                return await self._delete(call, served)
            case "deletecollection":
                return await self._delete_collection(call, served)
            case _:
                raise status.generic(405)

    async def _delete(self, call: Call, served: Served) -> Response:
        wanted = deletion.read_options(call.request)
        done = await self.registry.deletion.delete(call, served, key_in(call), wanted)
        if done.gone and served.resource.qualified not in deletion.RETURNED:
            return encode(call.media, deletion.success(served.resource, done))
        code = 202 if not done.gone and wanted.orphanDependents is False else 200
        return await self.registry.respond(call, served, done.stored, code)

    async def _delete_collection(self, call: Call, served: Served) -> Answered:
        wanted = deletion.read_options(call.request)
        form, found, meta = await self.reading.select(call, served)
        items = await self.reading.listing.gather(found)
        await self.registry.deletion.delete_all(call, served, items, wanted)
        return await self.reading.listing.answer(call, form, Found(iter(items)), meta)


def unbounded(request: Request, info: RequestInfo) -> bool:
    """Whether no timer is set for a request: it lasts as long as the client likes, or waits for nothing."""
    if info.verb == "watch" or info.subresource in _LONG_RUNNING:
        return True
    return info.verb == "get" and info.is_resource and not request.query


def deadline(request: Request, most: float) -> float:
    """Seconds that a request may take: its `timeout` parameter, within the server's bound. Raises BadRequest."""
    text = request.param("timeout")
    if not text:
        return most
    try:
        asked = duration.parse(text)
    except ValueError as problem:
        raise BadRequest(f"invalid timeout specified in the request URL - {problem}") from None
    return min(asked, most) if asked > 0 else most


def failure(error: ApiError, request: Request | None = None) -> Response:
    """An error as a Status, in a form that the client accepts if there is one; without a request in JSON."""
    wire: dict[str, Any] = status.to_wire(error)
    if isinstance(error, ContinueExpired):
        wire["metadata"] = {"continue": error.token}
    media = negotiate.of_failure(request) if request is not None else negotiate.Media()
    answer = encode(media, wire, error.code)
    if error.retry_after:
        answer.headers["Retry-After"] = str(error.retry_after)
    if error.code in (403, 500):
        answer.headers["X-Content-Type-Options"] = "nosniff"
    return negotiate.finish(request, answer, media.pretty) if request is not None else answer


def not_found_page() -> Response:
    """What paths get that nobody knows: text, as Go's http.NotFound gives."""
    headers = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return Response(status=404, headers=headers, body=b"404 page not found\n")
