"""The one door between processes: an HTTP exchange without a socket in its type.

`client.http` opens the door over TLS; `testing` opens it straight into the API server's handler, with faults.
The API server's handler takes the same `Request` and gives the same answers, so a simulation runs the real
server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class Request(msgspec.Struct, kw_only=True):
    """One HTTP request. Header names are lower case, `path` is decoded, `query` keeps order and repetition.

    target: path and query as they came over a wire; a request that came otherwise has none.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""
    target: str = ""

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), default)

    def params(self, name: str) -> tuple[str, ...]:
        """All values of a query parameter, in order."""
        return tuple(value for key, value in self.query if key == name)


class Response(msgspec.Struct, kw_only=True):
    """One whole HTTP answer; header names are in their usual spelling."""

    status: int = 200
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: bytes = b""


class Stream(Protocol):
    """An answer that goes on: iterate for its chunks; leaving the context closes it."""

    status: int
    headers: dict[str, str]

    def __aiter__(self) -> AsyncIterator[bytes]: ...


class Transport(Protocol):
    """What carries requests to the API server.

    Both calls raise `ConnectionLost` when the server cannot be reached or goes away. An HTTP error status is
    not raised here: `client.client` turns it into the error tree.
    """

    async def request(self, request: Request) -> Response:
        """Send one request and read the whole answer."""
        ...

    def stream(self, request: Request) -> AbstractAsyncContextManager[Stream]:
        """Send one request and read the answer chunk by chunk (watch, log follow)."""
        ...

    async def close(self) -> None:
        """Release connections; calls after it raise `ConnectionLost`."""
        ...
