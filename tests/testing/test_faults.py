"""The faulty network: each fault does what it says, by the seed, and heals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kijabi.base.errors import ConnectionLost
from kijabi.client.transport import Request, Response, Stream
from kijabi.testing import simloop
from kijabi.testing.faults import NONE, Faults, FaultyTransport

GET = Request(method="GET", path="/api/v1/pods")
WATCH = Request(method="GET", path="/api/v1/pods", query=(("watch", "true"), ("resourceVersion", "5")))


class Counting:
    """A peer that counts what reaches it and streams a line a second."""

    def __init__(self) -> None:
        self.served = 0
        self.open = 0
        self.status = 200
        self.headers: dict[str, str] = {}

    async def request(self, request: Request) -> Response:
        self.served += 1
        return Response(body=b"ok")

    @asynccontextmanager
    async def stream(self, request: Request) -> AsyncIterator[Stream]:
        self.open += 1
        try:
            yield self
        finally:
            self.open -= 1

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(1)
            yield b'{"type":"ADDED"}\n'

    async def close(self) -> None:
        pass


def only(**faults: float) -> Faults:
    quiet = {"lost_request": 0.0, "lost_reply": 0.0, "cut": 0.0, "expired": 0.0, "expired_event": 0.0}
    return Faults(latency=(0.0, 0.0), **{**quiet, **faults})  # type: ignore[arg-type]


def test_lost_requests_never_arrive_and_lost_replies_did() -> None:
    async def main() -> None:
        for faults, arrived in ((only(lost_request=1), 0), (only(lost_reply=1), 1)):
            peer = Counting()
            with pytest.raises(ConnectionLost, match="lost"):
                await FaultyTransport(peer, faults).request(GET)
            assert peer.served == arrived

    simloop.run(main())


def test_latency_takes_virtual_time() -> None:
    async def main() -> float:
        network = FaultyTransport(Counting(), Faults(latency=(1.0, 2.0), lost_request=0, lost_reply=0))
        assert (await network.request(GET)).body == b"ok"
        return asyncio.get_running_loop().time()

    assert 2.0 <= simloop.run(main()) <= 4.0


def test_history_that_is_too_old() -> None:
    async def main() -> None:
        network = FaultyTransport(Counting(), only(expired=1))
        async with network.stream(WATCH) as stream:
            assert stream.status == 410
            assert b'"reason":"Expired"' in b"".join([chunk async for chunk in stream])
        paged = Request(method="GET", path="/api/v1/pods", query=(("continue", "x"),))
        assert (await network.request(paged)).status == 410
        assert (await network.request(GET)).status == 200

    simloop.run(main())


def test_an_expired_event_ends_a_watch_but_no_log() -> None:
    async def main() -> None:
        network = FaultyTransport(Counting(), only(expired_event=1))
        async with network.stream(WATCH) as stream:
            chunks = [chunk async for chunk in stream]
        assert len(chunks) == 1
        assert b'"type":"ERROR"' in chunks[0]
        async with network.stream(Request(method="GET", path="/log")) as stream:
            assert b"ADDED" in await anext(aiter(stream))

    simloop.run(main())


def test_a_cut_stream_may_end_within_a_line() -> None:
    async def main() -> None:
        peer = Counting()
        network = FaultyTransport(peer, only(cut=0.2))
        received = b""
        with pytest.raises(ConnectionLost, match="cut"):  # noqa: PT012
            async with network.stream(WATCH) as stream:
                async for chunk in stream:
                    received += chunk
        assert received
        assert peer.open == 0
        assert network.injected == {"cut": 1}

    simloop.run(main(), 3)


def test_a_partition_cuts_streams_and_requests_until_it_ends() -> None:
    async def main() -> None:
        peer = Counting()
        network = FaultyTransport(peer, NONE)
        async with network.stream(WATCH) as stream:
            chunks = aiter(stream)
            await anext(chunks)
            asyncio.get_running_loop().call_later(0.5, network.partition)
            with pytest.raises(ConnectionLost, match="out of reach"):
                await anext(chunks)
        with pytest.raises(ConnectionLost, match="out of reach"):
            await network.request(GET)
        assert network.down
        network.reconnect()
        assert (await network.request(GET)).body == b"ok"

    simloop.run(main())


def test_it_heals_and_a_seed_of_its_own_replays() -> None:
    async def main() -> list[bool]:
        network = FaultyTransport(Counting(), Faults(), seed=11)
        lost = []
        for _ in range(200):
            try:
                await network.request(GET)
                lost.append(False)
            except ConnectionLost:
                lost.append(True)
        network.heal()
        before = asyncio.get_running_loop().time()
        for _ in range(100):
            await network.request(GET)
        assert asyncio.get_running_loop().time() == before
        return lost

    assert simloop.run(main(), 1) == simloop.run(main(), 2)
    assert any(simloop.run(main(), 1))
