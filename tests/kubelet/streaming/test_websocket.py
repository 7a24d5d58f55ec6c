"""WebSocket channels, with aiohttp's client as the other side, and the handshakes that are refused."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.kubelet.streaming import websocket
from tests.kubelet.streaming.serving import Served, served

EXEC = "/exec?stdout=1&stderr=true&command=sh&command=-c&command="


async def messages(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
    """Everything until the server closes, without empty messages."""
    found = [message.data async for message in socket]
    return [data for data in found if len(data) > 1]


async def execute(server: Served, script: str, *protocols: str) -> tuple[str | None, list[Any]]:
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client,
        client.ws_connect(EXEC + script, protocols=protocols) as socket,
    ):
        return socket.protocol, await messages(socket)


SUCCESS = {"metadata": {}, "status": "Success"}


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
async def test_binary_channels(protocol: str) -> None:
    async with served() as server:
        chosen, found = await execute(server, "echo out", protocol, "v9.channel.k8s.io")
        assert chosen == protocol
        assert found[0] == b"\x01out\n"
        assert json.loads(found[1][1:]) == SUCCESS
        _, found = await execute(server, "exit 3", protocol)
        status = json.loads(found[-1][1:])
    assert found[-1][0] == 3
    assert (status["status"], status["reason"]) == ("Failure", "NonZeroExitCode")
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_base64_channels() -> None:
    async with served() as server:
        chosen, found = await execute(server, "echo out", "v4.base64.channel.k8s.io")
    assert chosen == "v4.base64.channel.k8s.io"
    assert found[0] == "1" + base64.b64encode(b"out\n").decode()
    assert json.loads(base64.b64decode(found[1][1:])) == SUCCESS


@pytest.mark.parametrize("protocols", [("channel.k8s.io",), ("v3.channel.k8s.io",), ()])
async def test_old_channels_have_text_for_a_failure(protocols: tuple[str, ...]) -> None:
    async with served() as server:
        chosen, found = await execute(server, "echo out", *protocols)
        assert (chosen or "") == "".join(protocols)
        assert found == [b"\x01out\n"]
        _, found = await execute(server, "exit 3", *protocols)
    assert found[0].startswith(b"\x03command terminated with non-zero exit code")


async def test_the_first_message_is_empty() -> None:
    async with (
        served() as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client,
        client.ws_connect(EXEC + "true", protocols=("v4.channel.k8s.io",)) as socket,
    ):
        assert await socket.receive_bytes() == b"\x01"


async def test_v5_closes_input_and_terminals_are_resized() -> None:
    async with served() as server, aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        path = "/exec?stdin=1&stdout=1&stderr=1&tty=1&command=cat"
        async with client.ws_connect(path, protocols=("v5.channel.k8s.io",)) as socket:
            await socket.send_bytes(b'\x04{"Width":120,')
            await socket.send_bytes(b'\x04"Height":40}\n')
            await socket.send_bytes(b"\x00hello")
            await socket.send_bytes(b"\x09nobody reads this channel")
            await socket.ping(b"alive?")
            await socket.send_bytes(b"\xff\x00")
            found = await messages(socket)
        assert server.sessions[0].size == (120, 40)
    assert found[0] == b"\x01hello"
    assert json.loads(found[1][1:]) == SUCCESS


async def test_what_comes_early_is_not_lost() -> None:
    """A client may send its first frames right behind the request."""
    async with served() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        request = (
            "GET /exec?stdin=1&stdout=1&command=cat HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n"
        )
        writer.write(request.encode() + masked(b"\x00early") + masked(b"\xff\x00"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        async with asyncio.timeout(5):
            await reader.readuntil(b"\x01early")
        writer.close()


def masked(payload: bytes, opcode: int = websocket.BINARY) -> bytes:
    mask = b"\x01\x02\x03\x04"
    return struct.pack(">BB", 0x80 | opcode, 0x80 | len(payload)) + mask + websocket.unmask(payload, mask)


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4))
def test_masking_twice_is_nothing(data: bytes, mask: bytes) -> None:
    assert websocket.unmask(websocket.unmask(data, mask), mask) == data
    assert websocket.unmask(data, mask) == bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))


async def test_a_client_that_leaves_ends_its_command() -> None:
    async with served() as server, aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client:
        socket = await client.ws_connect(EXEC + "sleep 1000", protocols=("v4.channel.k8s.io",))
        await socket.receive_bytes()
        await socket.close()
        async with asyncio.timeout(5):
            assert await server.sessions[0].stdout.read() == b""


@pytest.mark.parametrize(
    "frame",
    [b"\x82\x01x", b"\xf2\x80mask", masked(b"", 0x5), struct.pack(">BBQ", 0x82, 0xFF, 1 << 40), masked(b"x", 0x0)],
    ids=["unmasked", "reserved bits", "opcode", "huge", "continuation"],
)
async def test_broken_frames_end_the_connection(frame: bytes) -> None:
    async with served() as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        request = (
            "GET /exec?stdout=1&command=sleep&command=100 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        writer.write(request.encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(frame)
        async with asyncio.timeout(5):
            rest = await reader.read()
        writer.close()
    assert rest[-4:-3] == b"\x88"  # a close frame with a status


@pytest.mark.parametrize(
    ("path", "headers", "status", "text"),
    [
        ("/exec?stdout=1", {}, 400, "Upgrade request required"),
        ("/exec", {"Upgrade": "websocket"}, 400, "you must specify at least 1 of stdin, stdout, stderr"),
        ("/exec?stdout=1", {"Upgrade": "websocket", "Sec-WebSocket-Version": "8"}, 400, "version 13"),
        ("/exec?stdout=1", {"Upgrade": "websocket", "Sec-WebSocket-Protocol": "x"}, 400, "not supported"),
        ("/exec?stdout=1", {"Upgrade": "SPDY/3.1"}, 400, "X-Stream-Protocol-Version does not exist"),
        ("/exec?stdout=1", {"Upgrade": "SPDY/3.1", "X-Stream-Protocol-Version": "x"}, 403, "unable to negotiate"),
        ("/portforward", {}, 400, "Upgrade request required"),
        ("/portforward", {"Upgrade": "websocket"}, 400, '"ports" is required'),
        ("/portforward?ports=0", {"Upgrade": "websocket"}, 400, "must be > 0"),
        ("/portforward?ports=x", {"Upgrade": "websocket"}, 400, "unable to parse"),
    ],
)
async def test_refused_upgrades(path: str, headers: dict[str, str], status: int, text: str) -> None:
    usual = {"Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    async with (
        served() as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client,
        client.post(path, headers={**usual, **headers}) as answer,
    ):
        assert answer.status == status
        assert text in await answer.text()


async def test_port_forward_channels() -> None:
    """The old form: the port comes first on both channels; a closed port has its error on the second."""
    async with (
        served() as server,
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as client,
        client.ws_connect("/portforward?ports=80,81", protocols=("v4.channel.k8s.io",)) as socket,
    ):
        ports = [await socket.receive_bytes() for _ in range(4)]
        assert ports == [b"\x00\x50\x00", b"\x01\x50\x00", b"\x02\x51\x00", b"\x03\x51\x00"]
        await socket.send_bytes(b"\x00ping")
        answers = sorted([await socket.receive_bytes(), await socket.receive_bytes()])
    assert answers[0] == b"\x00ping"
    assert answers[1].startswith(b"\x03error forwarding port 81 to pod")
