"""SPDY framing: two sessions against each other, and against bytes that break the rules."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.base.errors import ConnectionLost
from kijabi.kubelet.streaming import spdy
from kijabi.kubelet.streaming.pipe import Pipe

HEADERS = st.dictionaries(
    st.text(st.characters(codec="ascii", exclude_categories=["Lu", "Cc"]), min_size=1), st.text(), max_size=20
)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[spdy.Session, asyncio.Queue[spdy.Stream]]]:
    """A client session, and the streams that its server accepts."""
    there, back = Pipe(), Pipe()
    client, server = spdy.Session(back, there, client=True), spdy.Session(there, back)
    accepted: asyncio.Queue[spdy.Stream] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.run()), group.create_task(server.run(accepted.put_nowait))]
        yield client, accepted
        for task in tasks:
            task.cancel()


def test_the_dictionary_is_the_protocols() -> None:
    assert len(spdy.DICTIONARY) == 1423
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


@given(st.lists(HEADERS, min_size=1, max_size=5))
def test_header_blocks_come_back(blocks: list[dict[str, str]]) -> None:
    sender, receiver = spdy.HeaderCodec(), spdy.HeaderCodec()
    for headers in blocks:
        first_values = {name.lower(): value.split("\0")[0] for name, value in headers.items()}
        assert receiver.decode(sender.encode(headers)) == first_values


async def test_streams_carry_bytes_both_ways() -> None:
    async with connected() as (client, accepted):
        stream = await client.open({"streamType": "data", "port": "80"})
        other = await accepted.get()
        assert other.headers == {"streamtype": "data", "port": "80"}
        stream.write(b"question")
        assert await other.read(100) == b"question"
        other.write(b"answer")
        other.write_eof()
        assert await stream.read() == b"answer"
        stream.write_eof()
        assert await other.read() == b""
        assert stream.done
        assert other.done


async def test_large_data_waits_for_its_reader() -> None:
    async with connected() as (client, accepted):
        stream = await client.open({})
        other = await accepted.get()
        data = bytes(range(256)) * 8192
        stream.write(data)
        stream.write_eof()
        await asyncio.sleep(0.01)
        assert len(other._buffer) <= spdy.STREAM_BUFFER + spdy.CHUNK
        assert await other.read() == data


async def test_a_closed_stream_does_not_hold_up_the_others() -> None:
    async with connected() as (client, accepted):
        deaf, hearing = await client.open({}), await client.open({})
        first, second = await accepted.get(), await accepted.get()
        first.close()
        deaf.write(b"x" * (4 * spdy.STREAM_BUFFER))
        hearing.write(b"hello")
        assert await second.read(10) == b"hello"


async def test_reset_reaches_the_peer() -> None:
    async with connected() as (client, accepted):
        stream = await client.open({})
        (await accepted.get()).reset()
        with pytest.raises(ConnectionLost, match="reset"):
            await stream.read(10)


async def test_ping_and_goodbye() -> None:
    async with connected() as (client, accepted):
        await client.ping()
        stream = await client.open({})
        other = await accepted.get()
        await client.close()
        assert await other.read(10) == b""
        with pytest.raises(ConnectionLost):
            await stream.read(10)
        with pytest.raises(ConnectionLost):
            await client.open({})


async def test_too_many_streams_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spdy, "MAX_STREAMS", 2)
    async with connected() as (client, accepted):
        await client.open({})
        await client.open({})
        client._streams.clear()  # the client does not count, the server does
        with pytest.raises(ConnectionLost):
            await client.open({})
        assert accepted.qsize() == 2


async def test_a_lost_connection_ends_streams() -> None:
    there, back = Pipe(), Pipe()
    client, server = spdy.Session(back, there, client=True), spdy.Session(there, back)
    streams: list[spdy.Stream] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run(streams.append))
        running = group.create_task(client.run())
        await client.open({})
        there.write(b"\x80\x03")  # cut in the middle of a frame
        there.end()
        with pytest.raises(ConnectionLost):
            await streams[0].read(10)
        running.cancel()


def control(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body


@pytest.mark.parametrize(
    "sent",
    [
        control(spdy.SYN_STREAM, struct.pack(">IIH", 1, 0, 0) + b"not compressed"),
        control(spdy.SYN_STREAM, b"\0\0"),
        control(spdy.PING, b""),
        struct.pack(">HHI", 0x8003, spdy.SYN_STREAM, spdy.MAX_CONTROL + 1),
        control(spdy.SYN_STREAM, struct.pack(">IIH", 1, 0, 0) + zlib.compress(b"\0" * 10_000_000)),
    ],
    ids=["garbage headers", "short", "short ping", "too long", "bomb"],
)
async def test_broken_frames_end_the_session(sent: bytes) -> None:
    there, back = Pipe(), Pipe()
    there.write(sent)
    there.end()
    with pytest.raises(spdy.SpdyError):
        await spdy.Session(there, back).run(lambda stream: None)
    back.end()
    assert (await back.read())[:4] == struct.pack(">HH", 0x8003, spdy.GOAWAY)


@given(st.binary(max_size=200))
def test_any_bytes_end_a_session_tidily(sent: bytes) -> None:
    async def main() -> None:
        there, back = Pipe(), Pipe()
        there.write(sent)
        there.end()
        try:
            await spdy.Session(there, back).run(lambda stream: stream.close())
        except spdy.SpdyError:
            return

    asyncio.run(main())
