"""The shortest way to the API server: its handler called in this process, without a socket.

`cluster` gives each simulated component one of these, behind a `faults.FaultyTransport`; tests of operators use it
plainly. Who asks is said by the caller and believed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from kijabi.apiserver.attributes import Peer, StreamAnswer, UpgradeAnswer, UserInfo
from kijabi.apiserver.server import ApiServer
from kijabi.apiserver.watch import WatchAnswer
from kijabi.base.errors import ConnectionLost
from kijabi.client.transport import Request, Response, Stream
from kijabi.testing.history import ACTOR, LATE
from kijabi.testing.interrupt import Waits
from kijabi.testing.simloop import MACHINE

# The machine that the server is on.
SERVER = "apiserver"
USER, GROUPS = "x-remote-user", "x-remote-group"
ADMIN = UserInfo("kubernetes-admin", groups=("system:masters",))
PEER = Peer(None, "127.0.0.1")


class Believing:
    """Authentication that believes what a `Direct` transport says of itself; nobody else can reach the server."""

    async def authenticate(self, request: Request, peer: Peer) -> UserInfo | None:
        """See apiserver/attributes.py Authenticator."""
        name = request.headers.get(USER)
        if name is None:
            return None
        groups = tuple(filter(None, request.headers.get(GROUPS, "").split(",")))
        return UserInfo(name, groups=(*groups, "system:authenticated"))


class _Chunks:
    """An answer as a Stream."""

    def __init__(self, answer: Response | WatchAnswer | StreamAnswer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        answer = self._answer
        if isinstance(answer, Response):
            yield answer.body
            return
        chunks = answer.chunks() if isinstance(answer, WatchAnswer) else answer.chunks
        async for chunk in chunks:
            yield chunk


class Direct:
    """A `client.Transport` into a server. server: gives the one of now, or None while there is none; calls: the
    requests that it is working on, to be aborted when it dies."""

    def __init__(
        self, server: Callable[[], ApiServer | None], user: UserInfo = ADMIN, calls: Waits | None = None
    ) -> None:
        self._server = server
        self._user = user
        self._calls = calls or Waits()
        self._closed = False

    async def request(self, request: Request) -> Response:
        """See Transport. An answer that goes on is read to its end."""
        answer = await self._ask(request)
        if isinstance(answer, Response):
            return answer
        body = b"".join([chunk async for chunk in _Chunks(answer)])
        return Response(status=answer.status, headers=answer.headers, body=body)

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        """See Transport."""
        answer = await self._ask(request)
        try:
            yield _Chunks(answer)
        finally:
            if isinstance(answer, WatchAnswer):
                answer.watcher.close()

    async def _ask(self, request: Request) -> Response | WatchAnswer | StreamAnswer:
        server = self._server()
        if server is None or self._closed:
            raise ConnectionLost("the API server is not running")
        identity = {USER: self._user.name, GROUPS: ",".join(self._user.groups)}
        asked = Request(
            method=request.method,
            path=request.path,
            query=request.query,
            headers={**request.headers, **identity},
            body=request.body,
        )
        actor, machine = ACTOR.set(self._user.name + LATE.get()), MACHINE.set(SERVER)
        try:
            answer = await self._calls.run(server.handle(asked, PEER))
        finally:
            MACHINE.reset(machine)
            ACTOR.reset(actor)
        if self._server() is not server:
            raise ConnectionLost("the API server went away before it answered")
        if isinstance(answer, UpgradeAnswer):
            raise ConnectionLost("a connection without a socket cannot be upgraded")
        return answer

    async def close(self) -> None:
        """See Transport."""
        self._closed = True
