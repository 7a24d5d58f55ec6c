"""Reads DNS questions from UDP and TCP and answers them: own names from `records`, others through `forward`.

Wire format by dnspython. Over UDP an answer larger than the client takes is cut with the TC bit (RFC 1035, EDNS0 by
RFC 6891), and the client asks again over TCP. Malformed questions get FORMERR where an id can be read, else nothing.
"""

from __future__ import annotations

import asyncio
import logging
import struct

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from kijabi.dns.forward import Forwarder
from kijabi.dns.records import TTL, Record, Records

log = logging.getLogger(__name__)

PLAIN_UDP = 512  # bytes that every client takes
LARGEST_UDP = 1232  # what fits one packet nearly everywhere
QUESTIONS_AT_ONCE = 1024
IDLE = 30.0  # seconds until a quiet TCP connection is closed


class Server:
    """One DNS server. `start` binds and returns; `close` ends it."""

    def __init__(self, records: Records, forwarder: Forwarder) -> None:
        self.records = records
        self.forwarder = forwarder
        self.port = 0

    async def run(self, address: str, port: int, started: asyncio.Event | None = None) -> None:
        """Serve on an address until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(self, group), local_addr=(address, port))
            bound = transport.get_extra_info("sockname")[1]
            tcp = await asyncio.start_server(self._tcp, address, bound)
            self.port = int(bound)
            if started is not None:
                started.set()
            try:
                await asyncio.Event().wait()
            finally:
                tcp.close()
                transport.close()

    async def _tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(IDLE):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    question = await reader.readexactly(length)
                answer = await self.answer(question, limit=65535)
                if answer is not None:
                    writer.write(struct.pack("!H", len(answer)) + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            return  # the client hung up or fell silent
        finally:
            writer.close()

    async def answer(self, wire: bytes, limit: int) -> bytes | None:
        """The answer to one question, at most `limit` bytes; None where silence is right."""
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError, struct.error):
            return _format_error(wire)
        if query.flags & dns.flags.QR:
            return None
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.NOTIMP if query.opcode() != dns.opcode.QUERY else dns.rcode.FORMERR)
            return response.to_wire()
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        if limit < 65535 and query.edns >= 0:
            limit = max(PLAIN_UDP, min(query.payload, LARGEST_UDP))
        if self.records.covers(name):
            return _to_wire(self._own(query, name, dns.rdatatype.to_text(question.rdtype)), limit)
        forwarded = await self.forwarder.ask(wire)
        if forwarded is not None:
            return forwarded if len(forwarded) <= limit else _truncated(query)
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(dns.rcode.SERVFAIL)
        return response.to_wire()

    def _own(self, query: dns.message.Message, name: str, type_: str) -> dns.message.Message:
        response = dns.message.make_response(query, recursion_available=True)
        response.flags |= dns.flags.AA
        found = self.records.lookup(name, type_)
        spelled = query.question[0].name
        for record in found.records:
            _append(response, response.answer, record, spelled if record.name == name else None)
        for record in found.extra:
            _append(response, response.additional, record, None)
        if not found.records:
            response.authority.append(self._soa())
            if not found.exists:
                response.set_rcode(dns.rcode.NXDOMAIN)
        return response

    def _soa(self) -> dns.rrset.RRset:
        domain = self.records.domain
        text = f"ns.dns.{domain}. hostmaster.{domain}. 1 7200 1800 86400 {TTL}"
        return dns.rrset.from_text(f"{domain}.", TTL, "IN", "SOA", text)


def _append(
    response: dns.message.Message, section: list[dns.rrset.RRset], record: Record, spelled: dns.name.Name | None
) -> None:
    """Add a record to a section, with the name in the question's own spelling (RFC 4343)."""
    name = spelled if spelled is not None else dns.name.from_text(record.name)
    kind = dns.rdatatype.from_text(record.type)
    rrset = response.find_rrset(section, name, dns.rdataclass.IN, kind, create=True)
    for item in dns.rrset.from_text(name, TTL, "IN", record.type, record.data):
        rrset.add(item, TTL)


def _to_wire(response: dns.message.Message, limit: int) -> bytes:
    try:
        return response.to_wire(max_size=limit)
    except dns.exception.TooBig:
        response.flags |= dns.flags.TC
        response.answer, response.authority, response.additional = [], [], []
        return response.to_wire(max_size=limit)


def _truncated(query: dns.message.Message) -> bytes:
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.TC
    return response.to_wire()


def _format_error(wire: bytes) -> bytes | None:
    """FORMERR with the question's id, for a question that could not be read."""
    if len(wire) < 12 or wire[2] & 0x80:
        return None
    return wire[:2] + struct.pack("!HHHHH", 0x8000 | dns.rcode.FORMERR, 0, 0, 0, 0)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: Server, group: asyncio.TaskGroup) -> None:
        self._server = server
        self._group = group
        self._pending = 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        if self._pending >= QUESTIONS_AT_ONCE:
            return  # the client asks again; better than falling over
        self._pending += 1
        self._group.create_task(self._reply(data, address))

    async def _reply(self, data: bytes, address: tuple[str, int]) -> None:
        try:
            answer = await self._server.answer(data, PLAIN_UDP)
            if answer is not None and self._transport is not None:
                self._transport.sendto(answer, address)
        finally:
            self._pending -= 1
