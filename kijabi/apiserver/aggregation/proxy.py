"""Passes the requests of a whole group and version on to the API server that serves it.

`server.py` comes here after authentication and authorisation, for versions whose APIService names a Service. Bodies,
watches and upgrades go through as they come; a server that dies ends the streams that went through it, and nothing
else. Refusals are plain text, as from k8s.io/kube-aggregator `pkg/apiserver/handler_proxy.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote, urlencode

from kijabi.api.apiregistration.apiservice import APIService, is_available
from kijabi.apiserver.aggregation.backends import Backends, Headers, Unreachable, Untrusted, identity
from kijabi.apiserver.attributes import Answer, Peer, StreamAnswer, UserInfo
from kijabi.apiserver.subresources.backend import HOP_HEADERS, Exchange
from kijabi.apiserver.subresources.splice import upgraded
from kijabi.apiserver.subresources.streams import is_upgrade, passed
from kijabi.apiserver.webhooks.services import Unresolved
from kijabi.base.errors import ConnectionLost
from kijabi.client.transport import Request, Response

_SAFE = "/:@!$&'()*+,;=~-._"
_TEXT = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"}
_REDIRECTED = "the backend attempted to redirect this request, which is not permitted"
# What this server says about an answer itself, and what is about the connection to the backend only.
_OURS = HOP_HEADERS | {"content-length", "audit-id"}


async def forward(
    backends: Backends, service: APIService, request: Request, peer: Peer, user: UserInfo, until: float | None
) -> Answer:
    """The answer of the server behind an APIService. until: the loop's time when it must be complete, None: never."""
    if not is_available(service):
        return refusal(503, "service unavailable")
    try:
        address = backends.address(service)
    except Untrusted as error:
        return refusal(500, str(error))
    except Unresolved:
        return refusal(503, "service unavailable")
    upgrade = is_upgrade(request)
    target = quote(request.path, safe=_SAFE)
    if request.query:
        target += "?" + urlencode(request.query)
    try:
        found = await backends.exchange(address, request.method, target, _headers(request, peer, user), request.body)
    except Unreachable as error:
        return refusal(503, f"error trying to reach service: {error}")
    if upgrade and found.status == 101:
        return upgraded(found)
    if 300 <= found.status < 400 and found.header("location"):
        found.close()
        return refusal(502, _REDIRECTED)
    headers = {name: value for name, value in found.headers if name.lower() not in _OURS}
    length = found.header("content-length")
    if length:
        headers["Content-Length"] = length
    return StreamAnswer(status=found.status, headers=headers, chunks=_body(found, until))


def refusal(status: int, text: str) -> Response:
    """What a client reads that cannot be served, as Go's http.Error writes it."""
    return Response(status=status, headers=dict(_TEXT), body=f"{text}\n".encode())


async def _body(found: Exchange, until: float | None) -> AsyncIterator[bytes]:
    """The answer's body, cut off when its time is up."""
    try:
        async with asyncio.timeout_at(until):
            async for piece in found.chunks():
                yield piece
    except TimeoutError:
        raise ConnectionLost("the aggregated API server did not answer in time") from None
    finally:
        found.close()


def _headers(request: Request, peer: Peer, user: UserInfo) -> Headers:
    """The client's headers, but for what is between it and us, with who it is and where it came from."""
    drop = {*HOP_HEADERS, "content-length", "authorization", "host", "x-forwarded-for"}
    names = [name for name in request.headers if name not in drop and not name.startswith("x-remote-")]
    headers = passed(request, names)
    if is_upgrade(request):
        headers += [("Connection", "Upgrade"), ("Upgrade", request.headers["upgrade"])]
    before = request.headers.get("x-forwarded-for", "")
    if peer.address:
        headers.append(("X-Forwarded-For", f"{before}, {peer.address}" if before else peer.address))
    return headers + identity(user)
