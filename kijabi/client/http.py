"""The door to the API server over TLS: a `Transport` on aiohttp.

`client.client` sends through it in every process of a cluster. Connections are kept alive and pooled; a watch
has one of its own. Failures of the network are `ConnectionLost`, whatever aiohttp calls them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from yarl import URL

from kijabi.base.errors import ConfigError, ConnectionLost
from kijabi.client.transport import Request, Response, Stream

# Seconds to connect, TLS included.
CONNECT_TIMEOUT = 10.0
# Connections at once; more wait for one to be free. Watches hold theirs.
MAX_CONNECTIONS = 256
# Seconds that an idle connection is kept.
KEEP_ALIVE = 60.0
# The longest body of a whole answer that is read, in bytes. A list of 150,000 pods comes in pages.
MAX_BODY = 1 << 30
# Bytes of a stream handed on at once.
CHUNK = 1 << 16

_FAILURES = (aiohttp.ClientError, OSError, asyncio.TimeoutError)

# Where a bearer token comes from: fixed, or read anew for each request since it is renewed.
Token = str | Callable[[], str]


class HttpStream:
    """An answer that goes on; iterate once."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.status = answer.status
        self.headers = dict(answer.headers)
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_any():
                yield chunk
        except _FAILURES as error:
            raise ConnectionLost(f"the stream broke off: {_said(error)}") from error


class HttpTransport:
    """Requests to one server. Make it anywhere; it connects when first used, inside the running loop.

    ca: the authority that the server's certificate must come from (a file or its PEM text), "" for the
    system's. cert and key: files of a client certificate. token: a bearer token or what gives one. Raises
    ConfigError for files that cannot be used.
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
    ) -> None:
        self._base = URL(server_url.rstrip("/"))
        self._ssl = tls(ca, cert, key, insecure=insecure) if self._base.scheme == "https" else None
        self._token = token
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def request(self, request: Request) -> Response:
        """See `Transport`."""
        try:
            async with self._send(request) as answer:
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > MAX_BODY:
                        raise ConnectionLost(f"the answer is longer than {MAX_BODY} bytes")
                return Response(status=answer.status, headers=dict(answer.headers), body=bytes(body))
        except _FAILURES as error:
            raise ConnectionLost(f"{request.method} {self._base}{request.path}: {_said(error)}") from error

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        """See `Transport`."""
        try:
            answer = await self._send(request)
        except _FAILURES as error:
            raise ConnectionLost(f"{request.method} {self._base}{request.path}: {_said(error)}") from error
        try:
            yield HttpStream(answer)
        finally:
            answer.close()  # Not released: the rest of a stream is not read for the connection's sake.

    async def close(self) -> None:
        """See `Transport`."""
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _send(self, request: Request) -> aiohttp.client._RequestContextManager:
        if self._closed:
            raise ConnectionLost("the transport was closed")
        if self._session is None:
            self._session = self._opened()
        headers = dict(request.headers)
        if self._token and "authorization" not in headers:
            token = self._token() if callable(self._token) else self._token
            headers["authorization"] = f"Bearer {token}"
        url = self._base.joinpath(request.path.lstrip("/")).with_query(request.query)
        return self._session.request(
            request.method, url, headers=headers, data=request.body or None, allow_redirects=False
        )

    def _opened(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self._ssl if self._ssl is not None else True,
            limit=MAX_CONNECTIONS,
            keepalive_timeout=KEEP_ALIVE,
            ttl_dns_cache=60,
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            skip_auto_headers=("Accept-Encoding",),  # Compressing costs more than a local network.
            read_bufsize=CHUNK,
            max_line_size=1 << 14,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )


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


def _said(error: BaseException) -> str:
    return str(error) or type(error).__name__
