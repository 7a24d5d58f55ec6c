"""An HTTP/1.1 exchange with a kubelet, a pod or a service, down to the bytes, so that an upgrade can go through.

`kubelets.py` and `proxy.py` say whom to call; `splice.py` and `log.py` use what comes back. Connections are opened by a
`Dial`, so that a simulation can answer without sockets. One exchange a connection: it is closed at the end.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol

from kijabi.base.errors import ConnectionLost

MAX_HEAD = 64 * 1024  # bytes of status line and headers
CHUNK = 64 * 1024  # bytes read at a time; also what waits in either direction
MAX_CHUNK_LINE = 1024
CONNECT_SECONDS = 10.0
HOP_HEADERS = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
     "transfer-encoding", "upgrade")
)  # fmt: skip


class ByteReader(Protocol):
    """The reading side of a connection, as asyncio.StreamReader has it."""

    async def read(self, n: int = -1) -> bytes: ...
    async def readuntil(self, separator: bytes = b"\n") -> bytes: ...
    async def readexactly(self, n: int) -> bytes: ...


class ByteWriter(Protocol):
    """The writing side of a connection, as asyncio.StreamWriter has it."""

    def write(self, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def close(self) -> None: ...


class Address(NamedTuple):
    """Whom to call. tls: None for plain HTTP. name: whom the certificate must name."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    name: str = ""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Dial = Callable[[Address], Awaitable[tuple[ByteReader, ByteWriter]]]


async def dial(address: Address) -> tuple[ByteReader, ByteWriter]:
    """Open a connection by TCP, and TLS if asked. Raises OSError (TimeoutError and SSLError among them)."""
    name = (address.name or address.host) if address.tls is not None else None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            return await asyncio.open_connection(
                address.host, address.port, ssl=address.tls, server_hostname=name, limit=MAX_HEAD
            )
    except ssl.CertificateError as error:
        raise OSError(f"tls: {error}") from error


class Exchange:
    """An answer whose head has arrived: status, headers, and its body still to come."""

    def __init__(
        self, reader: ByteReader, writer: ByteWriter, status: int, reason: str, headers: list[tuple[str, str]],
        has_body: bool,
    ) -> None:  # fmt: skip
        self.reader = reader
        self.writer = writer
        self.status = status
        self.reason = reason
        self.headers = headers
        self._has_body = has_body

    def header(self, name: str) -> str:
        """The first value of a header, by lower-case name."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, decoded, piece by piece; closes the connection at its end or when it is left.

        Raises ConnectionLost when the body is cut off.
        """
        try:
            if not self._has_body:
                return
            if "chunked" in self.header("transfer-encoding").lower():
                async for piece in self._chunked():
                    yield piece
                return
            length = self.header("content-length")
            left = int(length) if length.isdigit() else -1
            while left:
                piece = await self.reader.read(CHUNK if left < 0 else min(CHUNK, left))
                if not piece:
                    if left > 0:
                        raise ConnectionLost("unexpected EOF")
                    return
                left = left - len(piece) if left > 0 else left
                yield piece
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise ConnectionLost(f"error reading from the backend: {error}") from error
        finally:
            self.close()

    async def _chunked(self) -> AsyncIterator[bytes]:
        while True:
            line = await self.reader.readuntil(b"\n")
            if len(line) > MAX_CHUNK_LINE:
                raise ValueError("malformed chunked encoding")
            left = int(line.split(b";")[0].strip() or b"-", 16)
            if left < 0:
                raise ValueError("malformed chunked encoding")
            if left == 0:
                while (await self.reader.readuntil(b"\n")).strip():
                    pass
                return
            while left:
                piece = await self.reader.read(min(CHUNK, left))
                if not piece:
                    raise ConnectionLost("unexpected EOF")
                left -= len(piece)
                yield piece
            await self.reader.readexactly(2)

    async def read(self, limit: int) -> bytes:
        """The body, up to a limit, the rest thrown away."""
        collected = bytearray()
        async for piece in self.chunks():
            collected += piece[: limit - len(collected)]
            if len(collected) >= limit:
                break
        self.close()
        return bytes(collected)

    def close(self) -> None:
        """End the connection; idempotent."""
        self.writer.close()


async def exchange(
    open_: Dial, address: Address, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes = b""
) -> Exchange:
    """Send a request and read the head of its answer.

    target: path and query as they go on the wire. Raises OSError when nobody can be reached, ConnectionLost when the
    answer is cut off or not HTTP.
    """
    reader, writer = await open_(address)
    try:
        writer.write(_head(address, method, target, headers, body) + body)
        await writer.drain()
        while True:
            status, reason, found = _parse(await reader.readuntil(b"\r\n\r\n"))
            if status >= 200 or status == 101:
                break
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        writer.close()
        raise ConnectionLost(f"malformed HTTP response: {error}") from error
    except BaseException:
        writer.close()
        raise
    has_body = method != "HEAD" and status not in (101, 204, 304)
    return Exchange(reader, writer, status, reason, found, has_body)


def _head(address: Address, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> bytes:
    lines = [f"{method} {target} HTTP/1.1"]
    given = list(headers)
    names = {name.lower() for name, _ in given}
    if "host" not in names:
        lines.append(f"Host: {address}")
    if "connection" not in names:
        lines.append("Connection: close")
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in given if name.lower() != "content-length"]
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise ValueError("header with a line break")
    return (text + "\r\n\r\n").encode("latin-1", "replace")


def _parse(head: bytes) -> tuple[int, str, list[tuple[str, str]]]:
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or len(code) != 3 or not code.isdigit():
        raise ValueError(f"malformed HTTP status line {first[:100]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"malformed HTTP header {line[:100]!r}")
        headers.append((name.strip(), value.strip()))
    return int(code), reason, headers


def error_text(address: Address, error: Exception) -> str:
    """Why somebody could not be reached, in Go's words for the common cases."""
    if isinstance(error, TimeoutError):
        return f"dial tcp {address}: i/o timeout"
    if isinstance(error, ConnectionRefusedError):
        return f"dial tcp {address}: connect: connection refused"
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        return f"dial tcp {address}: connect: {(error.strerror or str(error)).lower()}"
    return str(error)
