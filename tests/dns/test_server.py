"""The DNS server over real sockets on loopback: own names, forwarding, truncation, nonsense."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kijabi.dns.forward import Forwarder, upstream_servers
from kijabi.dns.records import Record, Records
from kijabi.dns.server import Server

ZONE = "cluster.local"


def zone(addresses: int = 1) -> Records:
    records = Records(ZONE)
    name = f"db.ns.svc.{ZONE}"
    records.set_service("ns/db", [Record(name, "A", f"10.244.{i // 250}.{i % 250 + 1}") for i in range(addresses)])
    return records


class Running:
    def __init__(self, server: Server) -> None:
        self.server = server

    async def udp(self, wire: bytes) -> dns.message.Message:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        class Client(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _: object) -> None:
                answer.set_result(data)

        transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", self.server.port))
        try:
            transport.sendto(wire)
            return dns.message.from_wire(await asyncio.wait_for(answer, 5))
        finally:
            transport.close()

    async def tcp(self, wire: bytes) -> dns.message.Message:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(struct.pack("!H", len(wire)) + wire)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        answer = await reader.readexactly(length)
        writer.close()
        return dns.message.from_wire(answer)


async def start(server: Server) -> tuple[Running, asyncio.Task[None]]:
    started = asyncio.Event()
    task = asyncio.create_task(server.run("127.0.0.1", 0, started))
    await started.wait()
    return Running(server), task


@pytest.fixture
async def small() -> AsyncIterator[Running]:
    running, task = await start(Server(zone(), Forwarder(())))
    yield running
    task.cancel()


async def test_an_own_name_over_udp_and_tcp(small: Running) -> None:
    query = dns.message.make_query(f"DB.ns.svc.{ZONE}", "A")
    for ask in (small.udp, small.tcp):
        answer = await ask(query.to_wire())
        assert answer.id == query.id
        assert answer.flags & dns.flags.AA
        assert [item.to_text() for item in answer.answer[0]] == ["10.244.0.1"]
        assert answer.answer[0].name.to_text() == f"DB.ns.svc.{ZONE}."


async def test_a_missing_name_has_an_soa(small: Running) -> None:
    answer = await small.udp(dns.message.make_query(f"nobody.{ZONE}", "A").to_wire())
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert answer.authority


async def test_a_large_answer_is_cut_over_udp_and_whole_over_tcp() -> None:
    running, task = await start(Server(zone(400), Forwarder(())))
    try:
        query = dns.message.make_query(f"db.ns.svc.{ZONE}", "A").to_wire()
        assert (await running.udp(query)).flags & dns.flags.TC
        assert len((await running.tcp(query)).answer[0]) == 400
    finally:
        task.cancel()


async def test_other_names_are_forwarded() -> None:
    upstream = Records("example.org")
    upstream.set_service("x", [Record("www.example.org", "A", "192.0.2.9")])
    far, far_task = await start(Server(upstream, Forwarder(())))
    near, near_task = await start(Server(zone(), Forwarder(("127.0.0.1",), port=far.server.port)))
    try:
        query = dns.message.make_query("www.example.org", "A")
        answer = await near.udp(query.to_wire())
        assert answer.id == query.id
        assert [item.to_text() for item in answer.answer[0]] == ["192.0.2.9"]
    finally:
        far_task.cancel()
        near_task.cancel()


async def test_without_an_upstream_that_answers(small: Running) -> None:
    answer = await small.udp(dns.message.make_query("www.example.org", "A").to_wire())
    assert answer.rcode() == dns.rcode.SERVFAIL


@given(st.binary(max_size=64))
def test_nonsense_is_answered_or_ignored(wire: bytes) -> None:
    answer = asyncio.run(Server(zone(), Forwarder(())).answer(wire, 512))
    assert answer is None or len(answer) >= 12


def test_upstream_servers() -> None:
    text = "# comment\nnameserver 10.0.0.1\nsearch example.org\nnameserver 10.0.0.2\n"
    assert upstream_servers(text, own=("10.0.0.2",)) == ("10.0.0.1",)
