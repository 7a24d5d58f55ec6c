"""exec and attach: one request from the kubelet's server becomes streams between a client and an ExecSession.

Called by `kubelet/server.py`; hands on to the runtime through the session that the caller's factory opens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from kijabi.kubelet.runtime.interface import ExecSession


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which streams the client asked for by query parameters (input/stdin, output/stdout, error/stderr, tty)."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


SessionFactory = Callable[[StreamOptions], Awaitable[ExecSession]]


async def serve(request: web.Request, open_session: SessionFactory) -> web.StreamResponse:
    """Serve one exec or attach request to its end; return the response for aiohttp.

    The caller has authorised the client and knows that the container exists (else it answers 404 itself). The upgrade
    (WebSocket v5/v4/v3/…channel.k8s.io, base64, or SPDY/3.1) is negotiated first, then `open_session(options)` is
    awaited: what it raises (ApiError, RuntimeFailure) reaches the client on the error stream as a Status. A request
    that asks for no stream or does not upgrade gets 400.
    """
    raise NotImplementedError
