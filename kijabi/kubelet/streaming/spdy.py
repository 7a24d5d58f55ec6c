"""SPDY/3.1 framing, both roles: many byte streams over one connection, each with headers.

kubectl port-forward, exec and attach of clients before WebSockets, and containerd's attach speak it.
`remotecommand` and `portforward` run a server `Session` over an upgraded request, `runtime/cri_attach` a client.

What is spoken is what moby/spdystream speaks, the library in all of those: SYN_STREAM, SYN_REPLY, DATA,
RST_STREAM, PING, GOAWAY. It has no flow control: window updates and settings are read and ignored, and nobody
sends them. So a stream that nobody reads holds up its connection once its buffer is full; that is also
upstream's behaviour, and it bounds memory.
Frame layout: the SPDY protocol, draft 3.1.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence

from aiohttp import web

from kijabi.base.errors import BadRequest, ConnectionLost, KijabiError
from kijabi.kubelet.runtime.interface import ByteReader, ByteWriter
from kijabi.kubelet.streaming import upgrade
from kijabi.kubelet.streaming.pipe import CHUNK, Pipe

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FLAG_FIN, FLAG_UNIDIRECTIONAL = 1, 2
PROTOCOL_ERROR, REFUSED_STREAM, CANCEL = 1, 3, 5
GOAWAY_OK, GOAWAY_PROTOCOL_ERROR = 0, 1

MAX_STREAMS = 1024  # open at a time on one connection
MAX_CONTROL = 64 << 10  # bytes of a control frame
MAX_HEADERS = 256 << 10  # bytes of a decompressed header block
STREAM_BUFFER = 256 << 10  # bytes waiting in one stream before its connection is read no further
REPLY_TIMEOUT = 30.0  # seconds for the peer to accept a stream, as upstream's createStreamResponseTimeout


def _dictionary() -> bytes:
    """The protocol's compression dictionary: header names with their lengths, then values (draft 3, 2.6.10.1)."""
    names = (
        "options|head|post|put|delete|trace|accept|accept-charset|accept-encoding|accept-language|"
        "accept-ranges|age|allow|authorization|cache-control|connection|content-base|"
        "content-encoding|content-language|content-length|content-location|content-md5|content-range|"
        "content-type|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|"
        "if-range|if-unmodified-since|last-modified|location|max-forwards|pragma|proxy-authenticate|"
        "proxy-authorization|range|referer|retry-after|server|te|trailer|transfer-encoding|upgrade|"
        "user-agent|vary|via|warning|www-authenticate|method|get|status|200 OK|version|HTTP/1.1|url|"
        "public|set-cookie|keep-alive|origin"
    )
    values = (
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
        "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
        "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
        "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
        "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
        "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
    )
    return b"".join(struct.pack(">I", len(name)) + name.encode() for name in names.split("|")) + values.encode()


DICTIONARY = _dictionary()


class SpdyError(KijabiError):
    """The peer broke the protocol or a limit."""


class Unsupported(BadRequest):
    """No stream protocol in common (403); `headers` say which ones there are."""

    def __init__(self, message: str, supported: Sequence[str]) -> None:
        super().__init__(message, code=403)
        self.headers = {"X-Accepted-Stream-Protocol-Versions": ", ".join(supported)}


def choose(request: web.Request, supported: Sequence[str]) -> str:
    """The first stream protocol of the client's that is supported; raises BadRequest or Unsupported."""
    name = "X-Stream-Protocol-Version"
    if name not in request.headers:
        count = len(request.headers)
        raise BadRequest(f"unable to upgrade: header {name} does not exist in request with {count} headers")
    offered = [text.strip() for text in ",".join(request.headers.getall(name)).split(",") if text.strip()]
    for protocol in offered:
        if protocol in supported:
            return protocol
    raise Unsupported(
        f"unable to upgrade: unable to negotiate protocol: client supports [{' '.join(offered)}], "
        f"server accepts [{' '.join(supported)}]",
        supported,
    )


def accept(request: web.Request, protocol: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, upgrade.Upgraded]:
    """Answer the upgrade with the chosen stream protocol; raises ConnectionLost."""
    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": protocol}
    return upgrade.take_over(request, headers)


class HeaderCodec:
    """Header blocks of one connection: name-value lists, compressed with one state a direction."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=DICTIONARY)
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)

    def encode(self, headers: Mapping[str, str]) -> bytes:
        """A header block; names go in lower case."""
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            for text in (name.lower().encode(), value.encode()):
                block += struct.pack(">I", len(text)) + text
        return self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def decode(self, data: bytes) -> dict[str, str]:
        """The headers of a block; of several values of a name the first counts. Raises SpdyError."""
        try:
            block = self._inflate.decompress(data, MAX_HEADERS)
            if self._inflate.unconsumed_tail:
                raise SpdyError(f"headers larger than {MAX_HEADERS} bytes")
            (count,) = struct.unpack_from(">I", block)
            texts, offset = [], 4
            for _ in range(2 * count):
                (length,) = struct.unpack_from(">I", block, offset)
                if length > len(block) - offset - 4:
                    raise SpdyError("header block ends early")
                texts.append(block[offset + 4 : offset + 4 + length].decode())
                offset += 4 + length
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise SpdyError(f"bad header block: {error}") from error
        return {name.lower(): value.split("\0")[0] for name, value in zip(texts[::2], texts[1::2], strict=True)}


class Stream(Pipe):
    """One stream: what comes in is read as from any Pipe, what goes out is written here.

    `write_eof` half-closes, `close` also drops what still comes in. `end` and `feed` are for the Session.
    """

    def __init__(self, session: Session, id: int, headers: dict[str, str]) -> None:
        super().__init__(STREAM_BUFFER)
        self.id = id
        self.headers = headers
        self._session = session
        self._answered = asyncio.Event()
        self._finished = False  # nothing more goes out

    def write(self, data: bytes, /) -> None:
        """Send; raises ConnectionLost when the stream or its connection is closed."""
        if self._finished:
            raise ConnectionLost(f"SPDY stream {self.id} is closed for writing")
        for start in range(0, len(data), CHUNK):
            self._session.send_data(self.id, data[start : start + CHUNK])

    async def drain(self) -> None:
        """Wait while too many bytes are on their way."""
        await self._session.drain()

    def write_eof(self) -> None:
        """Say that nothing more comes; repeatable."""
        if not self._finished:
            self._finished = True
            self._session.send_data(self.id, b"", fin=True)
            self._session.forget(self)

    def close(self) -> None:
        """End both directions."""
        self.drop()
        self.write_eof()

    def reset(self, status: int = CANCEL) -> None:
        """Abort both directions at once."""
        if not self.done:
            self._session.send_reset(self.id, status)
        self.end(ConnectionLost(f"SPDY stream {self.id} was reset"))
        self._finished = True
        self._session.forget(self)

    @property
    def done(self) -> bool:
        """Both directions have ended."""
        return self._finished and self.ended

    async def feed(self, data: bytes) -> None:
        """Take bytes from the connection; waits while the buffer is full and somebody may still read it."""
        await Pipe.drain(self)
        Pipe.write(self, data)

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes in."""
        super().end(error)
        self._answered.set()

    def accept(self) -> None:
        """The peer has answered our SYN_STREAM."""
        self._answered.set()

    async def accepted(self) -> None:
        """Wait for the peer's answer; raises ConnectionLost when it refuses or says nothing."""
        try:
            async with asyncio.timeout(REPLY_TIMEOUT):
                await self._answered.wait()
        except TimeoutError as error:
            raise ConnectionLost(f"SPDY stream {self.id}: no answer in {REPLY_TIMEOUT:g} s") from error
        if self._error:
            raise self._error


class Session:
    """One SPDY connection over any pair of byte streams. `run` must be running for anything to arrive."""

    def __init__(self, reader: ByteReader, writer: ByteWriter, *, client: bool = False) -> None:
        self._reader = reader
        self._writer = writer
        self._codec = HeaderCodec()
        self._streams: dict[int, Stream] = {}
        self._next_id = 1 if client else 2
        self._last_peer_id = 0 if client else -1
        self._pending = bytearray()
        self._closed = False
        self._pings: dict[int, asyncio.Event] = {}
        self._next_ping = 1 if client else 2

    async def run(self, on_stream: Callable[[Stream], None] | None = None) -> None:
        """Read frames until the peer ends or breaks the connection; then every stream has ended.

        `on_stream` gets each stream that the peer opens, already accepted. Raises SpdyError.
        """
        try:
            while await self._frame(on_stream):
                continue
            self._end(None)
        except SpdyError:
            self._send_control(GOAWAY, 0, struct.pack(">II", max(self._last_peer_id, 0), GOAWAY_PROTOCOL_ERROR))
            raise
        except (ConnectionLost, OSError) as error:
            self._end(ConnectionLost(f"SPDY connection lost: {error}"))
        finally:
            self._end(ConnectionLost("SPDY connection closed"))

    async def open(self, headers: Mapping[str, str]) -> Stream:
        """Open a stream and wait until the peer accepts it; raises ConnectionLost."""
        if self._closed:
            raise ConnectionLost("SPDY connection closed")
        stream = Stream(self, self._next_id, dict(headers))
        self._next_id += 2
        self._streams[stream.id] = stream
        self._send_control(SYN_STREAM, 0, struct.pack(">IIH", stream.id, 0, 0) + self._codec.encode(headers))
        await stream.accepted()
        return stream

    async def ping(self) -> None:
        """Ask for a sign of life and wait for it."""
        number, answered = self._next_ping, asyncio.Event()
        self._next_ping += 2
        self._pings[number] = answered
        self._send_control(PING, 0, struct.pack(">I", number))
        await answered.wait()

    async def close(self) -> None:
        """Say goodbye and end all streams; the byte streams below are the caller's to close."""
        if not self._closed:
            self._send_control(GOAWAY, 0, struct.pack(">II", max(self._last_peer_id, 0), GOAWAY_OK))
            self._end(ConnectionLost("SPDY connection closed"))
            try:
                await self._writer.drain()
            except (ConnectionLost, OSError):
                return  # the peer went first

    # For streams

    def send_data(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        """Write one DATA frame."""
        if self._closed and not fin:
            raise ConnectionLost("SPDY connection closed")
        if not self._closed:
            self._writer.write(struct.pack(">II", stream_id, int(fin) << 24 | len(data)) + data)

    def send_reset(self, stream_id: int, status: int) -> None:
        """Write one RST_STREAM frame."""
        self._send_control(RST_STREAM, 0, struct.pack(">II", stream_id, status))

    async def drain(self) -> None:
        """Wait while too many bytes are on their way to the peer."""
        await self._writer.drain()

    def forget(self, stream: Stream) -> None:
        """Drop a stream whose two directions have ended."""
        if stream.done:
            self._streams.pop(stream.id, None)

    # Frames

    async def _frame(self, on_stream: Callable[[Stream], None] | None) -> bool:
        """Read and handle one frame; False at the end of the connection."""
        head = await self._exactly(8, may_end=True)
        if not head:
            return False
        first, second = struct.unpack(">II", head)
        flags, length = second >> 24, second & 0xFFFFFF
        if not first & 0x80000000:
            await self._data(first, flags, length)
            return True
        if length > MAX_CONTROL:
            raise SpdyError(f"control frame of {length} bytes")
        body = await self._exactly(length)
        try:
            return await self._control(first & 0xFFFF, flags, body, on_stream)
        except struct.error as error:
            raise SpdyError(f"control frame too short: {error}") from error

    async def _control(self, kind: int, flags: int, body: bytes, on_stream: Callable[[Stream], None] | None) -> bool:
        match kind:
            case 1:  # SYN_STREAM
                await self._syn_stream(flags, body, on_stream)
            case 2:  # SYN_REPLY
                stream = self._streams.get(_id(body))
                self._codec.decode(body[4:])
                if stream:
                    stream.accept()
                    self._fin(stream, flags)
            case 3:  # RST_STREAM
                stream = self._streams.pop(_id(body), None)
                if stream:
                    stream.end(ConnectionLost(f"SPDY stream {stream.id} was reset by the peer"))
            case 6:  # PING
                (number,) = struct.unpack(">I", body)
                answered = self._pings.pop(number, None)
                if answered:
                    answered.set()
                else:
                    self._send_control(PING, 0, body)
                    await self.drain()
            case 7:  # GOAWAY
                return False
            case 8:  # HEADERS: nothing to learn, but the decompressor must see it
                self._codec.decode(body[4:])
                stream = self._streams.get(_id(body))
                if stream:
                    self._fin(stream, flags)
            case _:  # SETTINGS, WINDOW_UPDATE and what later drafts added
                pass
        return True

    async def _syn_stream(self, flags: int, body: bytes, on_stream: Callable[[Stream], None] | None) -> None:
        stream_id = _id(body)
        headers = self._codec.decode(body[10:])
        if stream_id <= self._last_peer_id or stream_id % 2 == self._next_id % 2:
            self.send_reset(stream_id, PROTOCOL_ERROR)
            return
        self._last_peer_id = stream_id
        if on_stream is None or len(self._streams) >= MAX_STREAMS:
            self.send_reset(stream_id, REFUSED_STREAM)
            return
        stream = self._streams[stream_id] = Stream(self, stream_id, headers)
        stream.accept()
        self._send_control(SYN_REPLY, 0, struct.pack(">I", stream_id) + self._codec.encode({}))
        self._fin(stream, flags)
        on_stream(stream)
        await self.drain()

    async def _data(self, stream_id: int, flags: int, length: int) -> None:
        """A DATA frame may have 16 MiB: it goes to its stream in pieces."""
        stream = self._streams.get(stream_id)
        while length:
            piece = await self._exactly(min(length, CHUNK))
            length -= len(piece)
            if stream:
                await stream.feed(piece)
        if stream:
            self._fin(stream, flags)

    def _fin(self, stream: Stream, flags: int) -> None:
        if flags & FLAG_FIN:
            stream.end()
            self.forget(stream)

    def _send_control(self, kind: int, flags: int, body: bytes) -> None:
        if not self._closed:
            self._writer.write(struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body)

    async def _exactly(self, n: int, *, may_end: bool = False) -> bytes:
        while len(self._pending) < n:
            data = await self._reader.read(CHUNK)
            if not data:
                if may_end and not self._pending:
                    return b""
                raise ConnectionLost("the peer closed in the middle of a frame")
            self._pending += data
        taken = bytes(self._pending[:n])
        del self._pending[:n]
        return taken

    def _end(self, error: Exception | None) -> None:
        self._closed = True
        for stream in list(self._streams.values()):
            stream.end(error)
        self._streams.clear()
        for answered in self._pings.values():
            answered.set()
        self._pings.clear()


def _id(body: bytes) -> int:
    (number,) = struct.unpack_from(">I", body)
    return int(number) & 0x7FFFFFFF
