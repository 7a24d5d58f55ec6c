"""One client's connection to the API server: HTTP/1.1 (RFC 9112) off the wire, answers onto it.

The event loop gives bytes, httptools (llhttp, strict) takes requests out of them, `http.Http` is asked for the answer
to each, one after the other and in order. A general server library costs ten times what a get costs inside this server,
and 10 MB; what is general in one (forms, sessions, routes) is not wanted here.

Everything that a client can send without end has a bound: the head, the body, requests that it sends before it has read
an answer, and, by `overdue`, the time that it takes to send them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from kijabi.api import status
from kijabi.apiserver.attributes import Peer
from kijabi.apiserver.server import failure
from kijabi.base import clock
from kijabi.client.transport import Request, Response

log = logging.getLogger(__name__)

MAX_BODY = 3 * 1024 * 1024  # bytes of a request body
MAX_HEAD = 256 * 1024  # bytes of a request's line and header fields; tokens and exec commands are long
MAX_PARAMS = 1000  # query parameters of one request
MAX_HELD = 64 * 1024  # bytes behind a request that asks for an upgrade, until it is answered
MAX_REFUSED = 64 * 1024 * 1024  # bytes of a body that is too large, read and thrown away so that its answer arrives
MAX_WAITING = 16  # requests read ahead of the one being answered; more wait in the socket
HEAD_SECONDS = 32.0  # for a request's head (k8s.io/apiserver secure_serving.go, ReadHeaderTimeout)
BODY_SECONDS = 60.0  # for all of a request: the longest that any may take
SEND_SECONDS = 60.0  # for a client to take the rest of a whole answer
KEEPALIVE = 90.0  # seconds that an idle connection is kept
JOINED = 64 * 1024  # bytes of a body up to which it goes out in one piece with its head
ONE_BY_ONE = ("impersonate-", "x-remote-", "x-stream-protocol-version")  # headers whose repetitions stay apart
BODILESS = (204, 304)

LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n" for each in HTTPStatus}


class Incoming(msgspec.Struct, gc=False):
    """A request as it came. keep: whether the connection serves another; chunked: whether the client knows chunks."""

    request: Request
    keep: bool
    chunked: bool


class Site(Protocol):
    """Who answers requests: `http.Http`."""

    connections: set[Connection]
    most: int  # connections that there may be, 0 for no limit

    def answer(self, connection: Connection, incoming: Incoming) -> Coroutine[Any, Any, None]:
        """Write the whole answer to a request. Whatever it raises ends the connection."""
        ...


class Connection(asyncio.Protocol):
    """One client's connection. lost: told when the client goes while its request is being answered."""

    def __init__(self, site: Site, loop: asyncio.AbstractEventLoop) -> None:
        self.peer = Peer()
        self.closed = False
        self.lost: Callable[[], object] | None = None
        self.task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport
        self._site = site
        self._loop = loop
        self._parser = HttpRequestParser(self)
        self._waiting: deque[Incoming] = deque()
        self._since = loop.time()  # when the last request was answered, or the next began
        self._deaf = False  # nothing more is read
        self._unread = False  # whether reading is paused
        self._refusal = b""  # what to say when everything before it is answered
        self._held: bytes | None = None  # what came behind a request that asks for an upgrade
        self._paused = False
        self._drained: asyncio.Future[None] | None = None
        # The request that is coming in
        self._begun = False
        self._in_head = False
        self._size = 0
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._refused = False
        self._expects = False

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there; its certificate is read once."""
        self.transport = cast(asyncio.Transport, transport)
        site = self._site
        if site.most and len(site.connections) >= site.most:
            log.warning("a connection more than there may be is closed", extra={"most": site.most})
            self._deaf = True
            self.transport.abort()
            return
        tls = transport.get_extra_info("ssl_object")
        address = transport.get_extra_info("peername")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        self.peer = Peer(certificate, str(address[0]) if isinstance(address, tuple) else "")
        site.connections.add(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._deaf:
            return
        if self._held is not None:
            self._held += data
            if len(self._held) > MAX_HELD:
                self._pause()
            return
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            self._held = data[upgrade.args[0] :]
        except HttpParserCallbackError as problem:
            log.error("a request could not be taken", exc_info=problem)
            self.transport.abort()
        except HttpParserError as problem:
            log.debug("a malformed request", extra={"reason": str(problem), "peer": self.peer.address})
            self._refuse(400)
        if self._in_head:
            self._size += len(data)
            if self._size > MAX_HEAD:
                self._refuse(431)
        if len(self._waiting) > MAX_WAITING:
            self._pause()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._gone()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        self._paused = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._paused = False
        self._wake()

    # What the parser calls

    def on_message_begin(self) -> None:
        """A request begins."""
        self._begun = self._in_head = True
        self._size = 0
        self._target = b""
        self._headers = {}
        self._refused = self._expects = False
        if self.task is None:
            self._since = self._loop.time()

    def on_url(self, piece: bytes) -> None:
        """The target, or a piece of it."""
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field; fields behind a chunked body may not pass for those before it, and are dropped."""
        if not self._in_head:
            return
        key, text = name.decode("latin-1").lower(), value.decode("utf-8", "surrogateescape").strip(" \t")
        headers = self._headers
        if key in headers:  # joined by commas (RFC 9110, 5.2), or by line feeds where one value may hold a comma
            glue = "\n" if key.startswith(ONE_BY_ONE) else ", "
            text = f"{headers[key]}{glue}{text}"
        headers[key] = text

    def on_headers_complete(self) -> None:
        """The head is there. A client that asks first (`Expect: 100-continue`) is told to send its body."""
        self._in_head = False
        headers = self._headers
        asks = headers.get("expect", "").lower() == "100-continue"
        if int(headers.get("content-length") or 0) > MAX_BODY:
            self._refused = True
            if asks:
                self._refuse_body()
        elif asks:
            self._expects = True
            if self.task is None:
                self._go_on()

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._size += len(piece)
        if self._size > MAX_BODY + MAX_HEAD or self._refused:
            self._refused = True
            self._body.clear()
            if self._size > MAX_REFUSED:
                self.transport.abort()
        else:
            self._body.append(piece)

    def on_message_complete(self) -> None:
        """The request is there."""
        if self._deaf:
            return
        self._begun = self._expects = False
        parser, headers, body = self._parser, self._headers, self._body
        chunked = parser.get_http_version() == "1.1"
        whole = b"".join(body) if body else b""
        body.clear()
        if self._refused or len(whole) > MAX_BODY:
            self._refuse_body()
            return
        if (chunked and "host" not in headers) or (parser.should_upgrade() and has_body(headers)):
            self._refuse(400)
            return
        target = self._target.decode("latin-1")
        path, _, query = target.partition("?")
        if not path.startswith("/"):
            path = urlsplit(path).path
        request = Request(
            method=parser.get_method().decode("latin-1"),
            path=unquote(path) if "%" in path else path,
            query=parse_query(query) if query else (),
            headers=headers,
            body=whole,
            target=target,
        )
        self._waiting.append(Incoming(request, parser.should_keep_alive(), chunked))
        if self.task is None:
            self._next()

    # One request after the other

    def _next(self) -> None:
        """Answer the request that has waited longest, or do what comes after the last."""
        if self._waiting:
            incoming = self._waiting.popleft()
            self.task = self._loop.create_task(self._run(incoming))
            return
        self._since = self._loop.time()
        if self._refusal:
            self.transport.write(self._refusal)
            self.transport.close()
            return
        if self._expects:
            self._go_on()
        if self._unread:
            self._unread = False
            self.transport.resume_reading()

    async def _run(self, incoming: Incoming) -> None:
        """The task of one request."""
        keep = False
        try:
            await self._site.answer(self, incoming)
            if self._paused:
                async with asyncio.timeout(SEND_SECONDS):
                    await self.drain()
            keep = incoming.keep
        except TimeoutError:
            log.info("a client did not take its answer", extra={"path": incoming.request.path})
            self.transport.abort()
        except Exception as problem:  # the last line: a connection that fails is not the server's failure
            if not self.closed:
                log.error("an answer could not be sent", exc_info=problem, extra={"path": incoming.request.path})
            self.transport.abort()
        finally:
            self.task = self.lost = None
            if not keep:
                self._deaf = True
                self._waiting.clear()
                self.transport.close()
            elif not self.closed:
                held, self._held = self._held, None
                self._next()
                if held:
                    self.data_received(held)

    def _pause(self) -> None:
        self._unread = True
        self.transport.pause_reading()

    def _go_on(self) -> None:
        self._expects = False
        self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, code: int, whole: bytes = b"") -> None:
        """Answer what was asked before, then this, and hang up (the words are those of Go's net/http)."""
        said = f"{code} {HTTPStatus(code).phrase}"
        text = f"HTTP/1.1 {said}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{said}"
        self._refusal = whole or text.encode()
        self._deaf = True
        self._in_head = False
        if self.task is None:
            self._next()

    def _refuse_body(self) -> None:
        """The body is too large."""
        answer = failure(status.request_too_large(f"limit is {MAX_BODY}"))
        whole = head(answer.status, answer.headers, len(answer.body), "close") + answer.body
        self._refuse(answer.status, whole)

    def overdue(self, now: float) -> bool:
        """Whether the client has taken too long: to send a request, or to have another one."""
        if self.task is not None:
            return False
        allowed = KEEPALIVE if not self._begun else HEAD_SECONDS if self._in_head else BODY_SECONDS
        return now - self._since > allowed

    # What the site does with it

    def send(self, incoming: Incoming, answer: Response) -> None:
        """A whole answer."""
        body, code = answer.body, answer.status
        connection = "" if incoming.keep and incoming.chunked else "keep-alive" if incoming.keep else "close"
        data = head(code, answer.headers, -1 if code in BODILESS else len(body), connection)
        if incoming.request.method == "HEAD" or code in BODILESS:
            self.transport.write(data)
        elif len(body) <= JOINED:
            self.transport.write(data + body)
        else:
            self.transport.write(data)
            self.transport.write(body)

    def begin(self, incoming: Incoming, code: int, headers: dict[str, str]) -> None:
        """The head of an answer whose length nobody knows: in chunks, or until the end for a client of HTTP/1.0."""
        if incoming.chunked:
            headers = {**headers, "Transfer-Encoding": "chunked"}
        else:
            incoming.keep = False
        self.transport.write(head(code, headers, -1, "" if incoming.keep else "close"))

    async def drain(self) -> None:
        """Wait until the client has taken most of what was written, or has gone."""
        while self._paused and not self.closed:
            self._drained = self._loop.create_future()
            await self._drained

    def detach(self) -> bytes:
        """The connection is somebody else's from now on, who has set the transport's protocol; what came already."""
        self._gone(tell=False)
        held, self._held = self._held or b"", None
        return held

    def _gone(self, *, tell: bool = True) -> None:
        if self.closed:
            return
        self.closed = self._deaf = True
        self.peer.presence.gone = tell
        self._waiting.clear()
        self._site.connections.discard(self)
        del self._parser  # it holds this object's methods
        self._wake()
        if tell and self.lost is not None:
            self.lost()

    def _wake(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)


class Date:
    """The time of day as HTTP writes it, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def line(self) -> str:
        """The Date header."""
        second = int(clock.wall())
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n"
        return self._line


_date = Date()


def head(code: int, headers: dict[str, str], length: int, connection: str) -> bytes:
    """An answer's head. length: of its body, negative for none; connection: the header of that name, or nothing."""
    text = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if text.count("\n") != len(headers) or text.count("\r") != len(headers):
        text = "".join([f"{name}: {_one_line(value)}\r\n" for name, value in headers.items()])
    if length >= 0:
        text = f"{text}Content-Length: {length}\r\n"
    if connection:
        text = f"{text}Connection: {connection}\r\n"
    line = LINES.get(code) or f"HTTP/1.1 {code} Unknown\r\n"
    return f"{line}{text}{_date.line()}\r\n".encode("utf-8", "surrogateescape")


def _one_line(value: str) -> str:
    """A header's value without what would end it."""
    return value.replace("\r", " ").replace("\n", " ")


def has_body(headers: dict[str, str]) -> bool:
    """Whether a request's head announces a body."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def parse_query(text: str) -> tuple[tuple[str, str], ...]:
    """The parameters in order; what cannot be read is left out."""
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_PARAMS, errors="replace"))
    except ValueError:
        return ()
