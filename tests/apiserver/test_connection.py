"""HTTP/1.1 as clients may speak it, well or badly: framing, order, bounds, and answers that nobody can split."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from kijabi.apiserver import connection
from kijabi.apiserver.attributes import StreamAnswer
from kijabi.apiserver.call import Call
from kijabi.apiserver.connection import BODY_SECONDS, HEAD_SECONDS, KEEPALIVE, MAX_BODY, MAX_HEAD
from kijabi.apiserver.http import PROBE_SECONDS, Http
from tests.apiserver.world import World, configmap, running

CMS = "/api/v1/namespaces/default/configmaps"


class Line:
    """A client's raw connection."""

    def __init__(self, http: Http, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.http = http
        self.reader = reader
        self.writer = writer

    def say(self, text: str | bytes) -> None:
        self.writer.write(text.encode() if isinstance(text, str) else text)

    async def answer(self, *, bodiless: bool = False) -> tuple[int, dict[str, str], bytes]:
        async with asyncio.timeout(5):
            first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            body = b"" if bodiless else await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(first.split()[1]), headers, body

    async def over(self) -> bytes:
        async with asyncio.timeout(5):
            return await self.reader.read()

    def its(self) -> connection.Connection:
        (only,) = self.http.connections
        return only


@asynccontextmanager
async def line() -> AsyncIterator[tuple[World, Line]]:
    async with running() as world, asyncio.TaskGroup() as tasks:
        http = Http(world.app.api)
        task = tasks.create_task(http.run("127.0.0.1", 0, None))
        await http.ready.wait()
        reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
        yield world, Line(http, reader, writer)
        writer.close()
        task.cancel()


async def test_requests_sent_at_once_are_answered_in_order() -> None:
    async with line() as (world, client):
        await world.post(CMS, configmap("a"))
        gets = [f"GET {CMS}/{'a' if number % 2 else 'none'} HTTP/1.1\r\nHost: x\r\n\r\n" for number in range(100)]
        client.say("".join(gets))
        assert [(await client.answer())[0] for _ in range(100)] == [404, 200] * 50


async def test_a_request_in_single_bytes() -> None:
    async with line() as (_, client):
        body = msgspec.json.encode(configmap("b"))
        text = f"POST {CMS} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nX-Empty:\r\n\r\n".encode() + body
        for byte in text:
            client.say(bytes((byte,)))
            await client.writer.drain()
        assert (await client.answer())[0] == 201


async def test_a_chunked_body_and_what_follows_it() -> None:
    async with line() as (_, client):
        body = msgspec.json.encode(configmap("b"))
        client.say(f"POST {CMS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in (body[:10], body[10:]):
            client.say(b"%x\r\n%b\r\n" % (len(part), part))
        client.say("0\r\nImpersonate-User: nobody\r\n\r\n")  # a field behind the body is no field of the head
        code, _, made = await client.answer()
        assert (code, msgspec.json.decode(made)["metadata"]["name"]) == (201, "b")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (f"POST {CMS} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (f"POST {CMS} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: x\n\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nhi", 400),
        (f"GET /{'x' * MAX_HEAD} HTTP/1.1\r\nHost: x\r\n", 431),
        (f"POST {CMS} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n", 413),
    ],
)
async def test_what_is_refused_is_answered_and_hung_up(text: str, code: int) -> None:
    async with line() as (_, client):
        client.say(f"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n{text}")
        assert (await client.answer())[0] == 200
        said = await client.over()
        assert said.startswith(f"HTTP/1.1 {code} ".encode())
        assert b"Connection: close" in said


async def test_a_chunked_body_that_is_too_large() -> None:
    async with line() as (_, client):
        client.say(f"POST {CMS} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.say(b"%x\r\n%b\r\n" % (MAX_BODY + 1, b"x" * (MAX_BODY + 1)) + b"0\r\n\r\n")
        assert (await client.answer())[0] == 413
        assert await client.over() == b""


async def test_clients_of_http_1_0() -> None:
    async with line() as (world, client):
        client.say("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        code, headers, _ = await client.answer()
        assert (code, headers["connection"]) == (200, "keep-alive")
        client.say(f"GET {CMS}?watch=1&timeoutSeconds=1 HTTP/1.0\r\n\r\n")
        head = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert "transfer-encoding" not in head
        assert "connection: close" in head
        await world.post(CMS, configmap("a"))
        (event,) = (await client.over()).splitlines()
        assert msgspec.json.decode(event)["type"] == "ADDED"


async def test_a_connection_that_is_to_be_closed() -> None:
    async with line() as (_, client):
        client.say("HEAD /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        code, headers, _ = await client.answer(bodiless=True)
        assert (code, headers["content-length"]) == (200, "2")
        code, headers, body = await client.answer()
        assert (code, headers["connection"], body) == (200, "close", b"ok")
        assert await client.over() == b""


async def test_an_upgrade_that_nobody_grants() -> None:
    async with line() as (_, client):
        ask = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
        client.say(ask + ask)
        assert (await client.answer())[0] == 200
        assert (await client.answer())[0] == 200


async def test_a_stream_ends_and_the_connection_goes_on() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one"
        yield b""
        yield b"two"

    async def handler(call: Call) -> StreamAnswer:
        return StreamAnswer(chunks=chunks(), headers={"Content-Type": "text/plain\r\nX-Evil: yes"})

    async with line() as (world, client):
        world.app.api.handlers["pods", "log"] = handler
        client.say("GET /api/v1/namespaces/default/pods/p/log HTTP/1.1\r\nHost: x\r\n\r\n")
        _, headers, _ = await client.answer(bodiless=True)
        assert headers["transfer-encoding"] == "chunked"
        assert "x-evil" not in headers
        assert await client.reader.readexactly(21) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        client.say("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer())[2] == b"ok"


async def test_a_client_that_takes_too_long_is_overdue() -> None:
    async with line() as (_, client):
        client.say("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.answer()
        now = asyncio.get_running_loop().time()
        idle = client.its()
        assert not idle.overdue(now + KEEPALIVE - 5)
        assert idle.overdue(now + KEEPALIVE + 5)
        client.say(f"POST {CMS} HTTP/1.1\r\nHost: x\r\n")
        client.say("Content-Length: 10\r\n")
        await until(lambda: idle.overdue(now + HEAD_SECONDS + 5))
        assert not idle.overdue(now + HEAD_SECONDS - 5)
        client.say("\r\n")
        await until(lambda: not idle.overdue(now + HEAD_SECONDS + 5))
        assert idle.overdue(now + BODY_SECONDS + 5)


async def until(holds: object) -> None:
    """Bytes take their way through a socket; what they do there is seen from outside."""
    assert callable(holds)
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_client_that_sends_and_does_not_read_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    async with line() as (world, client):
        await world.post(CMS, configmap("a", data={"k": "x" * 900_000}))
        asked = f"GET {CMS}/a HTTP/1.1\r\nHost: x\r\n\r\n" * 200
        client.say(asked)
        its = client.its()
        await until(lambda: its.task is not None and its.transport.get_write_buffer_size() > 0)
        assert its.transport.get_write_buffer_size() < 2_000_000  # one answer at a time
        for _ in range(200):
            assert (await client.answer())[0] == 200


async def test_a_client_that_never_reads_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_SECONDS", 0.2)
    async with line() as (world, client):
        await world.post(CMS, configmap("a", data={"k": "x" * 900_000}))
        client.say(f"GET {CMS}/a HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        await until(lambda: not client.http.connections)


async def test_vanished_clients_are_found_by_the_kernel() -> None:
    async with line() as (_, client):
        client.say("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.answer()
        its = client.its().transport.get_extra_info("socket")
        assert its.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert its.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == PROBE_SECONDS


async def test_a_connection_more_than_there_may_be_is_closed() -> None:
    async with line() as (_, client):
        client.say(f"GET {CMS} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer())[0] == 200
        client.http.most = 1
        reader, writer = await asyncio.open_connection("127.0.0.1", client.http.port)
        try:
            async with asyncio.timeout(5):
                assert await reader.read() == b""
        except ConnectionResetError:
            pass  # as it is told where the kernel is quicker
        writer.close()
        client.say(f"GET {CMS} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await client.answer())[0] == 200
