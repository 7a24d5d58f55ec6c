"""port-forward: many TCP connections between a client and a pod over one upgraded request.

Called by `kubelet/server.py`; hands on to the runtime through `connect`, usually
`functools.partial(runtime.connect, sandbox_id)`. A SPDY client opens two streams for each connection, one for
data and one for an error message, paired by a request id; they come raw or through a WebSocket. The older
WebSocket form has two fixed channels for each port of the request.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from kijabi.base.errors import BadRequest, ConnectionLost
from kijabi.kubelet.runtime.interface import ByteReader, ByteWriter, RuntimeFailure
from kijabi.kubelet.streaming import spdy, upgrade, websocket
from kijabi.kubelet.streaming.pipe import CHUNK, Pipe

log = logging.getLogger(__name__)

PROTOCOL = "portforward.k8s.io"
TUNNEL = f"SPDY/3.1+{PROTOCOL}"
CHANNEL_PROTOCOLS = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io", "channel.k8s.io", "base64.channel.k8s.io", "")
PAIR_TIMEOUT = 30.0  # seconds for the second stream of a pair
MAX_PORTS = 64  # of one request in the channel form

Connect = Callable[[int], Awaitable[tuple[ByteReader, ByteWriter]]]


async def serve(request: web.Request, connect: Connect) -> web.StreamResponse:
    """Serve one port-forward request to its end; return the response for aiohttp.

    Forms: raw SPDY/3.1 `portforward.k8s.io`; the same tunnelled in a WebSocket (`SPDY/3.1+portforward.k8s.io`); old
    WebSocket channels (`v4.channel.k8s.io` and friends with `?ports=`/`?port=`). `connect(port)` dials inside the
    pod; what it raises (OSError, RuntimeFailure) goes to the client's error stream of that connection only.
    """
    try:
        if upgrade.wants(request, "websocket"):
            if TUNNEL in websocket.requested(request):
                return await _serve_tunnel(request, connect)
            return await _serve_channels(request, connect)
        if upgrade.wants(request, "SPDY/3.1"):
            return await _serve_spdy(request, connect)
        raise BadRequest("Upgrade request required")
    except spdy.Unsupported as error:
        return web.Response(status=403, text=str(error), headers=error.headers)
    except BadRequest as error:
        return web.Response(status=error.code, text=error.message)
    except ConnectionLost:
        return upgrade.Upgraded()  # nobody is there to be answered


def ports(request: web.Request) -> tuple[int, ...]:
    """The ports of the channel form: `ports=80`, `ports=80,443`, or repeated; raises BadRequest."""
    texts = [*request.query.getall("ports", []), *request.query.getall("port", [])]
    if not texts:
        raise BadRequest('query parameter "ports" is required')
    found = tuple(_port(part) for text in texts for part in text.split(","))
    if len(found) > MAX_PORTS:
        raise BadRequest(f"at most {MAX_PORTS} ports can be forwarded by one request")
    return found


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise BadRequest(f'unable to parse "{text}" as a port')
    if int(text) < 1:
        raise BadRequest(f'port "{text}" must be > 0')
    return int(text)


async def _serve_spdy(request: web.Request, connect: Connect) -> web.StreamResponse:
    protocol = spdy.choose(request, (PROTOCOL,))
    reader, writer, response = spdy.accept(request, protocol)
    try:
        await _Forwarder(spdy.Session(reader, writer), connect).run()
    finally:
        writer.close()
    return response


async def _serve_tunnel(request: web.Request, connect: Connect) -> web.StreamResponse:
    socket, response = websocket.accept(request, TUNNEL)
    tunnel = websocket.Tunnel(socket)
    try:
        await _Forwarder(spdy.Session(tunnel, tunnel), connect).run()
        await socket.close()
    finally:
        socket.abandon()
    return response


class _Half(NamedTuple):
    """The first stream of a pair, and what ends its waiting."""

    stream: spdy.Stream
    expiry: asyncio.TimerHandle


class _Forwarder:
    """The connections of one SPDY session."""

    def __init__(self, session: spdy.Session, connect: Connect) -> None:
        self._session = session
        self._connect = connect
        self._halves: dict[str, _Half] = {}  # the first stream of a pair, by request id
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Forward until the client leaves."""
        try:
            async with self._group:
                await self._session.run(self._opened)
                # the client is gone: what still runs has nobody to talk to
                raise _Ended
        except* _Ended:
            log.debug("port-forward client left")
        except* (spdy.SpdyError, websocket.WebSocketError, ConnectionLost) as errors:
            log.info("port-forward ended early", extra={"error": str(errors.exceptions[0])})
        finally:
            for half in self._halves.values():
                half.expiry.cancel()

    def _opened(self, stream: spdy.Stream) -> None:
        """A new stream is one half of a pair; the second half starts the connection."""
        kind = stream.headers.get("streamtype", "")
        try:
            port = _port(stream.headers.get("port", ""))
        except BadRequest as error:
            log.info("refused port-forward stream", extra={"error": error.message})
            stream.reset(spdy.REFUSED_STREAM)
            return
        request_id = stream.headers.get("requestid") or str(stream.id if kind == "error" else stream.id - 2)
        other = self._halves.pop(request_id, None)
        if kind not in ("data", "error") or (other and other.stream.headers["streamtype"] == kind):
            log.info("unexpected port-forward stream", extra={"streamtype": kind, "request": request_id})
            stream.reset(spdy.REFUSED_STREAM)
            if other:
                self._halves[request_id] = other
            return
        if other is None:
            expiry = asyncio.get_running_loop().call_later(PAIR_TIMEOUT, self._expire, request_id)
            self._halves[request_id] = _Half(stream, expiry)
            return
        other.expiry.cancel()
        data, error_stream = (stream, other.stream) if kind == "data" else (other.stream, stream)
        self._group.create_task(self._forward(port, data, error_stream))

    def _expire(self, request_id: str) -> None:
        log.info("port-forward stream without its pair", extra={"request": request_id})
        self._halves.pop(request_id).stream.reset()

    async def _forward(self, port: int, data: spdy.Stream, errors: spdy.Stream) -> None:
        failure = await forward(port, data, data, self._connect)
        try:
            if failure:
                errors.write(failure.encode())
            data.close()
            errors.close()
            await errors.drain()
        except (ConnectionLost, ConnectionError) as error:
            log.debug("client left", extra={"error": str(error)})


class _Ended(Exception):
    """The client has left; ends the session's tasks."""


async def _serve_channels(request: web.Request, connect: Connect) -> web.StreamResponse:
    """The channel form: 2i is the data and 2i+1 the error of port i; each first sends its port, little-endian."""
    wanted = ports(request)
    protocol = websocket.choose(request, CHANNEL_PROTOCOLS)
    socket, response = websocket.accept(request, protocol)
    channels = websocket.Channels(socket, base64="base64" in protocol)
    inputs = [Pipe() for _ in wanted]
    try:
        async with asyncio.TaskGroup() as group:
            for index, port in enumerate(wanted):
                channels.send(2 * index, struct.pack("<H", port))
                channels.send(2 * index + 1, struct.pack("<H", port))
            await channels.drain()
            reading = group.create_task(_read_channels(channels, inputs))
            forwards = [
                group.create_task(_forward_channel(channels, index, port, inputs[index], connect))
                for index, port in enumerate(wanted)
            ]
            await asyncio.gather(*forwards)
            await socket.close(reading=True)
            reading.cancel()
    except* _Ended:
        log.debug("port-forward client left")
    except* (websocket.WebSocketError, ConnectionLost, ConnectionError) as errors:
        log.info("port-forward ended early", extra={"error": str(errors.exceptions[0])})
    finally:
        socket.abandon()
    return response


async def _read_channels(channels: websocket.Channels, inputs: list[Pipe]) -> None:
    while (received := await channels.receive()) is not None:
        channel, data = received
        if channel % 2 == 0 and channel // 2 < len(inputs):
            await inputs[channel // 2].feed(data)
    raise _Ended


async def _forward_channel(channels: websocket.Channels, index: int, port: int, source: Pipe, connect: Connect) -> None:
    failure = await forward(port, source, _ChannelWriter(channels, 2 * index), connect)
    source.drop()
    if failure:
        channels.send(2 * index + 1, failure.encode())
        await channels.drain()


class _ChannelWriter:
    """One channel as a ByteWriter; a channel has no end of its own."""

    def __init__(self, channels: websocket.Channels, channel: int) -> None:
        self._channels = channels
        self._channel = channel

    def write(self, data: bytes, /) -> None:
        self._channels.send(self._channel, data)

    async def drain(self) -> None:
        await self._channels.drain()

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        pass


async def forward(port: int, source: ByteReader, target: ByteWriter, connect: Connect) -> str:
    """Connect to the port and copy both ways until the pod's side ends; what went wrong, or ""."""
    try:
        reader, writer = await connect(port)
    except (OSError, RuntimeFailure, ConnectionLost) as error:
        return f"error forwarding port {port} to pod: {error}"
    try:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_copy(source, writer))
            await _copy(reader, target)
            sending.cancel()
    finally:
        writer.close()
    return ""


async def _copy(source: ByteReader, target: ByteWriter) -> None:
    """Copy to the end, and pass the end on; where one side breaks off, the other is closed."""
    try:
        while data := await source.read(CHUNK):
            target.write(data)
            await target.drain()
        target.write_eof()
    except (ConnectionError, ConnectionLost, OSError) as error:
        log.debug("forwarded connection broke off", extra={"error": str(error)})
        target.close()
