"""HTTP/1.1 cut anywhere means the same, and no bytes whatever make the connection say anything but HTTP."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kijabi.apiserver.connection import Connection, Incoming
from kijabi.client.transport import Response

METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"])
BODIES = st.binary(max_size=300)
HEADS = (b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\nHost: x\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n")


class Sink(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing
        self.written += bytes(data)

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True

    def pause_reading(self) -> None:
        """Nothing is read from anywhere."""

    def resume_reading(self) -> None:
        """As above."""


class Echo:
    """Answers with what was asked."""

    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.most = 0
        self.seen: list[tuple[str, str, bytes]] = []

    async def answer(self, connection: Connection, incoming: Incoming) -> None:
        request = incoming.request
        self.seen.append((request.method, request.path, request.body))
        await asyncio.sleep(0)
        connection.send(incoming, Response(body=request.body))


async def fed(pieces: list[bytes], *, patient: bool) -> tuple[Echo, Sink]:
    """What became of the pieces. patient: the loop runs between them."""
    site, sink = Echo(), Sink()
    connection = Connection(site, asyncio.get_running_loop())
    connection.connection_made(sink)
    for piece in pieces:
        if sink.closing:
            break
        connection.data_received(piece)
        if patient:
            await asyncio.sleep(0)
    while connection.task is not None:
        await asyncio.wait({connection.task})
    connection.connection_lost(None)
    return site, sink


def wire(method: str, number: int, body: bytes, chunked: bool) -> bytes:
    head = f"{method} /r/{number} HTTP/1.1\r\nHost: x\r\n"
    if not chunked:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    parts = [body[at : at + 7] for at in range(0, len(body), 7)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + framed + b"0\r\n\r\n"


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in itertools.pairwise(bounds)]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(METHODS, BODIES, st.booleans()), min_size=1, max_size=30),
    st.lists(st.integers(0, 10_000), max_size=40),
    st.booleans(),
)
def test_requests_mean_the_same_wherever_they_are_cut(asked: list[Any], places: list[int], patient: bool) -> None:
    data = b"".join(wire(method, number, body, chunked) for number, (method, body, chunked) in enumerate(asked))
    site, sink = asyncio.run(fed(cut(data, places), patient=patient))
    assert site.seen == [(method, f"/r/{number}", body) for number, (method, body, _) in enumerate(asked)]
    answers = sink.written.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [answer.partition(b"\r\n\r\n")[2] for answer in answers] == [body for _, body, _ in asked]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(HEADS)), max_size=12), st.booleans())
def test_any_bytes_are_answered_in_http_or_not_at_all(pieces: list[bytes], patient: bool) -> None:
    _, sink = asyncio.run(fed(pieces, patient=patient))
    assert not sink.written or sink.written.startswith(b"HTTP/1.1 ")
    assert sink.closing or b" 400 " not in sink.written
