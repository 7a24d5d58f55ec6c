"""HTTP/1.1 answers: every framing, in pieces of any size; what is no HTTP; back-pressure; reuse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.base.errors import ConfigError, ConnectionLost
from kijabi.client import connection, http
from kijabi.client.connection import Answer
from kijabi.client.http import HttpTransport
from kijabi.client.transport import Request

GET = Request(method="GET", path="/")
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b: c \r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;ext=1\r\nlo\r\n0\r\nTrailer: x\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + LENGTH
UNTIL_END = b"HTTP/1.0 200 OK\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"


def parse(data: bytes, sizes: list[int], *, end: bool = False) -> Answer:
    answer = Answer()
    at = 0
    for size in sizes:
        if at < len(data):
            answer.feed(data[at : at + size])
            at += size
    if at < len(data):
        answer.feed(data[at:])
    if end:
        answer.end()
    return answer


@given(st.lists(st.integers(1, 40), max_size=200))
def test_answers_in_pieces_of_any_size(sizes: list[int]) -> None:
    for data, body, keep in ((LENGTH, b"hello", True), (CHUNKED, b"hello", True), (INTERIM, b"hello", True)):
        answer = parse(data, sizes)
        assert (answer.status, answer.complete, answer.take(), answer.keep) == (200, True, body, keep)
    answer = parse(UNTIL_END, sizes, end=True)
    assert (answer.complete, answer.take(), answer.keep) == (True, b"hello", False)
    assert parse(EMPTY, sizes).complete
    assert parse(LENGTH, sizes).headers == {"Content-Length": "5", "X-A": "b: c"}


@given(st.binary(max_size=300), st.lists(st.integers(1, 30), max_size=20))
def test_random_bytes_are_lost_connections_at_worst(data: bytes, sizes: list[int]) -> None:
    for start in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED[:46]):
        try:
            parse(start + data, sizes, end=True)
        except ConnectionLost:
            pass


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * (connection.MAX_HEAD + 1),
    ],
)
def test_what_is_no_http(data: bytes) -> None:
    with pytest.raises(ConnectionLost):
        parse(data, [])


def test_hanging_up_early_is_lost() -> None:
    for data, why in ((b"", "hung up$"), (LENGTH[:-1], "middle"), (CHUNKED[:-2], "middle"), (b"HTTP/1.1 2", "hung")):
        with pytest.raises(ConnectionLost, match=why):
            parse(data, [], end=True)


def test_the_connection_lasts_as_the_headers_say() -> None:
    assert not parse(b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", []).keep
    assert not parse(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", []).keep
    assert parse(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", []).keep
    assert not parse(LENGTH + b"more than was asked for", []).keep
    head = Answer(bodiless=True)
    head.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
    assert head.complete


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """A plain TCP server that does with each connection what `serve` says; its URL."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_an_idle_connection_that_died_is_replaced_for_reads_only() -> None:
    served: list[str] = []

    async def one_each(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = await reader.readuntil(b"\r\n\r\n")
        served.append(line.split()[0].decode())
        writer.write(LENGTH)
        await writer.drain()
        # The next request on this connection finds it dead, without an answer.
        await reader.readuntil(b"\r\n\r\n")

    async with serving(one_each) as url:
        transport = HttpTransport(url)
        assert (await transport.request(GET)).body == b"hello"
        assert (await transport.request(GET)).body == b"hello"
        with pytest.raises(ConnectionLost):
            await transport.request(Request(method="POST", path="/", body=b"x"))
        assert served == ["GET", "GET"]
        await transport.close()


async def test_old_idle_connections_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    connections = 0

    async def forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(LENGTH)

    async with serving(forever) as url:
        transport = HttpTransport(url)
        for _ in range(3):
            await transport.request(GET)
        assert connections == 1
        monkeypatch.setattr(http, "KEEP_ALIVE", -1.0)
        await transport.request(GET)
        assert connections == 2
        await transport.close()


async def test_a_request_given_up_leaves_no_connection_behind() -> None:
    asked = asyncio.Event()
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        gone.set()

    async with serving(silent) as url:
        transport = HttpTransport(url)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(transport.request(GET))
            await asked.wait()
            task.cancel()
        async with asyncio.timeout(5):
            await gone.wait()
        await transport.close()


async def test_a_slow_reader_stops_the_sender() -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(1000):
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await writer.drain()
            sent += 65536
        writer.write(b"0\r\n\r\n")

    async with serving(flood) as url:
        transport = HttpTransport(url)
        async with transport.stream(GET) as stream:
            chunks = aiter(stream)
            received = len(await anext(chunks))
            before = -1
            while before != sent:
                before = sent
                await asyncio.sleep(0.1)
            # The rest lies in the kernel's buffers, which the test does not own.
            assert sent < 60 << 20
            async for chunk in chunks:
                received += len(chunk)
        assert received == 65536 * 1000
        await transport.close()


async def test_a_whole_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAX_BODY", 1000)

    async def long(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000))
        await writer.drain()
        await reader.read()

    async with serving(long) as url:
        transport = HttpTransport(url)
        with pytest.raises(ConnectionLost, match="longer than 1000 bytes"):
            await transport.request(GET)
        await transport.close()


async def test_headers_cannot_be_smuggled() -> None:
    transport = HttpTransport("http://127.0.0.1:1")
    with pytest.raises(ValueError, match="line break"):
        await transport.request(Request(method="GET", path="/", headers={"user-agent": "x\r\nauthorization: y"}))


@pytest.mark.parametrize("url", ["", "localhost:6443", "ftp://x", "https://", "https://h:99999", "https://[x"])
def test_bad_urls(url: str) -> None:
    with pytest.raises(ConfigError):
        HttpTransport(url)
