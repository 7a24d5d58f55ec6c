"""exec by SPDY in each of its versions: old Go clients still speak them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.streaming import spdy
from tests.kubelet.streaming.serving import Served, served


@asynccontextmanager
async def connected(server: Served, query: str, *protocols: str) -> AsyncIterator[tuple[str, spdy.Session]]:
    """The protocol chosen by the server, and a session whose frames are being read."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    offered = "".join(f"X-Stream-Protocol-Version: {protocol}\r\n" for protocol in protocols)
    writer.write(
        f"POST /exec?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n{offered}"
        "Content-Length: 0\r\n\r\n".encode()
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    chosen = head.split("X-Stream-Protocol-Version: ")[1].split("\r\n")[0]
    session = spdy.Session(reader, writer, client=True)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        running = group.create_task(session.run())
        yield chosen, session
        running.cancel()
    writer.close()


SCRIPT = "stdout=1&stderr=1&command=sh&command=-c&command=echo+out;exit+3"


@pytest.mark.parametrize("version", ["v5.", "v4.", "v3.", "v2.", ""])
async def test_output_and_failure(version: str) -> None:
    protocol = f"{version}channel.k8s.io"
    async with served() as server, connected(server, SCRIPT, "v9.channel.k8s.io", protocol) as (chosen, session):
        assert chosen == protocol
        streams = {name: await session.open({"streamType": name}) for name in ("error", "stdout", "stderr")}
        assert await streams["stdout"].read() == b"out\n"
        failure = await streams["error"].read()
    if version in ("v5.", "v4."):
        assert json.loads(failure)["details"]["causes"][0]["message"] == "3"
    else:
        assert failure.startswith(b"command terminated with non-zero exit code")


async def test_the_terminals_size_has_a_stream() -> None:
    query = "stdin=1&stdout=1&tty=1&command=cat"
    async with served() as server:
        async with connected(server, query, "v4.channel.k8s.io") as (_, session):
            names = ("error", "stdin", "stdout", "resize")
            streams = {name: await session.open({"streamType": name}) for name in names}
            streams["resize"].write(b'{"Width":100,"Height":50}\n{"Width":80')
            streams["stdin"].write(b"typed")
            streams["stdin"].write_eof()
            assert await streams["stdout"].read() == b"typed"
            assert json.loads(await streams["error"].read())["status"] == "Success"
        assert server.sessions[0].size == (100, 50)


async def test_a_client_that_opens_too_few_streams_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kijabi.kubelet.streaming.remotecommand.STREAM_TIMEOUT", 0.05)
    async with served() as server, connected(server, SCRIPT, "v4.channel.k8s.io") as (_, session):
        stream = await session.open({"streamType": "error"})
        with pytest.raises(ConnectionLost):
            await (await session.open({"streamType": "nonsense"})).read(1)
        assert await stream.read(1) == b""
    assert server.sessions == []
