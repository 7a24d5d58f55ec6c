"""port-forward: many TCP connections between a client and a pod over one upgraded request.

Called by `kubelet/server.py`; hands on to the runtime through `connect`, usually
`functools.partial(runtime.connect, sandbox_id)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

Connect = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def serve(request: web.Request, connect: Connect) -> web.StreamResponse:
    """Serve one port-forward request to its end; return the response for aiohttp.

    Forms: raw SPDY/3.1 `portforward.k8s.io`; the same tunnelled in a WebSocket (`SPDY/3.1+portforward.k8s.io`); old
    WebSocket channels (`v4.channel.k8s.io` and friends with `?ports=`/`?port=`). `connect(port)` dials inside the
    pod; what it raises (OSError, RuntimeFailure) goes to the client's error stream of that connection only.
    """
    raise NotImplementedError
