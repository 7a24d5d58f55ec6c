"""Questions about other people's names: passed on to the node's own resolvers, answers passed back.

A UDP question goes to each upstream server in turn, and again over TCP where the answer was cut. `server` calls
`ask` with the question's bytes; the id is replaced on the way out, so that answers cannot be guessed (RFC 5452).
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Sequence
from pathlib import Path

from kijabi.base import rand

log = logging.getLogger(__name__)

PATIENCE = 2.0  # seconds for one server
IN_FLIGHT = 256
_TRUNCATED = 0x0200


def upstream_servers(text: str, own: Sequence[str] = ()) -> tuple[str, ...]:
    """The nameservers of a resolv.conf, without this server's own addresses (which would be a loop)."""
    words = (line.split() for line in text.splitlines())
    return tuple(w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and w[1] not in own)


def read_resolv_conf(path: Path = Path("/etc/resolv.conf")) -> str:
    """The node's resolver configuration; a node without one has no upstream."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


class _Once(asyncio.DatagramProtocol):
    """Waits for the one answer with the right id."""

    def __init__(self, number: int) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._number = number

    def datagram_received(self, data: bytes, _: object) -> None:
        if len(data) >= 12 and data[:2] == struct.pack("!H", self._number) and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Forwarder:
    """Asks upstream servers; `ask` gives None when none of them answered."""

    def __init__(self, servers: Sequence[str], port: int = 53) -> None:
        self.servers = tuple(servers)
        self._port = port
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def ask(self, question: bytes) -> bytes | None:
        async with self._slots:
            for server in self.servers:
                try:
                    async with asyncio.timeout(PATIENCE):
                        answer = await self._udp(server, question)
                        if struct.unpack_from("!H", answer, 2)[0] & _TRUNCATED:
                            answer = await self._tcp(server, question)
                        return question[:2] + answer[2:]
                except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                    log.info("no answer", extra={"server": server, "error": repr(error)})
        return None

    async def _udp(self, server: str, question: bytes) -> bytes:
        number = rand.rng().getrandbits(16)
        loop = asyncio.get_running_loop()
        transport, once = await loop.create_datagram_endpoint(lambda: _Once(number), remote_addr=(server, self._port))
        try:
            transport.sendto(struct.pack("!H", number) + question[2:])
            return await once.answer
        finally:
            transport.close()

    async def _tcp(self, server: str, question: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(server, self._port)
        try:
            writer.write(struct.pack("!H", len(question)) + question)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            return await reader.readexactly(length)
        finally:
            writer.close()
