"""The server's side of WebSocket (RFC 6455), as far as Kubernetes' streaming needs it, and its channels.

`accept` answers the handshake, `Socket` frames messages over the connection that `upgrade` took, `Channels`
numbers them as `channel.k8s.io` does (first byte or digit), `Tunnel` makes them one byte stream for `SPDY/3.1+…`.
`remotecommand` and `portforward` use these. No extensions (compression) are offered. A Socket answers pings as
it reads.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import struct
from collections.abc import Collection

from aiohttp import web

from kijabi.base.errors import BadRequest, ConnectionLost, KijabiError
from kijabi.kubelet.streaming import upgrade

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NORMAL, PROTOCOL_ERROR, TOO_BIG, INTERNAL_ERROR = 1000, 1002, 1009, 1011
MAX_MESSAGE = 32 << 20  # bytes; clients send 32 KiB at a time
CLOSE_TIMEOUT = 2.0  # seconds for the peer to answer our close frame
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocketError(KijabiError):
    """The peer broke the protocol or a limit; `code` is the status of the close frame."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def requested(request: web.Request) -> tuple[str, ...]:
    """The subprotocols that the client offers, in its order of preference."""
    header = ",".join(request.headers.getall("Sec-WebSocket-Protocol", ()))
    return tuple(name.strip() for name in header.split(",") if name.strip())


def choose(request: web.Request, supported: Collection[str]) -> str:
    """The first offered subprotocol that is supported, "" where none is offered and that is allowed; or BadRequest."""
    offered = requested(request) or ("",)
    for name in offered:
        if name in supported:
            return name
    known = [name for name in supported if name]
    raise BadRequest(f"requested protocol(s) are not supported: {list(offered)}; supports {known}")


def accept(request: web.Request, protocol: str) -> tuple[Socket, upgrade.Upgraded]:
    """Answer the handshake with the chosen subprotocol; raises BadRequest or ConnectionLost."""
    key = request.headers.get("Sec-WebSocket-Key", "")
    try:
        valid = len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        valid = False
    if not valid:
        raise BadRequest("WebSocket upgrade without a valid Sec-WebSocket-Key")
    if request.headers.get("Sec-WebSocket-Version") != "13":
        raise BadRequest("only WebSocket version 13 is supported")
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": base64.b64encode(digest).decode(),
    }
    if protocol:
        headers["Sec-WebSocket-Protocol"] = protocol
    reader, writer, response = upgrade.take_over(request, headers)
    return Socket(reader, writer), response


class Socket:
    """Messages over a connection. Writing is immediate, `drain` waits; reading answers pings and the close."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._close_sent = False
        self._close_received = asyncio.Event()

    def send(self, data: bytes, *, text: bool = False) -> None:
        """Send one message; raises ConnectionLost after a close."""
        if self._close_sent or self._writer.is_closing():
            raise ConnectionLost("the WebSocket is closed")
        self._frame(TEXT if text else BINARY, data)

    async def drain(self) -> None:
        """Wait while too many bytes are on their way."""
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise ConnectionLost(f"the WebSocket is closed: {error}") from error

    async def receive(self) -> bytes | None:
        """The next message's bytes, None once the peer has closed or gone. Raises WebSocketError."""
        message = bytearray()
        started = False
        while True:
            try:
                opcode, final, payload = await self._read_frame(MAX_MESSAGE - len(message))
            except (asyncio.IncompleteReadError, ConnectionError):
                self._close_received.set()
                return None
            if opcode == PING:
                if not self._close_sent:
                    self._frame(PONG, payload)
                    await self.drain()
            elif opcode == CLOSE:
                self._close_received.set()
                self._send_close(payload[:2])
                return None
            elif opcode in (TEXT, BINARY, CONTINUATION):
                if started != (opcode == CONTINUATION):
                    raise WebSocketError(PROTOCOL_ERROR, "message fragments out of order")
                started = True
                message += payload
                if final:
                    return bytes(message)
            elif opcode != PONG:
                raise WebSocketError(PROTOCOL_ERROR, f"unknown opcode {opcode}")

    async def close(self, code: int = NORMAL, *, reading: bool = False) -> None:
        """Close politely: our close frame, the peer's answer (not awaited long), the connection.

        reading: another task still calls `receive`, which will see the answer; else it is read here.
        """
        try:
            self._send_close(struct.pack(">H", code))
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._writer.drain()
                if code != NORMAL:
                    return  # a peer that breaks the protocol is not waited for
                if reading:
                    await self._close_received.wait()
                while not self._close_received.is_set():
                    await self.receive()
        except (TimeoutError, ConnectionError, ConnectionLost, WebSocketError):
            pass  # the peer need not answer
        finally:
            self._writer.close()

    def abandon(self) -> None:
        """Close the connection, whatever its state."""
        self._writer.close()

    def _send_close(self, payload: bytes) -> None:
        if not self._close_sent and not self._writer.is_closing():
            self._close_sent = True
            self._frame(CLOSE, payload)

    def _frame(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 0x80 | opcode, size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", 0x80 | opcode, 126, size)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 127, size)
        self._writer.write(head + payload)

    async def _read_frame(self, room: int) -> tuple[int, bool, bytes]:
        first, second = await self._reader.readexactly(2)
        opcode, final, size = first & 0x0F, bool(first & 0x80), second & 0x7F
        if first & 0x70:
            raise WebSocketError(PROTOCOL_ERROR, "reserved bits are set")
        if not second & 0x80:
            raise WebSocketError(PROTOCOL_ERROR, "a client's frame must be masked")
        if opcode & 0x8 and (size > 125 or not final):
            raise WebSocketError(PROTOCOL_ERROR, "bad control frame")
        if size == 126:
            (size,) = struct.unpack(">H", await self._reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self._reader.readexactly(8))
        if size > room:
            raise WebSocketError(TOO_BIG, f"message larger than {MAX_MESSAGE} bytes")
        mask = await self._reader.readexactly(4)
        return opcode, final, unmask(await self._reader.readexactly(size), mask)


def unmask(data: bytes, mask: bytes) -> bytes:
    """A client's payload in the clear: XOR with the mask, all bytes at once as one big number."""
    size = len(data)
    if not size:
        return data
    pad = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")


class Channels:
    """Numbered channels over a Socket: raw (first byte) or base64 (first character a digit)."""

    def __init__(self, socket: Socket, *, base64: bool) -> None:
        self.socket = socket
        self._base64 = base64

    def send(self, channel: int, data: bytes) -> None:
        """Send bytes on a channel."""
        if self._base64:
            self.socket.send(str(channel).encode() + base64.b64encode(data), text=True)
        else:
            self.socket.send(bytes((channel,)) + data)

    async def drain(self) -> None:
        """Wait while too many bytes are on their way."""
        await self.socket.drain()

    async def receive(self) -> tuple[int, bytes] | None:
        """The next (channel, bytes), or None at the end. Empty messages are skipped, as upstream does."""
        while (message := await self.socket.receive()) is not None:
            if not message:
                continue
            if not self._base64:
                return message[0], message[1:]
            try:
                return message[0] - ord("0"), base64.b64decode(message[1:], validate=True)
            except binascii.Error as error:
                raise WebSocketError(PROTOCOL_ERROR, f"bad base64: {error}") from error
        return None


class Tunnel:
    """A Socket as one byte stream in each direction: message boundaries mean nothing. ByteReader and ByteWriter."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._rest = b""

    async def read(self, n: int = -1, /) -> bytes:
        """Up to n bytes of what has come; b"" at the end."""
        while not self._rest:
            message = await self._socket.receive()
            if message is None:
                return b""
            self._rest = message
        size = len(self._rest) if n < 0 else n
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def write(self, data: bytes, /) -> None:
        """Send as one message."""
        self._socket.send(data)

    async def drain(self) -> None:
        """Wait while too many bytes are on their way."""
        await self._socket.drain()

    def write_eof(self) -> None:
        """There is no half-close in a tunnel."""

    def close(self) -> None:
        """The Socket is closed by whoever accepted it."""
