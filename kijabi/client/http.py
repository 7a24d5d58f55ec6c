"""The door to the API server over TLS: a `Transport` on a pool of keep-alive connections.

`client.client` sends through it in every process of a cluster. A connection serves one request after another; a watch
has one of its own. Failures of the network are `ConnectionLost`, whatever the system calls them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from kijabi.base import clock
from kijabi.base.errors import ConfigError, ConnectionLost
from kijabi.client.connection import Answer, Connection
from kijabi.client.transport import Request, Response, Stream

# Seconds to connect, TLS included.
CONNECT_TIMEOUT = 10.0
# Requests at once; more wait for one to end. Streams do not count.
MAX_REQUESTS = 128
# Idle connections are kept for so many seconds, less than servers keep theirs, and at most so many.
KEEP_ALIVE = 45.0
MAX_IDLE = 64

_FAILURES = (OSError, asyncio.TimeoutError)
_SAFE = "/:@!$&'()*+,;=~"

# Where a bearer token comes from: fixed, or asked for with each request since it is renewed.
Token = str | Callable[[], str]


class HttpStream:
    """An answer that goes on; iterate once."""

    def __init__(self, connection: Connection, answer: Answer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._connection = connection

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._connection.chunks()


class HttpTransport:
    """Requests to one server. Make it anywhere; it connects when first used, inside the running loop.

    ca: the authority that the server's certificate must come from (a file or its PEM text), "" for the system's. cert
    and key: files of a client certificate. token: a bearer token or what gives one. context: gives the TLS of a new
    connection instead, so that a renewed certificate is used. Raises ConfigError for an unusable URL or file.
    """

    def __init__(
        self,
        server_url: str,
        *,
        ca: Path | str = "",
        cert: Path | str = "",
        key: Path | str = "",
        token: Token = "",
        insecure: bool = False,
        context: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        try:
            url = urlsplit(server_url)
            port = url.port
        except ValueError as error:
            raise ConfigError(f"{server_url!r} is no URL of a server: {error}") from error
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(f"{server_url!r} is no URL of a server")
        self._url = server_url.rstrip("/")
        self._host = url.hostname
        self._port = port or (443 if url.scheme == "https" else 80)
        self._root = url.path.rstrip("/")
        self._tls: Callable[[], ssl.SSLContext | None] = _no_tls
        if url.scheme == "https":
            fixed = None if context is not None else tls(ca, cert, key, insecure=insecure)
            self._tls = context or (lambda: fixed)
        self._token = token
        self._head = f"host: {url.netloc}\r\n"
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._slots = asyncio.Semaphore(MAX_REQUESTS)
        self._closed = False

    async def request(self, request: Request) -> Response:
        """See `Transport`."""
        async with self._slots:
            connection, answer = await self._exchange(request, whole=True)
            if answer.keep and len(self._idle) < MAX_IDLE and not connection.closed:
                connection.idle_since = clock.monotonic()
                self._idle.append(connection)
            else:
                connection.close()
            return Response(status=answer.status, headers=answer.headers, body=answer.take())

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        """See `Transport`."""
        connection, answer = await self._exchange(request, whole=False)
        try:
            yield HttpStream(connection, answer)
        finally:
            connection.close()  # The rest of a stream is not read for the connection's sake.

    async def close(self) -> None:
        """See `Transport`."""
        self._closed = True
        self._idle.clear()
        for connection in tuple(self._all):
            connection.close()

    async def _exchange(self, request: Request, *, whole: bool) -> tuple[Connection, Answer]:
        """Send a request; the answer, or its head, and the connection that it came on."""
        data = self._encoded(request)
        connection = self._reused()
        if connection is not None:
            try:
                return connection, await self._on(connection, request, data, whole)
            except ConnectionLost:
                # The server may have hung up on the idle connection before it saw the request. Only what changes
                # nothing may be sent again.
                if request.method != "GET" or (connection.answer is not None and connection.answer.status):
                    raise
        connection = await self._connected(request)
        return connection, await self._on(connection, request, data, whole)

    async def _on(self, connection: Connection, request: Request, data: bytes, whole: bool) -> Answer:
        try:
            return await connection.exchange(data, whole=whole, bodiless=request.method == "HEAD")
        except ConnectionLost as error:
            raise ConnectionLost(f"{request.method} {self._url}{request.path}: {error}") from error
        except BaseException:
            connection.close()  # Given up: what still comes belongs to nobody.
            raise

    def _reused(self) -> Connection | None:
        """The idle connection used last, if one is fresh enough."""
        if self._closed:
            raise ConnectionLost("the transport was closed")
        oldest = clock.monotonic() - KEEP_ALIVE
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and connection.idle_since >= oldest:
                return connection
            connection.close()
        return None

    async def _connected(self, request: Request) -> Connection:
        loop = asyncio.get_running_loop()
        context = self._tls()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._all.discard),
                    self._host,
                    self._port,
                    ssl=context,
                    server_hostname=self._host if context is not None else None,
                )
        except _FAILURES as error:
            why = str(error) or type(error).__name__
            raise ConnectionLost(f"{request.method} {self._url}{request.path}: {why}") from error
        self._all.add(connection)
        return connection

    def _encoded(self, request: Request) -> bytes:
        """The request as it goes over the wire."""
        target = self._root + quote(request.path, safe=_SAFE)
        if request.query:
            target += "?" + urlencode(request.query, safe=",()!/:*")
        lines = [f"{request.method} {target} HTTP/1.1\r\n", self._head]
        for name, value in request.headers.items():
            if "\r" in value or "\n" in value or "\n" in name:
                raise ValueError(f"the header {name!r} has a line break")
            lines.append(f"{name}: {value}\r\n")
        if self._token and "authorization" not in request.headers:
            token = self._token() if callable(self._token) else self._token
            lines.append(f"authorization: Bearer {token}\r\n")
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            lines.append(f"content-length: {len(request.body)}\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("latin-1", "replace") + request.body


def _no_tls() -> None:
    """Plain HTTP."""


def tls(ca: Path | str, cert: Path | str, key: Path | str, *, insecure: bool = False) -> ssl.SSLContext:
    """A client's TLS context, from 1.2 on; see HttpTransport for the parameters."""
    try:
        text = str(ca)
        context = ssl.create_default_context(
            cafile=text if text and "-----BEGIN" not in text else None,
            cadata=text if "-----BEGIN" in text else None,
        )
        if cert:
            context.load_cert_chain(cert, key or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot use the certificates {ca or 'of the system'}, {cert}: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
