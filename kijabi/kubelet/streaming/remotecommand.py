"""exec and attach: one request from the kubelet's server becomes streams between a client and an ExecSession.

Called by `kubelet/server.py`; hands on to the runtime through the session that the caller's factory opens. The
client speaks WebSocket (every message on a numbered channel) or SPDY (a stream for each purpose); both look the
same here: a `Client` with stdin, resize events, outputs and a place for the final status. Protocols are those of
k8s.io/apimachinery `pkg/util/remotecommand`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

import msgspec
from aiohttp import web

from kijabi.base.errors import ApiError, BadRequest, ConnectionLost
from kijabi.kubelet.runtime.interface import ByteReader, ExecSession, RuntimeFailure
from kijabi.kubelet.streaming import spdy, upgrade, websocket
from kijabi.kubelet.streaming.pipe import CHUNK, Pipe

log = logging.getLogger(__name__)

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
STREAM_TIMEOUT = 30.0  # seconds for a SPDY client to open its streams
MAX_RESIZE = 4096  # bytes of a resize event not yet complete
# With v4 the error stream carries a Status in JSON, before it a plain message; v3 brought resizing.
STATUS_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io")
OLD_PROTOCOLS = ("v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
WEBSOCKET_PROTOCOLS = (*STATUS_PROTOCOLS, *OLD_PROTOCOLS, "base64.channel.k8s.io", "")
SPDY_PROTOCOLS = (*STATUS_PROTOCOLS[:2], *OLD_PROTOCOLS)
RESIZE_PROTOCOLS = SPDY_PROTOCOLS[:3]


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
    try:
        options = stream_options(request)
        client: Client
        if upgrade.wants(request, "websocket"):
            client = _WebSocketClient(request, options)
        elif upgrade.wants(request, "SPDY/3.1"):
            client = _SpdyClient(request, options)
        else:
            raise BadRequest("Upgrade request required")
    except spdy.Unsupported as error:
        return web.Response(status=403, text=str(error), headers=error.headers)
    except BadRequest as error:
        return web.Response(status=error.code, text=error.message)
    except ConnectionLost:
        return upgrade.Upgraded()  # nobody is there to be answered
    try:
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(_until_gone(client))
            await client.ready()
            status = await _run(client, options, open_session, request)
            client.send_status(status)
            await client.finish()
            reading.cancel()
    except* _ClientGone:
        log.debug("streaming client left", extra={"path": request.path})
    except* (ConnectionLost, ConnectionError, spdy.SpdyError, websocket.WebSocketError, TimeoutError) as errors:
        log.info("streaming ended early", extra={"path": request.path, "error": str(errors.exceptions[0])})
    finally:
        client.abandon()
    return client.response


def stream_options(request: web.Request) -> StreamOptions:
    """The wanted streams, by the API's names or the kubelet's; with a tty stderr is part of stdout. Or BadRequest."""

    def on(*names: str) -> bool:
        return any(request.query.get(name, "").lower() in ("1", "true") for name in names)

    tty = on("tty")
    options = StreamOptions(
        stdin=on("stdin", "input"),
        stdout=on("stdout", "output"),
        stderr=on("stderr", "error") and not tty,
        tty=tty,
    )
    if not (options.stdin or options.stdout or options.stderr):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    return options


class _ClientGone(Exception):
    """The client closed the connection before the command ended."""


class Client(Protocol):
    """A streaming client of either kind."""

    response: upgrade.Upgraded

    @property
    def stdin(self) -> ByteReader: ...
    @property
    def resizes(self) -> ByteReader: ...

    async def read(self) -> None:
        """Take in what the client sends, until it leaves."""
        ...

    async def ready(self) -> None:
        """Wait until the client can receive."""
        ...

    def send(self, channel: int, data: bytes) -> None: ...
    async def drain(self) -> None: ...
    def discard_stdin(self) -> None: ...
    def send_status(self, status: dict[str, Any]) -> None: ...
    async def finish(self) -> None:
        """Close politely: everything sent before arrives."""
        ...

    def abandon(self) -> None:
        """Close the connection, whatever its state."""
        ...


async def _until_gone(client: Client) -> None:
    await client.read()
    raise _ClientGone


async def _run(
    client: Client, options: StreamOptions, open_session: SessionFactory, request: web.Request
) -> dict[str, Any]:
    """Open the session, move bytes until it ends, and say how it ended, as a Status."""
    attaching = request.path.startswith("/attach")
    failing = "error attaching to container" if attaching else "error executing command in container"
    try:
        session = await open_session(options)
    except ApiError as error:
        return _failure(error.message, error.reason, error.details, error.code)
    except (RuntimeFailure, ConnectionLost, OSError, TimeoutError) as error:
        return _internal(f"{failing}: {error}")
    try:
        code = await _relay(client, session, options)
    except (RuntimeFailure, ConnectionLost) as error:
        return _internal(f"{failing}: {error}")
    finally:
        await session.close()
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    command = " ".join(request.query.getall("command", []))
    message = f"command terminated with non-zero exit code: error executing command [{command}], exit code {code}"
    details = {"causes": [{"reason": "ExitCode", "message": str(code)}]}
    return _failure(message, "NonZeroExitCode", details, None)


async def _relay(client: Client, session: ExecSession, options: StreamOptions) -> int:
    """Copy in all directions until the command has ended and its output is sent; its exit code."""
    inputs: list[asyncio.Task[None]] = []
    async with _group() as group:
        if options.stdin and session.stdin:
            inputs.append(group.create_task(_copy_stdin(client, session)))
        if options.tty:
            inputs.append(group.create_task(_copy_resizes(client, session)))
        outputs = [group.create_task(_copy_output(session.stdout, client, STDOUT, options.stdout))]
        if session.stderr:
            outputs.append(group.create_task(_copy_output(session.stderr, client, STDERR, options.stderr)))
        code = await session.wait()
        for task in inputs:
            task.cancel()
        client.discard_stdin()
        await session.close()  # ends outputs that a child of the command still holds open
        await asyncio.gather(*outputs)
    return code


@contextlib.asynccontextmanager
async def _group() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup that raises one plain exception instead of a group of them."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors


async def _copy_stdin(client: Client, session: ExecSession) -> None:
    """The client's input to the command; a command that has closed its input loses the rest."""
    target = session.stdin
    assert target is not None
    try:
        while data := await client.stdin.read(CHUNK):
            target.write(data)
            await target.drain()
    except (ConnectionError, ConnectionLost) as error:
        log.debug("command takes no more input", extra={"error": str(error)})
        client.discard_stdin()
    target.close()


async def _copy_resizes(client: Client, session: ExecSession) -> None:
    """Resize events: JSON objects {"Width", "Height"}, one after the other, cut anywhere."""
    pending = ""
    decoder = json.JSONDecoder()
    while data := await client.resizes.read(CHUNK):
        pending = (pending + data.decode(errors="replace")).lstrip()
        while pending:
            try:
                size, end = decoder.raw_decode(pending)
            except ValueError:
                if len(pending) > MAX_RESIZE:
                    return
                break
            pending = pending[end:].lstrip()
            if isinstance(size, dict) and size.get("Width") and size.get("Height"):
                await session.resize(int(size["Width"]), int(size["Height"]))


async def _copy_output(source: ByteReader, client: Client, channel: int, wanted: bool) -> None:
    """The command's output to the client; what nobody asked for is read and dropped, or the command would stall."""
    try:
        while data := await source.read(CHUNK):
            if wanted:
                client.send(channel, data)
                await client.drain()
    except ConnectionLost as error:
        log.debug("output ended", extra={"channel": channel, "error": str(error)})


def _failure(message: str, reason: str, details: dict[str, Any] | None, code: int | None) -> dict[str, Any]:
    status: dict[str, Any] = {"metadata": {}, "status": "Failure", "message": message, "reason": reason}
    if details:
        status["details"] = details
    if code:
        status["code"] = code
    return status


def _internal(message: str) -> dict[str, Any]:
    details = {"causes": [{"message": message}]}
    return _failure(f"Internal error occurred: {message}", "InternalError", details, 500)


def _status_text(status: dict[str, Any], protocol: str) -> bytes:
    """What goes on the error stream: all of the Status, or before v4 only a failure's message."""
    if protocol in STATUS_PROTOCOLS:
        return json.dumps(status).encode()
    return b"" if status["status"] == "Success" else str(status["message"]).encode()


class _WebSocketClient:
    """Channels 0…4 of one WebSocket; v5 adds 255, "this channel of mine is closed"."""

    def __init__(self, request: web.Request, options: StreamOptions) -> None:
        self._protocol = websocket.choose(request, WEBSOCKET_PROTOCOLS)
        self._options = options
        socket, self.response = websocket.accept(request, self._protocol)
        self._channels = websocket.Channels(socket, base64="base64" in self._protocol)
        self.stdin = Pipe()
        self.resizes = Pipe()

    async def read(self) -> None:
        try:
            while (received := await self._channels.receive()) is not None:
                channel, data = received
                if channel == STDIN and self._options.stdin:
                    await self.stdin.feed(data)
                elif channel == RESIZE:
                    await self.resizes.feed(data)
                elif channel == CLOSE and self._protocol == "v5.channel.k8s.io" and data[:1] == bytes((STDIN,)):
                    self.stdin.end()
        except websocket.WebSocketError as error:
            await self._channels.socket.close(error.code)
            raise

    async def ready(self) -> None:
        """An empty message on the first output tells the client that the connection works, as upstream's does."""
        first = STDOUT if self._options.stdout else STDERR if self._options.stderr else ERROR
        self._channels.send(first, b"")
        await self.drain()

    def send(self, channel: int, data: bytes) -> None:
        self._channels.send(channel, data)

    async def drain(self) -> None:
        await self._channels.drain()

    def discard_stdin(self) -> None:
        self.stdin.drop()
        self.resizes.drop()

    def send_status(self, status: dict[str, Any]) -> None:
        text = _status_text(status, self._protocol)
        if text:
            self.send(ERROR, text)

    async def finish(self) -> None:
        await self._channels.socket.close(reading=True)

    def abandon(self) -> None:
        self._channels.socket.abandon()


class _SpdyClient:
    """One SPDY stream for each purpose, named by its `streamtype` header."""

    def __init__(self, request: web.Request, options: StreamOptions) -> None:
        self._protocol = spdy.choose(request, SPDY_PROTOCOLS)
        reader, self._writer, self.response = spdy.accept(request, self._protocol)
        self._session = spdy.Session(reader, self._writer)
        self._expected = {"error"}
        self._expected.update(name for name in ("stdin", "stdout", "stderr") if getattr(options, name))
        if options.tty and self._protocol in RESIZE_PROTOCOLS:
            self._expected.add("resize")
        self._streams: dict[str, spdy.Stream] = {}
        self._complete = asyncio.Event()
        self._gone = asyncio.Event()

    @property
    def stdin(self) -> ByteReader:
        return self._streams["stdin"]

    @property
    def resizes(self) -> ByteReader:
        return self._streams.get("resize") or _nothing()

    async def read(self) -> None:
        try:
            await self._session.run(self._opened)
        finally:
            self._gone.set()

    def _opened(self, stream: spdy.Stream) -> None:
        kind = stream.headers.get("streamtype", "")
        if kind not in self._expected or kind in self._streams:
            log.info("unexpected SPDY stream", extra={"streamtype": kind})
            stream.reset(spdy.REFUSED_STREAM)
            return
        self._streams[kind] = stream
        if len(self._streams) == len(self._expected):
            self._complete.set()

    async def ready(self) -> None:
        async with asyncio.timeout(STREAM_TIMEOUT):
            await self._complete.wait()

    def send(self, channel: int, data: bytes) -> None:
        self._streams["stdout" if channel == STDOUT else "stderr"].write(data)

    async def drain(self) -> None:
        await self._session.drain()

    def discard_stdin(self) -> None:
        for name in ("stdin", "resize"):
            if name in self._streams:
                self._streams[name].drop()

    def send_status(self, status: dict[str, Any]) -> None:
        self._streams["error"].write(_status_text(status, self._protocol))

    async def finish(self) -> None:
        for name in ("stdout", "stderr", "error", "resize", "stdin"):
            if name in self._streams:
                self._streams[name].close()
        await self._session.close()
        # Closing at once could reset the connection under what the client has not read yet: it goes first.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(websocket.CLOSE_TIMEOUT):
                await self._gone.wait()

    def abandon(self) -> None:
        self._writer.close()


def _nothing() -> ByteReader:
    empty = Pipe()
    empty.end()
    return empty
