"""Whatever a backend or a client sends, it is read or refused: no other failure, and nothing is read for ever."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.apiserver.subresources.backend import Address, ByteReader, ByteWriter, exchange
from kijabi.apiserver.subresources.rewrite import Links
from kijabi.apiserver.subresources.websocket import _take, frame
from kijabi.base.errors import ConnectionLost


class Sink:
    """A writer that forgets."""

    closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed

    async def drain(self) -> None:
        return

    def close(self) -> None:
        self.closed = True


def opened(raw: bytes, sink: Sink) -> object:
    async def open_(_: Address) -> tuple[ByteReader, ByteWriter]:
        reader = asyncio.StreamReader()
        reader.feed_data(raw)
        reader.feed_eof()
        return reader, sink

    return open_


pieces = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 x\r\n", b"HTTP/2 200\r\n", b"\r\n",
        b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"zz\r\n", b"-5\r\n", b"fffffffff\r\nx",
        b"hello",
    ]
)  # fmt: skip
answers = st.lists(st.one_of(pieces, st.binary(max_size=20)), max_size=8).map(b"".join)


@settings(max_examples=400, deadline=None)
@given(raw=answers, method=st.sampled_from(["GET", "HEAD", "POST"]))
def test_any_answer(raw: bytes, method: str) -> None:
    async def go() -> None:
        sink = Sink()
        try:
            found = await exchange(opened(raw, sink), Address("h", 1), method, "/", [], b"")  # type: ignore[arg-type]
            body = await found.read(1000)
            assert len(body) <= 1000
            assert body in raw or b"chunked" in raw.lower()
        except ConnectionLost:
            pass
        assert sink.closed

    asyncio.run(go())


@settings(max_examples=200, deadline=None)
@given(name=st.text(max_size=20), value=st.text(max_size=20))
def test_no_header_is_smuggled(name: str, value: str) -> None:
    class Keep(Sink):
        sent = b""

        def write(self, data: bytes) -> None:
            self.sent += data

    async def go() -> None:
        sink = Keep()
        try:
            await exchange(opened(b"HTTP/1.1 200 OK\r\n\r\n", sink), Address("h", 1), "GET", "/", [(name, value)])  # type: ignore[arg-type]
        except ConnectionLost:
            assert not sink.sent
            return
        assert len(sink.sent.rstrip(b"\r\n").split(b"\r\n")) <= 4

    asyncio.run(go())


@settings(max_examples=300, deadline=None)
@given(data=st.lists(st.binary(max_size=40), max_size=6))
def test_any_frames(data: list[bytes]) -> None:
    buffer = bytearray()
    for piece in data:
        buffer += piece
        while (found := _take(buffer)) is not None:
            assert 0 <= found[0] <= 15


@given(payload=st.binary(max_size=300), mask=st.binary(min_size=4, max_size=4))
def test_masked_frames_are_read(payload: bytes, mask: bytes) -> None:
    plain = frame(2, payload)
    head = len(plain) - len(payload)
    masked = bytes(byte ^ mask[i & 3] for i, byte in enumerate(payload))
    buffer = bytearray(plain[:1] + bytes([plain[1] | 0x80]) + plain[2:head] + mask + masked)
    assert _take(buffer) == (2, payload)
    assert not buffer


@settings(max_examples=200, deadline=None)
@given(
    page=st.lists(
        st.one_of(st.binary(max_size=20), st.sampled_from([b'<a href="/x">', b"<a href='", b"<img src=/"])), max_size=6
    )
)
def test_any_page(page: list[bytes]) -> None:
    links = Links("/proxy", "/", "host", "10.0.0.1:80")
    whole = b"".join(page)
    for encoding in ("", "gzip", "deflate"):
        changed = links.rewrite_html(whole, encoding)
        assert b"<a" in changed or b"<img" in changed or changed == whole or encoding
    assert links.rewrite("/x") == "/proxy/x"
    assert links.rewrite("/proxy/x") == "/proxy/x"
    assert links.rewrite("http://elsewhere/x") == "http://elsewhere/x"
    assert links.rewrite("http://[bad") == "http://[bad"
